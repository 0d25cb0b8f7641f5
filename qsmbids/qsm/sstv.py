"""Single-step inversion: from the total field to susceptibility, spheres instead of a local field.

Background removal loses what it cannot tell from background, and inverts the loss into errors.
Here no local field is made. The filter that removes the background, field minus spherical mean,
is applied to the data and to the field of the map alike, so nothing has to be restored.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from .edges import find_edges
from .fft import irfftn, rfftn
from .grid import Grid
from .kernels import laplacian_spectrum
from .region import MaskedRegion, relative_weight
from .sharp_rows import SharpRows, finer, join_region
from .solvers import Progress
from .splitting import FIELD_PENALTY, TINY

COARSE_MM = 2.0  # voxels are joined in pairs for the start as long as they stay below this
COARSE_SHARE = 0.25  # of the progress

Report = Callable[[int, float], None]  # (iteration, relative change)


@dataclass(frozen=True, kw_only=True)
class SstvParameters:
    """Parameters of single-step total variation, the one place of their defaults."""

    # mm, radii of the spheres, each used where no larger one fits. Large ones keep slow
    # variations of susceptibility, small ones reach the rim; more of them cost two transforms
    # each per iteration
    radii_mm: tuple[float, ...] = (12.0, 7.0)
    # the smallest sphere, in units of the longest side of a voxel: how near to the edge of the
    # mask there is still a value
    smallest_radius_voxels: float = 2.0
    # mm: weight of the total variation as a multiple of the noise of the field, see TV
    regularisation: float = 0.1
    # without unit: weight of half the squared map (ppm^2) against half the squared misfit. The
    # filtered field says little about variations slower than the spheres; there, errors of
    # the field would pass for shading of the map
    damping: float = 1e-4
    # fraction of the pairs of neighbours that count as edges of the magnitude, as in MEDI, and
    # how much of the regularisation they bear. Without a magnitude all pairs count alike
    edge_share: float = 0.3
    edge_weight: float = 0.3
    # 1/(ppm/mm): penalty of the splitting of the gradient as a multiple of the
    # regularisation; changes the path and not the solution
    penalty: float = 400.0
    # relative change of the map that ends the iteration, and iterations that end it at the
    # latest; on the coarse grid before it up to three times as many
    tolerance: float = 1e-2
    iterations: int = 40

    def __post_init__(self) -> None:
        positive = (self.smallest_radius_voxels, self.regularisation, self.penalty, self.tolerance)
        if (
            min(positive) <= 0
            or self.damping < 0
            or self.iterations < 1
            or min(self.radii_mm, default=1.0) <= 0
        ):
            raise ValueError(
                'Single-step TV needs positive radii, regularisation, penalty, tolerance and '
                'iterations.\nOtherwise nothing is minimised.\n'
                f'Got {self}.'
            )
        if not 0 <= self.edge_share < 1:
            raise ValueError(
                f'The share of edges must be at least 0 and below 1, got {self.edge_share}.\n'
                'Were all pairs edges, nothing would be smoothed as much as asked for.\n'
                'Use about 0.3.'
            )
        if not self.smallest_radius_voxels >= 1:
            raise ValueError(
                'The smallest sphere must reach the neighbours, got a radius of '
                f'{self.smallest_radius_voxels} voxels.\nIts mean would be that of one voxel.\n'
                'Use 2.'
            )


def invert_sstv(
    total_field_ppm: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    weight: np.ndarray | None = None,
    magnitude: np.ndarray | None = None,
    parameters: SstvParameters = SstvParameters(),
    progress: Progress | None = None,
) -> np.ndarray:
    """Return the map of least total variation that explains the sphere-filtered total field.

    A field whose sources lie outside a sphere equals its mean over the sphere in the centre.
    With S_j that mean, field minus mean is left with the sources inside. For radii r_1 > r_2 >
    ... let M_j be the voxels where the sphere r_j fits into the mask and no larger one does:

        chi = argmin 1/2 sum_j || W M_j (1 - S_j) * (D * chi - field) ||^2
                     + regularisation noise || G E chi ||_1 + damping / 2 || chi ||^2

    with D the dipole kernel, E the gradient, and G = 1 except where the magnitude has an edge.
    The background field drops out of the data, as
    in V-SHARP, but the slow part of the local field that a sphere takes away with it is not
    lost: the model loses it too.

    Parameters
    ----------
    total_field_ppm : (nx, ny, nz) float, ppm
        Unwrapped field of all sources; ignored outside the mask.
    mask : (nx, ny, nz) bool
        Where the field is reliable.
    grid : Grid
        Voxel size and direction of B0.
    weight : (nx, ny, nz) float, optional
        Confidence per voxel, at least 0 and in any unit: inverse noise or reliability. It
        takes the place of W^2, in units of its median and limited to twice that.
    magnitude : (nx, ny, nz) float, optional
        Root sum of squares over echoes, in any unit. Where it jumps, the map may jump more
        easily: the total variation of these pairs of voxels counts ``edge_weight``.
    parameters : SstvParameters
        Radii, regularisation and stop.
    progress : callable, optional
        Called with (fraction, text).

    Returns
    -------
    (nx, ny, nz) float32, ppm
        Susceptibility relative to an unknown constant; zero where not even the smallest sphere
        fits.

    Raises
    ------
    ValueError
        If the mask is empty or too thin for the smallest sphere, shapes differ, the field or
        the weight is not finite inside the mask, or the weight is negative or zero everywhere.

    Notes
    -----
    ADMM as in ``splitting``, with one splitting f_j = (1 - S_j) * D * chi for each radius. As
    the M_j do not overlap, one image holds the duals of all. Voxels below 1 mm or so are joined
    in pairs first: the slow part of the map, which takes the most iterations, is found on the
    coarse grid at an eighth of the cost and is where the fine one starts.

    The noise is that of ``field_noise`` in the field filtered with the largest sphere.
    Cost per iteration: 2 + 2 transforms per radius of the box around the mask, padded by 20 mm
    on either side, and two passes over memory. About 50 bytes per padded voxel and 2 more for
    each radius.

    References
    ----------
    .. [1] Chatnuntawech I et al. NMR Biomed 2017;30:e3570. doi:10.1002/nbm.3570
    .. [2] Wu B et al. Magn Reson Med 2012;67:137. doi:10.1002/mrm.23000 (variable radius)
    .. [3] Liu J et al. NeuroImage 2012;59:2560. doi:10.1016/j.neuroimage.2011.08.082 (edges)
    """
    region = MaskedRegion.of(mask, grid)
    p = parameters

    def report(share_before: float, share: float, name: str, steps: int) -> Report:
        def call(iteration: int, change: float) -> None:
            if progress is not None:
                fraction = share_before + share * iteration / steps
                text = f'single-step TV{name}, iteration {iteration}, change {change:.1e}'
                progress(min(fraction, 1.0), text)

        return call

    images = [
        region.cut(total_field_ppm, 'total field'),
        relative_weight(weight, region),
        None if magnitude is None else region.cut(magnitude, 'magnitude'),
    ]
    rows, edges = _problem(images, region, p)
    steps = [2 if 2 * h <= COARSE_MM + 1e-3 else 1 for h in grid.voxel_size]
    start, before = [], 0.0
    if max(steps) > 1:
        most = 3 * p.iterations
        with suppress(ValueError):  # too thin at this resolution: the fine grid starts from zero
            coarse = _problem(*join_region(images, region, steps), p)
            before = COARSE_SHARE
            done = report(0, before, ', coarse', most)
            found = _minimise(*coarse, p, rows.noise, most, [], done)
            start = [finer(found, steps, rows.fft.padded_shape)]
            del found, coarse
    images.clear()
    done = report(before, 1 - before, '', p.iterations)
    chi = _minimise(rows, edges, p, rows.noise, p.iterations, start, done)
    return region.paste(chi[rows.box], rows.index > 0)


def _problem(
    images: list[np.ndarray | None], region: MaskedRegion, p: SstvParameters
) -> tuple[SharpRows, np.ndarray]:
    """Return the filtered data, and on the padded grid the edges: a bit for each axis."""
    field, weight_squared, magnitude = images
    rows = SharpRows(field, weight_squared, region, p.radii_mm, p.smallest_radius_voxels)
    edges = np.zeros(rows.fft.padded_shape, np.uint8)
    if magnitude is not None:
        found = find_edges(magnitude, rows.index > 0, rows.voxel_size, p.edge_share)
        for axis in range(3):
            edges[rows.box] |= found[axis].astype(np.uint8) << axis
    return rows, edges


def _minimise(
    rows: SharpRows,
    edges: np.ndarray,
    p: SstvParameters,
    noise: float,
    iterations: int,
    start: list[np.ndarray],
    report: Report,
) -> np.ndarray:
    """Return the padded map of least total variation.

    It starts from the map in ``start``, which is taken out of the list so that its memory
    is free after the first iteration, or from zero.
    """
    from .sstv_kernels import (
        add_product,
        adjoint_of_split,
        fit_row,
        solve_map,
        split_gradient,
        times_kernel,
    )

    shape = rows.fft.padded_shape
    limits = np.array([1, p.edge_weight], np.float32) / np.float32(p.penalty)
    ratio = np.float32(p.penalty * p.regularisation * noise / FIELD_PENALTY)
    inverse = laplacian_spectrum(shape, rows.voxel_size)
    inverse *= -ratio
    for kernel in rows.kernels:
        inverse += kernel**2
    inverse += np.float32(p.damping / FIELD_PENALTY)
    inverse[0, 0, 0] = 1
    np.divide(1, inverse, out=inverse)
    inverse[0, 0, 0] = 0  # the mean is not determined

    inverse_voxel = (1 / np.asarray(rows.voxel_size)).astype(np.float32)
    split = np.zeros((3, *shape), np.float32)
    dual = np.zeros_like(rows.filtered)
    last = np.zeros(shape, np.float32)
    chi = start.pop() if start else np.zeros(shape, np.float32)

    def shrink() -> float:
        """Step the splitting, leave E^T (z - u) in ``last``, return the change of chi."""
        constants = (edges, inverse_voxel, limits)
        parts = _in_slabs(split_gradient, shape[0], chi, last, split, *constants)
        moved, size = np.sum([sums for _, sums in parts], axis=0)
        _in_slabs(adjoint_of_split, shape[0], last, split, *constants)
        return float(np.sqrt(moved) / max(np.sqrt(size), TINY))

    spectrum = rfftn(chi)
    shrink()
    for iteration in range(1, iterations + 1):
        total = np.zeros_like(spectrum)
        for number, kernel in enumerate(rows.kernels, start=1):
            product = np.empty_like(spectrum)
            _in_slabs(times_kernel, shape[0], product, spectrum, kernel)
            predicted = irfftn(product, shape, overwrite=True)
            del product
            _in_slabs(
                fit_row, len(dual), predicted, dual, rows.filtered, rows.share, rows.index, number
            )
            product = rfftn(predicted)
            del predicted
            _in_slabs(add_product, shape[0], total, product, kernel)
            del product
        _in_slabs(solve_map, shape[0], total, rfftn(last), inverse, ratio)
        spectrum = total
        last[:] = chi
        chi = irfftn(spectrum, shape)
        change = shrink()
        report(iteration, change)
        if change < p.tolerance:
            break
    return chi


def _in_slabs(kernel: Callable, n: int, *arguments: object) -> list[tuple[int, object]]:
    """Run a compiled loop on threads; return the first plane of each part and its result."""
    from .compiled import over_slabs

    return over_slabs(lambda start, stop: (start, kernel(start, stop, *arguments)), n)
