"""What a job asks for: memory, time, processors; and how people are put into elements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from qsmbids.execution.slurm.words import count

GROWTH = 1.5  # more of what a job died of
MIN_MINUTES = 30
_MINUTES_STEP = 30
_GIB = 1024
# few sizes, so that a study becomes few arrays; neighbours differ by half at most
_SIZES_GB = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)


@dataclass(frozen=True, order=True)
class Request:
    """What one array element asks for.

    Parameters
    ----------
    mem_mb : int
        Memory in MB of Slurm (2^20 bytes).
    minutes : int
        Time limit.
    cpus : int
        Processors.
    """

    mem_mb: int
    minutes: int
    cpus: int

    def grown(self, *, memory: bool = False, time: bool = False) -> Request:
        """Return a request with half as much again of what a job died of.

        Examples
        --------
        >>> Request(4096, 60, 2).grown(memory=True)
        Request(mem_mb=6144, minutes=60, cpus=2)
        """
        return replace(
            self,
            mem_mb=math.ceil(self.mem_mb * (GROWTH if memory else 1)),
            minutes=math.ceil(self.minutes * (GROWTH if time else 1)),
        )

    def at_least(self, other: Request) -> Request:
        """Return the larger of both in memory and in time."""
        return replace(
            self,
            mem_mb=max(self.mem_mb, other.mem_mb), minutes=max(self.minutes, other.minutes),
        )  # fmt: skip

    @property
    def words(self) -> str:
        """The request in words."""
        memory = f'{self.mem_mb / _GIB:.3g} GB' if self.mem_mb >= _GIB else f'{self.mem_mb} MB'
        return f'{count(self.cpus, "processor")}, {memory}, {clock(self.minutes)}'


def memory_mb(need_gb: float) -> int:
    """Return the memory to ask for when so many GB (10^9 bytes) are needed.

    Examples
    --------
    >>> memory_mb(0.4), memory_mb(4.5), memory_mb(700)
    (1024, 6144, 667648)
    """
    mb = need_gb * 1e9 / 2**20
    return next(
        (size * _GIB for size in _SIZES_GB if size * _GIB >= mb), math.ceil(mb / _GIB) * _GIB
    )


def minutes(seconds: float) -> int:
    """Return the time limit for an expected time, in steps of half an hour.

    Examples
    --------
    >>> minutes(100), minutes(4000)
    (30, 90)
    """
    return max(MIN_MINUTES, math.ceil(seconds / 60 / _MINUTES_STEP) * _MINUTES_STEP)


def classes(requests: Mapping[str, Request]) -> dict[Request, list[str]]:
    """Put names that need the same memory together; each class gets its longest time.

    Parameters
    ----------
    requests : mapping
        Name to what it needs.

    Returns
    -------
    dict
        Request of an array to its names, in the order given.
    """
    found: dict[tuple[int, int], list[str]] = {}
    for name, request in requests.items():
        found.setdefault((request.mem_mb, request.cpus), []).append(name)
    return {
        Request(memory, max(requests[n].minutes for n in names), cpus): names
        for (memory, cpus), names in sorted(found.items())
    }


def elements(names: Sequence[str], per_job: int, largest: int) -> list[list[str]]:
    """Divide names among array elements, evenly.

    Parameters
    ----------
    names : sequence of str
    per_job : int
        Names in one element; more when the site allows fewer elements.
    largest : int
        Largest number of elements.

    Examples
    --------
    >>> elements(['a', 'b', 'c', 'd', 'e'], 1, 3)
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    size = max(per_job, math.ceil(len(names) / largest))
    return [list(names[n : n + size]) for n in range(0, len(names), size)]


def shares(sizes: Sequence[int], most: int) -> list[int]:
    """Divide the elements that may run at once among arrays; each gets one at least.

    Examples
    --------
    >>> shares([90, 10], 20), shares([5, 5], 0)
    ([18, 2], [0, 0])
    """
    if not most:
        return [0] * len(sizes)
    return [max(1, most * size // sum(sizes)) for size in sizes]


def clock(minutes: int) -> str:
    """Return a time limit as hours and minutes.

    Examples
    --------
    >>> clock(90)
    '1:30 h'
    """
    return f'{minutes // 60}:{minutes % 60:02d} h'
