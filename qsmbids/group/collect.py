"""Finding the tables of all acquisitions in an output folder, and what belongs to each.

Only the output folder (and participants.tsv) is read. A scan is one acquisition with at
least one table; its age, reference and version come from the sidecar of its map.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qsmbids.bids.names import record_path
from qsmbids.report.tables import read_table
from qsmbids.report.values import number

_REGIONS = re.compile(
    r'(?P<key>sub-.+)_atlas-(?P<atlas>[0-9A-Za-z+]+(?:_seg-[0-9A-Za-z+]+)?)_desc-regions_'
    r'(?P<suffix>Chimap|R2starmap)\.tsv'
)
_QC = re.compile(r'(?P<key>sub-.+)_desc-qc_Chimap\.tsv')
_PATTERNS = ('sub-*/anat/*.tsv', 'sub-*/ses-*/anat/*.tsv')

Row = Mapping[str, Any]


@dataclass
class Scan:
    """One acquisition with its tables.

    Parameters
    ----------
    key : str
        ``sub-01_ses-1_run-2``.
    regions : dict
        (atlas, suffix) to the rows of that region table.
    qc : list of rows
        One row, or none.
    dictionaries : dict
        The same keys, and 'qc', to the JSON beside each table.
    curve_offset : float
        What brings the age curves to the reference of the map, ppm; NaN when not recorded.
    """

    key: str
    age: float = float('nan')
    sex: str = ''
    cohort: str = ''
    reference: str = ''
    reference_value: float = float('nan')
    version: str = ''
    curve_offset: float = float('nan')
    regions: dict[tuple[str, str], list[dict[str, str]]] = field(default_factory=dict)
    qc: list[dict[str, str]] = field(default_factory=list)
    dictionaries: dict[Any, dict[str, Any]] = field(default_factory=dict)

    @property
    def entities(self) -> dict[str, str]:
        """Entities of the key."""
        return dict(part.partition('-')[::2] for part in self.key.split('_'))

    @property
    def participant(self) -> str:
        """Label without ``sub-``."""
        return self.entities['sub']

    @property
    def has_chi(self) -> bool:
        """Whether there is a table of regional susceptibility."""
        return any(suffix == 'Chimap' for _, suffix in self.regions)


def collect(
    output_dir: Path, people: Mapping[str, Row], labels: Collection[str] = ()
) -> tuple[list[Scan], list[str]]:
    """Read all tables of an output folder.

    Parameters
    ----------
    output_dir : Path
    people : mapping
        Label to row of participants.tsv, for ages and sexes that no sidecar has.
    labels : collection of str
        Restricts the participants; empty means all.

    Returns
    -------
    scans : list of Scan
        Sorted by key, numbers by value.
    unreadable : list of str
        One line for each table that could not be read.
    """
    scans: dict[str, Scan] = {}
    unreadable = []
    for path in sorted(p for pattern in _PATTERNS for p in output_dir.glob(pattern)):
        found = _REGIONS.fullmatch(path.name) or _QC.fullmatch(path.name)
        if found is None:
            continue
        scan = scans.get(found['key']) or Scan(found['key'])
        if labels and scan.participant not in labels:
            continue
        try:
            rows = read_table(path)
        except (OSError, ValueError) as error:
            unreadable.append(str(error).splitlines()[0])
            continue
        if 'atlas' in found.groupdict():
            place: Any = (found['atlas'], found['suffix'])
            scan.regions[place] = rows
        else:
            place = 'qc'
            scan.qc = rows
        scan.dictionaries[place] = _read_json(path.with_suffix('.json'))
        if scan.key not in scans:
            scans[scan.key] = scan
            _describe(scan, path.parent, output_dir, people.get(scan.participant, {}))
    return sorted(scans.values(), key=lambda s: natural(s.key)), unreadable


def read_people(participants_tsv: Path | None) -> dict[str, Row]:
    """Return the rows of participants.tsv by label without ``sub-``; empty without a table."""
    if participants_tsv is None or not Path(participants_tsv).is_file():
        return {}
    rows = read_table(Path(participants_tsv))
    return {
        row['participant_id'].removeprefix('sub-'): row
        for row in rows
        if row.get('participant_id')
    }


def natural(text: str) -> tuple:
    """Return a sort key that orders numbers inside names by value.

    Examples
    --------
    >>> sorted(['sub-10', 'sub-9', 'sub-A'], key=natural)
    ['sub-9', 'sub-10', 'sub-A']
    """
    return tuple(
        (0, int(part), part) if part.isdigit() else (1, 0, part)
        for part in re.split(r'(\d+)', text)
        if part
    )


def _describe(scan: Scan, folder: Path, output_dir: Path, person: Row) -> None:
    """Fill in what the sidecar of the map, the record and participants.tsv say."""
    sidecar = _read_json(folder / f'{scan.key}_Chimap.json')
    scan.age = number(sidecar.get('AgeYears'))
    if scan.age != scan.age:
        scan.age = number(str(person.get('age', '')).removesuffix('+'))
    scan.sex = _known(person.get('sex'))
    scan.reference = str(sidecar.get('SusceptibilityReference', ''))
    scan.reference_value = number(sidecar.get('SusceptibilityReferenceValue'))
    made_by = sidecar.get('GeneratedBy')
    if isinstance(made_by, list) and made_by and isinstance(made_by[0], dict):
        scan.version = str(made_by[0].get('Version', ''))
    record = _read_json(output_dir / record_path(scan.participant, scan.key, 'atlas'))
    scan.version = scan.version or str(_inside(record, 'settings', 'software', 'qsmbids') or '')
    scan.cohort = str(_inside(record, 'facts', 'atlas', 'cohort') or '')
    scan.curve_offset = number(_inside(record, 'facts', 'atlas', 'curve_offset_ppm'))


def _inside(content: Any, *keys: str) -> Any:
    """Follow keys through nested mappings; None where the way ends."""
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content


def _known(value: Any) -> str:
    text = str(value or '')
    return '' if text == 'n/a' else text


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}  # optional information: the tables stand without it
    return content if isinstance(content, dict) else {}
