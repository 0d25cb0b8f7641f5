"""Tikhonov: the closed form of dipole inversion with the smallest map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .direct import check_continuations, invert_by_filter
from .fft import PaddedFFT
from .grid import Grid
from .solvers import Progress


@dataclass(frozen=True, kw_only=True)
class TikhonovParameters:
    """Parameters of Tikhonov inversion, the one place of their defaults."""

    # without unit, in units of D^2: contrast is halved where |D| is its square root, 0.07.
    # Best on a head phantom with noise; 0.01, a common value, loses a fifth of the contrast
    # of deep grey matter
    regularisation: float = 0.005
    # steps that continue the field outside the mask; 0: it is zero there
    continuations: int = 2

    def __post_init__(self) -> None:
        if not (self.regularisation > 0 and np.isfinite(self.regularisation)):
            raise ValueError(
                f'Tikhonov inversion needs a positive regularisation, got {self.regularisation}.\n'
                'Without it the dipole kernel is divided by where it is zero.\n'
                'Use 0.001 to 0.05.'
            )
        check_continuations('Tikhonov inversion', self.continuations)


def tikhonov_inverse(kernel: np.ndarray, regularisation: float) -> np.ndarray:
    """Return D / (D^2 + regularisation) for a dipole kernel D, of its shape and type."""
    return kernel / (kernel**2 + kernel.dtype.type(regularisation))


def invert_tikhonov(
    local_field_ppm: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    weight: np.ndarray | None = None,
    parameters: TikhonovParameters = TikhonovParameters(),
    progress: Progress | None = None,
) -> np.ndarray:
    """Return the smallest susceptibility map that explains the field, in closed form.

        chi = argmin || D * chi - field ||^2 + regularisation || chi ||^2
            = F^-1 [ D F(field) / (D^2 + regularisation) ]

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
    parameters : TikhonovParameters
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
    A smooth version of truncation: each frequency keeps D^2 / (D^2 + regularisation) of its
    amplitude, so contrast is lost everywhere and the more the nearer to the cone. The field
    outside the mask is not zero but filled in (:mod:`~qsmbids.qsm.direct`).

    Two transforms of the padded box around the mask, and two per continuation; about 20
    bytes per padded voxel. Linear in the field.

    References
    ----------
    .. [1] Bilgic B et al. J Magn Reson Imaging 2014;40:181. doi:10.1002/jmri.24365
    .. [2] Tikhonov AN. Soviet Math Dokl 1963;4:1035.
    """
    del weight

    def make_filter(kernel: np.ndarray, _: PaddedFFT) -> np.ndarray:
        return tikhonov_inverse(kernel, parameters.regularisation)

    return invert_by_filter(
        local_field_ppm,
        mask,
        grid,
        make_filter,
        continuations=parameters.continuations,
        name='Tikhonov',
        progress=progress,
    )
