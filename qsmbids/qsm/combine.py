"""One field map from all echoes, with its noise and its reliability."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import gammaincinv

from .echoes import check_echoes
from .phase import TWO_PI

# MAD * 1.4826 is the standard deviation of a normal distribution
MAD_TO_SD = 1.4826


def combine_echoes(
    unwrapped: np.ndarray,
    magnitude: np.ndarray,
    echo_times_s: Sequence[float],
    mask: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit phase = 2 pi f TE to the echoes of each voxel, each weighted by its precision.

    Parameters
    ----------
    unwrapped : (n_echo, nx, ny, nz) float, rad
        Unwrapped phase without offset.
    magnitude : (n_echo, nx, ny, nz) float
    echo_times_s : (n_echo,) float, s
    mask : (nx, ny, nz) bool

    Returns
    -------
    field_hz : (nx, ny, nz) float32, Hz
    noise_hz : (nx, ny, nz) float32, Hz
        Standard deviation of the field; positive inside the mask.
    reliability : (nx, ny, nz) float32, 0...1
        How well the echoes agree with one frequency: sum(m^2 cos(phase - 2 pi f TE)) /
        sum(m^2), not below 0. With one echo it is 1. The relative residual of the complex
        fit is 2 (1 - reliability); other programs reject voxels above 0.5, that is 0.75 here.

    All three are 0 outside the mask.

    Raises
    ------
    ValueError
        If shapes, mask or echo times are unusable.

    Notes
    -----
    The phase of one echo has the standard deviation sigma/m, with sigma the noise of the
    real (and imaginary) part. The best unbiased estimate of f is therefore the mean of
    phase/(2 pi TE) with weights m^2 TE^2:

        f = sum(m^2 TE phase) / (2 pi sum(m^2 TE^2))
        SD(f) = sigma / (2 pi sqrt(sum(m^2 TE^2)))

    See :func:`noise_level` for sigma. Where there is hardly any signal the noise is that of
    a first echo of random phase, 1/(2 sqrt(3) TE_1), and does not rise further.

    Peak memory about 28 bytes per voxel besides the input.

    References
    ----------
    .. [1] QSM Consensus Organization Committee. Magn Reson Med 2024;91:1834.
       doi:10.1002/mrm.30006
    """
    unwrapped, magnitude, times, mask = check_echoes(unwrapped, magnitude, echo_times_s, mask)
    peak = float(magnitude.max())
    scale = np.float32(1 / peak if peak > 0 else 1)  # squares of raw units may overflow
    turns = (TWO_PI * times).astype(np.float32)

    numerator = np.zeros(mask.shape, np.float32)
    precision = np.zeros(mask.shape, np.float32)
    for phase, strength, turn in zip(unwrapped, magnitude, turns, strict=True):
        weight = (strength * scale) ** 2 * turn
        numerator += weight * phase
        precision += weight * turn
    field = numerator / np.maximum(precision, np.finfo(np.float32).tiny)
    field *= mask

    agreement = np.zeros(mask.shape, np.float32)
    total = np.zeros(mask.shape, np.float32)
    for phase, strength, turn in zip(unwrapped, magnitude, turns, strict=True):
        weight = (strength * scale) ** 2
        agreement += weight * np.cos(phase - turn * field)
        total += weight
    reliability = np.clip(agreement / np.maximum(total, np.finfo(np.float32).tiny), 0, 1)
    reliability *= mask

    sigma = noise_level(unwrapped, magnitude, times, mask, field) * scale
    largest = 1 / (2 * np.sqrt(3) * times[0])
    noise = sigma / np.sqrt(np.maximum(precision, (sigma / largest) ** 2 + 1e-30))
    noise = np.maximum(noise, np.finfo(np.float32).eps) * mask
    return field, noise.astype(np.float32), reliability


def noise_level(
    unwrapped: np.ndarray,
    magnitude: np.ndarray,
    times: np.ndarray,
    mask: np.ndarray,
    field_hz: np.ndarray,
) -> float:
    """Estimate the noise of the magnitude image from what the fit leaves over.

    Parameters
    ----------
    unwrapped, magnitude, times, mask
        As for :func:`combine_echoes`.
    field_hz : (nx, ny, nz) float, Hz
        The fitted field.

    Returns
    -------
    float
        Standard deviation of the real part of the complex signal, in units of the magnitude.

    Notes
    -----
    With several echoes, s = sum(m^2 (phase - 2 pi f TE)^2) follows sigma^2 chi^2 with
    n_echo - 1 degrees of freedom. The median of s over the mask divided by the median of
    that distribution is sigma^2: vessels, wraps and other outliers do not matter, and
    neither does what the scanner did to the background or to the k-space rim. What remains
    of a phase offset counts as noise, which errs on the safe side.

    With one echo nothing is left over. Then sigma comes from the mixed difference of the
    magnitude over blocks of 2 x 2 x 2 voxels (the alternating sum of its eight values, which
    anatomy hardly enters): 1.4826 times its median absolute value, divided by sqrt(8).
    Images interpolated by zero filling make this estimate too small.
    """
    seen = mask & (magnitude[0] > 0)
    if len(times) > 1 and seen.any():
        left = np.zeros(np.count_nonzero(seen), np.float64)
        for phase, strength, time in zip(unwrapped, magnitude, times, strict=True):
            misfit = phase[seen] - np.float32(TWO_PI * time) * field_hz[seen]
            left += (strength[seen].astype(np.float64) * misfit) ** 2
        median_of_chi_square = 2 * gammaincinv((len(times) - 1) / 2, 0.5)
        return float(np.sqrt(np.median(left) / median_of_chi_square))
    block = magnitude[0]
    inside = seen
    for axis in range(3):
        block = np.diff(block, axis=axis)
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        inside = inside[low] & inside[high]
    if not inside.any():
        return 0.0
    return float(MAD_TO_SD * np.median(np.abs(block[inside])) / np.sqrt(8))
