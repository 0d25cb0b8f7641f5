"""Merging the tables of all scans into one long table for each atlas and map.

The text of the tables is copied, not the numbers read from it: no digit is lost, and a table that
is like the others is copied line by line with the cells of its scan before each line.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from qsmbids.bids.dataset import to_tsv, write_table
from qsmbids.bids.write import write_atomically, write_json
from qsmbids.group.cohort import Cohort
from qsmbids.group.files import ScanFiles, read_json_once, read_lines
from qsmbids.group.lesion_tables import count_markings, paths_of

Column = tuple[str, str, str]  # name, unit, description

# what every merged row says of its scan; a column of the same name in the table wins
SCAN_COLUMNS: tuple[Column, ...] = (
    ('participant_id', '', 'Participant'),
    ('session_id', '', 'Session, n/a without sessions'),
    ('acquisition', '', 'All entities of the acquisition'),
    ('age', 'year', 'Age at the scan'),
    ('sex', '', 'As in participants.tsv'),
    ('cohort', '', 'Age cohort of the atlas'),
    ('reference', '', 'Region whose mean susceptibility is zero'),
    ('reference_value', 'ppm', 'What was subtracted from the susceptibility map'),
    ('version', '', 'Version of qsmbids that made the map'),
)
_MARKING: Column = ('marking', '', 'Label of the marking, from the name of its file')
_COUNT_COLUMNS: tuple[Column, ...] = (
    ('kind', '', 'lesions or veins'),
    _MARKING,
    ('n', '', 'How many were marked; 0: somebody looked and marked none'),
    ('volume_mm3', 'mm^3', 'Their volume together'),
)
_MISSING_COLUMNS: tuple[Column, ...] = (
    ('participant_id', '', 'Participant'),
    ('acquisition', '', 'All entities of the acquisition; n/a: the whole participant'),
    ('reason', '', 'What the newest run recorded'),
)
_SCANS_COLUMNS: tuple[Column, ...] = (
    ('acquisition', '', 'All entities of the acquisition'),
    ('participant_id', '', 'Participant'),
    ('session_id', '', 'Session, n/a without sessions'),
    ('primary', '', 'true for the first acquisition with values of each participant and session'),
    ('first_session', '', 'true for the earliest session of each participant'),
    ('age', 'year', 'Age at the scan'),
    ('sex', '', 'F, M or O; n/a: not known or not in these words'),
    ('site', '', 'Column site of the tables of people'),
    ('acq_time', '', 'When the session was scanned'),
    ('field_strength_t', 'T', 'Magnetic field strength'),
    ('reference', '', 'Region whose mean susceptibility is zero'),
    ('reference_value', 'ppm', 'What was subtracted from the susceptibility map'),
    ('units', '', 'Unit of the susceptibility map'),
    ('version', '', 'Version of qsmbids that made the map'),
    ('cohort', '', 'Age cohort of the atlas'),
    ('curve_offset', 'ppm', 'Added to built-in age curves to have the reference of the map'),
)
Part = tuple[Path, Mapping[str, Any]]  # a table, and the cells that describe its scan


def write_tables(output_dir: Path, cohort: Cohort) -> tuple[list[Path], int]:
    """Write the merged tables with their data dictionaries.

    Parameters
    ----------
    output_dir : Path
    cohort : Cohort
        As :func:`qsmbids.group.cohort.read_cohort` returns it.

    Returns
    -------
    written : list of Path
    n_rows : int
        Rows of all region tables of susceptibility.
    """
    rows = cohort.scans.to_dict('records')
    about = {one.key: scan_cells(row, one) for row, one in zip(rows, cohort.files, strict=True)}
    written, n_rows = write_scans(output_dir / 'group_scans.tsv', cohort), 0
    for atlas, suffix in sorted(cohort.tables):
        parts = [
            (one.regions[atlas, suffix], about[one.key])
            for one in cohort.files
            if (atlas, suffix) in one.regions
        ]
        path = output_dir / f'group_atlas-{atlas}_{suffix}.tsv'
        n_merged = merge(path, parts, SCAN_COLUMNS)
        written += [path, path.with_suffix('.json')]
        n_rows += n_merged * (suffix == 'Chimap')
    for kind in ('qc', 'lesions', 'veins'):
        marked = (_MARKING,) if kind != 'qc' else ()
        parts = [
            (path, about[one.key] | {'marking': label})
            for one in cohort.files
            for label, path in paths_of(one, kind)
        ]
        if parts:
            path = output_dir / f'group_desc-{kind}_Chimap.tsv'
            merge(path, parts, (*SCAN_COLUMNS, *marked))
            written += [path, path.with_suffix('.json')]
    counts = [
        {**about[row['key']], **row}
        for kind, frame in (('lesions', cohort.lesions), ('veins', cohort.veins))
        for row in count_markings(cohort.files, frame, kind)
    ]
    if counts:
        path = output_dir / 'group_desc-markings_Chimap.tsv'
        write_table(path, counts, (*SCAN_COLUMNS, *_COUNT_COLUMNS))
        written += [path, path.with_suffix('.json')]
    path = output_dir / 'group_missing.tsv'
    write_table(path, [vars(missing) for missing in cohort.missing], _MISSING_COLUMNS)
    return [*written, path, path.with_suffix('.json')], n_rows


def write_scans(path: Path, cohort: Cohort) -> list[Path]:
    """Write what is known of each scan: ``Cohort.scans`` without the page."""
    known = {name for name, _, _ in _SCANS_COLUMNS} | {'key', 'page'}
    further = [name for name in cohort.scans.columns if name not in known]
    rows = [
        {name: _cell(value) for name, value in row.items()} | {'acquisition': row['key']}
        for row in cohort.scans.to_dict('records')
    ]
    described = [(name, '', 'From participants.tsv or the sessions tables') for name in further]
    write_table(path, rows, (*_SCANS_COLUMNS, *described))
    return [path, path.with_suffix('.json')]


def merge(path: Path, parts: Sequence[Part], shared: Sequence[Column]) -> int:
    """Merge tables into one file with its data dictionary.

    Parameters
    ----------
    path : Path
        Ends in ``.tsv``.
    parts : sequence of (Path, mapping)
        Each table with the cells of the ``shared`` columns.
    shared : sequence of (name, unit, description)
        Columns that come first, but for those that a table has itself.

    Returns
    -------
    int
        Rows written.
    """
    own = _own_columns(table for table, _ in parts)
    shared = [column for column in shared if column[0] not in own]
    before = [name for name, _, _ in shared]
    names = [*before, *own]
    heading = '\t'.join(own).encode() + b'\n'
    n_rows = 0

    def write(stream: BinaryIO) -> None:
        nonlocal n_rows
        stream.write(_line(names))
        for table, about in parts:
            data = read_lines(table)
            prefix = to_tsv([about], before).partition('\n')[2][:-1].encode() + b'\t'
            if data.startswith(heading) and _is_even(data, len(own)):
                lines = data[len(heading) : -1]
                n_rows += lines.count(b'\n') + 1 if lines else 0
                if lines:
                    stream.write(prefix + lines.replace(b'\n', b'\n' + prefix) + b'\n')
            else:
                for row in _rows_of(data, names, about):
                    stream.write(_line(row))
                    n_rows += 1

    write_json(
        path.with_suffix('.json'),
        {n: {'Description': text} | ({'Units': unit} if unit else {}) for n, unit, text in shared}
        | own,
    )
    write_atomically(path, write)
    return n_rows


def scan_cells(row: Mapping[str, Any], one: ScanFiles) -> dict[str, Any]:
    """Return the cells that describe a scan, from its row of ``Cohort.scans``."""
    return {
        'participant_id': row['participant_id'],
        'session_id': row['session_id'],
        'acquisition': row['key'],
        'age': float(row['age']),
        'sex': one.sex_given,
        'cohort': row['cohort'],
        'reference': row['reference'],
        'reference_value': float(row['reference_value']),
        'version': row['version'],
    }


def _cell(value: Any) -> str:
    """Return a cell with ten digits: a column of people may hold large numbers."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f'{value:.10g}' if value == value else ''
    return str(value)


