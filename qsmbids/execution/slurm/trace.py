"""What happened to each person, written by the array elements themselves.

The scheduler forgets a job after minutes, and many sites keep no accounting. So the program
that starts a person appends a line when it begins and one when it ends, to a file that only
one element at a time can hold: the lock is the kernel's and is held by the started program,
too. A beginning without an end means that everything was killed.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

FOLDER = 'trace'


@dataclass(frozen=True)
class Attempt:
    """One attempt at one person.

    Parameters
    ----------
    job : str
        ``17_3``: array and element.
    host : str
    start, end : str
        Local times in ISO form; no end when nobody was left to write it.
    exit_code : int or None
        Of the program; negative is the signal that killed it.
    memory : bool
        Whether the system killed a process of this job for memory.
    stopped : str
        'time' or 'cancelled' when the scheduler asked it to stop, else ''.
    """

    job: str
    host: str
    start: str
    end: str = ''
    exit_code: int | None = None
    memory: bool = False
    stopped: str = ''


class Busy(RuntimeError):
    """Another element has this person in hand."""


class Recorder:
    """Append events to the trace of one person, and keep others away meanwhile.

    Parameters
    ----------
    folder : Path
        Where the traces are.
    name : str
        ``sub-01``.

    Raises
    ------
    Busy
        On entering, when another element holds it.
    """

    def __init__(self, folder: Path, name: str):
        self.path = folder / f'{name}.jsonl'
        self._handle = -1

    def __enter__(self) -> Recorder:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._handle)
            raise Busy(str(self.path)) from None
        except OSError:
            pass  # a file system without locks: the program's own check is left
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)  # the program that was started may still hold it

    def fileno(self) -> int:
        """Return the handle, to be passed on to the program: the lock then is its own too."""
        return self._handle

    def write(self, event: Mapping[str, Any]) -> None:
        """Append one event in one piece, with the time."""
        now = datetime.now().isoformat(timespec='milliseconds')
        line = json.dumps({**event, 'time': now}) + '\n'
        # a line of a killed writer may be without its end
        size = os.fstat(self._handle).st_size
        if size and os.pread(self._handle, 1, size - 1) != b'\n':
            line = '\n' + line
        os.write(self._handle, line.encode())


def attempts(folder: Path, name: str) -> list[Attempt]:
    """Return all attempts at a person, oldest first; lines that are not whole are left out."""
    try:
        text = (folder / f'{name}.jsonl').read_text(encoding='utf-8')
    except OSError:
        return []
    found: list[Attempt] = []
    for line in text.splitlines():
        try:
            event = json.loads(line)
            if event['event'] == 'start':
                found.append(Attempt(str(event['job']), str(event['host']), str(event['time'])))
            elif found and event['event'] == 'end' and event['job'] == found[-1].job:
                found[-1] = Attempt(
                    found[-1].job, found[-1].host, found[-1].start, str(event['time']),
                    int(event['exit_code']), bool(event['memory']), str(event['stopped']),
                )  # fmt: skip
        except (ValueError, LookupError, TypeError):
            continue
    return found
