"""The box around a mask: what every field-side method checks, cuts out and puts back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from .grid import Grid

# of a weight in units of its median: inverse noise has a long tail, and a few bright voxels
# should neither rule a fit nor slow it down
LARGEST_WEIGHT = 2.0


@dataclass(frozen=True)
class MaskedRegion:
    """The bounding box of a mask.

    A field outside the mask is unknown and counts as zero, so nothing is lost by working
    in the box, time and memory follow the head and not the field of view, and a wider
    field of view of air does not change the result.

    Attributes
    ----------
    box : tuple of 3 slices
        Where the box lies in the full array.
    mask : (bx, by, bz) bool
        The mask in the box.
    grid : Grid
        Grid of the box.
    shape : (3,) int
        Shape of the full array.
    """

    box: tuple[slice, slice, slice]
    mask: np.ndarray
    grid: Grid
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, mask: np.ndarray, grid: Grid) -> MaskedRegion:
        """Return the box around the true voxels of a mask.

        Raises
        ------
        ValueError
            If the mask does not fit the grid or holds no voxel.
        """
        mask = np.asarray(mask)
        if mask.shape != grid.shape:
            raise ValueError(
                f'The mask has the shape {mask.shape} but its grid {grid.shape}.\n'
                'Voxels would be mixed up.\n'
                'Give the mask of this very image.'
            )
        found = ndimage.find_objects((mask != 0).view(np.uint8))
        if not found:
            raise ValueError(
                'The mask is empty.\n'
                'There is no voxel to compute anything from.\n'
                'Check the brain mask, or give one made by another program.'
            )
        inner = np.ascontiguousarray(mask[found[0]] != 0)
        return cls(found[0], inner, replace(grid, shape=inner.shape), grid.shape)

    def cut(self, values: np.ndarray, name: str) -> np.ndarray:
        """Return the float32 box of an image, zero outside the mask.

        Raises
        ------
        ValueError
            If the image has another shape, is complex, or is not finite inside the mask.
        """
        values = np.asarray(values)
        if values.shape != self.shape:
            raise ValueError(
                f'The {name} has the shape {values.shape} but the mask {self.shape}.\n'
                'Voxels would be mixed up.\n'
                'Give images of one grid.'
            )
        if np.iscomplexobj(values):
            raise ValueError(
                f'The {name} is complex.\n'
                'A real image is expected here and the imaginary part would be lost.\n'
                'Convert it first.'
            )
        cropped = np.where(self.mask, values[self.box], 0).astype(np.float32)
        if not np.isfinite(cropped).all():
            n = int((~np.isfinite(cropped)).sum())
            raise ValueError(
                f'The {name} is not a number in {n} voxels of the mask.\n'
                'A transform would spread them over the whole volume.\n'
                'Take these voxels out of the mask.'
            )
        return cropped

    def paste(self, values: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
        """Return the full array of a box, zero outside ``where`` (default: the mask)."""
        full = np.zeros(self.shape, values.dtype)
        np.copyto(full[self.box], values, where=self.mask if where is None else where)
        return full

    def depth_mm(self) -> np.ndarray:
        """Return each voxel's distance to the nearest voxel outside the mask.

        Returns
        -------
        (bx, by, bz) float32, mm
            Between voxel centres; 0 outside the mask. What lies beyond the array is unknown
            and counts as outside.
        """
        padded = np.pad(self.mask, 1)
        distance = ndimage.distance_transform_edt(padded, sampling=self.grid.voxel_size)
        return distance[1:-1, 1:-1, 1:-1].astype(np.float32)


def relative_weight(weight: np.ndarray | None, region: MaskedRegion) -> np.ndarray:
    """Return the box of a weight in units of its median, limited to twice that.

    Parameters
    ----------
    weight : (nx, ny, nz) float or None
        Confidence per voxel in any unit; None trusts every voxel of the mask alike.
    region : MaskedRegion
        The box to cut out.

    Returns
    -------
    (bx, by, bz) float32
        Zero outside the mask.

    Raises
    ------
    ValueError
        If the weight is not finite or negative inside the mask, or zero in all of it.
    """
    if weight is None:
        return region.mask.astype(np.float32)
    cropped = region.cut(weight, 'weight')
    if cropped.min() < 0 or cropped.max() == 0:
        raise ValueError(
            'The weight is negative somewhere or zero in the whole mask.\n'
            'A weight says how far each voxel can be trusted.\n'
            'Give the inverse of the noise, a reliability, or none.'
        )
    cropped /= np.median(cropped[cropped > 0])
    return np.minimum(cropped, LARGEST_WEIGHT, out=cropped)
