"""Which tables lie in an output folder, by acquisition; and the reading of their text."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

_REGIONS = re.compile(
    r'(?P<key>sub-.+)_atlas-(?P<atlas>[0-9A-Za-z+]+(?:_seg-[0-9A-Za-z+]+)?)_desc-regions_'
    r'(?P<suffix>Chimap|R2starmap)\.tsv'
)
_MARKINGS = re.compile(
    r'(?P<key>sub-.+)_label-(?P<label>[0-9A-Za-z+]+)_desc-(?P<kind>lesions|veins)_Chimap\.tsv'
)
_QC = re.compile(r'(?P<key>sub-.+)_desc-qc_Chimap\.tsv')
_BOM = b'\xef\xbb\xbf'


@dataclass
class ScanFiles:
    """The tables of one acquisition.

    Parameters
    ----------
    key : str
        ``sub-01_ses-1_run-2``.
    folder : Path
        Where its tables lie.
    regions : dict
        (atlas, suffix) to the path of that region table.
    markings : dict
        ('lesions' or 'veins', label) to the path of that table.
    qc : Path or None
        Table of the quality numbers.
    sex_given : str
        Sex as the tables of people spell it, for the merged tables.
    """

    key: str
    folder: Path
    regions: dict[tuple[str, str], Path] = field(default_factory=dict)
    markings: dict[tuple[str, str], Path] = field(default_factory=dict)
    qc: Path | None = None
    sex_given: str = ''

    @property
    def participant(self) -> str:
        """Label without ``sub-``."""
        return self._entity('sub')

    @property
    def session(self) -> str:
        """Label without ``ses-``; '' without sessions."""
        return self._entity('ses')

    @property
    def has_chi(self) -> bool:
        """Whether there is a table of regional susceptibility."""
        return any(suffix == 'Chimap' for _, suffix in self.regions)

    @property
    def is_empty(self) -> bool:
        """Whether no table is left."""
        return not (self.regions or self.markings or self.qc)

    def _entity(self, name: str) -> str:
        entities = (part.partition('-') for part in self.key.split('_'))
        return next((value for key, _, value in entities if key == name), '')


def find_files(output_dir: Path, labels: Collection[str] = ()) -> list[ScanFiles]:
    """List the tables of an output folder by acquisition.

    Parameters
    ----------
    output_dir : Path
    labels : collection of str
        Restricts the participants (without ``sub-``); empty means all.

    Returns
    -------
    list of ScanFiles
        Sorted by key, numbers by value.
    """
    scans: dict[str, ScanFiles] = {}
    for folder in _anat_folders(Path(output_dir), labels):
        for name in sorted(entry.name for entry in os.scandir(folder)):
            if not name.endswith('.tsv'):
                continue
            path = folder / name
            if found := _REGIONS.fullmatch(name):
                scan = scans.setdefault(found['key'], ScanFiles(found['key'], folder))
                scan.regions[found['atlas'], found['suffix']] = path
            elif found := _MARKINGS.fullmatch(name):
                scan = scans.setdefault(found['key'], ScanFiles(found['key'], folder))
                scan.markings[found['kind'], found['label']] = path
            elif found := _QC.fullmatch(name):
                scan = scans.setdefault(found['key'], ScanFiles(found['key'], folder))
                scan.qc = path
    return sorted(scans.values(), key=lambda scan: natural(scan.key))


def natural(text: str) -> tuple:
    """Return a sort key that orders numbers inside names by value.

    Examples
    --------
    >>> sorted(['sub-10', 'sub-9', 'sub-A'], key=natural)
    ['sub-9', 'sub-10', 'sub-A']
    """
    return tuple(
        (0, int(part), part) if part.isdecimal() else (1, 0, part)
        for part in re.split(r'(\d+)', text)
        if part
    )


def read_lines(path: Path) -> bytes:
    r"""Return a table as plain lines: UTF-8, ``\n`` after each, no quotes, no empty line.

    Raises
    ------
    ValueError
        If the file is not text or has no heading; in three lines.
    OSError
        If it cannot be opened.
    """
    data = path.read_bytes()
    if not data.isascii():
        try:
            data.decode('utf-8')
        except UnicodeDecodeError as error:
            raise _unreadable(path, str(error)) from None
        data = data.removeprefix(_BOM)
    if b'\r' in data:
        data = data.replace(b'\r\n', b'\n').replace(b'\r', b'\n')
    if b'"' in data:
        data = _without_quotes(data)
    data = data.strip(b'\n')
    if not data or b'\x00' in data:
        raise _unreadable(path, 'it holds zero bytes' if data else 'it is empty')
    while b'\n\n' in data:
        data = data.replace(b'\n\n', b'\n')
    return data + b'\n'


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file, or {}: the tables stand without it."""
    try:
        return _parse.__wrapped__(path.read_bytes())
    except OSError:
        return {}


def read_json_once(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file that many have alike; not to be changed."""
    try:
        return _parse(path.read_bytes())
    except OSError:
        return {}


def first_line(error: Exception) -> str:
    """Return what an error says first, without the folders of this computer."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).splitlines() or [type(error).__name__])[0]


@lru_cache(maxsize=64)
def _parse(data: bytes) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _anat_folders(output_dir: Path, labels: Collection[str]) -> Iterator[Path]:
    for subject in _folders(output_dir, 'sub-'):
        if labels and subject.name.removeprefix('sub-') not in labels:
            continue
        for parent in (subject, *_folders(subject, 'ses-')):
            if (parent / 'anat').is_dir():
                yield parent / 'anat'


def _folders(parent: Path, prefix: str) -> list[Path]:
    if not parent.is_dir():
        return []
    return [
        parent / entry.name
        for entry in sorted(os.scandir(parent), key=lambda entry: entry.name)
        if entry.name.startswith(prefix) and entry.is_dir()
    ]


def _without_quotes(data: bytes) -> bytes:
    """Take off the quotes of CSV; tabs and line ends inside them become spaces."""
    rows = csv.reader(io.StringIO(data.decode('utf-8'), newline=''), delimiter='\t')
    lines = ('\t'.join(re.sub(r'[\t\n]', ' ', cell) for cell in row) for row in rows)
    return '\n'.join(lines).encode()


def _unreadable(path: Path, why: str) -> ValueError:
    return ValueError(
        f'{path.name} cannot be read: {why}.\n'
        'It should be a tab-separated table in UTF-8.\n'
        'Delete it and run the participant level again.'
    )
