"""HD-QSM: a fit of absolute values finds what contradicts the model, a fit of squares follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .field_noise import field_noise
from .grid import Grid
from .region import MaskedRegion, relative_weight
from .solvers import Progress
from .splitting import FIELD_PENALTY, GradientSplitting


@dataclass(frozen=True, kw_only=True)
class HdqsmParameters:
    """Parameters of the hybrid data fidelity inversion, the one place of their defaults."""

    # mm: weight of the total variation in the second stage as a multiple of the noise of the
    # field, as in TV
    regularisation: float = 0.07
    # without unit: that of the first stage, as a share of the second's. Absolute values take
    # strong sources for outliers where it is heavy, and veins and bleeds would be lost
    first_share: float = 0.05
    # 1/(ppm/mm): penalty of the splitting of the gradient as a multiple of the
    # regularisation; changes the path and not the solution
    penalty: float = 800.0
    # iterations of the first stage, as published: it need not converge
    first_iterations: int = 20
    # relative change of the map that ends the second stage, and iterations that end it at
    # the latest
    tolerance: float = 5e-3
    iterations: int = 60

    def __post_init__(self) -> None:
        positive = (self.regularisation, self.first_share, self.penalty, self.tolerance)
        if min(positive) <= 0 or min(self.first_iterations, self.iterations) < 1:
            raise ValueError(
                'HD-QSM needs a positive regularisation, penalty, tolerance and iterations.\n'
                'Otherwise nothing is minimised.\n'
                f'Got {self}.'
            )


def invert_hdqsm(
    local_field_ppm: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    weight: np.ndarray | None = None,
    parameters: HdqsmParameters = HdqsmParameters(),
    progress: Progress | None = None,
) -> np.ndarray:
    """Return the susceptibility by total variation with a hybrid data fidelity.

    Stage 1 adds up absolute values, so a few wrong voxels do not bend the map:

        chi1 = argmin || W (D * chi - field) ||_1 + regularisation1 || E chi ||_1

    What it leaves unexplained tells which voxels to trust, and stage 2 is TV with squares,
    which noise asks for, starting from chi1:

        V    = W (1 - r / max r),   r = | field - D * chi1 | in the mask
        chi  = argmin 1/2 || V (D * chi - field) ||^2 + regularisation noise || E chi ||_1

    Parameters
    ----------
    local_field_ppm : (nx, ny, nz) float, ppm
        Field of the sources inside the brain; ignored outside the mask.
    mask : (nx, ny, nz) bool
        Where the field is known.
    grid : Grid
        Voxel size and direction of B0.
    weight : (nx, ny, nz) float, optional
        Confidence per voxel, at least 0 and in any unit: inverse noise or reliability. In
        units of its median and limited to twice that it is W of stage 1, and W^2 of stage 2.
    parameters : HdqsmParameters
        Regularisation and stops.
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
    Both stages are ADMM, see ``splitting``. The field's step of stage 1 limits its dual,
    s = clip(D chi + s - field, W / q). A misfit the size of the noise counts alike in both
    stages when regularisation1 is the regularisation itself; it is ``first_share`` of that.
    With the noise of the field as unit (``field_noise``) the map is proportional to the
    field. The publication instead takes the square root of the second stage's weight, which
    depends on the unit of the field.

    Cost per iteration: 4 transforms of the box around the mask, padded by 20 mm on either
    side, and three passes over memory; 20 and about 35 iterations. About 60 bytes per padded
    voxel.

    References
    ----------
    .. [1] Lambert M et al. Magn Reson Med 2022;88:962. doi:10.1002/mrm.29218
    """
    from .splitting_kernels import fit_absolute, fit_squares

    region = MaskedRegion.of(mask, grid)
    field = region.cut(local_field_ppm, 'local field')
    weight_squared = relative_weight(weight, region)
    noise = field_noise(field, region)
    p = parameters

    def report(stage: int, before: int) -> Callable[[int, float], None]:
        def call(iteration: int, change: float) -> None:
            if progress is not None:
                fraction = (before + iteration) / (p.first_iterations + p.iterations)
                text = f'HD-QSM stage {stage}, iteration {iteration}, change {change:.1e}'
                progress(fraction, text)

        return call

    state = GradientSplitting(region.grid)
    field_penalty = FIELD_PENALTY * p.first_share / noise
    limit = weight_squared / np.float32(field_penalty)
    state.run(
        lambda start, stop, f, dual: fit_absolute(start, stop, f, dual, field, limit),
        regularisation=p.first_share * p.regularisation,
        penalty=p.penalty,
        field_penalty=field_penalty,
        tolerance=p.tolerance,
        iterations=p.first_iterations,
        progress=report(1, 0),
    )
    misfit = np.abs(field - state.predicted[state.box])
    misfit *= region.mask
    largest = misfit.max()
    if largest > 0:
        weight_squared *= np.square(1 - misfit / largest)
    share = np.divide(weight_squared, weight_squared + np.float32(FIELD_PENALTY), out=misfit)
    state.run(
        lambda start, stop, f, dual: fit_squares(start, stop, f, dual, field, share),
        regularisation=p.regularisation * noise,
        penalty=p.penalty,
        tolerance=p.tolerance,
        iterations=p.iterations,
        progress=report(2, p.first_iterations),
    )
    return region.paste(state.chi[state.box])
