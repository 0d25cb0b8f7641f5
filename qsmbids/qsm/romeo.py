"""ROMEO: exact phase unwrapping by region growing along the most reliable edges.

Neighbouring voxels are joined by edges, each with a weight that says how safely the phase
can be followed across it. Regions grow from a seed over the best edge that is left; each
new voxel gets the multiple of 2*pi that brings it closest to the neighbour it was reached
from. Only the first echo is unwrapped this way. Each later one follows, voxel by voxel,
from the echoes before it, so that no region can be a turn off from one echo to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation

from .echoes import bounding_box, check_echoes
from .grid import Grid
from .phase import TWO_PI, wrap

# A region is moved by whole turns only if that brings its second echo closer to the
# prediction by more than this per turn (rad): rests of a phase offset are of that size.
TURN_PENALTY_RAD = 0.2
# Of numbers of turns that fit alike, the one with the mean phase closest to 0 is taken: this
# much per turn (rad) is more than rounding and less than any difference in the data.
TIE_PENALTY_RAD = 0.01
TURNS_TRIED = 2

# A voxel that misses its prediction by less than a quarter of a turn is left alone: its
# number of turns is safe even where the phase is too steep to be followed in space.
UNCERTAIN_MISS_RAD = np.pi / 2


@dataclass(frozen=True, kw_only=True)
class RomeoParameters:
    """Parameters of :func:`unwrap_romeo`."""

    # Voxels of lower quality (0...1) that also miss what the echoes before predict are
    # unwrapped from their neighbours (value: Dymerska 2021).
    uncertain_quality: float = 0.5


def unwrap_romeo(
    phase: np.ndarray,
    magnitude: np.ndarray,
    echo_times_s: Sequence[float],
    mask: np.ndarray,
    grid: Grid,
    *,
    parameters: RomeoParameters = RomeoParameters(),
) -> np.ndarray:
    """Unwrap all echoes, the first in space and the others in echo time.

    Parameters
    ----------
    phase : (n_echo, nx, ny, nz) float, rad
        Wrapped phase, free of the phase offset if there are several echoes.
    magnitude : (n_echo, nx, ny, nz) float
    echo_times_s : (n_echo,) float, s
    mask : (nx, ny, nz) bool
        What to unwrap. It may fall apart into several components.
    grid : Grid
        Not needed by the method; all unwrapping functions are called alike.
    parameters : RomeoParameters

    Returns
    -------
    (n_echo, nx, ny, nz) float32, rad
        Whole turns from the input inside the mask, 0 outside and where data are not finite.

    Raises
    ------
    ValueError
        If shapes, mask or echo times are unusable.

    Notes
    -----
    1. Edges get the product of (0.1 + 0.9 w) over phase coherence, gradient coherence with
       the second echo, phase linearity and magnitude coherence [1]_. Voxels outside the
       mask have no influence.
    2. Regions grow over edges, lowest cost first; each component of the mask has its own
       seed. What is unknown is one number of turns per component: the one for which the
       second echo agrees best with the first, and if that does not decide, the one for
       which the mean phase is closest to 0. It is chosen over the whole component, so that
       it does not hang on the noise of a seed.
    3. Later echoes are moved by whole turns to the prediction TE_e * sum(m^2 TE phase) /
       sum(m^2 TE^2) over the echoes before. Voxels of low quality that miss it by more
       than pi/2 are then unwrapped from their neighbours, starting at all other voxels.

    Time O(N). Peak memory 4 n_echo + 42 bytes per voxel of the box around the mask, and
    the result.

    References
    ----------
    .. [1] Dymerska B et al. Magn Reson Med 2021;85:2294. doi:10.1002/mrm.28563

    Examples
    --------
    >>> x = np.linspace(-15, 15, 40, dtype=np.float32)
    >>> truth = np.broadcast_to(x[:, None, None], (40, 4, 4))[None]
    >>> ones = np.ones_like(truth)
    >>> found = unwrap_romeo(wrap(truth), ones, [0.01], ones[0] > 0, Grid((40, 4, 4)))
    >>> bool(abs(found - truth).max() < 1e-5)
    True
    """
    phase, magnitude, times, mask = check_echoes(phase, magnitude, echo_times_s, mask)
    box = bounding_box(mask)
    inside = _framed(mask, box)
    strength = _framed(magnitude, box)
    work = wrap(_framed(phase, box)) * inside

    costs = _edge_costs(work, strength, times, inside, echo=0)
    region = np.zeros(inside.shape, np.int32)
    n_region = _grow(work[0], costs, region, _seeds(costs, inside))
    _settle_turns(work, strength, times, region, n_region)
    for echo in range(1, len(times)):
        _follow_echo_time(work, strength, times, inside, echo, parameters)

    unwrapped = np.zeros(phase.shape, np.float32)
    unwrapped[(slice(None), *box)] = work[:, 1:-1, 1:-1, 1:-1]
    unwrapped *= mask
    return unwrapped


def phase_quality(
    phase: np.ndarray, magnitude: np.ndarray, echo_times_s: Sequence[float], mask: np.ndarray
) -> np.ndarray:
    """Rate how safely the phase of the first echo can be followed through each voxel.

    Parameters
    ----------
    phase, magnitude, echo_times_s, mask
        As for :func:`unwrap_romeo`; the phase may still have its offset.

    Returns
    -------
    (nx, ny, nz) float32, 0...1
        Mean weight of the edges between the voxel and its neighbours in the mask; about 1
        in smooth phase, 0.3 in noise, 0 outside the mask and without neighbours.

    Raises
    ------
    ValueError
        If shapes, mask or echo times are unusable.
    """
    phase, magnitude, times, mask = check_echoes(phase, magnitude, echo_times_s, mask)
    box = bounding_box(mask)
    inside = _framed(mask, box)
    first_two = slice(0, 2)  # no other echo enters the weights
    costs = _edge_costs(
        _framed(phase[first_two], box), _framed(magnitude[first_two], box), times, inside, echo=0
    )
    quality = np.zeros(mask.shape, np.float32)
    quality[box] = _voxel_quality(costs)[1:-1, 1:-1, 1:-1]
    return quality


def _framed(x: np.ndarray, box: tuple[slice, ...]) -> np.ndarray:
    """Cut the box out of the last three axes and frame it by one voxel of zeros."""
    frame = [(0, 0)] * (x.ndim - 3) + [(1, 1)] * 3
    return np.pad(x[(..., *box)], frame)


def _strides(shape: tuple[int, ...]) -> np.ndarray:
    return np.array([shape[1] * shape[2], shape[2], 1], np.int64)


def _edge_costs(
    phase: np.ndarray, magnitude: np.ndarray, times: np.ndarray, inside: np.ndarray, echo: int
) -> np.ndarray:
    """Return the costs (3, nx, ny, nz) uint8 of the edges of one echo."""
    from .romeo_kernels import edge_costs

    other = min(1, len(phase) - 1) if echo == 0 else echo - 1
    te_ratio = times[echo] / times[other] if other != echo else 0.0
    costs = np.zeros((3, *inside.shape), np.uint8)
    edge_costs(
        phase[echo].ravel(),
        phase[other].ravel(),
        magnitude[echo].ravel(),
        inside.ravel(),
        _strides(inside.shape),
        te_ratio,
        costs.reshape(3, -1),
    )
    return costs


def _grow(phase: np.ndarray, costs: np.ndarray, region: np.ndarray, seeds: np.ndarray) -> int:
    """Unwrap one echo in place from the voxels with region > 0 and from the seeds."""
    from .romeo_kernels import grow

    flat = costs.reshape(3, -1)
    return grow(phase.reshape(-1), flat, _strides(phase.shape), seeds, region.reshape(-1))


def _seeds(costs: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return the flat indices of the mask, lowest sum of the three edge costs first."""
    voxels = np.flatnonzero(inside)
    total = np.zeros(voxels.size, np.uint16)
    for cost in costs:
        here = cost.ravel()[voxels]
        total += np.where(here == 0, np.uint8(255), here)
    return voxels[np.argsort(total, kind='stable')]


