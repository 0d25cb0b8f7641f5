"""Reading out of a failed step what a person needs: the last message, and the file to look at."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from qsmbids.execution.io_errors import explain_text

# errors that speak for themselves; others need their name
_OURS = ('ValueError', 'RegistrationError', 'ClusterJobError', 'WorkerKilledError')
# the line that ends a traceback: 'package.SomeError: text'
_ENDING = re.compile(
    r'^(?:[A-Za-z_][\w.]*\.)?([A-Z]\w*(?:Error|Exception|Warning|Interrupt)): ?(.*)$'
)


@dataclass(frozen=True)
class Failure:
    """A step that failed.

    Parameters
    ----------
    node : str
        Full name of the node.
    title : str
        The step in words.
    message : str
        What the step said, in one to three lines.
    crash_file : str
        Where the whole traceback is, or ''.
    """

    node: str
    title: str
    message: str
    crash_file: str = ''


def keep_traceback(error: BaseException, work_dir: Path) -> str:
    """Write the traceback of an error into the crash folder; return its path, '' if it cannot."""
    path = work_dir / 'crash' / f'error-{datetime.now():%Y%m%d-%H%M%S-%f}-{os.getpid()}.txt'
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(''.join(traceback.format_exception(error)), encoding='utf-8')
    except OSError:
        return ''
    return str(path)


def last_message(traceback: str | Sequence[str] | None) -> str:
    r"""Return the message of the exception that ended a traceback, without the traceback.

    Examples
    --------
    >>> last_message('Traceback ...\n  File "x"\nValueError: no brain\nLook at it.\n')
    'no brain\nLook at it.'
    >>> last_message('TypeError: bad')
    'TypeError: bad'
    """
    text = traceback if isinstance(traceback, str) else ''.join(traceback or ())
    lines = [line.strip() for line in text.strip().splitlines()]
    folder = ''
    for n in range(len(lines) - 1, -1, -1):
        found = _ENDING.match(lines[n])
        if found and _no_result(*found.groups()):
            folder = found[2].rpartition('/')[0]  # of the step; the reason stands before
            continue
        if found and found.group(1) != 'NodeExecutionError':
            kind, first = found.groups()
            rest = [line for line in lines[n + 1 :] if line]
            explained = '' if kind in _OURS else explain_text(kind, first, folder)
            if explained:
                return explained
            head = first if kind in _OURS and first else None
            return '\n'.join([head or f'{kind}: {first}', *rest[:4]])
    return lines[-1] if lines else 'the step ended without a message'


def _no_result(kind: str, text: str) -> bool:
    """Whether an error only says that a step has no result."""
    return kind == 'FileNotFoundError' and bool(re.search(r'/result_\w+\.pklz$', text))
