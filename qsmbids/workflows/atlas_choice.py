"""Which cohort, or which two, of the atlas an acquisition is compared with."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qsmbids.atlas.blend import age_weights
from qsmbids.atlas.builtin import NAME as BUILTIN
from qsmbids.atlas.builtin import write_builtin
from qsmbids.atlas.cohorts import Cohort, cohort_findings, pick_cohort
from qsmbids.atlas.dataset import Atlas, AtlasFiles, open_atlas
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.images import read_image
from qsmbids.atlas.store import find_atlas
from qsmbids.bids.dataset import write_atlas_description
from qsmbids.config import REFERENCES, REFERENCES_WITHOUT_ATLAS, Config
from qsmbids.plan.models import Acquisition
from qsmbids.workflows.outcome import atlas_label

CSF_REGION = 'LateralVentricle'


@dataclass(frozen=True)
class AtlasChoice:
    """The template that one acquisition is compared with.

    Parameters
    ----------
    name, cohort : str
        Labels of atlas and cohort.
    files : mapping
        Kind of image to its path, of that cohort.
    labels : sequence of mapping
        The label table.
    facts : mapping
        What sidecars and report say of the choice.
    reference_values : sequence of int
        Labels of the reference region; none for the whole brain.
    mix : sequence of (mapping, float)
        Files and weights of the cohorts that the template is mixed from; empty when it is
        that of the cohort itself.
    stamp : str
        Changes with the files of the atlas: results of another state are then not used.
    """

    name: str
    cohort: str
    files: Mapping[str, str]
    labels: Sequence[Mapping[str, Any]]
    facts: Mapping[str, Any]
    reference_values: Sequence[int] = ()
    mix: Sequence[tuple[Mapping[str, str], float]] = ()
    stamp: str = ''


def choose_atlas(acquisitions: Sequence[Acquisition], config: Config) -> dict[str, AtlasChoice]:
    """Return the template of each acquisition that has a susceptibility map, by key.

    The built-in atlas is written into the work folder, the needed cohorts only. Nothing is
    chosen with ``recon_only``.

    Raises
    ------
    ValueError
        If the atlas is broken, an age is not covered under ``strict_age``, or the reference
        region is not in the atlas.
    """
    wanted = [a for a in acquisitions if a.phase_scaling is not None]
    if config.recon_only or not wanted:
        _check_reference(config, None)
        return {}
    atlas = open_chosen(config)
    _check_reference(config, atlas)
    cohorts = {a.key: pick(a, atlas, config) for a in wanted}
    weights = {a.key: _weights(a, cohorts[a.key][0], atlas, config) for a in wanted}
    needed = {label for mix in weights.values() for label in mix}
    needed |= {cohort.label for cohort, _ in cohorts.values()}
    if atlas.name == BUILTIN and atlas.root.is_relative_to(config.work_dir):  # never a copy
        write_builtin(atlas.root.parent, sorted(needed))
    labels = [asdict(label) for label in atlas.labels]
    description = {
        'Name': atlas.name,
        'License': atlas.description.get('License', 'unknown'),
        'BIDSVersion': '1.11.1',
    }
    write_atlas_description(config.output_dir, atlas.name, labels, description)
    files = {label: atlas.files(label) for label in sorted(needed)}
    offsets = {label: _curve_offset(found, atlas, config) for label, found in files.items()}
    paths = {
        label: {kind: str(path) for kind, path in asdict(found).items() if path}
        for label, found in files.items()
    }
    stamps = {label: _stamp(found.values()) for label, found in paths.items()}
    values = _label_values(atlas, config.reference)
    choices = {}
    for key, (cohort, note) in cohorts.items():
        mix = weights[key]
        facts = {
            'name': atlas.name,
            'cohort': cohort.label,
            'cohort_name': cohort.name,
            'age_range': [cohort.age_min, cohort.age_max],
            'note': note,
            'builtin': atlas.name == BUILTIN,
            'curve_offset_ppm': sum(w * offsets[label] for label, w in mix.items()),
        }
        if len(mix) > 1:
            facts['cohort_weights'] = {label: round(w, 3) for label, w in mix.items()}
        choices[key] = AtlasChoice(
            atlas.name, cohort.label, paths[cohort.label], labels, facts, values,
            [(paths[label], w) for label, w in mix.items()] if len(mix) > 1 else (),
            ' '.join(f'{label}:{w:.6f}:{stamps[label]}' for label, w in mix.items()),
        )  # fmt: skip
    return choices


def open_chosen(config: Config) -> Atlas:
    """Open the atlas of a run: built in, fetched or imported before, or a folder."""
    folder = find_atlas(config.atlas, config.atlas_cache, config.work_dir)
    atlas = open_atlas(folder)
    if atlas.name != atlas_label(config.atlas):
        raise AtlasError(
            f'the folder {folder} is called {atlas_label(config.atlas)}, the atlas in it '
            f'{atlas.name}.',
            'File names carry the name of the atlas, and it must be one name.',
            f'Rename the folder to {atlas.name}.',
        )
    return atlas


def pick(acquisition: Acquisition, atlas: Atlas, config: Config) -> tuple[Cohort, str]:
    """Return the cohort of an acquisition and a note on the choice."""
    if config.cohort:
        found = {cohort.label: cohort for cohort in atlas.cohorts}
        if config.cohort not in found:
            raise ValueError(
                f'The atlas {atlas.name} has no cohort {config.cohort}.\n'
                f'It has: {", ".join(found)}.\nCorrect --cohort, or leave it out.'
            )
        return found[config.cohort], 'cohort given on the command line'
    known = acquisition.age_years
    age = None if known is None or known.value is None else float(known.value)
    try:
        return pick_cohort(atlas.cohorts, age, strict=config.strict_age)
    except ValueError as error:
        raise ValueError(f'{acquisition.key}: {error}') from None


def _weights(
    acquisition: Acquisition, cohort: Cohort, atlas: Atlas, config: Config
) -> dict[str, float]:
    """Return the weight of each cohort in the template: two of them between two middle ages."""
    age = acquisition.age_years
    asked, possible = config.age_interpolation, atlas.shares_space
    if asked == 'on' and not possible:
        raise ValueError(
            f'--age-interpolation on: the templates of {atlas.name} do not share one space.\n'
            'Images are mixed voxel by voxel, and here one voxel is not the same place.\n'
            'Leave the option out; if they do share it, write "CohortsShareSpace": true into '
            'template_description.json.'
        )
    if asked == 'off' or not possible or config.cohort or age is None or age.value is None:
        return {cohort.label: 1.0}
    mix = {part.label: w for part, w in age_weights(atlas.cohorts, float(age.value))}
    # in a gap, or where bins overlap, the neighbours by middle age may not be those of the age
    regular = not cohort_findings(atlas.cohorts)
    return mix if regular and cohort.label in mix else {cohort.label: 1.0}


def _stamp(paths: Iterable[str]) -> str:
    """Return a checksum of names, sizes and times of files."""
    stats = [(path, Path(path).stat()) for path in sorted(paths)]
    text = ' '.join(f'{path} {stat.st_size} {stat.st_mtime_ns}' for path, stat in stats)
    return f'{zlib.crc32(text.encode()):08x}'


def _curve_offset(files: AtlasFiles, atlas: Atlas, config: Config) -> float:
    """Return what brings the age curves, whose zero is CSF, to the reference of the maps.

    NaN where it cannot be known: of an atlas that does not say what its zero is.
    """
    if config.reference in ('csf', 'csf-r2star', CSF_REGION):
        return 0.0
    sidecar = files.chi.with_name(files.chi.name.split('.')[0] + '.json')
    try:
        content = json.loads(sidecar.read_text(encoding='utf-8'))
        offset = -float(content['SusceptibilityReferenceValue'])
    except (OSError, LookupError, ValueError, TypeError):
        return math.nan
    values = _label_values(atlas, config.reference)
    if values:
        inside = np.isin(read_image(files.dseg)[0], values)
        offset -= float(read_image(files.chi)[0][inside].mean(dtype=float))
    return offset


def _label_values(atlas: Atlas, region: str) -> list[int]:
    """Return the labels of a reference region; none for the whole brain."""
    wanted = CSF_REGION if region == 'csf' else region
    return [label.index for label in atlas.labels if wanted in (label.name, label.region)]


def _check_reference(config: Config, atlas: Atlas | None) -> None:
    region = config.reference
    if region in REFERENCES_WITHOUT_ATLAS:
        return
    if atlas is None:
        raise ValueError(
            f'--reference-region {region} needs the regions of an atlas.\n'
            'With --recon-only there are none.\n'
            'Use whole-brain, csf-r2star or none, or leave --recon-only out.'
        )
    known = {name for label in atlas.labels for name in (label.name, label.region)}
    if (CSF_REGION if region == 'csf' else region) not in known:
        raise ValueError(
            f'--reference-region {region} is no region of the atlas {atlas.name}.\n'
            'Susceptibility can only be referenced to a region that is measured.\n'
            f'Choose from: {", ".join([*REFERENCES, *sorted(known)])}.'
        )
