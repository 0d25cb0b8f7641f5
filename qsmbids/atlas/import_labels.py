"""Reading the label table of an atlas, in the forms in which people pass them on.

Four forms are understood, told apart by their content:

* a table with a heading, separated by tabs, commas or semicolons: ``index`` and ``name``, and
  if present ``hemisphere``, ``region``, ``group``, ``abbreviation`` and ``color``;
* lines of number and name: ``301 Left Putamen``, also ``301, Left Putamen``;
* a label description of ITK-SNAP: ``301 255 0 0 1 1 1 "Left Putamen"``;
* a colour table of FreeSurfer: ``301 Left-Putamen 255 0 0 0``, the last number may be absent.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qsmbids.atlas.errors import AtlasError

_HEADINGS = {
    'index': ('index', 'id', 'labelid', 'labelindex', 'value', 'number', 'no', 'label'),
    'name': ('name', 'labelname', 'structure', 'regionname', 'roi', 'roiname', 'label'),
    'hemisphere': ('hemisphere', 'hemi', 'side', 'laterality'),
    'region': ('region', 'mapping'),
    'group': ('group', 'class', 'category', 'tissue'),
    'abbreviation': ('abbreviation', 'abbrev', 'acronym', 'short', 'shortname'),
    'color': ('color', 'colour', 'hex'),
}  # fmt: skip
_ITK_SNAP = re.compile(r'(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+[\d.]+\s+[01]\s+[01]\s+"(.*)"')
_FREESURFER = re.compile(r'(\d+)\s+(\S+)\s+(\d+)\s+(\d+)\s+(\d+)(?:\s+\d+)?')
_PLAIN = re.compile(r'(\d+)(?:\s*[,;:=]\s*|[.)]?\s+)(\S.*)')
_DOCUMENTS = {b'PK\x03\x04': 'a Word or Excel document', b'\xd0\xcf\x11\xe0': 'a Word or Excel '
              'document', b'%PDF': 'a PDF', b'{\\rt': 'a rich-text document'}  # fmt: skip


@dataclass(frozen=True)
class LabelRow:
    """One row as the table has it; what it does not say is ''."""

    index: int
    name: str
    hemisphere: str = ''
    region: str = ''
    group: str = ''
    abbreviation: str = ''
    color: str = ''  # #rrggbb


def read_label_table(path: Path) -> tuple[LabelRow, ...]:
    """Read a label table.

    Parameters
    ----------
    path : Path

    Returns
    -------
    tuple of LabelRow
        Without background (index 0), in the order of the file.

    Raises
    ------
    AtlasError
        If the file is absent, no text, not understood, or has an index twice.
    """
    everything = [line for line in read_text_lines(path) if line.strip()]
    lines = [line for line in everything if not line.lstrip().startswith('#')]
    rows = _with_heading(path, lines)
    if not rows:
        rows = _with_heading(path, _marked_heading(everything)) or _without_heading(path, lines)
    rows = tuple(row for row in rows if row.index != 0)
    if not rows:
        raise AtlasError(
            f'{path} names no label.',
            'The names of the regions are taken from it.',
            'Write a table with the columns index and name.',
        )
    seen: dict[int, str] = {}
    for row in rows:
        if row.index in seen:
            raise AtlasError(
                f'{path} has the index {row.index} twice: {seen[row.index]}, {row.name}.',
                'A number in the label image can mean one region only.',
                'Correct or remove one of the rows.',
            )
        seen[row.index] = row.name
    return rows


def read_text_lines(path: Path) -> list[str]:
    """Read a text file that a person wrote; refuse documents of word processors by name."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise AtlasError(
            f'{path} cannot be read ({error.strerror}).',
            'It is to tell what the numbers in the label images mean.',
            'Check the path.',
        ) from None
    for beginning, kind in _DOCUMENTS.items():
        if content.startswith(beginning):
            raise AtlasError(
                f'{path} is {kind}, not a text table.',
                'Its layout is made for reading, not for programs; a row could be misread.',
                'Copy the list into a text file with the columns index and name.',
            )
    try:
        return content.decode('utf-8-sig').splitlines()
    except UnicodeDecodeError:
        raise AtlasError(
            f'{path} is not a text file in UTF-8.',
            'Names of regions could be misread.',
            'Save it as plain text with the encoding UTF-8.',
        ) from None


