"""R2* and S0 from a straight line through the logarithm of the signal, for any spacing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .decay import best_amplitude, check_decay, check_largest_r2star, unit_scale


@dataclass(frozen=True, kw_only=True)
class LoglinearParameters:
    """Parameters of :func:`fit_r2star_loglinear`."""

    # Largest R2* that is reported, 1/s; see ArloParameters.
    largest_r2star: float = 500.0

    def __post_init__(self) -> None:
        check_largest_r2star(self.largest_r2star)


def fit_r2star_loglinear(
    magnitude: np.ndarray,
    echo_times_s: Sequence[float],
    mask: np.ndarray,
    *,
    parameters: LoglinearParameters = LoglinearParameters(),
) -> tuple[np.ndarray, np.ndarray]:
    """Fit log(magnitude) = log(S0) - R2* TE in every voxel, late echoes counting less.

    Parameters
    ----------
    magnitude : (n_echo, nx, ny, nz) float
        Two or more echoes.
    echo_times_s : (n_echo,) float, s
        Any spacing.
    mask : (nx, ny, nz) bool
    parameters : LoglinearParameters

    Returns
    -------
    r2star : (nx, ny, nz) float32, 1/s
        Between 0 and ``parameters.largest_r2star``; 0 outside the mask, where values are
        not finite and where there is no signal. Values on the limits are not measurements.
    s0 : (nx, ny, nz) float32, unit of the magnitude
        Signal at echo time zero that fits best with this R2*.

    Raises
    ------
    ValueError
        If there is a single echo, or shapes or echo times do not fit.

    Notes
    -----
    Noise of the standard deviation sigma in S is noise of sigma/S in log(S), so that each
    echo has the weight S^2:

        R2* = -cov_w(TE, log S) / var_w(TE).

    Two echoes give log(S1/S2)/(TE2 - TE1). The weights are measured as well, which costs
    about a percent of bias where the last echoes are close to the noise; the noise floor of
    magnitude images makes R2* too small there. :func:`~qsmbids.qsm.fit_r2star_nonlinear`
    knows of both.

    Cost: three passes over the signals of the mask. Peak memory 4 n_echo + 32 bytes per voxel
    of the mask besides input and result.

    Examples
    --------
    >>> times = np.array([0.005, 0.010, 0.025])
    >>> decay = 100 * np.exp(-30 * times).reshape(3, 1, 1, 1)
    >>> r2star, s0 = fit_r2star_loglinear(decay, times, np.ones((1, 1, 1), bool))
    >>> round(float(r2star[0, 0, 0]), 2), round(float(s0[0, 0, 0]), 1)
    (30.0, 100.0)
    """
    signal, times, mask = check_decay(magnitude, echo_times_s, mask)
    rate = np.clip(log_slope(signal, times), 0, parameters.largest_r2star)
    r2star, s0 = (np.zeros(mask.shape, np.float32) for _ in range(2))
    r2star[mask] = rate
    s0[mask] = best_amplitude(signal, times, rate)
    return r2star, s0


def log_slope(signal: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return the decay rate of signals as the weighted slope of their logarithm.

    Parameters
    ----------
    signal : (n_echo, n_voxel) float32
        Not negative.
    times : (n_echo,) float64, s

    Returns
    -------
    (n_voxel,) float32, 1/s
        Of any sign; 0 where there is no signal in two echoes.
    """
    n_voxel = signal.shape[1]
    tiny = np.finfo(np.float32).tiny
    scale = unit_scale(signal)
    total, mean_time, mean_log = (np.zeros(n_voxel, np.float32) for _ in range(3))

    def weight_and_log(echo):
        scaled = echo * scale  # 0 where there is no signal: the logarithm is of no account
        return scaled**2, np.log(np.maximum(scaled, np.float32(1e-12)))

    for echo, time in zip(signal, times, strict=True):
        weight, log = weight_and_log(echo)
        total += weight
        mean_time += weight * np.float32(time)
        mean_log += weight * log
    total = np.maximum(total, tiny)
    mean_time /= total
    mean_log /= total
    covariance, variance = (np.zeros(n_voxel, np.float32) for _ in range(2))
    for echo, time in zip(signal, times, strict=True):
        weight, log = weight_and_log(echo)
        apart = np.float32(time) - mean_time
        covariance += weight * apart * (log - mean_log)
        variance += weight * apart**2
    return -covariance / np.maximum(variance, tiny)
