"""Writing an atlas with synthetic contrast as a folder in BIDS and TemplateFlow layout.

::

    <Name>/
      dataset_description.json  README.md  .bidsignore
      atlas-<Name>_description.json  atlas-<Name>_dseg.tsv (+ json)
      tpl-<Name>/
        template_description.json
        cohort-<N>/tpl-<Name>_cohort-<N>_res-1_Chimap.nii.gz (+ json), ... T1w, T2starw,
                   desc-brain_mask, atlas-<Name>_res-1_dseg

All atlases written here have the same brain (the MNI152 template of nilearn), the same grid and
the same age bins; they differ in their labels. Equal content gives equal bytes.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from qsmbids.atlas import descriptions as texts
from qsmbids.atlas.cohorts import Cohort
from qsmbids.atlas.contrast import Drawing, atlas_grid, chi_contrast, t2starw_contrast
from qsmbids.atlas.descriptions import Credits
from qsmbids.atlas.geometry import Label
from qsmbids.bids.write import write_atomically, write_json, write_text
from qsmbids.lifespan.prior import REGIONS

# our own design: narrow bins where the curves are steep, decades in adults
_BIN_EDGES = (1, 3, 6, 11, 21, 31, 41, 51, 61, 71, 84)

_GZIP_LEVEL = 4
_ARBITRARY_SCALE = 1000  # T1w and T2starw are stored as integers from 0 to 1000
_NONE = 'n/a'


@dataclass(frozen=True, eq=False)
class AtlasContent:
    """What one atlas has of its own.

    Parameters
    ----------
    credits : Credits
        Name, version, and where the labels come from.
    labels : tuple of Label
        The label table.
    drawing : Drawing
        Label image on the grid of `qsmbids.atlas.contrast.atlas_grid`, and which labels are
        drawn with which age curve.
    first_midline : int
        Smallest index of a midline region.
    sources : mapping of str to str
        By region: its names in the source of the labels.
    """

    credits: Credits
    labels: tuple[Label, ...]
    drawing: Drawing
    first_midline: int
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def curve_names(self) -> set[str]:
        """Curves that are drawn, and those of regions that have one but are named only."""
        own = {label.region for label in self.labels} & set(REGIONS)
        return own | set(self.drawing.curves.values())


def cohort_bins() -> tuple[Cohort, ...]:
    """Return the age bins, youngest first.

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


def write_atlas(root: Path, content: AtlasContent, cohorts: Sequence[Cohort]) -> Path:
    """Write the images of some age bins, and the descriptions, which cover all of them.

    Images that are there in the version of the atlas are kept.

    Returns
    -------
    Path
        ``root/<name of the atlas>``.

    Notes
    -----
    Every file is written under a temporary name and renamed, and the file that marks a bin
    as complete comes last. Two processes may therefore write the same atlas at the same
    time. About 3 s per age bin.
    """
    name = content.credits.name
    folder = Path(root) / name
    for cohort in cohorts:
        stem = folder / f'tpl-{name}' / f'cohort-{cohort.label}'
        stem = stem / f'tpl-{name}_cohort-{cohort.label}'
        if not _is_complete(stem, content.credits.version):
            _write_cohort(stem, content, cohort)
    _write_descriptions(folder, content)
    return folder


def _named(stem: Path, rest: str) -> Path:
    return stem.with_name(f'{stem.name}_{rest}')


def _is_complete(stem: Path, version: str) -> bool:
    """Whether the last-written sidecar of an age bin is there and of this version."""
    try:
        text = _named(stem, 'res-1_Chimap.json').read_text('utf-8')
    except FileNotFoundError:
        return False
    return json.loads(text).get('AtlasVersion') == version


def _write_cohort(stem: Path, content: AtlasContent, cohort: Cohort) -> None:
    grid, credits = atlas_grid(), content.credits
    chi, subtracted = chi_contrast(cohort.middle_age, content.drawing)
    t2starw = t2starw_contrast(cohort.middle_age, content.drawing)
    dseg = f'atlas-{credits.name}_res-1_dseg'
    images = {
        'res-1_T1w': np.rint(grid.t1w * grid.brain_mask * _ARBITRARY_SCALE).astype(np.int16),
        'res-1_T2starw': np.rint(t2starw * _ARBITRARY_SCALE).astype(np.int16),
        'res-1_desc-brain_mask': grid.brain_mask.astype(np.uint8),
        dseg: content.drawing.labels,
        'res-1_Chimap': chi,
    }
    folder = f'bids::tpl-{credits.name}/cohort-{cohort.label}'
    common = {
        'SpatialReference': f'{folder}/{stem.name}_res-1_T1w.nii.gz',
        'Resolution': '1 mm isotropic, the MNI152 template cropped to the brain',
        'AtlasVersion': credits.version,
        'CohortAgeRangeYears': [cohort.age_min, cohort.age_max],
    }
    sidecars = {
        'res-1_T1w': texts.t1w_sidecar(),
        'res-1_T2starw': texts.t2starw_sidecar(credits, cohort),
        'res-1_desc-brain_mask': texts.mask_sidecar(),
        dseg: texts.dseg_sidecar(credits),
        'res-1_Chimap': texts.chimap_sidecar(credits, cohort, subtracted, content.curve_names),
    }
    for rest, array in images.items():
        write_image(_named(stem, f'{rest}.nii.gz'), array, grid.affine)
    for rest, sidecar in sidecars.items():  # the Chimap comes last and marks completeness
        write_json(_named(stem, f'{rest}.json'), sidecar | common)


def write_image(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    """Write a gzipped NIfTI in MNI152 space; equal images give equal files."""
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


def _write_descriptions(folder: Path, content: AtlasContent) -> None:
    """Write the files that cover all age bins; the same content every time."""
    credits, bins = content.credits, cohort_bins()
    name = credits.name
    rows = ['index\tname\tabbreviation\themisphere\tgroup\tcolor\tregion\tcurve\tsource']
    rows += ['\t'.join(_row(label, content)) for label in content.labels]
    n_regions = len({label.region for label in content.labels})
    write_text(folder / '.bidsignore', 'template_description.json\n')
    write_text(folder / 'README.md', texts.readme(credits, bins))
    write_json(folder / 'dataset_description.json', texts.dataset_description(credits))
    write_json(
        folder / f'atlas-{name}_description.json', texts.atlas_description(credits, n_regions)
    )
    write_text(folder / f'atlas-{name}_dseg.tsv', '\n'.join(rows) + '\n')
    write_json(folder / f'atlas-{name}_dseg.json', texts.label_columns(content.first_midline))
    write_json(
        folder / f'tpl-{name}' / 'template_description.json',
        texts.template_description(credits, bins, atlas_grid(), content.curve_names),
    )


def _row(label: Label, content: AtlasContent) -> list[str]:
    curve = content.drawing.curves.get(label.index, _NONE)
    return [
        str(label.index), label.name, label.abbreviation, label.hemisphere, label.group,
        label.color, label.region, curve, content.sources.get(label.region, _NONE),
    ]  # fmt: skip
