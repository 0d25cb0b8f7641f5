"""Reading the region tables of thousands of scans into arrays.

Tables of one study look alike: the same heading, the same regions in the same order. Such tables
form a *layout*. For a further table of a known layout only the beginnings of its lines are
compared, and its numbers are parsed together with those of its neighbours, many tables in one
call of the parser of pandas. Tables with other columns or other regions make a layout of their
own; all layouts are then laid into one set of arrays, with NaN where a table has nothing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from qsmbids.group.files import ScanFiles, first_line, read_json_once, read_lines
from qsmbids.group.listing import alone, listed
from qsmbids.group.problems import Problem
from qsmbids.group.region_table import RegionTable, without_side
from qsmbids.report.values import number

IDENTITY = ('index', 'name', 'abbreviation', 'hemisphere', 'group')
_AT_ONCE = 50  # tables in one call of the parser
_MISSING = {'', 'n/a', 'na', 'nan'}


@dataclass
class _Layout:
    """Tables with the same columns and the same regions."""

    columns: tuple[str, ...]
    identity: list[tuple[str, ...]]  # of each line, in the order of IDENTITY
    starts: list[bytes]  # what each line begins with
    numeric: list[int]  # positions of the columns of numbers
    rows: list[int]  # lines that count: of duplicates the first
    names: list[str]  # of the regions of these lines
    duplicates: list[str]
    scans: list[int] = field(default_factory=list)
    blocks: list[np.ndarray] = field(default_factory=list)
    waiting: list[bytes] = field(default_factory=list)
    with_text: dict[str, int] = field(default_factory=dict)  # column -> tables with text in it

    def fits(self, lines: list[bytes]) -> bool:
        return len(lines) == len(self.starts) and all(map(bytes.startswith, lines, self.starts))

    def add(self, scan: int, body: bytes) -> None:
        self.scans.append(scan)
        self.waiting.append(body)
        if len(self.waiting) == _AT_ONCE:
            self.parse()

    def parse(self) -> None:
        """Turn the waiting tables into numbers, shape (tables, regions, columns)."""
        if self.waiting:
            values = _numbers(self)
            self.waiting.clear()
            shape = (-1, len(self.starts), len(self.numeric))
            self.blocks.append(values.reshape(shape)[:, self.rows])


def read_regions(
    files: Sequence[ScanFiles], place: tuple[str, str]
) -> tuple[RegionTable, list[Problem]]:
    """Read one kind of region table of all scans.

    Parameters
    ----------
    files : sequence of ScanFiles
        A table that cannot be read is taken out of it.
    place : (atlas, suffix)

    Returns
    -------
    table : RegionTable
        Row ``i`` is ``files[i]``.
    problems : list of Problem
    """
    layouts: dict[tuple, _Layout] = {}
    last: dict[bytes, _Layout] = {}  # by heading: most tables are like the one before
    dictionary: dict[str, dict[str, Any]] = {}
    units: dict[str, list[str]] = {}
    problems = []
    for scan, one in enumerate(files):
        path = one.regions.get(place)
        if path is None:
            continue
        try:
            heading, _, body = read_lines(path).partition(b'\n')
            lines = body.splitlines()
            layout = last.get(heading)
            if layout is None or not layout.fits(lines):
                layout = _layout(heading, lines)
                layout = layouts.setdefault((layout.columns, tuple(layout.identity)), layout)
                last[heading] = layout
            if body.count(b'\t') != len(lines) * (len(layout.columns) - 1):
                body = _even(lines, len(layout.columns))
        except (OSError, ValueError) as error:
            problems.append(unreadable_table(path.name, first_line(error)))
            del one.regions[place]
            continue
        layout.add(scan, body)
        entries = read_json_once(path.with_suffix('.json'))
        _gather(dictionary, entries)
        units.setdefault(_unit(entries), []).append(one.key)
    found = list(layouts.values())
    for layout in found:
        layout.parse()
    table = _union(found, len(files), place, dictionary)
    problems += _problems(found, files, place)
    if len({unit for unit in units if unit}) > 1:
        problems.append(_mixed_units(units, place))
    return table, problems


def unreadable_table(name: str, why: str) -> Problem:
    """Return the problem of a table that cannot be read."""
    return Problem(
        why if name in why else f'{name} cannot be read: {why}.',
        'Its values are left out.',
        'Delete it and run the participant level again.',
        name,
        'error',
    )


def _layout(heading: bytes, lines: list[bytes]) -> _Layout:
    columns = tuple(heading.decode().split('\t'))
    cells = [line.decode().split('\t') for line in lines]
    places = [columns.index(name) if name in columns else -1 for name in IDENTITY]
    identity = [
        tuple(row[p] if 0 <= p < len(row) and row[p] != 'n/a' else '' for p in places)
        for row in cells
    ]
    n_leading = next((i for i, name in enumerate(columns) if name not in IDENTITY), len(columns))
    if any(p >= n_leading for p in places):  # names in the middle of the table: compare all
        starts = lines
    else:
        starts = [('\t'.join(row[:n_leading]) + '\t').encode() for row in cells]
    names = [name or f'region {index}' for index, name, *_ in identity]
    first = {name: i for i, name in reversed(list(enumerate(names)))}
    rows = [i for i, name in enumerate(names) if first[name] == i]
    return _Layout(
        columns=columns,
        identity=identity,
        starts=starts,
        numeric=[
            i for i, name in enumerate(columns) if name not in IDENTITY and _is_number(cells, i)
        ],
        rows=rows,
        names=[names[i] for i in rows],
        duplicates=list(dict.fromkeys(n for i, n in enumerate(names) if first[n] != i)),
    )


def _is_number(cells: list[list[str]], column: int) -> bool:
    """Tell whether the first known cell of a column is a number; no known cell is one, too."""
    known = (row[column] for row in cells if column < len(row))
    text = next((cell for cell in known if cell.lower() not in _MISSING), '0')
    return number(text) == number(text)


def _even(lines: list[bytes], width: int) -> bytes:
    """Give every line the same number of cells; what is missing at the end is n/a."""
    rows = [line.split(b'\t') for line in lines]
    return b''.join(
        b'\t'.join([*row[:width], *[b'n/a'] * (width - len(row))]) + b'\n' for row in rows
    )


def _numbers(layout: _Layout) -> np.ndarray:
    import pandas as pd

    def read(kind: Any) -> pd.DataFrame:
        return pd.read_csv(
            io.BytesIO(b''.join(layout.waiting)), sep='\t', header=None, engine='c',
            usecols=layout.numeric, dtype=kind, quoting=csv.QUOTE_NONE, na_filter=True,
        )  # fmt: skip

    if not layout.numeric:
        return np.empty((len(layout.waiting) * len(layout.starts), 0), np.float32)
    try:
        return read(np.float32).to_numpy(np.float32)
    except ValueError:
        pass  # text where numbers were: look for it column by column
    frame = read(str)
    values = np.empty(frame.shape, np.float32)
    for i, position in enumerate(layout.numeric):
        texts = frame[position]
        values[:, i] = pd.to_numeric(texts, errors='coerce')
        text = (texts.notna() & np.isnan(values[:, i])).to_numpy()
        if text.any():
            tables = text.reshape(len(layout.waiting), -1).any(axis=1).sum()
            name = layout.columns[position]
            layout.with_text[name] = layout.with_text.get(name, 0) + int(tables)
    return values


def _union(
    layouts: list[_Layout], n_scans: int, place: tuple[str, str], dictionary: dict
) -> RegionTable:
    """Lay the arrays of all layouts into one set."""
    import pandas as pd

    regions: dict[str, tuple[str, ...]] = {}
    columns: dict[str, None] = {}
    for layout in sorted(layouts, key=lambda one: -len(one.scans)):  # the usual order first
        for row, name in zip(layout.rows, layout.names, strict=True):
            regions.setdefault(name, layout.identity[row])
        columns.update(dict.fromkeys(layout.columns[i] for i in layout.numeric))
    order = {name: i for i, name in enumerate(regions)}
    shape = (n_scans, len(regions))
    values = {column: np.full(shape, np.nan, np.float32) for column in columns}
    for layout in layouts:
        places = [order[name] for name in layout.names]
        scans = iter(layout.scans)
        while layout.blocks:
            block = layout.blocks.pop(0)
            cells = np.ix_(list(islice(scans, len(block))), places)
            for i, position in enumerate(layout.numeric):
                values[layout.columns[position]][cells] = block[:, :, i]
    frame = pd.DataFrame(list(regions.values()), columns=list(IDENTITY))
    frame['name'] = list(regions)
    frame['hemisphere'] = frame['hemisphere'].where(frame['hemisphere'].isin(['L', 'R']), 'B')
    frame['index'] = [_integer(text, i) for i, text in enumerate(frame['index'])]
    frame['region'] = [
        without_side(n, h) for n, h in zip(frame['name'], frame['hemisphere'], strict=True)
    ]
    known = {name: entry for name, entry in dictionary.items() if name in (*columns, *IDENTITY)}
    return RegionTable(*place, frame, values, known)


def _integer(text: str, otherwise: int) -> int:
    value = number(text)
    return int(value) if value == value else otherwise


def _gather(dictionary: dict[str, dict[str, Any]], entries: dict[str, Any]) -> None:
    for name, entry in entries.items():
        if name not in dictionary and isinstance(entry, dict):
            dictionary[name] = entry


def _unit(entries: dict[str, Any]) -> str:
    entry = entries.get('mean')
    return str(entry.get('Units', '')) if isinstance(entry, dict) else ''


def _problems(
    layouts: list[_Layout], files: Sequence[ScanFiles], place: tuple[str, str]
) -> list[Problem]:
    found = []
    of_what = f'{place[1]} tables of {place[0]}'
    for layout in layouts:
        if layout.duplicates:
            keys = [files[i].key for i in layout.scans]
            found.append(
                Problem(
                    f'The {of_what} hold several rows for {listed(layout.duplicates)}: '
                    f'{listed(keys)}.',
                    'Which row is right cannot be known; the first is used.',
                    'Look whether tables were joined by hand, and run the participant level '
                    'again.',
                    alone(keys),
                )
            )
    others = sorted(layouts, key=lambda one: -len(one.scans))[1:]
    if others:
        keys = [files[i].key for i in sorted(i for layout in others for i in layout.scans)]
        found.append(
            Problem(
                f'The {of_what} of {listed(keys)} have other columns or regions than the rest.',
                'They were made by another version or with another label table; what a table '
                'does not have is n/a.',
                'Run the participant level again for all if they should be alike.',
                alone(keys),
            )
        )
    text: dict[str, int] = {}
    for layout in layouts:
        for name, count in layout.with_text.items():
            text[name] = text.get(name, 0) + count
    for name, count in text.items():
        found.append(
            Problem(
                f'The column {name} of {count} {of_what} holds text.',
                'It is a column of numbers; these cells count as n/a.',
                'Run the participant level again if they were edited by hand.',
            )
        )
    return found


def _mixed_units(units: dict[str, list[str]], place: tuple[str, str]) -> Problem:
    said = '; '.join(f'{unit}: {listed(keys, 3)}' for unit, keys in sorted(units.items()) if unit)
    return Problem(
        f'The {place[1]} tables of {place[0]} have different units ({said}).',
        'Their values cannot be compared, and nothing is converted.',
        'Run the participant level again for all with one version.',
        severity='error',
    )
