"""L2: the closed form of dipole inversion with the smoothest map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .direct import check_continuations, invert_by_filter
from .fft import PaddedFFT
from .grid import Grid
from .kernels import laplacian_spectrum
from .solvers import Progress


@dataclass(frozen=True, kw_only=True)
class L2Parameters:
    """Parameters of closed-form L2 inversion, the one place of their defaults."""

    # mm^2: weight of the squared gradient (ppm^2/mm^2) against the squared misfit of the field
    # (ppm^2). Contrast is halved where |D| is 0.1 times the gradient of the wave per mm. The
    # optimum on a head phantom with noise is flat between 0.006 and 0.01; the heavier end
    # leaves room for errors that are not noise
    regularisation: float = 0.01
    # steps that continue the field outside the mask; 0: it is zero there
    continuations: int = 2

    def __post_init__(self) -> None:
        if not (self.regularisation > 0 and np.isfinite(self.regularisation)):
            raise ValueError(
                f'L2 inversion needs a positive regularisation, got {self.regularisation}.\n'
                'Without it the dipole kernel is divided by where it is zero.\n'
                'Use 0.001 to 0.1 mm^2.'
            )
        check_continuations('L2 inversion', self.continuations)


def l2_inverse(
    kernel: np.ndarray,
    padded_shape: Sequence[int],
    voxel_size: Sequence[float],
    regularisation: float,
) -> np.ndarray:
    """Return D / (D^2 + regularisation |E|^2) for a dipole kernel D, zero at frequency zero.

    Parameters
    ----------
    kernel : (px, py, pz // 2 + 1) float32
        D.
    padded_shape : (3,) int
        Shape (px, py, pz) of the grid.
    voxel_size : (3,) float, mm
    regularisation : float, mm^2

    Returns
    -------
    (px, py, pz // 2 + 1) float32
    """
    denominator = laplacian_spectrum(padded_shape, voxel_size)
    denominator *= np.float32(-regularisation)
    denominator += kernel**2
    denominator[0, 0, 0] = 1  # the mean is not determined; D makes it zero
    return np.divide(kernel, denominator, out=denominator)


def invert_l2(
    local_field_ppm: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    weight: np.ndarray | None = None,
    parameters: L2Parameters = L2Parameters(),
    progress: Progress | None = None,
) -> np.ndarray:
    """Return the smoothest susceptibility map that explains the field, in closed form.

        chi = argmin || D * chi - field ||^2 + regularisation || E chi ||^2
            = F^-1 [ D F(field) / (D^2 + regularisation |E|^2) ],   E the gradient per mm

    Parameters
    ----------
    local_field_ppm : (nx, ny, nz) float, ppm
        Field of the sources inside the mask; ignored outside.
    mask : (nx, ny, nz) bool
        Where the field is known.
    grid : Grid
        Voxel size and direction of B0.
    weight : (nx, ny, nz) float, optional
        Not used: a closed form in k-space cannot weigh voxels.
    parameters : L2Parameters
        Regularisation, and how the field outside is filled in.
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
    Large structures keep their contrast and fine ones lose noise, which a filter of D alone
    (TKD, TSVD, Tikhonov) cannot do: the best of the direct methods. It blurs edges, which
    the total variation of :func:`~qsmbids.qsm.tv.invert_tv` does not. The field outside the
    mask is not zero but filled in (:mod:`~qsmbids.qsm.direct`).

    Two transforms of the padded box around the mask, and two per continuation; about 20
    bytes per padded voxel. Linear in the field.

    References
    ----------
    .. [1] Bilgic B et al. J Magn Reson Imaging 2014;40:181. doi:10.1002/jmri.24365
    """
    del weight

    def make_filter(kernel: np.ndarray, fft: PaddedFFT) -> np.ndarray:
        return l2_inverse(kernel, fft.padded_shape, grid.voxel_size, parameters.regularisation)

    return invert_by_filter(
        local_field_ppm,
        mask,
        grid,
        make_filter,
        continuations=parameters.continuations,
        name='L2',
        progress=progress,
    )
