"""The noise of a local field, measured where no susceptibility can have made it."""

from __future__ import annotations

import numpy as np

from .fft import PaddedFFT
from .kernels import dipole_kernel, frequencies
from .region import MaskedRegion

LARGEST_RESPONSE = 0.07  # |D| of the frequencies that count: a tenth of its range
SMALLEST_FREQUENCY = 0.5  # of the Nyquist frequency of the coarsest axis
TAPER_MM = 10.0
# of the local field: below it the error of the discrete forward model rules, not noise
LEAST_NOISE_PPM = 2e-4


def field_noise(field: np.ndarray, region: MaskedRegion) -> float:
    """Return the standard deviation of what the dipole model cannot explain.

    The field of any susceptibility is D(k) chi(k), close to nothing near the cone D = 0.
    What a measured field has there is noise, or error of another kind that an inversion
    would turn into streaks. White noise of standard deviation SD has the power SD^2 per
    voxel at every frequency, so its level on the cone tells SD:

        SD^2 = median |F(t field)|^2 / (ln 2 sum t^2),   |D| < 0.07, |k| > Nyquist / 2

    The taper t rises from the border of the mask over 10 mm, so that the edge of the mask
    does not spread the signal over k-space; the median (ln 2 times the mean of the
    exponentially distributed power) leaves out the few frequencies that still hold some.

    Parameters
    ----------
    field : (bx, by, bz) float32, ppm
        Local field in the box, zero outside the mask.
    region : MaskedRegion
        Its mask and grid.

    Returns
    -------
    float, ppm
        At least :data:`LEAST_NOISE_PPM`.

    Notes
    -----
    One transform without padding. Thermal noise known from the magnitude would be a lower
    bound: in vivo the errors of unwrapping, of background removal and of motion add to it,
    and regularisation has to hold for all of them.
    """
    grid = region.grid
    depth = np.minimum(region.depth_mm() / np.float32(TAPER_MM), 1)
    taper = np.sin(np.float32(np.pi / 2) * depth) ** 2
    inside = region.mask
    mean = float(np.sum(taper * field) / max(float(np.sum(taper * inside)), 1e-30))
    fft = PaddedFFT(field.shape, grid.voxel_size, 0.0)
    power = np.abs(fft.forward(taper * (field - np.float32(mean)))) ** 2
    kernel = dipole_kernel(fft.padded_shape, grid.voxel_size, grid.b0_direction)
    waves = frequencies(fft.padded_shape, grid.voxel_size)
    far = sum(k**2 for k in waves) > (SMALLEST_FREQUENCY * 0.5 / max(grid.voxel_size)) ** 2
    silent = power[(np.abs(kernel) < LARGEST_RESPONSE) & far]
    energy = float(np.sum(taper.astype(np.float64) ** 2))
    if silent.size == 0 or energy == 0:
        return LEAST_NOISE_PPM
    variance = float(np.median(silent)) / (np.log(2) * energy)
    return max(float(np.sqrt(variance)), LEAST_NOISE_PPM)
