"""What has to be decided when an atlas is imported: name, licence, ages, common space."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from qsmbids.atlas.builtin import NAME as BUILTIN
from qsmbids.atlas.cohorts import Cohort, cohort_findings
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.images import GRID_TOLERANCE_MM
from qsmbids.atlas.import_bin import BinFacts
from qsmbids.atlas.import_files import Ages, BinFiles
from qsmbids.atlas.questions import Ask, Question, answer
from qsmbids.atlas.sources import SOURCES

_LICENCE_FILES = re.compile(r'(licen[cs]e|copying|terms)([._-].*)?', re.IGNORECASE)
_MAX_LICENCE_BYTES = 1 << 20
_SAME_SPACE_DICE = 0.98  # of the labels of two bins, for proposing that they share one space

LICENCE_QUESTION = Question(
    '--license',
    'Under which licence or terms may this atlas be used?',
    'The atlas must not be used or passed on against its terms, and none is assumed.',
)
TABLE_QUESTION = Question(
    '--labels',
    'Which file says what the numbers in the label images mean?',
    'Numbering schemes differ between atlases, so none is assumed.',
)


def decide_name(name: str, ask: Ask | None) -> str:
    """Return the name of the atlas, or refuse it."""
    name = name or answer(
        Question('--name', 'What shall the atlas be called (letters and digits)?',
                 'Files and tables carry the name.'), ask,
    )  # fmt: skip
    if not re.fullmatch(r'[A-Za-z0-9]+', name) or name in (BUILTIN, *SOURCES):
        raise AtlasError(
            f'{name!r} cannot be the name of an imported atlas.',
            'File names of BIDS allow letters and digits only, and atlases that this program '
            'brings keep their names.',
            'Give another --name, e.g. LifespanQSM.',
        )
    return name


def read_licences(folder: Path, given: Path | None) -> dict[str, str]:
    """Read licence files: the one given, else those that lie in the folder of the atlas.

    Returns
    -------
    dict
        Name under which it is kept to its text.
    """
    found = [given] if given else sorted(
        p for p in folder.iterdir() if p.is_file() and _LICENCE_FILES.fullmatch(p.name)
        and p.suffix.lower() in ('', '.txt', '.md') and p.stat().st_size <= _MAX_LICENCE_BYTES
    )  # fmt: skip
    try:
        texts = [path.read_text(encoding='utf-8', errors='replace') for path in found]
    except OSError as error:
        raise AtlasError(
            f'{given} cannot be read ({error.strerror}).',
            'It is kept beside the images.',
            'Correct --license-file.',
        ) from None
    names = ['LICENSE', *(f'LICENSE-{n}' for n in range(2, len(texts) + 1))]
    return dict(zip(names, texts, strict=False))


def decide_structural(bins: Sequence[BinFiles]) -> str:
    """Say which structural images there are, and what follows for registration."""
    without = [b.name for b in bins if not {'t1w', 't2starw'} & set(b.images)]
    if not without:
        only_t1w = [b.name for b in bins if 't2starw' not in b.images]
        if only_t1w:
            return (
                'structural templates: T1w only, so that a session needs a T1w image of its own '
                'to be registered'
            )
        return 'structural templates: GRE magnitude, to which every session can be registered'
    return (
        f'no structural template (T1w or GRE magnitude) for {", ".join(without)}: registration '
        'will rest on susceptibility alone'
        + ('' if len(without) == len(bins) else ' for these ages, and not for the others')
        + '; if there are such images, name them with --t1w or --t2starw'
    )


def decide_cohorts(
    ages: Sequence[Ages],
    end: str,
    allow_overlap: bool,
    ask: Ask | None,
    decide: Callable[[str], None],
) -> list[Cohort]:
    """Turn the ages in the names into half-open bins.

    Parameters
    ----------
    ages : sequence of (float, float)
        As in the names, youngest first.
    end : str
        ``inclusive``, ``exclusive`` or ''; see `qsmbids.atlas.importing.ImportOptions`.
    allow_overlap : bool
    ask : callable, optional
    decide : callable
        Gets what was decided as sentences.
    """
    steps = [later[0] - earlier[1] for earlier, later in pairwise(ages)]
    if not end and steps and all(step == 1 for step in steps):
        names = ', '.join(f'{low:g}_{high:g}' for low, high in ages)
        end = answer(
            Question(
                '--age-end',
                f'The bins are {names}: does the last year belong to its bin (inclusive), so that '
                'no year is left out between two bins?',
                'People of that age would otherwise fall between two bins.',
                ('inclusive', 'exclusive'),
                'inclusive',
            ),
            ask,
        )
    extra = 1 if end == 'inclusive' else 0
    cohorts = [
        Cohort(str(n), _years(low, high + extra), low, high + extra)
        for n, (low, high) in enumerate(ages, 1)
    ]
    decide(
        f'age bins: {", ".join(c.interval for c in cohorts)} years, the lower age included, the '
        'upper one not (a person of exactly that age belongs to the next bin; the oldest bin has '
        'both)'
    )
    findings = cohort_findings(cohorts)
    for sentence in findings:
        decide(sentence)
    overlaps = [sentence for sentence in findings if 'overlap' in sentence]
    if overlaps and not allow_overlap:
        raise AtlasError(
            f'{overlaps[0]}.',
            'Two templates for one age may be meant, or a file may be named wrongly.',
            'Give --allow-overlap if it is meant, else rename the files.',
        )
    return cohorts


def _years(low: float, high: float) -> str:
    """Name a bin for people: the last year that begins in it."""
    whole = float(low).is_integer() and float(high).is_integer()
    return f'{low:g} to {high - 1 if whole and high - low > 1 else high:g} years'


def decide_shared_space(
    bins: Sequence[BinFacts], choice: str, ask: Ask | None, decide: Callable[[str], None]
) -> bool:
    """Find out whether all templates lie in one space, voxel for voxel."""
    first = bins[0]
    one_grid = all(
        b.shape == first.shape and np.allclose(b.affine, first.affine, atol=GRID_TOLERANCE_MM)
        for b in bins
    )
    if len(bins) == 1 or not one_grid:
        if choice == 'yes' and not one_grid:
            raise AtlasError(
                'the templates of the bins are not on one grid.',
                'Templates that share one space can be mixed voxel by voxel, these cannot.',
                'Leave out --shared-space yes.',
            )
        decide('one age bin' if len(bins) == 1 else 'each bin has a grid, and a space, of its own')
        return False
    agreement = min(b.agreement for b in bins[1:])
    if agreement == 1:
        why, proposal = 'all bins have one grid and the very same labels', 'yes'
    else:
        why = f'all bins have one grid, and labels that agree with Dice {agreement:.2f}'
        proposal = 'yes' if agreement > _SAME_SPACE_DICE else 'no'
    choice = choice or answer(
        Question(
            '--shared-space',
            f'Do the templates of all bins lie in one common space ({why})?',
            'If so, templates of neighbouring bins can be mixed for ages in between.',
            ('yes', 'no'),
            proposal,
        ),
        ask,
    )
    decide(f'templates {"share" if choice == "yes" else "do not share"} one space ({why})')
    return choice == 'yes'
