"""The rim of a lesion: is its edge above its core and above what surrounds it.

The profile of a lesion is its mean susceptibility over the local background in shells round
its edge: three inside (``in1`` is the outermost), three outside. A *paramagnetic rim* is a
shell near the edge that stands above the core **and** above the surroundings.

A map is not sharp: in a plain solid lesion the outer shell is lower than the core (partial
volume), and inversions may overshoot a little at a strong edge. Round a calcification the edge
is above its core, but not above the surroundings. So three conditions must hold together:

1. **z**: with the rim shell as the highest of ``in2``, ``in1`` and ``out1`` (a drawn edge is
   uncertain by a voxel), both rim - core and rim - outside are at least ``MIN_Z`` times their
   noise. The noise of a mean is that of the local background divided by the root of the number
   of independent values, one for every 8 voxels. z is the smaller of the two.
2. **ratio**: the smaller of the two differences is at least ``MIN_RATIO`` of the larger one.
   An overshoot is a small part of the step it belongs to; a rim is not.
3. **completeness**: space round the centre of the lesion is cut into 24 equal directions; in at
   least ``MIN_COMPLETENESS`` of them the rim is above the core and above the outside of that
   direction, by ``MIN_EXCESS`` of the mean differences or more (any excess at all would count
   half of the directions in which there is only noise).

Core is what lies more than two shells inside; a lesion with fewer than ``MIN_CORE_VOXELS`` of
such voxels (about eight voxels across) is too small for the question, and the answer is n/a.
Outside is one to three shells away. The thresholds were chosen on simulated lesions
(``benchmarks/lesions.py``); they are no published criteria.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from qsmbids.atlas.lesions.components import directions, mean_noise, shell_width

MIN_Z = 4.0
MIN_RATIO = 0.2
MIN_COMPLETENESS = 2 / 3
MIN_EXCESS = 0.3  # of the mean difference, for a direction to count
MIN_CORE_VOXELS = 7
N_DIRECTIONS = 24
_MIN_DIRECTIONS = 12  # seen; with fewer a lesion is half outside the map
SHELLS = ('in3', 'in2', 'in1', 'out1', 'out2', 'out3')
_CANDIDATES = ('in2', 'in1', 'out1')
RIM_COLUMNS = (
    'rim_shell', 'rim_mean', 'core_mean', 'rim_minus_core', 'rim_minus_outside',
    'rim_positive_fraction', 'rim_completeness', 'rim_ratio', 'rim_z', 'rim_flag',
)  # fmt: skip


def rim_profile(
    contrast: np.ndarray,
    distance: np.ndarray,
    free: np.ndarray,
    centre: np.ndarray,
    voxel_size: Sequence[float],
    noise: float,
) -> dict[str, Any]:
    """Measure the shells of one lesion and test for a rim.

    Parameters
    ----------
    contrast : (wx, wy, wz) float, ppm
        Susceptibility over the local background, in the window of the lesion.
    distance : (wx, wy, wz) float, mm
        From the edge, negative inside.
    free : (wx, wy, wz) bool
        Voxels that count.
    centre : (3,) float
        Of the lesion, voxel indices in the window.
    voxel_size : (3,) float, mm
    noise : float, ppm
        Of one voxel.

    Returns
    -------
    dict
        ``shell_in3`` ... ``shell_out3`` (ppm) and the columns of ``RIM_COLUMNS``;
        ``rim_flag`` is 'yes', 'no' or 'n/a'.
    """
    depth = np.floor(distance / shell_width(voxel_size))  # -1: first inside, 0: first outside
    zones = {name: free & (depth == n) for name, n in zip(SHELLS, range(-3, 3), strict=True)}
    profile = {f'shell_{name}': _mean(contrast, zone) for name, zone in zones.items()}
    nothing = profile | dict.fromkeys(RIM_COLUMNS, math.nan) | {
        'rim_shell': 'n/a', 'rim_flag': 'n/a',
    }  # fmt: skip
    core = free & (depth < -2)
    outside = zones['out2'] | zones['out3']
    n_core, n_outside = int(core.sum()), int(outside.sum())
    found = [name for name in _CANDIDATES if zones[name].any()]
    known = math.isfinite(noise) and n_outside > 0 and found
    if not known or n_core < MIN_CORE_VOXELS:
        return nothing
    shell = max(found, key=lambda name: profile[f'shell_{name}'])
    rim = zones[shell]
    mean, core_mean = profile[f'shell_{shell}'], _mean(contrast, core)
    over_core, over_outside = mean - core_mean, mean - _mean(contrast, outside)
    of_rim = mean_noise(noise, int(rim.sum()))
    z = min(
        over_core / math.hypot(of_rim, mean_noise(noise, n_core)),
        over_outside / math.hypot(of_rim, mean_noise(noise, n_outside)),
    )
    low, high = sorted((over_core, over_outside))
    ratio = low / high if high > 0 else math.nan
    excess = (core_mean + MIN_EXCESS * max(over_core, 0.0), MIN_EXCESS * max(over_outside, 0.0))
    completeness = _completeness(contrast, rim, outside, excess, centre, voxel_size)
    if math.isnan(completeness):
        return nothing
    is_rim = z >= MIN_Z and ratio >= MIN_RATIO and completeness >= MIN_COMPLETENESS
    return profile | {
        'rim_shell': shell,
        'rim_mean': mean,
        'core_mean': core_mean,
        'rim_minus_core': over_core,
        'rim_minus_outside': over_outside,
        'rim_positive_fraction': float((contrast[rim] > 0).mean()),
        'rim_completeness': completeness,
        'rim_ratio': ratio,
        'rim_z': z,
        'rim_flag': 'yes' if is_rim else 'no',
    }


def _completeness(
    contrast: np.ndarray,
    rim: np.ndarray,
    outside: np.ndarray,
    least: tuple[float, float],
    centre: np.ndarray,
    voxel_size: Sequence[float],
) -> float:
    """Return the share of directions in which the rim is above the core and the outside.

    ``least`` is what the rim must exceed as it is, and over the outside of the direction.
    """
    axes = directions(N_DIRECTIONS).T
    sums = [
        _by_direction(contrast[zone], ((np.argwhere(zone) - centre) * voxel_size) @ axes)
        for zone in (rim, outside)
    ]
    seen = ~np.isnan(sums[0]) & ~np.isnan(sums[1])
    if seen.sum() < _MIN_DIRECTIONS:
        return math.nan
    above = (sums[0] > least[0]) & (sums[0] - sums[1] > least[1])
    return float(above[seen].mean())


def _by_direction(values: np.ndarray, cosines: np.ndarray) -> np.ndarray:
    """Return the mean of the values nearest to each direction, NaN where there is none."""
    nearest = np.argmax(cosines, axis=1)
    count = np.bincount(nearest, minlength=N_DIRECTIONS)
    total = np.bincount(nearest, weights=values, minlength=N_DIRECTIONS)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _mean(values: np.ndarray, where: np.ndarray) -> float:
    found = values[where]
    return float(found.mean(dtype=np.float64)) if found.size else math.nan
