"""The region table as the page shows it: the columns that matter most, long tables folded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from qsmbids.report import agecurves
from qsmbids.report.models import AcquisitionResult
from qsmbids.report.values import fixed, number, significant

FOLD_FROM = 60  # rows; fewer are one table that can be sorted as a whole
FIRST_GROUP = 'deep grey'


def regions_view(result: AcquisitionResult, age: float | None) -> list[dict[str, Any]]:
    """Return the region table with the value of the age curve beside each mean.

    Parameters
    ----------
    result : AcquisitionResult
    age : float or None, years

    Returns
    -------
    list of dict
        One entry for each row: name, side, group, cells and whether coverage is low.
    """
    relaxation = {str(r.get('index')): r for r in result.regions_r2star}
    rows = []
    for row in result.regions:
        mean, expected = number(row.get('mean')), math.nan
        if age is not None:
            region = agecurves.region_name(row)
            expected = agecurves.expected_chi(region, age, result.curve_offset_ppm)
        r2star = relaxation.get(str(row.get('index')), {})
        coverage = number(row.get('coverage'))
        cells = [
            _cell(mean, fixed(mean)),
            _cell(row.get('sd'), fixed(row.get('sd'))),
            _cell(row.get('median'), fixed(row.get('median'))),
            _cell(expected, fixed(expected)),
            _cell(mean - expected, fixed(mean - expected, sign=True)),
            _cell(row.get('n_voxels'), significant(row.get('n_voxels'))),
            _cell(coverage, '–' if math.isnan(coverage) else f'{100 * coverage:.0f} %'),
        ]
        if result.regions_r2star:
            cells.append(_cell(r2star.get('mean'), fixed(r2star.get('mean'), 1)))
        rows.append({
            'name': agecurves.split_name(agecurves.region_name(row)),
            'side': {'L': 'left', 'R': 'right'}.get(str(row.get('hemisphere')), ''),
            'group': str(row.get('group') or ''),
            'cells': cells,
            'low_coverage': coverage < 0.5,
        })  # fmt: skip
    return rows


def fold_regions(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows in parts that the page can fold: one part, or one for each group.

    Parameters
    ----------
    rows : sequence of dict
        From :func:`regions_view`.

    Returns
    -------
    list of dict
        ``title`` ('' for a table in one part), ``open`` and ``rows``. Deep grey matter comes
        first and is open; groups of one row, as the whole brain, stand above it.

    Examples
    --------
    >>> fold_regions([{'group': 'cortex'}])
    [{'title': '', 'open': True, 'rows': [{'group': 'cortex'}]}]
    """
    if len(rows) < FOLD_FROM:
        return [{'title': '', 'open': True, 'rows': list(rows)}] if rows else []
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row['group'].strip(), []).append(row)
    alone = [members[0] for members in groups.values() if len(members) == 1]
    several = [(name, members) for name, members in groups.items() if len(members) > 1]
    several.sort(key=lambda item: item[0].lower() != FIRST_GROUP)  # the rest keep their order
    parts = [{'title': '', 'open': True, 'rows': alone}] if alone else []
    return parts + [
        {
            'title': f'{name[:1].upper()}{name[1:]}' if name else 'Without a group',
            'open': position == 0,
            'rows': members,
        }
        for position, (name, members) in enumerate(several)
    ]


def _cell(value: Any, text: str) -> dict[str, Any]:
    found = number(value)
    return {'sort': '' if math.isnan(found) else f'{found:.9g}', 'text': text}
