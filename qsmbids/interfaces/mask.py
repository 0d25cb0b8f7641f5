"""The brain mask: found on the magnitude, or one that somebody else made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
from nipype.interfaces.base import File, traits

from qsmbids import methods
from qsmbids.interfaces.base import Step, StepInputSpec, StepOutputSpec, grid_of, load, save
from qsmbids.interfaces.base import load_mask as _load_mask

MIN_VOXELS = 1000  # fewer cannot be a brain at any resolution in use


class _BrainMaskInputSpec(StepInputSpec):
    rss = File(exists=True, mandatory=True, desc='root sum of squares magnitude')
    given_mask = traits.Str('', usedefault=True, desc='a mask made elsewhere; empty: make one')
    method = traits.Str(mandatory=True)
    parameters = traits.Dict(desc='parameters of the method')


class _BrainMaskOutputSpec(StepOutputSpec):
    brain_mask = File(desc='1 in the brain')


class BrainMask(Step):
    """Find the brain."""

    title = 'brain mask'
    input_spec = _BrainMaskInputSpec
    output_spec = _BrainMaskOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Extract the brain, or read the given mask."""
        path = self.inputs.rss
        affine = nib.load(path).affine
        if self.inputs.given_mask:
            mask = _load_mask(self.inputs.given_mask)
        else:
            method = methods.get('mask', self.inputs.method)
            mask = method.load()(
                load(path),
                grid_of(path, [0.0, 0.0, 1.0]),
                parameters=method.make_parameters(self.inputs.parameters),
            )
        n = int(mask.sum())
        if n < MIN_VOXELS:
            raise ValueError(
                f'The brain mask holds only {n} voxels.\n'
                'No brain could be told apart in the magnitude, so nothing can be reconstructed.\n'
                'Look at the magnitude; give a mask of your own with --derivatives masks=FOLDER.'
            )
        volume_ml = n * grid_of(path, [0.0, 0.0, 1.0]).voxel_volume / 1000
        return {
            'brain_mask': save(mask, affine, folder / 'brain_mask.nii'),
            'record': {'brain_volume_ml': volume_ml},
        }
