"""Writing what was built as an atlas folder in BIDS and TemplateFlow layout.

::

    <Name>/
      dataset_description.json  README.md  .bidsignore  build.json (who, how many, how)
      atlas-<Name>_description.json  atlas-<Name>_dseg.tsv (+ json)
      tpl-<Name>/
        template_description.json      "CohortsShareSpace": true
        cohort-<N>/tpl-<Name>_cohort-<N>_res-1_Chimap.nii.gz (+ json), desc-std_Chimap,
                   desc-count_Chimap, T2starw, T1w, R2starmap, desc-std_R2starmap,
                   desc-brain_mask, atlas-<Name>_res-1_dseg, desc-group_Chimap,
                   from-group_to-common_mode-image_xfm, from-common_to-group_mode-image_xfm

It appears in one step, when all of it is written.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from qsmbids import __version__
from qsmbids.atlas.dataset import SHARED_SPACE, open_atlas
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.geometry import Label
from qsmbids.atlas.images import voxel_size
from qsmbids.bids.write import copy, write_json, write_text

PROVENANCE = 'build.json'
BIDS_VERSION = '1.11.1'
_REFERENCES = [
    'Zhang Y, et al. NeuroImage 2018;171:176-189',
    'https://doi.org/10.1016/j.neuroimage.2009.09.062',
]
_OWN_SPACE = ' In the space of the group itself, not the common one.'
# key of CohortMaps.files: what follows the cohort in the name, and the sidecar
_FILES: dict[str, tuple[str, dict[str, Any]]] = {
    'chi': ('res-1_Chimap', {
        'Description': 'Mean susceptibility of the people', 'Units': 'ppm'}),
    'chi_sd': ('res-1_desc-std_Chimap', {
        'Description': 'Standard deviation of susceptibility over the people', 'Units': 'ppm'}),
    'chi_n': ('res-1_desc-count_Chimap', {
        'Description': 'Number of people with susceptibility in the voxel', 'Units': 'people'}),
    't2starw': ('res-1_T2starw', {
        'Description': 'Mean magnitude, each freed from bias and scaled to 0..1',
        'Units': 'arbitrary'}),
    't1w': ('res-1_T1w', {
        'Description': 'Mean T1w brain, each freed from bias and scaled to 0..1',
        'Units': 'arbitrary'}),
    'r2star': ('res-1_R2starmap', {'Description': 'Mean R2* of the people', 'Units': '1/s'}),
    'r2star_sd': ('res-1_desc-std_R2starmap', {
        'Description': 'Standard deviation of R2* over the people', 'Units': '1/s'}),
    'group_chi': ('res-1_desc-group_Chimap', {
        'Description': f'Mean susceptibility of the people.{_OWN_SPACE}', 'Units': 'ppm'}),
    'mask': ('res-1_desc-brain_mask', {
        'Type': 'Brain', 'Description': 'Where at least half of the people have their brain'}),
    'to_common': ('from-group_to-common_mode-image_xfm', {
        'Description': 'Brings images from the mean shape of the group to the common space',
        'Format': 'ITK displacement field, LPS millimetres'}),
    'to_group': ('from-common_to-group_mode-image_xfm', {
        'Description': 'Brings images and labels from the common space to the group',
        'Format': 'ITK displacement field, LPS millimetres'}),
}  # fmt: skip


@dataclass(frozen=True)
class BuiltCohort:
    """One age group as it is written: its age limits, facts and images."""

    label: str
    age_min: float
    age_max: float
    mean_age: float
    n: int
    files: Mapping[str, Path]


@dataclass(frozen=True, kw_only=True)
class BuiltAtlas:
    """What is written of an atlas.

    Parameters
    ----------
    name, licence : str
    cohorts : sequence of BuiltCohort
    dseg : Path
        Labels in the common space.
    labels : sequence of Label
        The label table.
    reference : str
        What zero susceptibility is.
    labels_source : str
        Name and licence of the atlas that the labels are from.
    notes : sequence of str
        Who was left out, what was joined and merged.
    provenance : mapping
        For ``build.json``.
    """

    name: str
    licence: str
    cohorts: Sequence[BuiltCohort]
    dseg: Path
    labels: Sequence[Label]
    reference: str
    labels_source: str
    notes: Sequence[str] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)


def check_target(root: Path, name: str, *, replace: bool) -> Path:
    """Return the folder that the atlas will be in.

    Raises
    ------
    AtlasError
        If the name has other characters than letters and digits, or is taken. Only what was
        built here is ever replaced.
    """
    if not (name.isascii() and name.isalnum()):
        raise AtlasError(
            f'"{name}" cannot be the name of an atlas.',
            'It is part of file names, in which - and _ have a meaning.',
            'Give a --name of letters and digits.',
        )
    folder = Path(root) / name
    if folder.exists() and not replace:
        raise AtlasError(
            f'{folder} exists.',
            'An atlas is not written over without being asked.',
            'Give another --name or folder, or --replace.',
        )
    if folder.exists() and not (folder / PROVENANCE).is_file():
        raise AtlasError(
            f'{folder} was not built by qsmbids-atlas build: it has no {PROVENANCE}.',
            'It may hold what cannot be made again, and is not replaced.',
            'Give another --name or folder.',
        )
    return folder


def write_built(root: Path, atlas: BuiltAtlas, *, replace: bool = False) -> Path:
    """Write the atlas folder ``root/<name>``.

    Raises
    ------
    AtlasError
        If it exists and is not to be replaced, or does not pass the checks of the reader.
    """
    target = check_target(root, atlas.name, replace=replace)
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f'.build-{atlas.name}-', dir=target.parent))
    try:
        folder = work / atlas.name
        for cohort in atlas.cohorts:
            _write_cohort(folder, atlas, cohort)
        _write_descriptions(folder, atlas)
        opened = open_atlas(folder)
        for cohort in opened.cohorts:
            opened.files(cohort.label)
        if target.exists():
            target.rename(work / 'old')
        folder.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def _write_cohort(root: Path, atlas: BuiltAtlas, cohort: BuiltCohort) -> None:
    name = atlas.name
    stem = f'tpl-{name}_cohort-{cohort.label}'
    folder = root / f'tpl-{name}' / f'cohort-{cohort.label}'
    size = voxel_size(nib.load(cohort.files['chi']).affine)
    common = {
        'SpatialReference': f'bids::tpl-{name}/cohort-{cohort.label}/{stem}_res-1_Chimap.nii.gz',
        'Resolution': ' x '.join(f'{s:.4g}' for s in size) + ' mm',
        'CohortAgeRangeYears': [cohort.age_min, cohort.age_max],
        'MeanAgeYears': round(cohort.mean_age, 3),
        'SampleSize': cohort.n,
        'SkullStripped': True,
    }
    reference = {'SusceptibilityReference': atlas.reference}
    for key, path in cohort.files.items():
        rest, sidecar = _FILES[key]
        copy(path, folder / f'{stem}_{rest}.nii.gz')
        content = {**sidecar, **(reference if key in ('chi', 'group_chi') else {}), **common}
        if key in ('to_common', 'to_group', 'group_chi'):
            del content['SpatialReference']
        write_json(folder / f'{stem}_{rest}.json', content)
    copy(atlas.dseg, folder / f'{stem}_atlas-{name}_res-1_dseg.nii.gz')
    write_json(
        folder / f'{stem}_atlas-{name}_res-1_dseg.json',
        {'Description': 'Regions as labels, the same in every cohort; see the table at the root '
         'of the atlas', 'Origin': atlas.labels_source, **common},
    )  # fmt: skip


def _write_descriptions(root: Path, atlas: BuiltAtlas) -> None:
    name = atlas.name
    rows = ['index\tname\tabbreviation\themisphere\tgroup\tcolor\tregion']
    rows += [
        '\t'.join((str(b.index), b.name, b.abbreviation, b.hemisphere, b.group or 'n/a', b.color,
                   b.region))
        for b in atlas.labels
    ]  # fmt: skip
    made_by = [{'Name': 'qsmbids', 'Version': __version__, 'Description': 'qsmbids-atlas build'}]
    write_text(root / '.bidsignore', f'template_description.json\n{PROVENANCE}\n*_xfm.*\n')
    write_text(root / 'README.md', _readme(atlas))
    write_text(root / f'atlas-{name}_dseg.tsv', '\n'.join(rows) + '\n')
    write_json(root / PROVENANCE, atlas.provenance)
    write_json(
        root / 'dataset_description.json',
        {'Name': name, 'BIDSVersion': BIDS_VERSION, 'DatasetType': 'derivative',
         'License': atlas.licence, 'GeneratedBy': made_by, 'ReferencesAndLinks': _REFERENCES},
    )  # fmt: skip
    write_json(
        root / f'atlas-{name}_description.json',
        {'Name': name, 'License': atlas.licence, 'Species': 'Human',
         'Description': f'{len(atlas.labels)} regions. {atlas.labels_source}'},
    )  # fmt: skip
    write_json(root / f'tpl-{name}' / 'template_description.json', _template(atlas))


def _template(atlas: BuiltAtlas) -> dict[str, Any]:
    image = nib.load(atlas.cohorts[0].files['chi'])
    return {
        'Name': atlas.name,
        'Identifier': atlas.name,
        'BIDSVersion': BIDS_VERSION,
        'TemplateFlowVersion': '1.0.0',
        'License': atlas.licence,
        'Species': 'Homo sapiens',
        'ReferencesAndLinks': _REFERENCES,
        SHARED_SPACE: True,
        'res': {
            '1': {
                'origin': [float(v) for v in image.affine[:3, 3]],
                'shape': list(image.shape),
                'zooms': [float(v) for v in np.round(voxel_size(image.affine), 6)],
            }
        },
        'cohort': {
            c.label: {
                'name': f'{c.age_min:g} to {c.age_max:g} years',
                'age': [c.age_min, c.age_max],
                'units': 'years',
                'samplesize': c.n,
                'meanage': round(c.mean_age, 3),
            }
            for c in atlas.cohorts
        },
    }


def _readme(atlas: BuiltAtlas) -> str:
    cohorts = '\n'.join(
        f'| {c.label} | [{c.age_min:g}, {c.age_max:g}) | {c.n} | {c.mean_age:.1f} |'
        for c in atlas.cohorts
    )
    notes = '\n'.join(f'* {note}' for note in atlas.notes) or '* nothing to tell'
    return f"""# {atlas.name}

An age-specific susceptibility atlas built from {sum(c.n for c in atlas.cohorts)} people by
`qsmbids-atlas build` (qsmbids {__version__}). The templates of all cohorts lie in one common
space, voxel for voxel, and share one label image. Susceptibility is in ppm, paramagnetic
positive; zero is: {atlas.reference}.

| cohort | age in years | people | mean age |
|---|---|---|---|
{cohorts}

The upper limit belongs to the next cohort, in the oldest one to itself. `desc-std_Chimap` is
the standard deviation over people, `desc-count_Chimap` their number in each voxel.

Labels: {atlas.labels_source}

Licence: {atlas.licence}

What was left out, joined and merged (steps and settings: `{PROVENANCE}`):

{notes}
"""
