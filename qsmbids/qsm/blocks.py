"""Blocks of voxels: a coarser grid for what is smoothed anyway.

A phase offset is smoothed over several millimetres. Where voxels are much smaller than that,
the signals of a block of them are added first, as complex numbers: a fraction of the work,
and of the noise.
"""

from __future__ import annotations

import numpy as np

from .grid import Grid

BLOCKS_PER_SIGMA = 3.0  # linear interpolation between blocks is then off by next to nothing


class Blocks:
    """Blocks of whole voxels, at most a third of a Gaussian's sigma wide.

    Parameters
    ----------
    grid : Grid
        Of the voxels.
    sigma_mm : float, mm
        Width of the smoothing.

    Attributes
    ----------
    factors : (3,) int
        Voxels of a block along each axis, 1 or more.
    grid : Grid
        Of the blocks; the last ones may reach beyond the voxels.
    """

    def __init__(self, grid: Grid, sigma_mm: float) -> None:
        widest = sigma_mm / BLOCKS_PER_SIGMA
        self.factors = tuple(max(1, int(widest / h)) for h in grid.voxel_size)
        self.fine_shape = grid.shape
        shape = tuple(-(-n // f) for n, f in zip(grid.shape, self.factors, strict=True))
        voxel = tuple(h * f for h, f in zip(grid.voxel_size, self.factors, strict=True))
        self.grid = Grid(shape, voxel, grid.b0_direction)

    def sum(self, x: np.ndarray) -> np.ndarray:
        """Return the sum over each block; voxels beyond the edge count as 0.

        Examples
        --------
        >>> blocks = Blocks(Grid((3, 2, 1)), 6.0)
        >>> blocks.sum(np.arange(6.0).reshape(3, 2, 1)).ravel().tolist()
        [6.0, 9.0]
        """
        for axis, (n, factor) in enumerate(zip(self.grid.shape, self.factors, strict=True)):
            if factor == 1:
                continue
            total = np.zeros((*x.shape[:axis], n, *x.shape[axis + 1 :]), x.dtype)
            for start in range(factor):
                part = x[(slice(None),) * axis + (slice(start, None, factor),)]
                total[(slice(None),) * axis + (slice(part.shape[axis]),)] += part
            x = total
        return x

    def expand_phase(self, phase: np.ndarray) -> np.ndarray:
        """Interpolate a smooth phase of blocks, wrapped or not, to the voxels.

        Parameters
        ----------
        phase : (bx, by, bz) float32, rad

        Returns
        -------
        (nx, ny, nz) float32, rad
            In [-pi, pi] if blocks are larger than voxels, else the phase as it is.

        Notes
        -----
        exp(i phase) is interpolated linearly along each axis in turn, and extrapolated from
        the two outermost blocks beyond their centres.
        """
        if self.factors == (1, 1, 1):
            return phase
        z = np.exp(1j * phase)
        for axis, (n, factor) in enumerate(zip(self.fine_shape, self.factors, strict=True)):
            n_block = z.shape[axis]
            if factor == 1:
                continue
            place = (np.arange(n) + 0.5) / factor - 0.5  # of the voxels, in units of blocks
            below = np.clip(np.floor(place), 0, max(n_block - 2, 0)).astype(int)
            above = np.minimum(below + 1, n_block - 1)
            share = (place - below).astype(np.float32)
            share = share.reshape([-1 if a == axis else 1 for a in range(3)])
            step = np.take(z, above, axis)
            step -= (z := np.take(z, below, axis))
            step *= share
            z += step
        return np.angle(z)
