"""The group page: the cohort, who is missing, and susceptibility against age by region."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

import numpy as np

from qsmbids.bids.write import write_text
from qsmbids.group.collect import Scan
from qsmbids.group.missing import Missing
from qsmbids.group.tables import merge
from qsmbids.report.agecurves import (
    NOTICE,
    RegionValues,
    curve_points,
    pair_sides,
    split_name,
)
from qsmbids.report.chart import Chart, Mark, chart_svg, padded_range
from qsmbids.report.page import render
from qsmbids.report.values import column_words, fixed, number, significant

_NOT_MOVED = 'engineering prior, not norms; not re-referenced'


def write_group_page(
    path: Path,
    scans: Sequence[Scan],
    missing: Sequence[Missing],
    tables: Sequence[Path],
    *,
    unreadable: Sequence[str] = (),
    version: str,
) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
        ``group.html`` in the output folder.
    scans : sequence of Scan
    missing : sequence of Missing
    tables : sequence of Path
        Files to link to.
    unreadable : sequence of str
        Tables that could not be read.
    version : str
    """
    atlases = sorted({a for scan in scans for a, suffix in scan.regions if suffix == 'Chimap'})
    html = render(
        'group.html.j2',
        overview=overview(scans, missing),
        remarks=remarks(scans),
        atlases=[_atlas_view(scans, atlas) for atlas in atlases],
        missing=missing,
        unreadable=unreadable,
        qc=_qc_view(scans),
        tables=[
            {'name': t.name, 'href': quote(t.name)} for t in tables if t.suffix == '.tsv'
        ],
        curve_notice=NOTICE,
        version=version,
    )  # fmt: skip
    write_text(path, html)


def overview(scans: Sequence[Scan], missing: Sequence[Missing]) -> list[tuple[str, str]]:
    """Return value and label of each headline number."""
    ages = [scan.age for scan in scans if math.isfinite(scan.age)]
    tiles = [
        (str(len({scan.participant for scan in scans})), 'participants'),
        (str(len(scans)), 'acquisitions'),
    ]
    if ages:
        tiles.append((f'{min(ages):.3g} – {max(ages):.3g}', 'age range, years'))
        tiles.append((f'{median(ages):.3g}', 'median age, years'))
    return [*tiles, (str(len(missing)), 'missing')]


def remarks(scans: Sequence[Scan]) -> list[str]:
    """Return what stands in the way of comparing the scans with one another."""
    found = []
    for name, values in (
        ('references', {scan.reference or 'not stated' for scan in scans if scan.has_chi}),
        ('versions of qsmbids', {scan.version or 'not stated' for scan in scans}),
    ):
        if len(values) > 1:
            found.append(f'The maps have different {name}: {", ".join(sorted(values))}.')
    without = [scan.key for scan in scans if not math.isfinite(scan.age)]
    if without:
        found.append(
            f'No age is known for {", ".join(without)}; not in the plots, but in the tables.'
        )
    return found


def offset_of_age(scans: Sequence[Scan]) -> Callable[[float], float] | None:
    """Return how far the age curves are moved, by age: between scans by interpolation.

    The template's mean over the reference region changes with age, and each scan recorded it
    for its own. None when no scan recorded it.
    """
    known: dict[float, list[float]] = {}
    for scan in scans:
        if math.isfinite(scan.age) and math.isfinite(scan.curve_offset):
            known.setdefault(scan.age, []).append(scan.curve_offset)
    if not known:
        return None
    ages = sorted(known)
    offsets = [sum(known[age]) / len(known[age]) for age in ages]
    return lambda age: float(np.interp(age, ages, offsets))


def age_range(scans: Sequence[Scan]) -> tuple[float, float]:
    """Return the range of the age axis, in full decades."""
    ages = [scan.age for scan in scans if math.isfinite(scan.age)]
    if not ages:
        return (0.0, 90.0)
    low, high = 10 * math.floor((min(ages) - 3) / 10), 10 * math.ceil((max(ages) + 3) / 10)
    return (float(max(low, 0)), float(high))


