"""iSMV: background removal by the mean over a sphere, iterated to the end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .fft import PaddedFFT
from .grid import Grid
from .kernels import kernel_reach, kernel_spectrum, sphere_kernel
from .multigrid import MaskedPoisson
from .preconditioned import preconditioned_gradient
from .region import MaskedRegion
from .solvers import Progress


@dataclass(frozen=True, kw_only=True)
class IsmvParameters:
    """Parameters of iSMV, the one place of their defaults."""

    # mm; the rim of this width is lost. 5 mm as in QSM.rs; at least twice the longest voxel
    # side, as the repeated mean of a ball of fewer voxels is not that of a sphere
    radius_mm: float = 5.0
    # relative residual of the mean value property that ends the iteration; the residual
    # counts smooth errors as much as they count in the field
    tolerance: float = 1e-3
    # iterations that end it at the latest; about ten are needed
    max_iterations: int = 100

    def __post_init__(self) -> None:
        if self.radius_mm <= 0 or self.tolerance <= 0 or self.max_iterations < 1:
            raise ValueError(
                'iSMV needs a positive radius and tolerance and at least one iteration.\n'
                'A sphere without size has no mean, and without an iteration nothing is '
                f'removed.\nGot {self}.'
            )


def remove_background_ismv(
    total_field: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    parameters: IsmvParameters = IsmvParameters(),
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the field of the sources inside the mask, and where it is known.

    The background b equals its own mean over any sphere inside the mask. Let S be that mean
    and M the voxels where the sphere fits. iSMV replaces the field in M by its mean, keeps
    it in the rim, and repeats

        b <- M (S * b) + (1 - M) f,   starting from b = f.

    In the end b has the mean value property in all of M, and l = f - b is the local field.

    Parameters
    ----------
    total_field : (nx, ny, nz) float
        Unwrapped field in any unit (Hz, ppm, rad); ignored outside the mask.
    mask : (nx, ny, nz) bool
        Where the field is reliable.
    grid : Grid
        Voxel size; the direction of B0 does not matter.
    parameters : IsmvParameters
        Radius and stop.
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
    The repetition takes hundreds of rounds, as each moves information by one radius only. Its
    end is the solution of a symmetric positive system for l, which is zero in the rim,

        M (l - S * l) = M (f - S * f),

    and conjugate gradients find it in about ten steps. For smooth fields 1 - S is
    -r^2 / 10 times the Laplacian, for rough ones it is 1; the preconditioner is therefore
    1 + 10 / r^2 times the inverse Laplacian in M, one cycle of multigrid.

    The field of the rim is averaged over a layer as wide as the sphere before it reaches the
    inside: more robust than LBV. Two transforms of the box around the mask and about 20 passes
    over it per iteration; about 60 bytes per voxel of that box. Linear up to the stop.

    References
    ----------
    .. [1] Wen Y et al. Magn Reson Med 2014;72:823. doi:10.1002/mrm.24998
    """
    region = MaskedRegion.of(mask, grid)
    field = region.cut(total_field, 'total field')
    radius = max(parameters.radius_mm, 2 * max(grid.voxel_size))
    sphere = sphere_kernel(radius, grid.voxel_size)
    reach = kernel_reach(sphere, grid.voxel_size)
    depth = region.depth_mm()
    inner = depth > reach
    if not inner.any():
        raise ValueError(
            f'The mask is too thin for iSMV: its deepest voxel lies {depth.max():.1f} mm '
            f'inside, and the sphere of {radius:g} mm needs more than {reach:.1f} mm.\n'
            'No field would be left.\n'
            'Check the mask, use a smaller radius_mm, or V-SHARP.'
        )
    del depth
    fft = PaddedFFT(field.shape, grid.voxel_size, padding_mm=reach)
    remaining = 1 - kernel_spectrum(sphere, fft.padded_shape)
    poisson = MaskedPoisson(inner, grid.voxel_size)

    def without_mean(x: np.ndarray) -> np.ndarray:
        spectrum = fft.forward(x)
        spectrum *= remaining
        return fft.inverse(spectrum) * inner

    def precondition(x: np.ndarray) -> np.ndarray:
        smooth = poisson.inverse(x)
        smooth *= np.float32(10 / radius**2)
        smooth += x
        return smooth

    def report(iteration: int, residual: float) -> None:
        if progress is not None:
            text = f'iSMV iteration {iteration}, residual {residual:.1e}'
            progress(iteration / parameters.max_iterations, text)

    local, _, _ = preconditioned_gradient(
        without_mean,
        precondition,
        without_mean(field),
        tolerance=parameters.tolerance,
        max_iterations=parameters.max_iterations,
        progress=report,
    )
    return region.paste(local, inner), region.paste(inner)
