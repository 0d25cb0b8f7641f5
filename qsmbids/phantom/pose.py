"""A head that lies turned in the slab, as for scans of several orientations.

The warp of a subject belongs to the head. When the head is turned in the slab, points of the
slab are turned into the frame of the head before they are warped:

    T_posed(x) = T(R' x),      x_slab = R x_head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qsmbids.phantom.sampling import linear
from qsmbids.phantom.warp import Warp

# Turned axes are no longer those of a tensor product, so the warp is read from a lattice.
# Between its points it is interpolated linearly, which is off by less than a hundredth of a
# millimetre, since the warp bends over tens of millimetres.
_STEP_MM = 4.0
_SLAB = 4  # planes at a time: bounds the memory of the coordinates


@dataclass(frozen=True, eq=False)
class PosedWarp:
    """Map from slab to template millimetres of a turned head.

    Parameters
    ----------
    warp : Warp
        Of the head that is not turned.
    head_to_slab : (3, 3) float
        Rotation.
    lattice : (3, n, n, n) float32, mm
        Template coordinates of the lattice points.
    radius_mm : float
        The lattice reaches from minus to plus this along each axis of the head.
    """

    warp: Warp
    head_to_slab: np.ndarray
    lattice: np.ndarray
    radius_mm: float

    def on_axes(self, axes: Sequence[np.ndarray]) -> np.ndarray:
        """Map the points of a rectilinear grid of the slab, (3, nx, ny, nz) float32 mm."""
        mapped = np.empty((3, *(len(axis) for axis in axes)), dtype=np.float32)
        to_head = self.head_to_slab.T.astype(np.float32)
        origin = np.full(3, -self.radius_mm)
        for start in range(0, len(axes[0]), _SLAB):
            part = slice(start, start + _SLAB)
            grid = np.meshgrid(axes[0][part], axes[1], axes[2], indexing='ij')
            points = to_head @ np.stack(grid).reshape(3, -1).astype(np.float32)
            for component, values in zip(mapped, self.lattice, strict=True):
                read = linear(values, points, origin, _STEP_MM)
                component[part] = read.reshape(grid[0].shape)
        return mapped

    def at(self, points: np.ndarray) -> np.ndarray:
        """Map single points, (n, 3) mm to (n, 3) mm."""
        return self.warp.at(np.asarray(points, dtype=float) @ self.head_to_slab)

    def inverse_at(self, points: np.ndarray) -> np.ndarray:
        """Map template points back to the slab, (n, 3) mm to (n, 3) mm."""
        return self.warp.inverse_at(points) @ self.head_to_slab.T


def pose(warp: Warp, head_to_slab: np.ndarray, axes: Sequence[np.ndarray]) -> Warp | PosedWarp:
    """Turn the head of a warp in the slab; a head that is not turned keeps its exact warp.

    Parameters
    ----------
    warp : Warp
    head_to_slab : (3, 3) float
        Rotation.
    axes : three 1-D arrays, mm
        Of the grid that is to be mapped: the lattice reaches its corners.
    """
    if np.array_equal(head_to_slab, np.eye(3)):
        return warp
    reach = np.linalg.norm([np.abs(axis).max() for axis in axes])
    half = int(np.ceil(reach / _STEP_MM)) + 1
    lattice_axis = _STEP_MM * np.arange(-half, half + 1)
    lattice = np.ascontiguousarray(warp.on_axes([lattice_axis] * 3))
    return PosedWarp(warp, np.asarray(head_to_slab, dtype=float), lattice, half * _STEP_MM)
