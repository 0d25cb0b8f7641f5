"""A penalised spline: a smooth curve of no particular form.

The curve is a sum of cubic B-splines on equal steps of age (Eilers and Marx 1996). Many of
them could follow every bump of the data, so that roughness is penalised: the weighted sum of
squares plus lambda times the summed squares of the second differences of the coefficients is
made small. With lambda = 0 the spline is free, with a very large one it is a straight line.
lambda is the ratio of two variances, that of people about the curve and that of the
coefficients about a line, and is estimated as such, by restricted likelihood (REML; Wood
2011).

The effective number of parameters (edf) is the trace of the hat matrix, between 2 (a line)
and the number of splines. The covariance (B'WB + lambda P)^-1 gives bands that cover the
curve with the stated probability on average over the ages (Nychka 1988).

``scipy.interpolate.make_smoothing_spline`` needs distinct ages and returns neither edf nor
covariance; in the eigenvectors of the penalty, the same problem is a division per coefficient.

References
----------
Eilers PHC, Marx BD. Statist Sci 1996;11:89-121. https://doi.org/10.1214/ss/1038425655
Wood SN. J R Stat Soc B 2011;73:3-36. https://doi.org/10.1111/j.1467-9868.2010.00749.x
Nychka D. J Am Stat Assoc 1988;83:1134-1143. https://doi.org/10.1080/01621459.1988.10478711
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from qsmbids.lifespan.curves import Curve
from qsmbids.lifespan.mean import MeanFit

_DEGREE = 3
_MOST_SEGMENTS = 12
_PEOPLE_PER_SEGMENT = 4
_LOG_PENALTY = (-10.0, 16.0)  # of the penalty relative to the data, natural logarithm


class SplineCurve(Curve):
    """A cubic spline from its knots and coefficients; straight beyond its ends.

    Parameters
    ----------
    knots : sequence of float, years
    coefficients : sequence of float, ppm
    """

    formula: ClassVar[str] = 'penalised cubic B-spline'

    def __init__(self, knots: Sequence[float], coefficients: Sequence[float]) -> None:
        self.family = SplineFamily(np.asarray(knots, dtype=float))
        self.coefficients = np.asarray(coefficients, dtype=float)

    def _value(self, age: np.ndarray) -> np.ndarray:
        return (self.family.columns(age.ravel()) @ self.coefficients).reshape(age.shape)


@dataclass(frozen=True)
class SplineFamily:
    """Cubic B-splines on given knots, continued as straight lines.

    Parameters
    ----------
    knots : ndarray of float, years
        Equal steps, three beyond each end.
    """

    knots: np.ndarray
    name: ClassVar[str] = 'spline'
    has_shape: ClassVar[bool] = False

    @classmethod
    def for_ages(cls, age: np.ndarray) -> SplineFamily:
        """Place knots for a cohort: one segment per four distinct ages, twelve at most."""
        segments = int(np.clip(np.unique(age).size // _PEOPLE_PER_SEGMENT, 2, _MOST_SEGMENTS))
        low, high = float(age.min()), float(age.max())
        step = (high - low) / segments
        return cls(low + step * np.arange(-_DEGREE, segments + _DEGREE + 1))

    @property
    def ends(self) -> tuple[float, float]:
        """The ages between which the spline is a spline."""
        return float(self.knots[_DEGREE]), float(self.knots[-_DEGREE - 1])

    def columns(self, age: np.ndarray, shape: float = 0.0) -> np.ndarray:
        """Return the B-splines at ages, ``(n, m)``; rows beyond the ends go on straight."""
        low, high = self.ends
        inside = np.clip(age, low, high)
        beyond = (age - inside)[:, None]
        columns = self._splines(inside, 0)
        if np.any(beyond):
            columns = columns + beyond * self._splines(inside, 1)
        return columns

    def _splines(self, age: np.ndarray, derivative: int) -> np.ndarray:
        from scipy.interpolate import BSpline

        count = self.knots.size - _DEGREE - 1
        spline = BSpline(self.knots, np.eye(count), _DEGREE)
        return np.atleast_2d(spline(age, nu=derivative))

    def penalty(self) -> np.ndarray:
        """Return the matrix of summed squared second differences, ``(m, m)``."""
        differences = np.diff(np.eye(self.knots.size - _DEGREE - 1), n=2, axis=0)
        return differences.T @ differences


@dataclass(frozen=True)
class SplineFit(MeanFit):
    """A fitted spline: a `MeanFit` with its penalty and covariance.

    Parameters
    ----------
    penalty : float
    covariance : ndarray of float, ``(m, m)``
        Per unit of residual variance.
    """

    penalty: float
    covariance: np.ndarray


def fit_spline(
    family: SplineFamily, age: np.ndarray, value: np.ndarray, weight: np.ndarray
) -> SplineFit:
    """Fit a penalised spline with its penalty chosen by restricted likelihood.

    Parameters
    ----------
    family : SplineFamily
    age, value, weight : ndarray of float, ``(n,)``
        Weights are 1/sigma², up to a factor.

    Returns
    -------
    SplineFit
    """
    from scipy.linalg import eigh
    from scipy.optimize import minimize_scalar

    columns = family.columns(age)
    weighted = columns * weight[:, None]
    normal = columns.T @ weighted
    scale = np.trace(normal) / normal.shape[0]
    penalty = family.penalty()
    # gaps in the ages leave splines without data: a trace of penalty keeps them defined
    normal = normal / scale + 1e-9 * penalty
    roughness, vectors = eigh(penalty, normal)  # vectors' normal vectors = 1
    roughness = np.maximum(roughness, 0.0)
    roughness[:2] = 0.0  # straight lines
    projected = vectors.T @ (weighted.T @ value) / scale
    total = (weight @ value**2) / scale
    free = age.size - 2

    def criterion(log_penalty: float) -> float:  # -2 times the restricted log-likelihood
        stretched = np.exp(log_penalty) * roughness
        deviance = max(total - np.sum(projected**2 / (1 + stretched)), 1e-14 * total)
        return free * np.log(deviance) + np.log((1 + stretched[2:]) / stretched[2:]).sum()

    grid = np.linspace(*_LOG_PENALTY, 27)
    costs = [criterion(point) for point in grid]
    best = int(np.argmin(costs))
    bracket = grid[max(best - 1, 0)], grid[min(best + 1, grid.size - 1)]
    found = minimize_scalar(criterion, bounds=bracket, method='bounded', options={'xatol': 1e-6})
    chosen = float(found.x if found.fun <= costs[best] else grid[best])

    shrunk = 1 / (1 + np.exp(chosen) * roughness)
    coef = vectors @ (shrunk * projected)
    covariance = (vectors * shrunk) @ vectors.T / scale
    leverage = weight * np.einsum('ij,jk,ik->i', columns, covariance, columns)
    return SplineFit(
        shape=0.0,
        coef=coef,
        fitted=columns @ coef,
        leverage=np.minimum(leverage, 1.0),
        n_free=float(shrunk.sum()),
        penalty=float(np.exp(chosen) * scale),
        covariance=covariance,
    )


def spline_extremum(
    family: SplineFamily,
    coef: np.ndarray,
    covariance: np.ndarray,
    level: float,
    *,
    draws: int = 400,
) -> tuple[tuple[float, float, float], tuple[float, float, float]] | None:
    """Find the extremum of a spline between the youngest and the oldest, with intervals.

    Curves are drawn from the normal distribution of the coefficients (fixed seed); their
    extrema give the intervals. An extremum at either end is none; if more than the share
    ``1 - level`` of the curves have none, neither has the spline.

    Parameters
    ----------
    family : SplineFamily
    coef : ndarray of float, ``(m,)``
    covariance : ndarray of float, ``(m, m)``
    level : float

    Returns
    -------
    age, value : tuple of float
        Each (estimate, low, high); None where the curve does not turn.
    """
    age = np.linspace(*family.ends, 401)
    columns = family.columns(age)
    mean = columns @ coef
    upwards = _turn(mean)
    if upwards == 0:
        return None
    root = np.linalg.cholesky(covariance + 1e-14 * np.trace(covariance) * np.eye(coef.size))
    noise = np.random.default_rng(0).standard_normal((draws, coef.size))
    curves = (coef + noise @ root.T) @ columns.T
    where = (upwards * curves).argmax(axis=1)
    inside = (where > 0) & (where < age.size - 1)
    if inside.mean() < level:
        return None
    at = (upwards * mean).argmax()
    tails = (100 * (1 - level) / 2, 100 * (1 + level) / 2)
    ages = np.percentile(age[where], tails)
    values = np.percentile(curves[np.arange(draws), where], tails)
    return (
        (float(age[at]), float(ages[0]), float(ages[1])),
        (float(mean[at]), float(values[0]), float(values[1])),
    )


def _turn(mean: np.ndarray) -> int:
    """Return 1 for a maximum inside, -1 for a minimum, 0 for neither; the larger of two."""
    rise = mean.max() - max(mean[0], mean[-1])
    fall = min(mean[0], mean[-1]) - mean.min()
    if max(rise, fall) <= 1e-9 * np.ptp(mean) or np.ptp(mean) == 0:
        return 0
    return 1 if rise >= fall else -1
