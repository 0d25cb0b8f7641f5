"""Telling when everything that belongs to one participant has been computed.

A run holds many people in one graph. Each of them is judged, reported and cleared away as soon
as the last of their steps has ended, not when the whole graph has: pages appear one by one, and
the work folder does not grow with the number of people.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


class Completion:
    """Call back once for each person whose steps have all ended well.

    People with a step that failed are not called back; the end of the graph is theirs.

    Parameters
    ----------
    owners : mapping of str to str
        Full name of a node to the person it belongs to.
    then : callable
        Called with the person.

    Notes
    -----
    An instance is one of the receivers of the ``status_callback`` of a Nipype plugin.
    """

    def __init__(self, owners: Mapping[str, str], then: Callable[[str], None]):
        self._open: dict[str, set[str]] = {}
        for name, person in owners.items():
            self._open.setdefault(person, set()).add(name)
        self._owners = owners
        self._then = then

    def __call__(self, node: Any, status: str) -> None:
        """Take note of a step that ended."""
        person = self._owners.get(node.fullname, '')
        if status != 'end' or person not in self._open:
            return
        left = self._open[person]
        left.discard(node.fullname)
        if not left:
            del self._open[person]
            self._then(person)
