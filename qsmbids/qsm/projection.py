"""Minimum intensity projection: dark vessels joined over several slices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import minimum_filter1d

from .grid import Grid


@dataclass(frozen=True, kw_only=True)
class ProjectionParameters:
    """Parameters that every susceptibility-weighted image has for its slices."""

    # mm, between the centres of the first and the last slice of the slab. Other programs take
    # 4 to 7 slices; 8 mm is five slices of 2 mm
    projection_mm: float = 8.0
    # array axis (0, 1 or 2) across the slices; None: the one nearest to B0, as in axial scans
    slice_axis: float | None = None

    def __post_init__(self) -> None:
        if not (np.isfinite(self.projection_mm) and self.projection_mm >= 0):
            raise ValueError(
                f'The projection must be 0 mm or more thick, got {self.projection_mm}.\n'
                'It is the slab whose darkest voxels are shown.\n'
                'Use about 8 mm; 0 leaves the slices as they are.'
            )
        if self.slice_axis is not None and self.slice_axis not in (0, 1, 2):
            raise ValueError(
                f'The slice axis must be 0, 1, 2 or none, got {self.slice_axis}.\n'
                'Slices are stacked along one axis of the array.\n'
                'Use none for the axis nearest to B0.'
            )


def slice_axis_of(grid: Grid, parameters: ProjectionParameters) -> int:
    """Return the array axis across the slices: as given, or the one nearest to B0.

    Examples
    --------
    >>> slice_axis_of(Grid((4, 4, 4), b0_direction=(0.0, -0.9, 0.4)), ProjectionParameters())
    1
    """
    if parameters.slice_axis is not None:
        return int(parameters.slice_axis)
    return int(np.argmax(np.abs(grid.b0_direction)))


def project_minimum(
    image: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    parameters: ProjectionParameters = ProjectionParameters(),
) -> np.ndarray:
    """Show in each slice the darkest voxel of a slab around it.

    A vein that runs through several slices is a dot in each of them; in the minimum over a
    slab its dots join to a line. The slab moves along with the slice, so the result lies on
    the grid of the image:

        mIP(x, y, z) = min { image(x, y, z') : |z' - z| h <= thickness / 2, in the mask }.

    Parameters
    ----------
    image : (nx, ny, nz) float
        For example an SWI.
    mask : (nx, ny, nz) bool
        The brain: the dark skull outside would hide everything beneath it.
    grid : Grid
        Voxel size, and the direction of B0 for the default axis.
    parameters : ProjectionParameters
        Thickness and axis.

    Returns
    -------
    (nx, ny, nz) float32
        Zero where the slab holds no voxel of the mask. A thickness below two voxels leaves
        the slices as they are.

    Raises
    ------
    ValueError
        If shapes differ, the mask is empty, or the image is not finite inside it.

    Notes
    -----
    Fewer slices are left at either end of the mask; nothing is invented beyond it. One pass
    over the image whatever the thickness, and about 10 bytes per voxel.

    Examples
    --------
    >>> image = np.array([5, 1, 5, 4, 0], np.float32).reshape(1, 1, 5)
    >>> mask = np.array([1, 1, 1, 1, 0], bool).reshape(1, 1, 5)
    >>> thin = ProjectionParameters(projection_mm=2.0)
    >>> project_minimum(image, mask, Grid(mask.shape), parameters=thin).ravel().tolist()
    [1.0, 1.0, 1.0, 4.0, 4.0]
    """
    image, mask = np.asarray(image), np.asarray(mask, dtype=bool)
    if not image.shape == mask.shape == grid.shape:
        raise ValueError(
            f'Image {image.shape}, mask {mask.shape} and grid {grid.shape} differ.\n'
            'Voxels would be mixed up.\n'
            'Give one 3-D image, its mask and its grid.'
        )
    if not mask.any():
        raise ValueError(
            'The mask is empty.\n'
            'There is nothing to project.\n'
            'Check the brain mask, or give one made by another program.'
        )
    if not np.isfinite(image[mask]).all():
        raise ValueError(
            'The image is not a number somewhere in the mask.\n'
            'It would be the darkest voxel of its slab.\n'
            'Take these voxels out of the mask.'
        )
    axis = slice_axis_of(grid, parameters)
    reach = int(parameters.projection_mm / 2 / grid.voxel_size[axis] + 1e-6)
    values = np.where(mask, image, np.inf).astype(np.float32)
    darkest = minimum_filter1d(values, 2 * reach + 1, axis=axis, mode='constant', cval=np.inf)
    darkest[np.isinf(darkest)] = 0
    return darkest
