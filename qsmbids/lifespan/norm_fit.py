"""From a fitted curve to a norm: the curve, its spread, and how uncertain both are.

With g_i = 1 - p/n (p parameters of the mean), the standard deviation at an age a was learnt from

    nu(a) = 1 / ( 1 / sum g + (a - mean age)^2 / sum g (age_i - mean age)^2 )

degrees of freedom: all n - p of them in the middle, fewer towards the ends, where a spread
that changes with age hangs on few people. (The variance of log s is 1 / (2 nu), from the
information of a normal distribution; without a slope of the spread the second term is left out.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from qsmbids.lifespan.norms import Norm

if TYPE_CHECKING:
    from qsmbids.lifespan.fit import FittedCurve

MIN_PEOPLE = 30  # fewer leave the spread, and so every z-score, uncertain by more than 13 %
_STEP = 1.0  # years between the lines of the table
_DIGITS = 7  # 0.1 parts per trillion


def norm_of_fit(
    fit: FittedCurve, age: ArrayLike, *, region: str, hemisphere: str = 'B', group: str = ''
) -> Norm:
    """Make the norm of a region.

    Parameters
    ----------
    fit : FittedCurve
    age : array-like, years
        Of the people it was fitted to.
    region, hemisphere, group : str

    Returns
    -------
    Norm
        From the youngest to the oldest of them, about one line for each year.
    """
    ages = np.asarray(age, dtype=float)
    # rounded outwards, so that the youngest and the oldest have a place in their own norm
    low, high = np.floor(100 * ages.min()) / 100, np.ceil(100 * ages.max()) / 100
    grid = np.round(np.linspace(low, high, 1 + int(np.ceil((high - low) / _STEP))), 4)
    band = fit.band(grid)
    return Norm(
        region=region,
        hemisphere=hemisphere,
        age=_column(grid),
        mean=_column(fit.predict(grid)),
        sd=_column(fit.sd(grid)),
        mean_se=_column((band[1] - band[0]) / (2 * _quantile(fit.level))),
        df=tuple(np.round(_degrees_of_freedom(fit, ages, grid), 1).tolist()),
        n=int(fit.n),
        group=group,
        model={
            'family': fit.family,
            'formula': fit.formula,
            'parameters': dict(zip(fit.names, map(float, fit.values), strict=True)),
            'identifiable': bool(fit.identifiable),
            'aicc': float(fit.aicc),
        },
    )


def _degrees_of_freedom(fit: FittedCurve, ages: np.ndarray, grid: np.ndarray) -> np.ndarray:
    slope = fit.spread.s1 != 0
    n_mean = fit.k - (2 if slope else 1)
    left = max(ages.size - n_mean, 1.0)
    share = 1 / left
    scatter = left / ages.size * ((ages - ages.mean()) ** 2).sum()
    if slope and scatter > 0:
        share = share + (grid - ages.mean()) ** 2 / scatter
    return np.broadcast_to(1 / share, grid.shape)


def _quantile(level: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf(0.5 + level / 2))


def _column(values: ArrayLike) -> tuple[float, ...]:
    return tuple(np.round(np.asarray(values, dtype=float), _DIGITS).tolist())
