"""Ages and values as they are fitted: numbers only, enough of them, and scaled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from qsmbids.lifespan.errors import LifespanError

# people beyond the free parameters, and distinct ages per parameter of the mean
_SPARE = 2
SPLINE_PEOPLE = 12


@dataclass(frozen=True)
class People:
    """Checked ages and values.

    Parameters
    ----------
    age : ndarray of float, ``(n,)``, years
    value : ndarray of float, ``(n,)``
        (original - offset) / scale, near a standard deviation of 1.
    offset, scale : float
    dropped : int
        How many had no age or no value.
    """

    age: np.ndarray
    value: np.ndarray
    offset: float
    scale: float
    dropped: int


def check_people(age: ArrayLike, value: ArrayLike, family: str, n_mean: int) -> People:
    """Drop people without age or value, refuse what cannot be fitted, and scale.

    Parameters
    ----------
    age : array-like of float, years
    value : array-like of float, ppm
    family : str
        For the message.
    n_mean : int
        Free parameters of the mean.

    Returns
    -------
    People

    Raises
    ------
    LifespanError
        If shapes differ, an age is negative, or there are too few people or ages.
    """
    years, values = np.asarray(age, dtype=float), np.asarray(value, dtype=float)
    if years.shape != values.shape or years.ndim != 1:
        raise LifespanError(
            f'There are {years.size} ages for {values.size} values.',
            'Each person needs one age and one value, or nobody knows whose is whose.',
            'Give two lists of the same length, with NaN where something is unknown.',
        )
    known = np.isfinite(years) & np.isfinite(values)
    years, values = years[known], values[known]
    if np.any(years < 0):
        raise LifespanError(
            f'An age is negative: {years.min():g}.',
            'Age curves are defined from birth on.',
            'Correct the ages (in years), or leave unknown ones out.',
        )
    dropped = int(known.size - years.size)
    needed = SPLINE_PEOPLE if family == 'spline' else n_mean + 1 + _SPARE
    if years.size < needed:
        told = f' ({dropped} more have no age or no value)' if dropped else ''
        raise LifespanError(
            f'A curve of the family {family} needs {needed} people, there are {years.size}{told}.',
            'With fewer, any curve fits and its uncertainty cannot be told.',
            'Add people, or choose a family with fewer parameters.',
        )
    distinct = np.unique(years).size
    ages_needed = 1 if n_mean == 1 else SPLINE_PEOPLE // 2 if family == 'spline' else n_mean + 1
    if distinct < ages_needed:
        what = 'all have the same age' if distinct == 1 else f'they have {distinct} different ages'
        raise LifespanError(
            f'A curve of the family {family} needs {ages_needed} different ages; {what}.',
            'How a value runs with age shows only in people of different ages.',
            'Add people of other ages, or fit the family constant.',
        )
    offset = float(np.mean(values))
    scale = float(np.std(values))
    if not scale > 1e-12 * abs(offset):
        scale = abs(offset) or 1.0
    return People(years, (values - offset) / scale, offset, scale, dropped)
