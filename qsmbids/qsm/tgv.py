"""TGV: susceptibility from the total field, or from wrapped phase, in a single step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import ndimage

from .grid import Grid
from .masks import erode
from .phase import wrap
from .region import MaskedRegion, relative_weight
from .solvers import Progress
from .tgv_grids import TgvLevel, TgvState, coarser

TINY = 1e-30  # a map of zeros does not change either
RELAXATION = np.float32(1.8)  # of every step; below 2 it still converges (Condat 2013)
CHECK_EVERY = 10  # iterations between two looks at the stop and two calls of progress


@dataclass(frozen=True, kw_only=True)
class TgvParameters:
    """Parameters of single-step TGV, the one place of their defaults."""

    # mm: weight of |grad chi - w| (ppm/mm) against half the squared misfit (ppm^2)
    alpha1: float = 5e-4
    # mm^2: weight of |sym grad w| (ppm/mm^2). Three times alpha1 as published
    alpha0: float = 1.5e-3
    # mm: the mask is eroded by so much, as phase at its rim is seldom right; 0 keeps it
    erosion_mm: float = 0.0
    # grids, each of half the resolution of the next: a coarser one costs an eighth
    levels: int = 4
    # iterations on the grid of the data, and on each of the coarser ones, at the latest
    iterations: int = 400
    coarse_iterations: int = 1000
    # relative change of the map per iteration that ends a level
    tolerance: float = 1e-4
    # steps of the primal against those of the dual variables, and weight of the equation of
    # the field against that of the gradients, mm; they change the path and not the solution
    balance: float = 7.0
    equation_scale: float = 10.0

    def __post_init__(self) -> None:
        positive = (self.alpha1, self.alpha0, self.tolerance, self.balance, self.equation_scale)
        if min(positive) <= 0:
            raise ValueError(
                'TGV needs positive weights, steps and tolerance.\n'
                'Otherwise nothing is minimised.\n'
                f'Got {self}.'
            )
        counts = (self.levels, self.iterations, self.coarse_iterations)
        if min(counts) < 1 or not 0 <= self.erosion_mm < np.inf:
            raise ValueError(
                'TGV needs at least one level, one iteration, and an erosion of at least 0 mm.\n'
                'Otherwise there is nothing to compute.\n'
                f'Got {self}.'
            )


def tgv_laplacian_of_wrapped(phase: np.ndarray, mask: np.ndarray, grid: Grid) -> np.ndarray:
    """Return the Laplacian of the phase, from wrapped phase.

    The sum over the six neighbours of wrap(neighbour - voxel) / h^2. Turns of 2 pi drop out
    where the true phase changes by less than pi from voxel to voxel.

    Parameters
    ----------
    phase : (nx, ny, nz) float, rad
        One echo, wrapped or not; a constant and everything harmonic (phase offsets of coils,
        fields from outside) drop out as well.
    mask : (nx, ny, nz) bool
        Where the phase is measured.
    grid : Grid
        Voxel size.

    Returns
    -------
    (nx, ny, nz) float32, rad/mm^2
        Zero where a neighbour lies outside the mask. Divided by 2 pi TE times the field in
        Hz per ppm it is the ``laplacian_ppm`` of :func:`invert_tgv`.

    Raises
    ------
    ValueError
        If the mask is empty, shapes differ, or the phase is not finite inside the mask.

    References
    ----------
    .. [1] Schofield MA, Zhu Y. Opt Lett 2003;28:1194. doi:10.1364/OL.28.001194
    """
    region = MaskedRegion.of(mask, grid)
    return region.paste(_laplacian(wrap(region.cut(phase, 'phase')), region, wrap))


def invert_tgv(
    total_field_ppm: np.ndarray | None,
    mask: np.ndarray,
    grid: Grid,
    *,
    weight: np.ndarray | None = None,
    laplacian_ppm: np.ndarray | None = None,
    parameters: TgvParameters = TgvParameters(),
    progress: Progress | None = None,
) -> np.ndarray:
    """Return the susceptibility inside a mask from the total field, without background removal.

    The Laplacian of a field knows nothing of sources outside the mask. It is compared with
    that of the field of the susceptibility inside,

        min  1/2 || W psi ||^2 + alpha1 || grad chi - w ||_1 + alpha0 || sym grad w ||_1
        with lap psi = (1/3 lap - d_b^2) chi - lap field    inside the mask,

    where d_b is the derivative along B0 and psi the misfit of the field itself: any field
    without sources in the mask may be added to it. The two last terms are the total
    generalised variation, which is small for maps that are piecewise linear; a map of equal
    total variation would be piecewise constant.

    Parameters
    ----------
    total_field_ppm : (nx, ny, nz) float, ppm
        Unwrapped field of all sources; ignored outside the mask. May be None if
        ``laplacian_ppm`` is given.
    mask : (nx, ny, nz) bool
        Where the field is measured.
    grid : Grid
        Voxel size and direction of B0.
    weight : (nx, ny, nz) float, optional
        Confidence per voxel, at least 0 and in any unit: inverse noise or reliability. It
        takes the place of W^2, in units of its median and limited to twice that.
    laplacian_ppm : (nx, ny, nz) float, ppm/mm^2, optional
        Takes the place of the Laplacian of the field: of wrapped phase, by
        :func:`tgv_laplacian_of_wrapped`. Used where no neighbour lies outside the mask.
    parameters : TgvParameters
        Regularisation, erosion, grids and stops.
    progress : callable, optional
        Called with (fraction, text).

    Returns
    -------
    (nx, ny, nz) float32, ppm
        Susceptibility relative to an unknown constant; zero outside the eroded mask.

    Raises
    ------
    ValueError
        If the mask is empty or nowhere thicker than two voxels (after erosion), shapes
        differ, field or weight are not finite inside the mask, or neither field nor
        Laplacian is given.

    Notes
    -----
    Solved by the primal-dual algorithm of Chambolle and Pock with a step for each kind of
    variable and over-relaxation. Slow waves need many iterations, as each carries news by
    one voxel only. They are therefore found on coarser grids first, with the Laplacian
    averaged, and everything, dual variables included, is interpolated to the next grid. A
    level ends when the map changes by less than ``tolerance`` per iteration.

    Cost: two passes over about 30 floats per voxel of the mask and iteration, no transforms;
    about 125 bytes per voxel of the box around the mask. All derivatives are differences of
    neighbours, mixed ones between diagonal neighbours. The sums of absolute values do not
    depend on flips or on the order of the axes. Not linear.

    References
    ----------
    .. [1] Langkammer C et al. NeuroImage 2015;111:622. doi:10.1016/j.neuroimage.2015.02.041
    .. [2] Chambolle A, Pock T. J Math Imaging Vis 2011;40:120.
       doi:10.1007/s10851-010-0251-1
    .. [3] Condat L. J Optim Theory Appl 2013;158:460. doi:10.1007/s10957-012-0245-9
       (relaxation)
    .. [4] Pock T, Chambolle A. IEEE Int Conf Comput Vis 2011:1762.
       doi:10.1109/ICCV.2011.6126441 (steps)
    """
    if total_field_ppm is None and laplacian_ppm is None:
        raise ValueError(
            'TGV got neither a total field nor a Laplacian.\n'
            'There is nothing to invert.\n'
            'Give one of them.'
        )
    if parameters.erosion_mm:
        mask = erode(np.asarray(mask) != 0, parameters.erosion_mm, grid)
    region = MaskedRegion.of(mask, grid)
    inner = ndimage.binary_erosion(region.mask, ndimage.generate_binary_structure(3, 2))
    if not inner.any():
        raise ValueError(
            'The mask of TGV is nowhere thicker than two voxels.\n'
            'Second derivatives need a neighbour on either side.\n'
            'Use a larger mask, or erode it less.'
        )
    if laplacian_ppm is None:
        laplacian = _laplacian(region.cut(total_field_ppm, 'total field'), region)
    else:
        laplacian = region.cut(laplacian_ppm, 'Laplacian')
    share = relative_weight(weight, region)
    levels = [TgvLevel.of(region.mask, inner, laplacian, share, region.grid.voxel_size)]
    while len(levels) < parameters.levels:
        level = coarser(levels[-1])
        if level is None:
            break
        levels.append(level)

    planned = sum(_limit(parameters, n) * level.size for n, level in enumerate(levels))
    done = 0.0
    state = None
    for n in reversed(range(len(levels))):
        level = levels[n]
        if state is None:
            state = TgvState.zeros(level.shape)
        else:
            state = state.refined(levels.pop(), level)
        share = _limit(parameters, n) * level.size / planned

        name = 'TGV at ' + ' x '.join(f'{h:.3g}' for h in level.voxel_size) + ' mm'
        report = partial(_report, progress, done, share, name)
        _solve(level, state, grid.b0_direction, parameters, _limit(parameters, n), report)
        done += share
    return region.paste(np.ascontiguousarray(state.chi[1:-1, 1:-1, 1:-1]))


def _report(
    progress: Progress | None, done: float, share: float, name: str, fraction: float, text: str
) -> None:
    """Report the part of one level as a part of the whole."""
    if progress is not None:
        progress(done + share * fraction, f'{name}, {text}')


def _limit(parameters: TgvParameters, level: int) -> int:
    """Return the iterations of a level at the latest; level 0 is the grid of the data."""
    return parameters.coarse_iterations if level else parameters.iterations


def _laplacian(values: np.ndarray, region: MaskedRegion, of_difference=None) -> np.ndarray:
    """Return the 7-point Laplacian, zero where a neighbour lies outside the mask."""
    total = np.zeros_like(values)
    for axis, h in enumerate(region.grid.voxel_size):
        difference = np.diff(values, axis=axis)
        if of_difference is not None:
            difference = of_difference(difference)
        difference *= np.float32(1 / h**2)
        total[tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))] += difference
        total[tuple(slice(1, None) if a == axis else slice(None) for a in range(3))] -= difference
    return total * ndimage.binary_erosion(region.mask)


def _wave(voxel_size: Sequence[float], b0_direction: Sequence[float]) -> np.ndarray:
    """Return the weights xx, yy, zz, xy, xz, yz of the differences in 1/3 lap - d_b^2, 1/mm^2."""
    h, b = np.asarray(voxel_size), np.asarray(b0_direction)
    straight = (1 / 3 - b**2) / h**2
    mixed = [-2 * b[i] * b[j] / (4 * h[i] * h[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    return np.array([*straight, *mixed], np.float32)


def _steps(h: np.ndarray, wave: np.ndarray, p: TgvParameters) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps of the dual and of the primal variables.

    Each is the inverse of the sum of the absolute coefficients with which its kind of
    variable enters, which makes the iteration converge (Pock and Chambolle 2011).
    """
    g, x = p.equation_scale, 2 / h
    laplacian = 4 * (1 / h**2).sum()
    waves = 4 * np.abs(wave[:3]).sum() + 4 * np.abs(wave[3:]).sum()
    mixed = (x[0] + x[1], x[0] + x[2], x[1] + x[2])
    dual = [*(1 / (x + 1)), *(1 / x), *(1 / np.array(mixed)), g / (laplacian + waves)]
    primal = [1 / (x.sum() + g * waves), *([1 / (1 + x.sum())] * 3), 1 / (g * laplacian)]
    return (
        np.array(dual, np.float32) / np.float32(p.balance),
        np.array(primal, np.float32) * np.float32(p.balance),
    )


