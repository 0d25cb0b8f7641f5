"""The grid every array of the engine lives on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Grid:
    """Shape, voxel size and B0 direction of an image.

    Parameters
    ----------
    shape : (3,) int
        Number of voxels along the three array axes.
    voxel_size : (3,) float, mm
        Distance between voxel centres along each axis.
    b0_direction : (3,) float, unit vector in voxel axes
        Direction of the main field, expressed along the array axes. An axial scan has
        (0, 0, 1); an oblique slab has any other unit vector. The dipole kernel is
        rotated to it, the data are never resampled.

    Examples
    --------
    >>> grid = Grid((4, 6, 8), (1.0, 1.0, 2.0))
    >>> grid.voxel_volume
    2.0
    >>> Grid.from_affine((4, 6, 8), np.diag([-1.0, 1.0, 2.0, 1.0])).b0_direction
    (0.0, 0.0, 1.0)
    """

    shape: tuple[int, int, int]
    voxel_size: tuple[float, float, float] = (1.0, 1.0, 1.0)
    b0_direction: tuple[float, float, float] = (0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.shape)
        voxel = tuple(float(h) for h in self.voxel_size)
        b0 = np.asarray(self.b0_direction, dtype=float)
        if len(shape) != 3 or min(shape) < 1:
            raise ValueError(f'shape must hold three positive numbers, got {self.shape}')
        if len(voxel) != 3 or not all(np.isfinite(voxel)) or min(voxel) <= 0:
            raise ValueError(f'voxel_size must hold three positive mm, got {self.voxel_size}')
        norm = float(np.linalg.norm(b0)) if b0.shape == (3,) else 0.0
        if not np.isfinite(norm) or norm == 0:
            raise ValueError(f'b0_direction must be a non-zero vector, got {self.b0_direction}')
        object.__setattr__(self, 'shape', shape)
        object.__setattr__(self, 'voxel_size', voxel)
        # adding 0.0 turns -0.0 into 0.0, so that equal grids print and hash alike
        object.__setattr__(self, 'b0_direction', tuple(float(v) + 0.0 for v in b0 / norm))

    @classmethod
    def from_affine(
        cls, shape: tuple[int, ...], affine: np.ndarray, b0_direction: tuple | None = None
    ) -> Grid:
        """Make the grid of an image whose affine maps to scanner coordinates.

        Parameters
        ----------
        shape : tuple of int
            Array shape; the first three entries are used.
        affine : (4, 4) float
            Voxel indices to scanner millimetres.
        b0_direction : (3,) float, optional
            Overrides the direction that the affine gives.

        Notes
        -----
        Scanner z is the field direction. With R = affine[:3, :3] / voxel size, a scanner
        vector has the components R^T v along the voxel axes, so B0 = (0, 0, 1) becomes
        the third row of R.
        """
        affine = np.asarray(affine, dtype=float)
        voxel = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
        direction = affine[2, :3] / voxel if b0_direction is None else b0_direction
        return cls(tuple(shape[:3]), tuple(voxel), tuple(direction))

    @property
    def voxel_volume(self) -> float:
        """Volume of one voxel in mm^3."""
        return float(np.prod(self.voxel_size))

    @property
    def oblique_angle_deg(self) -> float:
        """Angle in degrees between B0 and the nearest array axis."""
        return float(np.degrees(np.arccos(min(1.0, np.abs(self.b0_direction).max()))))
