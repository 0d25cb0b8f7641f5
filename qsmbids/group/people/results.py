"""Tables of results: the cells of a region, corrected p values, and what the columns mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbids.group.errors import GroupError
from qsmbids.group.scan_facts import earliest

if TYPE_CHECKING:
    import pandas as pd

    from qsmbids.group.region_table import RegionTable

Column = tuple[str, str, str]  # name, unit, description

REGION_COLUMNS: tuple[Column, ...] = (
    ('region', '', 'Name of the region; without its side when sides are averaged'),
    ('hemisphere', '', 'L left, R right, B both or midline'),
    ('group', '', 'Kind of region'),
)
P = ('p', '', 'Two-sided p value, uncorrected')
Q = ('q', '', 'p corrected over the regions (false discovery rate, Benjamini and Hochberg)')


@dataclass
class Result:
    """A tidy table with the description of its columns.

    Parameters
    ----------
    frame : DataFrame
    columns : tuple of (name, unit, description)
        All columns of the frame, in their order.
    """

    frame: pd.DataFrame
    columns: tuple[Column, ...]

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows as the writer of tables takes them."""
        return self.frame.to_dict('records')


def measure_of(table: RegionTable, name: str) -> tuple[np.ndarray, str]:
    """Return one column of the region tables and its unit.

    Raises
    ------
    GroupError
        If the tables have no such column.
    """
    if name not in table.values:
        raise GroupError(
            f'The region tables have no column {name}.',
            'Left of ~ stands what is to be explained: chi (the mean) or a column of the '
            'region tables.',
            f'Columns there are: {", ".join(table.values)}.',
        )
    return table.values[name], str(table.dictionary.get(name, {}).get('Units', ''))


def enough_scans(scans: pd.DataFrame, values: np.ndarray) -> np.ndarray:
    """Return a mask of the scans to use: of each session the run that counts, with any value."""
    known = np.isfinite(values).any(axis=1)
    return known & scans['primary'].to_numpy(bool) if 'primary' in scans else known


def one_each(scans: pd.DataFrame, values: np.ndarray) -> np.ndarray:
    """Return a mask with one scan of each person: their earliest that has any value.

    That is the scan of ``first_session``, as in the age curves; of people without a value
    there, the earliest of the others by ``acq_time``, age or label.
    """
    n = len(scans)
    people = scans['participant_id'].to_numpy()
    first = scans['first_session'].to_numpy(bool) if 'first_session' in scans else [False] * n
    times = scans['acq_time'].to_numpy() if 'acq_time' in scans else [''] * n
    ages = scans['age'].to_numpy(float) if 'age' in scans else [np.nan] * n
    by_person: dict[str, list[int]] = {}
    for row in np.flatnonzero(enough_scans(scans, values)).tolist():
        by_person.setdefault(people[row], []).append(row)
    chosen = np.zeros(n, bool)
    for rows in by_person.values():
        rows = [row for row in rows if first[row]] or rows
        chosen[rows[earliest([times[r] for r in rows], [ages[r] for r in rows])]] = True
    return chosen


def region_cells(table: RegionTable, region: int) -> dict[str, Any]:
    """Return the cells that say which region a row is of."""
    row = table.regions.iloc[region]
    return {
        '_order': region,
        'region': row['name'],
        'hemisphere': row['hemisphere'],
        'group': row['group'],
    }


def add_q(rows: list[dict[str, Any]], within: Sequence[str], p: str = 'p', q: str = 'q') -> list:
    """Add p values corrected over the regions, for each combination of some cells."""
    from qsmbids.lifespan.flags import fdr

    families: dict[tuple, list[dict[str, Any]]] = {}
    for row in rows:
        families.setdefault(tuple(row[name] for name in within), []).append(row)
    for members in families.values():
        corrected = fdr(np.array([row[p] for row in members], float))
        for row, value in zip(members, corrected, strict=True):
            row[q] = float(value)
    return rows


def tidy(rows: list[dict[str, Any]], columns: Sequence[Column]) -> Result:
    """Return the table in the order of the regions, with exactly the columns described."""
    import pandas as pd

    names = [name for name, _, _ in columns]
    rows = sorted(rows, key=lambda row: row['_order'])
    return Result(pd.DataFrame({n: [row[n] for row in rows] for n in names}), tuple(columns))
