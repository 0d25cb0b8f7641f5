"""FANSI: total variation and total generalised variation with a fit of the phase itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .field_noise import field_noise
from .grid import Grid
from .region import MaskedRegion, relative_weight
from .solvers import Progress
from .splitting import FIELD_PENALTY, Fit, GradientSplitting

HZ_PER_PPM = 127.73  # 3 T, where no other scale is given
NEWTON_STEPS = 3  # per voxel and iteration; the start is close, and the next goes on from it


@dataclass(frozen=True, kw_only=True)
class FansiParameters:
    """Parameters of nonlinear total variation, the one place of their defaults."""

    # mm: weight of the total variation as a multiple of the noise of the field, as in TV
    regularisation: float = 0.07
    # s: the echo time at which the phase is compared. 20 ms is about T2* of grey matter at
    # 3 T, where a phase tells most; longer is more robust and bends strong sources more
    reference_te_s: float = 0.02
    # 1/(ppm/mm): penalty of the splitting of the gradient as a multiple of the
    # regularisation; changes the path and not the solution
    penalty: float = 800.0
    # relative change of the map that ends the iteration, and iterations that end it at the
    # latest
    tolerance: float = 3e-3
    iterations: int = 100

    def __post_init__(self) -> None:
        positive = (self.regularisation, self.reference_te_s, self.penalty, self.tolerance)
        if min(positive) <= 0 or self.iterations < 1:
            raise ValueError(
                'FANSI needs a positive regularisation, echo time, penalty, tolerance and '
                f'iterations.\nOtherwise nothing is minimised.\nGot {self}.'
            )


@dataclass(frozen=True, kw_only=True)
class FansiTgvParameters:
    """Parameters of nonlinear total generalised variation, the one place of their defaults."""

    # mm: weight of the first order as a multiple of the noise of the field, as in TV
    regularisation: float = 0.07
    # in voxels: weight of the second order over the first's. 2 as in the published software;
    # the lighter it is the more ramps the map has
    second_order: float = 2.0
    # s: the echo time at which the phase is compared, as in nonlinear TV
    reference_te_s: float = 0.02
    # 1/(ppm/mm): penalty of the splittings as a multiple of the regularisation; changes the
    # path and not the solution
    penalty: float = 400.0
    # relative change of the map that ends the iteration, and iterations that end it at the
    # latest
    tolerance: float = 1e-2
    iterations: int = 60

    def __post_init__(self) -> None:
        positive = (self.regularisation, self.second_order, self.reference_te_s, self.penalty)
        if min(*positive, self.tolerance) <= 0 or self.iterations < 1:
            raise ValueError(
                'FANSI needs positive regularisations, echo time, penalty, tolerance and '
                f'iterations.\nOtherwise nothing is minimised.\nGot {self}.'
            )


def invert_fansi(
    local_field_ppm: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    weight: np.ndarray | None = None,
    field_hz_per_ppm: float | None = None,
    parameters: FansiParameters = FansiParameters(),
    progress: Progress | None = None,
) -> np.ndarray:
    """Return the map of least total variation that explains the phase inside the mask.

        chi = argmin 1/2 || W (e^(i s D * chi) - e^(i s field)) / s ||^2
                     + regularisation noise || E chi ||_1

    with s = 2 pi TE hz_per_ppm (rad/ppm) at a reference echo time. The noise of the complex
    signal is the same at any phase, and a difference of whole cycles is none: a voxel that
    was unwrapped wrongly, or whose phase is only noise, pulls at most by 1 / s. For small
    angles this is TV.

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
        takes the place of W^2, in units of its median and limited to twice that.
    field_hz_per_ppm : float, optional, Hz/ppm
        Imaging frequency in MHz; 127.73 (3 T) when not given.
    parameters : FansiParameters
        Regularisation, echo time and stop.
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
    ADMM, see ``splitting``; the field's step is a scalar equation per voxel, solved by
    Newton's method. Divided by s^2 the misfit has the unit of TV's, so the regularisation
    means the same. It stops when the map changes by less than ``tolerance`` per iteration.
    Cost per iteration: 4 transforms of the box around the mask, padded by 20 mm on either
    side, and three passes over memory; about 80 iterations. About 55 bytes per padded voxel.

    References
    ----------
    .. [1] Milovic C et al. Magn Reson Med 2018;80:814. doi:10.1002/mrm.27073
    """
    p = parameters
    region, fit, noise = _prepare(local_field_ppm, mask, grid, weight, field_hz_per_ppm, p)
    state = GradientSplitting(region.grid)
    state.run(
        fit,
        regularisation=p.regularisation * noise,
        penalty=p.penalty,
        tolerance=p.tolerance,
        iterations=p.iterations,
        progress=_reporter(progress, 'FANSI', p.iterations),
    )
    return region.paste(state.chi[state.box])


def invert_fansi_tgv(
    local_field_ppm: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    weight: np.ndarray | None = None,
    field_hz_per_ppm: float | None = None,
    parameters: FansiTgvParameters = FansiTgvParameters(),
    progress: Progress | None = None,
) -> np.ndarray:
    """Return the map of least total generalised variation that explains the phase.

    The misfit is that of :func:`invert_fansi`. The variation also admits a vector field w
    that follows the smooth part of the gradient,

        min over w of  regularisation noise [ || E chi - w ||_1 + second || e w ||_1 ]

    with e the symmetrised gradient and second = second_order times the voxel size in mm. A
    linear ramp costs nothing, so slow changes are not turned into stairs.

    Parameters, result and errors are those of :func:`invert_fansi`, with
    :class:`FansiTgvParameters`.

    Notes
    -----
    Cost per iteration: 10 transforms of the box around the mask, padded by 20 mm on either
    side, and 8 passes over memory; about 45 iterations. About 100 bytes per padded voxel.

    References
    ----------
    .. [1] Milovic C et al. Magn Reson Med 2018;80:814. doi:10.1002/mrm.27073
    .. [2] Bredies K, Kunisch K, Pock T. SIAM J Imaging Sci 2010;3:492. doi:10.1137/090769521
    """
    from .tgv_splitting import invert_by_tgv

    p = parameters
    region, fit, noise = _prepare(local_field_ppm, mask, grid, weight, field_hz_per_ppm, p)
    first = p.regularisation * noise
    chi = invert_by_tgv(
        fit,
        region.grid,
        first=first,
        second=first * p.second_order * grid.voxel_volume ** (1 / 3),
        penalty=p.penalty,
        tolerance=p.tolerance,
        iterations=p.iterations,
        progress=_reporter(progress, 'FANSI TGV', p.iterations),
    )
    return region.paste(chi)


def _prepare(
    local_field_ppm: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    weight: np.ndarray | None,
    field_hz_per_ppm: float | None,
    p: FansiParameters | FansiTgvParameters,
) -> tuple[MaskedRegion, Fit, float]:
    """Return the box, the proximal step of the phase and the noise of the field (ppm)."""
    from .splitting_kernels import fit_phase

    scale = phase_scale(p.reference_te_s, field_hz_per_ppm)
    region = MaskedRegion.of(mask, grid)
    field = region.cut(local_field_ppm, 'local field')
    ratio = relative_weight(weight, region)
    ratio /= np.float32(FIELD_PENALTY)

    def fit(start: int, stop: int, predicted: np.ndarray, dual: np.ndarray) -> None:
        fit_phase(start, stop, predicted, dual, field, ratio, scale, NEWTON_STEPS)

    return region, fit, field_noise(field, region)


def phase_scale(reference_te_s: float, field_hz_per_ppm: float | None) -> np.float32:
    """Return 2 pi TE hz_per_ppm, the phase (rad) of a field of 1 ppm.

    Raises
    ------
    ValueError
        If the frequency is not positive.
    """
    hz_per_ppm = HZ_PER_PPM if field_hz_per_ppm is None else field_hz_per_ppm
    if not 0 < hz_per_ppm < np.inf:
        raise ValueError(
            f'The imaging frequency must be positive, got {field_hz_per_ppm} Hz/ppm.\n'
            'It scales the field to the phase that is compared.\n'
            'Give the ImagingFrequency in MHz, e.g. 127.73 at 3 T, or leave it out.'
        )
    return np.float32(2 * np.pi * reference_te_s * hz_per_ppm)


def _reporter(
    progress: Progress | None, name: str, iterations: int
) -> Callable[[int, float], None]:
    def report(iteration: int, change: float) -> None:
        if progress is not None:
            progress(iteration / iterations, f'{name} iteration {iteration}, change {change:.1e}')

    return report
