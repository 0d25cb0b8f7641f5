"""Errors of a run that a person can meet, each in three lines: what, why, what to do."""

from __future__ import annotations


class MemoryShortError(RuntimeError):
    """A step needs more memory than the run may use."""
