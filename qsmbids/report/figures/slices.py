"""Which slices to show: spread over a mask, or where the regions are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def spread(mask: np.ndarray, axis: int, count: int, low: float, high: float) -> list[int]:
    """Return ``count`` slice indices between two fractions of a mask's extent.

    Parameters
    ----------
    mask : (nx, ny, nz) bool
    axis : int
        0 sagittal, 1 coronal, 2 axial.
    count : int
    low, high : float
        Fractions in 0...1.

    Examples
    --------
    >>> spread(np.ones((3, 3, 11), bool), 2, 3, 0.0, 1.0)
    [0, 5, 10]
    """
    hit = np.flatnonzero(mask.any(axis=tuple(i for i in range(3) if i != axis)))
    if not hit.size:
        hit = np.arange(mask.shape[axis])
    span = hit[-1] - hit[0]
    positions = hit[0] + span * np.linspace(low, high, count)
    return list(dict.fromkeys(round(float(p)) for p in positions))


def balanced(regions: np.ndarray, axis: int, fractions: Sequence[float]) -> list[int]:
    """Return slice indices that share labelled regions out evenly.

    Every region counts the same, however small it is, so that slices fall where the nuclei
    are and not where the largest region is.

    Parameters
    ----------
    regions : (nx, ny, nz) int or bool
        Labels, 0 for none.
    axis : int
        0 sagittal, 1 coronal, 2 axial.
    fractions : sequence of float
        Quantiles of the weight along the axis, ascending in 0...1.

    Examples
    --------
    >>> regions = np.zeros((1, 1, 9), int)
    >>> regions[..., 2], regions[..., 6:] = 1, 2
    >>> balanced(regions, 2, (0.25, 0.75))
    [2, 7]
    """
    where = np.nonzero(regions)
    # voxels of each label in each slice; numbered anew, since labels may run into millions
    found, label = np.unique(regions[where], return_inverse=True)
    n_slices = regions.shape[axis]
    count = np.bincount(where[axis] + n_slices * label, minlength=n_slices * found.size)
    count = count.reshape(found.size, n_slices).T
    weight = (count / count.sum(axis=0)).sum(axis=1)
    total = np.cumsum(weight)
    picked = np.searchsorted(total, np.asarray(fractions) * total[-1])
    return list(dict.fromkeys(int(i) for i in picked))
