"""Before a run goes on in an old work folder: throw away steps whose files are not whole.

Nipype trusts a finished step blindly: an output that was truncated or deleted since is passed
on, and a damaged file of its own stops every later run. A step is whole when

* its note of being finished (``_0x<hash>.json``) and its result (``result_*.pklz``) are not
  cut, or it has neither and was never finished, and
* every output has the size that the step wrote into ``record.json``, and begins as an image
  does, if it is one: a file of zeros is what a power failure leaves.

The folder of a step that is not is removed, so the step runs again.
"""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from qsmbids.execution.work_folder import STEPS

_NIFTI_STARTS = (b'\x5c\x01\x00\x00', b'\x00\x00\x01\x5c')  # size of the header, 348


def remove_damaged_steps(work_dir: Path) -> list[str]:
    """Remove the folders of damaged steps; return their names relative to the work folder."""
    removed = []
    for folder, names in _steps(work_dir):
        if not _whole(folder, names):
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(os.path.relpath(folder, work_dir))
    return sorted(removed)


def _steps(work_dir: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the folder of each step with the names of the files in it."""
    pending = [str(work_dir)]
    while pending:
        folder = pending.pop()
        files, folders = [], []
        if not os.path.isdir(folder):
            continue
        with os.scandir(folder) as entries:
            for entry in entries:
                (folders if entry.is_dir(follow_symlinks=False) else files).append(entry.name)
        if any(_is_note(name) or _is_result(name) for name in files):
            yield folder, files
            continue
        if folder == str(work_dir):
            folders = [n for n in folders if any(fnmatchcase(n, ours) for ours in STEPS)]
        pending += [os.path.join(folder, name) for name in folders]


def _is_note(name: str) -> bool:
    return name.startswith('_0x') and name.endswith('.json')


def _is_result(name: str) -> bool:
    return name.startswith('result_') and name.endswith('.pklz')


def _whole(folder: str, names: list[str]) -> bool:
    finished = [n for n in names if _is_note(n) and not n.endswith('_unfinished.json')]
    results = [n for n in names if _is_result(n)]
    if finished and not results:
        return False
    try:
        for name in finished:  # a list, as JSON or, where that cannot hold it, as Python writes it
            if not _read(folder, name).rstrip().endswith(b']'):
                return False
        for name in results:
            zlib.decompress(_read(folder, name), wbits=31)  # a gzip file with its checksum
        if 'record.json' not in names:
            return True  # not a step of ours
        files = json.loads(_read(folder, 'record.json')).get('files', {})
        return all(_as_written(path, size) for path, size in files.items())
    except (OSError, ValueError, AttributeError, zlib.error):
        return False


def _read(folder: str, name: str) -> bytes:
    with open(os.path.join(folder, name), 'rb') as stream:
        return stream.read()


def _as_written(path: str, size: int) -> bool:
    with open(path, 'rb') as stream:
        if os.fstat(stream.fileno()).st_size != size:
            return False
        return not path.endswith('.nii') or stream.read(4) in _NIFTI_STARTS
