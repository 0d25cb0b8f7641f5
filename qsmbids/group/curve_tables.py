"""Age curves of all regions as tidy tables: which family fits, its quantities, its centiles."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from qsmbids.lifespan.choice import Choice
    from qsmbids.lifespan.fit import FittedCurve

Column = tuple[str, str, str]  # name, unit, description
Rows = list[dict[str, Any]]

CENTILES = (5, 25, 50, 75, 95)
_GRID = 41  # ages of the table of centiles, evenly over the ages that were sampled

_REGION: tuple[Column, ...] = (
    ('region', '', 'Region'),
    ('hemisphere', '', 'L left, R right, B both or midline'),
)
FAMILY_COLUMNS: tuple[Column, ...] = (
    *_REGION,
    ('family', '', 'Age curve'),
    ('formula', '', 'Its formula'),
    ('chosen', '', '1 for the curve that the criterion chose'),
    ('n', '', 'People'),
    ('age_min', 'year', 'Youngest of them'),
    ('age_max', 'year', 'Oldest of them'),
    ('k', '', 'Parameters, with those of the spread'),
    ('log_likelihood', '', 'Maximum of the log-likelihood'),
    ('aicc', '', 'Information criterion of Akaike, corrected for few people; lower is better'),
    ('delta_aicc', '', 'Above the lowest of the region'),
    ('weight_aicc', '', 'Share of evidence among the families compared'),
    ('bic', '', 'Bayesian information criterion'),
    ('weight_bic', '', 'Share of evidence by it'),
    ('identifiable', '', '1 if the ages of the people tell all parameters'),
    ('robust', '', '1 if outliers were given less weight; criteria are then approximate'),
    ('p_constant', '', 'Against no change with age, by the test named in test_constant'),
    ('p_constant_fdr', '', 'Corrected over regions (Benjamini and Hochberg), by family'),
    ('test_constant', '', 'LRT likelihood ratio, F; n/a where the models are not nested'),
    ('p_linear', '', 'Against a straight line'),
    ('p_linear_fdr', '', 'Corrected over regions, by family'),
    ('test_linear', '', 'As test_constant'),
)  # fmt: skip
QUANTITY_COLUMNS: tuple[Column, ...] = (
    *_REGION,
    ('family', '', 'The chosen age curve'),
    ('kind', '', 'parameter of the formula, derived from them, or spread between people'),
    ('quantity', '', 'Name'),
    ('value', '', 'Estimate, in the unit of the column unit'),
    ('low', '', 'Lower end of the 95 % interval'),
    ('high', '', 'Upper end'),
    ('unit', '', 'Unit'),
    ('description', '', 'What it is'),
    ('remark', '', 'What to know about it'),
)
CENTILE_COLUMNS: tuple[Column, ...] = (
    *_REGION,
    ('age', 'year', 'Age, within those that were sampled'),
    ('mean', 'ppm', 'Curve'),
    ('mean_low', 'ppm', 'Lower end of the 95 % confidence band of the mean'),
    ('mean_high', 'ppm', 'Upper end'),
    ('sd', 'ppm', 'Standard deviation between people of that age'),
    *((f'p{p}', 'ppm', f'Below it are {p} % of people of that age') for p in CENTILES),
)


def family_rows(choices: Mapping[tuple[str, str], Choice]) -> Rows:
    """Return one row for each region and family.

    Parameters
    ----------
    choices : mapping
        (region, hemisphere) to the choice of its curve.
    """
    from qsmbids.lifespan.choice import fdr

    rows: Rows = []
    for (region, side), choice in choices.items():
        tests = {(t['family'], t['against']): t for t in choice.tests}
        for entry in choice.table:
            fit = choice.fits[entry['family']]
            row = {'region': region, 'hemisphere': side, **entry, 'formula': fit.formula,
                   'chosen': int(entry['family'] == choice.best), 'n': fit.n,
                   'age_min': fit.age_range[0], 'age_max': fit.age_range[1],
                   'identifiable': int(entry['identifiable']),
                   'robust': int(fit.robust)}  # fmt: skip
            for null in ('constant', 'linear'):
                test = tests.get((entry['family'], null), {})
                row[f'p_{null}'] = test.get('p', math.nan)
                row[f'test_{null}'] = test.get('kind', '')
            rows.append(row)
    for null in ('constant', 'linear'):
        for family in {row['family'] for row in rows}:
            members = [row for row in rows if row['family'] == family]
            corrected = fdr(np.array([row[f'p_{null}'] for row in members]))
            for row, value in zip(members, corrected, strict=True):
                row[f'p_{null}_fdr'] = float(value)
    return rows


def quantity_rows(choices: Mapping[tuple[str, str], Choice]) -> Rows:
    """Return parameters, derived quantities and spread of the chosen curve of each region."""
    rows: Rows = []
    for (region, side), choice in choices.items():
        fit = choice.fits[choice.best]
        about = {'region': region, 'hemisphere': side, 'family': fit.family}
        remark = ' '.join(fit.remarks)
        told = _parameters(fit)
        for name, value in zip(fit.names, fit.values, strict=True):
            low, high = fit.intervals.get(name, (math.nan, math.nan))
            unit, description = told.get(name, ('', fit.formula))
            rows.append({**about, 'kind': 'parameter', 'quantity': name,
                         'value': value if fit.identifiable else math.nan,
                         'low': low, 'high': high, 'unit': unit,
                         'description': description, 'remark': remark})  # fmt: skip
        for one in fit.derived:
            rows.append({**about, 'kind': 'derived', 'quantity': one.name, 'value': one.value,
                         'low': one.low, 'high': one.high, 'unit': one.unit,
                         'description': one.description, 'remark': remark})  # fmt: skip
        for age in fit.age_range:
            rows.append({**about, 'kind': 'spread', 'quantity': f'sd_at_{age:g}_years',
                         'value': float(fit.sd(age)), 'unit': 'ppm',
                         'description': 'Standard deviation between people'})  # fmt: skip
    return rows


def centile_rows(choices: Mapping[tuple[str, str], Choice]) -> Rows:
    """Return the chosen curve of each region with band and centiles at some ages."""
    rows: Rows = []
    for (region, side), choice in choices.items():
        rows += [
            {'region': region, 'hemisphere': side, **row}
            for row in _centiles(choice.fits[choice.best])
        ]
    return rows


def _parameters(fit: FittedCurve) -> dict[str, tuple[str, str]]:
    """Return unit and description of the parameters of a curve, by name."""
    from qsmbids.lifespan.families import PARAMETRIC

    family = PARAMETRIC.get(fit.family)
    if family is None:  # a spline has no parameters with a meaning of their own
        return {}
    found = family(np.linspace(*fit.age_range, 5)).parameters
    return {one.name: (one.unit, one.description) for one in found}


def _centiles(fit: FittedCurve) -> Rows:
    ages = np.linspace(*fit.age_range, _GRID)
    low, high = fit.band(ages)
    columns = {'age': ages, 'mean': fit.predict(ages), 'mean_low': low, 'mean_high': high,
               'sd': fit.sd(ages)}  # fmt: skip
    columns |= {f'p{p}': fit.centile(ages, p) for p in CENTILES}
    return [{name: float(values[i]) for name, values in columns.items()} for i in range(ages.size)]
