"""COSMOS: bringing the orientations of a head together, and inverting them as one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nipype.interfaces.base import File, InputMultiPath, traits

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
from qsmbids.plan.cosmos import (
    MIN_ANGLE_DEG,
    MIN_ORIENTATIONS,
    angles_deg,
    enough_directions,
    pairwise_deg,
)
from qsmbids.qsm.cosmos import conditioning

LEAST_NOISE_HZ = 1e-6  # a weight is one over the noise


class _AlignInputSpec(StepInputSpec):
    magnitude = File(exists=True, mandatory=True, desc='root sum of squares of the scan')
    brain_mask = File(exists=True, mandatory=True)
    local_field = File(exists=True, mandatory=True, desc='Hz')
    qsm_mask = File(exists=True, mandatory=True, desc='where the local field is known')
    field_noise = File(exists=True, mandatory=True, desc='Hz')
    b0_direction = traits.List(traits.Float, mandatory=True, desc='voxel axes of the scan')
    reference_magnitude = File(exists=True, mandatory=True)
    reference_brain_mask = File(exists=True, mandatory=True)
    seed = traits.Int(mandatory=True)


class _AlignOutputSpec(StepOutputSpec):
    local_field = File(desc='Hz, on the grid of the reference')
    qsm_mask = File(desc='on the grid of the reference')
    field_noise = File(desc='Hz, on the grid of the reference')
    orientation = File(desc='JSON: B0 in the reference frame, motion, quality')


class AlignOrientation(Step):
    """Bring one orientation into the space of the reference, and its B0 direction too."""

    title = 'alignment of an orientation'
    input_spec = _AlignInputSpec
    output_spec = _AlignOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Register the magnitudes rigidly; resample field, mask and noise once."""
        from qsmbids.atlas.realign import Realigner, direction_in_reference
        from qsmbids.atlas.rigid import register_rigid

        i = self.inputs
        scan, reference = nib.load(i.qsm_mask), nib.load(i.reference_magnitude)
        motion = register_rigid(
            fixed_magnitude=Path(i.reference_magnitude), fixed_mask=Path(i.reference_brain_mask),
            moving_magnitude=Path(i.magnitude), moving_mask=Path(i.brain_mask),
            folder=folder / 'ants', seed=i.seed, threads=1,
        )  # fmt: skip
        realigner = Realigner(
            load_mask(i.qsm_mask), scan.affine, motion.matrix, reference.shape, reference.affine
        )
        orientation = {
            'b0_direction': direction_in_reference(
                i.b0_direction, scan.affine, motion.matrix, reference.affine
            ),
            'rotation': motion.matrix[:3, :3].tolist(),
            'translation_mm': motion.matrix[:3, 3].tolist(),
            'quality': motion.quality,
        }
        path = folder / 'orientation.json'
        path.write_text(json.dumps(orientation), encoding='utf-8')
        field = realigner.map(load(i.local_field), order=3)
        noise = realigner.map(load(i.field_noise), order=1)
        return {
            'local_field': save(field, reference.affine, folder / 'local_field.nii'),
            'qsm_mask': save(realigner.mask, reference.affine, folder / 'qsm_mask.nii'),
            'field_noise': save(noise, reference.affine, folder / 'field_noise.nii'),
            'orientation': str(path),
            'record': {'orientation': orientation},
        }


class _CosmosInputSpec(StepInputSpec):
    local_fields = InputMultiPath(
        File(exists=True), mandatory=True, desc='Hz, on one grid; the reference first'
    )
    masks = InputMultiPath(File(exists=True), mandatory=True, desc='where each field is known')
    field_noises = InputMultiPath(File(exists=True), mandatory=True, desc='Hz')
    imaging_frequencies_mhz = traits.List(traits.Float, mandatory=True, desc='Hz per ppm')
    b0_direction = traits.List(traits.Float, mandatory=True, desc='of the reference, voxel axes')
    orientations = InputMultiPath(
        File(exists=True), mandatory=True, desc='JSON of every scan but the reference'
    )
    method = traits.Str(mandatory=True)
    parameters = traits.Dict


class _CosmosOutputSpec(StepOutputSpec):
    chi = File(desc='susceptibility before referencing, ppm')
    qsm_mask = File(desc='where it was reconstructed')


class CosmosInversion(Step):
    """Turn the local fields of several orientations into one susceptibility map."""

    title = 'COSMOS inversion'
    input_spec = _CosmosInputSpec
    output_spec = _CosmosOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Refuse orientations that are too alike; call the engine on fields in ppm."""
        i = self.inputs
        affine, grid = nib.load(i.masks[0]).affine, grid_of(i.masks[0], i.b0_direction)
        scans = [_reference(grid.b0_direction)]
        scans += [json.loads(Path(path).read_text(encoding='utf-8')) for path in i.orientations]
        directions = np.array([scan['b0_direction'] for scan in scans])
        require_orientations(directions)
        masks = np.stack([load_mask(path) for path in i.masks])
        fields = np.stack(
            [
                qsm.hz_to_ppm(load(path), frequency)
                for path, frequency in zip(i.local_fields, i.imaging_frequencies_mhz, strict=True)
            ]
        )
        weights = np.stack([load(path) for path in i.field_noises])
        for noise, mask, frequency in zip(
            weights, masks, i.imaging_frequencies_mhz, strict=True
        ):  # in place: inverse noise, in 1/ppm
            np.maximum(noise, LEAST_NOISE_HZ, out=noise)
            np.divide(np.float32(frequency), noise, out=noise)
            noise[~mask] = 0
        method = methods.get('cosmos', i.method)
        chi, mask = method.load()(
            fields, masks, grid, directions, weights=weights,
            parameters=method.make_parameters(i.parameters),
        )  # fmt: skip
        return {
            'chi': save(chi, affine, folder / 'chi_raw.nii'),
            'qsm_mask': save(mask, affine, folder / 'qsm_mask.nii'),
            'record': {
                'cosmos': {
                    'orientations': scans,
                    'angles_deg': angles_deg(directions).tolist(),
                    'conditioning': conditioning(directions),
                },
                'chi_sd_ppb': 1000 * float(chi[mask].std(dtype=float)),
                'streak_score': float(qsm.streak_score(chi, mask, grid)),
            },
        }


def _reference(b0_direction: tuple[float, float, float]) -> dict[str, Any]:
    """Return the orientation of the reference itself."""
    return {
        'b0_direction': list(b0_direction),
        'rotation': np.eye(3).tolist(),
        'translation_mm': [0.0, 0.0, 0.0],
        'quality': {},
    }


def require_orientations(directions: np.ndarray) -> None:
    """Raise ValueError unless three B0 directions are well apart.

    Parameters
    ----------
    directions : (n, 3) float
        Unit vectors in the frame of the reference, after registration.
    """
    if enough_directions(directions):
        return
    listed = ', '.join(f'{angle:.0f}' for angle in pairwise_deg(directions))
    raise ValueError(
        f'The {len(directions)} scans hold no {MIN_ORIENTATIONS} orientations of the head that '
        f'are {MIN_ANGLE_DEG:g} degrees or more apart (after registration, between each two: '
        f'{listed} degrees).\n'
        'Nearly equal orientations leave the same part of the susceptibility invisible, and '
        'COSMOS would only amplify noise.\n'
        'Use the maps of the single scans; for COSMOS, turn the head by 20 degrees or more.'
    )
