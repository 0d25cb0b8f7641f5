"""WH-QSM: inversion that also fits what background removal has left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .fansi import phase_scale
from .fft import irfftn, rfftn
from .field_noise import field_noise
from .grid import Grid
from .kernels import laplacian_spectrum
from .region import MaskedRegion, relative_weight
from .solvers import Progress
from .splitting import FIELD_PENALTY, GradientSplitting

NEWTON_STEPS = 3  # per voxel and iteration


@dataclass(frozen=True, kw_only=True)
class WhqsmParameters:
    """Parameters of weak-harmonic inversion, the one place of their defaults."""

    # mm: weight of the total variation as a multiple of the noise of the field, as in TV
    regularisation: float = 0.07
    # mm^4: weight of the squared Laplacian of the remnant against the squared misfit of the
    # field. 150 as published, for voxels of 1 mm: a remnant that varies over more than
    # 150^(1/4) = 3.5 mm is only admitted if it is harmonic
    harmonicity: float = 150.0
    # mm^4: penalty of the splitting of that Laplacian; changes the path and not the solution
    harmonic_penalty: float = 3.0
    # s: the echo time at which the phase is compared, as in FANSI
    reference_te_s: float = 0.02
    # 1/(ppm/mm): penalty of the splitting of the gradient as a multiple of the
    # regularisation; changes the path and not the solution
    penalty: float = 400.0
    # relative change of the map that ends the iteration, and iterations that end it at the
    # latest
    tolerance: float = 1e-2
    iterations: int = 60

    def __post_init__(self) -> None:
        positive = (self.regularisation, self.harmonicity, self.harmonic_penalty, self.penalty)
        if min(*positive, self.reference_te_s, self.tolerance) <= 0 or self.iterations < 1:
            raise ValueError(
                'WH-QSM needs positive regularisations, penalties, echo time, tolerance and '
                f'iterations.\nOtherwise nothing is minimised.\nGot {self}.'
            )


def invert_whqsm(
    local_field_ppm: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    weight: np.ndarray | None = None,
    field_hz_per_ppm: float | None = None,
    parameters: WhqsmParameters = WhqsmParameters(),
    progress: Progress | None = None,
) -> np.ndarray:
    """Return the susceptibility, leaving to a harmonic field what only that explains.

    The field of sources outside the mask is harmonic inside it, and background removal
    leaves some of it, most of all near the border. Here it is an unknown of its own:

        chi, h = argmin 1/2 || W (e^(i s (D * chi + h)) - e^(i s field)) / s ||^2
                        + regularisation noise || E chi ||_1
                        + harmonicity / 2 || laplacian of h ||^2 inside the mask

    with s = 2 pi TE hz_per_ppm (rad/ppm) at a reference echo time.

    Parameters
    ----------
    local_field_ppm : (nx, ny, nz) float, ppm
        Field of the sources inside the brain and a remnant of the background; ignored
        outside the mask.
    mask : (nx, ny, nz) bool
        Where the field is known.
    grid : Grid
        Voxel size and direction of B0.
    weight : (nx, ny, nz) float, optional
        Confidence per voxel, at least 0 and in any unit: inverse noise or reliability. It
        takes the place of W^2, in units of its median and limited to twice that.
    field_hz_per_ppm : float, optional, Hz/ppm
        Imaging frequency in MHz; 127.73 (3 T) when not given.
    parameters : WhqsmParameters
        Regularisations, echo time and stop.
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
        mask, the weight is negative or zero everywhere, or the frequency is not positive.

    Notes
    -----
    ADMM as in ``splitting`` with f = D chi + h and a third splitting, of the Laplacian of h;
    chi and h are found together at every frequency (``whqsm_kernels``). Outside the mask h
    is free. It stops when the map changes by less than ``tolerance`` per iteration.
    Cost per iteration: 6 transforms of the box around the mask, padded by 20 mm on either
    side, and four passes over memory. About 65 bytes per padded voxel.

    References
    ----------
    .. [1] Milovic C et al. Magn Reson Med 2019;81:1399. doi:10.1002/mrm.27483
    """
    from .compiled import over_slabs
    from .splitting_kernels import fit_phase, fit_squares
    from .whqsm_kernels import solve_with_remnant

    p = parameters
    scale = phase_scale(p.reference_te_s, field_hz_per_ppm)
    region = MaskedRegion.of(mask, grid)
    field = region.cut(local_field_ppm, 'local field')
    ratio = relative_weight(weight, region)
    ratio /= np.float32(FIELD_PENALTY)
    state = GradientSplitting(region.grid)
    shape, n = state.padded_shape, region.mask.shape[0]
    laplacian = laplacian_spectrum(shape, grid.voxel_size)
    curvature = np.zeros(shape, np.float32)  # of h; then q - t
    curvature_dual, nothing = np.zeros_like(field), np.zeros_like(field)
    share = p.harmonicity / (p.harmonicity + p.harmonic_penalty)
    share = np.float32(share) * region.mask  # no field is known to be harmonic outside
    stiffness = np.float32(p.harmonic_penalty / FIELD_PENALTY)
    noise = field_noise(field, region)

    def fit(start: int, stop: int, predicted: np.ndarray, dual: np.ndarray) -> None:
        fit_phase(start, stop, predicted, dual, field, ratio, scale, NEWTON_STEPS)

    def solve(data: np.ndarray, sparse: np.ndarray, gradient_ratio: np.float32) -> None:
        nonlocal curvature
        over_slabs(lambda a, b: fit_squares(a, b, curvature, curvature_dual, nothing, share), n)
        remnant = rfftn(curvature)
        kernels = (state.kernel, laplacian, gradient_ratio, stiffness)
        over_slabs(
            lambda a, b: solve_with_remnant(a, b, data, sparse, remnant, *kernels), shape[0]
        )
        curvature = irfftn(remnant, shape)

    def report(iteration: int, change: float) -> None:
        if progress is not None:
            text = f'WH-QSM iteration {iteration}, change {change:.1e}'
            progress(iteration / p.iterations, text)

    state.run(
        fit,
        regularisation=p.regularisation * noise,
        penalty=p.penalty,
        tolerance=p.tolerance,
        iterations=p.iterations,
        solve=solve,
        progress=report,
    )
    return region.paste(state.chi[state.box])
