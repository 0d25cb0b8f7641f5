"""Reading out of a failed step what a person needs: the last message, and the file to look at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

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
    for n in range(len(lines) - 1, -1, -1):
        found = _ENDING.match(lines[n])
        if found and found.group(1) != 'NodeExecutionError':
            kind, first = found.groups()
            rest = [line for line in lines[n + 1 :] if line]
            # a ValueError is ours and speaks for itself; others need their name
            head = first if kind in ('ValueError', 'RegistrationError') and first else None
            return '\n'.join([head or f'{kind}: {first}', *rest[:4]])
    return lines[-1] if lines else 'the step ended without a message'
