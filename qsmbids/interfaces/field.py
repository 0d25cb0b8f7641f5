"""From wrapped phase of several echoes to one field map in Hz with its noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nipype.interfaces.base import File, traits

from qsmbids import methods, qsm
from qsmbids.interfaces.base import (
    Step,
    StepInputSpec,
    StepOutputSpec,
    grid_of,
    load_echoes,
    load_mask,
    save,
)


class _FieldMapInputSpec(StepInputSpec):
    magnitude = File(exists=True, mandatory=True, desc='(x, y, z, echo)')
    phase = File(exists=True, mandatory=True, desc='(x, y, z, echo), rad')
    brain_mask = File(exists=True, mandatory=True)
    echo_times_s = traits.List(traits.Float, mandatory=True, desc='s')
    b0_direction = traits.List(traits.Float, mandatory=True, desc='unit vector, voxel axes')
    offset_parameters = traits.Dict
    unwrapping = traits.Str(mandatory=True, desc='method of unwrapping')
    unwrapping_parameters = traits.Dict


class _FieldMapOutputSpec(StepOutputSpec):
    total_field = File(desc='Hz')
    field_noise = File(desc='standard deviation of the field, Hz')
    reliability = File(desc='how well the echoes agree with one frequency, 0 to 1')
    reliable_mask = File(desc='brain voxels whose phase can be trusted')
    unwrapped_last = File(desc='unwrapped phase of the last echo, rad')


class FieldMap(Step):
    """Remove the phase offset, unwrap, and combine the echoes."""

    title = 'phase unwrapping and field map'
    input_spec = _FieldMapInputSpec
    output_spec = _FieldMapOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Chain the three functions; the phase array is reused to save memory."""
        i = self.inputs
        affine = nib.load(i.brain_mask).affine
        grid = grid_of(i.brain_mask, i.b0_direction)
        magnitude, phase = load_echoes(i.magnitude), load_echoes(i.phase)
        mask, times = load_mask(i.brain_mask), tuple(i.echo_times_s)
        offset = methods.get('offset', 'mcpc3ds')
        phase, _ = offset.load()(
            phase, magnitude, times, mask, grid,
            parameters=offset.make_parameters(i.offset_parameters),
        )  # fmt: skip
        quality = qsm.phase_quality(phase, magnitude, times, mask)
        method = methods.get('unwrapping', i.unwrapping)
        unwrapped = method.load()(
            phase, magnitude, times, mask, grid,
            parameters=method.make_parameters(i.unwrapping_parameters),
        )  # fmt: skip
        del phase
        field, noise, residual = qsm.combine_echoes(unwrapped, magnitude, times, mask)
        reliable = qsm.quality_mask(quality, mask, residual, grid)
        return {
            'total_field': save(field, affine, folder / 'total_field.nii'),
            'field_noise': save(noise, affine, folder / 'field_noise.nii'),
            'reliability': save(residual, affine, folder / 'reliability.nii'),
            'reliable_mask': save(reliable, affine, folder / 'reliable_mask.nii'),
            'unwrapped_last': save(unwrapped[-1], affine, folder / 'unwrapped_last.nii'),
            'record': {
                'reliable_fraction': float(reliable.sum() / max(1, mask.sum())),
                'field_noise_hz': float(np.median(noise[reliable])) if reliable.any() else None,
            },
        }
