"""The cohort on the group page: numbers, ages as a histogram, kinds of people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbids.group.page_data import groupings
from qsmbids.group.panels import age_axis
from qsmbids.report.chart import X_LABEL, ticks
from qsmbids.report.values import column_words

if TYPE_CHECKING:
    import pandas as pd

    from qsmbids.group.cohort import Cohort

SEXES = {'F': 'female', 'M': 'male', 'O': 'other', '': 'sex not known'}
_WIDTH, _HEIGHT = 290, 180
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 284, 34, 144
_BIN_YEARS = (1, 2, 5, 10)
_MOST_BINS = 20
_MOST_NAMED = 12  # acquisitions that a sentence names


def tiles(cohort: Cohort) -> list[tuple[str, str]]:
    """Return value and label of each headline number."""
    scans = cohort.scans
    ages = scans['age'].to_numpy(float)
    known = ages[np.isfinite(ages)].tolist()
    people = scans.drop_duplicates('participant_id')
    found = [
        (str(len(people)), f'participant{"s" * (len(people) != 1)}'),
        (str(len(scans)), f'acquisition{"s" * (len(scans) != 1)}'),
    ]
    if known:
        found.append((f'{min(known):.3g} – {max(known):.3g}', 'age range, years'))
        found.append((f'{median(known):.3g}', 'median age, years'))
    counts = people['sex'].value_counts()
    sexes = [(str(counts[sex]), word) for sex, word in SEXES.items() if counts.get(sex, 0)]
    if sexes and [label for _, label in sexes] != [SEXES['']]:
        found += sexes
    sites = {str(site) for site in scans['site'] if site}
    if sites:
        found.append((str(len(sites)), 'sites' if len(sites) > 1 else 'site'))
    return [*found, (str(len({one.participant_id for one in cohort.missing})), 'missing')]


def make_up(scans: pd.DataFrame) -> list[tuple[str, list[tuple[str, int]]]]:
    """Return how many participants are of each kind, by column: sex, site, diagnosis."""
    people = scans.drop_duplicates('participant_id')
    found = []
    for name, levels, codes in groupings(people):
        counts = [(level, codes.count(i)) for i, level in enumerate(levels)]
        unknown = codes.count(-1)
        found.append((column_words(name), counts + ([('not known', unknown)] if unknown else [])))
    return found


def histograms(scans: pd.DataFrame) -> list[str]:
    """Return ages of participants by sex as SVG: one picture, and one per site if few."""
    people = scans.drop_duplicates('participant_id')
    people = people[np.isfinite(people['age'].to_numpy(float))]
    if not len(people):
        return []
    edges = _edges(scans['age'].to_numpy(float))
    found = [_histogram('All participants', people, edges, 'at the first acquisition')]
    sites = sorted({str(site) for site in people['site'] if site})
    if 2 <= len(sites) <= 6:
        tallest = max(_counts(people, edges).sum(axis=0).max(), 1)
        for site in sites:
            members = people[people['site'] == site]
            found.append(_histogram(f'Site {site}', members, edges, '', tallest))
    return found


def _edges(ages: np.ndarray) -> np.ndarray:
    low, high = age_axis(ages)
    width = next((w for w in _BIN_YEARS if (high - low) / w <= _MOST_BINS), _BIN_YEARS[-1])
    return np.arange(low, high + width / 2, width)


def _counts(people: pd.DataFrame, edges: np.ndarray) -> np.ndarray:
    ages, sex = people['age'].to_numpy(float), people['sex'].to_numpy(str)
    return np.array([np.histogram(ages[sex == code], edges)[0] for code in SEXES])


def _histogram(
    title: str, people: pd.DataFrame, edges: np.ndarray, more: str, tallest: float = 0
) -> str:
    counts = _counts(people, edges)
    top = max(tallest, counts.sum(axis=0).max(), 1) * 1.05
    across = (_RIGHT - _LEFT) / (edges[-1] - edges[0])

    def x(age: float) -> float:
        return round(_LEFT + (age - edges[0]) * across, 1)

    def y(count: float) -> float:
        return round(_BOTTOM - count / top * (_BOTTOM - _TOP), 1)

    parts = [f'<text x="2" y="14" class="name">{escape(title)} · n = {len(people)}</text>']
    parts += [
        f'<path class="{"grid" if value else "zero"}" d="M{_LEFT} {y(value)}H{_RIGHT}"/>'
        f'<text x="{_LEFT - 5}" y="{y(value) + 3.5:g}" text-anchor="end">{value:g}</text>'
        for value in ticks(0, top, 4) if value == int(value)
    ]  # fmt: skip
    parts += [
        f'<text x="{x(value)}" y="{_BOTTOM + 14}" text-anchor="middle">{value:g}</text>'
        for value in ticks(float(edges[0]), float(edges[-1]))
    ]
    for i, (first, last) in enumerate(pairwise(edges)):
        below = 0
        for j, (code, word) in enumerate(SEXES.items()):
            n = int(counts[j, i])
            if n:
                width = max(x(last) - x(first) - 1, 0.5)
                parts.append(
                    f'<rect class="sex{code or "N"}" x="{x(first) + 0.5:g}" '
                    f'y="{y(below + n)}" width="{width:g}" '
                    f'height="{y(below) - y(below + n):g}"><title>{first:g} to {last:g} y: '
                    f'{n} {word}</title></rect>'
                )
                below += n
    label = ', '.join(
        f'{int(row.sum())} {word}'
        for row, word in zip(counts, SEXES.values(), strict=True) if row.sum()
    )  # fmt: skip
    foot = f'{X_LABEL}{" " + more if more else ""}'
    parts.append(
        f'<text class="small" x="{(_LEFT + _RIGHT) / 2}" y="{_BOTTOM + 28}" '
        f'text-anchor="middle">{foot}</text>'
        f'<text class="small" x="2" y="{_TOP - 4}">people</text>'
    )
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'xmlns="http://www.w3.org/2000/svg" aria-label="Ages, {escape(title)}: {label}">'
        f'{"".join(parts)}</svg>'
    )


def sexes_shown(scans: pd.DataFrame) -> list[tuple[str, str]]:
    """Return class and word of each sex that is in the histograms."""
    there = {str(sex) for sex in scans['sex']}
    return [(f'sex{code or "N"}', word) for code, word in SEXES.items() if code in there]


def _stated(value: Any) -> str:
    if isinstance(value, float):
        return f'{value:g}' if math.isfinite(value) else 'not stated'
    return str(value) if value else 'not stated'


def _listed(parts: Sequence[str]) -> str:
    more = len(parts) - _MOST_NAMED
    return ', '.join(parts[:_MOST_NAMED]) + (f' and {more} more' if more > 0 else '')
