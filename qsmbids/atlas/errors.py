"""Errors of the atlas room: what is wrong, why it matters, what to do."""

from __future__ import annotations


class AtlasError(ValueError):
    """An atlas or an image that cannot be used.

    Parameters
    ----------
    what, why, fix : str
        One short sentence each; they become the three lines of the message.
    """

    def __init__(self, what: str, why: str, fix: str) -> None:
        # a sentence may quote the message of a library, which may have lines of its own
        super().__init__('\n'.join(' '.join(text.split()) for text in (what, why, fix)))

    def __reduce__(self):
        # errors travel between processes; the default would call __init__ with one argument
        return type(self), tuple(str(self).split('\n'))


class RegistrationError(AtlasError):
    """A registration that did not work, or whose result must not be used."""
