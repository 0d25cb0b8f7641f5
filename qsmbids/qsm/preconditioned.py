"""Conjugate gradients with a preconditioner that is also the norm of the solution."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Operator = Callable[[np.ndarray], np.ndarray]


def preconditioned_gradient(
    operator: Operator,
    precondition: Operator,
    right_side: np.ndarray,
    *,
    damping: float = 0.0,
    tolerance: float,
    max_iterations: int,
    progress: Callable[[int, float], None] | None = None,
) -> tuple[np.ndarray, int, float]:
    """Solve (A + damping B^-1) x = b, where only A and B can be applied.

    Parameters
    ----------
    operator : callable
        Returns A x as a new array; symmetric, positive (semi-)definite.
    precondition : callable
        Returns B r as a new array; symmetric, positive definite, and the closer to the
        inverse of A the fewer iterations.
    right_side : array, float
        b.
    damping : float
        Weight of <x, B^-1 x>. For A = C^T C this is Tikhonov's penalty with B as the expected
        covariance of x. B^-1 itself is never needed, as each search direction p = B w is
        known together with its w.
    tolerance : float
        Stop when <r, B r> of the residual r has fallen to ``tolerance``^2 of its start.
    max_iterations : int
        Stop after so many applications of A at the latest.
    progress : callable, optional
        Called with (iteration, relative residual).

    Returns
    -------
    x : array
    iterations : int
        Applications of A.
    residual : float
        Square root of the ratio of the last to the first <r, B r>; 0 for b = 0.

    Notes
    -----
    One application of A and of B per iteration; six arrays of the size of b.

    References
    ----------
    .. [1] Hestenes MR, Stiefel E. J Res Natl Bur Stand 1952;49:409. doi:10.6028/jres.049.044

    Examples
    --------
    >>> matrix = np.diag([1.0, 10.0, 100.0])
    >>> x, n, _ = preconditioned_gradient(
    ...     lambda p: matrix @ p, lambda r: r / np.diag(matrix), np.ones(3),
    ...     tolerance=1e-8, max_iterations=9)
    >>> x.round(3).tolist(), n
    ([1.0, 0.1, 0.01], 1)
    """
    x = np.zeros_like(right_side)
    residual = right_side.copy()
    conditioned = precondition(residual)
    square = first = _inner(residual, conditioned)
    if not first > 0:
        return x, 0, 0.0
    direction = conditioned.copy()
    source = residual.copy() if damping else None  # w, with direction = B w
    scalar = right_side.dtype.type
    for iteration in range(1, max_iterations + 1):
        image = operator(direction)
        if damping:
            image += scalar(damping) * source
        step = scalar(square / _inner(direction, image))
        x += np.multiply(direction, step, out=conditioned)
        residual -= np.multiply(image, step, out=image)
        conditioned = precondition(residual)
        last, square = square, _inner(residual, conditioned)
        relative = float(np.sqrt(max(square, 0) / first))
        if progress is not None:
            progress(iteration, relative)
        if relative <= tolerance:
            break
        ratio = scalar(square / last)
        direction *= ratio
        direction += conditioned
        if damping:
            source *= ratio
            source += residual
    return x, iteration, relative


def _inner(a: np.ndarray, b: np.ndarray) -> float:
    """Return the inner product, summed in double precision plane by plane."""
    return sum(float(np.vdot(p, q)) for p, q in zip(a, b, strict=True))
