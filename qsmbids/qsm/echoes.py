"""What every function of multi-echo data accepts, checked in one place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LONGEST_ECHO_TIME_S = 1.0  # anything above is a value in milliseconds


def check_echo_times(echo_times_s: Sequence[float], n_echo: int) -> np.ndarray:
    """Return the echo times as float64 seconds if they are usable.

    Parameters
    ----------
    echo_times_s : sequence of float, s
    n_echo : int
        Number of echoes of the data.

    Raises
    ------
    ValueError
        If the number is wrong, or the times are not positive, strictly ascending seconds.
    """
    times = np.atleast_1d(np.asarray(echo_times_s, dtype=float))
    if times.shape != (n_echo,):
        raise ValueError(
            f'The data have {n_echo} echoes but {times.size} echo times were given.\n'
            'Every echo needs its own echo time.\n'
            'Give arrays with the echo as the first axis and one time per echo.'
        )
    if not (np.isfinite(times).all() and times[0] > 0 and (np.diff(times) > 0).all()):
        raise ValueError(
            f'Echo times must be positive and ascending, got {times.tolist()} s.\n'
            'Fields and decay rates are fitted along echo time.\n'
            'Sort the echoes by echo time and check EchoTime in the sidecars.'
        )
    if times[-1] > LONGEST_ECHO_TIME_S:
        raise ValueError(
            f'The longest echo time is {times[-1]} s.\n'
            'That is no echo time of a GRE scan in seconds, so every rate would be wrong.\n'
            'Give seconds: EchoTime looks as if it were in milliseconds.'
        )
    return times


def check_echoes(
    phase: np.ndarray, magnitude: np.ndarray, echo_times_s: Sequence[float], mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return multi-echo data in the form the engine works with.

    Parameters
    ----------
    phase : (n_echo, nx, ny, nz) float, rad
    magnitude : (n_echo, nx, ny, nz) float
    echo_times_s : (n_echo,) float, s
    mask : (nx, ny, nz) bool

    Returns
    -------
    phase, magnitude : (n_echo, nx, ny, nz) float32
        Copies only where something had to change: values that are not finite become 0.
    times : (n_echo,) float64, s
    mask : (nx, ny, nz) bool
        Without the voxels in which some echo is not finite.

    Raises
    ------
    ValueError
        If shapes or echo times do not fit together or the mask is empty.
    """
    phase = np.asarray(phase, dtype=np.float32)
    magnitude = np.asarray(magnitude, dtype=np.float32)
    mask = np.asarray(mask, dtype=bool)
    if phase.ndim != 4 or phase.shape != magnitude.shape or phase.shape[1:] != mask.shape:
        raise ValueError(
            f'Phase {phase.shape}, magnitude {magnitude.shape} and mask {mask.shape} do not '
            'fit together.\n'
            'Every echo needs a phase and a magnitude on the grid of the mask.\n'
            'Give (n_echo, nx, ny, nz) arrays and a (nx, ny, nz) mask.'
        )
    times = check_echo_times(echo_times_s, phase.shape[0])
    finite = np.isfinite(phase).all(axis=0) & np.isfinite(magnitude).all(axis=0)
    if not finite.all():
        phase = np.where(finite, phase, np.float32(0))
        magnitude = np.where(finite, magnitude, np.float32(0))
        mask = mask & finite
    if not mask.any():
        raise ValueError(
            'The mask holds no voxel with finite data.\n'
            'Nothing can be computed without one.\n'
            'Check that mask and image have the same orientation, and the image for NaNs.'
        )
    return phase, magnitude, times, mask


def bounding_box(mask: np.ndarray, margin: int = 0) -> tuple[slice, slice, slice]:
    """Return the slices that hold every True voxel of a 3-D mask.

    Parameters
    ----------
    mask : (nx, ny, nz) bool
        With at least one True voxel.
    margin : int, voxels
        Added on every side where the array has room.
    """
    box = []
    for axis in range(3):
        hits = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        box.append(slice(max(0, hits[0] - margin), min(mask.shape[axis], hits[-1] + 1 + margin)))
    return tuple(box)
