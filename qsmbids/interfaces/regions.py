"""Measuring maps in the regions of the atlas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nipype.interfaces.base import File, isdefined, traits

from qsmbids.bids.dataset import to_tsv
from qsmbids.interfaces.base import (
    Step,
    StepInputSpec,
    StepOutputSpec,
    grid_of,
    load,
    load_mask,
)


class _RegionsInputSpec(StepInputSpec):
    chi = File(exists=True, mandatory=True, desc='referenced, ppm')
    r2star = File(exists=True, desc='1/s')
    dseg = File(exists=True, mandatory=True)
    brain_mask = File(exists=True, mandatory=True)
    qsm_mask = File(exists=True, mandatory=True)
    labels = traits.List(traits.Dict, mandatory=True, desc='label table')
    region = traits.Str(mandatory=True, desc='reference of the map, in words')
    reference_value = traits.Float(desc='ppm that were subtracted')
    field_noise = File(
        exists=True, requires=['hz_per_ppm', 'b0_direction'], desc='Hz; for uncertainties'
    )
    hz_per_ppm = traits.Float(desc='imaging frequency in MHz')
    b0_direction = traits.List(traits.Float, desc='unit vector in voxel axes')
    age = traits.Float(desc='years; for the thresholds of high iron')
    curve_offset_ppm = traits.Float(
        0.0, usedefault=True, desc='brings the age curves to the reference of the map'
    )


class _RegionsOutputSpec(StepOutputSpec):
    regions_chi = File(desc='TSV, its JSON beside it')
    regions_r2star = File(desc='TSV, its JSON beside it')


class Regions(Step):
    """Measure the maps in the regions."""

    title = 'region tables'
    input_spec = _RegionsInputSpec
    output_spec = _RegionsOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Write a table for each map."""
        i = self.inputs
        brain = load_mask(i.brain_mask)
        outputs = {
            'regions_chi': self._table(
                folder, 'chi', 'ppm', load_mask(i.qsm_mask), brain, **self._about_chi()
            )
        }
        if isdefined(i.r2star):
            outputs['regions_r2star'] = self._table(folder, 'r2star', '1/s', brain, brain)
        return outputs

    def _about_chi(self) -> dict[str, Any]:
        """Return what is known of a susceptibility map beyond its voxels."""
        from qsmbids.atlas.high_iron import high_iron_thresholds
        from qsmbids.atlas.region_noise import FieldNoise

        i = self.inputs
        about: dict[str, Any] = {'reference': i.region}
        if isdefined(i.reference_value):
            about['reference_value'] = i.reference_value
        if isdefined(i.age):
            about['thresholds'] = high_iron_thresholds(i.age, self._labels(), i.curve_offset_ppm)
        if isdefined(i.field_noise):
            grid = grid_of(i.field_noise, i.b0_direction)
            about['noise'] = FieldNoise.from_hz(load(i.field_noise), i.hz_per_ppm, grid)
        return about

    def _labels(self) -> list[Any]:
        from qsmbids.atlas.geometry import Label

        return [Label(**row) for row in self.inputs.labels]

    def _table(
        self, folder: Path, kind: str, unit: str, reliable: np.ndarray, brain: np.ndarray,
        **about: Any,
    ) -> str:  # fmt: skip
        from qsmbids.atlas.region_columns import data_dictionary
        from qsmbids.atlas.regions import region_table

        i = self.inputs
        image = nib.load(getattr(i, kind))
        labels = np.rint(np.asanyarray(nib.load(i.dseg).dataobj)).astype(np.int32)
        rows = region_table(
            load(getattr(i, kind)), labels, self._labels(),
            float(abs(np.linalg.det(image.affine[:3, :3]))), reliable, brain_mask=brain,
            kind=kind, **about,
        )  # fmt: skip
        path = folder / f'regions_{kind}.tsv'
        path.write_text(to_tsv(rows, list(rows[0])), encoding='utf-8')
        dictionary = data_dictionary(kind, unit, about.get('reference', ''))
        text = json.dumps(dictionary, indent=2) + '\n'
        path.with_suffix('.json').write_text(text, encoding='utf-8')
        return str(path)
