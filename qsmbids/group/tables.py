"""Merging the tables of all scans into one long table for each atlas and map."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qsmbids.bids.dataset import write_table
from qsmbids.group.collect import Scan
from qsmbids.group.missing import Missing

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
_MISSING_COLUMNS: tuple[Column, ...] = (
    ('participant_id', '', 'Participant'),
    ('acquisition', '', 'All entities of the acquisition; n/a: the whole participant'),
    ('reason', '', 'What the newest run recorded'),
)


def write_tables(
    output_dir: Path, scans: Sequence[Scan], missing: Sequence[Missing]
) -> tuple[list[Path], int]:
    """Write the merged tables with their data dictionaries.

    Returns
    -------
    written : list of Path
    n_rows : int
        Rows of all region tables of susceptibility.
    """
    written, n_rows = [], 0
    places = sorted({place for scan in scans for place in scan.regions})
    for atlas, suffix in places:
        rows, columns = merge(scans, (atlas, suffix))
        path = output_dir / f'group_atlas-{atlas}_{suffix}.tsv'
        write_table(path, rows, columns)
        written += [path, path.with_suffix('.json')]
        n_rows += len(rows) * (suffix == 'Chimap')
    if any(scan.qc for scan in scans):
        rows, columns = merge(scans, 'qc')
        path = output_dir / 'group_desc-qc_Chimap.tsv'
        write_table(path, rows, columns)
        written += [path, path.with_suffix('.json')]
    path = output_dir / 'group_missing.tsv'
    write_table(
        path,
        [
            {'participant_id': m.participant_id, 'acquisition': m.acquisition, 'reason': m.reason}
            for m in missing
        ],
        _MISSING_COLUMNS,
    )
    return [*written, path, path.with_suffix('.json')], n_rows


def merge(
    scans: Sequence[Scan], place: tuple[str, str] | str
) -> tuple[list[dict[str, Any]], list[Column]]:
    """Return the rows of one kind of table of all scans, and the columns.

    Parameters
    ----------
    place : (atlas, suffix) or 'qc'
    """
    merged: list[dict[str, Any]] = []
    own: dict[str, Column] = {}  # in the order in which they first appear
    for scan in scans:
        rows = scan.qc if place == 'qc' else scan.regions.get(place, [])
        dictionary = scan.dictionaries.get(place, {})
        about = scan_cells(scan)
        for row in rows:
            merged.append({**about, **row})
            for name in row:
                if name not in own:
                    entry = dictionary.get(name)
                    entry = entry if isinstance(entry, dict) else {}
                    own[name] = (name, entry.get('Units', ''), entry.get('Description', ''))
    shared = [column for column in SCAN_COLUMNS if column[0] not in own]
    return merged, [*shared, *own.values()]


def scan_cells(scan: Scan) -> dict[str, Any]:
    """Return the cells that describe a scan."""
    session = scan.entities.get('ses', '')
    return {
        'participant_id': f'sub-{scan.participant}',
        'session_id': f'ses-{session}' if session else '',
        'acquisition': scan.key,
        'age': scan.age,
        'sex': scan.sex,
        'cohort': scan.cohort,
        'reference': scan.reference,
        'reference_value': scan.reference_value,
        'version': scan.version,
    }
