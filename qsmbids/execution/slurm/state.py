"""The record of everything that was submitted from one work folder."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from qsmbids.execution.slurm.errors import SlurmError
from qsmbids.execution.slurm.resources import Request

FOLDER = 'slurm'
RECORD = 'submissions.json'
GROUP = 'group'  # the name under which the group level is traced
_FORMAT = 1


@dataclass(frozen=True)
class Submission:
    """One array, or the job of the group level.

    Parameters
    ----------
    number : int
        From 1; its files are in the folder of that name.
    job_name : str
        Unique, so that the job is found when its number could not be noted any more.
    job_id : str
        Number that the scheduler gave, or '' when it is not known.
    kind : str
        'array' or 'group'.
    elements : tuple of tuple of str
        Names in each element.
    request : Request
    time : str
        When, in ISO form.
    command : str
        What the person wrote.
    options : str
        What was asked of the program, as far as it decides what comes out.
    """

    number: int
    job_name: str
    job_id: str
    kind: str
    elements: tuple[tuple[str, ...], ...]
    request: Request
    time: str
    command: str
    options: str

    def element_of(self, name: str) -> int:
        """Return the element (from 1) of a name; 0 if it is not in it."""
        return self._places.get(name, 0)

    @property
    def _places(self) -> Mapping[str, int]:
        places = self.__dict__.get('places')
        if places is None:
            places = {n: i for i, names in enumerate(self.elements, 1) for n in names}
            self.__dict__['places'] = places  # frozen, but worth remembering
        return places


@dataclass(frozen=True)
class State:
    """What was planned last, and all submissions, oldest first.

    Parameters
    ----------
    plan : mapping
        Of the caller: for each name what it takes to judge it, and more.
    submissions : tuple of Submission
    """

    plan: Mapping[str, Any] = field(default_factory=dict)
    submissions: tuple[Submission, ...] = ()

    def with_submission(self, new: Submission) -> State:
        """Return a state with a submission added, or replaced if its number is known."""
        others = tuple(s for s in self.submissions if s.number != new.number)
        return replace(self, submissions=tuple(sorted((*others, new), key=lambda s: s.number)))

    @property
    def next_number(self) -> int:
        """The number of a new submission."""
        return 1 + max((s.number for s in self.submissions), default=0)


def folder_of(work_dir: Path, number: int = 0) -> Path:
    """Return the folder of all files about jobs, or that of one submission."""
    base = work_dir / FOLDER
    return base / f'{number:03d}' if number else base


def load(work_dir: Path) -> State:
    """Read the record; an empty state if nothing was submitted yet.

    Raises
    ------
    SlurmError
        If it cannot be read: to go on without it could start people twice.
    """
    path = folder_of(work_dir) / RECORD
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        submissions = tuple(
            Submission(
                **{
                    **one,
                    'elements': tuple(tuple(names) for names in one['elements']),
                    'request': Request(**one['request']),
                }
            )
            for one in content['submissions']
        )
        return State(content['plan'], submissions)
    except FileNotFoundError:
        return State()
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise SlurmError(
            f'{path} cannot be read: {error}\n'
            'It tells which jobs were submitted for whom.\n'
            'See with squeue that none of them is left, then remove the file.'
        ) from None


def save(work_dir: Path, state: State) -> None:
    """Write the record; it is replaced in one step."""
    content = {
        'format': _FORMAT,
        'plan': state.plan,
        'submissions': [asdict(submission) for submission in state.submissions],
    }
    write_text(folder_of(work_dir) / RECORD, json.dumps(content, indent=1) + '\n')


def write_text(path: Path, text: str) -> None:
    """Write a file under a temporary name, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.')
    try:
        with os.fdopen(handle, 'w', encoding='utf-8') as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())  # it must be on the disk before a job is submitted
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
