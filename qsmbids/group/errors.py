"""The error that people meet at the group level."""

from __future__ import annotations

from qsmbids.lifespan.errors import ThreeLineError


class GroupError(ThreeLineError):
    """Something that stops a group analysis."""
