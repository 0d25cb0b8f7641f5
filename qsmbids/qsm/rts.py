"""RTS: rapid two-step dipole inversion, the default."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .fft import PaddedFFT, irfftn, rfftn
from .grid import Grid
from .kernels import dipole_kernel, laplacian_spectrum
from .misfit import misfit_level
from .region import MaskedRegion, relative_weight
from .solvers import Progress
from .spectral_cg import solve_spectrum

FIRST_STEP_SHARE = 0.25  # of the run time, for the progress only


@dataclass(frozen=True, kw_only=True)
class RtsParameters:
    """Parameters of rapid two-step inversion, the one place of their defaults.

    Tuned parameters of total variation methods were 10 to 30 times heavier in vivo (2016
    challenge data) than in noise-free simulation (2019 challenge data). The regularisation
    therefore follows the noise that is found in the field and is not a fixed number.
    """

    # without unit; k-space is well conditioned where |D| is above it. 0.15 as published
    threshold: float = 0.15
    # Tikhonov weight of the first step as a fraction of threshold^2: it costs at most 5 % of
    # the amplitude, at the very border of the cone, and keeps the iteration well posed
    damping: float = 0.05
    # reduction of the residual that ends the first step, and iterations that end it at the
    # latest. A preconditioned iteration is there after a few; more of them fit errors
    first_tolerance: float = 3e-2
    first_iterations: int = 30
    # 1/mm: fidelity to the first step against the total variation, times the noise of the
    # field: the weight of the total variation in TV inversion is noise / fidelity. Chosen on
    # a head phantom as the best compromise over a tenfold range of noise; for a noise of
    # 1.2 ppb it equals the 3e-4 mm ppm that was best for TV in vivo
    fidelity: float = 4.0
    # penalty of the splitting as a fraction of the fidelity; changes the path and not the
    # solution
    penalty: float = 3e-3
    # relative change of the map that ends the second step, and iterations that end it at
    # the latest
    tolerance: float = 1e-2
    iterations: int = 50

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 2 / 3:
            raise ValueError(
                f'The RTS threshold must lie between 0 and 2/3, got {self.threshold}.\n'
                'The dipole kernel itself lies in that range.\n'
                'Use 0.1 to 0.25.'
            )
        positive = (self.first_tolerance, self.fidelity, self.penalty, self.tolerance)
        if min(*positive, self.damping) <= 0:
            raise ValueError(
                'RTS needs a positive damping, fidelity, penalty and tolerance.\n'
                'Otherwise a step has no solution, or none that an iteration finds.\n'
                f'Got {self}.'
            )
        if min(self.first_iterations, self.iterations) < 1:
            raise ValueError(
                'RTS needs at least one iteration of each step.\n'
                'Without one the map is zero or full of streaks.\n'
                f'Got {self}.'
            )


def invert_rts(
    local_field_ppm: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    weight: np.ndarray | None = None,
    parameters: RtsParameters = RtsParameters(),
    progress: Progress | None = None,
) -> np.ndarray:
    """Return the susceptibility: the field decides where it can, sparsity elsewhere.

    The dipole kernel D vanishes on a cone in k-space. Step 1 finds the part of chi outside
    the cone (the set K where |D| > threshold) from the field alone,

        chi0 = argmin || W (D * chi - field) ||^2 + damping threshold^2 || chi ||^2,
               chi(k) = 0 inside the cone,

    with W zero outside the mask. Step 2 keeps that part and fills in the cone so that the
    map has the least total variation,

        chi = argmin fidelity / (2 noise) || D (chi - chi0) ||^2_K + || E chi ||_1,

    with E the gradient and noise the robust standard deviation of what step 1 leaves of the
    field (:func:`~qsmbids.qsm.misfit.misfit_level`).

    Parameters
    ----------
    local_field_ppm : (nx, ny, nz) float, ppm
        Field of the sources inside the brain; ignored outside the mask.
    mask : (nx, ny, nz) bool
        Where the field is known.
    grid : Grid
        Voxel size and direction of B0.
    weight : (nx, ny, nz) float, optional
        Confidence per voxel, at least 0 and in any unit: inverse noise or reliability. It
        takes the place of W^2 in step 1, in units of its median and limited to twice that.
    parameters : RtsParameters
        Threshold, regularisation and stops.
    progress : callable, optional
        Called with (fraction, text).

    Returns
    -------
    (nx, ny, nz) float32, ppm
        Susceptibility relative to an unknown constant; zero outside the mask.

    Raises
    ------
    ValueError
        If the mask is empty, shapes differ, the field or the weight is not finite inside the
        mask, or the weight is negative or zero everywhere.

    Notes
    -----
    The published first step takes the field outside the mask as zero. Here it is unknown,
    W = 0: sources inside a brain have a field outside it, and in particular in the rim that
    background removal has lost. Deep grey matter is underestimated otherwise, and what is
    not much smaller than the mask still is.

    Statistics would set W to the inverse noise. W^2 is the inverse noise instead, because
    with its square the damping rules where noise is high, and nuclei there lose contrast.

    Published step 2 trusts all of K alike. The error of chi0 is that of the field divided by
    D, though, several times larger at the border of the cone than far from it; D in the
    fidelity accounts for that.

    Step 1 is solved by conjugate gradients, preconditioned by 1 / (D^2 + damping): exact if
    the field were known everywhere, so a few iterations do. It stops when the residual has
    fallen to ``first_tolerance``. Step 2 is ADMM and stops when the map changes by less than
    ``tolerance`` per iteration.

    Cost per iteration of either step: 2 transforms of the box around the mask, padded by
    20 mm on either side, and 5 passes over memory; about 5 and 15 to 25 iterations. Memory about
    50 bytes per padded voxel. The total variation is the sum over the three axes, so the
    result does not depend on flips or on their order. A field of twice the size gives a map
    of twice the size, because the noise is taken from the field.

    References
    ----------
    .. [1] Kames C, Wiggermann V, Rauscher A. NeuroImage 2018;167:276.
       doi:10.1016/j.neuroimage.2017.11.018
    .. [2] Boyd S et al. Found Trends Mach Learn 2011;3:1. doi:10.1561/2200000016
    """
    region = MaskedRegion.of(mask, grid)
    field = region.cut(local_field_ppm, 'local field')
    weight_squared = relative_weight(weight, region)
    fft = PaddedFFT(field.shape, grid.voxel_size)
    kernel = dipole_kernel(fft.padded_shape, grid.voxel_size, grid.b0_direction)
    conditioned = np.abs(kernel) > parameters.threshold
    kernel *= conditioned

    def report(share_before: float, share: float, name: str, steps: int) -> Callable:
        def call(iteration: int, change: float) -> None:
            if progress is not None:
                fraction = share_before + share * iteration / steps
                progress(fraction, f'RTS {name}, iteration {iteration}, residual {change:.1e}')

        return call

    first, noise = _conditioned_part(
        field,
        weight_squared,
        kernel,
        fft,
        parameters,
        report(0, FIRST_STEP_SHARE, 'step 1', parameters.first_iterations),
    )
    del field, weight_squared
    kernel *= kernel
    kernel *= np.float32(parameters.fidelity / noise)
    chi = _fill_cone(
        first,
        kernel,
        np.float32(parameters.penalty * parameters.fidelity / noise),
        grid.voxel_size,
        fft,
        parameters,
        report(FIRST_STEP_SHARE, 1 - FIRST_STEP_SHARE, 'step 2', parameters.iterations),
    )
    return region.paste(chi[tuple(slice(n) for n in region.mask.shape)])


def _conditioned_part(
    field: np.ndarray,
    weight_squared: np.ndarray,
    kernel: np.ndarray,
    fft: PaddedFFT,
    p: RtsParameters,
    progress: Callable[[int, float], None],
) -> tuple[np.ndarray, float]:
    """Return the spectrum of chi0 and the noise of the field (ppm) that it leaves.

    ``kernel`` is zero inside the cone, which therefore stays empty.
    """
    damping = np.float32(p.damping * p.threshold**2)

    def normal(spectrum: np.ndarray) -> np.ndarray:
        inside = fft.inverse(kernel * spectrum)
        inside *= weight_squared
        result = fft.forward(inside)
        result *= kernel
        result += damping * spectrum
        return result

    right_side = fft.forward(weight_squared * field)
    right_side *= kernel
    inverse = kernel**2
    inverse += damping
    np.reciprocal(inverse, out=inverse)
    first, _ = solve_spectrum(
        normal,
        right_side,
        inverse,
        fft.padded_shape[2],
        tolerance=p.first_tolerance,
        max_iterations=p.first_iterations,
        progress=progress,
    )
    return first, misfit_level(field - fft.inverse(kernel * first), weight_squared)


def _fill_cone(
    first: np.ndarray,
    fidelity: np.ndarray,
    penalty: np.float32,
    voxel_size: tuple[float, float, float],
    fft: PaddedFFT,
    p: RtsParameters,
    progress: Callable[[int, float], None],
) -> np.ndarray:
    """Return the padded map of least total variation that keeps the spectrum ``first``.

    ADMM with the splitting z = E chi. The map that minimises the quadratic part is found in
    k-space,

        chi = [fidelity chi0 + penalty E^T (z - u)] / [fidelity + penalty |E|^2],

    then z and u follow by soft thresholding at 1 / penalty (see ``rts_kernels``).
    ``first`` and ``fidelity``, the weight of each frequency, are overwritten.
    """
    from .rts_kernels import add_gradient, gradient_adjoint_of_split, relative_change

    shape = fft.padded_shape
    update = laplacian_spectrum(shape, voxel_size)
    update *= -penalty
    update += fidelity
    update[0, 0, 0] = 1  # the mean is not determined; it is set to zero
    fidelity /= update
    constant = np.multiply(first, fidelity, out=first)
    constant[0, 0, 0] = 0
    np.divide(penalty, update, out=update)
    update[0, 0, 0] = 0

    inverse_voxel = (1 / np.asarray(voxel_size)).astype(np.float32)
    limit = np.float32(1 / penalty)
    split = np.zeros((3, *shape), np.float32)
    chi = irfftn(constant, shape)
    buffer = np.empty_like(chi)
    for iteration in range(1, p.iterations + 1):
        add_gradient(chi, split, inverse_voxel, limit)
        gradient_adjoint_of_split(buffer, split, inverse_voxel, limit)
        spectrum = rfftn(buffer)
        spectrum *= update
        spectrum += constant
        last, chi = chi, irfftn(spectrum, shape)
        change = relative_change(chi, last)
        progress(iteration, change)
        if change < p.tolerance:
            break
    return chi
