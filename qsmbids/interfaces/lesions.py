"""Measuring lesions and veins that somebody has marked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nipype.interfaces.base import File, InputMultiPath, isdefined, traits

from qsmbids.bids.dataset import write_table
from qsmbids.interfaces.base import Step, StepInputSpec, StepOutputSpec, load, load_mask


class _MarkingsInputSpec(StepInputSpec):
    chi = File(exists=True, mandatory=True, desc='referenced, ppm')
    qsm_mask = File(exists=True, mandatory=True)
    markings = traits.List(traits.Dict, mandatory=True, desc='path, label, kind, discrete of each')
    sources = InputMultiPath(
        File(), mandatory=True, desc='the files of the markings: their content counts'
    )
    dseg = File(exists=True, desc='labels of the atlas in the space of the scan')
    labels = traits.List(traits.Dict, desc='label table of the atlas')
    atlas = traits.Str(desc='name of the atlas')
    region = traits.Str(mandatory=True, desc='reference of the map, in words')
    haematocrit = traits.Float(mandatory=True)


class _MarkingsOutputSpec(StepOutputSpec):
    tables = traits.List(File, desc='TSV <kind>_<label>.tsv of each marking, its JSON beside it')


class Markings(Step):
    """Write one table for each marking of lesions or veins."""

    title = 'lesions and veins'
    input_spec = _MarkingsInputSpec
    output_spec = _MarkingsOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Measure each marking; whatever else is marked is kept out of its surroundings."""
        i = self.inputs
        affine, chi, reliable = nib.load(i.chi).affine, load(i.chi), load_mask(i.qsm_mask)
        images = [load_marking(m['path'], discrete=m['discrete']) for m in i.markings]
        marked = np.any([image > 0 for image in images], axis=0)
        tables, found, written = [], {}, {}
        for marking, image in zip(i.markings, images, strict=True):
            rows, columns, settings = self._measure(marking, image, chi, reliable, affine, marked)
            path = folder / f'{marking["kind"]}_{marking["label"]}.tsv'
            extra = {'Reference': i.region, 'Sources': [marking['path']], **settings}
            write_table(path, rows, columns, extra)
            tables.append(str(path))
            written |= {str(p): p.stat().st_size for p in (path, path.with_suffix('.json'))}
            found[marking['label']] = len(rows)
        return {'tables': tables, 'record': {'markings': found, 'written': written}}

    def _measure(
        self, marking: dict[str, Any], image: np.ndarray, chi: np.ndarray, reliable: np.ndarray,
        affine: np.ndarray, marked: np.ndarray,
    ) -> tuple[list[dict[str, Any]], Any, dict[str, Any]]:  # fmt: skip
        from qsmbids.atlas import lesions

        i = self.inputs
        if marking['kind'] == 'veins':
            rows = lesions.vein_table(
                chi, image, reliable, affine, haematocrit=i.haematocrit, marked=marked,
                connected=not marking['discrete'],
            )  # fmt: skip
            return rows, lesions.VEIN_COLUMNS, lesions.vein_settings(i.haematocrit)
        regions, names = None, {}
        if isdefined(i.dseg):
            regions = np.rint(np.asanyarray(nib.load(i.dseg).dataobj)).astype(np.int32)
            names = {int(row['index']): row['name'] for row in i.labels}
        rows = lesions.lesion_table(
            chi, image, reliable, affine, marked=marked, regions=regions, region_names=names
        )
        return rows, lesions.LESION_COLUMNS, lesions.lesion_settings(i.atlas or '')


def load_marking(path: str, *, discrete: bool) -> np.ndarray:
    """Return a marking as whole numbers, (nx, ny, nz) int32.

    A mask is 1 inside, that is from half of its largest value on (soft edges, or 255 for
    inside), and 0 elsewhere. Labels (``discrete``) are rounded; what is not above 0 is nothing.
    """
    data = np.asanyarray(nib.load(path).dataobj)
    data = data.reshape(data.shape[:3])
    if discrete:
        return np.maximum(np.rint(data), 0).astype(np.int32)
    highest = data.max()
    return ((data >= highest / 2) & (data > 0)).astype(np.int32)
