"""Halving the resolution of a label image: every voxel gets the label that fills most of it."""

from __future__ import annotations

from itertools import product

import numpy as np

from qsmbids.atlas.errors import AtlasError


def majority(
    fine: np.ndarray, fine_affine: np.ndarray, shape: tuple[int, ...], affine: np.ndarray
) -> np.ndarray:
    """Give every voxel the label that fills most of it.

    Parameters
    ----------
    fine : (mx, my, mz) int16
        Labels on voxels half as large, axes parallel to those of the target; may be cropped.
    fine_affine : (4, 4) float
    shape : (3,) int
        Of the target.
    affine : (4, 4) float
        Of the target. Its voxel centres are centres of small voxels as well.

    Returns
    -------
    (nx, ny, nz) int16

    Raises
    ------
    AtlasError
        If the grids do not lie on each other like that.

    Notes
    -----
    A voxel covers one small voxel fully and its 26 neighbours by a half, a quarter or an
    eighth. A tie goes to a label rather than to background, then to the smaller index.
    """
    step = np.linalg.inv(fine_affine) @ affine
    first = np.rint(step[:3, 3]).astype(int)
    if not np.allclose(step[:3, :3], 2 * np.eye(3), atol=1e-3) or not np.allclose(
        step[:3, 3], first, atol=1e-2
    ):
        raise AtlasError(
            'the label image does not lie on the grid of the template.',
            'It is expected at half the voxel size in the same space, cropped or whole.',
            'Give the file as it is published; `qsmbids-atlas fetch` gets it.',
        )
    padded = np.zeros(2 * np.array(shape) + 1, dtype=fine.dtype)  # begins one small voxel before
    start = 1 - first  # where the first voxel of the source goes
    low = np.maximum(start, 0)
    high = np.minimum(start + fine.shape, padded.shape)
    if np.all(high > low):
        target = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        source = tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
        padded[target] = fine[source]

    offsets = list(product(range(3), repeat=3))
    views = [
        padded[tuple(slice(o, o + 2 * n, 2) for o, n in zip(offset, shape, strict=True))]
        for offset in offsets
    ]
    result = views[13].copy()  # the centre
    mixed = np.zeros(shape, dtype=bool)
    for view in views:
        mixed |= view != result
    around = np.stack([view[mixed] for view in views])
    weights = [2 ** sum(o == 1 for o in offset) for offset in offsets]
    best = np.full(around.shape[1], -1)
    winner = np.zeros(around.shape[1], dtype=fine.dtype)
    for candidate in around:
        share = sum(w * (other == candidate) for w, other in zip(weights, around, strict=True))
        score = 2 * share + (candidate > 0)
        wins = (score > best) | ((score == best) & (candidate < winner))
        best = np.where(wins, score, best)
        winner = np.where(wins, candidate, winner)
    result[mixed] = winner
    return result
