"""What stands in the way of comparing scans with one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from qsmbids.group.files import ScanFiles
from qsmbids.group.listing import alone, listed
from qsmbids.group.people_tables import PeopleTable
from qsmbids.group.problems import Problem

if TYPE_CHECKING:
    import pandas as pd

_NOT_STATED = 'not stated'
_MAY_LACK = ('units', 'field_strength_t')  # not to know it beside a known one is no difference
# column: name in words, why it matters, what to do, severity
_ALIKE = {
    'reference': (
        'references',
        'Their susceptibilities differ by a constant and cannot be compared.',
        'Run the participant level again with one --reference-region.',
        'warning',
    ),
    'units': (
        'units',
        'Their values cannot be compared, and nothing is converted.',
        'Run the participant level again for all with one version.',
        'error',
    ),
    'version': (
        'versions of qsmbids',
        'A change of the method can look like a difference between people.',
        'Run the participant level again for all with one version.',
        'warning',
    ),
    'field_strength_t': (
        'field strengths (T)',
        'R2* grows with the field; susceptibility hardly does, but noise and resolution differ.',
        'Put the scanner into a model as site, or compare within one field strength.',
        'warning',
    ),
}


def compare_scans(scans: pd.DataFrame, files: Sequence[ScanFiles]) -> list[Problem]:
    """Return what differs between the maps, what is not known, and who was scanned twice.

    Parameters
    ----------
    scans : DataFrame
        As in :class:`qsmbids.group.cohort.Cohort`.
    files : sequence of ScanFiles
        Of the same scans.
    """
    if scans.empty:
        return []
    maps = scans[np.array([one.has_chi for one in files], bool)]
    found = []
    for column, (name, why, do, severity) in _ALIKE.items():
        values = {_stated(column, value) for value in maps[column]}
        if column in _MAY_LACK:
            values.discard(_NOT_STATED)
        if len(values) > 1:
            what = f'The maps have different {name}: {", ".join(sorted(values))}.'
            found.append(Problem(what, why, do, severity=severity))
    return [*found, *_not_known(scans, files), *_repeated(maps), *_same_age(maps)]


def not_listed(scans: pd.DataFrame, people: PeopleTable) -> list[Problem]:
    """Return who has tables but no row in participants.tsv; nothing when that is empty."""
    who = [p for p in dict.fromkeys(scans['participant_id']) if p not in people.rows]
    if not people.rows or not who:
        return []
    return [
        Problem(
            f'Not in {people.name}, but with tables: {listed(who)}.',
            'Nothing but what the sidecars say is known of them.',
            f'Add them to {people.name}, or remove their folders from the output.',
            alone(who),
        )
    ]


def _stated(column: str, value: object) -> str:
    if column == 'field_strength_t':
        # 2.89 T and 3 T are the same kind of scanner
        return f'{round(2 * float(value)) / 2:g}' if np.isfinite(float(value)) else _NOT_STATED
    return str(value) or _NOT_STATED


def _not_known(scans: pd.DataFrame, files: Sequence[ScanFiles]) -> list[Problem]:
    found = []
    without = list(scans['key'][scans['age'].isna()])
    if without:
        found.append(
            Problem(
                f'No age is known for {listed(without)}; not in the plots, but in the tables.',
                'Curves, norms and models with age leave these scans out.',
                'Add an age column to participants.tsv or to the sessions tables.',
                alone(without),
            )
        )
    nobody = (scans['sex'] == '').all()
    nothing = np.array([not one.sex_given for one in files], bool)
    without = list(dict.fromkeys(scans['participant_id'][(scans['sex'] == '') & nothing]))
    if without:
        who = 'anybody' if nobody and len(without) > 1 else listed(without)
        found.append(
            Problem(
                f'No sex is known for {who}.',
                'Models with sex leave these people out.',
                'Add a column sex with F, M or O to participants.tsv.',
                alone(without),
                'note',
            )
        )
    return found


def _repeated(maps: pd.DataFrame) -> list[Problem]:
    groups = maps.groupby(['participant_id', 'session_id'], sort=False)
    several = [  # the one that counts is named first
        [*rows['key'][rows['primary']], *rows['key'][~rows['primary']]]
        for _, rows in groups
        if len(rows) > 1
    ]
    if not several:
        return []
    said = [f'{keys[0]} (beside it {", ".join(keys[1:])})' for keys in several]
    return [
        Problem(
            f'Several acquisitions of one person and session: {listed(said, 4)}.',
            'All are in the tables; an analysis that needs one takes the first with values, '
            'which is named first here.',
            'Nothing, if that one is meant. Otherwise move it to a folder of its own.',
            alone(key for keys in several for key in keys[:1]),
            'note',
        )
    ]


def _same_age(maps: pd.DataFrame) -> list[Problem]:
    """Return whose sessions cannot be told apart in time."""
    who = []
    for person, rows in maps.groupby('participant_id', sort=False):
        sessions = rows.drop_duplicates('session_id')
        if len(sessions) > 1 and sessions['age'].notna().all():
            no_times = sessions['acq_time'].nunique() < len(sessions)
            if no_times and sessions['age'].nunique() < len(sessions):
                who.append(str(person))
    if not who:
        return []
    return [
        Problem(
            f'Sessions of one person have the same age and no acq_time: {listed(who)}.',
            'Change per year cannot be computed from them.',
            'Add age or acq_time for each session to sub-<label>_sessions.tsv.',
            alone(who),
        )
    ]
