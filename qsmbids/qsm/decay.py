"""What every fit of a decay does before and after: check, scale, cut off, put back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .echoes import check_echo_times


def check_decay(
    magnitude: np.ndarray, echo_times_s: Sequence[float], mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the signals of the mask in the form that a decay is fitted to.

    Parameters
    ----------
    magnitude : (n_echo, nx, ny, nz) float
        Two or more echoes.
    echo_times_s : (n_echo,) float, s
    mask : (nx, ny, nz) bool

    Returns
    -------
    signal : (n_echo, n_voxel) float32
        Not negative.
    times : (n_echo,) float64, s
    mask : (nx, ny, nz) bool
        Without the voxels in which some echo is not finite; n_voxel of them. May be empty.

    Raises
    ------
    ValueError
        If there is a single echo, or shapes or echo times do not fit.
    """
    magnitude = np.asarray(magnitude, dtype=np.float32)
    mask = np.asarray(mask, dtype=bool)
    if magnitude.ndim != 4 or magnitude.shape[1:] != mask.shape:
        raise ValueError(
            f'Magnitude {magnitude.shape} and mask {mask.shape} do not fit together.\n'
            'The decay is fitted along the first axis, voxel by voxel.\n'
            'Give a (n_echo, nx, ny, nz) magnitude and a (nx, ny, nz) mask.'
        )
    times = check_echo_times(echo_times_s, len(magnitude))
    if len(times) < 2:
        raise ValueError(
            'R2* cannot be fitted to a single echo.\n'
            'A decay rate needs the signal at two or more echo times.\n'
            'Leave R2* out for this scan, or check whether further echoes are missing.'
        )
    for echo in magnitude:
        mask = mask & np.isfinite(echo)
    signal = np.stack([echo[mask] for echo in magnitude])
    return np.maximum(signal, 0, out=signal), times, mask


def check_largest_r2star(largest_r2star: float) -> None:
    """Refuse an upper limit that is not a positive rate."""
    if not (np.isfinite(largest_r2star) and largest_r2star > 0):
        raise ValueError(
            f'largest_r2star is {largest_r2star}.\n'
            'Rates above it are not reported.\n'
            'Give a positive number of 1/s, for example 500.'
        )


def unit_scale(signal: np.ndarray) -> np.float32:
    """Return the factor that brings signals to order one, so that squares stay in range."""
    peak = float(signal.max(initial=0))
    return np.float32(1 / peak if peak > 0 else 1)


def best_amplitude(signal: np.ndarray, times: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """Return the S0 (n_voxel,) that fits best to signals (n_echo, n_voxel) of known rate."""
    above, below = np.zeros_like(rate), np.zeros_like(rate)
    for echo, time in zip(signal, times, strict=True):
        decay = np.exp(-rate * np.float32(time))
        above += echo * decay
        below += decay**2
    return above / below


def t2star(r2star: np.ndarray) -> np.ndarray:
    """Return T2* = 1 / R2*.

    Parameters
    ----------
    r2star : (...) float, 1/s

    Returns
    -------
    (...) float32, s
        0 where R2* is 0 or not finite: there is no decay to speak of, and no number would
        be right in a mean over a region.

    Examples
    --------
    >>> t2star(np.array([20.0, 0.0])).tolist()
    [0.05000000074505806, 0.0]
    """
    r2star = np.asarray(r2star, dtype=np.float32)
    decays = np.isfinite(r2star) & (r2star > 0)
    return np.divide(1, r2star, out=np.zeros_like(r2star), where=decays)
