"""TV: dipole inversion by total variation with the field fitted inside the mask only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .field_noise import field_noise
from .grid import Grid
from .region import MaskedRegion, relative_weight
from .solvers import Progress
from .splitting import FIELD_PENALTY, GradientSplitting


@dataclass(frozen=True, kw_only=True)
class TvParameters:
    """Parameters of total-variation inversion, the one place of their defaults."""

    # mm: weight of the total variation against half the squared misfit of the field, as a
    # multiple of the noise of the field (see field_noise). The prior of exponentially
    # distributed gradients asks for noise^2 / gradient; to follow the noise itself also keeps
    # the map proportional to the field. 0.07 was chosen on a simulated head. In absolute
    # terms 3e-4 ppm mm was best in vivo (2016 challenge data) and 3e-5 in noise-free
    # simulations (2019), which is what this rule gives for noise of 4 and of 0.4 ppb
    regularisation: float = 0.07
    # 1/(ppm/mm): penalty of the splitting of the gradient as a multiple of the
    # regularisation; changes the path and not the solution
    penalty: float = 400.0
    # relative change of the map that ends the iteration, and iterations that end it at the
    # latest
    tolerance: float = 2e-2
    iterations: int = 60

    def __post_init__(self) -> None:
        if min(self.regularisation, self.penalty, self.tolerance) <= 0 or self.iterations < 1:
            raise ValueError(
                'TV needs a positive regularisation, penalty, tolerance and iterations.\n'
                'Otherwise nothing is minimised.\n'
                f'Got {self}.'
            )


def invert_tv(
    local_field_ppm: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    weight: np.ndarray | None = None,
    parameters: TvParameters = TvParameters(),
    progress: Progress | None = None,
) -> np.ndarray:
    """Return the map of least total variation that explains the field inside the mask.

        chi = argmin 1/2 || W (D * chi - field) ||^2 + regularisation noise || E chi ||_1

    with D the dipole kernel, E the gradient, and W zero outside the mask: the field there is
    unknown, not zero, and sources may lie in the rim that background removal has lost. The
    noise is that which the field itself shows where the dipole kernel is zero
    (``field_noise``), so the same default holds for clean and for poor data.

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
    parameters : TvParameters
        Regularisation and stop.
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
    ADMM, see ``splitting``; the field's step is, with q the penalty of its splitting,

        f = (W^2 field + q (D * chi + s)) / (W^2 + q).

    It stops when the map changes by less than ``tolerance`` per iteration. Cost per
    iteration: 4 transforms of the box around the mask, padded by 20 mm on either side, and
    three passes over memory; about 20 iterations. About 55 bytes per padded voxel.

    References
    ----------
    .. [1] Bilgic B et al. Magn Reson Med 2014;72:1444. doi:10.1002/mrm.25029
    .. [2] Milovic C et al. Magn Reson Med 2018;80:814. doi:10.1002/mrm.27073 (splitting)
    """
    from .splitting_kernels import fit_squares

    region = MaskedRegion.of(mask, grid)
    field = region.cut(local_field_ppm, 'local field')
    share = relative_weight(weight, region)
    share /= share + np.float32(FIELD_PENALTY)
    p = parameters

    def report(iteration: int, change: float) -> None:
        if progress is not None:
            progress(iteration / p.iterations, f'TV iteration {iteration}, change {change:.1e}')

    state = GradientSplitting(region.grid)
    state.run(
        lambda start, stop, f, dual: fit_squares(start, stop, f, dual, field, share),
        regularisation=p.regularisation * field_noise(field, region),
        penalty=p.penalty,
        tolerance=p.tolerance,
        iterations=p.iterations,
        progress=report,
    )
    return region.paste(state.chi[state.box])
