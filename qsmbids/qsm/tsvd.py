"""TSVD: dipole inversion that leaves out what the field hardly shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .direct import check_continuations, invert_by_filter
from .fft import PaddedFFT
from .grid import Grid
from .solvers import Progress
from .tkd import correct


@dataclass(frozen=True, kw_only=True)
class TsvdParameters:
    """Parameters of truncated singular value decomposition, the one place of their defaults."""

    # without unit; where |D| is below it the map has no content. Lower than that of TKD,
    # which keeps part of what TSVD drops
    threshold: float = 0.08
    # divide by the centre of the point spread function. It restores the mean contrast and
    # amplifies noise and streaks by the same factor
    correct_bias: bool = False
    # steps that continue the field outside the mask; 0: it is zero there
    continuations: int = 2

    def __post_init__(self) -> None:
        # D is nowhere above 1/3 but near the pole: little would be left
        if not 0 < self.threshold < 1 / 3:
            raise ValueError(
                f'The TSVD threshold must lie between 0 and 1/3, got {self.threshold}.\n'
                'Above it, most of k-space would be dropped.\n'
                'Use 0.05 to 0.2.'
            )
        check_continuations('TSVD', self.continuations)


def invert_tsvd(
    local_field_ppm: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    weight: np.ndarray | None = None,
    parameters: TsvdParameters = TsvdParameters(),
    progress: Progress | None = None,
) -> np.ndarray:
    """Return the susceptibility by division where the dipole kernel is not small.

        chi = F^-1 [ G F(field) ],   G = 1 / D where |D| > threshold, 0 else

    The Fourier transform diagonalises the convolution with the dipole, |D| are its singular
    values, and dropping the small ones is the truncated singular value decomposition.

    Parameters
    ----------
    local_field_ppm : (nx, ny, nz) float, ppm
        Field of the sources inside the mask; ignored outside.
    mask : (nx, ny, nz) bool
        Where the field is known.
    grid : Grid
        Voxel size and direction of B0.
    weight : (nx, ny, nz) float, optional
        Not used: a division in k-space cannot weigh voxels.
    parameters : TsvdParameters
        Threshold, correction, and how the field outside is filled in.
    progress : callable, optional
        Called with (fraction, text).

    Returns
    -------
    (nx, ny, nz) float32, ppm
        Susceptibility relative to an unknown constant; zero outside the mask.

    Raises
    ------
    ValueError
        If the mask is empty, shapes differ, or the field is not finite inside the mask.

    Notes
    -----
    Less noise than :func:`~qsmbids.qsm.tkd.invert_tkd` at the same threshold, and less
    contrast. The field outside the mask is filled in as there (:mod:`~qsmbids.qsm.direct`).

    Two transforms of the padded box around the mask, and two per continuation; about 20
    bytes per padded voxel. Linear in the field.

    References
    ----------
    .. [1] Wharton S, Schäfer A, Bowtell R. Magn Reson Med 2010;63:1292.
       doi:10.1002/mrm.22334
    .. [2] Schweser F et al. Magn Reson Med 2013;69:1582. doi:10.1002/mrm.24405 (correction)
    """
    del weight

    def make_filter(kernel: np.ndarray, fft: PaddedFFT) -> np.ndarray:
        kept = np.abs(kernel) > parameters.threshold
        inverse = np.zeros_like(kernel)
        np.divide(1, kernel, out=inverse, where=kept)
        if parameters.correct_bias:
            correct(inverse, kernel, fft.padded_shape[2])
        return inverse

    return invert_by_filter(
        local_field_ppm,
        mask,
        grid,
        make_filter,
        continuations=parameters.continuations,
        name='TSVD',
        progress=progress,
    )
