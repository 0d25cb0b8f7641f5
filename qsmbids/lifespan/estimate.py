"""Curve and spread together, each given the other until neither moves.

The curve is a weighted fit with weights 1/sigma(age)² (``mean``), the spread a fit to what the
curve leaves (``spread``). For normal data the two carry no information on each other, so that
a few rounds suffice. It is done twice: with plain maximum likelihood, whose likelihood is what
AICc and BIC compare, and with the restricted likelihood, whose spread and weights are less
biased and are reported.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qsmbids.lifespan import robust as huber
from qsmbids.lifespan.families import Family
from qsmbids.lifespan.mean import MeanFit, fit_mean
from qsmbids.lifespan.spline import SplineFamily, fit_spline
from qsmbids.lifespan.spread import Spread, constant_spread, fit_spread, log_likelihood

# residuals below this share of the spread of the values are rounding; it keeps a perfect fit
# from an infinite likelihood
FLOOR = 1e-9
_ROUNDS = 60
_TOLERANCE = 1e-6
_MAD_ROUNDS = 5


@dataclass(frozen=True)
class Estimate:
    """A fit of curve and spread in scaled values.

    Parameters
    ----------
    mean : MeanFit
    spread : Spread
        By restricted likelihood.
    log_likelihood : float
        At the maximum of the plain likelihood.
    target : ndarray of float, ``(n,)``
        The values, or the pseudo-values of a robust fit: intervals are made of them.
    weight : ndarray of float, ``(n,)``
        1/sigma².
    """

    mean: MeanFit
    spread: Spread
    log_likelihood: float
    target: np.ndarray
    weight: np.ndarray


def estimate(
    family: Family | SplineFamily,
    age: np.ndarray,
    value: np.ndarray,
    *,
    linear: bool,
    robust: bool,
) -> Estimate:
    """Fit curve and spread.

    Parameters
    ----------
    family : Family or SplineFamily
    age : ndarray of float, ``(n,)``, years
    value : ndarray of float, ``(n,)``
        Scaled to a standard deviation near 1.
    linear : bool
        Whether the spread may change with age.
    robust : bool
        Whether outliers get less weight.

    Returns
    -------
    Estimate
    """
    start = constant_spread(float(np.std(value)) or 1.0)
    mean, spread = _alternate(family, age, value, start, None, linear, robust, restricted=False)
    residual = value - mean.fitted
    if robust:
        likelihood = huber.log_likelihood(residual, spread(age))
    else:
        likelihood = log_likelihood(age, residual, spread)
    mean, spread = _alternate(family, age, value, spread, mean, linear, robust, restricted=True)
    sd = spread(age)
    target = huber.pseudo_values(mean.fitted, value - mean.fitted, sd) if robust else value
    return Estimate(mean, spread, likelihood, target, 1 / sd**2)


def _alternate(
    family: Family | SplineFamily,
    age: np.ndarray,
    value: np.ndarray,
    spread: Spread,
    mean: MeanFit | None,
    linear: bool,
    robust: bool,
    *,
    restricted: bool,
) -> tuple[MeanFit, Spread]:
    first = mean is None
    for number in range(_ROUNDS):
        sd = spread(age)
        weight = 1 / sd**2
        if robust and mean is not None:
            weight = weight * huber.weights((value - mean.fitted) / sd)
        previous, mean = mean, _fit(family, age, value, weight, mean)
        residual = value - mean.fitted
        leverage = mean.leverage if restricted else 0.0
        if robust and first and number < _MAD_ROUNDS:
            new = constant_spread(max(huber.mad_scale(residual), FLOOR))
        else:
            if robust:
                residual = sd * huber.cut(residual / sd) / np.sqrt(huber.cut_variance())
            new = fit_spread(age, residual, leverage, linear=linear, floor=FLOOR)
        moved = np.abs(np.log(new(age) / sd)).max()
        if previous is not None:
            moved = max(moved, np.abs((mean.fitted - previous.fitted) / sd).max())
        spread = new
        if moved < _TOLERANCE and previous is not None and number >= _MAD_ROUNDS * robust:
            break
    return mean, spread


def _fit(
    family: Family | SplineFamily,
    age: np.ndarray,
    value: np.ndarray,
    weight: np.ndarray,
    previous: MeanFit | None,
) -> MeanFit:
    if isinstance(family, SplineFamily):
        return fit_spline(family, age, value, weight)
    return fit_mean(family, age, value, weight, near=None if previous is None else previous.shape)