def region_charts(scans: Sequence[Scan], atlas: str) -> dict[str, list[Chart]]:
    """Make one panel for each region, by group; panels of a group share their axes."""
    offset = offset_of_age(scans)
    x_range = age_range(scans)
    found: dict[str, list[tuple[Scan, RegionValues]]] = {}
    for scan in scans:
        if math.isfinite(scan.age):
            for values in pair_sides(scan.regions.get((atlas, 'Chimap'), ())):
                if math.isfinite(values.mean):
                    found.setdefault(values.region, []).append((scan, values))
    references = {scan.reference for scan in scans if scan.has_chi}
    reference = references.pop() if len(references) == 1 else 'different references'
    groups: dict[str, list[tuple[str, list, list]]] = {}
    for region, members in found.items():
        curve = [
            p for p in curve_points(region, offset or 0.0) if x_range[0] <= p[0] <= x_range[1]
        ]
        groups.setdefault(members[0][1].group, []).append((region, members, curve))
    # regions with an age curve first: the mean of the whole brain, say, has none
    ordered = sorted(groups.items(), key=lambda item: not any(c for _, _, c in item[1]))
    note = NOTICE if offset else _NOT_MOVED
    return {group: _charts_of_group(panels, x_range, reference, note) for group, panels in ordered}


def _charts_of_group(
    panels: Sequence[tuple], x_range: tuple[float, float], reference: str, note: str
) -> list[Chart]:
    heights = [y for _, _, curve in panels for _, y in curve]
    for _, members, _ in panels:
        heights += [v for _, r in members for v in (r.left, r.right, r.midline)]
    y_range = padded_range(heights)
    of_what = f'relative to {reference}' if reference else 'reference not stated'
    return [
        Chart(
            name=split_name(region),
            subtitle=f'χ (ppm) {of_what} · n = {len(members)}',
            footnote=note if curve else '',
            x_range=x_range,
            y_range=y_range,
            marks=tuple(mark for scan, values in members for mark in _marks(scan, values)),
            curve=tuple(curve),
        )
        for region, members, curve in panels
    ]


def _marks(scan: Scan, values: RegionValues) -> list[Mark]:
    marks = []
    for side in ('left', 'right', 'midline'):
        value = getattr(values, side)
        if math.isfinite(value):
            title = f'{scan.key}, {side}: {fixed(value)} ppm at {scan.age:.3g} y'
            shape = 'both' if side == 'midline' else side
            marks.append(Mark(scan.age, value, shape, title, _page_of(scan)))
    return marks


def _atlas_view(scans: Sequence[Scan], atlas: str) -> dict[str, Any]:
    charts = region_charts(scans, atlas)
    regions: dict[str, None] = {}
    rows = []
    for scan in scans:
        means = {v.region: v.mean for v in pair_sides(scan.regions.get((atlas, 'Chimap'), ()))}
        if means:
            regions |= dict.fromkeys(means)
            rows.append((scan, means))
    return {
        'name': atlas,
        'charts': [(group, [chart_svg(c) for c in panels]) for group, panels in charts.items()],
        'regions': [split_name(region) for region in regions],
        'rows': [
            {
                'key': scan.key,
                'href': _page_of(scan),
                'age': _cell(scan.age, 1),
                'cells': [_cell(means.get(region)) for region in regions],
            }
            for scan, means in rows
        ],
    }


def _qc_view(scans: Sequence[Scan]) -> dict[str, Any]:
    rows, columns = merge([scan for scan in scans if scan.qc], 'qc')
    by_key = {scan.key: scan for scan in scans}
    names = list(dict.fromkeys(name for scan in scans for row in scan.qc for name in row))
    units = {name: unit for name, unit, _ in columns}
    return {
        'columns': [
            (column_words(name, units.get(name, '')), units.get(name, '')) for name in names
        ],
        'rows': [
            {
                'key': row['acquisition'],
                'href': _page_of(by_key[row['acquisition']]),
                'cells': [_significant(row.get(name)) for name in names],
            }
            for row in rows
        ],
    }


def _page_of(scan: Scan) -> str:
    return quote(f'sub-{scan.participant}.html')


def _cell(value: Any, digits: int = 3) -> dict[str, str]:
    found = number(value)
    return {'sort': '' if math.isnan(found) else f'{found:.9g}', 'text': fixed(value, digits)}


def _significant(value: Any) -> dict[str, str]:
    found = number(value)
    return {'sort': '' if math.isnan(found) else f'{found:.9g}', 'text': significant(value)}
