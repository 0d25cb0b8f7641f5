"""Telling two groups apart by the value of a region.

For every region: how well its value separates cases from controls (:mod:`auc`), and the same
with age taken out. For that a straight line of age is fitted to the controls alone, and
everybody's distance from it takes the place of the value: patients who are merely older are no
longer found, and the disease cannot bend the line. The interval takes the line as known.

A separation found here holds for these people, this scanner and this reference region. It is
not a diagnostic test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbids.group.errors import GroupError
from qsmbids.group.people.auc import area, cross_validated, performance, youden
from qsmbids.group.people.covariates import read_covariate
from qsmbids.group.people.effects import wilson_interval
from qsmbids.group.people.formula import Factor
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

MIN_EACH = 5
MIN_FOR_LINE = 10  # controls
FEW = 100  # in the smaller group: below it the people are dealt ten times, above once


def roc(
    scans: pd.DataFrame, table: RegionTable, contrast: str, measure: str = 'mean'
) -> tuple[Result, list[Problem]]:
    """Make the table of areas and cut-offs.

    Parameters
    ----------
    scans : DataFrame
        One scan of each person is used.
    table : RegionTable
    contrast : str
        ``diagnosis=PD/control``: column, cases, controls.
    measure : str
        Column of the region tables.

    Raises
    ------
    GroupError
        If the contrast cannot be read or a group has fewer than five people.
    """
    column, case, control = read_contrast(contrast)
    values, unit = measure_of(table, measure)
    groups = read_covariate(scans, Factor(column, 'category')).values
    usable = one_each(scans, np.where((groups != '')[:, None], values, np.nan))
    is_case, is_control = usable & (groups == case), usable & (groups == control)
    for level, members in ((case, is_case), (control, is_control)):
        if members.sum() < MIN_EACH:
            there = ', '.join(np.unique(groups[groups != '']))
            raise GroupError(
                f'{members.sum()} people with regional values have {column} = {level}.',
                f'Fewer than {MIN_EACH} people do not show how a group spreads.',
                f'Groups of {column} that there are: {there}.',
            )
    ages = scans['age'].to_numpy(float) if 'age' in scans else np.full(len(scans), np.nan)
    problems = _age_problems(ages, is_case, is_control, contrast)
    adjusted = not any(p.severity == 'error' for p in problems)
    found = []
    for region in range(values.shape[1]):
        y = values[:, region].astype(float)
        known = np.isfinite(y)
        a, b = y[is_case & known], y[is_control & known]
        if min(len(a), len(b)) < MIN_EACH or np.ptp(np.r_[a, b]) <= 1e-6 * np.abs(y[known]).max():
            continue
        cells = region_cells(table, region)
        cells |= {'column': column, 'case': case, 'control': control}
        cells |= _unadjusted(a, b)
        cells |= _adjusted(y, ages, is_case & known, is_control & known, adjusted)
        found.append(cells)
    if not found:
        raise GroupError(
            f'No region has values of {MIN_EACH} people with {column} = {case} and of as many '
            f'with {control}.',
            'There is nothing to compare.',
            'Look at the merged table of regions for n/a.',
        )
    add_q(found, ['column'])
    add_q(found, ['column'], 'adjusted_p', 'adjusted_q')
    return tidy(found, _columns(unit)), problems


def read_contrast(text: str) -> tuple[str, str, str]:
    """Return column, cases and controls of ``diagnosis=PD/control``.

    Examples
    --------
    >>> read_contrast('diagnosis=PD/control')
    ('diagnosis', 'PD', 'control')
    """
    column, _, groups = text.partition('=')
    case, _, control = groups.partition('/')
    parts = column.strip(), case.strip(), control.strip()
    if not all(parts) or parts[1] == parts[2]:
        raise GroupError(
            f'--roc "{text}" does not name a column and two groups.',
            'The first group are the cases, the second those they are told apart from.',
            'Write --roc COLUMN=CASE/CONTROL, for example --roc diagnosis=PD/control',
        )
    return parts


def _unadjusted(cases: np.ndarray, controls: np.ndarray) -> dict[str, Any]:
    auc, low, high, p = area(cases, controls)
    higher = auc >= 0.5
    cut = youden(cases, controls, higher=higher)
    hits, passes = performance(cases, controls, cut, higher=higher)
    sensitivity, specificity = hits / len(cases), passes / len(controls)
    repeats = 10 if min(len(cases), len(controls)) < FEW else 1
    judged = cross_validated(cases, controls, repeats=repeats)
    hit_range, pass_range = (
        wilson_interval(hits, len(cases)),
        wilson_interval(passes, len(controls)),
    )
    return {
        'n_case': len(cases),
        'n_control': len(controls),
        'auc': auc,
        'auc_low': low,
        'auc_high': high,
        'p': p,
        'direction': 'higher in cases' if higher else 'lower in cases',
        'cutoff': cut,
        'youden': sensitivity + specificity - 1,
        'sensitivity': sensitivity,
        'sensitivity_low': hit_range[0],
        'sensitivity_high': hit_range[1],
        'specificity': specificity,
        'specificity_low': pass_range[0],
        'specificity_high': pass_range[1],
        'sensitivity_cv': judged[0],
        'specificity_cv': judged[1],
        'youden_cv': judged[0] + judged[1] - 1,
    }


def _adjusted(
    y: np.ndarray, ages: np.ndarray, is_case: np.ndarray, is_control: np.ndarray, wanted: bool
) -> dict[str, Any]:
    cases, controls = (np.flatnonzero(m & np.isfinite(ages)) for m in (is_case, is_control))
    auc, low, high, p = (np.nan,) * 4
    if wanted and len(controls) >= MIN_FOR_LINE and len(cases) >= MIN_EACH:
        slope, start = np.polyfit(ages[controls], y[controls], 1)
        rest = y - start - slope * ages
        auc, low, high, p = area(rest[cases], rest[controls])
    return {'adjusted_auc': auc, 'adjusted_low': low, 'adjusted_high': high, 'adjusted_p': p}


def _age_problems(
    ages: np.ndarray, is_case: np.ndarray, is_control: np.ndarray, contrast: str
) -> list[Problem]:
    cases, controls = (ages[m & np.isfinite(ages)] for m in (is_case, is_control))
    if len(controls) < MIN_FOR_LINE or len(cases) < MIN_EACH or np.ptp(controls) == 0:
        return [
            Problem(
                f'No age-adjusted areas of {contrast}: the ages of {len(controls)} controls and '
                f'{len(cases)} cases are known.',
                f'The line of age needs {MIN_FOR_LINE} controls of different ages.',
                'Fill in age in participants.tsv.',
                severity='error',
            )
        ]
    outside = np.mean((cases < controls.min()) | (cases > controls.max()))
    if outside <= 0.1:
        return []
    return [
        Problem(
            f'{100 * outside:.0f} % of the cases of {contrast} are younger or older than every '
            'control.',
            'The line of age is extended to ages at which no control was seen.',
            'Add controls of these ages, or do not use the age-adjusted areas.',
        )
    ]


def _columns(unit: str) -> list[Column]:
    judged = 'in people whom the cut-off was not chosen on (ten parts in turn)'
    line = 'with the distance from the straight line of age in the controls'
    return [
        *REGION_COLUMNS,
        ('column', '', 'Column that names the groups'),
        ('case', '', 'Group to be found'),
        ('control', '', 'Group it is told apart from'),
        ('n_case', '', 'People'),
        ('n_control', '', 'People'),
        ('auc', '', 'Probability that a case has a higher value than a control'),
        ('auc_low', '', 'Lower end of the 95 % interval (DeLong, logit)'),
        ('auc_high', '', 'Upper end of the 95 % interval (DeLong, logit)'),
        ('p', '', 'Mann-Whitney test, two-sided, uncorrected'),
        Q,
        ('direction', '', 'Which values speak for a case'),
        ('cutoff', unit, 'Largest sensitivity + specificity (Youden)'),
        ('youden', '', 'Sensitivity + specificity - 1 at the cut-off, in the same people'),
        ('sensitivity', '', 'Fraction of the cases beyond the cut-off'),
        ('sensitivity_low', '', 'Lower end of the 95 % interval (Wilson)'),
        ('sensitivity_high', '', 'Upper end of the 95 % interval (Wilson)'),
        ('specificity', '', 'Fraction of the controls on their side of the cut-off'),
        ('specificity_low', '', 'Lower end of the 95 % interval (Wilson)'),
        ('specificity_high', '', 'Upper end of the 95 % interval (Wilson)'),
        ('sensitivity_cv', '', f'Sensitivity {judged}'),
        ('specificity_cv', '', f'Specificity {judged}'),
        ('youden_cv', '', 'Their sum - 1: what is left of youden in others'),
        ('adjusted_auc', '', f'Area {line}'),
        ('adjusted_low', '', 'Lower end of its 95 % interval; the line counts as known'),
        ('adjusted_high', '', 'Upper end of its 95 % interval'),
        ('adjusted_p', *P[1:]),
        ('adjusted_q', *Q[1:]),
    ]
