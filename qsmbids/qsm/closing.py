"""Opening and closing of masks, with distances in millimetres."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .grid import Grid
from .masks import dilate, erode, fill_holes


def opening(mask: np.ndarray, radius_mm: float, grid: Grid) -> np.ndarray:
    """Erode, then dilate: take away what a ball of the radius does not fit into.

    Parameters
    ----------
    mask : (nx, ny, nz) bool
    radius_mm : float, mm
        Cuts bridges and spikes thinner than about twice this; 0 changes nothing.
    grid : Grid
        What lies beyond the image counts as outside.

    Returns
    -------
    (nx, ny, nz) bool
        A subset of the mask, possibly empty.

    Raises
    ------
    ValueError
        If the mask does not belong to the grid or the radius is negative.
    """
    return dilate(erode(mask, radius_mm, grid), radius_mm, grid)


def closing(mask: np.ndarray, radius_mm: float, grid: Grid) -> np.ndarray:
    """Dilate, then erode: close gaps narrower than about twice the radius.

    The result holds the mask, also where that touches the border of the image: the work is
    done in a frame of empty voxels, so that the erosion takes nothing away there.

    Parameters, errors and units are those of :func:`opening`.
    """
    framed, frame_grid, inside = _framed(mask, radius_mm, grid)
    return erode(dilate(framed, radius_mm, frame_grid), radius_mm, frame_grid)[inside]


def closing_with_holes(mask: np.ndarray, radius_mm: float, grid: Grid) -> np.ndarray:
    """Dilate, fill the holes, then erode: as :func:`closing`, and bays that it seals go too."""
    framed, frame_grid, inside = _framed(mask, radius_mm, grid)
    sealed = fill_holes(dilate(framed, radius_mm, frame_grid))
    return erode(sealed, radius_mm, frame_grid)[inside]


def _framed(
    mask: np.ndarray, radius_mm: float, grid: Grid
) -> tuple[np.ndarray, Grid, tuple[slice, ...]]:
    """Return the mask in a frame as wide as the radius, its grid, and where the mask lies."""
    dilate(np.zeros_like(mask, bool), radius_mm, grid)  # the same checks and messages
    reach = [int(radius_mm / h + 1e-6) for h in grid.voxel_size]
    framed = np.pad(np.asarray(mask, bool), [(r, r) for r in reach])
    inside = tuple(slice(r, r + n) for r, n in zip(reach, grid.shape, strict=True))
    return framed, replace(grid, shape=framed.shape), inside
