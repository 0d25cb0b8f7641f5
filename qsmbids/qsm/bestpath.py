"""Best-path unwrapping: region merging by reliability, as scikit-image implements it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import label

from .echoes import bounding_box, check_echoes
from .grid import Grid
from .phase import wrap
from .turns import settle_first_echo, settle_later_echo

SEED = 0  # scikit-image breaks ties between edges at random; the same every time here


@dataclass(frozen=True, kw_only=True)
class BestpathParameters:
    """Parameters of :func:`unwrap_bestpath`: none, the method has nothing to set."""


def unwrap_bestpath(
    phase: np.ndarray,
    magnitude: np.ndarray,
    echo_times_s: Sequence[float],
    mask: np.ndarray,
    grid: Grid,
    *,
    parameters: BestpathParameters = BestpathParameters(),
) -> np.ndarray:
    """Unwrap each echo in space by merging regions over the most reliable edges.

    Parameters
    ----------
    phase : (n_echo, nx, ny, nz) float, rad
        Wrapped phase, free of the phase offset if there are several echoes.
    magnitude : (n_echo, nx, ny, nz) float
        Weighs the voxels when the number of turns of a component is chosen.
    echo_times_s : (n_echo,) float, s
    mask : (nx, ny, nz) bool
        What to unwrap. It may fall apart into several components.
    grid : Grid
        Not needed by the method; all unwrapping functions are called alike.
    parameters : BestpathParameters

    Returns
    -------
    (n_echo, nx, ny, nz) float32, rad
        Whole turns from the input inside the mask, 0 outside.

    Raises
    ------
    ValueError
        If shapes, mask or echo times are unusable.

    Notes
    -----
    The reliability of a voxel is the inverse of the second differences of the phase around
    it, that of an edge the sum of the two voxels. Edges are visited from the most reliable
    to the least; each joins two groups of voxels and moves one of them by the whole turns
    that make the phase across the edge continuous [1]_. Neither magnitude nor other echoes
    are looked at, which is why ROMEO makes fewer mistakes. The implementation is that of
    scikit-image.

    The number of turns of each component of the mask and each echo is found afterwards, as
    for ROMEO in individual mode.

    Time O(N log N) for each echo. Peak memory about 200 bytes per voxel of the box around the
    mask.

    References
    ----------
    .. [1] Abdul-Rahman HS et al. Appl Opt 2007;46:6623. doi:10.1364/AO.46.006623
    """
    from skimage.restoration import unwrap_phase

    phase, magnitude, times, mask = check_echoes(phase, magnitude, echo_times_s, mask)
    box = bounding_box(mask)
    inside = mask[box]
    strength = magnitude[(slice(None), *box)]
    component, n_component = label(inside)
    unwrapped = np.zeros(phase.shape, np.float32)
    work = unwrapped[(slice(None), *box)]
    for echo in range(len(times)):
        np.multiply(wrap(phase[(echo, *box)]), inside, out=work[echo])
    for echo in range(len(times)):
        found = _unwrap(unwrap_phase, work[echo], inside)
        # scikit-image adds whole turns in double precision; keep the data to the last bit
        work[echo] += np.float32(2 * np.pi) * np.rint((found - work[echo]) / (2 * np.pi))
        if echo == 0:
            settle_first_echo(work, strength, times, component, n_component)
        else:
            settle_later_echo(work, strength, times, component, n_component, echo)
    return unwrapped


def _unwrap(unwrap_phase, phase: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Call scikit-image for one echo; it wants two dimensions or more of two voxels each."""
    frame = [(0, max(0, 2 - n)) for n in phase.shape]
    padded = np.ma.masked_array(np.pad(phase, frame), mask=~np.pad(inside, frame))
    found = np.ma.getdata(unwrap_phase(padded, rng=SEED))
    found = found[tuple(slice(n) for n in phase.shape)]
    return np.where(inside, found, 0).astype(np.float32)
