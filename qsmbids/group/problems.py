"""What stood in the way of an analysis, while the rest was done."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """A finding for the page and the log.

    Parameters
    ----------
    what, why, do : str
        One sentence each: what is wrong, why it matters, what to do.
    where : str
        A participant, a file, a region, or nothing.
    severity : str
        ``error`` (something was left out), ``warning`` or ``note``.
    """

    what: str
    why: str = ''
    do: str = ''
    where: str = ''
    severity: str = 'warning'

    def __str__(self) -> str:
        """Return everything in one line."""
        place = f'{self.where}: ' if self.where else ''
        return place + ' '.join(part for part in (self.what, self.why, self.do) if part)
