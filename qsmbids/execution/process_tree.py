"""Processor time and memory of this process and all that it started, read from /proc.

Resident memory counts a page that several processes share in each of them: workers that were
forked share their libraries with the parent. The proportional set size (PSS) divides a shared
page among those that use it, so its sum is what the run really occupies; it is dearer to ask
for, because the kernel walks all pages. Both are zero where there is no /proc (macOS).
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

_PAGE = os.sysconf('SC_PAGE_SIZE') if hasattr(os, 'sysconf') else 4096
_TICKS = os.sysconf('SC_CLK_TCK') if hasattr(os, 'sysconf') else 100
_PROC = Path('/proc')


@dataclass(frozen=True)
class Usage:
    """What a tree of processes uses.

    Parameters
    ----------
    cpu_s : float
        Processor time of all, those that have ended included.
    rss_gb : float
        Sum of resident memory; shared pages count several times.
    processes : int
        How many there are.
    """

    cpu_s: float
    rss_gb: float
    processes: int


class Gauge:
    """Ask for the memory of this process tree, but not so often that asking costs something.

    Parameters
    ----------
    share : float
        Processor time that asking may take, as part of the time that passes.

    Attributes
    ----------
    spent_s : float
        Processor time that asking took so far.
    """

    def __init__(self, share: float = 0.003):
        self._share = share
        self._free_at = float('-inf')
        self._last = 0.0
        self.spent_s = 0.0

    def due(self, now: float) -> bool:
        """Whether asking is within the budget."""
        return now >= self._free_at

    def read(self, now: float, pids: list[int] | None = None) -> float:
        """Return the memory in GB; the last value when it is too early to ask again."""
        if self.due(now):
            start = time.thread_time()
            pids = tree() if pids is None else pids
            found = pss_gb(pids)
            self._last = usage(pids).rss_gb if found is None else found
            cost = time.thread_time() - start
            self.spent_s += cost
            self._free_at = now + cost / self._share
        return self._last


def tree(root: int | None = None, proc: Path = _PROC) -> list[int]:
    """Return the process and all its descendants."""
    found = [os.getpid() if root is None else root]
    parents: dict[int, list[int]] | None = None
    for pid in found:  # grows while it is walked
        children = _children(pid, proc)
        if children is None:
            if parents is None:
                parents = _by_parent(proc)
            children = parents.get(pid, [])
        found += children
    return found


def usage(pids: list[int], proc: Path = _PROC) -> Usage:
    """Return processor time and resident memory of processes; those that are gone count 0."""
    cpu, pages, alive = 0, 0, 0
    for pid in pids:
        fields = _stat(pid, proc)
        if fields:
            # user and system time, own and of children that have ended and were waited for
            cpu += sum(map(int, fields[11:15]))
            pages += max(int(fields[21]), 0)
            alive += 1
    return Usage(cpu / _TICKS, pages * _PAGE / 1e9, alive)


def pss_gb(pids: list[int], proc: Path = _PROC) -> float | None:
    """Return the memory of processes with shared pages counted once, or None if not known."""
    total = 0
    for pid in pids:
        try:
            text = (proc / f'{pid}/smaps_rollup').read_text()
        except FileNotFoundError:
            continue  # ended meanwhile, or an old kernel: then nothing is found at all
        except OSError:
            if (proc / str(pid)).exists() and _stat(pid, proc)[:1] != ['Z']:
                return None
            continue
        total += next(int(ln.split()[1]) for ln in text.splitlines() if ln.startswith('Pss:'))
    return total * 1024 / 1e9 or None


def _stat(pid: int, proc: Path) -> list[str]:
    """Return the fields after the name, which may hold blanks and brackets."""
    try:
        return (proc / f'{pid}/stat').read_text().rpartition(')')[2].split()
    except OSError:
        return []


def _children(pid: int, proc: Path) -> list[int] | None:
    """Return the children; None when the kernel does not list them."""
    try:
        threads = os.listdir(proc / f'{pid}/task')
    except OSError:
        return []
    found: list[int] = []
    for thread in threads:
        path = proc / f'{pid}/task/{thread}/children'
        try:
            found += map(int, path.read_text().split())
        except OSError:
            if path.parent.exists():
                return None
    return found


def _by_parent(proc: Path) -> dict[int, list[int]]:
    """Return all processes of the machine by their parent: dear where there are thousands."""
    found: dict[int, list[int]] = {}
    for name in os.listdir(proc) if proc.is_dir() else ():
        if name.isdigit():
            fields = _stat(int(name), proc)
            if fields:
                found.setdefault(int(fields[1]), []).append(int(name))
    return found
