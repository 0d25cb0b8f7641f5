"""R2* and S0 from the decay of the magnitude, without iterations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .decay import best_amplitude, check_decay, check_largest_r2star, unit_scale
from .loglinear import log_slope


@dataclass(frozen=True, kw_only=True)
class ArloParameters:
    """Parameters of :func:`fit_r2star`."""

    # Echo spacings that differ by no more than this count as even, s. Simpson's rule needs
    # even spacing; a tenth of a millisecond is well below what changes R2* by 1 %.
    even_spacing_tolerance_s: float = 1e-4
    # Largest R2* that is reported, 1/s. 500 1/s is a T2* of 2 ms, about the first echo time
    # of a GRE scan: faster decay leaves no second point to measure it with.
    largest_r2star: float = 500.0

    def __post_init__(self) -> None:
        check_largest_r2star(self.largest_r2star)


def fit_r2star(
    magnitude: np.ndarray,
    echo_times_s: Sequence[float],
    mask: np.ndarray,
    *,
    parameters: ArloParameters = ArloParameters(),
) -> tuple[np.ndarray, np.ndarray]:
    """Fit the decay magnitude = S0 exp(-R2* TE) in every voxel.

    Parameters
    ----------
    magnitude : (n_echo, nx, ny, nz) float
        Two or more echoes.
    echo_times_s : (n_echo,) float, s
        Any spacing.
    mask : (nx, ny, nz) bool
    parameters : ArloParameters

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
    Three or more evenly spaced echoes: ARLO [1]_ with its erratum [2]_. For an exponential,
    the integral from S_j to S_j+2 is (S_j - S_j+2) / R2*. Simpson's rule with spacing D and
    b = D/3 gives the integral as y_j = b (S_j + 4 S_j+1 + S_j+2); with x_j = S_j - S_j+2,

        R2* = sum(y x + b x^2) / sum(y^2 + b y x).

    Simpson's error is (R2* D)^4 / 180 of R2*.

    Otherwise the weighted straight line of :func:`~qsmbids.qsm.fit_r2star_loglinear`: ARLO
    would be wrong without any sign of it. T2* is 1/R2*, see :func:`~qsmbids.qsm.t2star`.

    The noise floor of magnitude images makes R2* too small where the last echoes have
    decayed to it. Peak memory 4 n_echo + 24 bytes per voxel of the mask besides input and
    result.

    References
    ----------
    .. [1] Pei M et al. Magn Reson Med 2015;73:843. doi:10.1002/mrm.25137
    .. [2] Erratum. Magn Reson Med 2019. doi:10.1002/mrm.27807

    Examples
    --------
    >>> times = np.array([0.005, 0.010, 0.015])
    >>> decay = 100 * np.exp(-30 * times).reshape(3, 1, 1, 1)
    >>> r2star, s0 = fit_r2star(decay, times, np.ones((1, 1, 1), bool))
    >>> round(float(r2star[0, 0, 0]), 2), round(float(s0[0, 0, 0]), 1)
    (30.0, 100.0)
    """
    signal, times, mask = check_decay(magnitude, echo_times_s, mask)
    if _evenly_spaced(times, parameters.even_spacing_tolerance_s):
        rate = _arlo(signal, times)
    else:
        rate = log_slope(signal, times)
    rate = np.clip(rate, 0, parameters.largest_r2star)

    r2star, s0 = (np.zeros(mask.shape, np.float32) for _ in range(2))
    r2star[mask] = rate
    s0[mask] = best_amplitude(signal, times, rate)
    return r2star, s0


def _evenly_spaced(times: np.ndarray, tolerance: float) -> bool:
    """Tell whether ARLO applies: three or more echoes with equal spacing."""
    spacing = np.diff(times)
    return len(times) >= 3 and bool(np.ptp(spacing) <= tolerance)


def _arlo(signal: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return R2* (n_voxel,) of signals (n_echo, n_voxel) at even spacing."""
    third = np.float32((times[-1] - times[0]) / (len(times) - 1) / 3)
    above = np.zeros(signal.shape[1], np.float32)
    below = np.zeros_like(above)
    scale = unit_scale(signal)
    for j in range(len(times) - 2):
        start, middle, end = signal[j : j + 3] * scale
        integral = third * (start + 4 * middle + end)
        drop = start - end
        above += integral * drop + third * drop**2
        below += integral**2 + third * integral * drop
    return above / np.maximum(below, np.finfo(np.float32).tiny)
