"""The best curve for given weights: weighted least squares along one shape axis.

For one shape q the coefficients solve a linear least squares problem, whose weighted sum of
squares S(q) depends on the shape alone. S is looked at on a grid over all sensible shapes (so
that no local minimum is taken for the lowest one: every grid point is a start), then refined
between the neighbours of the best grid point with ``scipy.optimize.minimize_scalar``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from qsmbids.lifespan.families import Family

_GRID = 48


@dataclass(frozen=True)
class MeanFit:
    """A curve fitted for given weights.

    Parameters
    ----------
    shape : float
        Shape; 0 for families without one.
    coef : ndarray of float, ``(m,)``
    fitted : ndarray of float, ``(n,)``
        The curve at the ages.
    leverage : ndarray of float, ``(n,)``
        Diagonal of the hat matrix (linearised), sums to the number of parameters.
    n_free : float
        Free parameters of the mean; the effective number for a spline.
    """

    shape: float
    coef: np.ndarray
    fitted: np.ndarray
    leverage: np.ndarray
    n_free: float


def fit_mean(
    family: Family,
    age: np.ndarray,
    value: np.ndarray,
    weight: np.ndarray,
    *,
    near: float | None = None,
) -> MeanFit:
    """Fit a family by weighted least squares.

    Parameters
    ----------
    family : Family
    age, value, weight : ndarray of float, ``(n,)``
        Weights are 1/sigma².
    near : float or None
        Shape of a fit with similar weights, from which the search may start.

    Returns
    -------
    MeanFit
    """
    shape = _best_shape(family, age, value, weight, near) if family.has_shape else 0.0
    columns = family.columns(age, shape)
    coef, _ = solve(columns, value, weight)
    jacobian = family.jacobian(age, shape, coef) * np.sqrt(weight)[:, None]
    size = np.linalg.norm(jacobian, axis=0)
    basis = np.linalg.qr(jacobian / np.where(size > 0, size, 1))[0][:, : (size > 0).sum()]
    return MeanFit(shape, coef, columns @ coef, (basis**2).sum(axis=1), family.n_free)


def solve(
    columns: np.ndarray, value: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Solve weighted linear least squares.

    Parameters
    ----------
    columns : ndarray of float, ``(n, m)``
    value, weight : ndarray of float, ``(n,)``

    Returns
    -------
    coef : ndarray of float, ``(m,)``
    covariance : ndarray of float, ``(m, m)``
        Inverse of the weighted normal matrix: covariance if the weights are 1/sigma².
    """
    root = np.sqrt(weight)[:, None]
    size = np.linalg.norm(root * columns, axis=0)
    size[size == 0] = 1.0
    q, r = np.linalg.qr(root * columns / size)
    inverse = np.linalg.pinv(r)
    coef = inverse @ (q.T @ (root[:, 0] * value)) / size
    scaled = inverse / size[:, None]
    return coef, scaled @ scaled.T


@dataclass(frozen=True)
class Profile:
    """The best curves of a family at given shapes.

    Parameters
    ----------
    squares : ndarray of float, ``(K,)``
        Weighted sums of squares.
    coefs : ndarray of float, ``(K, 2)``
    covariances : ndarray of float, ``(K, 2, 2)``
        Inverse weighted normal matrices.
    """

    squares: np.ndarray
    coefs: np.ndarray
    covariances: np.ndarray


def profile(
    family: Family, age: np.ndarray, value: np.ndarray, weight: np.ndarray, shapes: ArrayLike
) -> Profile:
    """Fit straight lines in the shaped column, one for every shape.

    Parameters
    ----------
    family : Family
        With a shape: its columns are 1 and ``shaped``.
    age, value, weight : ndarray of float, ``(n,)``
    shapes : array-like of float, ``(K,)``

    Returns
    -------
    Profile
    """
    column = family.shaped(age, np.atleast_1d(shapes)[:, None])
    total = weight.sum()
    centre = column @ weight / total
    middle = (weight @ value) / total
    x = column - centre[:, None]
    y = value - middle
    power = np.maximum((x * x) @ weight, np.finfo(float).tiny)
    slope = (x @ (weight * y)) / power
    squares = ((y - slope[:, None] * x) ** 2) @ weight
    cross = -centre / power
    covariances = np.array([[1 / total - centre * cross, cross], [cross, 1 / power]])
    coefs = np.column_stack([middle - slope * centre, slope])
    return Profile(squares, coefs, np.moveaxis(covariances, -1, 0))


def _best_shape(
    family: Family, age: np.ndarray, value: np.ndarray, weight: np.ndarray, near: float | None
) -> float:
    from scipy.optimize import minimize_scalar

    low, high = np.log(family.shape_bounds())
    step = (high - low) / (_GRID - 1)

    def cost(log_shape: float) -> float:
        return float(profile(family, age, value, weight, np.exp(log_shape)).squares[0])

    if near is None:
        grid = low + step * np.arange(_GRID)
    else:
        grid = np.clip(np.log(near) + step * np.arange(-2, 3) / 2, low, high)
    costs = profile(family, age, value, weight, np.exp(grid)).squares
    best = int(np.argmin(costs))
    if near is not None and best in (0, grid.size - 1):
        return _best_shape(family, age, value, weight, None)
    bracket = grid[max(best - 1, 0)], grid[min(best + 1, grid.size - 1)]
    found = minimize_scalar(cost, bounds=bracket, method='bounded', options={'xatol': 1e-10})
    return float(np.exp(found.x if found.fun <= costs[best] else grid[best]))
