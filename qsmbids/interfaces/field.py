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
    methods = traits.Dict(
        mandatory=True,
        desc='method and parameters of unwrapping and fieldmap, and of offset and bipolar if '
        'they are wanted: {stage: [name, {parameter: value}]}',
    )
    keep_unwrapped = traits.Bool(False, usedefault=True, desc='save all unwrapped echoes')


class _FieldMapOutputSpec(StepOutputSpec):
    total_field = File(desc='Hz')
    field_noise = File(desc='standard deviation of the field, Hz')
    reliability = File(desc='how well the echoes agree with one frequency, 0 to 1')
    reliable_mask = File(desc='brain voxels whose phase can be trusted')
    phase_quality = File(desc='0 to 1, poor to smooth phase')
    unwrapped_last = File(desc='unwrapped phase of the last echo, rad')
    unwrapped = File(desc='(x, y, z, echo), rad, if it is kept')


class FieldMap(Step):
    """Remove phase offset and readout phase, unwrap, and combine the echoes."""

    title = 'phase unwrapping and field map'
    input_spec = _FieldMapInputSpec
    output_spec = _FieldMapOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Chain the functions; the phase array is reused to save memory."""
        i = self.inputs
        affine = nib.load(i.brain_mask).affine
        grid = grid_of(i.brain_mask, i.b0_direction)
        magnitude, phase = load_echoes(i.magnitude), load_echoes(i.phase)
        mask, times = load_mask(i.brain_mask), tuple(i.echo_times_s)
        if 'offset' in i.methods:
            phase, _ = self._call('offset', phase, magnitude, times, mask, grid)
        if 'bipolar' in i.methods:
            phase, _ = self._call('bipolar', phase, magnitude, times, mask, grid)
        quality = qsm.phase_quality(phase, magnitude, times, mask)
        unwrapped = self._call('unwrapping', phase, magnitude, times, mask, grid)
        del phase
        field, noise, agreement = self._call('fieldmap', unwrapped, magnitude, times, mask)
        reliable = qsm.quality_mask(quality, mask, agreement, grid)
        kept = {}
        if i.keep_unwrapped:
            echoes = np.moveaxis(unwrapped, 0, -1)
            kept['unwrapped'] = save(echoes, affine, folder / 'unwrapped.nii')
        return {
            **kept,
            'total_field': save(field, affine, folder / 'total_field.nii'),
            'field_noise': save(noise, affine, folder / 'field_noise.nii'),
            'reliability': save(agreement, affine, folder / 'reliability.nii'),
            'reliable_mask': save(reliable, affine, folder / 'reliable_mask.nii'),
            'phase_quality': save(quality, affine, folder / 'phase_quality.nii'),
            'unwrapped_last': save(unwrapped[-1], affine, folder / 'unwrapped_last.nii'),
            'record': {
                'reliable_fraction': float(reliable.sum() / max(1, mask.sum())),
                'field_noise_hz': float(np.median(noise[reliable])) if reliable.any() else None,
            },
        }

    def _call(self, stage: str, *arrays: Any) -> Any:
        """Call the chosen method of a stage with its parameters."""
        name, parameters = self.inputs.methods[stage]
        method = methods.get(stage, name)
        return method.load()(*arrays, parameters=method.make_parameters(parameters))
