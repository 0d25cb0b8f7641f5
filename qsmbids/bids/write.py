"""Writing files so that a half-written one is never seen: a temporary name, then a rename."""

from __future__ import annotations

import gzip
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

GZIP_LEVEL = 4  # float maps hardly shrink further, and higher levels take several times as long


def write_atomically(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Call ``write`` with an open temporary file, then rename it to ``path``.

    The temporary file lies in the same folder, so that the rename is one step of the file
    system, and is removed when writing fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name[:40]}.')
    try:
        with os.fdopen(handle, 'wb') as stream:
            write(stream)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


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
                with gzip.GzipFile('', 'wb', GZIP_LEVEL, stream, mtime=0) as packed:
                    shutil.copyfileobj(original, packed, 1 << 20)
            else:
                shutil.copyfileobj(original, stream, 1 << 20)

    write_atomically(path, write)


def _plain(value: Any) -> Any:
    """Turn numpy scalars and arrays and paths into what JSON knows."""
    if hasattr(value, 'tolist'):
        return value.tolist()
    return str(value)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
