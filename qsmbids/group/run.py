"""The group level: merged tables, who is missing, and a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qsmbids.group.collect import collect, read_people
from qsmbids.group.missing import Missing, find_missing
from qsmbids.group.page import write_group_page
from qsmbids.group.tables import write_tables


class NothingFoundError(ValueError):
    """There is no table to merge."""


@dataclass(frozen=True)
class GroupResult:
    """What the group level did.

    Parameters
    ----------
    n_rows : int
        Rows of regional susceptibility that were merged.
    written : tuple of Path
        Tables, dictionaries and the page.
    missing : tuple of Missing
        Participants and acquisitions without values; ``str()`` of one is a line.
    unreadable : tuple of str
        One line for each table that could not be read.
    """

    n_rows: int
    written: tuple[Path, ...]
    missing: tuple[Missing, ...]
    unreadable: tuple[str, ...] = ()


def run_group(
    output_dir: Path,
    *,
    participants_tsv: Path | None = None,
    participant_labels: Sequence[str] = (),
    version: str,
    expected: Sequence[str] | None = None,
) -> GroupResult:
    """Merge the tables of all participants and write the group page.

    Nothing is computed anew and nothing but the output folder and participants.tsv is read.
    Running it again on the same folder gives the same bytes.

    Parameters
    ----------
    output_dir : Path
        Where the participant level wrote.
    participants_tsv : Path, optional
        Of the raw dataset: who should be there; sex, and ages that no sidecar has.
    participant_labels : sequence of str
        Restricts the rows; with or without ``sub-``.
    version : str
        Of this program, printed on the page.
    expected : sequence of str, optional
        Labels that should be there, instead of participants.tsv and the folders found.

    Raises
    ------
    NothingFoundError
        If there is no region table and no quality table.
    """
    output_dir = Path(output_dir)
    labels = {label.removeprefix('sub-') for label in participant_labels}
    people = read_people(participants_tsv)
    scans, unreadable = collect(output_dir, people, labels)
    if not scans:
        of_whom = f' of {", ".join(sorted(labels))}' if labels else ''
        raise NothingFoundError(
            f'{output_dir} holds no region table and no quality table{of_whom}.\n'
            'The group level merges what the participant level wrote.\n'
            'Run the participant level first, into the same output folder.'
        )
    missing = find_missing(output_dir, scans, people=people, expected=expected, labels=labels)
    written, n_rows = write_tables(output_dir, scans, missing)
    page = output_dir / 'group.html'
    write_group_page(page, scans, missing, written, unreadable=unreadable, version=version)
    return GroupResult(n_rows, (*written, page), tuple(missing), tuple(unreadable))
