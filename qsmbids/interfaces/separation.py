"""Separation of susceptibility into its paramagnetic and diamagnetic parts."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nipype.interfaces.base import File, isdefined, traits

from qsmbids import methods, qsm
from qsmbids.interfaces.base import (
    Step,
    StepInputSpec,
    StepOutputSpec,
    grid_of,
    inverse_noise,
    load,
    load_mask,
    save,
)

LONGEST_T2_S = 10.0  # longer is not a T2 in seconds


class _SeparationInputSpec(StepInputSpec):
    chi = File(exists=True, mandatory=True, desc='referenced susceptibility, ppm')
    local_field = File(exists=True, mandatory=True, desc='Hz')
    field_noise = File(exists=True, mandatory=True, desc='Hz')
    qsm_mask = File(exists=True, mandatory=True, desc='where chi is known')
    local_mask = File(exists=True, mandatory=True, desc='where the local field is known')
    r2star = File(exists=True, mandatory=True, desc='1/s')
    t2_map = File(desc='T2 (s) or R2 (1/s), by its name')
    imaging_frequency_mhz = traits.Float(mandatory=True, desc='Hz per ppm')
    b0_direction = traits.List(traits.Float, mandatory=True)
    method = traits.Str(mandatory=True)
    parameters = traits.Dict


class _SeparationOutputSpec(StepOutputSpec):
    chi_positive = File(desc='paramagnetic part, ppm, at least 0')
    chi_negative = File(desc='diamagnetic part, ppm, at most 0')


class Separation(Step):
    """Tell iron from myelin by R2' (or, experimentally, by R2* alone)."""

    title = 'separation into para- and diamagnetic parts'
    input_spec = _SeparationInputSpec
    output_spec = _SeparationOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Call the chosen method with what its arguments ask for."""
        i = self.inputs
        affine, grid = nib.load(i.qsm_mask).affine, grid_of(i.qsm_mask, i.b0_direction)
        method, mask = methods.get('separation', i.method), load_mask(i.qsm_mask)
        function = method.load()
        arguments = inspect.signature(function).parameters
        if 'chi_ppm' in arguments:
            image = load(i.chi)
        else:
            image = qsm.hz_to_ppm(load(i.local_field), i.imaging_frequency_mhz)
            mask &= load_mask(i.local_mask)
        r2star = load(i.r2star)
        maps: dict[str, Any] = {'field_hz_per_ppm': i.imaging_frequency_mhz}
        if isdefined(i.t2_map):
            r2 = self._r2(mask)
            mask &= r2 > 0  # where it was not measured, R2' is not known
            maps['r2prime'] = np.maximum(r2star - r2, 0)
        else:
            maps['r2star'] = r2star
        if 'weight' in arguments:
            maps['weight'] = inverse_noise(i.field_noise, mask)
        parameters = method.make_parameters(i.parameters if isdefined(i.parameters) else None)
        positive, negative = function(image, mask, grid, parameters=parameters, **maps)
        return {
            'chi_positive': save(positive, affine, folder / 'chi_positive.nii'),
            'chi_negative': save(negative, affine, folder / 'chi_negative.nii'),
            'record': {'r2prime_from': 'R2* - R2' if isdefined(i.t2_map) else 'a share of R2*'},
        }

    def _r2(self, mask: np.ndarray) -> np.ndarray:
        """Return R2 in 1/s from a map of R2, or of T2 in seconds."""
        path = self.inputs.t2_map
        values = load(path)
        if '_R2map' in Path(path).name:
            return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
        seen = values[mask & np.isfinite(values) & (values > 0)]
        if not seen.size or np.median(seen) > LONGEST_T2_S:
            raise ValueError(
                f'The T2 map {Path(path).name} is not in seconds.\n'
                "R2' = R2* - 1/T2 would be wrong by a factor of a thousand.\n"
                'BIDS wants seconds: divide it by 1000.'
            )
        return np.divide(1, values, out=np.zeros_like(values), where=values > 0)
