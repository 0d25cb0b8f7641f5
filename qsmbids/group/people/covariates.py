"""Columns of people made ready for a model: numbers, groups, and who has no value.

A column is a number when every known value of it is one; everything else names groups. Groups
are compared with one of them, the reference: the largest, unless the formula names another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from qsmbids.group.errors import GroupError
from qsmbids.group.people.formula import Factor, Formula
from qsmbids.group.problems import Problem

if TYPE_CHECKING:
    import pandas as pd

MIN_PEOPLE = 3  # of a group: fewer say nothing about it
MAX_GROUPS = 20
# columns of the table of scans that describe files, not people
TECHNICAL = ('key', 'page', 'acq_time', 'curve_offset', 'units', 'primary', 'first_session')
_UNKNOWN = {'', 'n/a', 'nan', 'none'}


@dataclass
class Covariate:
    """One column of the people that a model uses.

    Parameters
    ----------
    name : str
    values : ndarray
        float64 with NaN, or text with '' where unknown.
    levels : tuple of str
        Of groups: the reference first, then the others in alphabetical order; empty for
        numbers.
    centre : float
        Of numbers: the mean, which becomes zero.
    """

    name: str
    values: np.ndarray
    levels: tuple[str, ...] = ()
    centre: float = 0.0
    is_number: bool = field(default=True)

    def known(self) -> np.ndarray:
        """Return a mask of the scans with a value."""
        return np.isfinite(self.values) if self.is_number else self.values != ''

    def select(self, rows: np.ndarray) -> Covariate:
        """Return the covariate of some scans."""
        return Covariate(
            self.name, self.values[rows], self.levels, self.centre, is_number=self.is_number
        )


def read_covariate(scans: pd.DataFrame, factor: Factor | str) -> Covariate:
    """Read one column of the table of scans.

    Parameters
    ----------
    scans : DataFrame
    factor : Factor or str
        Its kind decides: ``category`` makes groups of numbers, ``power`` and ``spline`` need
        numbers.

    Raises
    ------
    GroupError
        If there is no such column or no value in it, if a column of numbers has some text in
        it, or if text has more than 20 different values.
    """
    factor = Factor(factor) if isinstance(factor, str) else factor
    name = factor.column
    if name not in scans.columns:
        raise GroupError(
            f'There is no column {name} in participants.tsv or a sessions table.',
            'A model needs a value of each of its columns for every person.',
            f'Columns with a value: {", ".join(usable_columns(scans)) or "none"}.',
        )
    column = scans[name]
    if column.dtype.kind in 'iuf' and factor.kind != 'category':
        covariate = Covariate(name, column.to_numpy(float))
    else:
        covariate = Covariate(name, _as_text(column), is_number=False)
    if not covariate.known().any():
        raise GroupError(
            f'Nobody has a value of {name}.',
            'A model needs a value of each of its columns for every person.',
            f'Fill in {name} in participants.tsv (numbers only, if it is a number), or leave it '
            'out of the model.',
        )
    if not covariate.is_number:
        _check_text(covariate, factor, scans)
    return covariate


def usable_columns(scans: pd.DataFrame) -> list[str]:
    """Return the columns that have at least one value and describe people or scans."""
    return [
        str(name)
        for name in scans.columns
        if name not in (*TECHNICAL, 'participant_id')
        and (
            np.isfinite(scans[name].to_numpy(float)).any()
            if scans[name].dtype.kind in 'iuf'
            else (_as_text(scans[name]) != '').any()
        )
    ]


def gather(
    scans: pd.DataFrame, formula: Formula
) -> tuple[dict[str, Covariate], np.ndarray, list[Problem], dict[str, np.ndarray]]:
    """Read all columns of a model and keep the scans that can be used.

    Left out, each with a :class:`Problem`, are scans without a value of some column and the
    members of groups of fewer than three people.

    Returns
    -------
    covariates : dict
        Of the scans that are kept; groups have their levels, numbers their mean.
    rows : ndarray of int
        These scans.
    problems : list of Problem
    small : dict of str to ndarray
        Groups that were too small (``sex = F``), with the participant of each of their scans.
    """
    factors = {factor.column: factor for term in formula.terms for factor in term}
    # a column written as C(x) somewhere is a group everywhere
    factors |= {f.column: f for t in formula.terms for f in t if f.kind == 'category'}
    found = {name: read_covariate(scans, factor) for name, factor in factors.items()}
    people = scans['participant_id'].to_numpy(str)
    keep = np.ones(len(scans), bool)
    problems = []
    for name, covariate in found.items():
        without = ~covariate.known()
        keep &= ~without
        if without.any():
            problems.append(
                Problem(
                    f'{count_of(people[without])} without a value of {name} left out of the '
                    f'model "{formula.text}": {names(people[without])}.',
                    'A model can use only those of whom every column is known.',
                    f'Fill in {name} in participants.tsv.',
                )
            )
    small: dict[str, np.ndarray] = {}
    again = True
    while again:  # leaving out one small group can make another small
        again = False
        for name, covariate in found.items():
            if covariate.is_number:
                continue
            for level in np.unique(covariate.values[keep]):
                members = keep & (covariate.values == level)
                if len(set(people[members])) < MIN_PEOPLE:
                    again = True
                    small[f'{name} = {level}'] = people[members]
                    keep &= ~members
                    problems.append(_small_group(name, level, people[members], formula))
    rows = np.flatnonzero(keep)
    covariates = {name: covariate.select(rows) for name, covariate in found.items()}
    for name, covariate in covariates.items():
        if covariate.is_number:
            covariate.centre = float(np.mean(covariate.values)) if rows.size else 0.0
        else:
            covariate.levels = _levels(covariate, factors[name])
    return covariates, rows, problems, small


def count_of(people: Sequence[str]) -> str:
    """Return how many different people these are, in words: ``1 person``, ``12 people``."""
    n = len(set(people))
    return f'{n} person' if n == 1 else f'{n} people'


def names(people: Sequence[str], most: int = 8) -> str:
    """Return the first names of a list, and how many more there are."""
    different = list(dict.fromkeys(map(str, people)))
    more = len(different) - most
    return ', '.join(different[:most]) + (f' and {more} more' if more > 0 else '')


def _as_text(column: pd.Series) -> np.ndarray:
    numbers = column.dtype.kind in 'iuf'
    texts = [f'{v:g}' if numbers else str(v).strip() for v in column.tolist()]
    return np.array(['' if t.lower() in _UNKNOWN else t for t in texts], dtype=str)


def _levels(covariate: Covariate, factor: Factor) -> tuple[str, ...]:
    levels, counts = np.unique(covariate.values, return_counts=True)
    if not levels.size:  # nobody is left, which the design refuses
        return ()
    reference = factor.reference or str(levels[np.argmax(counts)])
    if reference not in levels:
        raise GroupError(
            f'No usable scan has {covariate.name} = {reference}.',
            'It was named as the group that the others are compared with.',
            f'Groups that there are: {", ".join(levels)}.',
        )
    return (reference, *(str(level) for level in levels if level != reference))


def _check_text(covariate: Covariate, factor: Factor, scans: pd.DataFrame) -> None:
    name, known = covariate.name, covariate.known()
    numeric = np.array(
        [bool(re.fullmatch(r'[-+]?[\d.]+(e[-+]?\d+)?', v)) for v in covariate.values]
    )
    people = scans['participant_id'].to_numpy(str)
    if factor.kind in ('power', 'spline') or (
        factor.kind != 'category' and numeric.sum() * 2 > known.sum()
    ):
        odd = known & ~numeric
        example = f'{str(covariate.values[odd][0])!r} of {people[odd][0]}' if odd.any() else 'n/a'
        raise GroupError(
            f'{name} is not a column of numbers: {example}.',
            'With one text in it, the whole column would be read as names of groups.',
            f'Write n/a for unknown values of {name}, or C({name}) if it does name groups.',
        )
    levels = np.unique(covariate.values[known])
    if levels.size > MAX_GROUPS:
        raise GroupError(
            f'{name} has {levels.size} different texts.',
            f'Text names groups, and a model of more than {MAX_GROUPS} groups says little.',
            f'Use a column of numbers, or join groups of {name}.',
        )


def _small_group(name: str, level: str, people: np.ndarray, formula: Formula) -> Problem:
    return Problem(
        f'The group {name} = {level} has {count_of(people)} ({names(people)}), who were left '
        f'out of the model "{formula.text}".',
        f'Fewer than {MIN_PEOPLE} people say nothing about a group.',
        'Join small groups in participants.tsv, or scan more people.',
    )
