"""The compiled loops of ROMEO: weighing edges, growing regions and following echo time.

Kept apart from ``romeo`` so that numba is only imported when something is unwrapped. The
first two work on flat views of a C-ordered box with a margin of one voxel outside the mask on
every side, so a neighbour is always at index +- stride and needs no bounds check.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from .compiled import compiled

TWO_PI = 2 * math.pi
N_BINS = 256  # costs are 1...255; 0 means that there is no edge


@numba.njit(inline='always')
def _wrap(x):
    return x - TWO_PI * math.floor(x / TWO_PI + 0.5)


@compiled('void(f4[::1], f4[::1], f4[::1], b1[::1], i8[::1], f8, u1[:, ::1], i8, i8)')
def edge_costs(phase, second_phase, magnitude, mask, strides, te_ratio, costs, start, stop):
    """Fill in the cost of the edge from every voxel to its next one along each axis.

    Parameters
    ----------
    phase : (n,) float32, rad
        The echo to unwrap.
    second_phase : (n,) float32, rad
        Another echo, for the gradient coherence; not read if te_ratio is 0.
    magnitude : (n,) float32
    mask : (n,) bool
    strides : (3,) int64
        Distance in the flat array between neighbours along each axis.
    te_ratio : float
        TE of phase / TE of second_phase, or 0 if there is no second echo.
    costs : (n, 3) uint8
        Output: 1 (best) to 255 (worst), 0 where there is no edge.
    start, stop : int
        Voxels whose edges are filled in.
    """
    for axis in range(3):
        step = strides[axis]
        for i in range(start, min(stop, phase.size - step)):
            j = i + step
            if not (mask[i] and mask[j]):
                continue
            difference = _wrap(phase[i] - phase[j])
            weight = 0.1 + 0.9 * (1 - abs(difference) / math.pi)
            if te_ratio > 0:
                expected = _wrap(second_phase[i] - second_phase[j]) * te_ratio
                weight *= 0.1 + 0.9 * max(0.0, 1 - abs(difference - expected))
            # linearity: second differences over the voxels before i and beyond j
            linearity = 1.0
            for end, inner, outer in ((i - step, i, j), (j + step, j, i)):
                if mask[end]:
                    bend = _wrap(phase[end] - 2.0 * phase[inner] + phase[outer])
                    linearity *= max(0.0, 1 - abs(bend) / 2)
                else:
                    linearity *= 0.9
            weight *= 0.1 + 0.9 * linearity
            low = min(magnitude[i], magnitude[j])
            high = max(magnitude[i], magnitude[j])
            ratio = low / high if high > 0 else 0.0
            weight *= 0.1 + 0.9 * ratio * ratio
            costs[i, axis] = max(int((1 - weight) * 255 + 0.5), 1)


@compiled('i8(f4[::1], u1[:, ::1], i8[::1], i8[::1], i4[::1])')
def grow(phase, costs, strides, seeds, region):
    """Unwrap in place along the cheapest edges, starting from seeds.

    Parameters
    ----------
    phase : (n,) float32, rad
        Unwrapped in place.
    costs : (n, 3) uint8
        From :func:`edge_costs`.
    strides : (3,) int64
    seeds : (n_seed,) int64
        Candidates, best first. One that is still untouched when its turn comes starts a
        new region, so every component of the mask gets the best seed it has.
    region : (n,) int32
        In: 0. Out: 1, 2, ... the number of the region; 0 where nothing was reached.

    Returns
    -------
    int
        Number of regions.

    Notes
    -----
    The queue has one linked list (last in, first out) per cost. Its links are the edges
    themselves: edge ``3 * voxel + axis``, at most once in the queue, so no memory is
    allocated while growing. The loop waits for memory most of the time: what belongs to a
    voxel lies side by side.
    """
    n = phase.size
    first = np.full(N_BINS, -1, np.int32)
    following = np.empty(3 * n, np.int32)
    n_region = 0
    lowest = N_BINS
    next_seed = 0
    while True:
        while lowest < N_BINS and first[lowest] < 0:
            lowest += 1
        if lowest < N_BINS:
            edge = first[lowest]
            first[lowest] = following[edge]
            old = edge // 3
            new = old + strides[edge - 3 * old]
            if region[new]:
                if region[old]:
                    continue
                old, new = new, old
            phase[new] -= TWO_PI * math.floor((phase[new] - phase[old]) / TWO_PI + 0.5)
            region[new] = region[old]
        else:
            while next_seed < seeds.size and region[seeds[next_seed]]:
                next_seed += 1
            if next_seed == seeds.size:
                return n_region
            new = seeds[next_seed]
            n_region += 1
            region[new] = n_region
        for side in range(6):
            axis = side >> 1
            low = new if side & 1 else new - strides[axis]
            other = new + strides[axis] if side & 1 else low
            cost = costs[low, axis]
            if cost and region[other] == 0:
                edge = 3 * low + axis
                following[edge] = first[cost]
                first[cost] = edge
                lowest = min(lowest, cost)


CERTAIN, UNCERTAIN = 1, 2  # states of a voxel; 0 is outside the mask
VOTES_NEEDED = 4  # of six neighbours: a majority that no flat rim or edge can give by itself


@compiled(
    'void(f4[:, :, :, :], f4[:, :, :, :], f8[::1], b1[:, :, :], i8, f8, u1[:, :, ::1], i8, i8)'
)
def follow_echo_time(phase, magnitude, times, mask, echo, largest_miss, state, start, stop):
    """Move one echo, in place, by whole turns to what the echoes before it predict.

    Parameters
    ----------
    phase : (n_echo, nx, ny, nz) float32, rad
        Echoes before this one unwrapped; this one changed in place.
    magnitude : (n_echo, nx, ny, nz) float32
    times : (n_echo,) float64, s
    mask : (nx, ny, nz) bool
    echo : int
    largest_miss : float, rad
        Distance from the prediction up to which a voxel is certain.
    state : (nx, ny, nz) uint8
        Output: 0 outside the mask, 1 certain, 2 uncertain.
    start, stop : int
        Planes of the first axis to work on.
    """
    for i in range(start, stop):
        for j in range(mask.shape[1]):
            for k in range(mask.shape[2]):
                if not mask[i, j, k]:
                    continue
                above, below = 0.0, 1e-300
                for before in range(echo):
                    weight = magnitude[before, i, j, k] * times[before]
                    above += weight * phase[before, i, j, k]
                    below += weight * times[before]
                predicted = times[echo] * above / below
                miss = _wrap(phase[echo, i, j, k] - predicted)
                phase[echo, i, j, k] += TWO_PI * math.floor(
                    (predicted + miss - phase[echo, i, j, k]) / TWO_PI + 0.5
                )
                state[i, j, k] = CERTAIN if abs(miss) <= largest_miss else UNCERTAIN


@numba.njit
def _agreed_turns(phase, state, shape, voxel):
    """Return the turns by which the certain neighbours of a voxel say it is off, or NaN."""
    here = phase[voxel[0], voxel[1], voxel[2]]
    votes = 0
    agreed = 0.0
    for side in range(6):
        axis, step = side >> 1, 2 * (side & 1) - 1
        neighbour = voxel[axis] + step
        if neighbour < 0 or neighbour >= shape[axis]:
            continue
        i = neighbour if axis == 0 else voxel[0]
        j = neighbour if axis == 1 else voxel[1]
        k = neighbour if axis == 2 else voxel[2]
        if state[i, j, k] != CERTAIN:
            continue
        difference = (phase[i, j, k] - here) / TWO_PI
        turns = math.floor(difference + 0.5)
        if abs(difference - turns) > 0.25 or (votes and turns != agreed):
            return math.nan
        agreed = turns
        votes += 1
    return agreed if votes >= VOTES_NEEDED else math.nan


@compiled('i8(f4[:, :, :], u1[:, :, ::1])')
def mend_turns(phase, state):
    """Move uncertain voxels, in place, by the whole turns on which their neighbours agree.

    Parameters
    ----------
    phase : (nx, ny, nz) float32, rad
    state : (nx, ny, nz) uint8
        From :func:`follow_echo_time`; voxels that could be judged become certain.

    Returns
    -------
    int
        Number of voxels moved.

    Notes
    -----
    Rounds are repeated until nothing can be judged any more, so that clusters are mended
    from their rim inwards. Within a round every voxel sees the state before it: the result
    does not depend on the order of the axes.
    """
    shape = np.array(phase.shape)
    rest = np.argwhere(state == UNCERTAIN)
    turns = np.empty(len(rest), np.float64)
    moved = 0
    while True:
        judged = 0
        for v in range(len(rest)):
            turns[v] = _agreed_turns(phase, state, shape, rest[v])
        left = 0
        for v in range(len(rest)):
            i, j, k = rest[v]
            if np.isnan(turns[v]):
                rest[left] = rest[v]
                left += 1
            else:
                phase[i, j, k] += TWO_PI * turns[v]
                state[i, j, k] = CERTAIN
                moved += turns[v] != 0
                judged += 1
        rest = rest[:left]
        if judged == 0:
            return moved
