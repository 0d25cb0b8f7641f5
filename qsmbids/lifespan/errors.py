"""Errors that people meet: what is wrong, why it matters, what to do."""

from __future__ import annotations


class ThreeLineError(ValueError):
    """Something that a person can put right.

    Parameters
    ----------
    what : str
        What is wrong, with the file, column or region.
    why : str
        Why it matters.
    do : str
        What to do.
    """

    def __init__(self, what: str, why: str, do: str) -> None:
        # a sentence may quote the message of a library, which may have lines of its own
        super().__init__('\n'.join(' '.join(text.split()) for text in (what, why, do)))

    def __reduce__(self):
        # errors travel between processes; the default would call __init__ with one argument
        return type(self), tuple(str(self).split('\n'))


class LifespanError(ThreeLineError):
    """Something that stops a fit or the use of a norm."""
