"""Many names in one sentence."""

from __future__ import annotations

from collections.abc import Iterable


def listed(names: Iterable[str], most: int = 8) -> str:
    """Return names joined by commas, the first ones and the count of the rest.

    Examples
    --------
    >>> listed(['sub-1', 'sub-2']), listed('abcdef', most=2)
    ('sub-1, sub-2', 'a, b and 4 more')
    """
    found = list(names)
    if len(found) <= most + 1:  # 'and 1 more' takes as much room as its name
        return ', '.join(found)
    return f'{", ".join(found[:most])} and {len(found) - most} more'


def alone(names: Iterable[str]) -> str:
    """Return the name if it is the only one, else '': the place of a problem."""
    found = list(dict.fromkeys(names))
    return found[0] if len(found) == 1 else ''
