"""One owner of a work folder at a time."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType

from qsmbids.execution.lock_file import LockFile

GRACE_S = 5.0  # workers of a run that was just killed hold the lock a moment longer
_UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
_HELD = (errno.EWOULDBLOCK, errno.EACCES)
_POLL_S = 0.2


class WorkFolderError(RuntimeError):
    """The work folder cannot be used; the text says why, in three lines."""


class WorkFolderBusyError(WorkFolderError):
    """Another run is using the work folder."""


class WorkLock:
    """Hold a work folder; two runs in one would overwrite each other's files.

    The lock is the kernel's (flock): it ends with the process that holds it, however that
    ended, and holds between containers, whose process numbers and host names mean nothing to
    one another. What is written into the file is for people only. Where the file system knows
    no such locks, a file that is created by one run only takes its place
    (`qsmbids.execution.lock_file`).

    Parameters
    ----------
    folder : Path
        The work folder.
    wait_s : float, optional
        How long to wait for another run to end; by default a few seconds.
    say : callable, optional
        Is told once, in one line, that and for whom the run waits.

    Attributes
    ----------
    supported : bool
        False after entering when the file system knows no locks, and the file is used.

    Raises
    ------
    WorkFolderBusyError
        On entering, when another run holds it.
    WorkFolderError
        On entering, when the lock cannot be made.
    """

    def __init__(
        self, folder: Path, wait_s: float | None = None, say: Callable[[str], None] | None = None
    ):
        self.path = folder / 'lock.json'
        self.supported = True
        self._wait_s = wait_s
        self._say = say
        self._handle: int | None = None
        self._file: LockFile | None = None

    def __enter__(self) -> WorkLock:
        try:
            self._open()
            self._wait()
        except OSError as error:
            self._release()
            raise WorkFolderError(
                f'The work folder {self.path.parent} cannot be locked: {error.strerror}.\n'
                'Without a lock a second run in it would overwrite the files of this one.\n'
                'Give a --work-dir that you may write to, on a file system with free space.'
            ) from error
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._release()

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def _wait(self) -> None:
        patience = GRACE_S if self._wait_s is None else self._wait_s
        deadline = time.monotonic() + patience
        said = False
        while not self._try_lock():
            if not said and self._say and self._wait_s:
                said = True
                self._say(f'Waiting for {self.path.parent}, in use by {self._owner()}.')
            watching = self._file is not None and self._file.undecided
            if time.monotonic() > deadline and not watching:
                raise WorkFolderBusyError(
                    f'The work folder {self.path.parent} is in use by {self._owner()}.\n'
                    'Two runs in one work folder would overwrite each other.\n'
                    'Wait for it to end, or give this run another --work-dir.'
                )
            time.sleep(_POLL_S)

    def _try_lock(self) -> bool:
        if self.supported:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in _HELD:
                    return False
                if error.errno not in _UNSUPPORTED:
                    raise
                self.supported = False
                self._file = LockFile(self.path.with_name('lock.held'))
            else:
                self._describe()
                return True
        return self._file.acquire(describe_owner())

    def _describe(self) -> None:
        """Write for people who holds the lock."""
        text = json.dumps(describe_owner()).encode()
        try:
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, text, 0)
        except OSError:  # on a full disk; the lock itself holds
            return

    def _owner(self) -> str:
        try:
            text = self._file.text() if self._file else os.pread(self._handle, 4096, 0)
            found = json.loads(text)
            return (
                f'another run (process {found["pid"]} on {found["host"]}, since {found["since"]})'
            )
        except (OSError, ValueError, KeyError, TypeError):
            return 'another run (just starting)'

    def _release(self) -> None:
        # the file stays: removing it would let a third run lock a new one beside a waiting one
        if self._file is not None:
            self._file.release()
            self._file = None
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def describe_owner() -> dict[str, str | int]:
    """Return who this process is, for people who find its lock."""
    return {
        'host': socket.gethostname(),
        'pid': os.getpid(),
        'since': datetime.now().isoformat(timespec='seconds'),
    }
