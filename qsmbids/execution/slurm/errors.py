"""What a person is told when the scheduler does not do what it should."""

from __future__ import annotations


class SlurmError(RuntimeError):
    """The scheduler is absent or refused, in three lines: what, why it matters, what to do."""
