"""Writing files so that a half-written one is never seen: a temporary name, then a rename.

The content is on the disk before the name is (fsync), so that not even a power failure leaves
an empty file under a good name. While it is written, a temporary file is locked; one that is
not, is what a killed run has left.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import json
import math
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

LONG_AGO_S = 86400.0  # no file takes that long to write
_MARK = '.part-'  # in the names of temporary files, before what makes them unique
_LEFTOVER = re.compile(r'\..+\.part-[a-z0-9_]{8}')


def write_atomically(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Call ``write`` with an open temporary file, then rename it to ``path``.

    The temporary file lies in the same folder, so that the rename is one step of the file
    system, and is removed when writing fails.

    Raises
    ------
    OSError
        With ``path`` as its file name, also where the system does not tell one (a full disk).
    """
    temporary = ''
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=_prefix(path.name))
        with os.fdopen(handle, 'wb') as stream:
            _lock(handle)
            write(stream)
            stream.flush()
            _to_disk(handle)
            os.fchmod(handle, 0o666 & ~_umask())
            os.replace(temporary, path)
    except BaseException as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, temporary):
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise


def remove_leftovers(folder: Path, older_than_s: float = 0.0) -> list[Path]:
    """Remove temporary files of runs that were killed, in a folder and all below it.

    Parameters
    ----------
    folder : Path
        Links in it are not followed.
    older_than_s : float
        Leave younger ones alone, by the clock of the file system. For folders into which
        other runs write, on other machines perhaps, which not every file system tells of locks.

    Returns
    -------
    list of Path
        What was removed.
    """
    removed = []
    for place, _, names in os.walk(folder):
        for path in (Path(place) / name for name in names if _LEFTOVER.fullmatch(name)):
            with contextlib.suppress(FileNotFoundError, PermissionError):
                if (older_than_s and _age_s(path) < older_than_s) or _is_locked(path):
                    continue
                path.unlink()
                removed.append(path)
    return removed


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8."""
    write_atomically(path, lambda stream: stream.write(text.encode()))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON with an indent of two; NaN is refused, because JSON has none."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False, default=_plain)
    write_text(path, text + '\n')


def without_nan(content: Any) -> Any:
    """Return nested content with None for numbers that could not be computed.

    Examples
    --------
    >>> without_nan({'overlap': float('nan'), 'steps': [1.5]})
    {'overlap': None, 'steps': [1.5]}
    """
    if isinstance(content, Mapping):
        return {key: without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [without_nan(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def copy(source: Path, path: Path) -> None:
    """Copy a file; a ``.nii`` source becomes compressed when the name asks for it.

    The gzip header holds neither time nor name, so that equal images give equal files.
    """

    def write(stream: BinaryIO) -> None:
        with open(source, 'rb') as original:
            if path.name.endswith('.gz') and not source.name.endswith('.gz'):
                with Packed(stream) as packed:
                    shutil.copyfileobj(original, packed, 1 << 20)
            else:
                shutil.copyfileobj(original, stream, 1 << 20)

    write_atomically(path, write)


class Packed(io.RawIOBase):
    """Compresses what is written to it, gzip, into another stream, which stays open.

    Measured noise has no strings that repeat, only runs of the same byte: of zeros outside a
    mask, of the high bytes of neighbours. So only runs are looked for, which is three times as
    quick as the usual search; maps come out equally small, raw magnitudes 7 % larger.

    Parameters
    ----------
    stream : binary file
        Open for writing.
    """

    def __init__(self, stream: BinaryIO) -> None:
        # 31: the largest window, with the header of gzip, in which it leaves name and time out
        self._packer = zlib.compressobj(1, zlib.DEFLATED, 31, 9, zlib.Z_RLE)
        self._stream = stream
        self._position = 0
        self._failed = False

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any) -> int:
        """Compress some bytes."""
        if self.closed:
            raise ValueError('write to a closed file')
        size = memoryview(data).nbytes
        self._stream.write(self._packer.compress(data))
        self._position += size
        return size

    def tell(self) -> int:
        """Return the number of bytes written so far, before compression."""
        return self._position

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        """Fill up with zeros; there is no way back.

        Raises
        ------
        OSError
            For a place before this one, or counted from elsewhere than the beginning.
        """
        if whence != io.SEEK_SET or position < self._position:
            raise io.UnsupportedOperation('what is packed cannot be gone back to')
        self.write(bytes(position - self._position))
        return position

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close; after an error without an end, so that nobody takes it for whole."""
        self._failed |= error is not None
        self.close()

    def close(self) -> None:
        """Write what is left; the stream stays open."""
        if not self.closed and not self._failed:
            self._failed = True  # what fails here is not tried again
            self._stream.write(self._packer.flush())
        super().close()


def _prefix(name: str) -> str:
    return f'.{name[:40]}{_MARK}'


def _lock(handle: int) -> None:
    with contextlib.suppress(OSError):  # a file system without locks: its age must do
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _to_disk(handle: int) -> None:
    try:
        os.fsync(handle)
    except OSError as error:
        # network file systems tell only here that the disk is full; some others know no fsync
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise


def _is_locked(path: Path) -> bool:
    """Return whether some process is writing a temporary file."""
    with open(path, 'rb') as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # no locks here: only time can tell
            return _age_s(path) < LONG_AGO_S
    return False


def _age_s(path: Path) -> float:
    """Return the age by the clock of the file system, which may be another machine's."""
    with tempfile.TemporaryFile(dir=path.parent) as stream:
        return os.fstat(stream.fileno()).st_mtime - path.stat().st_mtime


def _plain(value: Any) -> Any:
    """Turn numpy scalars and arrays and paths into what JSON knows."""
    if hasattr(value, 'tolist'):
        return value.tolist()
    return str(value)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