def _solve(
    level: TgvLevel,
    state: TgvState,
    b0_direction: Sequence[float],
    p: TgvParameters,
    limit: int,
    report: Progress,
) -> None:
    """Iterate on one grid until the map hardly changes; ``state`` is updated."""
    from .compiled import over_slabs
    from .single_step_kernels import dual_step, primal_step

    h = np.asarray(level.voxel_size)
    inverse_voxel = (1 / h).astype(np.float32)
    wave = _wave(h, b0_direction)
    dual, primal = _steps(h, wave, p)
    alpha1, alpha0 = np.float32(p.alpha1), np.float32(p.alpha0)
    ahead = state.chi.copy(), state.w.copy(), state.psi.copy()
    planes = level.shape[0] - 2

    def move_dual(start: int, stop: int) -> None:
        dual_step(
            start, stop, level.bounds, level.inside, level.inner, level.laplacian,
            *ahead, state.p, state.q, state.eta, inverse_voxel, wave, dual, alpha1, alpha0,
            RELAXATION,
        )  # fmt: skip

    def move_primal(start: int, stop: int) -> tuple[float, float]:
        return primal_step(
            start, stop, level.bounds, level.inside, level.weight,
            state.chi, state.w, state.psi, *ahead, state.p, state.q, state.eta,
            inverse_voxel, wave, primal, RELAXATION,
        )  # fmt: skip

    for iteration in range(1, limit + 1):
        over_slabs(move_dual, planes)
        parts = over_slabs(move_primal, planes)
        if iteration % CHECK_EVERY and iteration < limit:
            continue
        change, size = np.sum(parts, axis=0)
        relative = float(np.sqrt(change / max(size, TINY)))
        report(iteration / limit, f'iteration {iteration}, change {relative:.1e}')
        if relative < p.tolerance:
            break
