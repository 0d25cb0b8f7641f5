"""RESHARP: background removal by one sphere and regularised deconvolution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .fft import PaddedFFT
from .grid import Grid
from .kernels import kernel_reach, kernel_spectrum, sphere_kernel
from .multigrid import MaskedPoisson, surrounded
from .preconditioned import preconditioned_gradient
from .region import MaskedRegion
from .solvers import Progress


@dataclass(frozen=True, kw_only=True)
class ResharpParameters:
    """Parameters of RESHARP, the one place of their defaults."""

    # mm; the rim of this width is lost. 6 mm as in QSM.rs; at least the longest voxel side
    radius_mm: float = 6.0
    # weight of the size of the local field, without unit. It costs each scale about this
    # share of its amplitude; more of it hardly changes the inside and makes the field smaller
    # only where the data say little. Ten times what noise-free simulations favour (1e-4)
    damping: float = 1e-3
    # relative residual of the normal equations that ends the iteration
    tolerance: float = 1e-3
    # iterations that end it at the latest; about ten are needed
    max_iterations: int = 100

    def __post_init__(self) -> None:
        if self.radius_mm <= 0 or self.damping < 0 or self.tolerance <= 0:
            raise ValueError(
                'RESHARP needs a positive radius and tolerance and a damping of at least 0.\n'
                f'Otherwise nothing is minimised.\nGot {self}.'
            )
        if self.max_iterations < 1:
            raise ValueError(
                f'RESHARP needs at least one iteration, got {self.max_iterations}.\n'
                'Without one the local field is zero.\n'
                'Use about 100.'
            )


def remove_background_resharp(
    total_field: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    parameters: ResharpParameters = ResharpParameters(),
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the field of the sources inside the mask, and where it is known.

    With S the mean over a sphere and C = 1 - S, the background b is harmonic inside the
    mask, so C * b = 0 wherever the sphere fits, in M. RESHARP looks for the smallest local
    field l that explains what is left of the total field f there:

        minimise || M (C * f - C * l) ||^2 + damping || l ||_B^2

    How small a field is must be said for each scale, because M leaves open which harmonic
    functions, and what in the lost rim, belong to l. Here

        || l ||_B^2 = < l, B^-1 l >,   B = 1 + (10 / r^2 A^-1)^2,

    with A the negative Laplacian in the mask, zero on its edge: for detail finer than the
    sphere the ordinary sum of squares, for smooth fields much less. That is the size of a
    field whose spectrum falls as k^-2, as that of tissue does, whose susceptibility is
    piecewise constant. The ordinary sum of squares alone, as published, takes all scales for
    equally likely, and more of the smooth local field is lost with the background.

    It loses a rim as wide as the sphere but is robust against errors of the field at the
    edge of the brain.

    Parameters
    ----------
    total_field : (nx, ny, nz) float
        Unwrapped field in any unit (Hz, ppm, rad); ignored outside the mask.
    mask : (nx, ny, nz) bool
        Where the field is reliable.
    grid : Grid
        Voxel size; the direction of B0 does not matter.
    parameters : ResharpParameters
        Radius, damping and stop.
    progress : callable, optional
        Called with (fraction, text).

    Returns
    -------
    local_field : (nx, ny, nz) float32
        In the unit of ``total_field``; zero outside ``mask_after``.
    mask_after : (nx, ny, nz) bool
        M, the mask without the rim where the sphere does not fit.

    Raises
    ------
    ValueError
        If the mask is empty or too thin for the sphere, if shapes differ, or if the field
        is not finite inside the mask.

    Notes
    -----
    Conjugate gradients on the normal equations until their relative residual falls to
    ``tolerance``. For smooth fields C is r^2 / 10 times A, for rough ones it is 1, so that B is
    nearly the inverse of C M C and serves as the preconditioner as well: two cycles of
    multigrid (:mod:`qsmbids.qsm.multigrid`), and about ten iterations instead of a hundred.

    Four transforms of the box around the mask, padded by the sphere, and about 40 passes over
    it per iteration; about 70 bytes per voxel of that box. Linear in the field up to the stop.

    References
    ----------
    .. [1] Sun H, Wilman AH. Magn Reson Med 2014;71:1151. doi:10.1002/mrm.24765
    """
    region = MaskedRegion.of(mask, grid)
    field = region.cut(total_field, 'total field')
    radius = max(parameters.radius_mm, *grid.voxel_size)
    sphere = sphere_kernel(radius, grid.voxel_size)
    reach = kernel_reach(sphere, grid.voxel_size)
    depth = region.depth_mm()
    inner = depth > reach
    if not inner.any():
        raise ValueError(
            f'The mask is too thin for RESHARP: its deepest voxel lies {depth.max():.1f} mm '
            f'inside, and the sphere of {radius:g} mm needs more than {reach:.1f} mm.\n'
            'No field would be left.\n'
            'Check the mask, use a smaller radius_mm, or V-SHARP.'
        )

    del depth
    fft = PaddedFFT(field.shape, grid.voxel_size, padding_mm=reach)
    remaining = 1 - kernel_spectrum(sphere, fft.padded_shape)
    poisson = MaskedPoisson(surrounded(region.mask), grid.voxel_size)

    def without_mean(x: np.ndarray, where: np.ndarray) -> np.ndarray:
        spectrum = fft.forward(x)
        spectrum *= remaining
        return fft.inverse(spectrum) * where

    def normal(x: np.ndarray) -> np.ndarray:
        return without_mean(without_mean(x, inner), region.mask)

    def precondition(x: np.ndarray) -> np.ndarray:
        smooth = poisson.inverse(poisson.inverse(x))
        smooth *= np.float32((10 / radius**2) ** 2)
        smooth += x
        return smooth

    def report(iteration: int, residual: float) -> None:
        if progress is not None:
            text = f'RESHARP iteration {iteration}, residual {residual:.1e}'
            progress(iteration / parameters.max_iterations, text)

    local, _, _ = preconditioned_gradient(
        normal,
        precondition,
        normal(field),
        damping=parameters.damping,
        tolerance=parameters.tolerance,
        max_iterations=parameters.max_iterations,
        progress=report,
    )
    return region.paste(local, inner), region.paste(inner)
