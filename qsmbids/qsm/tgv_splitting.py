"""Total generalised variation by variable splitting, with any misfit of the field."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .fft import PaddedFFT, irfftn, rfftn
from .grid import Grid
from .kernels import dipole_kernel, frequencies
from .splitting import FIELD_PENALTY, TINY, Fit

# voxels: below this length the second order is split as stiffly as the first; with 1 the slow
# changes of the map settle slowly. It changes the path and not the solution
STIFFNESS = 3.0
# where the backward difference along x, y, z of w's component enters the symmetrised
# gradient, whose components are xx, yy, zz, xy, xz, yz
PAIRS = np.array([[0, 3, 4], [3, 1, 5], [4, 5, 2]])


def invert_by_tgv(
    fit: Fit,
    grid: Grid,
    *,
    first: float,
    second: float,
    penalty: float,
    tolerance: float,
    iterations: int,
    progress: Callable[[int, float], None] | None = None,
) -> np.ndarray:
    """Return the map of least total generalised variation.

        chi = argmin F(D * chi) + min over w of  first || E chi - w ||_1 + second || e w ||_1

    with E the gradient, w a vector field and e the symmetrised gradient of it. Where chi
    changes smoothly w takes the gradient over and costs nothing if that is constant: linear
    ramps are free, and there are no stairs.

    Parameters
    ----------
    fit : callable
        Proximal step of F; see ``splitting.Fit``.
    grid : Grid
        Grid of the box around the mask.
    first : float
        Weight of the first order, in units of F per ppm/mm.
    second : float
        Weight of the second order, in units of F per ppm/mm^2.
    penalty : float, 1/(ppm/mm)
        Of the splitting of the first order as a multiple of ``first``; that of the second is
        scaled so that both count alike.
    tolerance, iterations : float, int
        Stop when the map changes relatively by less per iteration, or after so many.
    progress : callable, optional
        Called with (iteration, change).

    Returns
    -------
    (nx, ny, nz) float32, ppm
        The map in the box.

    Notes
    -----
    ADMM as in ``splitting``, with the splittings z1 = E chi - w and z0 = e w. The quadratic
    step solves four equations at every frequency (``tgv_kernels.solve_spectra``). Cost per
    iteration: 10 transforms of the padded box, and 8 passes over it. About 100 bytes per
    padded voxel: nine for the splittings and three for w, in floats, and five spectra.
    """
    from . import tgv_kernels as loops
    from .compiled import over_slabs

    shape = PaddedFFT(grid.shape, grid.voxel_size).padded_shape
    box = tuple(slice(n) for n in grid.shape)
    kernel = dipole_kernel(shape, grid.voxel_size, grid.b0_direction)
    differences = [
        ((np.exp(2j * np.pi * k.ravel() * h) - 1) / h).astype(np.complex64)
        for k, h in zip(frequencies(shape, grid.voxel_size), grid.voxel_size, strict=True)
    ]
    inverse_voxel = (1 / np.asarray(grid.voxel_size)).astype(np.float32)
    spacing = grid.voxel_volume ** (1 / 3)
    p1 = np.float32(penalty * first / FIELD_PENALTY)
    p0 = np.float32(p1 * (STIFFNESS * spacing) ** 2)
    limit1 = np.float32(first / FIELD_PENALTY / p1)
    limit0 = np.float32(second / FIELD_PENALTY / p0)

    chi, last, predicted = (np.zeros(shape, np.float32) for _ in range(3))
    dual = np.zeros(grid.shape, np.float32)
    slope, v1 = np.zeros((3, *shape), np.float32), np.zeros((3, *shape), np.float32)
    v0 = np.zeros((6, *shape), np.float32)
    slopes = np.empty((3, *kernel.shape), np.complex64)
    buffer = np.empty(shape, np.float32)
    for iteration in range(1, iterations + 1):
        over_slabs(lambda a, b, f=predicted: fit(a, b, f, dual), grid.shape[0])
        data = rfftn(predicted)
        over_slabs(
            lambda a, b: loops.adjoint_first(a, b, buffer, v1, inverse_voxel, limit1), shape[0]
        )
        sparse = rfftn(buffer)
        for axis in range(3):
            arrays = (axis, buffer, v1, v0, PAIRS, inverse_voxel, limit0, limit1, p0, p1)
            over_slabs(lambda a, b, args=arrays: loops.adjoint_second(a, b, *args), shape[0])
            slopes[axis] = rfftn(buffer)
        arrays = (data, sparse, slopes, kernel, *differences, p1, p0)
        over_slabs(lambda a, b, args=arrays: loops.solve_spectra(a, b, *args), shape[0])
        chi, predicted = irfftn(sparse, shape), irfftn(data, shape)
        del arrays, data, sparse
        for axis in range(3):
            slope[axis] = irfftn(slopes[axis], shape)
        arrays = (chi, last, slope, v1, inverse_voxel, limit1)
        sums = over_slabs(lambda a, b, args=arrays: loops.shrink_first(a, b, *args), shape[0])
        over_slabs(
            lambda a, b: loops.shrink_second(a, b, slope, v0, inverse_voxel, limit0), shape[0]
        )
        moved, size = np.sum(sums, axis=0)
        change = float(np.sqrt(moved) / max(np.sqrt(size), TINY))
        if progress is not None:
            progress(iteration, change)
        if change < tolerance:
            break
    return chi[box]
