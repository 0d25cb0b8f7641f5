"""How far people lie from the curve: a standard deviation that changes with age.

    log sigma(age) = s0 + s1 * age

People differ more the older they get (Treit et al. 2021). A fit that ignores this trusts the
old as much as the young; its intervals are wrong, and its z-scores are too large in old age.

Given the residuals r of a curve, the likelihood of a normal distribution is largest where

    sum_i g_i log sigma_i² + r_i²/sigma_i²,        g_i = 1

is smallest. That estimate is too small, because the curve has moved towards its data. With
g_i = 1 - h_i, where h_i is the leverage of a person (how far the curve follows that person),
the expected squared residual sigma_i²(1 - h_i) is met exactly: the restricted likelihood
(REML), here in the form of Smyth 2002. For s1 = 0 it is the familiar division by n - p.

References
----------
Smyth GK. An efficient algorithm for REML in heteroscedastic regression. J Comput Graph Stat
2002;11:836-847. https://doi.org/10.1198/106186002871
Treit S, et al. Hum Brain Mapp 2021;42:4597-4610. https://doi.org/10.1002/hbm.25569
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, log, nan

import numpy as np
from numpy.typing import ArrayLike

# the spread may change by at most this factor between the youngest and the oldest
_LARGEST_RATIO = 50.0


@dataclass(frozen=True)
class Spread:
    """Standard deviation between people by age.

    Parameters
    ----------
    s0 : float
        Logarithm of the standard deviation (ppm) at birth.
    s1 : float, 1/years
        Growth of that logarithm; 0 for a spread that is the same at all ages.
    s1_interval : tuple of float
        Confidence interval of s1; NaN if it was not estimated.

    Examples
    --------
    >>> spread = Spread(s0=np.log(0.01), s1=np.log(2) / 60)
    >>> spread([0, 60]).round(3).tolist()
    [0.01, 0.02]
    """

    s0: float
    s1: float = 0.0
    s1_interval: tuple[float, float] = (nan, nan)

    def __call__(self, age: ArrayLike) -> np.ndarray | float:
        """Return the standard deviation at ages in years, in ppm."""
        sd = np.exp(self.s0 + self.s1 * np.asarray(age, dtype=float))
        return float(sd) if sd.ndim == 0 else sd


def fit_spread(
    age: np.ndarray,
    residual: np.ndarray,
    leverage: np.ndarray | float = 0.0,
    *,
    linear: bool = True,
    floor: float = 0.0,
) -> Spread:
    """Fit log sigma = s0 + s1*age to residuals.

    Parameters
    ----------
    age : ndarray of float, ``(n,)``, years
    residual : ndarray of float, ``(n,)``
        Value minus curve.
    leverage : ndarray of float, ``(n,)``, or 0
        Diagonal of the hat matrix for the restricted likelihood; 0 for plain maximum
        likelihood.
    linear : bool
        Whether the spread may change with age.
    floor : float
        Smallest residual that counts, so that a perfect fit keeps a finite likelihood.

    Returns
    -------
    Spread
        In the unit of the residuals, without an interval.
    """
    from scipy.optimize import brentq

    g = np.broadcast_to(1.0 - np.asarray(leverage, dtype=float), age.shape)
    total = g.sum()
    centre = (g @ age) / total
    t = age - centre
    square = residual**2 + floor**2
    slope = 0.0
    if linear:
        width = np.ptp(age)

        def score(s1: float) -> float:  # derivative of log sum r² exp(-2 s1 t), convex in s1
            weight = square * np.exp(-2 * s1 * t)
            return float(weight @ t / weight.sum()) / width

        bound = log(_LARGEST_RATIO) / width
        if score(-bound) <= 0:
            slope = -bound
        elif score(bound) >= 0:
            slope = bound
        else:
            slope = float(brentq(score, -bound, bound, xtol=1e-12))
    at_centre = 0.5 * log((square @ np.exp(-2 * slope * t)) / total)
    return Spread(s0=at_centre - slope * centre, s1=slope)


def slope_interval(
    age: np.ndarray, leverage: np.ndarray, spread: Spread, quantile: float
) -> tuple[float, float]:
    """Return the interval of s1 from the expected information, 2 sum g (age - mean)²."""
    g = 1.0 - leverage
    t = age - (g @ age) / g.sum()
    information = 2 * g @ t**2
    half = quantile / np.sqrt(information) if information > 0 else inf
    return spread.s1 - half, spread.s1 + half


def log_likelihood(age: np.ndarray, residual: np.ndarray, spread: Spread) -> float:
    """Return the normal log-likelihood of residuals under a spread."""
    log_sd = spread.s0 + spread.s1 * age
    z = residual * np.exp(-log_sd)
    return float(-log_sd.sum() - 0.5 * (z @ z) - 0.5 * age.size * log(2 * np.pi))


def rescaled(spread: Spread, factor: float) -> Spread:
    """Return the spread in a unit that is ``factor`` times smaller."""
    return Spread(spread.s0 + log(factor), spread.s1, spread.s1_interval)


def constant_spread(sd: float) -> Spread:
    """Return a spread that is the same at all ages."""
    return Spread(s0=log(max(sd, exp(-700))))
