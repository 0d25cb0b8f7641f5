"""Importing an atlas of somebody else: age-binned templates, label images, a label table.

The images are found by their names (`import_files`), brought into one orientation
(`import_images`, `import_bin`), labels get their names and sides from the table
(`import_labels`, `import_regions`), and all is written as an atlas folder (`import_write`).
No number of a label, no licence and no side is taken for granted: what the files do not say is
asked, and what was decided is told and written down.

The atlas is made in a private folder, opened and checked as any other, and then renamed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from qsmbids.atlas.dataset import open_atlas
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.import_bin import BinFacts, ImageAnswers, prepare_bin
from qsmbids.atlas.import_decisions import (
    LICENCE_QUESTION,
    TABLE_QUESTION,
    decide_cohorts,
    decide_name,
    decide_shared_space,
    decide_structural,
    read_licences,
)
from qsmbids.atlas.import_files import Ages, find_bins
from qsmbids.atlas.import_labels import read_label_table
from qsmbids.atlas.import_regions import make_labels, read_mapping
from qsmbids.atlas.import_write import PROVENANCE, AtlasFacts, write_bin, write_descriptions
from qsmbids.atlas.questions import Ask, Question, answer


@dataclass(frozen=True)
class ImportOptions:
    """What a person may state beforehand; what is left empty is found out, or asked.

    Parameters
    ----------
    patterns : mapping of str to str
        Kind of image to a pattern of names; see `qsmbids.atlas.import_files.find_bins`.
    ages : (float, float), optional
        Of an atlas without ages in its names, years.
    age_end : str
        ``exclusive``: ``40_50`` is [40, 50); ``inclusive``: ``40_49`` is [40, 50).
    allow_overlap : bool
        Take age bins that overlap.
    images : ImageAnswers
        Unit, background, orientation.
    sides : str
        ``from-position`` or ``from-names``; see `qsmbids.atlas.import_regions.make_labels`.
    mapping : Path, optional
        Table of names and regions of ours.
    shared_space : str
        ``yes`` or ``no``: whether the templates of all bins lie in one space.
    licence_file : Path, optional
        Kept beside the images.
    citation : str
    replace : bool
        Replace an imported atlas of the same name; no other folder is ever replaced.
    """

    patterns: Mapping[str, str] = field(default_factory=dict)
    ages: Ages | None = None
    age_end: str = ''
    allow_overlap: bool = False
    images: ImageAnswers = field(default_factory=ImageAnswers)
    sides: str = ''
    mapping: Path | None = None
    shared_space: str = ''
    licence_file: Path | None = None
    citation: str = ''
    replace: bool = False


def import_atlas(
    folder: Path,
    out: Path,
    *,
    name: str = '',
    licence: str = '',
    labels_table: Path | None = None,
    options: ImportOptions | None = None,
    ask: Ask | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Path:
    """Import a folder of age-binned templates as an atlas.

    Parameters
    ----------
    folder : Path
        With ``<from>_<to>_*.nii[.gz]`` templates and ``<from>_<to>_*label*`` label images, or
        one of each. Only read.
    out : Path
        The atlas becomes ``out/<name>``.
    name : str
        Letters and digits.
    licence : str
        Under which the atlas may be used.
    labels_table : Path
        What the numbers in the label images mean; see `qsmbids.atlas.import_labels`.
    options : ImportOptions, optional
    ask : callable, optional
        Answers questions; without it an open question is an error that names the option.
    tell : callable, optional
        Gets every decision as a sentence.

    Returns
    -------
    Path
        ``out/<name>``, which `qsmbids.atlas.dataset.open_atlas` opens.

    Raises
    ------
    AtlasError
        If something is missing, does not fit together, or is not known.

    Notes
    -----
    Layout of the atlas of Zhang Y, Wei H, Cronin MJ, He N, Yan F, Liu C. Longitudinal atlas
    for normative human brain development and aging over the lifespan using quantitative
    susceptibility mapping. NeuroImage 2018;171:176-189.
    """
    options = options or ImportOptions()
    # resolved, so that 'absent/..' is not found empty now and becomes another folder later
    folder, out = Path(folder).absolute(), Path(out).resolve()
    bins = find_bins(folder, patterns=options.patterns, ages=options.ages)
    name = decide_name(name, ask)
    target = out / name
    inputs = [folder, labels_table, options.mapping, options.licence_file]
    inputs = [Path(given) for given in inputs if given]
    inputs += [path for one in bins for path in one.images.values()]
    _check_target(target, options.replace, inputs)
    licence = licence or answer(LICENCE_QUESTION, ask)
    table = Path(labels_table or answer(TABLE_QUESTION, ask))
    _check_only_read(target, [table])  # it may have been asked for
    rows = read_label_table(table)
    mapping = read_mapping(options.mapping) if options.mapping else {}
    licence_texts = read_licences(folder, options.licence_file)
    decisions: list[str] = []

    def decide(sentence: str) -> None:
        decisions.append(sentence)
        tell(sentence)

    decide(decide_structural(bins))
    cohorts = decide_cohorts(
        [b.ages for b in bins], options.age_end, options.allow_overlap, ask, decide
    )
    out.mkdir(parents=True, exist_ok=True)
    remembered = _remember(ask)
    with tempfile.TemporaryDirectory(prefix=f'.import-{name}.', dir=out) as private:
        root = Path(private) / name
        facts: list[BinFacts] = []
        first_labels = np.zeros(0)
        for cohort, files in zip(cohorts, bins, strict=True):
            fact, images = prepare_bin(files, rows, options.images, remembered, first_labels)
            first_labels = first_labels if facts else images['dseg']
            write_bin(root, name, cohort, fact, images)
            for sentence in fact.told:
                tell(f'{files.name}: {sentence}')
            facts.append(fact)
        shares = decide_shared_space(facts, options.shared_space, ask, decide)
        labels, told = make_labels(
            rows, [f.places for f in facts], sides=options.sides, mapping=mapping, ask=ask
        )
        for sentence in told:
            decide(sentence)
        tables = [table, *([options.mapping] if options.mapping else [])]
        described = AtlasFacts(
            name, licence, cohorts, shares, folder, licence_texts, options.citation, decisions,
            tables,
        )  # fmt: skip
        write_descriptions(root, described, labels, facts)
        atlas = open_atlas(root)
        for cohort in atlas.cohorts:
            atlas.files(cohort.label)
        _check_target(target, options.replace, inputs)  # it may have appeared meanwhile
        _put_in_place(root, target, Path(private) / 'before')
    return target


def _check_target(target: Path, replace: bool, inputs: Iterable[Path]) -> None:
    """Refuse to write where something is that may not be replaced."""
    _check_only_read(target, inputs)
    if os.path.lexists(target) and not (target / PROVENANCE).is_file():
        raise AtlasError(
            f'{target} is there already.',
            'It was not imported, so that its contents may exist nowhere else.',
            'Give another --name, or remove or rename it yourself.',
        )
    if target.exists() and not replace:
        raise AtlasError(
            f'there is an atlas in {target} already.',
            'It is not overwritten without being asked for.',
            'Give another --name, or --replace.',
        )


def _check_only_read(target: Path, inputs: Iterable[Path]) -> None:
    """Refuse to replace a folder that holds what is imported."""
    if not target.exists():
        return
    for given in inputs:
        found = given.resolve()
        # the same folder may be written in several ways: links, upper case
        if any(part.exists() and part.samefile(target) for part in (found, *found.parents)):
            raise AtlasError(
                f'the atlas would take the place of {given}.',
                'What you downloaded is only read.',
                'Give another --name or --atlas-cache.',
            )


def _remember(ask: Ask | None) -> Ask | None:
    """Ask a question of the images only once, not for every bin."""
    if ask is None:
        return None
    given: dict[str, str] = {}

    def once(question: Question) -> str:
        if question.option not in given:
            given[question.option] = ask(question)
        return given[question.option]

    return once


def _put_in_place(made: Path, target: Path, before: Path) -> None:
    """Rename the new atlas to its name; an earlier one gives way, and returns if that fails."""
    try:
        if target.exists():
            os.replace(target, before)
        os.replace(made, target)
    except BaseException:  # an interrupt by the keyboard, too
        if os.path.lexists(before) and not os.path.lexists(target):
            os.replace(before, target)
        raise
    shutil.rmtree(before, ignore_errors=True)
