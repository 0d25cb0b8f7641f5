"""The cohort: everything that the group level knows, read once from the output folder.

Row ``i`` of :attr:`Cohort.scans` is row ``i`` of every array of :attr:`Cohort.tables`. A scan is
one acquisition (``sub-01_ses-1_run-2``); a person may have several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbids.group.checks import compare_scans, not_listed
from qsmbids.group.files import ScanFiles, find_files, first_line, read_json
from qsmbids.group.findings import Findings
from qsmbids.group.lesion_tables import read_small
from qsmbids.group.missing import Missing, find_missing
from qsmbids.group.people_tables import PeopleTable, read_people
from qsmbids.group.problems import Problem
from qsmbids.group.region_reader import read_regions
from qsmbids.group.region_table import RegionTable
from qsmbids.group.scan_facts import scan_frame

if TYPE_CHECKING:
    import pandas as pd

__all__ = ['Cohort', 'RegionTable', 'read_cohort']


@dataclass
class Cohort:
    """All scans of an output folder with their tables, and what is wrong with them.

    Parameters
    ----------
    scans : DataFrame
        One row for each acquisition, in natural order of ``key``: key, participant_id,
        session_id, age (years), sex ('F', 'M', 'O' or ''), site, field_strength_t, reference,
        reference_value, units, version, cohort (age bin of the atlas), curve_offset (ppm),
        page, acq_time, primary, first_session, and every further column of participants.tsv
        and the sessions tables. Text that is not known is '', numbers are NaN.
    tables : dict
        (atlas, suffix) to :class:`RegionTable`.
    lesions : DataFrame
        All marked lesions, one row each: key, participant_id, session_id, marking, and the
        columns of the lesion tables.
    missing : tuple of Missing
        Participants and acquisitions without regional susceptibility.
    problems : list of Problem
        What was found on the way; an analysis may append its own.
    veins : DataFrame
        All marked veins, as ``lesions``.
    qc : DataFrame
        The quality numbers: key, participant_id, session_id, and the columns of those tables.
    files : tuple of ScanFiles
        Where the tables of each scan lie, which the merged tables are made of.
    """

    scans: pd.DataFrame
    tables: dict[tuple[str, str], RegionTable]
    lesions: pd.DataFrame
    missing: tuple[Missing, ...] = ()
    problems: list[Problem] = field(default_factory=list)
    veins: pd.DataFrame | None = None
    qc: pd.DataFrame | None = None
    files: tuple[ScanFiles, ...] = ()

    def one_each(self) -> np.ndarray:
        """Return a mask with one scan of each person: first session, first run, with values."""
        return self.scans['primary'].to_numpy(bool) & self.scans['first_session'].to_numpy(bool)

    def select(self, scans: Any) -> Cohort:
        """Return the cohort of some scans (a mask or indices)."""
        chosen = np.arange(len(self.scans))[scans]
        frame = self.scans.iloc[chosen].reset_index(drop=True)
        keys = set(frame['key'])

        def of_these(rows: pd.DataFrame | None) -> pd.DataFrame | None:
            if rows is None or rows.empty:
                return rows
            return rows[rows['key'].isin(keys)].reset_index(drop=True)

        return replace(
            self,
            scans=frame,
            tables={place: table.select(chosen) for place, table in self.tables.items()},
            lesions=of_these(self.lesions),
            veins=of_these(self.veins),
            qc=of_these(self.qc),
            files=tuple(self.files[i] for i in chosen) if self.files else (),
        )


def read_cohort(
    output_dir: Path,
    *,
    participants_tsv: Path | None = None,
    sessions: Path | None = None,
    labels: Sequence[str] = (),
    expected: Sequence[str] | None = None,
) -> Cohort:
    """Read every table of an output folder.

    Parameters
    ----------
    output_dir : Path
        Where the participant level wrote.
    participants_tsv : Path, optional
        Of the raw dataset. Without one nobody is missed but those with a folder.
    sessions : Path, optional
        Folder with ``sub-<label>/sub-<label>_sessions.tsv``; by default that of
        participants.tsv.
    labels : sequence of str
        Restricts the participants, with or without ``sub-``; empty means all.
    expected : sequence of str, optional
        Labels that should be there, instead of participants.tsv and the folders found.

    Returns
    -------
    Cohort
        With no scan if the folder holds no table; nothing is raised for broken files.
    """
    output_dir = Path(output_dir)
    wanted = {label.removeprefix('sub-') for label in labels}
    findings = Findings()
    problems: list[Problem] = []
    people = _participants(participants_tsv, wanted, findings, problems)
    files = find_files(output_dir, wanted)
    tables: dict[tuple[str, str], RegionTable] = {}
    for place in sorted({place for one in files for place in one.regions}):
        tables[place], found = read_regions(files, place)
        problems += found
    qc, found = read_small(files, 'qc')
    problems += found
    lesions, found = read_small(files, 'lesions')
    problems += found
    veins, found = read_small(files, 'veins')
    problems += found
    kept = np.array([not one.is_empty for one in files], bool)
    files = [one for one in files if not one.is_empty]
    if sessions is None and participants_tsv is not None:
        sessions = Path(participants_tsv).parent
    by_person = _sessions(sessions, files, findings, problems)
    scans = scan_frame(output_dir, files, people, by_person, findings, _measured(tables, kept))
    known = [key.removeprefix('sub-') for key in people.rows]
    missing = find_missing(output_dir, files, people=known, expected=expected, labels=wanted)
    problems = [
        *findings.problems(),
        *not_listed(scans, people),
        *compare_scans(scans, files),
        *problems,
    ]
    return Cohort(
        scans=scans,
        tables={
            place: table if kept.all() else table.select(kept)
            for place, table in tables.items()
            if np.any([place in one.regions for one in files])
        },
        lesions=lesions,
        missing=tuple(missing),
        problems=problems,
        veins=veins,
        qc=qc,
        files=tuple(files),
    )


def _measured(tables: dict[tuple[str, str], RegionTable], kept: np.ndarray) -> list[bool]:
    """Tell which of the scans that are kept have a mean susceptibility in any region."""
    found = np.zeros(len(kept), bool)
    for (_, suffix), table in tables.items():
        if suffix == 'Chimap' and 'mean' in table.values:
            found |= np.isfinite(table.values['mean']).any(axis=1)
    return found[kept].tolist()


def _participants(
    path: Path | None, labels: set[str], findings: Findings, problems: list[Problem]
) -> PeopleTable:
    if path is None or not Path(path).is_file():
        return PeopleTable('participants.tsv')
    try:
        return read_people(Path(path), 'participant_id', findings, labels)
    except (OSError, ValueError) as error:
        problems.append(_unused(Path(path).name, error))
        return PeopleTable('participants.tsv')


def _sessions(
    folder: Path | None, files: Sequence[ScanFiles], findings: Findings, problems: list[Problem]
) -> dict[str, PeopleTable]:
    """Return the sessions table of each participant with sessions, if there is one."""
    if folder is None:
        return {}
    shared = read_json(Path(folder) / 'sessions.json')
    found = {}
    for participant in dict.fromkeys(f'sub-{one.participant}' for one in files if one.session):
        path = Path(folder) / participant / f'{participant}_sessions.tsv'
        if path.is_file():
            try:
                found[participant] = read_people(path, 'session_id', findings, dictionary=shared)
            except (OSError, ValueError) as error:
                problems.append(_unused(path.name, error))
    return found


def _unused(name: str, error: Exception) -> Problem:
    return Problem(
        f'{name} cannot be used: {first_line(error)}',
        'Ages, sexes and groups are looked up there.',
        'Repair the file.',
        name,
        'error',
    )
