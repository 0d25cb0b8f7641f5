"""One field map from all echoes, with its noise and its reliability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .echoes import check_echoes
from .noise import noise_level


@dataclass(frozen=True, kw_only=True)
class WeightedFieldParameters:
    """Parameters of :func:`combine_echoes`: none, the noise of the data sets the weights."""


def combine_echoes(
    unwrapped: np.ndarray,
    magnitude: np.ndarray,
    echo_times_s: Sequence[float],
    mask: np.ndarray,
    *,
    parameters: WeightedFieldParameters = WeightedFieldParameters(),
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit phase = 2 pi f TE to the echoes of each voxel, each weighted by its precision.

    Parameters
    ----------
    unwrapped : (n_echo, nx, ny, nz) float, rad
        Unwrapped phase without offset.
    magnitude : (n_echo, nx, ny, nz) float
    echo_times_s : (n_echo,) float, s
    mask : (nx, ny, nz) bool
    parameters : WeightedFieldParameters

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

    See :func:`~qsmbids.qsm.noise.noise_level` for sigma. Where there is hardly any signal the
    noise is that of a first echo of random phase, 1/(2 sqrt(3) TE_1), and does not rise
    further.

    Cost: two passes over the echoes. Peak memory 12 bytes per voxel for the result, and 17 per
    voxel of the mask besides.

    References
    ----------
    .. [1] QSM Consensus Organization Committee. Magn Reson Med 2024;91:1834.
       doi:10.1002/mrm.30006
    """
    from .field_kernels import weighted_fit

    unwrapped, magnitude, times, mask = check_echoes(unwrapped, magnitude, echo_times_s, mask)
    scale = unit_scale(magnitude, mask)
    field, precision, reliability = (np.zeros(mask.shape, np.float32) for _ in range(3))
    run_planes(
        weighted_fit, unwrapped, magnitude, times, mask, scale, field, precision, reliability
    )
    sigma = noise_level(unwrapped, magnitude, times, mask, field) * scale
    largest = 1 / (2 * np.sqrt(3) * times[0])
    return field, noise_of_field(precision, sigma, largest, mask), reliability


def unit_scale(magnitude: np.ndarray, mask: np.ndarray) -> float:
    """Return the factor that brings magnitudes to order one: squares may overflow."""
    peak = max(float(echo.max(initial=0, where=mask)) for echo in magnitude)
    return 1 / peak if peak > 0 else 1.0


def run_planes(loop, *arrays_and_values) -> list:
    """Call a compiled loop for the planes of a volume, on several threads.

    The arrays are those of :mod:`.field_kernels`, the echoes first; read-only ones are
    copied, because compiled loops take writable arrays.
    """
    from .compiled import over_slabs

    phase = arrays_and_values[0]
    given = [
        np.require(x, requirements='W') if isinstance(x, np.ndarray) else x
        for x in arrays_and_values
    ]
    return over_slabs(lambda start, stop: loop(*given, start, stop), phase.shape[1])


def noise_of_field(
    precision: np.ndarray, sigma: float, largest_hz: float, mask: np.ndarray
) -> np.ndarray:
    """Return sigma / sqrt(precision) in the mask, above 0 and not above the largest value.

    Parameters
    ----------
    precision : (nx, ny, nz) float32, s^2
        Inverse variance of the field for a noise of 1; overwritten.
    sigma : float
        Noise of the signal.
    largest_hz : float, Hz
    mask : (nx, ny, nz) bool
    """
    np.maximum(precision, np.float32((sigma / largest_hz) ** 2 + 1e-30), out=precision)
    noise = np.sqrt(precision, out=precision)
    np.divide(np.float32(sigma), noise, out=noise)
    np.maximum(noise, np.finfo(np.float32).eps, out=noise)
    noise *= mask
    return noise
