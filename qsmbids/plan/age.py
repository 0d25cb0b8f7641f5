"""Age at the scan, from the command line or the tables of the dataset."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from qsmbids.plan.findings import Findings
from qsmbids.plan.models import Decision, Source
from qsmbids.plan.sidecars import read_json_object

DAYS_PER_YEAR = 365.25
UNITS_PER_YEAR = {'year': 1.0, 'month': 12.0, 'week': DAYS_PER_YEAR / 7, 'day': DAYS_PER_YEAR}
# a column that names its unit is clearer than one that does not
AGE_COLUMNS = {
    'age_days': 'day',
    'age_weeks': 'week',
    'age_months': 'month',
    'age_years': 'year',
    'age': '',
}
KEY_COLUMNS = ('filename', 'session_id', 'participant_id')
OLDEST_YEARS = 125.0
_MISSING = {'', 'n/a', 'na', 'nan', 'none'}


@dataclass(frozen=True)
class Table:
    """A TSV file: rows as dictionaries, with the units that its JSON tells."""

    path: Path
    rows: tuple[dict[str, str], ...]
    units: dict[str, str]

    @cached_property
    def places(self) -> dict[tuple[str, str], int]:
        """Row numbers by key column and key; of rows with one key, the first."""
        return {
            (column, row[column]): i
            for i, row in reversed(list(enumerate(self.rows)))
            for column in KEY_COLUMNS
            if column in row
        }


class AgeReader:
    """Finds ages in ``scans.tsv``, ``sessions.tsv`` and ``participants.tsv``, in that order.

    The table nearest to the scan wins, because age changes between sessions. Each table is
    read once.

    Parameters
    ----------
    bids_dir : Path
        The dataset.
    age : float or None, years
        Given on the command line; overrides every table.
    """

    def __init__(self, bids_dir: Path, age: float | None = None) -> None:
        self.bids_dir = bids_dir
        self.age = age
        self._tables: dict[Path, Table | None] = {}

    def read(
        self, participant: str, session: str, files: Iterable[Path], findings: Findings
    ) -> Decision | None:
        """Return the age at one scan.

        Parameters
        ----------
        participant, session : str
            Labels without their keys; the session may be ''.
        files : iterable of Path
            Images of the scan.
        findings : Findings
            Receives AGE_CAPPED (note), AGE_UNREADABLE, AGE_UNIT_UNKNOWN, AGE_MISSING and
            TABLE_BROKEN (warnings).

        Returns
        -------
        Decision or None
            Years, or None when no table tells.
        """
        if self.age is not None:
            return Decision(float(self.age), Source.COMMAND_LINE, '--age')
        for path, column, wanted in self._places(participant, session, files):
            table = self._table(path, findings)
            row = _row(table, column, wanted) if table else None
            age = _age_of(table, row, findings) if row else None
            if age is not None:
                return age
        findings.warning(
            'AGE_MISSING',
            'The age is not known.',
            'Without it no age-specific atlas can be chosen.',
            'Add an "age" column to participants.tsv, or give --age.',
        )
        return None

    def _places(self, participant: str, session: str, files: Iterable[Path]):
        """Yield table, key column and accepted keys, the most specific first."""
        subject = f'sub-{participant}'
        folder = self.bids_dir / subject
        stem = subject
        if session:
            folder, stem = folder / f'ses-{session}', f'{subject}_ses-{session}'
        names = {p.relative_to(folder).as_posix() for p in files if p.is_relative_to(folder)}
        yield folder / f'{stem}_scans.tsv', 'filename', names
        if session:
            sessions = self.bids_dir / subject / f'{subject}_sessions.tsv'
            yield sessions, 'session_id', {f'ses-{session}', session}
        yield self.bids_dir / 'participants.tsv', 'participant_id', {subject, participant}

    def _table(self, path: Path, findings: Findings) -> Table | None:
        if path not in self._tables:
            self._tables[path] = _read_table(path, findings)
        return self._tables[path]


def to_years(value: float, unit: str) -> float:
    """Convert an age to years.

    Parameters
    ----------
    value : float
        The age.
    unit : str
        year(s), month(s), week(s) or day(s); case does not matter.

    Raises
    ------
    ValueError
        For another unit.

    Examples
    --------
    >>> to_years(18, 'months'), to_years(30, 'year')
    (1.5, 30.0)
    """
    singular = unit.strip().lower().removesuffix('s')
    if singular not in UNITS_PER_YEAR:
        raise ValueError(f'Age unit "{unit}" is not one of {", ".join(UNITS_PER_YEAR)}.')
    return value / UNITS_PER_YEAR[singular]


def _read_table(path: Path, findings: Findings) -> Table | None:
    if not path.is_file():
        return None
    try:
        rows = _read_rows(path)
    except (OSError, csv.Error) as error:
        findings.warning(
            'TABLE_BROKEN',
            f'{findings.relative(path)} cannot be read: {error}.',
            'Ages are looked up there.',
            'Repair the file.',
            path,
        )
        return None
    return Table(path, rows, _units(path, findings))


def _read_rows(path: Path) -> tuple[dict[str, str], ...]:
    try:
        text = path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError:
        text = path.read_text(encoding='latin-1')
    reader = csv.DictReader(text.splitlines(), delimiter='\t', quoting=csv.QUOTE_NONE)
    return tuple(
        {(k or '').strip().lower(): (v or '').strip() for k, v in row.items() if k is not None}
        for row in reader
    )


def _units(table: Path, findings: Findings) -> dict[str, str]:
    """Read the units of the columns from the JSON file beside a table."""
    path = table.with_suffix('.json')
    if not path.is_file():
        return {}
    columns, problem = read_json_object(path)
    if columns is None:
        findings.warning(
            'TABLE_BROKEN',
            f'{findings.relative(path)} cannot be read: {problem}.',
            'The unit of the age is told there; years are assumed.',
            'Repair the file.',
            path,
        )
        return {}
    return {
        name.lower(): column['Units']
        for name, column in columns.items()
        if isinstance(column, dict) and isinstance(column.get('Units'), str)
    }


def _row(table: Table, column: str, wanted: set[str]) -> dict[str, str] | None:
    found = [table.places[column, key] for key in wanted if (column, key) in table.places]
    return table.rows[min(found)] if found else None


def _age_of(table: Table, row: dict[str, str], findings: Findings) -> Decision | None:
    file = findings.relative(table.path)
    for column, unit in AGE_COLUMNS.items():
        text = row.get(column, '')
        if text.lower() in _MISSING:
            continue
        number = re.fullmatch(r'(\d+(?:[.,]\d*)?)(\+?)', text)
        if number is None:
            _unreadable(f'The age "{text}" in {file} is not a number.', table.path, findings)
            continue
        value = float(number[1].replace(',', '.'))
        unit = unit or table.units.get(column, 'year')
        try:
            years = to_years(value, unit)
        except ValueError as error:
            findings.warning(
                'AGE_UNIT_UNKNOWN',
                f'{str(error).removesuffix(".")} ({file}).',
                'The age is not used, because it cannot be converted to years.',
                f'Correct "Units" of "{column}" in {table.path.with_suffix(".json").name}.',
                table.path,
            )
            continue
        if years > OLDEST_YEARS:
            _unreadable(
                f'The age {text} in {file} would be {years:g} years.', table.path, findings
            )
            continue
        if number[2]:
            findings.note(
                'AGE_CAPPED',
                f'The age is "{text}" in {file}; {years:g} years are used.',
                'The true age is hidden to protect the person.',
                path=table.path,
            )
        plain = f'{file}: {column}'
        said = plain if unit.lower().startswith('year') else f'{plain} {text} {unit}'
        return Decision(round(years, 4), Source.TABLE, said)
    return None


def _unreadable(what: str, path: Path, findings: Findings) -> None:
    findings.warning(
        'AGE_UNREADABLE',
        what,
        'It is not used.',
        'Write a number of years, or n/a; another unit belongs into the JSON file of the table.',
        path,
    )
