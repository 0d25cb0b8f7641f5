"""One model in every region: coefficients, tests of terms, and adjusted means.

Each region is fitted on its own with the same design: by least squares with HC3 standard errors
when everybody has one scan (:mod:`least_squares`), with a random intercept of the person when
somebody has several (:mod:`random_intercept`). Regions that some scans lack are fitted on the
scans that have them. P values are shown as they are and, for each coefficient and each term,
corrected over the regions by the false discovery rate (Benjamini and Hochberg 1995).

Adjusted means answer what the mean of each group would be if all groups had the same ages,
sexes and so on: everybody is predicted once as a member of each group, and averaged.

References
----------
Benjamini Y, Hochberg Y. J R Stat Soc B 1995;57:289-300.
https://doi.org/10.1111/j.2517-6161.1995.tb02031.x
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qsmbids.group.errors import GroupError
from qsmbids.group.people.covariates import names
from qsmbids.group.people.design import INTERCEPT, MIN_DF, Design, build_design
from qsmbids.group.people.effects import LEVEL, hedges_g, partial_eta2
from qsmbids.group.people.formula import Formula, parse_formula
from qsmbids.group.people.least_squares import Fit, fit_least_squares
from qsmbids.group.people.linear_columns import (
    coefficient_columns,
    mean_columns,
    term_columns,
)
from qsmbids.group.people.random_intercept import fit_random_intercept
from qsmbids.group.people.results import (
    Result,
    add_q,
    enough_scans,
    measure_of,
    region_cells,
    tidy,
)
from qsmbids.group.problems import Problem

if TYPE_CHECKING:
    import pandas as pd

    from qsmbids.group.region_table import RegionTable

_NO_SPREAD = 1e-6  # of the size of the values: rounding, as of a mean that is zero by definition


@dataclass
class LinearResult:
    """What a model says.

    Parameters
    ----------
    coefficients : Result
        One row for each region and coefficient.
    terms : Result
        One row for each region and term: the joint test of its coefficients.
    means : Result
        One row for each region, column of groups and group.
    design : Design
    problems : list of Problem
    """

    coefficients: Result
    terms: Result
    means: Result
    design: Design
    problems: list[Problem]


def fit_model(scans: pd.DataFrame, table: RegionTable, model: Formula | str) -> LinearResult:
    """Fit a model in every region.

    Parameters
    ----------
    scans : DataFrame
        Of a cohort; only the first run of a session (``primary``) is used.
    table : RegionTable
        Its rows are the scans.
    model : Formula or str
        The response is a column of the table.

    Raises
    ------
    GroupError
        If the model cannot be read or fitted at all.
    """
    formula = parse_formula(model) if isinstance(model, str) else model
    values, unit = measure_of(table, formula.response)
    usable = enough_scans(scans, values)
    design = build_design(formula, scans[usable].reset_index(drop=True))
    design.rows = np.flatnonzero(usable)[design.rows]
    values = values[design.rows].astype(float)
    coefficients, terms, means, left_out, alone = [], [], [], [], []
    for regions, rows in _patterns(values, design):
        fit = _fit(design, values, regions, rows)
        if fit is None:
            left_out += [table.regions['name'].iloc[r] for r in regions]
            continue
        y = values[np.ix_(rows, regions)]
        spreadless = np.isfinite(fit.b[0]) & ~np.isfinite(fit.covariance).all(axis=(1, 2))
        alone += list(table.regions['name'].iloc[regions[spreadless]])
        about = {'n': len(rows), 'n_people': len(set(design.people[rows])), 'df': fit.df}
        cells = [region_cells(table, region) | about for region in regions]
        coefficients += _rows(cells, _coefficients(design, fit, rows, y))
        terms += _rows(cells, _terms(design, fit))
        means += _rows(cells, _means(design, fit, rows, y))
    if not coefficients:
        raise GroupError(
            f'No region has values of {formula.response} that the model "{formula.text}" can use.',
            'Every region has too few values, or the same value in everybody.',
            'Look at the merged table of regions for n/a.',
        )
    return LinearResult(
        tidy(add_q(coefficients, ['coefficient']), coefficient_columns(formula.response, unit)),
        tidy(add_q(terms, ['term']), term_columns()),
        tidy(means, mean_columns(formula.response, unit)),
        design,
        [*design.problems, *_remarks(design, left_out, alone)],
    )


def _patterns(values: np.ndarray, design: Design) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return regions that have values in the same scans, with these scans."""
    known = np.isfinite(values)
    _, first, which = np.unique(known, axis=1, return_index=True, return_inverse=True)
    which = which.reshape(-1)
    return [
        (np.flatnonzero(which == i), np.flatnonzero(known[:, column]))
        for i, column in enumerate(first)
    ]


def _fit(design: Design, values: np.ndarray, regions: np.ndarray, rows: np.ndarray) -> Fit | None:
    """Fit regions with the same scans; None if that cannot be done, NaN where no spread is."""
    x, people = design.matrix[rows], design.people[rows]
    if len(set(people)) < x.shape[1] + MIN_DF or np.linalg.matrix_rank(x) < x.shape[1]:
        return None
    y = values[np.ix_(rows, regions)]
    fit = fit_random_intercept(x, y, people) if design.repeated else fit_least_squares(x, y)
    size = np.abs(y).max(axis=0)
    same = np.ptp(y, axis=0) <= np.maximum(_NO_SPREAD * size, np.finfo(np.float32).eps)
    fit.b[:, same] = fit.covariance[same] = fit.spread[same] = np.nan
    return fit


