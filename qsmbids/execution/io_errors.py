"""Words for what file systems and memory do to a run: full disks, files that are gone.

Such errors come from anywhere (a step, Nipype's own files, the page of a person) and say little
by themselves, often not even of which file. The texts here have the three lines that a person
needs: what happened and where, why it matters, what to do.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_GONE = (errno.ENOENT, errno.ENOTDIR)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_ANSWER = (
    errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ENODEV,
    errno.ENXIO,
)  # fmt: skip
_AGAIN = 'start the same command again: finished steps are kept.'
# "[Errno 28] No space left on device: 'x'", with or without a file, or with two
_TEXT = re.compile(r"\[Errno (\d+)\] ([^:]*)(?:: '([^']*)')?")


def explain(error: BaseException, folder: Path | str = '') -> str:
    """Return three lines on an error of files or memory; '' for errors of another kind.

    Parameters
    ----------
    error : BaseException
    folder : Path or str
        Where files were being written, for errors that do not say it.
    """
    if isinstance(error, MemoryError):
        return out_of_memory(str(error))
    if not isinstance(error, OSError) or error.errno is None:
        return ''
    named = error.filename
    if error.errno in _FULL and error.filename2:  # of a copy, it is the second that has no room
        named = error.filename2
    named = named if isinstance(named, str | os.PathLike) else ''
    return _words(error.errno, error.strerror or '', os.fspath(named), str(folder))


def explain_text(kind: str, text: str, folder: Path | str = '') -> str:
    r"""Return the same for an error of which only the text is left.

    Parameters
    ----------
    kind : str
        Name of its class.
    text : str
        What it said.

    Examples
    --------
    >>> said = "[Errno 28] No space left on device: '/out/sub-01/anat/x.nii.gz'"
    >>> explain_text('OSError', said).splitlines()[0]
    'No space left on device for /out/sub-01/anat/x.nii.gz: the disk of /out/sub-01/anat is full.'
    """
    if kind.endswith('MemoryError'):
        return out_of_memory(text)
    found = _TEXT.search(text)
    if not found:
        return ''
    return _words(int(found[1]), found[2], found[3] or '', str(folder))


def out_of_memory(detail: str = '') -> str:
    """Return three lines on a step that did not get the memory it asked for."""
    more = f': {detail}' if detail else ''
    return (
        f'There was not enough memory{more}.\n'
        'The step cannot be done with less; those that are finished are kept.\n'
        'Give the run more memory, or fewer --nprocs to share it, and start it again.'
    )


def damaged(path: str, detail: str) -> str:
    """Return three lines on a file that cannot be read to its end."""
    return (
        f'{path} cannot be read to its end: {detail}.\n'
        'It is cut or damaged, so nothing can be computed from it.\n'
        'Copy or convert the file again (a file of the work folder: free space on its disk), '
        f'then {_AGAIN}'
    )


def _words(number: int, said: str, path: str, folder: str) -> str:
    said = said or os.strerror(number)
    place = str(Path(path).parent) if path else folder or 'the output or work folder'
    if number in _FULL:
        what = path or 'a file'
        return (
            f'{said} for {what}: the disk of {place} is full.\n'
            'Nothing that is half written counts as a result.\n'
            f'Free space there, or give the run another disk, and {_AGAIN}'
        )
    what = path or f'A file in {place}'
    if number in _GONE:
        return (
            f'{what} is not there any more.\n'
            'It was when the run was planned, and this step needs it.\n'
            f'Put it back (is its disk still mounted?) and {_AGAIN}'
        )
    if number in _FORBIDDEN:
        return (
            f'{what} cannot be read or written: {said}.\n'
            'The step needs it.\n'
            f'Correct the permissions (in a container: what is mounted, and how), and {_AGAIN}'
        )
    if number in _NO_ANSWER:
        return (
            f'{what} cannot be reached: {said}.\n'
            'The disk or network file system that holds it does not answer as it should.\n'
            f'When it does again, {_AGAIN}'
        )
    return (
        f'{what} could not be used: {said}.\n'
        'The operating system refused it.\n'
        f'Look at the file and its folder, and {_AGAIN}'
    )
