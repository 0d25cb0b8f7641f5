"""iLSQR: least squares, then the streaks are estimated and taken off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .fft import PaddedFFT, irfftn, rfftn
from .grid import Grid
from .kernels import (
    dipole_kernel,
    gradient,
    kernel_spectrum,
    laplacian_spectrum,
    sphere_kernel,
)
from .region import MaskedRegion, relative_weight
from .solvers import Progress
from .spectral_cg import solve_spectrum

FIRST_STEP_SHARE = 0.4  # of the run time, for the progress only
SMOOTHINGS = 2  # of the quick estimate, as published
# |D| between which the field gives way to a local mean in the quick estimate: its 1st and
# 30th percentile for cubic voxels, as published
BLENDING = (0.006, 0.17)


@dataclass(frozen=True, kw_only=True)
class IlsqrParameters:
    """Parameters of iLSQR, the one place of their defaults."""

    # without unit; streaks are looked for where |D| is below it. 0.1 as published
    cone: float = 0.1
    # Tikhonov weight of the first step as a fraction of cone^2: keeps the cone from filling
    # with noise amplified without limit. The published method relies on an early stop alone
    damping: float = 0.1
    # percentiles of the field's Laplacian between which the trust in a voxel falls to
    # nothing; only used without a weight. As published
    roughness: tuple[float, float] = (60.0, 99.9)
    # percentiles of the gradient of the quick estimate between which a voxel turns from
    # smooth tissue, where what varies is a streak, into an edge. Published: 50 and 70. A
    # wider range keeps more of the pairs that tell noise and streaks from tissue
    smooth_share: tuple[float, float] = (60.0, 90.0)
    # mm: radius of the sphere whose mean fills the cone of the quick estimate. As published
    radius_mm: float = 3.0
    # reduction of the residual that ends the first step (as published) and iterations that
    # end it at the latest
    tolerance: float = 1e-2
    iterations: int = 50
    # the same for the streaks
    streak_tolerance: float = 5e-2
    streak_iterations: int = 20

    def __post_init__(self) -> None:
        if not 0 < self.cone < 2 / 3:
            raise ValueError(
                f'The cone of iLSQR must lie between 0 and 2/3, got {self.cone}.\n'
                'The dipole kernel itself lies in that range.\n'
                'Use about 0.1.'
            )
        if min(self.damping, self.radius_mm, self.tolerance, self.streak_tolerance) <= 0:
            raise ValueError(
                'iLSQR needs a positive damping, radius_mm and tolerances.\n'
                'Otherwise a step has no solution, or none that an iteration finds.\n'
                f'Got {self}.'
            )
        for name in ('roughness', 'smooth_share'):
            values = getattr(self, name)
            if len(values) != 2 or not 0 <= values[0] < values[1] <= 100:
                raise ValueError(
                    f'The {name} of iLSQR must be two rising percentiles, got {values}.\n'
                    'Weights fall from 1 to 0 between them.\n'
                    'Give two numbers from 0 to 100.'
                )
        if min(self.iterations, self.streak_iterations) < 1:
            raise ValueError(
                'iLSQR needs at least one iteration of each step.\n'
                'Without one the map is zero or full of streaks.\n'
                f'Got {self.iterations} and {self.streak_iterations}.'
            )


def invert_ilsqr(
    local_field_ppm: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    weight: np.ndarray | None = None,
    parameters: IlsqrParameters = IlsqrParameters(),
    progress: Progress | None = None,
) -> np.ndarray:
    """Return the least-squares susceptibility without the streaks that smooth tissue shows.

    1. Least squares over the mask, chi0 = argmin || W (D * chi - field) ||^2 + damping
       cone^2 || chi ||^2. Near the cone where the dipole kernel D vanishes its spectrum is
       wrong, which shows as streaks.
    2. A quick estimate of chi for the anatomy only: the field's spectrum times the sign of D
       (as if |D| were constant), with means over a sphere instead of what lies in the cone.
    3. The streaks s are the map with a spectrum inside the cone only that explains the
       gradients of chi0 best where the quick estimate is smooth,

           s = argmin || W_g E (chi0 - s) ||^2,   s(k) = 0 where |D| > cone,

       with E the gradient and W_g falling from 1 in smooth tissue to 0 at edges.
    4. chi = chi0 - s.

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
        takes the place of W^2, in units of its median and limited to twice that. Without one
        W^2 falls where the Laplacian of the field is large, as published; that protects from
        wrong phase but also from strong small sources, so a weight is better.
    parameters : IlsqrParameters
        Cone, weights and stops.
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
    Published iLSQR solves step 1 by LSQR from zero, and the number of iterations decides how
    far the cone is filled. Here the least squares are damped and solved by conjugate gradients
    preconditioned with 1 / (D^2 + damping): the same solution in fewer iterations, and not
    one that depends on when they end. Step 3 is preconditioned with 1 / |E|^2. Both hold the
    unknown as its spectrum and stop when the residual has fallen to their tolerance.

    Cost per iteration of steps 1 and 3: 2 transforms of the box around the mask, padded by
    20 mm on either side, and 6 passes over memory; about 10 and 20 iterations, and 7
    transforms for step 2. Memory about 55 bytes per padded voxel. The map grows with the
    field in proportion.

    References
    ----------
    .. [1] Li W et al. NeuroImage 2015;108:111. doi:10.1016/j.neuroimage.2014.12.043
    """
    p = parameters
    region = MaskedRegion.of(mask, grid)
    field = region.cut(local_field_ppm, 'local field')
    weight_squared = relative_weight(weight, region)
    fft = PaddedFFT(field.shape, grid.voxel_size)
    kernel = dipole_kernel(fft.padded_shape, grid.voxel_size, grid.b0_direction)
    if weight is None:
        laplacian = laplacian_spectrum(fft.padded_shape, grid.voxel_size)
        rough = np.abs(fft.inverse(fft.forward(field) * laplacian))
        weight_squared *= _falling(rough, region.mask, p.roughness)

    def report(share_before: float, share: float, name: str, steps: int) -> Callable:
        def call(iteration: int, change: float) -> None:
            if progress is not None:
                fraction = share_before + share * iteration / steps
                progress(fraction, f'iLSQR {name}, iteration {iteration}, residual {change:.1e}')

        return call

    first = _least_squares(
        field, weight_squared, kernel, fft, p, report(0, FIRST_STEP_SHARE, 'fit', p.iterations)
    )
    quick = _quick_estimate(field, region, kernel, fft, p)
    del field, weight_squared
    first -= _streaks(
        first,
        _smooth_pairs(quick, region, p),
        np.abs(kernel) < p.cone,
        fft,
        grid,
        p,
        report(FIRST_STEP_SHARE, 1 - FIRST_STEP_SHARE, 'streaks', p.streak_iterations),
    )
    return region.paste(fft.inverse(first))


def _falling(values: np.ndarray, known: np.ndarray, percentiles: tuple[float, float]):
    """Return 1 below one percentile of the known values, 0 above the other, linear between."""
    low, high = np.percentile(values[known], percentiles) if known.any() else (0.0, 0.0)
    if high <= low:  # e.g. constant: nothing stands out
        return (values <= high).astype(np.float32)
    return np.clip((high - values) / (high - low), 0, 1).astype(np.float32)


def _least_squares(
    field: np.ndarray,
    weight_squared: np.ndarray,
    kernel: np.ndarray,
    fft: PaddedFFT,
    p: IlsqrParameters,
    progress: Callable[[int, float], None],
) -> np.ndarray:
    """Return the spectrum of chi0."""
    damping = np.float32(p.damping * p.cone**2)

    def normal(spectrum: np.ndarray) -> np.ndarray:
        inside = fft.inverse(kernel * spectrum)
        inside *= weight_squared
        result = fft.forward(inside)
        result *= kernel
        result += damping * spectrum
        return result

    inverse = kernel**2
    inverse += damping
    np.reciprocal(inverse, out=inverse)
    right_side = fft.forward(weight_squared * field)
    right_side *= kernel
    solution, _ = solve_spectrum(
        normal,
        right_side,
        inverse,
        fft.padded_shape[2],
        tolerance=p.tolerance,
        max_iterations=p.iterations,
        progress=progress,
    )
    return solution


def _quick_estimate(
    field: np.ndarray,
    region: MaskedRegion,
    kernel: np.ndarray,
    fft: PaddedFFT,
    p: IlsqrParameters,
) -> np.ndarray:
    """Return a map with the edges of chi but not its scale (fast QSM)."""
    voxel_size = region.grid.voxel_size
    sphere = sphere_kernel(max(p.radius_mm, *voxel_size), voxel_size)
    low, high = BLENDING
    kept = np.clip((np.abs(kernel) - low) / (high - low), 0, 1)
    blend = kept + (1 - kept) * kernel_spectrum(sphere, fft.padded_shape)
    chi = fft.inverse(fft.forward(field) * np.sign(kernel))
    for _ in range(SMOOTHINGS):
        chi *= region.mask
        chi = fft.inverse(fft.forward(chi) * blend)
    return chi


def _smooth_pairs(quick: np.ndarray, region: MaskedRegion, p: IlsqrParameters) -> np.ndarray:
    """Return W_g^2 for the pairs of neighbours along each axis, zero where one is outside."""
    pairs = np.abs(gradient(quick, region.grid.voxel_size))
    for axis in range(3):
        inside = region.mask & np.roll(region.mask, -1, axis)
        last = [slice(None)] * 3
        last[axis] = -1
        inside[tuple(last)] = False  # it would look at the first one
        pairs[axis] = inside * _falling(pairs[axis], inside, p.smooth_share) ** 2
    return pairs


def _streaks(
    first: np.ndarray,
    pairs: np.ndarray,
    in_cone: np.ndarray,
    fft: PaddedFFT,
    grid: Grid,
    p: IlsqrParameters,
    progress: Callable[[int, float], None],
) -> np.ndarray:
    """Return the spectrum of the streaks."""
    from .medi_kernels import smoothness

    shape = fft.padded_shape
    weights = np.zeros((3, *shape), np.float32)
    weights[(slice(None), *(slice(n) for n in fft.shape))] = pairs
    for axis, h in enumerate(grid.voxel_size):
        weights[axis] /= np.float32(h**2)
    image = np.empty(shape, np.float32)

    def normal(spectrum: np.ndarray) -> np.ndarray:
        smoothness(irfftn(spectrum, shape), weights, image)
        result = rfftn(image)
        result *= in_cone
        return result

    inverse = -laplacian_spectrum(shape, grid.voxel_size)
    inverse[0, 0, 0] = 1
    np.divide(in_cone, inverse, out=inverse)
    inverse[0, 0, 0] = 0  # the mean is not determined; it stays zero
    streaks, _ = solve_spectrum(
        normal,
        normal(first),
        inverse,
        shape[2],
        tolerance=p.streak_tolerance,
        max_iterations=p.streak_iterations,
        progress=progress,
    )
    return streaks