def _rows(cells: list[dict], blocks: list[dict]) -> list[dict]:
    """Spread blocks, whose arrays run over the regions, into one row for each region."""
    return [
        cell | {k: v[i].item() if isinstance(v, np.ndarray) else v for k, v in block.items()}
        for i, cell in enumerate(cells)
        for block in blocks
    ]


def _coefficients(design: Design, fit: Fit, rows: np.ndarray, y: np.ndarray) -> list[dict]:
    from scipy.special import stdtr, stdtrit

    sd_x, sd_y = design.matrix[rows].std(axis=0, ddof=1), y.std(axis=0, ddof=1)
    quantile = stdtrit(fit.df, 0.5 + LEVEL / 2)
    found = []
    for term, span in [(INTERCEPT, slice(0, 1)), *design.terms.items()]:
        kind = '' if term == INTERCEPT else design.kind_of(term)
        for j in range(span.start, span.stop):
            b, se = fit.b[j], np.sqrt(fit.covariance[:, j, j])
            low, high = b - quantile * se, b + quantile * se
            nothing = np.full_like(b, np.nan)
            with np.errstate(divide='ignore', invalid='ignore'):
                t = b / se
                effect, effect_kind = (nothing, nothing, nothing), ''
                if kind == 'group':
                    effect, effect_kind = hedges_g(b, se, fit.spread, fit.df), "Hedges' g"
                elif kind == 'slope':
                    scale = np.where(np.isfinite(b), sd_x[j] / sd_y, np.nan)
                    effect = tuple(scale * value for value in (b, low, high))
                    effect_kind = 'standardised beta'
            found.append(
                {
                    'term': term,
                    'coefficient': design.names[j],
                    'reference_group': _references(design, term),
                    'estimate': b,
                    'low': low,
                    'high': high,
                    'se': se,
                    't': t,
                    'p': 2 * stdtr(fit.df, -np.abs(t)),
                    'effect': effect[0],
                    'effect_low': effect[1],
                    'effect_high': effect[2],
                    'effect_kind': effect_kind,
                }
            )
    return found


def _references(design: Design, term: str) -> str:
    parts = term.split(':')
    return ', '.join(f'{c} = {design.reference_of(c)}' for c in design.groups() if c in parts)


def _terms(design: Design, fit: Fit) -> list[dict]:
    from scipy.special import fdtrc

    found = []
    for term, span in design.terms.items():
        b, covariance, q = fit.b[span].T, fit.covariance[:, span, span], span.stop - span.start
        f = np.full(len(b), np.nan)
        fine = np.isfinite(covariance).all(axis=(1, 2))
        fine[fine] = np.linalg.matrix_rank(covariance[fine], hermitian=True) == q
        solved = np.linalg.solve(covariance[fine], b[fine][:, :, None])[:, :, 0]
        f[fine] = np.einsum('ij,ij->i', b[fine], solved) / q
        share, low, high = partial_eta2(f, q, fit.df)
        found.append(
            {
                'term': term,
                'f': f,
                'df_term': q,
                'p': fdtrc(q, fit.df, f),
                'partial_eta2': share,
                'partial_eta2_low': low,
                'partial_eta2_high': high,
            }
        )
    return found


def _means(design: Design, fit: Fit, rows: np.ndarray, y: np.ndarray) -> list[dict]:
    from scipy.special import stdtrit

    quantile = stdtrit(fit.df, 0.5 + LEVEL / 2)
    nothing = np.full(y.shape[1], np.nan)
    found = []
    for column in design.groups():
        one = design.covariates[column]
        for level in one.levels:
            weights = design.mean_row(column, level)
            mean = weights @ fit.b
            half = quantile * np.sqrt(np.einsum('j,rjk,k->r', weights, fit.covariance, weights))
            own = y[one.values[rows] == level]
            found.append(
                {
                    'column': column,
                    'level': level,
                    'n': len(own),
                    'adjusted_mean': mean,
                    'low': mean - half,
                    'high': mean + half,
                    'mean': own.mean(axis=0) if len(own) else nothing,
                    'sd': own.std(axis=0, ddof=1) if len(own) > 1 else nothing,
                }
            )
    return found


def _remarks(design: Design, left_out: list[str], alone: list[str]) -> list[Problem]:
    found = []
    text = design.formula.text
    if left_out:
        found.append(
            Problem(
                f'The model "{text}" could not be fitted in {len(left_out)} regions: '
                f'{names(left_out)}.',
                'Too few scans have a value there.',
                'See coverage in the merged table of regions.',
            )
        )
    if alone:
        found.append(
            Problem(
                f'The model "{text}" has no intervals in {len(alone)} regions: {names(alone)}.',
                'A single scan determines a coefficient there, so nothing is known of spread.',
                'Leave out interactions of small groups.',
            )
        )
    if design.repeated:
        extra = len(design.people) - len(set(design.people))
        found.append(
            Problem(
                f'The model "{text}" has a random intercept for each person: {extra} of '
                f'{len(design.people)} scans are further sessions.',
                'Scans of one person resemble each other and count as less than as many people.',
                severity='note',
            )
        )
    return found
