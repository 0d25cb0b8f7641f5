"""Conjugate gradients, and the form in which methods report their progress."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

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
