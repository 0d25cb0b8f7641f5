"""Background field removal, dipole inversion and referencing."""

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
    load,
    load_mask,
    save,
)


class _BackgroundInputSpec(StepInputSpec):
    total_field = File(exists=True, mandatory=True, desc='Hz')
    mask = File(exists=True, mandatory=True, desc='voxels whose field is trusted')
    b0_direction = traits.List(traits.Float, mandatory=True)
    method = traits.Str(mandatory=True)
    parameters = traits.Dict


class _BackgroundOutputSpec(StepOutputSpec):
    local_field = File(desc='Hz')
    qsm_mask = File(desc='voxels whose local field is known')


class BackgroundRemoval(Step):
    """Remove the field of everything outside the brain."""

    title = 'background field removal'
    input_spec = _BackgroundInputSpec
    output_spec = _BackgroundOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Call the chosen method."""
        i = self.inputs
        affine, grid = nib.load(i.mask).affine, grid_of(i.mask, i.b0_direction)
        method, mask = methods.get('background', i.method), load_mask(i.mask)
        local, after = method.load()(
            load(i.total_field), mask, grid, parameters=method.make_parameters(i.parameters)
        )
        return {
            'local_field': save(local, affine, folder / 'local_field.nii'),
            'qsm_mask': save(after, affine, folder / 'qsm_mask.nii'),
            'record': {'eroded_fraction': 1 - float(after.sum() / max(1, mask.sum()))},
        }


class _InversionInputSpec(StepInputSpec):
    local_field = File(exists=True, mandatory=True, desc='Hz')
    mask = File(exists=True, mandatory=True)
    field_noise = File(exists=True, mandatory=True, desc='Hz')
    imaging_frequency_mhz = traits.Float(mandatory=True, desc='Hz per ppm')
    b0_direction = traits.List(traits.Float, mandatory=True)
    method = traits.Str(mandatory=True)
    parameters = traits.Dict


class _InversionOutputSpec(StepOutputSpec):
    chi = File(desc='susceptibility before referencing, ppm')


class DipoleInversion(Step):
    """Turn the local field into susceptibility."""

    title = 'dipole inversion'
    input_spec = _InversionInputSpec
    output_spec = _InversionOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Call the chosen method on the field in ppm."""
        i = self.inputs
        affine, grid = nib.load(i.mask).affine, grid_of(i.mask, i.b0_direction)
        method, mask = methods.get('inversion', i.method), load_mask(i.mask)
        noise = load(i.field_noise)
        weight = np.zeros_like(noise)
        weight[mask] = 1 / np.maximum(noise[mask], 1e-6)
        chi = method.load()(
            qsm.hz_to_ppm(load(i.local_field), i.imaging_frequency_mhz), mask, grid,
            weight=weight, parameters=method.make_parameters(i.parameters),
        )  # fmt: skip
        return {'chi': save(chi, affine, folder / 'chi_raw.nii')}


class _ReferenceInputSpec(StepInputSpec):
    chi = File(exists=True, mandatory=True, desc='before referencing, ppm')
    mask = File(exists=True, mandatory=True)
    dseg = File(exists=True, desc='labels in the space of the scan, for a region')
    region = traits.Str(mandatory=True, desc="'whole-brain', 'none' or what the values mean")
    values = traits.List(traits.Int, desc='label values of the region')


class _ReferenceOutputSpec(StepOutputSpec):
    chi = File(desc='referenced, ppm')


class Reference(Step):
    """Shift the map so that its reference region has mean 0, and write down the shift."""

    title = 'referencing'
    input_spec = _ReferenceInputSpec
    output_spec = _ReferenceOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Subtract the mean of the region; refuse a region that is not there."""
        i = self.inputs
        affine, chi, mask = nib.load(i.chi).affine, load(i.chi), load_mask(i.mask)
        whole = chi[mask].astype(np.float64)
        value, n = 0.0, 0
        if i.region == 'whole-brain':
            chi, value, n = qsm.reference_to(chi, mask, mask)
        elif i.region != 'none':
            labels = np.asanyarray(nib.load(i.dseg).dataobj)
            region = np.isin(labels, list(i.values)) & mask
            if not region.any():
                raise ValueError(
                    f'The reference region {i.region} has no voxel inside the map.\n'
                    'Every value would be relative to nothing.\n'
                    'Choose another --reference-region, or check the registration in the report.'
                )
            chi, value, n = qsm.reference_to(chi, region, mask)
        reference = {
            'region': i.region,
            'value_ppm': float(value),
            'n_voxels': int(n),
            'whole_brain_mean_ppm': float(whole.mean() - value),
            'whole_brain_sd_ppm': float(whole.std()),
        }
        return {
            'chi': save(chi, affine, folder / 'chi.nii'),
            'record': {'reference': reference},
        }
