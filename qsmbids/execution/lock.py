"""One owner of a work folder at a time."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from types import TracebackType

STALE_S = 24 * 3600.0  # a lock of another host that was not refreshed for a day is dead


class WorkFolderBusyError(RuntimeError):
    """Another run is using the work folder."""


class WorkLock:
    """Hold a work folder; two runs in one would overwrite each other's files.

    A lock left by a killed run of this host is recognised because its process is gone.

    Parameters
    ----------
    folder : Path
        The work folder.

    Raises
    ------
    WorkFolderBusyError
        On entering, when another run holds it.
    """

    def __init__(self, folder: Path):
        self.path = folder / 'lock.json'

    def __enter__(self) -> WorkLock:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = json.dumps(
            {'host': socket.gethostname(), 'pid': os.getpid(), 'start': _start_time(os.getpid())}
        )
        for _ in range(3):
            try:
                with open(self.path, 'x', encoding='utf-8') as stream:
                    stream.write(content)
                return self
            except FileExistsError:
                if not self._stale():
                    break
                self.path.unlink(missing_ok=True)
        raise WorkFolderBusyError(
            f'The work folder {self.path.parent} is in use by another run ({self._owner()}).\n'
            'Two runs in one work folder would overwrite each other.\n'
            'Wait for it, give this run another --work-dir, or delete '
            f'{self.path} if you are sure that run is dead.'
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.path.unlink(missing_ok=True)

    def _read(self) -> dict:
        try:
            found = json.loads(self.path.read_text(encoding='utf-8'))
        except (OSError, ValueError):
            return {}  # being written, or left empty by a crash
        return found if isinstance(found, dict) else {}

    def _owner(self) -> str:
        found = self._read()
        return f'process {found.get("pid", "?")} on {found.get("host", "?")}'

    def _stale(self) -> bool:
        found = self._read()
        try:
            age = time.time() - self.path.stat().st_mtime
        except FileNotFoundError:
            return True
        if not found:
            return age > 60
        if found.get('host') != socket.gethostname():
            return age > STALE_S
        return _start_time(int(found.get('pid', 0))) != found.get('start')


def _start_time(pid: int) -> str:
    """Return when a process started, in clock ticks since boot; '' when there is none.

    A number is given to another process later; the pair of number and start is unique.
    """
    try:
        text = Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return ''
    return text.rpartition(')')[2].split()[19]
