"""Bringing a scan into the frame of another scan of the same head: maps, mask and B0.

The rigid motion maps world points of the reference to world points of the scan, x_i = R x + t
(RAS mm). So a vector v that was measured in the frame of the scan is R' v in the frame of the
reference. B0 is such a vector: along the z axis of the scanner in *each* scan, whereas the head
was turned under it. With the head held fast in the reference frame, B0 points along R' z.

Maps are interpolated once, from the scan's own grid.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from qsmbids.atlas.images import voxel_size

# a voxel is kept if all that it is interpolated from lies inside the mask
_WHOLE = 0.999


def direction_in_reference(
    b0_direction: Sequence[float], affine: np.ndarray, motion: np.ndarray, reference: np.ndarray
) -> tuple[float, float, float]:
    """Return the B0 of a scan along the voxel axes of the reference scan.

    Parameters
    ----------
    b0_direction : (3,) float
        Unit vector along the voxel axes of the scan.
    affine, reference : (4, 4) float
        Voxel indices to world of the scan and of the reference scan.
    motion : (4, 4) float
        Maps world points of the reference to world points of the scan.

    Notes
    -----
    With D = affine[:3, :3] / voxel size, whose columns are the voxel axes in the world, the
    direction is D_ref' R' D_scan b. For a scan in scanner coordinates D_scan b is z.

    Examples
    --------
    The head of the second scan is turned by 30 degrees about the x axis, towards the back:

    >>> angle = np.radians(30)
    >>> motion = np.eye(4)
    >>> motion[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    >>> b0 = direction_in_reference((0, 0, 1), np.eye(4), motion, np.eye(4))
    >>> [round(v, 3) for v in b0]
    [0.0, 0.5, 0.866]
    """
    in_scan = affine[:3, :3] / voxel_size(affine) @ np.asarray(b0_direction, dtype=float)
    in_reference = motion[:3, :3].T @ in_scan
    along_axes = (reference[:3, :3] / voxel_size(reference)).T @ in_reference
    return tuple(float(v) + 0.0 for v in along_axes / np.linalg.norm(along_axes))


class Realigner:
    """Resample maps of a scan, known inside its mask only, onto the grid of the reference.

    Outside the mask a map has no values, and the zeros stored there must not leak in: the map
    is continued outwards with the nearest value inside before it is interpolated, and the mask
    keeps only voxels that are interpolated from its inside.

    Parameters
    ----------
    mask : (nx, ny, nz) bool
        Where the maps are known.
    affine : (4, 4) float
        Of the scan.
    motion : (4, 4) float
        Maps world points of the reference to world points of the scan.
    shape, reference
        Shape and affine of the grid wanted.

    Raises
    ------
    ValueError
        If the mask is empty.
    """

    def __init__(
        self, mask: np.ndarray, affine: np.ndarray, motion: np.ndarray,
        shape: Sequence[int], reference: np.ndarray,
    ):  # fmt: skip
        if not mask.any():
            raise ValueError(
                'The mask of a scan that is to be realigned is empty.\n'
                'There is no local field to bring to the other orientations.\n'
                'Look at its brain mask and background removal in the report.'
            )
        self._nearest = ndimage.distance_transform_edt(
            ~mask, return_distances=False, return_indices=True
        )
        self._to_voxels = np.linalg.inv(affine) @ motion @ reference
        self._shape = tuple(shape)
        self.mask = self._resample(mask.astype(np.float32), 1) > _WHOLE

    def map(self, values: np.ndarray, *, order: int) -> np.ndarray:
        """Resample a map; zero outside the new mask.

        Parameters
        ----------
        values : (nx, ny, nz) float
        order : int
            Of the spline: 3 blurs least, 1 never overshoots.

        Returns
        -------
        (mx, my, mz) float32
        """
        continued = values[tuple(self._nearest)].astype(np.float32)
        return np.where(self.mask, self._resample(continued, order), np.float32(0))

    def _resample(self, array: np.ndarray, order: int) -> np.ndarray:
        return ndimage.affine_transform(
            array, self._to_voxels[:3, :3], self._to_voxels[:3, 3], self._shape,
            order=order, mode='constant',
        )  # fmt: skip
