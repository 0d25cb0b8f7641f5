"""The design matrix of a model: one row for each scan, one column for each coefficient.

    y = X b + e

The first column is the constant. A number enters centred on the mean of the cohort, a power as
the power of the centred number, a spline as a cubic B-spline basis without its first function,
a group as one column of zeros and ones for each level but the reference. Interactions are
products of columns. The constant therefore is the mean of the reference groups at the mean of
the numbers, and with ``diagnosis * age`` the coefficient of the diagnosis is the difference at
the mean age.

Whether the columns can be told apart is known before anything is fitted: the rank of X says so,
and the directions in which X is blind name the columns that move together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from qsmbids.group.errors import GroupError
from qsmbids.group.people.covariates import MIN_PEOPLE, Covariate, count_of, gather
from qsmbids.group.people.formula import Factor, Formula, parse_formula, term_name
from qsmbids.group.problems import Problem

if TYPE_CHECKING:
    import pandas as pd

INTERCEPT = 'constant'  # name of its coefficient
MIN_DF = 3  # people beyond the number of coefficients
_BLIND = 1e-8  # of the largest singular value
_MAX_INFLATION = 10.0


@dataclass
class Design:
    """A model ready to be fitted.

    Parameters
    ----------
    formula : Formula
        Without the terms that could not be used.
    matrix : ndarray, shape (n, k)
    names : list of str
        Of the k coefficients: ``constant``, ``age``, ``diagnosis[PD]``, ``diagnosis[PD]:age``.
    terms : dict of str to slice
        The columns of each term; the constant is none.
    rows : ndarray of int, shape (n,)
        Which scans the rows are.
    people : ndarray of str, shape (n,)
        Whose scans they are.
    covariates : dict of str to Covariate
    problems : list of Problem
    """

    formula: Formula
    matrix: np.ndarray
    names: list[str]
    terms: dict[str, slice]
    rows: np.ndarray
    people: np.ndarray
    covariates: dict[str, Covariate]
    problems: list[Problem] = field(default_factory=list)
    _mean_rows: dict[tuple[str, str], np.ndarray] = field(default_factory=dict, repr=False)

    @property
    def repeated(self) -> bool:
        """Whether somebody was scanned more than once."""
        return len(set(self.people)) < len(self.people)

    def groups(self) -> list[str]:
        """Return the columns that name groups, in the order of the formula."""
        return [name for name, one in self.covariates.items() if not one.is_number]

    def reference_of(self, column: str) -> str:
        """Return the group that the others of a column are compared with."""
        return self.covariates[column].levels[0]

    def kind_of(self, term: str) -> str:
        """Return ``group`` (differences), ``curve`` (a power or a spline) or ``slope``."""
        factors = next(t for t in self.formula.terms if term_name(t) == term)
        if all(not self.covariates[f.column].is_number for f in factors):
            return 'group'
        return 'curve' if any(f.kind in ('power', 'spline') for f in factors) else 'slope'

    def mean_row(self, column: str, level: str) -> np.ndarray:
        """Return the mean row of the matrix as if every scan were of one group, shape (k,)."""
        if (column, level) not in self._mean_rows:
            one = self.covariates[column]
            everybody = np.full(len(one.values), level)
            changed = Covariate(column, everybody, one.levels, is_number=False)
            matrix = _matrix(self.formula, self.covariates | {column: changed})[0]
            self._mean_rows[column, level] = matrix.mean(axis=0)
        return self._mean_rows[column, level]


def build_design(formula: Formula | str, scans: pd.DataFrame) -> Design:
    """Make the design matrix of a model.

    Parameters
    ----------
    formula : Formula or str
    scans : DataFrame
        Table of scans of a cohort: participant_id and the columns of the formula.

    Raises
    ------
    GroupError
        If a column is missing, unusable or called ``constant``, if fewer than three people are
        left beyond the number of coefficients, or if columns cannot be told apart.
    """
    formula = parse_formula(formula) if isinstance(formula, str) else formula
    if INTERCEPT in formula.columns:
        raise GroupError(
            f'The model "{formula.text}" has a column called {INTERCEPT}.',
            'The intercept of every model has this name, so the two could not be told apart.',
            f'Give the column {INTERCEPT} another name in participants.tsv.',
        )
    covariates, rows, problems, small = gather(scans, formula)
    people = scans['participant_id'].to_numpy(str)[rows]
    _check_number(formula, people, 2, small)
    formula, constant = _without_constant_columns(formula, covariates, len(rows))
    problems += constant
    covariates = {name: covariates[name] for name in formula.columns}
    matrix, names, terms = _matrix(formula, covariates)
    _check_number(formula, people, len(names), small)
    _check_rank(formula, matrix, names, terms)
    problems += _inflated(formula, matrix, terms)
    return Design(formula, matrix, names, terms, rows, people, covariates, problems)


def _check_number(
    formula: Formula, people: np.ndarray, n_coefficients: int, small: dict[str, np.ndarray]
) -> None:
    """Refuse too few people; ``small`` are the members of groups that were left out."""
    needed = n_coefficients + MIN_DF
    if len(set(people)) < needed:
        there = count_of(np.concatenate([people, *small.values()]))
        if small:
            groups = ', '.join(f'{name} ({count_of(who)})' for name, who in small.items())
            there += (
                f', of whom {len(set(people))} are left without groups of fewer than '
                f'{MIN_PEOPLE}: {groups}'
            )
        raise GroupError(
            f'The model "{formula.text}" has at least {n_coefficients} coefficients, and there '
            f'are values of {there}.',
            'So few people fit any model; what would come out says nothing about others.',
            f'Use at least {needed} people of whom every column is known, or a smaller model.',
        )


def _matrix(
    formula: Formula, covariates: dict[str, Covariate]
) -> tuple[np.ndarray, list[str], dict[str, slice]]:
    n = len(next(iter(covariates.values())).values)
    columns, names, terms = [np.ones(n)], [INTERCEPT], {}
    for term in formula.terms:
        start = len(columns)
        parts = [('', np.ones(n))]
        for factor in term:
            coded = _code(factor, covariates[factor.column])
            parts = [
                (f'{name}:{more}' if name else more, values * other)
                for name, values in parts
                for more, other in coded
            ]
        names += [name for name, _ in parts]
        columns += [values for _, values in parts]
        terms[term_name(term)] = slice(start, len(columns))
    return np.column_stack(columns), names, terms


def _code(factor: Factor, covariate: Covariate) -> list[tuple[str, np.ndarray]]:
    """Return names and values of the columns of one factor."""
    name = covariate.name
    if not covariate.is_number:
        return [
            (f'{name}[{level}]', (covariate.values == level).astype(float))
            for level in covariate.levels[1:]
        ]
    if factor.kind == 'spline':
        basis = spline_basis(covariate.values, factor.number)
        return [(f'bs({name})[{i + 1}]', basis[:, i]) for i in range(basis.shape[1])]
    return [(str(factor), (covariate.values - covariate.centre) ** factor.number)]


def spline_basis(x: np.ndarray, df: int) -> np.ndarray:
    """Return a cubic B-spline basis without its first function.

    Parameters
    ----------
    x : ndarray, shape (n,)
    df : int
        Number of columns, at least 3; ``df - 3`` inner knots lie at the quantiles of ``x``.

    Returns
    -------
    ndarray, shape (n, df)

    References
    ----------
    de Boor C. A Practical Guide to Splines. Springer, 2001.
    """
    from scipy.interpolate import BSpline

    inner = np.quantile(x, np.linspace(0, 1, df - 1)[1:-1])
    knots = np.concatenate([np.full(4, x.min()), inner, np.full(4, x.max())])
    return BSpline.design_matrix(x, knots, 3).toarray()[:, 1:]


def _without_constant_columns(
    formula: Formula, covariates: dict[str, Covariate], n: int
) -> tuple[Formula, list[Problem]]:
    """Leave out columns that are the same for everybody, which explain nothing."""
    same: dict[str, str] = {}
    for name, one in covariates.items():
        if n and one.is_number and np.ptp(one.values) == 0:
            same[name] = f'{one.centre:g}'
        elif n and not one.is_number and len(one.levels) < 2:
            same[name] = one.levels[0]
    terms = tuple(t for t in formula.terms if not any(f.column in same for f in t))
    if n and not terms:
        raise GroupError(
            'All usable scans have ' + ', '.join(f'{k} = {v}' for k, v in same.items()) + '.',
            f'The model "{formula.text}" asks what goes with differences that there are not.',
            'Add people who differ, or ask for another column.',
        )
    problems = [
        Problem(
            f'All usable scans have {name} = {value}; {name} was left out of the model '
            f'"{formula.text}".',
            'What is the same for everybody explains no difference.',
            'Add people who differ, or leave it out of the model.',
            severity='error' if name == formula.columns[0] else 'warning',
        )
        for name, value in same.items()
    ]
    return Formula(formula.text, formula.response, terms or formula.terms), problems


def _check_rank(
    formula: Formula, matrix: np.ndarray, names: list[str], terms: dict[str, slice]
) -> None:
    scale = np.linalg.norm(matrix, axis=0)
    empty = [name for name, size in zip(names, scale, strict=True) if size == 0]
    if empty:
        raise GroupError(
            f'Nobody belongs to {empty[0]}.',
            f'The model "{formula.text}" has a coefficient for it.',
            'Leave out this interaction, or add people.',
        )
    _, singular, right = np.linalg.svd(matrix / scale, full_matrices=False)
    blind = right[singular < _BLIND * singular[0]]
    if not len(blind):
        return
    involved = np.abs(blind).max(axis=0) > 1e-3
    together = [name for name, span in terms.items() if involved[span].any()]
    raise GroupError(
        f'The model "{formula.text}" cannot tell apart: {", ".join(together)}.',
        'These columns move together in this cohort, so no model can say which of them a '
        'difference belongs to.',
        'Leave out one of them, or add people who break the pattern.',
    )


def _inflated(formula: Formula, matrix: np.ndarray, terms: dict[str, slice]) -> list[Problem]:
    """Warn of main effects that the others nearly explain: variance inflated tenfold."""
    main = [terms[term_name(t)] for t in formula.terms if len(t) == 1 and t[0].kind != 'power']
    columns = [
        i for span in main for i in range(span.start, span.stop) if span.stop - span.start == 1
    ]
    if len(columns) < 2:
        return []
    kept = matrix[:, columns] - matrix[:, columns].mean(axis=0)
    correlation = np.corrcoef(kept, rowvar=False)
    inflation = np.diag(np.linalg.inv(correlation))
    labels = [next(n for n, s in terms.items() if s.start == i) for i in columns]
    worst = [label for label, v in zip(labels, inflation, strict=True) if v > _MAX_INFLATION]
    if not worst:
        return []
    return [
        Problem(
            f'In the model "{formula.text}" {" and ".join(worst)} are nearly the same '
            f'(variance inflation up to {inflation.max():.0f}).',
            'Their effects can hardly be told apart, and the intervals are wide.',
            'Leave out one of them, or read them together.',
        )
    ]
