"""One panel per region: what the page and the figures on disk both draw.

A panel holds the values of all people against their age, the chosen age curve with the
confidence band of its mean, and the centiles between people. Band and centiles answer
different questions: the band says how well the *mean* at an age is known and narrows with
more people; the centiles say where *people* lie and do not. Everything ends at the youngest
and the oldest person: outside them a curve would be a guess.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qsmbids.group.phrases import curve_sentences
from qsmbids.group.view import AtlasView, Key
from qsmbids.report.agecurves import expected_chi, split_name
from qsmbids.report.chart import padded_range

if TYPE_CHECKING:
    import pandas as pd

    from qsmbids.group.cohort import Cohort
    from qsmbids.lifespan.choice import Choice
    from qsmbids.lifespan.fit import FittedCurve

CENTILES = (5, 25, 50, 75, 95)
SIDES = {'L': 'left', 'R': 'right'}
_POINTS = 41  # of a curve
_FAR = 10.0  # robust standard deviations; further away a value would squash all others


@dataclass(frozen=True)
class CurveLines:
    """A fitted curve at some ages: arrays of one length, years and ppm."""

    ages: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    centiles: dict[int, np.ndarray]


@dataclass(frozen=True)
class Panel:
    """One region.

    Parameters
    ----------
    key : (str, str)
        Region and hemisphere.
    name, group : str
        In words, the name with its side; kind of region.
    column : int
        Column of the arrays of the table.
    ages, values : ndarray, shape (n,)
        Years and ppm of the acquisitions that have both.
    rows : ndarray of int, shape (n,)
        Which acquisitions these are.
    people : int
        Number of participants among them.
    reference : str
        What susceptibility is relative to.
    x_range, y_range : (float, float)
        Of the axes; the axis of ages is the same in all panels.
    outside : int
        Values beyond the axis, drawn on its edge.
    lines : CurveLines or None
    prior : sequence of (age, ppm)
        Engineering prior, inside the sampled ages.
    title : str
        Family and weight of the curve, or that there is none.
    sentences : sequence of str
        Derived quantities with their intervals, and remarks.
    """

    key: Key
    name: str
    group: str
    column: int
    ages: np.ndarray
    values: np.ndarray
    rows: np.ndarray
    people: int
    reference: str
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    outside: int
    lines: CurveLines | None
    prior: Sequence[tuple[float, float]]
    title: str
    sentences: Sequence[str]

    @property
    def side(self) -> str:
        """Return 'left', 'right' or 'both'."""
        return SIDES.get(self.key[1], 'both')

    @property
    def count(self) -> str:
        """Return how many people and acquisitions are shown."""
        if self.people == self.ages.size:
            return f'n = {self.people}'
        return f'n = {self.people} ({self.ages.size} acquisitions)'

    @property
    def unit(self) -> str:
        """Return quantity, unit and reference of the vertical axis."""
        if not self.reference:
            return 'χ (ppm), reference not stated'
        return f'χ (ppm) relative to {self.reference}'


def make_panels(cohort: Cohort, view: AtlasView) -> dict[str, list[Panel]]:
    """Make the panels of one atlas, by group of regions in the order of its table.

    Regions that nobody with a known age has a value for are left out. Groups with curves come
    first: the mean of the whole brain, say, has none.
    """
    scans, table = cohort.scans, view.table
    age = scans['age'].to_numpy(float)
    people = scans['participant_id'].to_numpy(str)
    x_range = age_axis(age)
    offset = prior_offset(scans)
    groups: dict[str, list[Panel]] = {}
    for column, row in enumerate(table.regions.itertuples(index=False)):
        values = np.asarray(table.values['mean'][:, column], float)
        rows = np.flatnonzero(np.isfinite(age) & np.isfinite(values))
        if not rows.size:
            continue
        key = (str(row.region), str(row.hemisphere))
        choice = view.choices.get(key)
        fit = choice.fits[choice.best] if choice else None
        lines = curve_lines(fit, age[rows]) if fit else None
        prior = prior_points(key[0], offset, age[rows]) if view.show_prior else []
        y_range, outside = value_axis(values[rows], lines, [] if lines else prior)
        title, sentences = _words(choice, view.reasons.get(key, ''), rows.size)
        groups.setdefault(str(row.group), []).append(
            Panel(
                key=key,
                name=region_words(*key),
                group=str(row.group),
                column=column,
                ages=age[rows],
                values=values[rows],
                rows=rows,
                people=len(set(people[rows])),
                reference=reference_of(scans.iloc[rows]),
                x_range=x_range,
                y_range=y_range,
                outside=outside,
                lines=lines,
                prior=[p for p in prior if y_range[0] <= p[1] <= y_range[1]],
                title=title,
                sentences=sentences,
            )
        )
    return dict(
        sorted(
            groups.items(),
            key=lambda item: (not item[0], not any(p.lines or p.prior for p in item[1])),
        )
    )


def region_words(region: str, hemisphere: str) -> str:
    """Return the name of a region in words.

    Examples
    --------
    >>> region_words('GlobusPallidus', 'L'), region_words('PU', 'B')
    ('Globus pallidus, left', 'PU')
    """
    side = SIDES.get(hemisphere)
    return split_name(region) + (f', {side}' if side else '')


def reference_of(scans: pd.DataFrame) -> str:
    """Return the one reference region of all scans, or that they differ."""
    references = sorted({str(r) for r in scans['reference'] if str(r) not in ('', 'nan', 'None')})
    if len(references) > 1:
        return 'different references'
    return references[0] if references else ''


def curve_lines(fit: FittedCurve, sampled: np.ndarray) -> CurveLines | None:
    """Evaluate a curve where there are people, and nowhere else."""
    first = max(float(np.min(sampled)), fit.age_range[0])
    last = min(float(np.max(sampled)), fit.age_range[1])
    if not first < last:
        return None
    ages = np.linspace(first, last, _POINTS)
    low, high = fit.band(ages)
    return CurveLines(
        ages=ages,
        mean=np.asarray(fit.predict(ages), float),
        low=np.asarray(low, float),
        high=np.asarray(high, float),
        centiles={p: np.asarray(fit.centile(ages, p), float) for p in CENTILES},
    )


def value_axis(
    values: np.ndarray, lines: CurveLines | None, prior: Sequence[tuple[float, float]] = ()
) -> tuple[tuple[float, float], int]:
    """Return the range of the vertical axis and how many values lie outside of it.

    A single failed map would squash everybody else into a line, so what lies more than ten
    robust standard deviations from the median does not stretch the axis.
    """
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    near = np.abs(values - middle) <= _FAR * spread if spread > 0 else np.ones(values.size, bool)
    heights = [values[near], np.array([value for _, value in prior])]
    if lines is not None:
        heights += [lines.mean, lines.low, lines.high, *lines.centiles.values()]
    stacked = np.concatenate(heights)
    if lines is not None and spread > 0:  # a band may run off where two people are all there is
        stacked = stacked[np.abs(stacked - middle) <= 2 * _FAR * spread]
    low, high = padded_range(stacked.tolist(), smallest=0.02)
    return (low, high), int(np.sum((values < low) | (values > high)))


def age_axis(ages: np.ndarray) -> tuple[float, float]:
    """Return a range in round years that holds all known ages.

    Examples
    --------
    >>> age_axis(np.array([22.0, 68.0])), age_axis(np.array([3.1, 9.7]))
    ((20.0, 70.0), (2.0, 10.0))
    """
    known = ages[np.isfinite(ages)]
    if not known.size:
        return (0.0, 90.0)
    low, high = float(known.min()), float(known.max())
    step = 10.0 if high - low > 20 else 2.0
    margin = 0.02 * (high - low)
    start = max(step * math.floor((low - margin) / step), 0.0)
    return (start, max(step * math.ceil((high + margin) / step), start + step))


def prior_offset(scans: pd.DataFrame) -> Callable[[float], float] | None:
    """Return what moves the prior to the zero of the maps, by age; None when nothing tells.

    Each scan recorded the mean of its template over the reference region, which changes with
    age; between scans it is interpolated.
    """
    if 'curve_offset' not in scans:
        return None
    age, offset = scans['age'].to_numpy(float), scans['curve_offset'].to_numpy(float)
    known = np.isfinite(age) & np.isfinite(offset)
    if not known.any():
        return None
    ages, which = np.unique(age[known], return_inverse=True)
    means = np.bincount(which, offset[known]) / np.bincount(which)
    return lambda at: float(np.interp(at, ages, means))


def prior_points(
    region: str, offset: Callable[[float], float] | None, sampled: np.ndarray
) -> list[tuple[float, float]]:
    """Return the engineering prior between the youngest and the oldest; empty without one."""
    if offset is None:
        return []
    first, last = float(np.min(sampled)), float(np.max(sampled))
    if not first < last:
        return []
    ages = np.linspace(first, last, _POINTS)
    points = [(float(age), expected_chi(region, float(age), offset)) for age in ages]
    return points if all(math.isfinite(value) for _, value in points) else []


def _words(choice: Choice | None, reason: str, n: int) -> tuple[str, list[str]]:
    if choice is None:
        plain = f'Too few people with an age and a value ({n}) for a curve.'
        return 'No curve', [reason or plain]
    fit = choice.fits[choice.best]
    weights = {row['family']: row['weight_aicc'] for row in choice.table}
    weight = weights.get(choice.best, math.nan)
    share = f', AICc weight {weight:.2f}' if math.isfinite(weight) and len(weights) > 1 else ''
    people = 'person' if fit.n == 1 else 'people'
    title = f'{choice.best.capitalize()} curve{share}, fitted on {fit.n} {people}'
    return title, curve_sentences(fit)
