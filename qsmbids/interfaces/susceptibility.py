"""Background field removal, dipole inversion and referencing."""

from __future__ import annotations

from functools import partial
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


class _BackgroundInputSpec(StepInputSpec):
    total_field = File(exists=True, mandatory=True, desc='Hz')
    mask = File(exists=True, mandatory=True, desc='voxels whose field is trusted')
    field_noise = File(exists=True, mandatory=True, desc='Hz')
    chi = File(exists=True, desc='ppm; its field is set aside and added again at the end')
    imaging_frequency_mhz = traits.Float(desc='Hz per ppm, needed with chi')
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
        """Call the chosen method.

        After a single-step inversion most of the local field is known. Only what it leaves
        is filtered, which spares the slow part that background removal would lose.
        """
        i = self.inputs
        affine, grid = nib.load(i.mask).affine, grid_of(i.mask, i.b0_direction)
        method, mask = methods.get('background', i.method), load_mask(i.mask)
        field = load(i.total_field)
        if isdefined(i.chi):
            known = qsm.ppm_to_hz(qsm.field_of(load(i.chi), mask, grid), i.imaging_frequency_mhz)
            field -= known
        weight = {}
        if 'weight' in method.takes:
            weight['weight'] = inverse_noise(i.field_noise, mask)
        local, after = method.load()(
            field, mask, grid, parameters=method.make_parameters(i.parameters), **weight
        )
        if isdefined(i.chi):
            local += np.where(after, known, 0)
        return {
            'local_field': save(local, affine, folder / 'local_field.nii'),
            'qsm_mask': save(after, affine, folder / 'qsm_mask.nii'),
            'record': {'eroded_fraction': 1 - float(after.sum() / max(1, mask.sum()))},
        }


class _InversionInputSpec(StepInputSpec):
    field = File(exists=True, mandatory=True, desc='local or total field, as the method wants, Hz')
    mask = File(exists=True, mandatory=True)
    field_noise = File(exists=True, mandatory=True, desc='Hz')
    phase_quality = File(exists=True, desc='0 to 1; needed for two passes')
    magnitude = File(exists=True, desc='root sum of squares, if the method uses it')
    r2star = File(exists=True, desc='1/s, if the method uses it')
    imaging_frequency_mhz = traits.Float(mandatory=True, desc='Hz per ppm')
    b0_direction = traits.List(traits.Float, mandatory=True)
    method = traits.Str(mandatory=True)
    parameters = traits.Dict
    two_pass = traits.Bool(False, usedefault=True, desc='invert the trusted voxels first')


class _InversionOutputSpec(StepOutputSpec):
    chi = File(desc='susceptibility before referencing, ppm')
    qsm_mask = File(desc='voxels that have a susceptibility')


class DipoleInversion(Step):
    """Turn the field into susceptibility."""

    title = 'dipole inversion'
    input_spec = _InversionInputSpec
    output_spec = _InversionOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Call the chosen method on the field in ppm."""
        i = self.inputs
        affine, grid = nib.load(i.mask).affine, grid_of(i.mask, i.b0_direction)
        method, mask = methods.get('inversion', i.method), load_mask(i.mask)
        maps = self._maps(method.takes, mask)
        weight = {'weight': maps.pop('weight')} if 'weight' in maps else {}
        invert = partial(method.load(), parameters=method.make_parameters(i.parameters), **maps)
        field = qsm.hz_to_ppm(load(i.field), i.imaging_frequency_mhz)
        if i.two_pass:
            trusted = qsm.trusted_mask(load(i.phase_quality), mask)
            chi = qsm.invert_two_pass(field, trusted, field, mask, grid, invert, **weight)
        else:
            chi = invert(field, mask, grid, **weight)
        if method.field == 'total':  # the method takes its rim away itself
            mask &= chi != 0
        return {
            'chi': save(chi, affine, folder / 'chi_raw.nii'),
            'qsm_mask': save(mask, affine, folder / 'qsm_mask.nii'),
        }

    def _maps(self, names: tuple[str, ...], mask: np.ndarray) -> dict[str, Any]:
        """Return the optional arguments that the method takes, as far as there are any."""
        i = self.inputs
        maps: dict[str, Any] = {}
        if 'field_hz_per_ppm' in names:
            maps['field_hz_per_ppm'] = i.imaging_frequency_mhz
        if 'weight' in names:
            maps['weight'] = inverse_noise(i.field_noise, mask)
        for name in ('magnitude', 'r2star'):
            path = getattr(i, name)
            if name in names and isdefined(path):
                maps[name] = load(path)
        return maps


class _ReferenceInputSpec(StepInputSpec):
    chi = File(exists=True, mandatory=True, desc='before referencing, ppm')
    mask = File(exists=True, mandatory=True)
    dseg = File(exists=True, desc='labels in the space of the scan, for a region')
    r2star = File(exists=True, desc="1/s, for 'csf-r2star'")
    region = traits.Str(
        mandatory=True, desc="'whole-brain', 'csf-r2star', 'none' or what the values mean"
    )
    values = traits.List(traits.Int, desc='label values of the region')


class _ReferenceOutputSpec(StepOutputSpec):
    chi = File(desc='referenced, ppm')
    value = traits.Float(desc='ppm, what was subtracted')


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
        elif i.region == 'csf-r2star':
            chi, value, n = self._to_fluid(chi, mask)
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
            'value': float(value),
            'record': {'reference': reference},
        }

    def _to_fluid(self, chi: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, float, int]:
        """Make the ventricles zero, which are told by their slow R2*."""
        i = self.inputs
        if not isdefined(i.r2star):
            raise ValueError(
                'The reference csf-r2star needs R2*, and this scan has too few echoes for it.\n'
                'Fluid is told from tissue by its slow decay.\n'
                'Use --reference-region csf (by the atlas) or whole-brain.'
            )
        grid = grid_of(i.mask, [0.0, 0.0, 1.0])
        fluid = qsm.find_csf(load(i.r2star), mask, grid)
        return qsm.reference_to_csf(chi, fluid & mask, mask, grid)
