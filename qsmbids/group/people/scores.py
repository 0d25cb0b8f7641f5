"""Correlation of regions with clinical scores, plain and with age and sex taken out.

Pearson's r sees straight lines, Spearman's rho any that keep rising or falling. Susceptibility
and most scores change with age, so two things that have nothing to do with each other
correlate; the partial correlation is that of what age and sex do not explain,

    r_partial = corr(a - X (X'X)^-1 X'a, b - X (X'X)^-1 X'b),    X = [1, age, sex],

for Spearman with ranks in place of a, b and age (Kim 2015). One scan of each person counts.

References
----------
Kim S. ppcor: an R package for a fast calculation to semi-partial correlation coefficients.
Communications for Statistical Applications and Methods 2015;22:665-674.
https://doi.org/10.5351/CSAM.2015.22.6.665
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbids.group.errors import GroupError
from qsmbids.group.people.covariates import Covariate, read_covariate
from qsmbids.group.people.effects import fisher_interval
from qsmbids.group.people.results import (
    REGION_COLUMNS,
    Column,
    P,
    Q,
    Result,
    add_q,
    measure_of,
    one_each,
    region_cells,
    tidy,
)
from qsmbids.group.problems import Problem

if TYPE_CHECKING:
    import pandas as pd

    from qsmbids.group.region_table import RegionTable

MIN_PEOPLE = 10
ADJUSTED_FOR = ('age', 'sex')
_KINDS = {
    'pearson': "Pearson's r",
    'spearman': "Spearman's rho",
    'partial_pearson': "Pearson's r of what age and sex do not explain",
    'partial_spearman': "Spearman's rho of what age and sex do not explain",
}


def correlate_scores(
    scans: pd.DataFrame, table: RegionTable, scores: Sequence[str], measure: str = 'mean'
) -> tuple[Result, list[Problem]]:
    """Correlate every region with every score.

    Parameters
    ----------
    scans : DataFrame
    table : RegionTable
    scores : sequence of str
        Columns of numbers. A score of a later session is used when the person has no scan
        with a score before.
    measure : str
        Column of the region tables.

    Raises
    ------
    GroupError
        If no score can be used.
    """
    values, _ = measure_of(table, measure)
    found, problems = [], []
    for score in dict.fromkeys(scores):
        try:
            found += _correlate_one(scans, table, values, score, problems)
        except GroupError as error:
            if len(scores) == 1:
                raise
            problems.append(Problem(*str(error).splitlines(), severity='error'))
    if not found:
        raise GroupError(
            f'None of the scores {", ".join(scores)} could be correlated with a region.',
            f'A correlation needs a number for at least {MIN_PEOPLE} people.',
            '; '.join(p.what for p in problems) or 'Fill in the scores in participants.tsv.',
        )
    for kind in _KINDS:
        add_q(found, ['score'], f'{kind}_p', f'{kind}_q')
    return tidy(found, _columns()), problems


def _correlate_one(
    scans: pd.DataFrame,
    table: RegionTable,
    values: np.ndarray,
    score: str,
    problems: list[Problem],
) -> list[dict[str, Any]]:
    covariate = read_covariate(scans, score)
    if not covariate.is_number:
        raise GroupError(
            f'{score} is a column of text.',
            'A correlation needs numbers.',
            f'Ask for it as a group: --model "chi ~ {score} + age + sex".',
        )
    usable = one_each(scans, np.where(np.isfinite(covariate.values)[:, None], values, np.nan))
    if usable.sum() < MIN_PEOPLE or np.ptp(covariate.values[usable]) == 0:
        same = usable.sum() >= MIN_PEOPLE
        raise GroupError(
            f'{score} is the same in all {usable.sum()} people.'
            if same
            else f'{score} is known of {usable.sum()} people with regional values.',
            'What does not vary correlates with nothing.'
            if same
            else f'With fewer than {MIN_PEOPLE} people a correlation can be anything.',
            f'Fill in {score} in participants.tsv.',
        )
    adjusting, names = _adjusting(scans, usable, problems, score)
    found = []
    for region in range(values.shape[1]):
        y = values[:, region].astype(float)
        rows = np.flatnonzero(usable & np.isfinite(y))
        full = rows[np.isfinite(adjusting[rows]).all(axis=1)]
        cells = region_cells(table, region) | {
            'score': score,
            'n': len(rows),
            'n_partial': len(full) if names else 0,
            'adjusted_for': ', '.join(names),
        }
        pairs = (y[rows], covariate.values[rows], None), (
            y[full], covariate.values[full], adjusting[full] if names else None,
        )  # fmt: skip
        for prefix, (a, b, others) in zip(('', 'partial_'), pairs, strict=True):
            for kind, ranks in (('pearson', False), ('spearman', True)):
                if prefix and others is None:
                    result = (np.nan,) * 4
                else:
                    result = correlation(a, b, others, ranks=ranks)
                for name, value in zip(('', '_low', '_high', '_p'), result, strict=True):
                    cells[f'{prefix}{kind}{name}'] = value
        found.append(cells)
    return found


def correlation(
    a: np.ndarray, b: np.ndarray, others: np.ndarray | None = None, *, ranks: bool = False
) -> tuple[float, float, float, float]:
    """Return a (partial) correlation with its 95 % interval and p value.

    Parameters
    ----------
    a, b : ndarray, shape (n,)
    others : ndarray, shape (n, m), optional
        What is taken out of both.
    ranks : bool
        Spearman instead of Pearson.

    Returns
    -------
    r, low, high, p : float
        NaN with fewer than ten people or without variation.
    """
    from scipy.special import stdtr
    from scipy.stats import rankdata

    n, nothing = len(a), (np.nan,) * 4
    if n < MIN_PEOPLE or np.ptp(a) <= 1e-6 * np.abs(a).max() or np.ptp(b) == 0:
        return nothing
    if ranks:
        a, b = rankdata(a), rankdata(b)
    x = np.ones((n, 1))
    if others is not None:
        others = rankdata(others, axis=0) if ranks else others
        x = np.column_stack([x, others])
    basis, singular, _ = np.linalg.svd(x / np.linalg.norm(x, axis=0), full_matrices=False)
    basis = basis[:, singular > 1e-8 * singular[0]]
    controlled = basis.shape[1] - 1
    a, b = (v - basis @ (basis.T @ v) for v in (a, b))
    size = np.sqrt((a @ a) * (b @ b))
    df = n - 2 - controlled
    if df < 2 or not size:
        return nothing
    r = float(np.clip(a @ b / size, -1, 1))
    low, high = fisher_interval(r, n, controlled=controlled, ranks=ranks)
    t = r * np.sqrt(df / max(1 - r**2, np.finfo(float).tiny))
    return r, float(low), float(high), float(2 * stdtr(df, -abs(t)))


def _adjusting(
    scans: pd.DataFrame, usable: np.ndarray, problems: list[Problem], score: str
) -> tuple[np.ndarray, list[str]]:
    """Return age and sex as columns of numbers, NaN where unknown, and which of them vary."""
    columns, names = [], []
    for name in ADJUSTED_FOR:
        try:
            one = read_covariate(scans, name)
        except GroupError as error:
            what = str(error).splitlines()[0]
            problems.append(Problem(f'{what} Partial correlations with {score} are without it.'))
            continue
        known = one.known()
        if len(np.unique(one.values[known & usable])) > 1:
            columns += _as_columns(one, known & usable)
            names.append(name)
        without = int((usable & ~known).sum())
        if without:
            problems.append(
                Problem(
                    f'{without} people without {name} are not in the partial correlations with '
                    f'{score}.',
                    severity='note',
                )
            )
    return (np.column_stack(columns) if columns else np.zeros((len(scans), 0))), names


def _as_columns(one: Covariate, rows: np.ndarray) -> list[np.ndarray]:
    if one.is_number:
        return [one.values]
    levels = np.unique(one.values[rows])[1:]
    return [np.where(one.known(), one.values == level, np.nan).astype(float) for level in levels]


def _columns() -> list[Column]:
    columns = [
        *REGION_COLUMNS,
        ('score', '', 'Column of participants.tsv'),
        ('n', '', 'People with a score and a value of the region'),
        ('n_partial', '', 'Those whose age and sex are known, too'),
        ('adjusted_for', '', 'What the partial correlations take out'),
    ]
    for kind, words in _KINDS.items():
        columns += [
            (kind, '', words),
            (f'{kind}_low', '', 'Lower end of its 95 % interval (Fisher)'),
            (f'{kind}_high', '', 'Upper end of its 95 % interval (Fisher)'),
            (f'{kind}_p', *P[1:]),
            (f'{kind}_q', '', Q[2] + ', within this score'),
        ]
    return columns
