"""The images that registration looks at: structure and susceptibility, person and template.

All are written as files for ANTs, cut to the brain. The same preparation is used for the
person and for the template, except that the person's structure goes through N4 first: a
template has no coils.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from qsmbids.atlas.bias import remove_bias
from qsmbids.atlas.dataset import AtlasFiles
from qsmbids.atlas.hybrid import hybrid_image
from qsmbids.atlas.images import (
    read_image,
    read_mask,
    resample_isotropic,
    resample_to,
    voxel_size,
    write_image,
)

CHI_WINDOW_PPM = (-0.15, 0.25)  # veins and artefacts beyond it must not drive the registration
CHI_OFFSET_PPM = 0.20  # makes the whole window positive inside the mask
BIAS_SIGMA_MM = 25.0  # smoothness of the intensity bias that is divided out
_PERCENTILES = (0.5, 99.5)


def structural_channel(image: np.ndarray, brain: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Flatten the intensity bias of a structural image and scale it to 0..1 in the brain.

    Parameters
    ----------
    image : (nx, ny, nz) float
        Magnitude or T1w, any unit.
    brain : (nx, ny, nz) bool
    affine : (4, 4) float

    Returns
    -------
    (nx, ny, nz) float32
        Zero outside the brain.

    Notes
    -----
    The bias is the mean of the image over a neighbourhood within the mask,
    G(image * mask) / G(mask). G is nearly a Gaussian: three running means of width
    sqrt(4 sigma^2 + 1) voxels. After N4 (`qsmbids.atlas.bias`) it takes away what is left:
    the two together leave less bias than either.
    """
    signal = np.where(brain, image, 0).astype(np.float32)
    weight = _smooth(brain.astype(np.float32), affine)
    bias = _smooth(signal, affine) / np.maximum(weight, 1e-3)
    flat = np.where(brain & (bias > 0), signal / np.maximum(bias, 1e-12), 0)
    low, high = np.percentile(flat[brain], _PERCENTILES)
    scaled = (flat - low) / max(high - low, 1e-12)
    return np.where(brain, np.clip(scaled, 0, 1), 0).astype(np.float32)


def _smooth(array: np.ndarray, affine: np.ndarray) -> np.ndarray:
    width = np.rint(np.sqrt(4 * (BIAS_SIGMA_MM / voxel_size(affine)) ** 2 + 1)).astype(int)
    for _ in range(3):
        array = ndimage.uniform_filter(array, width, mode='constant')
    return array


def chi_channel(chi: np.ndarray, brain: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Make a susceptibility map safe for registration: positive in the brain, zero outside.

    Parameters
    ----------
    chi : (nx, ny, nz) float, ppm
    brain : (nx, ny, nz) bool
    valid : (nx, ny, nz) bool
        Where ``chi`` was reconstructed; elsewhere in the brain the mean is put, so that
        the edge of an eroded mask does not look like anatomy.

    Returns
    -------
    (nx, ny, nz) float32, ppm plus ``CHI_OFFSET_PPM``
        Referenced to its mean, which makes maps of any reference alike.
    """
    valid = valid & brain
    centred = np.where(valid, chi - (chi[valid].mean() if valid.any() else 0), 0)
    return np.where(brain, np.clip(centred, *CHI_WINDOW_PPM) + CHI_OFFSET_PPM, 0).astype(
        np.float32
    )


def write_native_channels(
    magnitude: Path, chi: Path, mask: Path, chi_mask: Path | None, folder: Path
) -> dict[str, Path]:
    """Write mask, magnitude (after N4) and chi channel of a person; return the files by name."""
    brain, affine = read_mask(mask)
    susceptibility = read_image(chi)[0]
    valid = read_mask(chi_mask)[0] if chi_mask else susceptibility != 0
    arrays = {
        'mask': brain.astype(np.float32),
        'magnitude': structural_channel(
            remove_bias(read_image(magnitude)[0], brain, affine), brain, affine
        ),
        'chi': chi_channel(susceptibility, brain, valid),
    }
    return {n: write_image(folder / f'moving_{n}.nii', a, affine) for n, a in arrays.items()}


def write_template_channels(template: AtlasFiles, size_mm: float, folder: Path) -> dict[str, Path]:
    """Write the same channels of a template at a resolution; return the files by name."""
    fine_brain, fine_affine = read_mask(template.mask)

    def coarse(array: np.ndarray) -> np.ndarray:
        return resample_isotropic(array, fine_affine, size_mm)[0]

    soft_brain, affine = resample_isotropic(fine_brain, fine_affine, size_mm)
    brain = soft_brain > 0.5
    arrays = {
        'mask': brain.astype(np.float32),
        'chi': chi_channel(coarse(read_image(template.chi)[0]), brain, brain),
    }
    for name, path in (('magnitude', template.t2starw), ('t1w', template.t1w)):
        if path is not None:
            arrays[name] = structural_channel(coarse(read_image(path)[0]), brain, affine)
    return {n: write_image(folder / f'fixed_{n}.nii', a, affine) for n, a in arrays.items()}


def write_hybrid(channels: dict[str, Path], structural: str, path: Path) -> Path:
    """Write the hybrid of a structural channel and susceptibility on the grid of the latter.

    Parameters
    ----------
    channels : dict of str to Path
        Of a person or of a template: mask, chi and the structural one, in one world.
    structural : str
        ``t1w``; see `qsmbids.atlas.hybrid`.
    path : Path
        File to write, 0..1 in the brain.
    """
    brain, affine = read_mask(channels['mask'])
    image, at = read_image(channels[structural])
    structure = resample_to(image, at, brain.shape, affine)
    hybrid = hybrid_image(structure, read_image(channels['chi'])[0], brain)
    return write_image(path, hybrid / max(float(hybrid.max()), 1.0), affine)