def _voxel_quality(costs: np.ndarray) -> np.ndarray:
    """Return the mean weight of the up to six edges of each voxel."""
    total = np.zeros(costs.shape[1:], np.float32)
    count = np.zeros(costs.shape[1:], np.uint8)
    for axis, cost in enumerate(costs):
        weight = np.where(cost > 0, 1 - cost / np.float32(255), np.float32(0))
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        total += weight
        total[high] += weight[low]
        count += cost > 0
        count[high] += cost[low] > 0
    return total / np.maximum(count, 1)


def _settle_turns(
    phase: np.ndarray,
    magnitude: np.ndarray,
    times: np.ndarray,
    region: np.ndarray,
    n_region: int,
) -> None:
    """Move each region of the first echo, in place, by its number of turns."""
    voxels = region > 0
    label = region[voxels]
    first = phase[0][voxels]
    weight = magnitude[0][voxels] + np.finfo(np.float32).tiny  # also regions without signal

    def mean(values: np.ndarray) -> np.ndarray:
        total = np.bincount(label, weight * values, n_region + 1)
        return total / np.maximum(np.bincount(label, weight, n_region + 1), 1e-300)

    mean_turns = mean(first) / TWO_PI
    turns = -np.rint(mean_turns)
    if len(times) > 1:
        second = phase[1][voxels]
        ratio = times[1] / times[0]
        best = np.full(n_region + 1, np.inf)
        nearest_zero = turns.copy()
        for extra in range(-TURNS_TRIED, TURNS_TRIED + 1):
            shifted = first + TWO_PI * (nearest_zero + extra)[label]
            cost = mean(np.abs(wrap(second - ratio * shifted))) + TURN_PENALTY_RAD * abs(extra)
            cost += TIE_PENALTY_RAD * np.abs(mean_turns + nearest_zero + extra)
            turns = np.where(cost < best, nearest_zero + extra, turns)
            best = np.minimum(cost, best)
    phase[0][voxels] += (TWO_PI * turns[label]).astype(np.float32)


def _follow_echo_time(
    phase: np.ndarray,
    magnitude: np.ndarray,
    times: np.ndarray,
    inside: np.ndarray,
    echo: int,
    parameters: RomeoParameters,
) -> None:
    """Unwrap one echo in place from what the echoes before it predict."""
    turn = np.float32(TWO_PI)
    tiny = np.finfo(np.float32).tiny
    scale = max(magnitude[:echo].max(), tiny)  # vendors' magnitudes reach 1e7 and more
    numerator = np.zeros_like(phase[0])
    denominator = np.full_like(phase[0], tiny)
    for before in range(echo):
        ratio = np.float32(times[before] / times[echo])
        weight = (magnitude[before] / scale) ** 2 * ratio
        numerator += weight * phase[before]
        denominator += weight * ratio
    predicted = numerator / denominator
    phase[echo] += turn * np.rint((predicted - phase[echo]) / turn)

    uncertain = inside & (np.abs(phase[echo] - predicted) > UNCERTAIN_MISS_RAD)
    if uncertain.any():
        near = binary_dilation(uncertain, iterations=2) & inside
        costs = _edge_costs(phase, magnitude, times, near, echo)
        uncertain &= _voxel_quality(costs) < parameters.uncertain_quality
        _grow(phase[echo], costs, (inside & ~uncertain).astype(np.int32), np.empty(0, np.int64))
