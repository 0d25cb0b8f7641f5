"""The built-in atlas QSMLifespan: a folder in BIDS and TemplateFlow layout, made on demand.

::

    QSMLifespan/
      dataset_description.json  README.md  .bidsignore
      atlas-QSMLifespan_description.json  atlas-QSMLifespan_dseg.tsv (+ json)
      tpl-QSMLifespan/
        template_description.json
        cohort-<N>/tpl-QSMLifespan_cohort-<N>_res-1_Chimap.nii.gz (+ json), ... T1w, T2starw,
                   desc-brain_mask, atlas-QSMLifespan_res-1_dseg

Anatomy: the MNI152 template that ships with nilearn and the region geometry table, an adult
average at every age. Values: an engineering prior, not published values. Both are said in
every description file. The age bins are a design of this project.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from qsmbids.atlas import builtin_texts as texts
from qsmbids.atlas.cohorts import Cohort
from qsmbids.atlas.contrast import atlas_grid, chi_contrast, t2starw_contrast
from qsmbids.atlas.geometry import label_table
from qsmbids.bids.write import write_atomically, write_json, write_text

NAME = 'QSMLifespan'
VERSION = '1.0.0'  # of the atlas: goes up with every change of its images or tables

# our own design: narrow bins where the curves are steep, decades in adults
_BIN_EDGES = (1, 3, 6, 11, 21, 31, 41, 51, 61, 71, 84)

_GZIP_LEVEL = 4
_ARBITRARY_SCALE = 1000  # T1w and T2starw are stored as integers from 0 to 1000


def cohort_bins() -> tuple[Cohort, ...]:
    """Return the age bins of the built-in atlas, youngest first.

    Examples
    --------
    >>> cohort_bins()[0]
    Cohort(label='1', name='1 to 2 years', age_min=1, age_max=3)
    """
    bins = list(pairwise(_BIN_EDGES))
    last_years = [high - 1 for _, high in bins[:-1]] + [bins[-1][1]]
    return tuple(
        Cohort(str(number), f'{low} to {last} years', low, high)
        for number, ((low, high), last) in enumerate(zip(bins, last_years, strict=True), 1)
    )


def write_builtin(root: Path, cohorts: Sequence[str] | None = None) -> Path:
    """Write the atlas, or those of its files that are missing or of another version.

    Parameters
    ----------
    root : Path
        The atlas goes into ``root/QSMLifespan``.
    cohorts : sequence of str, optional
        Labels of the age bins whose images are wanted; by default all. The descriptions
        always cover all bins.

    Returns
    -------
    Path
        ``root/QSMLifespan``.

    Raises
    ------
    ValueError
        If there is no such age bin.

    Notes
    -----
    Every file is written under a temporary name and renamed, and the file that marks a bin
    as complete comes last. Two processes may therefore write the same atlas at the same
    time. About 3 s per age bin.
    """
    bins = {cohort.label: cohort for cohort in cohort_bins()}
    wanted = list(bins) if cohorts is None else list(cohorts)
    unknown = [label for label in wanted if label not in bins]
    if unknown:
        raise ValueError(
            f'the atlas {NAME} has no cohort {", ".join(unknown)}.\n'
            'A cohort is an age bin.\n'
            f'Use one of: {", ".join(f"{c.label} {c.interval}" for c in bins.values())}.'
        )
    folder = Path(root) / NAME
    for label in wanted:
        if not _is_complete(folder, label):
            _write_cohort(folder, bins[label])
    _write_descriptions(folder)
    return folder


def _cohort_stem(folder: Path, label: str) -> Path:
    return folder / f'tpl-{NAME}' / f'cohort-{label}' / f'tpl-{NAME}_cohort-{label}'


def _named(stem: Path, rest: str) -> Path:
    return stem.with_name(f'{stem.name}_{rest}')


def _is_complete(folder: Path, label: str) -> bool:
    """Whether the last-written sidecar of an age bin is there and of this version."""
    try:
        text = _named(_cohort_stem(folder, label), 'res-1_Chimap.json').read_text('utf-8')
    except FileNotFoundError:
        return False
    return json.loads(text).get('AtlasVersion') == VERSION


def _write_cohort(folder: Path, cohort: Cohort) -> None:
    stem = _cohort_stem(folder, cohort.label)
    grid = atlas_grid()
    chi, subtracted = chi_contrast(cohort.middle_age)
    t2starw = t2starw_contrast(cohort.middle_age)
    images = {
        'res-1_T1w': np.rint(grid.t1w * grid.brain_mask * _ARBITRARY_SCALE).astype(np.int16),
        'res-1_T2starw': np.rint(t2starw * _ARBITRARY_SCALE).astype(np.int16),
        'res-1_desc-brain_mask': grid.brain_mask.astype(np.uint8),
        f'atlas-{NAME}_res-1_dseg': grid.labels,
        'res-1_Chimap': chi,
    }
    common = {
        'SpatialReference': f'bids::tpl-{NAME}/cohort-{cohort.label}/{stem.name}_res-1_T1w.nii.gz',
        'Resolution': '1 mm isotropic, the MNI152 template cropped to the brain',
        'AtlasVersion': VERSION,
        'CohortAgeRangeYears': [cohort.age_min, cohort.age_max],
    }
    sidecars = {
        'res-1_T1w': texts.t1w_sidecar(),
        'res-1_T2starw': texts.t2starw_sidecar(cohort),
        'res-1_desc-brain_mask': texts.mask_sidecar(),
        f'atlas-{NAME}_res-1_dseg': texts.dseg_sidecar(),
        'res-1_Chimap': texts.chimap_sidecar(cohort, subtracted),
    }
    for rest, array in images.items():
        _write_image(_named(stem, f'{rest}.nii.gz'), array, grid.affine)
    for rest, sidecar in sidecars.items():  # the Chimap comes last and marks completeness
        write_json(_named(stem, f'{rest}.json'), sidecar | common)


def _write_image(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    import nibabel as nib

    image = nib.Nifti1Image(array, affine)
    image.set_qform(affine, code=4)  # 4: MNI152 space
    image.set_sform(affine, code=4)
    image.header.set_xyzt_units('mm')
    # without time and name in the gzip header equal images give equal files
    write_atomically(path, lambda stream: _gzip_into(stream, image.to_bytes()))


def _gzip_into(stream: Any, content: bytes) -> None:
    with gzip.GzipFile('', 'wb', _GZIP_LEVEL, stream, mtime=0) as packed:
        packed.write(content)


def _write_descriptions(folder: Path) -> None:
    """Write the files that cover all age bins; the same content every time."""
    rows = ['index\tname\tabbreviation\themisphere\tgroup\tcolor\tregion']
    rows += [
        '\t'.join((str(b.index), b.name, b.abbreviation, b.hemisphere, b.group, b.color, b.region))
        for b in label_table()
    ]
    write_text(folder / '.bidsignore', 'template_description.json\n')
    write_text(folder / 'README.md', texts.readme(NAME, cohort_bins()))
    write_json(folder / 'dataset_description.json', texts.dataset_description(NAME, VERSION))
    write_json(folder / f'atlas-{NAME}_description.json', texts.atlas_description(NAME))
    write_text(folder / f'atlas-{NAME}_dseg.tsv', '\n'.join(rows) + '\n')
    write_json(folder / f'atlas-{NAME}_dseg.json', texts.label_columns())
    write_json(
        folder / f'tpl-{NAME}' / 'template_description.json',
        texts.template_description(NAME, VERSION, cohort_bins(), atlas_grid()),
    )
