"""What has become of every step of a run: the count behind all displays.

Nipype reports a step with 'start', 'end' or 'exception'. A step that an earlier run finished is
reported with 'end' alone (MultiProc) or with 'start' and at once 'end' (cluster plugins); the
record that the step wrote in its folder is then the old one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qsmbids.execution.estimate import Left

_AT_ONCE_S = 2.0  # a step that is served from its folder ends within this time


@dataclass(frozen=True)
class Step:
    """A step that has ended.

    Parameters
    ----------
    node : str
        Full name of the node.
    owner : str
        Key of its acquisition.
    title : str
        The step in words.
    outcome : str
        'done', 'kept' (an earlier run finished it), 'FAILED' or 'left out' (it needed one that
        failed).
    start : float or None
        Monotonic time; None when it never started.
    end : float
        Monotonic time.
    record : mapping
        What the step wrote about itself; empty when it wrote nothing.
    mem_gb, n_procs : float, int
        What it was estimated to need.
    expected : float
        Seconds that were expected of it.
    """

    node: str
    owner: str
    title: str
    outcome: str
    start: float | None
    end: float
    record: Mapping[str, Any] = field(default_factory=dict)
    mem_gb: float = 0.0
    n_procs: int = 1
    expected: float = 1.0

    @property
    def kind(self) -> str:
        """Name that it shares with the same step of other acquisitions."""
        return self.node.rpartition('.')[2]

    @property
    def seconds(self) -> float:
        """Time from its start to its end."""
        return 0.0 if self.start is None else self.end - self.start

    @property
    def peak_gb(self) -> float | None:
        """Highest memory, if known."""
        return self.record.get('peak_gb')


@dataclass
class Work:
    """What was done for one acquisition so far.

    Parameters
    ----------
    key : str
        Key of the acquisition.
    waiting : dict
        Steps that have not ended, to the seconds expected of them.
    running : dict
        Steps at work: name to (title, monotonic start).
    busy_s : float
        Time during which at least one of its steps ran.
    peak_gb : float or None
        Highest memory of a single step.
    failed : str
        Title of the first step that failed, or ''.
    planned, done, kept, left_out : int
        Steps: all that were announced, of this run, kept from an earlier one, never started.
    closed : bool
        Whether its end was shown.
    """

    key: str
    waiting: dict[str, float] = field(default_factory=dict)
    running: dict[str, tuple[str, float]] = field(default_factory=dict)
    busy_s: float = 0.0
    peak_gb: float | None = None
    failed: str = ''
    planned: int = 0
    done: int = 0
    kept: int = 0
    left_out: int = 0
    closed: bool = False
    since: float = 0.0

    @property
    def state(self) -> str:
        """The outcome of its steps in a word."""
        if self.failed or self.left_out:
            return 'FAILED'
        return 'kept' if self.kept and not self.done else 'complete'


class Tally:
    """Count steps and acquisitions.

    Attributes
    ----------
    labels : dict of str to str
        Name of a workflow to the key of the acquisition it belongs to.
    works : dict of str to Work
        Acquisitions by key.
    known, ended, kept, left_out : int
        Steps: all that are known of, those that have ended, and two sorts of these.
    """

    def __init__(self) -> None:
        self.labels: dict[str, str] = {}
        self.works: dict[str, Work] = {}
        self.ended = self.known = self.kept = self.left_out = 0
        self._ended: set[str] = set()
        self._old: dict[str, tuple] = {}

    def expect(self, name: str, seconds: float) -> None:
        """Take note of a step that is to come."""
        work = self.work(name)
        work.waiting[name] = seconds
        work.planned += 1
        self.known += 1

    def event(self, node: Any, status: str, now: float) -> Step | None:
        """Take note of what Nipype says; return the step if it has ended."""
        title = getattr(node.interface, 'title', '')
        name = node.fullname
        if not title or name in self._ended:
            return None
        work = self.work(name)
        if status == 'start':
            self._old[name] = _signature(node)
            if not work.running:
                work.since = now
            work.running[name] = (title, now)
            return None
        start = work.running.pop(name, (title, None))[1]
        if start is not None and not work.running:
            work.busy_s += now - work.since
        outcome = {'exception': 'FAILED', 'skipped': 'left out', 'cached': 'kept'}.get(status, '')
        outcome = outcome or ('kept' if self._is_old(node, start, now) else 'done')
        record = _record(node) if outcome in ('done', 'kept') else {}
        mem_gb = getattr(node, '_mem_gb', None) or getattr(node, 'mem_gb', 0.0)
        if name not in work.waiting:
            self.known += 1
        step = Step(
            name, work.key, title, outcome, start, now, record, mem_gb,
            getattr(node, 'n_procs', 1), work.waiting.pop(name, 1.0),
        )  # fmt: skip
        self._count(work, step)
        return step

    def leave_out(self, work: Work) -> None:
        """Take note that the rest of an acquisition will not run."""
        work.left_out += len(work.waiting)
        self.left_out += len(work.waiting)
        self.ended += len(work.waiting)
        self._ended |= work.waiting.keys()
        work.waiting.clear()
        work.running.clear()

    def work(self, name: str) -> Work:
        """Return the acquisition of a step."""
        key = next((self.labels[p] for p in name.split('.') if p in self.labels), '')
        return self.works.setdefault(key, Work(key))

    def running(self) -> list[tuple[str, str, float]]:
        """Return the steps at work as (acquisition, title, start)."""
        return [(w.key, *step) for w in self.works.values() for step in w.running.values()]

    def left(self, now: float) -> Iterator[Left]:
        """Yield every step that has not ended."""
        for work in self.works.values():
            for name in work.waiting | work.running:
                since = work.running.get(name, ('', now))[1]
                expected = work.waiting.get(name, 1.0)
                yield Left(name.rpartition('.')[2], work.key, expected, now - since)

    def _count(self, work: Work, step: Step) -> None:
        self._ended.add(step.node)
        self.ended += 1
        if step.outcome == 'FAILED':
            work.failed = work.failed or step.title
        elif step.outcome == 'kept':
            work.kept += 1
            self.kept += 1
        elif step.outcome == 'left out':
            work.left_out += 1
            self.left_out += 1
        else:
            work.done += 1
            if step.peak_gb is not None:
                work.peak_gb = max(step.peak_gb, work.peak_gb or 0.0)

    def _is_old(self, node: Any, start: float | None, now: float) -> bool:
        if start is None:
            return True
        before = self._old.pop(node.fullname, ())
        return bool(before) and now - start < _AT_ONCE_S and before == _signature(node)


def _folder(node: Any) -> Path | None:
    try:
        return Path(node.output_dir())
    except (AttributeError, OSError, TypeError):
        return None


def _signature(node: Any) -> tuple:
    """Return what changes when the record of a step is written anew, whatever the clock says."""
    folder = _folder(node)
    try:
        found = (folder / 'record.json').stat() if folder else None
    except OSError:
        found = None
    return (found.st_ino, found.st_mtime_ns, found.st_size) if found else ()


def _record(node: Any) -> Mapping[str, Any]:
    folder = _folder(node)
    try:
        text = (folder / 'record.json').read_text(encoding='utf-8') if folder else '{}'
        found = json.loads(text)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
