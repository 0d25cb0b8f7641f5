"""participants.tsv and the sessions tables: who the people are, and what is wrong with that.

A value of ``sub-01_sessions.tsv`` is nearer to the scan than one of participants.tsv and wins.
Nothing is guessed: an age is a number (``89+`` is 89, and said), a sex is one of the words that
BIDS names or one that the JSON beside the table explains.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from qsmbids.group.files import natural, read_json
from qsmbids.group.findings import OLDEST_YEARS, Findings
from qsmbids.plan.age import AGE_COLUMNS, to_years

MISSING = ('', 'n/a', 'na', 'nan')
_AGE = re.compile(r'-?\d+(?:[.,]\d*)?\+?')
_SEXES = {'f': 'F', 'female': 'F', 'm': 'M', 'male': 'M', 'o': 'O', 'other': 'O'}

Row = dict[str, str]


@dataclass
class PeopleTable:
    """Rows of a table of people or sessions.

    Parameters
    ----------
    name : str
        Of the file, for sentences.
    rows : dict
        Participant (or session) with its prefix to the cells by column name; what is not known
        is ''.
    columns : list of str
        Without the one of the identifiers.
    dictionary : dict
        JSON beside the table.
    """

    name: str
    rows: dict[str, Row] = field(default_factory=dict)
    columns: list[str] = field(default_factory=list)
    dictionary: dict[str, Any] = field(default_factory=dict)
    ages: dict[str, float] = field(default_factory=dict)
    sexes: dict[str, str] = field(default_factory=dict)

    def column(self, name: str) -> str:
        """Return a column's own spelling; '' when the table has none of that name."""
        return self._spelling.get(name, '')

    @cached_property
    def _spelling(self) -> dict[str, str]:
        return {name.lower(): name for name in reversed(self.columns)}


def read_people(
    path: Path, identifier: str, findings: Findings, labels: Collection[str] = (), *,
    name: str = '', dictionary: Mapping[str, Any] | None = None,
) -> PeopleTable:  # fmt: skip
    """Read participants.tsv or a sessions table.

    Parameters
    ----------
    path : Path
    identifier : str
        ``participant_id`` or ``session_id``; its prefix may be absent in the cells.
    findings : Findings
        Receives what is wrong.
    labels : collection of str
        Restricts the rows; empty means all.
    name : str
        What to call the table in sentences; its file name by default.
    dictionary : mapping, optional
        JSON for many tables; that beside the table wins.

    Notes
    -----
    Of headings that differ in nothing but capitals, the first keeps its name; a further one is
    kept as ``score_2``, and said, so that no column hides another.

    Raises
    ------
    ValueError
        If the table has no such column, or cannot be read; one line.
    """
    heading, *lines = _lines(path)
    name = name or path.name
    columns = _different([cell.strip() for cell in heading.split('\t')], name, findings)
    table = PeopleTable(name, columns=[c for c in columns if c.lower() != identifier])
    if len(table.columns) == len(columns):
        raise ValueError(f'{table.name} has no column {identifier}.')
    table.dictionary = {**(dictionary or {}), **read_json(path.with_suffix('.json'))}
    prefix = {'participant_id': 'sub-', 'session_id': 'ses-'}[identifier]
    kept = [c for c in columns if c.lower() != identifier]
    place = next(i for i, c in enumerate(columns) if c.lower() == identifier)
    for number_of_line, line in enumerate(lines, 2):
        cells = [_plain(cell) for cell in line.split('\t')]
        label = cells.pop(place) if place < len(cells) else ''
        label = label.removeprefix(prefix)
        if not label:
            findings.add('no_name', table.name, f'line {number_of_line}')
            continue
        if labels and label not in labels:
            continue
        row = dict(zip(kept, cells + [''] * (len(kept) - len(cells)), strict=False))
        key = prefix + label
        if key in table.rows:
            kind = 'same_rows' if table.rows[key] == row else 'different_rows'
            findings.add(kind, table.name, key, _difference(table.rows[key], row))
        else:
            table.rows[key] = row
    _read_ages(table, findings)
    _read_sexes(table, findings)
    return table


def _read_ages(table: PeopleTable, findings: Findings) -> None:
    """Fill in the age of each row in years; the column that names its unit comes first."""
    for name, unit in AGE_COLUMNS.items():
        column = table.column(name)
        if not column:
            continue
        entry = table.dictionary.get(column)
        unit = unit or str((entry if isinstance(entry, dict) else {}).get('Units', '') or 'year')
        try:
            to_years(0, unit)
        except ValueError:
            findings.add('age_unit', table.name, column, unit)
            continue
        for key, row in table.rows.items():
            text = row[column]
            if not text or key in table.ages:
                continue
            if not _AGE.fullmatch(text):
                findings.add('age_text', table.name, key, text)
                continue
            years = to_years(float(text.removesuffix('+').replace(',', '.')), unit)
            if not 0 <= years <= OLDEST_YEARS:
                findings.add('age_range', table.name, key, text)
                continue
            if text.endswith('+'):
                findings.add('age_capped', table.name, key, text)
            table.ages[key] = round(years, 4)


def _read_sexes(table: PeopleTable, findings: Findings) -> None:
    column = table.column('sex')
    if not column:
        return
    entry = table.dictionary.get(column)
    levels = entry.get('Levels') if isinstance(entry, dict) else None
    levels = levels if isinstance(levels, dict) else {}
    for key in sorted(table.rows, key=natural):
        text = table.rows[key][column]
        level = levels.get(text)
        if isinstance(level, dict):
            level = level.get('Description')
        found = _SEXES.get(text.lower()) or _SEXES.get(str(level).strip().lower())
        if found:
            table.sexes[key] = found
        elif text:
            findings.add('sex_coding', table.name, key, text)


def _lines(path: Path) -> list[str]:
    data = path.read_bytes()
    try:
        text = data.decode('utf-8-sig')
    except UnicodeDecodeError:
        text = data.decode('latin-1')
    lines = [line for line in re.split(r'\r\n?|\n', text) if line.strip()]
    if not lines:
        raise ValueError(f'{path.name} is empty.')
    return lines


def _different(headings: list[str], table: str, findings: Findings) -> list[str]:
    """Return headings of which no two are the same but for capitals; the first keeps its own."""
    used = {heading.lower() for heading in headings}
    seen: set[str] = set()
    names = []
    for place, heading in enumerate(headings, 1):
        name, number = heading, 2
        if heading and heading.lower() in seen:  # columns without a heading are not used
            while (name := f'{heading}_{number}').lower() in used:
                number += 1
            used.add(name.lower())
            findings.add('taken_name', table, f'{heading} in column {place} is {name}')
        seen.add(heading.lower())
        names.append(name)
    return names


def _plain(cell: str) -> str:
    """Return a cell without blanks and quotes around it; '' when it is not known."""
    text = cell.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1].strip()
    return '' if text.lower() in MISSING else text


def _difference(first: Row, second: Row) -> str:
    return ', '.join(name for name in first if first[name] != second.get(name, ''))
