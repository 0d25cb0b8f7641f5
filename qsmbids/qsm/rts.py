"""RTS: rapid two-step dipole inversion, the default."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .fft import PaddedFFT, irfftn, rfftn
from .grid import Grid
from .kernels import dipole_kernel, laplacian_spectrum
from .region import MaskedRegion, relative_weight
from .solvers import Progress, deconvolve_in_mask

FIRST_STEP_SHARE = 0.5  # of the run time, for the progress only
TINY = 1e-30  # a map of zeros does not change either


@dataclass(frozen=True, kw_only=True)
class RtsParameters:
    """Parameters of rapid two-step inversion, the one place of their defaults.

    The defaults are those for data with noise and errors, heavier than what is best for
    noise-free simulations: tuned parameters of total variation methods were 10 to 30 times
    heavier in vivo (2016 challenge data) than in simulation (2019 challenge data).
    """

    # without unit; k-space is well conditioned where |D| is above it. 0.15 as published
    threshold: float = 0.15
    # Tikhonov weight of the first step as a fraction of threshold^2: it costs at most 5 % of
    # the amplitude, at the very border of the cone, and keeps the iteration well posed
    damping: float = 0.05
    # relative residual of the normal equations that ends the first step, and iterations
    # that end it at the latest
    first_tolerance: float = 1e-2
    first_iterations: int = 30
    # 1/(ppm mm): fidelity to the first step against the total variation (mm^-1). Published
    # 1e5 keeps all noise of the well-conditioned part. 300 is one tenth of the noise-free
    # optimum of a head phantom, and is what TV with the weight that was best in vivo (3e-4
    # on the field) amounts to, as D^2 is about 0.1 in that part
    fidelity: float = 300.0
    # 1/(ppm mm): penalty of the splitting, changes the path and not the solution
    penalty: float = 30.0
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
        if min(positive) <= 0 or self.damping < 0:
            raise ValueError(
                'RTS needs a positive fidelity, penalty and tolerance, and a damping of at '
                f'least 0.\nOtherwise nothing is minimised.\nGot {self}.'
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

        chi = argmin fidelity / 2 || chi - chi0 ||^2_K + || E chi ||_1,   E the gradient.

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
    background removal has lost. On a head phantom (2 mm, V-SHARP, noise of 3 ppb) this raised
    the slope of recovered against true deep grey matter from 0.66 to 1.0. What is not much
    smaller than the mask, or varies over more than 70 mm, is still underestimated.

    Statistics would set W to the inverse noise. W^2 is the inverse noise instead, because
    with its square the damping rules where noise is high: nuclei in a region of three times
    the noise lost a third of their contrast, with this 10 %, without weight nothing.

    Step 1 stops when the residual of its normal equations has fallen to ``first_tolerance``,
    step 2 when the map changes by less than ``tolerance`` per iteration.

    Cost per iteration: 2 transforms of the box around the mask, padded by 20 mm on either
    side; about 20 and 30 iterations. Memory about 45 bytes per padded voxel. Step 2 is ADMM
    (a map, three dual variables and three spectra), preallocated. The total variation is
    the sum over the three axes, so the result does not depend on flips or on their order.
    Not linear: a field of twice the size is smoothed half as much.

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

    first = deconvolve_in_mask(
        field,
        weight_squared,
        kernel,
        fft,
        damping=parameters.damping * parameters.threshold**2,
        tolerance=parameters.first_tolerance,
        max_iterations=parameters.first_iterations,
        progress=report(0, FIRST_STEP_SHARE, 'step 1', parameters.first_iterations),
    )
    del field, weight_squared, kernel
    chi = _fill_cone(
        first,
        conditioned,
        grid.voxel_size,
        fft,
        parameters,
        report(FIRST_STEP_SHARE, 1 - FIRST_STEP_SHARE, 'step 2', parameters.iterations),
    )
    return region.paste(chi[tuple(slice(n) for n in region.mask.shape)])


def _fill_cone(
    first: np.ndarray,
    conditioned: np.ndarray,
    voxel_size: tuple[float, float, float],
    fft: PaddedFFT,
    p: RtsParameters,
    progress: Callable[[int, float], None],
) -> np.ndarray:
    """Return the padded map of least total variation that keeps the spectrum ``first``.

    ADMM with the splitting z = E chi. The map that minimises the quadratic part is found in
    k-space,

        chi = [fidelity K chi0 + penalty E^T (z - u)] / [fidelity K + penalty |E|^2],

    then z and u follow by soft thresholding at 1 / penalty (see ``rts_kernels``).
    ``first`` is overwritten.
    """
    from .rts_kernels import add_gradient, gradient_adjoint_of_split

    shape = fft.padded_shape
    known = np.multiply(conditioned, np.float32(p.fidelity), dtype=np.float32)
    denominator = known - np.float32(p.penalty) * laplacian_spectrum(shape, voxel_size)
    denominator[0, 0, 0] = 1  # the mean is not determined; it is set to zero
    known /= denominator
    constant = np.multiply(first, known, out=first)
    constant[0, 0, 0] = 0
    update = np.divide(np.float32(p.penalty), denominator, out=denominator)
    update[0, 0, 0] = 0
    del known, denominator

    inverse_voxel = (1 / np.asarray(voxel_size)).astype(np.float32)
    limit = np.float32(1 / p.penalty)
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
        size = float(np.linalg.norm(chi))
        change = float(np.linalg.norm(np.subtract(chi, last, out=buffer))) / max(size, TINY)
        progress(iteration, change)
        if change < p.tolerance:
            break
    return chi
