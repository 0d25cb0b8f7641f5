"""What is known of each scan: sidecar of the map, record of the run, tables of people.

The age is that of the sidecar, by which the participant level chose the atlas; without one that
of the sessions table, then that of participants.tsv.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qsmbids.bids.names import record_path
from qsmbids.group.files import ScanFiles, read_json, read_json_once
from qsmbids.group.findings import OLDEST_YEARS, Findings
from qsmbids.group.people_tables import PeopleTable
from qsmbids.report.values import number

if TYPE_CHECKING:
    import pandas as pd

AGE_TOLERANCE_YEARS = 0.5
MHZ_PER_TESLA = 42.577478518
COLUMNS = (
    'key', 'participant_id', 'session_id', 'age', 'sex', 'site', 'field_strength_t', 'reference',
    'reference_value', 'units', 'version', 'cohort', 'curve_offset', 'page', 'acq_time',
    'primary', 'first_session',
)  # fmt: skip
_TAKEN = ('age', 'sex', 'site', 'acq_time')  # columns of people that have a place above


def scan_frame(
    output_dir: Path,
    files: Sequence[ScanFiles],
    people: PeopleTable,
    sessions: Mapping[str, PeopleTable],
    findings: Findings,
    measured: Sequence[bool],
) -> pd.DataFrame:
    """Return one row for each scan.

    Parameters
    ----------
    output_dir : Path
    files : sequence of ScanFiles
        In natural order; ``sex_given`` is filled in.
    people : PeopleTable
        participants.tsv; empty when there is none.
    sessions : mapping
        Participant with ``sub-`` to the sessions table.
    findings : Findings
        Receives what is wrong.
    measured : sequence of bool
        Whether a table of susceptibility of the scan has a mean in any region.

    Returns
    -------
    DataFrame
        COLUMNS and the further columns of the tables. A column is of numbers if every known
        value is one. One that has a name of COLUMNS gets ``_given`` after its name.
    """
    import pandas as pd

    further = _further_columns(people, sessions, findings)
    rows = []
    for one in files:
        participant, session = f'sub-{one.participant}', one.session and f'ses-{one.session}'
        table = sessions.get(participant, PeopleTable(''))
        sources = ((table, session), (people, participant))
        sidecar = read_json(one.folder / f'{one.key}_Chimap.json')
        one.sex_given = _cell(sources, 'sex')
        rows.append(
            {
                'key': one.key,
                'participant_id': participant,
                'session_id': session,
                'age': _age(sidecar, sources, one.key, findings),
                'sex': next((t.sexes[k] for t, k in sources if k in t.sexes), ''),
                'site': _cell(sources, 'site'),
                'acq_time': _time(sidecar, sources, participant, findings),
                'page': f'{participant}.html',
                **_of_map(output_dir, one, sidecar),
                **{new: _cell(sources, name.lower()) for name, new in further.items()},
            }
        )
    if not rows:
        return pd.DataFrame(columns=list(COLUMNS))
    frame = pd.DataFrame(rows)
    for column in further.values():
        frame[column] = _as_numbers(column, frame[column], findings)
    # 0 with values, 1 with a table in which all means are n/a, 2 without a table
    lacking = [(not m) + (not one.has_chi) for one, m in zip(files, measured, strict=True)]
    frame['primary'] = first_runs(files, lacking)
    frame['first_session'] = first_sessions(frame, lacking)
    return frame[[*COLUMNS, *further.values()]]


def first_runs(files: Sequence[ScanFiles], lacking: Sequence[int]) -> list[bool]:
    """Mark the first acquisition of each person and session among those that lack least."""
    chosen: dict[tuple[str, str], str] = {}
    for i in sorted(range(len(files)), key=lambda i: lacking[i]):  # stable: keeps natural order
        chosen.setdefault((files[i].participant, files[i].session), files[i].key)
    firsts = set(chosen.values())
    return [one.key in firsts for one in files]


def first_sessions(frame: pd.DataFrame, lacking: Sequence[int]) -> list[bool]:
    """Mark the scans of the earliest session of each person, by time, age or label.

    Only sessions whose best scan lacks least are compared, in the order of `earliest`.
    """
    by_person: dict[str, dict[str, list[int]]] = {}
    for i, (person, session) in enumerate(
        zip(frame['participant_id'], frame['session_id'], strict=True)
    ):
        by_person.setdefault(person, {}).setdefault(session, []).append(i)
    marked = [False] * len(frame)
    times, ages = list(frame['acq_time']), list(frame['age'])
    for sessions in by_person.values():
        least = min(lacking[i] for rows in sessions.values() for i in rows)
        candidates = [rows for rows in sessions.values() if any(lacking[i] == least for i in rows)]
        when = [min((times[i] for i in rows if times[i]), default='') for rows in candidates]
        old = [min(ages[i] for i in rows) for rows in candidates]
        for i in candidates[earliest(when, old)]:
            marked[i] = True
    return marked


def earliest(times: Sequence[str], ages: Sequence[float]) -> int:
    """Return the position of the earliest of some sessions of one person.

    The time of acquisition decides if every session has one, else the age if all differ, else
    their order, which is the natural one of the labels.

    Examples
    --------
    >>> earliest(['2020-01-02', '2018-01-02'], [30.0, 30.0])
    1
    >>> earliest(['', '2018-01-02'], [30.0, 32.0]), earliest(['', ''], [30.0, 30.0])
    (0, 0)
    """
    order: list[Any] = [_moment(str(text)) for text in times]
    if None in order:
        known = all(math.isfinite(age) for age in ages) and len(set(ages)) == len(ages)
        order = list(ages) if known else list(range(len(ages)))
    return order.index(min(order))


def _of_map(output_dir: Path, one: ScanFiles, sidecar: Mapping[str, Any]) -> dict[str, Any]:
    record = read_json(output_dir / record_path(one.participant, one.key, 'atlas'))
    made_by = sidecar.get('GeneratedBy')
    version = ''
    if isinstance(made_by, list) and made_by and isinstance(made_by[0], dict):
        version = str(made_by[0].get('Version', ''))
    frequency = number(sidecar.get('ImagingFrequency'))
    field = number(sidecar.get('MagneticFieldStrength'))
    return {
        'field_strength_t': frequency / MHZ_PER_TESLA if math.isnan(field) else field,
        'reference': str(sidecar.get('SusceptibilityReference') or ''),
        'reference_value': number(sidecar.get('SusceptibilityReferenceValue')),
        'units': str(sidecar.get('Units') or _unit_of_table(one)),
        'version': version or str(_inside(record, 'settings', 'software', 'qsmbids') or ''),
        'cohort': str(_inside(record, 'facts', 'atlas', 'cohort') or ''),
        'curve_offset': number(_inside(record, 'facts', 'atlas', 'curve_offset_ppm')),
    }


def _unit_of_table(one: ScanFiles) -> str:
    for (_, suffix), path in sorted(one.regions.items()):
        if suffix == 'Chimap':
            return str(_inside(read_json_once(path.with_suffix('.json')), 'mean', 'Units') or '')
    return ''


def _age(
    sidecar: Mapping[str, Any], sources: Sequence[tuple[PeopleTable, str]], key: str,
    findings: Findings,
) -> float:  # fmt: skip
    in_tables = next((t.ages[k] for t, k in sources if k in t.ages), math.nan)
    given = number(sidecar.get('AgeYears'))
    if math.isnan(given):
        return in_tables
    if not 0 <= given <= OLDEST_YEARS:
        findings.add('age_range', 'the sidecars of the maps', key, f'{given:g}')
        return in_tables
    (table, session), _ = sources
    # participants.tsv has one age, and a person with sessions several
    nearest = in_tables if not session else table.ages.get(session, math.nan)
    if abs(given - nearest) > AGE_TOLERANCE_YEARS:
        findings.add('age_differs', 'the tables', key, f'{given:g} and {nearest:g}')
    return given


def _cell(sources: Sequence[tuple[PeopleTable, str]], name: str) -> str:
    """Return the first known cell of a column (its name in lower case)."""
    for table, key in sources:
        found = table.rows.get(key, {}).get(table.column(name), '')
        if found:
            return found
    return ''


def _time(
    sidecar: Mapping[str, Any], sources: Sequence[tuple[PeopleTable, str]], participant: str,
    findings: Findings,
) -> str:  # fmt: skip
    text = _cell(sources, 'acq_time') or str(sidecar.get('AcquisitionDateTime') or '')
    if text and _moment(text) is None:
        findings.add('time_text', sources[0][0].name or 'the sidecars', participant, text)
        return ''
    return text


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return None


def _further_columns(
    people: PeopleTable, sessions: Mapping[str, PeopleTable], findings: Findings
) -> dict[str, str]:
    """Return the further columns of the tables with the names they get, all different."""
    found: dict[str, str] = {}
    spellings: set[str] = set()
    tables = (people, *sessions.values())
    used = {name.lower() for table in tables for name in table.columns}
    reserved = {*COLUMNS, 'acquisition'}  # what group_scans.tsv calls the key
    for table in tables:
        for name in table.columns:
            if not name or name.lower() in (*_TAKEN, *spellings):
                continue
            spellings.add(name.lower())
            found[name] = name
            if name in reserved:
                found[name] += '_given'
                while found[name].lower() in used:  # the tables may have key_given as well
                    found[name] += '_given'
                findings.add('taken_name', table.name, f'{name} is {found[name]}')
    return found


def _as_numbers(name: str, texts: pd.Series, findings: Findings) -> pd.Series:
    """Return the column as numbers if every known value is one."""
    import pandas as pd

    values = [number(text) for text in texts]
    known = [text for text in texts if text]
    words = list(
        dict.fromkeys(t for t, v in zip(texts, values, strict=True) if t and not math.isfinite(v))
    )
    if known and not words:
        return pd.Series(values, index=texts.index, dtype=float)
    n_words = sum(map(set(words).__contains__, known))
    if words and n_words < len(known) / 2:
        for word in words:
            findings.add('few_words', 'the tables of people', name, word)
    return texts


def _inside(content: Any, *keys: str) -> Any:
    """Follow keys through nested mappings; None where the way ends."""
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content
