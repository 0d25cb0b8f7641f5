"""Measuring maps in the regions of the atlas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nipype.interfaces.base import File, isdefined, traits

from qsmbids.bids.dataset import to_tsv
from qsmbids.interfaces.base import Step, StepInputSpec, StepOutputSpec, load, load_mask


class _RegionsInputSpec(StepInputSpec):
    chi = File(exists=True, mandatory=True, desc='referenced, ppm')
    r2star = File(exists=True, desc='1/s')
    dseg = File(exists=True, mandatory=True)
    brain_mask = File(exists=True, mandatory=True)
    qsm_mask = File(exists=True, mandatory=True)
    labels = traits.List(traits.Dict, mandatory=True, desc='label table')
    region = traits.Str(mandatory=True, desc='reference of the map, in words')


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
        maps = [('chi', 'ppm', load_mask(i.qsm_mask), i.region)]
        if isdefined(i.r2star):
            maps.append(('r2star', '1/s', brain, ''))
        return {
            f'regions_{key}': self._table(folder, key, unit, reliable, brain, reference)
            for key, unit, reliable, reference in maps
        }

    def _table(
        self, folder: Path, key: str, unit: str, reliable: np.ndarray, brain: np.ndarray,
        reference: str,
    ) -> str:  # fmt: skip
        from qsmbids.atlas.geometry import Label
        from qsmbids.atlas.regions import data_dictionary, region_table

        i = self.inputs
        image = nib.load(getattr(i, key))
        labels = np.rint(np.asanyarray(nib.load(i.dseg).dataobj)).astype(np.int32)
        rows = region_table(
            load(getattr(i, key)), labels, [Label(**row) for row in i.labels],
            float(abs(np.linalg.det(image.affine[:3, :3]))), reliable, brain_mask=brain,
        )  # fmt: skip
        path = folder / f'regions_{key}.tsv'
        path.write_text(to_tsv(rows, list(rows[0])), encoding='utf-8')
        dictionary = json.dumps(data_dictionary(unit, reference), indent=2) + '\n'
        path.with_suffix('.json').write_text(dictionary, encoding='utf-8')
        return str(path)
