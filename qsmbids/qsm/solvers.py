"""Least squares with a convolution that is measured inside a mask only.

RESHARP and the first step of RTS are the same problem with another kernel:

    minimise over y:   || W (q * y - b) ||^2 + damping || y ||^2

where * is a convolution with an even kernel q and W weighs the voxels, zero where nothing
is known. The unknown lives on the padded grid. Solved for its spectrum instead of its
image, one application of the normal equations takes two transforms and not four, and the
iterates are the same because the transform keeps inner products (Parseval).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .fft import PaddedFFT, spectral_inner

Progress = Callable[[float, str], None]


def conjugate_gradient(
    operator: Callable[[np.ndarray], np.ndarray],
    right_side: np.ndarray,
    inner: Callable[[np.ndarray, np.ndarray], float],
    *,
    tolerance: float,
    max_iterations: int,
    progress: Callable[[int, float], None] | None = None,
) -> tuple[np.ndarray, int, float]:
    """Solve A x = b for a symmetric positive operator, starting from zero.

    Parameters
    ----------
    operator : callable
        Returns A x as a new array; A is symmetric and positive (semi-)definite for
        ``inner``.
    right_side : array
        b.
    inner : callable
        Inner product of two arrays as a float in double precision.
    tolerance : float
        Stop when ||b - A x|| <= tolerance ||b||.
    max_iterations : int
        Stop after so many applications of A at the latest.
    progress : callable, optional
        Called with (iteration, relative residual).

    Returns
    -------
    x : array
        Solution, as accurate as the stop allows.
    iterations : int
        Applications of A.
    residual : float
        ||b - A x|| / ||b||; 0 for b = 0.

    References
    ----------
    .. [1] Hestenes MR, Stiefel E. J Res Natl Bur Stand 1952;49:409. doi:10.6028/jres.049.044
    """
    x = np.zeros_like(right_side)
    residual = right_side.copy()
    direction = residual.copy()
    scratch = np.empty_like(residual)
    square = first_square = inner(residual, residual)
    if first_square == 0:
        return x, 0, 0.0
    scalar = right_side.dtype.type
    for iteration in range(1, max_iterations + 1):
        image = operator(direction)
        step = square / inner(direction, image)
        x += np.multiply(direction, scalar(step), out=scratch)
        residual -= np.multiply(image, scalar(step), out=image)
        last_square, square = square, inner(residual, residual)
        relative = float(np.sqrt(square / first_square))
        if progress is not None:
            progress(iteration, relative)
        if relative <= tolerance:
            break
        direction *= scalar(square / last_square)
        direction += residual
    return x, iteration, relative


def deconvolve_in_mask(
    data: np.ndarray,
    weight_squared: np.ndarray,
    kernel: np.ndarray,
    fft: PaddedFFT,
    *,
    damping: float,
    tolerance: float,
    max_iterations: int,
    progress: Callable[[int, float], None] | None = None,
) -> np.ndarray:
    """Return the spectrum of the y that minimises ||W (q * y - b)||^2 + damping ||y||^2.

    Parameters
    ----------
    data : (nx, ny, nz) float32
        b; only voxels with weight count.
    weight_squared : (nx, ny, nz) float32
        W^2 per voxel, zero where the data are unknown.
    kernel : (px, py, pz // 2 + 1) float32
        Spectrum of q on the padded half-grid.
    fft : PaddedFFT
        Transforms of the grid.
    damping : float
        Tikhonov weight, in units of kernel^2 weight^2.
    tolerance, max_iterations, progress
        See :func:`conjugate_gradient`; the residual is that of the normal equations.

    Returns
    -------
    (px, py, pz // 2 + 1) complex64
        Spectrum of y.

    Notes
    -----
    Two transforms per iteration; about 30 bytes per padded voxel: four spectra of CG, one
    passing through the transform, kernel and weight.
    """

    def normal(y: np.ndarray) -> np.ndarray:
        inside = fft.inverse(kernel * y)
        inside *= weight_squared
        result = fft.forward(inside)
        result *= kernel
        if damping:
            result += np.float32(damping) * y
        return result

    right_side = fft.forward(weight_squared * data)
    right_side *= kernel
    n_last = fft.padded_shape[2]
    solution, _, _ = conjugate_gradient(
        normal,
        right_side,
        lambda a, b: spectral_inner(a, b, n_last),
        tolerance=tolerance,
        max_iterations=max_iterations,
        progress=progress,
    )
    return solution
