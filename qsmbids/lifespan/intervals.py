"""Profile-likelihood intervals of parameters and of everything derived from them.

Take all curves that fit the data almost as well as the best one: those whose weighted sum of
squares exceeds the smallest one by no more than t² s², where t is the quantile of Student's
distribution with n - p degrees of freedom and s² the residual variance. The smallest and the
largest value that a quantity takes within this *region* are its profile-likelihood interval:
the same as fixing the quantity, fitting all the rest again, and asking when the fit gets too
bad (Bates and Watts 1988), but without fitting anything again.

The curves are linear in all parameters but the shape q (``families``). At one shape, a
quantity w(q)'coef has the best value m(q) and the variance v(q) of linear regression, so it
may lie in

    m(q) ± sqrt(slack(q) v(q)),        slack(q) = t² s² - (S(q) - S_min),

and the interval is the hull of these over all shapes with slack(q) >= 0. A quantity of the
shape alone has the interval of the shape. Nothing is linearised: intervals are skewed where
the data are, and the interval of ln(10)/beta is that of beta, transformed.

References
----------
Bates DM, Watts DG. Nonlinear Regression Analysis and Its Applications. Wiley 1988, ch. 6.
https://doi.org/10.1002/9780470316757
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from qsmbids.lifespan.families import Family, Quantity
from qsmbids.lifespan.mean import profile, solve

_SHAPES = 61  # the shapes at which the region is kept
_WALK = 16  # looks for a second valley of the profile


@dataclass(frozen=True)
class Region:
    """All curves that fit almost as well as the best one.

    Parameters
    ----------
    shapes : ndarray of float, ``(K,)``
        Shapes from one end of the region to the other; one entry without a shape.
    coefs : ndarray of float, ``(K, m)``
        Best coefficients at each shape.
    covariances : ndarray of float, ``(K, m, m)``
        Their covariance per unit of residual variance.
    slack : ndarray of float, ``(K,)``
        What is left of the allowed sum of squares.
    open_low, open_high : bool
        Whether the region runs into the lower or upper bound of the shape.
    """

    shapes: np.ndarray
    coefs: np.ndarray
    covariances: np.ndarray
    slack: np.ndarray
    open_low: bool = False
    open_high: bool = False

    def interval(self, quantity: Quantity) -> tuple[float, float]:
        """Return the smallest and the largest value of a quantity within the region."""
        if quantity.of_shape is not None:
            ends = [float(quantity.of_shape(q)) for q in (self.shapes[0], self.shapes[-1])]
            return min(ends), max(ends)
        low, high = self.band(lambda q: np.atleast_2d(quantity.weights(q)))
        return float(low[0]), float(high[0])

    def band(self, rows: Callable[[float], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return the interval of many weighted sums at once.

        Parameters
        ----------
        rows : callable
            From the shape to the weights, ``(N, m)``.

        Returns
        -------
        low, high : ndarray of float, ``(N,)``
        """
        weights = np.array([rows(float(shape)) for shape in self.shapes], dtype=float)
        middle = np.einsum('knj,kj->kn', weights, self.coefs)
        variance = np.einsum('knj,knj->kn', np.matmul(weights, self.covariances), weights)
        half = np.sqrt(self.slack[:, None] * variance)
        return (middle - half).min(axis=0), (middle + half).max(axis=0)


def profile_region(
    family: Family,
    age: np.ndarray,
    value: np.ndarray,
    weight: np.ndarray,
    shape: float,
    allowed: float,
) -> Region:
    """Find all curves of a family within an allowed rise of the sum of squares.

    Parameters
    ----------
    family : Family
    age, value, weight : ndarray of float, ``(n,)``
        Weights are 1/sigma².
    shape : float
        Best shape.
    allowed : float
        Rise of the weighted sum of squares, t² s².

    Returns
    -------
    Region
    """
    if not family.has_shape:
        coef, covariance = solve(family.columns(age, shape), value, weight)
        return Region(np.array([shape]), coef[None], covariance[None], np.array([allowed]))
    logarithmic = family.name != 'vertex'
    to, back = (np.log, np.exp) if logarithmic else (np.asarray, np.asarray)
    best = float(to(shape))
    low_bound, high_bound = (float(to(bound)) for bound in family.shape_bounds())
    smallest = profile(family, age, value, weight, shape).squares[0]

    def slack(points: ArrayLike) -> np.ndarray:
        rise = profile(family, age, value, weight, back(points)).squares - smallest
        return allowed - rise

    span = high_bound - low_bound
    low, open_low = _end(slack, best, low_bound, span)
    high, open_high = _end(slack, best, high_bound, span)
    # dense towards the ends, where the slack runs to zero
    turn = np.sin(np.linspace(-np.pi / 2, np.pi / 2, _SHAPES // 2 + 1))
    points = np.unique(
        np.r_[low + (best - low) * (turn + 1) / 2, best + (high - best) * (turn + 1) / 2]
    )
    found = profile(family, age, value, weight, back(points))
    slacks = allowed - (found.squares - smallest)
    within = slacks > 0  # false between two separate valleys of the profile
    within[[0, -1]] = True  # the ends, where it is zero but for rounding
    return Region(
        np.asarray(back(points[within]), dtype=float),
        found.coefs[within],
        found.covariances[within],
        np.maximum(slacks[within], 0.0),
        open_low,
        open_high,
    )


def _end(
    slacks: Callable[[ArrayLike], np.ndarray], best: float, bound: float, span: float
) -> tuple[float, bool]:
    """Return where the slack ends for good between the best shape and a bound, and if it does not.

    Steps that double find the end of the valley of the best shape, however narrow it is; a
    coarse walk from the bound finds other valleys that are as deep.
    """
    from scipy.optimize import brentq

    def slack(point: float) -> float:
        return float(slacks(point)[0])

    way = bound - best
    if abs(way) < 1e-9 * span or slack(bound) >= 0:
        return bound, True
    steps = np.sign(way) * span * 2.0 ** np.arange(-30, 1)
    ladder = np.r_[best, best + steps[np.abs(steps) < abs(way)], bound]
    outer = int(np.argmax(slacks(ladder) < 0))  # the bound is outside, so that there is one
    inside, outside = ladder[max(outer - 1, 0)], ladder[outer]
    walk = np.linspace(bound, outside, _WALK)
    other = int(np.argmax(slacks(walk) >= 0))
    if other > 0:
        inside, outside = walk[other], walk[other - 1]
    if slack(inside) <= 0 or slack(outside) >= 0:  # nothing but rounding: a perfect fit
        return float(inside), False
    return float(brentq(slack, inside, outside, xtol=1e-12 * span + 1e-15)), False
