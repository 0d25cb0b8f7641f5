"""Reading the small tables of all scans: marked lesions, marked veins, quality numbers.

A lesion table may have no rows: somebody looked and saw none, which is a finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qsmbids.group.files import ScanFiles, first_line, read_lines
from qsmbids.group.people_tables import MISSING
from qsmbids.group.problems import Problem
from qsmbids.group.region_reader import unreadable_table
from qsmbids.report.values import number

if TYPE_CHECKING:
    import pandas as pd


def paths_of(one: ScanFiles, kind: str) -> Iterator[tuple[str, Path]]:
    """Yield label and path of the tables of a kind: 'lesions', 'veins' or 'qc'.

    The label of quality tables is ''.
    """
    if kind == 'qc':
        if one.qc is not None:
            yield '', one.qc
        return
    for (found, label), path in sorted(one.markings.items()):
        if found == kind:
            yield label, path


def read_small(files: Sequence[ScanFiles], kind: str) -> tuple[pd.DataFrame, list[Problem]]:
    """Read all tables of a kind into one frame.

    Parameters
    ----------
    files : sequence of ScanFiles
        A table that cannot be read is taken out of it.
    kind : str
        'lesions', 'veins' or 'qc'.

    Returns
    -------
    frame : DataFrame
        key, participant_id, session_id, marking (the label in the file name; not for 'qc'), and
        the columns of the tables: numbers if every known cell of a column is one, else text
        with '' for what is not known.
    problems : list of Problem
    """
    import pandas as pd

    about = ['key', 'participant_id', 'session_id', *(['marking'] if kind != 'qc' else [])]
    rows: list[dict[str, str]] = []
    columns: dict[str, None] = dict.fromkeys(about)
    problems = []
    for one in files:
        for label, path in list(paths_of(one, kind)):
            try:
                heading, *lines = read_lines(path).decode()[:-1].split('\n')
            except (OSError, ValueError) as error:
                problems.append(unreadable_table(path.name, first_line(error)))
                _forget(one, kind, label)
                continue
            names = heading.split('\t')
            columns.update(dict.fromkeys(names))
            who = {
                'key': one.key,
                'participant_id': f'sub-{one.participant}',
                'session_id': one.session and f'ses-{one.session}',
                'marking': label,
            }
            rows += [dict(zip(names, line.split('\t'), strict=False)) | who for line in lines]
    cells = {name: [_known(row.get(name, '')) for row in rows] for name in columns}
    return pd.DataFrame(
        {name: texts if name in about else _numbers(texts) for name, texts in cells.items()}
    ), problems


def count_markings(files: Sequence[ScanFiles], frame: pd.DataFrame, kind: str) -> list[dict]:
    """Return how many lesions or veins each table has, those with none, too."""
    counts = frame.groupby(['key', 'marking']).size().to_dict() if len(frame) else {}
    volumes = (
        frame.groupby(['key', 'marking'])['volume_mm3'].sum().to_dict()
        if len(frame) and 'volume_mm3' in frame
        else {}
    )
    return [
        {
            'key': one.key,
            'kind': kind,
            'marking': label,
            'n': int(counts.get((one.key, label), 0)),
            'volume_mm3': float(volumes.get((one.key, label), 0.0)),
        }
        for one in files
        for label, _ in paths_of(one, kind)
    ]


def _forget(one: ScanFiles, kind: str, label: str) -> None:
    if kind == 'qc':
        one.qc = None
    else:
        del one.markings[kind, label]


def _known(text: str) -> str:
    return '' if text.lower() in MISSING else text


def _numbers(texts: list[str]) -> list[str] | list[float]:
    values = [number(text) for text in texts]
    is_text = any(t and v != v for t, v in zip(texts, values, strict=True))
    return texts if is_text or not any(texts) else values
