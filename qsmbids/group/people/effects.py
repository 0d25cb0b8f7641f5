"""Effect sizes with their intervals.

* Groups: the difference in units of the spread between people that the model leaves,
  corrected for small samples (Hedges 1981),

      g = J b / s,    J = 1 - 3 / (4 df - 1),
      var(g) = J^2 (se(b)^2 / s^2 + (b/s)^2 / (2 df)),

  the delta method, with the standard error of the model in use, robust or not.
* Slopes: standardised coefficients, b SD(x) / SD(y); the interval is that of b, scaled, so
  both spreads count as known.
* Terms: partial eta squared, the fraction of what the other terms leave unexplained,

      eta2 = q F / (q F + df),

  with the interval of the noncentrality L of F: L / (L + q + df + 1) (Steiger 2004).
* Correlations: Fisher's z (Fisher 1915), for Spearman with the variance of Bonett and Wright.

References
----------
Hedges LV. J Educ Stat 1981;6:107-128. https://doi.org/10.3102/10769986006002107
Steiger JH. Psychol Methods 2004;9:164-182. https://doi.org/10.1037/1082-989X.9.2.164
Bonett DG, Wright TA. Psychometrika 2000;65:23-28. https://doi.org/10.1007/BF02294183
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

LEVEL = 0.95  # of every interval in this package
_LARGEST = 2e5  # noncentrality; partial eta squared of 5,000 people is 0.98 there


def hedges_g(
    b: ArrayLike, se: ArrayLike, spread: ArrayLike, df: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return Hedges' g of a difference and its interval.

    Parameters
    ----------
    b, se : array_like
        Difference and its standard error.
    spread : array_like
        Standard deviation between people that the model leaves, same unit.
    df : array_like
        Degrees of freedom of ``spread``.

    Examples
    --------
    >>> g, low, high = hedges_g(10.0, 2.0, 10.0, 98)
    >>> [round(float(x), 2) for x in (g, low, high)]
    [0.99, 0.57, 1.41]
    """
    from scipy.special import stdtrit

    b, se, spread, df = (np.asarray(x, float) for x in (b, se, spread, df))
    d = b / spread
    small = 1 - 3 / (4 * df - 1)
    half = stdtrit(df, 0.5 + LEVEL / 2) * np.sqrt((se / spread) ** 2 + d**2 / (2 * df))
    return small * d, small * (d - half), small * (d + half)


def partial_eta2(f: ArrayLike, q: float, df: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return partial eta squared of an F statistic and its interval.

    Parameters
    ----------
    f : array_like
        F with ``q`` and ``df`` degrees of freedom; NaN stays NaN.
    """
    f = np.atleast_1d(np.asarray(f, float))
    share = q * f / (q * f + df)
    upper = 0.5 + LEVEL / 2
    ends = [(_noncentrality(f, q, df, p), q + df + 1) for p in (upper, 1 - upper)]
    low, high = (part / (part + rest) for part, rest in ends)
    return share, low, high


def fisher_interval(
    r: ArrayLike, n: ArrayLike, *, controlled: int = 0, ranks: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return the interval of a correlation.

    Parameters
    ----------
    r : array_like
    n : array_like
        People.
    controlled : int
        Columns that were partialled out.
    ranks : bool
        Spearman's correlation, whose variance is (1 + r^2/2) / (n - 3).

    Examples
    --------
    >>> low, high = fisher_interval(0.5, 50)
    >>> round(float(low), 3), round(float(high), 3)
    (0.257, 0.683)
    """
    from scipy.special import ndtri

    r = np.clip(np.asarray(r, float), -1 + 1e-12, 1 - 1e-12)
    free = np.asarray(n, float) - 3 - controlled
    free = np.where(free > 0, free, np.nan)
    half = ndtri(0.5 + LEVEL / 2) * np.sqrt((1 + ranks * r**2 / 2) / free)
    return np.tanh(np.arctanh(r) - half), np.tanh(np.arctanh(r) + half)


def wilson_interval(hits: float, n: float) -> tuple[float, float]:
    """Return the interval of a proportion (Wilson 1927).

    Examples
    --------
    >>> [round(x, 3) for x in wilson_interval(18, 20)]
    [0.699, 0.972]
    """
    from scipy.special import ndtri

    z2 = float(ndtri(0.5 + LEVEL / 2)) ** 2
    centre = (hits + z2 / 2) / (n + z2)
    half = np.sqrt(z2 * (hits * (n - hits) / n + z2 / 4)) / (n + z2)
    return float(max(centre - half, 0)), float(min(centre + half, 1))


def _noncentrality(f: np.ndarray, q: float, df: float, p: float) -> np.ndarray:
    """Return L with P(F <= f | L) = p by bisection; 0 where even L = 0 gives less."""
    from scipy.special import ncfdtr

    low, high = np.zeros_like(f), np.minimum(2 * q * f * (1 + 20 / np.sqrt(df)) + 60, _LARGEST)
    none = ~np.isfinite(f) | (ncfdtr(q, df, low, np.nan_to_num(f)) < p)
    for _ in range(30):
        middle = (low + high) / 2
        above = ncfdtr(q, df, middle, np.nan_to_num(f)) > p
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    found = np.where(none, 0.0, (low + high) / 2)
    return np.where(np.isfinite(f), found, np.nan)