def _own_columns(tables: Iterable[Path]) -> dict[str, dict[str, str]]:
    """Return the columns of all tables in the order in which they first appear, described."""
    own: dict[str, dict[str, str]] = {}
    seen: set[bytes] = set()
    for table in tables:
        with open(table, 'rb') as stream:
            first = stream.readline()
        if first in seen:
            continue
        seen.add(first)
        entries = read_json_once(table.with_suffix('.json'))
        for name in read_lines(table).partition(b'\n')[0].decode().split('\t'):
            entry = entries.get(name)
            if name not in own or (not own[name]['Description'] and isinstance(entry, dict)):
                entry = entry if isinstance(entry, dict) else {}
                unit = entry.get('Units', '')
                own[name] = {'Description': entry.get('Description', '')} | (
                    {'Units': unit} if unit else {}
                )
    return own


def _is_even(data: bytes, width: int) -> bool:
    """Tell whether the lines can be copied: as many cells as columns, none empty or quoted."""
    return (
        data.count(b'\t') == data.count(b'\n') * (width - 1)
        and b'\t\t' not in data
        and b'\t\n' not in data
        and b'\n\t' not in data
        and b'"' not in data
    )


def _rows_of(data: bytes, names: Sequence[str], about: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yield the cells of a table in the order of ``names``."""
    heading, *lines = data.decode()[:-1].split('\n')
    columns = heading.split('\t')
    described = to_tsv([about], names).partition('\n')[2][:-1].split('\t')
    places = [columns.index(name) if name in columns else -1 for name in names]
    for line in lines:
        cells = line.split('\t')
        yield [
            (cells[place] or 'n/a') if 0 <= place < len(cells) else (text if place < 0 else 'n/a')
            for place, text in zip(places, described, strict=True)
        ]


def _line(cells: Sequence[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter='\t', lineterminator='\n').writerow(cells)
    return out.getvalue().encode()