def _with_heading(path: Path, lines: Sequence[str]) -> list[LabelRow]:
    """Read a table whose first line names its columns; [] if it does not."""
    if not lines:
        return []
    sign = max('\t,;', key=lines[0].count)
    heading = [
        re.sub(r'[\W_]+', '', text).lower() for text in next(csv.reader(lines, delimiter=sign))
    ]
    columns = {
        key: next((heading.index(word) for word in words if word in heading), None)
        for key, words in _HEADINGS.items()
    }
    if columns['index'] is None and columns['name'] is None:
        return []
    if columns['name'] == columns['index']:  # 'label' was the number
        columns['name'] = None
    if columns['name'] is None and columns['region'] is not None:
        columns['name'], columns['region'] = columns['region'], None  # the only name there is
    if columns['index'] is None or columns['name'] is None:
        missing = 'index' if columns['index'] is None else 'name'
        raise AtlasError(
            f'{path} has no column {missing} (it has: {", ".join(heading)}).',
            'A label table says which number in the image is which region.',
            f'Name the column {missing}.',
        )
    rgb = [heading.index(c) for names in ('rgb', ('red', 'green', 'blue')) for c in names
           if c in heading][:3]  # fmt: skip
    rows = []
    for number, cells in enumerate(csv.reader(lines[1:], delimiter=sign), 2):

        def cell(key: str, cells: list[str] = cells) -> str:
            place = columns[key]
            text = cells[place].strip() if place is not None and place < len(cells) else ''
            return '' if text.lower() == 'n/a' else text

        color = cell('color')
        if not color and len(rgb) == 3 and max(rgb) < len(cells):
            color = _color(*(cells[place] for place in rgb))
        rows.append(
            LabelRow(
                _index(path, cell('index'), number), _name(path, cell('name'), number),
                cell('hemisphere'), cell('region'), cell('group'), cell('abbreviation'),
                color if re.fullmatch(r'#[0-9a-fA-F]{6}', color) else '',
            )
        )  # fmt: skip
    return rows


def _marked_heading(lines: Sequence[str]) -> list[str]:
    """Return a table whose heading begins with ``#``, without this sign; [] if it has none.

    A remark could hold the same words, so the heading has to stand just above the first row,
    and to have as many columns.
    """
    first = next((n for n, line in enumerate(lines) if not line.lstrip().startswith('#')), 0)
    if not first:
        return []
    heading = lines[first - 1].lstrip().lstrip('#').lstrip(' ')
    sign = max('\t,;', key=heading.count)
    words = [re.sub(r'[\W_]+', '', text).lower() for text in heading.split(sign)]
    fits = 0 < heading.count(sign) == lines[first].count(sign)
    if not fits or not all(set(words) & set(_HEADINGS[key]) for key in ('index', 'name')):
        return []
    return [heading, *(line for line in lines[first:] if not line.lstrip().startswith('#'))]


def _without_heading(path: Path, lines: Sequence[str]) -> list[LabelRow]:
    """Read lines of number and name, with or without the colours of ITK-SNAP or FreeSurfer."""
    rows = []
    for line in (line.strip() for line in lines):
        if match := _ITK_SNAP.fullmatch(line):
            index, *color, name = match.groups()
            rows.append(LabelRow(int(index), ' '.join(name.split()), color=_color(*color)))
        elif match := _FREESURFER.fullmatch(line):
            index, name, *color = match.groups()
            rows.append(LabelRow(int(index), name, color=_color(*color)))
        elif (match := _PLAIN.fullmatch(line)) and '\t' not in match[2]:  # a third column
            rows.append(LabelRow(int(match[1]), ' '.join(match[2].strip('"\'').split())))
        else:
            raise AtlasError(
                f'{path} has a line that is no label: {line[:60]}',
                'Every line must be a number and a name, or the first line must name columns.',
                'Correct the line, or begin the file with the heading index, tab, name.',
            )
    return rows


def _index(path: Path, text: str, line: int) -> int:
    if not re.fullmatch(r'\d{1,7}(\.0+)?', text):
        raise AtlasError(
            f'{path} has the index {text!r} in line {line}.',
            'An index is a value in the label images.',
            'Write a whole number.',
        )
    return int(float(text))


def _name(path: Path, text: str, line: int) -> str:
    name = ' '.join(text.split())
    if not name:
        raise AtlasError(
            f'{path} has no name in line {line}.',
            'Regions are reported by name.',
            'Write a name, or remove the row and the label.',
        )
    return name


def _color(*levels: str) -> str:
    """Turn three levels 0..255 into #rrggbb; '' if they are none."""
    try:
        values = [int(float(level)) for level in levels]
    except ValueError:
        return ''
    return '#' + ''.join(f'{v:02x}' for v in values) if all(0 <= v <= 255 for v in values) else ''
