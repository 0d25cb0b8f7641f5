"""The error that people meet at the group level."""

from __future__ import annotations


class GroupError(ValueError):
    """Something that stops a group analysis, told in three lines.

    Parameters
    ----------
    what : str
        What is wrong, with the file or column.
    why : str
        Why it matters.
    do : str
        What to do.
    """

    def __init__(self, what: str, why: str, do: str) -> None:
        super().__init__(f'{what}\n{why}\n{do}')
