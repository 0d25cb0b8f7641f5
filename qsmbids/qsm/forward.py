"""The field of a susceptibility map: the problem that inversions turn round."""

from __future__ import annotations

import numpy as np

from .fft import PaddedFFT
from .grid import Grid
from .kernels import dipole_kernel
from .region import MaskedRegion


def field_of(chi: np.ndarray, mask: np.ndarray, grid: Grid) -> np.ndarray:
    """Return the field of the sources inside a mask, D * chi.

    Parameters
    ----------
    chi : (nx, ny, nz) float, ppm
        Susceptibility; outside the mask it counts as zero.
    mask : (nx, ny, nz) bool
        Where the sources are, and where their field is wanted.
    grid : Grid
        Voxel size and direction of B0.

    Returns
    -------
    (nx, ny, nz) float32, ppm
        Zero outside the mask.

    Raises
    ------
    ValueError
        If the mask is empty, shapes differ or chi is not finite inside the mask.

    Notes
    -----
    Two transforms of the box around the mask, padded by 20 mm on either side.

    Examples
    --------
    >>> ball = np.linalg.norm(np.indices((24, 24, 24)) - 11.5, axis=0) < 5
    >>> field = field_of(0.3 * ball, np.ones(ball.shape, bool), Grid(ball.shape))
    >>> bool(field[11, 11, 19] > 0 > field[19, 11, 11])  # above the pole, beside the equator
    True
    """
    region = MaskedRegion.of(mask, grid)
    inside = region.cut(chi, 'susceptibility')
    fft = PaddedFFT(inside.shape, grid.voxel_size)
    spectrum = fft.forward(inside)
    spectrum *= dipole_kernel(fft.padded_shape, grid.voxel_size, grid.b0_direction)
    return region.paste(fft.inverse(spectrum))
