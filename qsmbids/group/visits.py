"""The visits of each person in the order of time, and what makes two of them comparable."""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qsmbids.group.problems import Problem

if TYPE_CHECKING:
    import pandas as pd

DAYS_PER_YEAR = 365.25
# differences that a change would be mistaken for; values stay, the remark says so
_CHANGED = {
    'field_strength_t': 'another field strength',
    'site': 'another site',
    'version': 'another version of qsmbids',
}


@dataclass(frozen=True, eq=False)
class Visits:
    """The visits of one person.

    Parameters
    ----------
    participant_id : str
    rows : (n,) int
        Rows of `Cohort.scans`, in the order of time; at least two.
    years : (n,) float
        Since the first visit; NaN when no interval is known.
    """

    participant_id: str
    rows: np.ndarray
    years: np.ndarray


def visits_of(scans: pd.DataFrame) -> tuple[list[Visits], list[Problem]]:
    """Return the people with two sessions or more; of each session its first run.

    The interval is that of ``acq_time`` where all visits have one, else that of the ages.
    Visits with another reference region than the first one are left out: all values differ
    by a constant then.

    Parameters
    ----------
    scans : DataFrame
        `Cohort.scans`.

    Returns
    -------
    visits : list of Visits
    problems : list of Problem
        Unknown intervals and visits left out, one for each kind, naming the people.
    """
    found, other, unknown = [], [], []
    primary = scans['primary'].to_numpy(bool)
    for person, rows in scans.groupby('participant_id', sort=False).indices.items():
        rows = rows[primary[rows]]
        if len(rows) < 2:
            continue
        times = _years(scans, rows)
        order = np.argsort(times, kind='stable')  # NaN: the natural order of the sessions
        rows, times = rows[order], times[order]
        references = scans['reference'].to_numpy()[rows]
        same = references == references[0]
        if not same.all():
            other.append(person)
        if same.sum() < 2:
            continue
        if not np.isfinite(times).all():
            unknown.append(person)
        found.append(Visits(str(person), rows[same], times[same] - times[0]))
    problems = []
    if other:
        problems.append(Problem(
            f'Visits with another reference region than the first one: {_names(other)}.',
            'Their values differ by a constant, which would be taken for change.',
            'They are left out; run the participant level with one --reference-region.',
            severity='error',
        ))  # fmt: skip
    if unknown:
        problems.append(Problem(
            f'The time between the visits is not known: {_names(unknown)}.',
            'No change per year can be given, and the order is that of the session labels.',
            'Add acq_time or the age at each visit to sub-<label>_sessions.tsv.',
        ))  # fmt: skip
    return found, problems


def remarks_of(scans: pd.DataFrame, first: np.ndarray, second: np.ndarray) -> list[str]:
    """Return for each pair of rows what else changed between them; '' if nothing did."""
    remarks = [''] * len(first)
    for column, words in _CHANGED.items():
        if column not in scans:
            continue
        values = scans[column].to_numpy()
        known = ~scans[column].isin(['']).to_numpy() & scans[column].notna().to_numpy()
        differ = (values[first] != values[second]) & known[first] & known[second]
        for i in np.flatnonzero(differ):
            remarks[i] = '; '.join(filter(None, [remarks[i], words]))
    return remarks


def _years(scans: pd.DataFrame, rows: np.ndarray) -> np.ndarray:
    """Return a time of each visit in years, NaN if they cannot be put in order."""
    moments = [_moment(text) for text in scans['acq_time'].to_numpy()[rows]]
    ages = scans['age'].to_numpy(float)[rows]
    times = np.array([m / DAYS_PER_YEAR for m in moments])
    for years in (times, ages):
        # the same age at all visits is that of participants.tsv, not of the visits
        if np.isfinite(years).all() and len(set(years.tolist())) == len(years):
            return years
    return np.full(len(rows), np.nan)


def _moment(text: str) -> float:
    """Return days since year 1; NaN for what is no time."""
    try:
        moment = datetime.datetime.fromisoformat(str(text))
    except ValueError:
        return math.nan
    return (moment.replace(tzinfo=None) - datetime.datetime.min) / datetime.timedelta(days=1)


def _names(people: list[str]) -> str:
    some = ', '.join(people[:5])
    return some if len(people) <= 5 else f'{some} and {len(people) - 5} others'
