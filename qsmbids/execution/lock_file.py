"""A lock for file systems that know none: a file that only one run can create.

Such a file outlives a run that is killed, so its owner shows that it lives by touching it
(the heartbeat). It is taken over when

* it was written in this very system, by a process that is gone, or
* its last heartbeat is older than `STALE_S`, by the clock of the *file system*: the time of a
  file that is touched now. Clocks of two machines are never compared.

A clock that was set back makes the heartbeats of a dead owner lie in the future. Their age
says nothing then, and the file is watched instead: without a change for several heartbeats,
by a clock that cannot be set, it is taken over as well.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HEARTBEAT_S = 10.0
STALE_S = 300.0
WATCH_HEARTBEATS = 3


class LockFile:
    """Hold a file that no other run holds.

    Parameters
    ----------
    path : Path
        Is created by `acquire` and removed by `release`.

    Attributes
    ----------
    undecided : bool
        The last `acquire` could not tell whether the owner lives: ask again.
    """

    def __init__(self, path: Path):
        self.path = path
        self.undecided = False
        self._token = uuid.uuid4().hex
        self._stop = threading.Event()
        self._beating: threading.Thread | None = None
        self._watched: tuple[str, int, float] | None = None  # token, its time, seen since

    def acquire(self, owner: Mapping[str, Any]) -> bool:
        """Try to take the lock; return whether it is held now.

        Parameters
        ----------
        owner : mapping
            Written into the file for people.
        """
        self._remove_if_stale()
        content = {**owner, **_this_process(), 'token': self._token}
        try:
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            return False
        try:
            with os.fdopen(handle, 'w', encoding='utf-8') as stream:
                stream.write(json.dumps(content))
        except OSError:
            self.path.unlink(missing_ok=True)
            raise
        self._beating = threading.Thread(target=self._beat, daemon=True)
        self._beating.start()
        return True

    def release(self) -> None:
        """Give the lock back, if it is held."""
        if self._beating is None:
            return
        self._stop.set()
        self._beating.join()
        self._beating = None
        if self._read().get('token') == self._token:
            self.path.unlink(missing_ok=True)

    def text(self) -> str:
        """Return what is written in the file."""
        return self.path.read_text(encoding='utf-8')

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self.text())
        except (OSError, ValueError):
            return {}  # gone, or just being written
        return found if isinstance(found, dict) else {}

    def _remove_if_stale(self) -> None:
        """Remove the file of an owner that is gone.

        One run at a time: another one that judged the same file would remove the new owner's.
        """
        self.undecided = False
        if not self._stale():
            return
        turn = self.path.with_name(f'{self.path.name}-turn')
        try:
            os.close(os.open(turn, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):
                if self._age(turn) > STALE_S:  # of a run that was killed in these few lines
                    turn.unlink()
            return
        try:
            if self._stale():  # still, now that it is this run's turn
                self.path.unlink(missing_ok=True)
        finally:
            turn.unlink(missing_ok=True)

    def _stale(self) -> bool:
        found = self._read()
        try:
            beat = self.path.stat().st_mtime
            age = self._age(self.path)
        except FileNotFoundError:
            return False
        if _is_gone(found):
            return True
        if age >= -HEARTBEAT_S:
            return age > STALE_S
        seen = (str(found.get('token')), beat)
        now = time.monotonic()
        if self._watched is None or self._watched[:2] != seen:
            self._watched = (*seen, now)
        quiet = now - self._watched[2]
        stale = quiet > WATCH_HEARTBEATS * HEARTBEAT_S
        self.undecided = not stale
        return stale

    def _age(self, path: Path) -> float:
        """Return the seconds since a file was touched, by the clock of the file system."""
        return self._file_system_now() - path.stat().st_mtime

    def _file_system_now(self) -> float:
        probe = self.path.with_name(f'{self.path.name}-now-{self._token}')
        try:
            probe.touch()
            os.utime(probe)
            return probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)

    def _beat(self) -> None:
        """Touch the file until released; end the run when another one has taken it over."""
        misses = 0
        while not self._stop.wait(HEARTBEAT_S):
            if self._read().get('token') == self._token:
                misses = 0
                with contextlib.suppress(OSError):
                    os.utime(self.path)
                continue
            misses += 1  # once can be a file system that did not answer
            if misses > 1:
                sys.stderr.write(
                    f'Another run has taken over the work folder {self.path.parent}.\n'
                    f'This run was without a sign of life for more than {STALE_S:.0f} s, as '
                    'after a suspended machine.\nIt ends here; start it again when the other '
                    'one has ended.\n'
                )
                os.kill(os.getpid(), signal.SIGTERM)
                return


def _this_process() -> dict[str, Any]:
    """Return what tells this process from every other one, wherever it runs."""
    pid = os.getpid()
    return {'system': _system(), 'process': pid, 'started': _started(pid)}


def _is_gone(found: Mapping[str, Any]) -> bool:
    """Whether the owner ran in this very system and has ended.

    Names of hosts do not count: two containers, or two clones of one machine, share them.
    """
    if not _system() or found.get('system') != _system():
        return False
    return _started(found.get('process', 0)) != found.get('started')


def _system() -> str:
    """Return what is the same for processes that see each other's numbers; '' if unknown."""
    try:
        boot = Path('/proc/sys/kernel/random/boot_id').read_text().strip()
        return f'{boot} {os.readlink("/proc/self/ns/pid")}'
    except OSError:
        return ''  # not Linux


def _started(pid: object) -> str:
    """Return when a process started (clock ticks since boot), '' if it is not there."""
    try:
        stat = Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return ''
    fields = stat.rpartition(')')[2].split()  # the name before may hold blanks
    return '' if fields[0] == 'Z' else fields[19]
