r"""Change of marked lesions between the visits of a person.

A lesion is found again

* by its number, when the numbers of a marking are unique at both visits (each lesion drawn with
  a value of its own), or else
* by its place: two lesions are one when each is the nearest of the other, and not further apart
  than a limit in millimetres of scanner coordinates.

Scanner coordinates move with the head. The limit therefore has to allow for another position of
the head, and a marking with numbers is the safer way; the distance is in the table, and
'ambiguous' says that another lesion was nearly as close. A lesion without a partner is listed as
new or gone, which also happens when it was not drawn.

The SD of the change adds the noise of both means to the repeatability r of a lesion's mean,

    SD(d) = sqrt(u_1^2 + u_2^2 + 2 r^2).

Published for stable cavernous malformations is a 95 % interval of plus and minus 60 ppb between
two scans; the default r is that over 1.96 sqrt(2). The column ``rise_6_percent`` states whether
mean susceptibility rose by at least 6 %, the threshold with which new symptomatic haemorrhage of
cavernous malformations was described (J Magn Reson Imaging 2018;47:1133). It is information for
research on such lesions, no diagnosis, and means nothing in others.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbids.group.errors import GroupError
from qsmbids.group.longitudinal import PERCENT_SD, Z95
from qsmbids.group.problems import Problem
from qsmbids.group.visits import Visits, remarks_of, visits_of

if TYPE_CHECKING:
    import pandas as pd

    from qsmbids.group.cohort import Cohort

MAX_DISTANCE_MM = 10.0  # ours: heads lie a few millimetres elsewhere at the next visit
REPEATABILITY_PPB = 60 / (Z95 * np.sqrt(2))  # 21.6
RISE_PERCENT = 6.0
_AMBIGUOUS = 2.0  # another lesion within so many times the distance
_PLACE = ['x_mm', 'y_mm', 'z_mm']
_NUMBERS = [*_PLACE, 'volume_mm3', 'total_susceptibility', 'mean', 'mean_uncertainty']

Column = tuple[str, str, str]
COLUMNS: tuple[Column, ...] = (
    ('participant_id', '', 'Participant'),
    ('marking', '', 'Name of the marking'),
    ('session_1', '', 'Earlier visit'),
    ('session_2', '', 'Later visit, the next one with this marking'),
    ('years', 'year', 'Between them'),
    ('status', '', 'matched, gone (only at the earlier visit) or new (only at the later one)'),
    ('id_1', '', 'Row of the lesion in the table of the earlier visit'),
    ('id_2', '', 'Row in that of the later visit'),
    ('matched_by', '', 'number of the marking, or place'),
    ('distance_mm', 'mm', 'Between the centres, with the movement of the head'),
    ('region', '', 'Atlas region'),
    ('volume_1', 'mm^3', 'Volume at the earlier visit'),
    ('volume_2', 'mm^3', 'Volume at the later visit'),
    ('total_1', 'ppm*mm^3', 'total_susceptibility at the earlier visit'),
    ('total_2', 'ppm*mm^3', 'total_susceptibility at the later visit'),
    ('mean_1', 'ppm', 'Mean at the earlier visit'),
    ('mean_2', 'ppm', 'Mean at the later visit'),
    ('change', 'ppb', 'mean_2 minus mean_1'),
    ('change_per_year', 'ppb/year', 'change over years'),
    ('percent', '%', 'change over mean_1; n/a unless mean_1 is far above zero'),
    ('change_sd', 'ppb', 'SD of the change if nothing changed: noise and repeatability'),
    ('z', '', 'change over change_sd'),
    ('exceeds', '', f'yes if the change is beyond {Z95:.2f} change_sd'),
    ('rise_6_percent', '', f'yes if percent is {RISE_PERCENT:g} or more (see the documentation; '
     'of cavernous malformations only; no diagnosis)'),
    ('remark', '', 'ambiguous match, and what else changed between the visits'),
)  # fmt: skip


def lesion_changes(
    cohort: Cohort,
    *,
    repeatability_ppb: float = REPEATABILITY_PPB,
    max_distance_mm: float = MAX_DISTANCE_MM,
) -> tuple[pd.DataFrame, tuple[Column, ...], list[Problem]]:
    """Compare the marked lesions of each visit with those of the next one.

    Parameters
    ----------
    cohort : Cohort
    repeatability_ppb : float
        SD of one measurement of a lesion's mean between repeated scans.
    max_distance_mm : float
        Between the centres of what may be one lesion.

    Returns
    -------
    changes : DataFrame
        One row for each person, marking, interval and lesion.
    columns : tuple of (name, unit, description)
    problems : list of Problem
        Visits without the marking. What is wrong with the visits says `region_changes`.

    Raises
    ------
    GroupError
        If a setting is not positive.
    """
    import pandas as pd

    if not (repeatability_ppb > 0 and max_distance_mm > 0):
        raise GroupError(
            f'a repeatability of {repeatability_ppb:g} ppb and a distance of '
            f'{max_distance_mm:g} mm.',
            'Both must be positive to tell change from error, and one lesion from another.',
            'Correct them.',
        )
    rows: list[dict[str, Any]] = []
    bare: dict[str, list[str]] = {}
    drawn = _drawn(cohort)
    for person in visits_of(cohort.scans)[0]:
        tables = [drawn.get(row, {}) for row in person.rows.tolist()]
        for marking in sorted({name for table in tables for name in table}):
            there = [i for i, table in enumerate(tables) if marking in table]
            if len(there) < len(tables):
                bare.setdefault(marking, []).append(person.participant_id)
            for i, j in pairwise(there):
                about = _about(cohort.scans, person, i, j) | {'marking': marking}
                found = _pairs(tables[i][marking], tables[j][marking], max_distance_mm)
                rows += [_joined(about, row) for row in found]
    problems = [
        Problem(
            f'The marking {marking} is missing at some visit of {len(people)} people, for example '
            f'{people[0]}.',
            'Lesions that were not drawn are not gone.',
            'Nothing is said of these visits; where there is no lesion, an empty marking says so.',
            severity='note',
        )
        for marking, people in bare.items()
    ]
    names = [name for name, _, _ in COLUMNS]
    found = _measured(pd.DataFrame(rows, columns=[*names, 'noise']), repeatability_ppb)
    return found[names], COLUMNS, problems


def _drawn(cohort: Cohort) -> dict[int, dict[str, pd.DataFrame]]:
    """Return row of the scan to name of the marking to its lesions, of which there may be none."""
    import pandas as pd

    lesions = cohort.lesions
    if lesions.empty:
        return {}
    numbers = [name for name in _NUMBERS if name in lesions]
    lesions = lesions.assign(
        **{name: pd.to_numeric(lesions[name], errors='coerce') for name in numbers}
    )
    rows = {key: row for row, key in enumerate(cohort.scans['key'])}
    found: dict[int, dict[str, pd.DataFrame]] = {row: {} for row in rows.values()}
    for row, scan in enumerate(cohort.files):  # tables without a lesion are known from here
        found[row] = {name: lesions[:0] for kind, name in scan.markings if kind == 'lesions'}
    for (key, name), members in lesions.groupby(['key', 'marking']):
        found[rows[key]][name] = members
    return found


def _about(scans: pd.DataFrame, person: Visits, i: int, j: int) -> dict[str, Any]:
    first, second = person.rows[[i]], person.rows[[j]]
    return {
        'participant_id': person.participant_id,
        'session_1': scans['session_id'].to_numpy()[first[0]],
        'session_2': scans['session_id'].to_numpy()[second[0]],
        'years': float(person.years[j] - person.years[i]),
        'remark': remarks_of(scans, first, second)[0],
    }


def _joined(about: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    remarks = (row.get('remark', ''), about['remark'])
    return about | row | {'remark': '; '.join(filter(None, remarks))}


def _pairs(one: pd.DataFrame, two: pd.DataFrame, limit: float) -> list[dict[str, Any]]:
    """Match the lesions of two visits; return the cells of the matched, the gone and the new."""
    place_1, place_2 = (x[_PLACE].to_numpy(float) for x in (one, two))
    distance = np.linalg.norm(place_1[:, None] - place_2[None], axis=-1)
    labels_1, labels_2 = one['label'].tolist(), two['label'].tolist()
    # a single lesion has a number of its own by chance, too
    numbered = len({*labels_1, *labels_2}) > 1 and all(
        len(set(found)) == len(found) for found in (labels_1, labels_2)
    )
    if numbered:
        matched = {i: labels_2.index(x) for i, x in enumerate(labels_1) if x in labels_2}
    else:
        matched = {
            i: j
            for i, j in np.argwhere(distance <= limit).tolist()
            if distance[i].argmin() == j and distance[:, j].argmin() == i
        }
    first, second = one.to_dict('records'), two.to_dict('records')
    rows = []
    for i, j in matched.items():
        row = _cells(first[i], 1) | _cells(second[j], 2) | {
            'status': 'matched', 'matched_by': 'number' if numbered else 'place',
            'distance_mm': float(distance[i, j]), 'region': first[i].get('region', ''),
            'noise': np.hypot(*(np.nan_to_num(x['mean_uncertainty'])
                                for x in (first[i], second[j]))),
        }  # fmt: skip
        others = np.concatenate([np.delete(distance[i], j), np.delete(distance[:, j], i)])
        if not numbered and (others < _AMBIGUOUS * distance[i, j]).any():
            row['remark'] = 'ambiguous'
        rows.append(row)
    gone = [i for i in range(len(first)) if i not in matched]
    new = [j for j in range(len(second)) if j not in matched.values()]
    rows += [_cells(first[i], 1) | {'status': 'gone', 'region': first[i].get('region', '')}
             for i in gone]  # fmt: skip
    rows += [_cells(second[j], 2) | {'status': 'new', 'region': second[j].get('region', '')}
             for j in new]  # fmt: skip
    return rows


def _cells(lesion: dict[str, Any], visit: int) -> dict[str, Any]:
    columns = {'id': 'id', 'volume': 'volume_mm3', 'total': 'total_susceptibility',
               'mean': 'mean'}  # fmt: skip
    return {f'{name}_{visit}': lesion[column] for name, column in columns.items()}


def _measured(rows: pd.DataFrame, repeatability_ppb: float) -> pd.DataFrame:
    """Add what follows from the two values."""
    number = {name: rows[name].astype(float) for name in ('mean_1', 'mean_2', 'noise', 'years')}
    noise = 1000 * number['noise']
    rows['change'] = 1000 * (number['mean_2'] - number['mean_1'])
    rows['change_sd'] = np.hypot(noise, np.sqrt(2) * repeatability_ppb)
    rows['z'] = rows['change'] / rows['change_sd']
    years = number['years']
    rows['change_per_year'] = rows['change'] / years.where(years > 0)
    known = rows['change'].notna()
    rows['exceeds'] = np.where(known, np.where(abs(rows['z']) > Z95, 'yes', 'no'), '')
    far = 1000 * number['mean_1'] > PERCENT_SD * np.hypot(noise, repeatability_ppb)
    rows['percent'] = (rows['change'] / (10 * number['mean_1'])).where(far)
    rises = np.where(rows['percent'] >= RISE_PERCENT, 'yes', 'no')
    rows['rise_6_percent'] = np.where(rows['percent'].notna(), rises, '')
    return rows
