"""Edges of the anatomy: where a susceptibility map may jump."""

from __future__ import annotations

import numpy as np

from .kernels import gradient


def find_edges(
    magnitude: np.ndarray, mask: np.ndarray, voxel_size: tuple[float, float, float], share: float
) -> np.ndarray:
    """Return the edges of a magnitude image, one mask for each direction.

    Tissues that differ in susceptibility usually differ in magnitude as well, so a jump of
    chi belongs where the magnitude jumps. A pair of neighbours along an axis is an edge if
    its difference per mm is among the largest of all pairs inside the mask, the three axes
    taken together: a direction without borders gets few edges.

    Parameters
    ----------
    magnitude : (nx, ny, nz) float
        Root sum of squares over echoes, in any unit.
    mask : (nx, ny, nz) bool
        Pairs that leave it are no edges: the border of the brain is one in every magnitude.
    voxel_size : (3,) float, mm
        Voxel size.
    share : float
        Fraction of the pairs inside the mask that count as edges, 0 to 1.

    Returns
    -------
    (3, nx, ny, nz) bool
        True where the pair of a voxel and the next one along the axis is an edge.

    References
    ----------
    .. [1] Liu J et al. NeuroImage 2012;59:2560. doi:10.1016/j.neuroimage.2011.08.082

    Examples
    --------
    >>> step = np.repeat([1.0, 1.0, 2.0, 2.0], 9).reshape(4, 3, 3)
    >>> edges = find_edges(step, np.ones(step.shape, bool), (1.0, 1.0, 1.0), 0.2)
    >>> edges.sum(axis=(1, 2, 3)).tolist(), bool(edges[0, 1].all())
    ([9, 0, 0], True)
    """
    inside = np.empty((3, *mask.shape), bool)
    for axis in range(3):
        inside[axis] = mask & np.roll(mask, -1, axis)
        last = [slice(None)] * 3
        last[axis] = -1
        inside[axis][tuple(last)] = False  # it would look at the first one
    edges = np.zeros_like(inside)
    if share == 0 or not inside.any():
        return edges
    steepness = np.abs(gradient(np.asarray(magnitude, np.float32), voxel_size))
    level = np.quantile(steepness[inside], 1 - share)
    return np.logical_and(inside, steepness > level, out=edges)
