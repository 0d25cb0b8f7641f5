"""Which regions of a person are flagged: the false discovery rate within the person.

A person has many regions, so some z-scores are large by chance: of 20 regions of a healthy
person, one lies beyond |z| = 2 on average. The rule is therefore

    flagged if the Benjamini-Hochberg adjusted p over the regions of this person is below 0.05.

If nothing is wrong with the person, the probability that any region is flagged is then 5 %
(exactly for independent regions, and not above it for positively dependent ones, as those of one
brain are). It is a rate per person, whatever the number of regions. With more regions, one of
them has to lie further out to be flagged: at 20 independent regions a single one at |z| = 3.0.

References
----------
Benjamini Y, Hochberg Y. Controlling the false discovery rate. J R Stat Soc B 1995;57:289-300.
https://doi.org/10.1111/j.2517-6161.1995.tb02031.x
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

FLAG_LEVEL = 0.05
FAR = 2.0  # |z| that is counted without any correction, because readers ask for it
FLAG_RULE = (
    f'flagged: Benjamini-Hochberg adjusted p over the regions of the person below {FLAG_LEVEL:g}, '
    f'which happens in about {100 * FLAG_LEVEL:g} of 100 people in whom nothing is different'
)


def fdr(p: ArrayLike) -> np.ndarray:
    """Adjust p values for the false discovery rate by Benjamini and Hochberg.

    Parameters
    ----------
    p : array-like, shape (..., n_tests)
        Each row of the last axis is a family of its own; NaN stays NaN and does not count.

    Returns
    -------
    ndarray
        Adjusted p values, same shape.

    Examples
    --------
    >>> fdr([0.01, float('nan'), 0.04]).tolist()
    [0.02, nan, 0.04]
    """
    from scipy.stats import false_discovery_control

    raw = np.asarray(p, dtype=float)
    adjusted = np.full(raw.shape, np.nan)
    for place in np.ndindex(raw.shape[:-1]):
        known = np.isfinite(raw[place])
        if known.any():
            adjusted[place][known] = false_discovery_control(raw[place][known])
    return adjusted


def flag(p: ArrayLike, level: float = FLAG_LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Flag regions.

    Parameters
    ----------
    p : array-like, shape (..., n_regions)
        Two-sided p values of the regions of a person in each row.
    level : float

    Returns
    -------
    adjusted : ndarray
        As :func:`fdr`.
    flagged : ndarray of bool
    """
    adjusted = fdr(p)
    with np.errstate(invalid='ignore'):
        return adjusted, adjusted < level
