"""The two compiled loops of ROMEO: weighing edges and growing regions.

Kept apart from ``romeo`` so that numba is only imported when something is unwrapped. All
arrays are flat views of a C-ordered box with a margin of one voxel outside the mask on
every side, so a neighbour is always at index +- stride and needs no bounds check.
"""

from __future__ import annotations

import math

import numba
import numpy as np

TWO_PI = 2 * math.pi
N_BINS = 256  # costs are 1...255; 0 means that there is no edge


def _compiled(signature: str):
    """Compile for one signature, cached on disk where numba finds a writable folder."""

    def decorate(function):
        try:
            return numba.njit(signature, cache=True, nogil=True)(function)
        except RuntimeError:  # read-only installation and no home: compile in each process
            return numba.njit(signature, nogil=True)(function)

    return decorate


@numba.njit(inline='always')
def _wrap(x):
    return x - TWO_PI * math.floor(x / TWO_PI + 0.5)


@_compiled('void(f4[::1], f4[::1], f4[::1], b1[::1], i8[::1], f8, u1[:, ::1])')
def edge_costs(phase, second_phase, magnitude, mask, strides, te_ratio, costs):
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
    costs : (3, n) uint8
        Output: 1 (best) to 255 (worst), 0 where there is no edge.
    """
    for axis in range(3):
        step = strides[axis]
        for i in range(phase.size - step):
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
            costs[axis, i] = max(int((1 - weight) * 255 + 0.5), 1)


@_compiled('i8(f4[::1], u1[:, ::1], i8[::1], i8[::1], i4[::1])')
def grow(phase, costs, strides, seeds, region):
    """Unwrap in place along the cheapest edges, from done voxels and then from seeds.

    Parameters
    ----------
    phase : (n,) float32, rad
        Unwrapped in place where region is 0 and a done voxel or a seed can be reached.
    costs : (3, n) uint8
        From :func:`edge_costs`.
    strides : (3,) int64
    seeds : (n_seed,) int64
        Candidates, best first. One that is still untouched when its turn comes starts a
        new region, so every component of the mask gets the best seed it has.
    region : (n,) int32
        0 where still to do, > 0 where done; holds the number of the region afterwards.

    Returns
    -------
    int
        Number of the last region.

    Notes
    -----
    The queue has one linked list (last in, first out) per cost. Its links are the edges
    themselves: edge ``axis * n + voxel``, at most once in the queue, so no memory is
    allocated while growing.
    """
    n = phase.size
    first = np.full(N_BINS, -1, np.int32)
    following = np.empty(3 * n, np.int32)
    last_region = 0
    lowest = N_BINS
    for voxel in range(n):
        if region[voxel] == 0:
            continue
        last_region = max(last_region, region[voxel])
        for side in range(6):
            step = strides[side >> 1]
            low = voxel if side & 1 else voxel - step
            other = voxel + step if side & 1 else voxel - step
            if low >= 0 and other < n:
                cost = costs[side >> 1, low]
                if cost and region[other] == 0:
                    edge = (side >> 1) * n + low
                    following[edge] = first[cost]
                    first[cost] = edge
                    lowest = min(lowest, cost)
    next_seed = 0
    while True:
        while lowest < N_BINS and first[lowest] < 0:
            lowest += 1
        if lowest < N_BINS:
            edge = first[lowest]
            first[lowest] = following[edge]
            axis = edge // n
            old = edge - axis * n
            new = old + strides[axis]
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
                return last_region
            new = seeds[next_seed]
            last_region += 1
            region[new] = last_region
        for side in range(6):
            step = strides[side >> 1]
            low = new if side & 1 else new - step
            other = new + step if side & 1 else new - step
            cost = costs[side >> 1, low]
            if cost and region[other] == 0:
                edge = (side >> 1) * n + low
                following[edge] = first[cost]
                first[cost] = edge
                lowest = min(lowest, cost)
