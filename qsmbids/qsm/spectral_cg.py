"""Preconditioned conjugate gradients for an unknown that is held as its spectrum."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def solve_spectrum(
    operator: Callable[[np.ndarray], np.ndarray],
    right_side: np.ndarray,
    inverse: np.ndarray,
    n_last: int,
    *,
    tolerance: float,
    max_iterations: int,
    progress: Callable[[int, float], None] | None = None,
) -> tuple[np.ndarray, int]:
    """Solve A x = b for spectra of real images, preconditioned by a factor per frequency.

    In space a convolution needs two transforms and the gradient none; with the unknown held
    as its spectrum it is the other way round. An operator that weighs voxels between two
    convolutions is then two transforms instead of four, and a preconditioner that knows how
    well each frequency is determined costs nothing.

    Parameters
    ----------
    operator : callable
        Returns A x as a new array; symmetric and positive (semi-)definite.
    right_side : (nx, ny, nz // 2 + 1) complex64
        b; overwritten.
    inverse : (nx, ny, nz // 2 + 1) float32
        At least 0, about the inverse of A at each frequency; 0 keeps a frequency at zero.
    n_last : int
        Number of samples nz of the last axis.
    tolerance : float
        Stop when <r, inverse r> has fallen to tolerance^2 of its first value, r = b - A x.
    max_iterations : int
        Stop after so many applications of A at the latest.
    progress : callable, optional
        Called with (iteration, relative residual).

    Returns
    -------
    x : (nx, ny, nz // 2 + 1) complex64
        Starts at zero: for a warm start solve for the correction, with b = the residual.
    iterations : int
        Applications of A.

    Notes
    -----
    Besides the operator, an iteration passes three times through memory. Four spectra and
    the preconditioner: 18 bytes per padded voxel.

    References
    ----------
    .. [1] Hestenes MR, Stiefel E. J Res Natl Bur Stand 1952;49:409. doi:10.6028/jres.049.044
    """
    from .cg_kernels import advance, inner, turn

    residual = right_side
    x = np.zeros_like(residual)
    direction = residual * inverse
    size = first_size = inner(residual, direction, n_last)
    if first_size <= 0:
        return x, 0
    for iteration in range(1, max_iterations + 1):
        image = operator(direction)
        curvature = inner(direction, image, n_last)
        if curvature <= 0:  # round-off: nothing is left to gain
            break
        last_size = size
        size = advance(x, residual, direction, image, inverse, size / curvature, n_last)
        relative = float(np.sqrt(size / first_size))
        if progress is not None:
            progress(iteration, relative)
        if relative <= tolerance:
            break
        turn(direction, residual, inverse, size / last_size)
    return x, iteration
