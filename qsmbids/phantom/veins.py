"""Veins as tubes: the large ones of every head and a few small ones at random.

A vein is a polyline in template millimetres with a radius. It is carried into the subject
with the inverse of the warp and drawn there as a round tube, so that even thin veins keep
their calibre.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qsmbids.phantom.pose import PosedWarp
from qsmbids.phantom.warp import Warp

_STEP_MM = 0.4  # between the balls that make up a tube
N_RANDOM_PER_SIDE = 8


class Vein(NamedTuple):
    """A tube along a polyline."""

    path_mm: np.ndarray  # (n, 3), template
    radius_mm: float


# the left member of a pair; the right one is its mirror image
_MIDLINE = (
    Vein(np.array([(0, -43, 8), (0, -62, 1), (0, -84, -7), (0, -99, -13)]), 2.2),  # straight sinus
)
_PAIRED = (
    # internal cerebral vein into the vein of Galen
    Vein(np.array([(-2.5, 3, 10), (-2.5, -18, 13), (-2.5, -34, 11), (0, -43, 8)]), 1.1),
    # thalamostriate vein
    Vein(np.array([(-17, -22, 22), (-15, -6, 19), (-9, 3, 14), (-2.5, 3, 10)]), 0.7),
    # transverse and sigmoid sinus
    Vein(
        np.array(
            [(0, -99, -13), (-26, -96, -20), (-48, -79, -27), (-59, -58, -31), (-56, -46, -44),
             (-42, -42, -58)]
        ),
        3.0,
    ),
)  # fmt: skip


def veins(rng: np.random.Generator) -> list[Vein]:
    """Return the named veins of both sides and random veins of the deep white matter."""
    found = list(_MIDLINE)
    for side in (-1, 1):
        flip = np.array([-side, 1, 1])  # paths are given for the left side
        found += [Vein(path * flip, radius) for path, radius in _PAIRED]
        found += [_random_vein(side, rng) for _ in range(N_RANDOM_PER_SIDE)]
    return found


def _random_vein(side: int, rng: np.random.Generator) -> Vein:
    """Draw a gently bent tube from the wall of the lateral ventricle outwards."""
    start = np.array([side * rng.uniform(14, 24), rng.uniform(-40, 28), rng.uniform(14, 26)])
    direction = np.array([side * rng.uniform(0.4, 1.0), rng.normal(0, 0.4), rng.uniform(0.1, 0.9)])
    direction /= np.linalg.norm(direction)
    bend = rng.normal(0, 0.15, 3)
    t = np.linspace(0, 1, 6)[:, None] * rng.uniform(15, 30)
    return Vein(start + t * direction + (t**2 / 30) * bend, rng.uniform(0.5, 0.9))


def vein_fraction(
    tubes: Sequence[Vein], warp: Warp | PosedWarp, axes: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Draw tubes on a grid.

    Parameters
    ----------
    tubes : sequence of Vein
    warp : Warp or PosedWarp
        Slab to template.
    axes : three 1-D arrays, mm
        Evenly spaced slab coordinates along the array axes, ascending or descending.

    Returns
    -------
    index : (n,) int
        Flat indices of the voxels that are touched, each once.
    fraction : (n,) float32
        How much of the voxel is vein, 0 to 1.
    """
    starts = np.array([axis[0] for axis in axes])
    steps = np.array([axis[1] - axis[0] for axis in axes])
    shape = tuple(len(axis) for axis in axes)
    indices, fractions = [], []
    for tube in tubes:
        centres = (warp.inverse_at(_resample(tube.path_mm)) - starts) / steps
        for index, fraction in _balls(centres, tube.radius_mm, np.abs(steps), shape):
            indices.append(index)
            fractions.append(fraction)
    if not indices:
        return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.float32)
    touched, inverse = np.unique(np.concatenate(indices), return_inverse=True)
    largest = np.zeros(len(touched), dtype=np.float32)
    np.maximum.at(largest, inverse, np.concatenate(fractions))
    return touched, largest


def _resample(path: np.ndarray) -> np.ndarray:
    """Points along a polyline, at most ``_STEP_MM`` apart."""
    lengths = np.linalg.norm(np.diff(path, axis=0), axis=1)
    along = np.concatenate([[0], np.cumsum(lengths)])
    wanted = np.linspace(0, along[-1], int(along[-1] / _STEP_MM) + 2)
    return np.stack([np.interp(wanted, along, path[:, axis]) for axis in range(3)], axis=1)


def _balls(
    centres: np.ndarray, radius_mm: float, voxel_size: np.ndarray, shape: tuple[int, int, int]
):
    """Yield (flat indices, fractions) of a ball round each centre (voxel coordinates)."""
    edge = voxel_size.mean()  # over this distance the fraction falls from 1 to 0
    reach = np.ceil((radius_mm + edge) / voxel_size).astype(int)
    offsets = np.stack(
        np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing='ij'), axis=-1
    ).reshape(-1, 3)
    for centre in centres:
        voxels = np.rint(centre).astype(int) + offsets
        distance = np.linalg.norm((voxels - centre) * voxel_size, axis=1)
        fraction = np.clip((radius_mm - distance) / edge + 0.5, 0, 1)
        keep = (fraction > 0) & np.all((voxels >= 0) & (voxels < shape), axis=1)
        yield (
            np.ravel_multi_index(tuple(voxels[keep].T), shape),
            fraction[keep].astype(np.float32),
        )
