"""The age curve behind each regional value.

The curves are the engineering prior of :mod:`qsmbids.lifespan.prior`: choices of this
project that give the built-in atlas its contrast, not published norms. Their zero is
cerebrospinal fluid, the map's zero is its reference region, hence ``offset_ppm``, which is
added to every curve.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qsmbids.bids.write import write_text
from qsmbids.lifespan.prior import prior_curve
from qsmbids.report.chart import Chart, Mark, compose, padded_range
from qsmbids.report.models import Figure
from qsmbids.report.values import fixed, number

NOTICE = 'engineering prior, not published norms'
AGES = (0.0, 90.0)

Offset = float | Callable[[float], float]
_SIDES = {'L': ('Left', 'left'), 'R': ('Right', 'right')}
_CURVE_AGES = np.linspace(*AGES, 61)


@dataclass(frozen=True)
class RegionValues:
    """Mean susceptibility of one region on both sides, NaN where there is none."""

    region: str  # without hemisphere
    group: str
    left: float = math.nan
    right: float = math.nan
    midline: float = math.nan

    @property
    def mean(self) -> float:
        """Mean of the sides that have a value."""
        found = [v for v in (self.left, self.right, self.midline) if math.isfinite(v)]
        return sum(found) / len(found) if found else math.nan


def region_name(row: Mapping[str, Any]) -> str:
    """Return the name of a row's region without its hemisphere.

    Examples
    --------
    >>> region_name({'name': 'CaudateLeft', 'hemisphere': 'L'})
    'Caudate'
    """
    name = str(row.get('name', ''))
    side = _SIDES.get(str(row.get('hemisphere', '')))
    return name.removesuffix(side[0]) if side else name


def expected_chi(region: str, age: float, offset: Offset = 0.0) -> float:
    """Return what the age curve gives, in the reference of the map; NaN without a curve."""
    try:
        value = prior_curve(region)(age)
    except ValueError:  # no curve for this region, or no valid age
        return math.nan
    return float(value) + _offset_at(offset, age)


def curve_points(region: str, offset: Offset = 0.0) -> list[tuple[float, float]]:
    """Return the age curve as (age, ppm) points; empty without a curve."""
    points = [(float(age), expected_chi(region, age, offset)) for age in _CURVE_AGES]
    return points if all(math.isfinite(value) for _, value in points) else []


def pair_sides(rows: Sequence[Mapping[str, Any]]) -> list[RegionValues]:
    """Bring the rows of a region table together by region, in the order of the table."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        entry = found.setdefault(region_name(row), {'group': str(row.get('group', ''))})
        side = _SIDES.get(str(row.get('hemisphere', '')))
        entry[side[1] if side else 'midline'] = number(row.get('mean'))
    return [RegionValues(region, **entry) for region, entry in found.items()]


def age_charts(
    rows: Sequence[Mapping[str, Any]],
    age: float | None,
    *,
    offset_ppm: Offset = 0.0,
    reference: str = '',
) -> dict[str, list[Chart]]:
    """Make one panel for each region that has an age curve.

    Parameters
    ----------
    rows : sequence of mapping
        Region table of susceptibility: name, hemisphere, group, mean (ppm).
    age : float or None, years
        Without an age the value is a horizontal line.
    offset_ppm : float or function of age
        Added to the curves, so that they have the reference of the map.
    reference : str
        Name of that reference, written on every panel.

    Returns
    -------
    dict of str to list of Chart
        By group of regions (deep grey, thalamus ...); panels of a group share their axes.
    """
    groups: dict[str, list[tuple[RegionValues, list]]] = {}
    for values in pair_sides(rows):
        curve = curve_points(values.region, offset_ppm)
        if curve and math.isfinite(values.mean):
            groups.setdefault(values.group, []).append((values, curve))
    charts = {}
    for group, members in groups.items():
        heights = [
            height
            for values, curve in members
            for height in (values.left, values.right, values.midline, *(y for _, y in curve))
        ]
        y_range = padded_range(heights)
        charts[group] = [
            _chart(values, curve, age, y_range, reference) for values, curve in members
        ]
    return charts


def draw_age_curves(
    rows: Sequence[Mapping[str, Any]],
    age: float | None,
    path: Path,
    *,
    offset_ppm: Offset = 0.0,
    reference: str = '',
) -> Figure | None:
    """Write all panels of :func:`age_charts` as one SVG file; None if there is none."""
    charts = age_charts(rows, age, offset_ppm=offset_ppm, reference=reference)
    flat = [chart for group in charts.values() for chart in group]
    if not flat:
        return None
    note = f'Dashed: {NOTICE}. Susceptibility relative to {reference or "no stated reference"}.'
    write_text(path, compose(flat, title='Susceptibility and the age curve', note=note))
    return Figure(
        path,
        'agecurves',
        'Susceptibility and the age curve',
        f'Value of each region (triangles: left and right, dot: their mean) on the age curve. '
        f'{note}',
    )


def _chart(
    values: RegionValues,
    curve: list[tuple[float, float]],
    age: float | None,
    y_range: tuple[float, float],
    reference: str,
) -> Chart:
    known = f'age {age:g}' if age is not None else 'age not known'
    subtitle = f'χ (ppm) relative to {reference}' if reference else 'χ (ppm)'
    marks, spans = [], []
    if age is not None:
        sides = [s for s in ('left', 'right') if math.isfinite(getattr(values, s))]
        for side in sides:
            value = getattr(values, side)
            marks.append(Mark(age, value, side, f'{side} {fixed(value)} ppm, {known}'))
        if len(sides) == 2:
            spans.append((age, values.left, values.right))
        marks.append(Mark(age, values.mean, 'both', f'mean {fixed(values.mean)} ppm, {known}'))
    return Chart(
        name=split_name(values.region),
        subtitle=subtitle,
        footnote=NOTICE,
        x_range=AGES,
        y_range=y_range,
        marks=tuple(marks),
        spans=tuple(spans),
        curve=tuple(curve),
        level=None if age is not None else values.mean,
    )


def split_name(name: str) -> str:
    """Return a CamelCase name as words.

    Examples
    --------
    >>> split_name('GlobusPallidusExternal'), split_name('PU')
    ('Globus pallidus external', 'PU')
    """
    words: list[str] = []
    for letter in name:
        if letter.isupper() and words and words[-1][-1:].islower():
            words.append(letter.lower())
        elif words:
            words[-1] += letter
        else:
            words.append(letter)
    return ' '.join(words)


def _offset_at(offset: Offset, age: float) -> float:
    return float(offset(age)) if callable(offset) else float(offset)
