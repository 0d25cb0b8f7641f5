"""One owner of a work folder at a time."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TextIO

GRACE_S = 5.0  # workers of a run that was just killed hold the lock a moment longer
_UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


class WorkFolderBusyError(RuntimeError):
    """Another run is using the work folder."""


class WorkLock:
    """Hold a work folder; two runs in one would overwrite each other's files.

    The lock is the kernel's (flock): it ends with the process that holds it, however that
    ended, and holds between containers, whose process numbers and host names mean nothing to
    one another. What is written into the file is for people only.

    Parameters
    ----------
    folder : Path
        The work folder.

    Attributes
    ----------
    supported : bool
        False after entering when the file system knows no locks; the folder is then not
        protected, and the caller should say so.

    Raises
    ------
    WorkFolderBusyError
        On entering, when another run holds it.
    """

    def __init__(self, folder: Path):
        self.path = folder / 'lock.json'
        self.supported = True
        self._stream: TextIO | None = None

    def __enter__(self) -> WorkLock:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = open(self.path, 'a+', encoding='utf-8')
        deadline = time.monotonic() + GRACE_S
        while not self._try_lock():
            if time.monotonic() > deadline:
                owner = self._owner()
                self._stream.close()
                raise WorkFolderBusyError(
                    f'The work folder {self.path.parent} is in use by another run ({owner}).\n'
                    'Two runs in one work folder would overwrite each other.\n'
                    'Wait for it to end, or give this run another --work-dir.'
                )
            time.sleep(0.2)
        self._stream.seek(0)
        self._stream.truncate()
        owner = {
            'host': socket.gethostname(),
            'pid': os.getpid(),
            'since': datetime.now().isoformat(timespec='seconds'),
        }
        self._stream.write(json.dumps(owner))
        self._stream.flush()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # the file stays: removing it would let a third run lock a new one beside a waiting one
        self._stream.close()

    def _try_lock(self) -> bool:
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                self.supported = False
                return True
            return False
        return True

    def _owner(self) -> str:
        self._stream.seek(0)
        try:
            found = json.loads(self._stream.read())
            return f'process {found["pid"]} on {found["host"]}, since {found["since"]}'
        except (ValueError, KeyError, TypeError):
            return 'just starting'
