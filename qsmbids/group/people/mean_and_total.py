"""Iron or atrophy: the same model for the mean, the total and the volume, side by side.

The mean susceptibility of a region is its total divided by its volume. When a nucleus shrinks
and keeps its iron, the mean rises although nothing was added; in Wilson's disease the mean of
deep grey matter differs between forms of the disease where the total does not (Jing 2022).
So one model is fitted to each of

    mean, total = mean * volume, volume_mm3, high_mean, high_volume_mm3, right_minus_left

and a sentence, ``reading``, says what the first three together mean. Its rule looks at which of
them differ (q below 0.05 over the regions) and in which direction; what does not differ
significantly is not shown to be equal, which is why the sentences say "no difference found".

The total depends on the reference: add a constant to the map and the total changes by that
constant times the volume. Away from zero it counts iron; in regions near zero it does not.

References
----------
Jing XZ, et al. Front Neurosci 2022;15:794375. https://doi.org/10.3389/fnins.2021.794375
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbids.group.errors import GroupError
from qsmbids.group.people.design import INTERCEPT
from qsmbids.group.people.formula import Formula, parse_formula
from qsmbids.group.people.linear import fit_model
from qsmbids.group.people.results import REGION_COLUMNS, Column, P, Q, Result, tidy
from qsmbids.group.problems import Problem

if TYPE_CHECKING:
    import pandas as pd

    from qsmbids.group.region_table import RegionTable

MEASURES = ('mean', 'total', 'volume_mm3', 'high_mean', 'high_volume_mm3', 'right_minus_left')
SIGNIFICANT = 0.05  # q
_CELLS = ('estimate', 'low', 'high', 'p', 'q', 'effect', 'effect_low', 'effect_high')


def mean_and_total(
    scans: pd.DataFrame, table: RegionTable, model: Formula | str
) -> tuple[Result, list[Problem]]:
    """Fit one model to mean, total, volume, high-iron subregion and side difference.

    Parameters
    ----------
    scans : DataFrame
    table : RegionTable
    model : Formula or str
        What stands left of ``~`` is not used.

    Returns
    -------
    result : Result
        One row for each region and coefficient (without the constant), the measures side by
        side, and ``reading``.
    problems : list of Problem
        Of measures that could not be modelled; those of the model of the mean are those of
        :func:`fit_model`.

    Raises
    ------
    GroupError
        If the model of the mean cannot be fitted.
    """
    formula = parse_formula(model) if isinstance(model, str) else model
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    measures, problems = [], []
    for measure in MEASURES:
        if measure not in table.values and measure != 'mean':
            continue
        try:
            fitted = fit_model(scans, table, replace(formula, response=measure))
        except GroupError as error:
            if measure == 'mean':
                raise
            what, why, do = str(error).splitlines()
            problems.append(Problem(f'{measure}: {what}', why, do))
            continue
        measures.append(measure)
        for row in fitted.coefficients.frame.to_dict('records'):
            if row['coefficient'] == INTERCEPT:
                continue
            key = (row['region'], row['hemisphere'], row['coefficient'])
            about = {name: row[name] for name, _, _ in (*REGION_COLUMNS, *_ABOUT)}
            cells = found.setdefault(key, about)
            cells |= {f'{measure}_{name}': row[name] for name in (*_CELLS, 'n')}
    levels = _typical(table)
    rows = []
    columns = _columns(table, measures)
    order = {
        (r['name'], r['hemisphere']): i for i, r in enumerate(table.regions.to_dict('records'))
    }
    for (region, hemisphere, _), cells in found.items():
        place = order[region, hemisphere]
        rows.append(
            {name: np.nan for name, _, _ in columns}
            | cells
            | {'_order': place, 'reading': reading(cells, levels[place])}
        )
    return tidy(rows, columns), problems


def reading(cells: dict[str, Any], typical_mean: float) -> str:
    """Say in words what mean, total and volume together mean.

    Parameters
    ----------
    cells : dict
        ``<measure>_estimate`` and ``<measure>_q`` of mean, total and volume_mm3.
    typical_mean : float
        Median of the mean of the region over all scans, ppm: tells which direction is away
        from zero.

    Examples
    --------
    >>> cells = {'mean_estimate': 0.01, 'mean_q': 0.001, 'total_estimate': 0.1, 'total_q': 0.7,
    ...          'volume_mm3_estimate': -90.0, 'volume_mm3_q': 0.002}
    >>> reading(cells, 0.08)
    'mean higher, volume smaller, no difference of the total found: shrinkage may explain it'
    """
    mean, total, volume = (_direction(cells, m) for m in ('mean', 'total', 'volume_mm3'))
    if mean is None:
        return 'mean not tested'
    if total is None or volume is None:
        return f'{_WORDS[mean]}; total or volume not tested' if mean else _WORDS[0]
    if not (mean or total or volume):
        return 'no difference found'
    parts = [f'mean {_MORE[mean]}'] if mean else []
    parts += [f'volume {_SIZE[volume]}'] if volume else []
    parts += [f'total {_MORE[total]}'] if total else []
    equal = [
        name for name, way in (('mean', mean), ('volume', volume), ('total', total)) if not way
    ]
    if equal:
        parts.append(f'no difference of the {" and the ".join(equal)} found')
    return ', '.join(parts) + ': ' + _meaning(mean, total, volume, np.sign(typical_mean))


_MORE = {1: 'higher', -1: 'lower'}
_SIZE = {1: 'larger', -1: 'smaller'}
_WORDS = {1: 'mean higher', -1: 'mean lower', 0: 'no difference of the mean found'}
_ABOUT: tuple[Column, ...] = (
    ('term', '', 'Part of the model'),
    ('coefficient', '', 'As in the table of the model'),
    ('reference_group', '', 'Group that is compared with'),
)


def _meaning(mean: int, total: int, volume: int, sign: float) -> str:
    """Return the conclusion; ``sign`` is that of the mean of the region."""
    concentrated = mean * sign > 0  # away from zero
    if mean and volume and not total:
        fits = (volume < 0) == concentrated
        return (
            f'{"shrinkage" if volume < 0 else "a larger volume"} may explain it'
            if fits
            else 'mean and volume change together'
        )
    if mean and total:
        if mean != total:
            return 'volume outweighs the mean in the total'
        return 'more than volume explains' if volume else 'volume does not explain it'
    if mean:
        return 'the mean alone; the total, less precise, neither confirms nor denies it'
    if volume:
        return 'volume without a change of the mean'
    return 'the total alone; neither mean nor volume is clear'


def _direction(cells: dict[str, Any], measure: str) -> int | None:
    q = cells.get(f'{measure}_q', np.nan)
    if not np.isfinite(q):
        return None
    return int(np.sign(cells[f'{measure}_estimate'])) if q < SIGNIFICANT else 0


def _typical(table: RegionTable) -> np.ndarray:
    means = table.values['mean']
    known = np.isfinite(means).any(axis=0)
    found = np.zeros(means.shape[1])
    found[known] = np.nanmedian(means[:, known], axis=0)
    return found


def _columns(table: RegionTable, measures: list[str]) -> list[Column]:
    columns = [*REGION_COLUMNS, *_ABOUT, ('reading', '', _READING)]
    for measure in measures:
        unit = str(table.dictionary.get(measure, {}).get('Units', ''))
        columns += [
            (f'{measure}_estimate', unit, f'Coefficient in the model of {measure}'),
            (f'{measure}_low', unit, 'Lower end of its 95 % interval'),
            (f'{measure}_high', unit, 'Upper end of its 95 % interval'),
            (f'{measure}_p', *P[1:]),
            (f'{measure}_q', *Q[1:]),
            (f'{measure}_effect', '', "Effect size: Hedges' g or standardised beta"),
            (f'{measure}_effect_low', '', 'Lower end of its 95 % interval'),
            (f'{measure}_effect_high', '', 'Upper end of its 95 % interval'),
            (f'{measure}_n', '', f'Scans with a value of {measure}'),
        ]
    return columns


_READING = (
    'What mean, total and volume together mean, from which of them differ (q below '
    f'{SIGNIFICANT:g}) and in which direction; no difference found is not the same as equal'
)
