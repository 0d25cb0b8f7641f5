"""Operations on masks, with distances in millimetres."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import label

from .echoes import bounding_box
from .fft import PaddedFFT
from .grid import Grid

SMALLEST_MASK_VOXELS = 1000  # with fewer, no map of a brain can be computed


def erode(mask: np.ndarray, radius_mm: float, grid: Grid) -> np.ndarray:
    """Take away every voxel with something outside the mask within a radius.

    Parameters
    ----------
    mask : (nx, ny, nz) bool
    radius_mm : float, mm
        Centre-to-centre distance; 0 changes nothing.
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
    mask = _checked(mask, radius_mm, grid)
    if not mask.any():
        return mask.copy()
    box = bounding_box(mask, margin=1)
    near_outside = _within(~np.pad(mask[box], 1), radius_mm, grid)[1:-1, 1:-1, 1:-1]
    eroded = np.zeros_like(mask)
    eroded[box] = mask[box] & ~near_outside
    return eroded


def dilate(mask: np.ndarray, radius_mm: float, grid: Grid) -> np.ndarray:
    """Add every voxel with something of the mask within a radius; see :func:`erode`."""
    mask = _checked(mask, radius_mm, grid)
    if not mask.any():
        return mask.copy()
    margin = int(np.ceil(radius_mm / min(grid.voxel_size)))
    box = bounding_box(mask, margin)
    dilated = np.zeros_like(mask)
    dilated[box] = _within(mask[box], radius_mm, grid)
    return dilated


def fill_holes(mask: np.ndarray) -> np.ndarray:
    """Add what is enclosed by the mask, without a way over voxel faces to the outside.

    Parameters
    ----------
    mask : (nx, ny, nz) bool

    Returns
    -------
    (nx, ny, nz) bool
    """
    mask = np.asarray(mask, dtype=bool)
    if not mask.any():
        return mask.copy()
    box = bounding_box(mask)
    # the frame joins everything outside to one component
    component, _ = label(~np.pad(mask[box], 1))
    filled = np.zeros_like(mask)
    filled[box] = (component != component[0, 0, 0])[1:-1, 1:-1, 1:-1]
    return filled


def largest_component(mask: np.ndarray) -> np.ndarray:
    """Return the largest part of a mask that hangs together over voxel faces.

    Parameters
    ----------
    mask : (nx, ny, nz) bool

    Returns
    -------
    (nx, ny, nz) bool
        Empty if the mask is empty.
    """
    mask = np.asarray(mask, dtype=bool)
    if not mask.any():
        return mask.copy()
    box = bounding_box(mask)
    component, _ = label(mask[box])
    sizes = np.bincount(component.ravel())
    sizes[0] = 0
    largest = np.zeros_like(mask)
    largest[box] = component == sizes.argmax()
    return largest


def otsu_threshold(values: np.ndarray, bins: int = 256) -> float:
    """Return the threshold that parts values into two classes as different as possible.

    Parameters
    ----------
    values : (...) float
        Values that are not finite are left out.
    bins : int
        Number of histogram bins between the smallest and the largest value.

    Returns
    -------
    float
        The largest variance between the classes lies here; the edge between two bins.

    Raises
    ------
    ValueError
        If there are fewer than two different finite values.

    References
    ----------
    .. [1] Otsu N. IEEE Trans Syst Man Cybern 1979;9:62. doi:10.1109/TSMC.1979.4310076
    """
    values = np.asarray(values)
    values = values[np.isfinite(values)]
    if values.size == 0 or values.min() == values.max():
        raise ValueError(
            'A threshold needs at least two different values.\n'
            'In an image of one value nothing can be told apart.\n'
            'Check that the image is not empty.'
        )
    counts, edges = np.histogram(values, bins)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1].astype(float)
    above = values.size - below
    sum_below = np.cumsum(counts * centres)[:-1]
    sum_above = (counts * centres).sum() - sum_below
    distance = sum_below / np.maximum(below, 1) - sum_above / np.maximum(above, 1)
    between = below * above * distance**2
    # over an empty stretch of the histogram the variance is flat: take its middle
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return float(edges[1 + (best[0] + best[-1]) // 2])


def _within(mask: np.ndarray, radius_mm: float, grid: Grid) -> np.ndarray:
    """Tell which voxels have a voxel of the mask within a radius (by convolution)."""
    reach = [int(radius_mm / h + 1e-6) for h in grid.voxel_size]
    if max(reach) == 0:
        return mask.copy()
    axes = [np.arange(-r, r + 1) * h for r, h in zip(reach, grid.voxel_size, strict=True)]
    squared = sum(x**2 for x in np.meshgrid(*axes, indexing='ij', sparse=True))
    ball = squared <= (radius_mm * (1 + 1e-6)) ** 2
    fft = PaddedFFT(mask.shape, (1, 1, 1), padding_mm=2 * max(reach))
    counted = fft.inverse_full(
        fft.forward(mask.astype(np.float32)) * fft.forward(ball.astype(np.float32))
    )
    # the ball's centre is at index reach, so is the count of voxel 0
    centred = counted[tuple(slice(r, r + n) for r, n in zip(reach, mask.shape, strict=True))]
    return centred > 0.5


def _checked(mask: np.ndarray, radius_mm: float, grid: Grid) -> np.ndarray:
    mask = np.asarray(mask, dtype=bool)
    if mask.shape != grid.shape:
        raise ValueError(
            f'The mask {mask.shape} does not belong to the grid {grid.shape}.\n'
            'Distances in it would be wrong.\n'
            'Give the grid of the image that the mask was made of.'
        )
    if not (np.isfinite(radius_mm) and radius_mm >= 0):
        raise ValueError(
            f'The radius must be 0 mm or more, got {radius_mm}.\n'
            'It is the distance by which a mask shrinks or grows.\n'
            'Use erode to shrink a mask and dilate to let it grow.'
        )
    return mask
