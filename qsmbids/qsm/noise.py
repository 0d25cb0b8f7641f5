"""The noise of the images, from what a fit leaves over or from the image itself."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaincinv

from .echoes import bounding_box
from .phase import TWO_PI

# MAD * 1.4826 is the standard deviation of a normal distribution
MAD_TO_SD = 1.4826


def noise_level(
    unwrapped: np.ndarray,
    magnitude: np.ndarray,
    times: np.ndarray,
    mask: np.ndarray,
    field_hz: np.ndarray,
) -> float:
    """Estimate the noise of the magnitude image from what the field map leaves over.

    Parameters
    ----------
    unwrapped, magnitude, times, mask
        As for :func:`~qsmbids.qsm.combine_echoes`.
    field_hz : (nx, ny, nz) float, Hz
        The fitted field.

    Returns
    -------
    float
        Standard deviation of the real part of the complex signal, in units of the magnitude.

    Notes
    -----
    With several echoes, s = sum(m^2 (phase - 2 pi f TE)^2) follows sigma^2 chi^2 with
    n_echo - 1 degrees of freedom; see :func:`noise_of_residual`. What remains of a phase
    offset counts as noise, which errs on the safe side. With one echo nothing is left over
    and the noise comes from :func:`noise_of_magnitude`.
    """
    seen = mask & (magnitude[0] > 0)
    if len(times) == 1 or not seen.any():
        return noise_of_magnitude(magnitude[0], seen)
    left = np.zeros(np.count_nonzero(seen), np.float64)
    field = field_hz[seen]
    for phase, strength, time in zip(unwrapped, magnitude, times, strict=True):
        misfit = phase[seen] - np.float32(TWO_PI * time) * field
        misfit *= strength[seen]
        left += misfit.astype(np.float64) ** 2
    return noise_of_residual(left, len(times) - 1)


def noise_of_residual(squares: np.ndarray, degrees_of_freedom: int) -> float:
    """Return sigma if the squares follow sigma^2 chi^2.

    Parameters
    ----------
    squares : (n,) float
        Sum of squared residuals of each voxel.
    degrees_of_freedom : int

    Notes
    -----
    The median of the squares over the mask divided by the median of the chi-square
    distribution is sigma^2: vessels, wraps and other outliers do not matter, and neither
    does what the scanner did to the background or to the k-space rim.
    """
    median_of_chi_square = 2 * gammaincinv(degrees_of_freedom / 2, 0.5)
    return float(np.sqrt(np.median(squares) / median_of_chi_square))


def noise_of_magnitude(magnitude: np.ndarray, mask: np.ndarray) -> float:
    """Estimate the noise of one magnitude image where there is signal.

    Parameters
    ----------
    magnitude : (nx, ny, nz) float
    mask : (nx, ny, nz) bool

    Returns
    -------
    float
        Standard deviation, in the unit of the magnitude; 0 if no block of 2 x 2 x 2 voxels
        lies in the mask.

    Notes
    -----
    The mixed difference over such a block, the alternating sum of its eight values, hardly
    sees anatomy. sigma is 1.4826 times its median absolute value, divided by sqrt(8).
    Images interpolated by zero filling make this estimate too small.
    """
    if not mask.any():
        return 0.0
    box = bounding_box(mask)
    block, inside = magnitude[box], mask[box]
    for axis in range(3):
        block = np.diff(block, axis=axis)
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        inside = inside[low] & inside[high]
    if not inside.any():
        return 0.0
    return float(MAD_TO_SD * np.median(np.abs(block[inside])) / np.sqrt(8))
