"""Who has no regional values, and why.

The reason is what the newest run of that participant recorded in ``log/<run>/status.json``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qsmbids.group.files import ScanFiles, natural


@dataclass(frozen=True)
class Missing:
    """One participant or acquisition without values.

    Parameters
    ----------
    participant_id : str
        With ``sub-``.
    acquisition : str
        Key of the acquisition, or '' when the participant has none.
    reason : str
        One line.
    """

    participant_id: str
    acquisition: str
    reason: str

    def __str__(self) -> str:
        """Return name and reason."""
        return f'{self.acquisition or self.participant_id}: {self.reason}'


def find_missing(
    output_dir: Path,
    scans: Sequence[ScanFiles],
    *,
    people: Iterable[str] = (),
    expected: Iterable[str] | None = None,
    labels: Collection[str] = (),
) -> list[Missing]:
    """List participants and acquisitions without a table of regional susceptibility.

    Parameters
    ----------
    output_dir : Path
    scans : sequence of ScanFiles
        What was found.
    people : iterable of str
        Labels of participants.tsv.
    expected : iterable of str, optional
        Labels that should be there; by default ``people`` and every folder of the output.
    labels : collection of str
        Restricts the participants; empty means all.
    """
    if expected is None:
        folders = (p.name.removeprefix('sub-') for p in output_dir.glob('sub-*') if p.is_dir())
        wanted = {*people, *folders, *(scan.participant for scan in scans)}
    else:
        wanted = {label.removeprefix('sub-') for label in expected}
    if labels:
        wanted &= set(labels)
    with_values: dict[str, set[str]] = {}
    for scan in scans:
        if scan.has_chi:
            with_values.setdefault(scan.participant, set()).add(scan.key)
    found: list[Missing] = []
    for label in sorted(wanted, key=natural):
        status = newest_status(output_dir / f'sub-{label}')
        found += _of_participant(output_dir, label, status, with_values.get(label, set()))
    return found


def newest_status(folder: Path) -> dict[str, Any] | None:
    """Return the status of the newest run of a participant, None when there is none.

    Run identifiers begin with date and time, so the newest is the last by name.
    """
    for path in sorted(folder.glob('log/*/status.json'), reverse=True):
        try:
            content = json.loads(path.read_text(encoding='utf-8'))
        except (OSError, ValueError):
            continue  # a run that was killed while writing: ask the one before
        if isinstance(content, dict):
            return content
    return None


def _of_participant(
    output_dir: Path, label: str, status: Mapping[str, Any] | None, have: set[str]
) -> list[Missing]:
    name = f'sub-{label}'
    acquisitions = (status or {}).get('acquisitions')
    acquisitions = acquisitions if isinstance(acquisitions, Mapping) else {}
    found = []
    for key in sorted(acquisitions, key=natural):
        entry = acquisitions[key] if isinstance(acquisitions[key], Mapping) else {}
        failed = entry.get('status') == 'failed'
        message = _one_line(entry.get('message'))
        if failed and key in have:
            reason = f'the last run failed, values are of an earlier one: {message}'
        elif failed:
            reason = message or 'failed without a message'
        elif key not in have:
            reason = 'finished without regions (no phase, or reconstruction only)'
        else:
            continue
        found.append(Missing(name, key, reason))
    if found or have:
        return found
    return [Missing(name, '', _reason(output_dir, name, status))]


def _reason(output_dir: Path, name: str, status: Mapping[str, Any] | None) -> str:
    if status is None:
        if not (output_dir / name).is_dir():
            return 'the participant level has not been run'
        return 'no table of regions and no record of a run'
    issues = status.get('issues')
    issues = issues if isinstance(issues, list) else []
    errors = [i for i in issues if not isinstance(i, Mapping) or i.get('severity') == 'error']
    texts = [_one_line(i.get('what') if isinstance(i, Mapping) else i) for i in errors or issues]
    return '; '.join(text for text in texts if text) or 'nothing usable was found'


def _one_line(text: Any) -> str:
    return ' '.join(str(text or '').split())
