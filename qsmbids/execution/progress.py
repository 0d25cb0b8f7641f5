"""What a person sees while it runs, on a terminal or in a log, and how long it still takes."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from qsmbids.execution.estimate import TimeLeft, clock, span
from qsmbids.execution.lines import PlainLines
from qsmbids.execution.process_tree import Gauge
from qsmbids.execution.tally import Step, Tally, Work

if TYPE_CHECKING:
    from qsmbids.execution.monitor import Monitor

__all__ = ['Progress', 'Spent', 'choose_display', 'clock', 'is_terminal']


class Display(Protocol):
    """Where progress is shown; ``every_s`` is the time between two calls of ``tick``."""

    every_s: float

    def start(self) -> None:
        """Begin."""

    def step(self, step: Step, progress: Progress) -> None:
        """Show that a step has ended."""

    def acquisition(self, work: Work, progress: Progress) -> None:
        """Show that the last step of an acquisition has ended."""

    def tick(self, progress: Progress) -> None:
        """Show that time passes."""

    def stop(self, progress: Progress) -> None:
        """End."""

    def forget(self) -> None:
        """Leave the screen to the parent: this process was just forked from it."""


@dataclass(frozen=True)
class Spent:
    """What an acquisition cost.

    Parameters
    ----------
    seconds : float
        Time during which at least one of its steps ran.
    peak_gb : float or None
        Highest memory of a single step.
    """

    seconds: float
    peak_gb: float | None


class Progress:
    """Show how far a run is. A context manager, and a status callback of Nipype plugins.

    A run is one graph or several, one after the other, each announced by ``add_graph``.

    Parameters
    ----------
    acquisitions : mapping of str to float
        All acquisitions of the run, those of later graphs too, to the seconds expected of
        each (0: unknown).
    workers : int
        Most steps that run side by side; 0 when unknown.
    limit_gb : float
        Memory limit of the run; 0 when unknown.
    monitor : Monitor, optional
        Is told of every step that ended.
    stream : file, optional
        Default standard output.
    environ : mapping, optional
        Environment; decides with the stream between terminal and log.
    now : callable
        A clock that never goes back.
    """

    def __init__(
        self,
        *,
        acquisitions: Mapping[str, float] | None = None,
        workers: int = 0,
        limit_gb: float = 0.0,
        monitor: Monitor | None = None,
        stream: TextIO | None = None,
        environ: Mapping[str, str] = os.environ,
        now: Callable[[], float] = time.monotonic,
    ):
        self.tally = Tally()
        self.limit_gb = limit_gb
        self.now = now
        self.start_s = now()
        self.widest = 0  # name of an acquisition and a step
        self._acquisitions = dict(acquisitions or {})
        self._later = dict(self._acquisitions)  # those whose graph was not seen yet
        self._estimate = TimeLeft(workers)
        self._gauge = Gauge()
        self._monitor = monitor
        self._display: Display | None = choose_display(stream or sys.stdout, environ)
        self._lock = threading.RLock()
        self._stop = threading.Event()

    def __enter__(self) -> Progress:
        self._show('start')
        _active.append(self)
        threading.Thread(target=self._ticks, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        with self._lock:
            _active.remove(self)
            if kind is None:
                self.end_graph()
            self._show('stop', self)

    def add_graph(self, workflow: Any, labels: Mapping[str, str]) -> None:
        """Take note of the steps of a graph that is about to run; the one before has ended.

        Parameters
        ----------
        workflow : Workflow
            Its nodes with a titled interface count as steps. A node may have an attribute
            ``qsmbids_seconds``, the seconds expected of it; otherwise those of the acquisition
            are spread evenly.
        labels : mapping of str to str
            Name of a workflow in it to the acquisition it belongs to, or name of a node to
            words for it alone.
        """
        with self._lock:
            self.end_graph()
            self.tally.labels.update(labels)
            steps: dict[str, dict[str, float]] = {}
            for name in workflow.list_node_names():
                node = workflow.get_node(name)
                if getattr(node.interface, 'title', ''):
                    full = f'{workflow.name}.{name}'
                    key = self.tally.work(full).key
                    self.widest = max(self.widest, len(f'{key} {node.interface.title}'))
                    seconds = float(getattr(node, 'qsmbids_seconds', 0.0) or 0.0)
                    steps.setdefault(key, {})[full] = seconds
            for key, expected in steps.items():
                even = (self._acquisitions.get(key) or len(expected)) / len(expected)
                self._estimate.forecast |= any(expected.values())
                for name, seconds in expected.items():
                    self.tally.expect(name, seconds or even)
            for key in labels.values():
                self._later.pop(key, None)

    def end_graph(self) -> None:
        """Close what is open: steps that did not run by now needed one that failed."""
        with self._lock:
            for work in self.tally.works.values():
                if not work.closed and work.waiting:
                    self.tally.leave_out(work)
                    self._close(work)

    def __call__(self, node: Any, status: str) -> None:
        """Take note of a step: 'start', 'end', 'cached', 'exception' or 'skipped'."""
        with self._lock:
            now = self.now()
            step = self.tally.event(node, status, now)
            self._estimate.running(len(self.tally.running()), now)
            if step is None:
                return
            if step.outcome == 'done':
                self._estimate.ended(step.kind, step.expected, step.seconds)
            self._show('step', step, self)
            if self._monitor:
                self._monitor.step(step)
            work = self.tally.works[step.owner]
            if work.planned and not work.waiting and not work.running:
                self._close(work)

    @property
    def total(self) -> int:
        """Steps of the run; those of graphs to come are supposed to be as many as those known."""
        planned = [work.planned for work in self.tally.works.values() if work.planned]
        later = len(self._later) * sum(planned) / len(planned) if planned else 0
        return self.tally.known + round(later)

    @property
    def count(self) -> str:
        """Steps that have ended and all, '12/36'; '12/~580' while there are graphs to come."""
        return f'{self.tally.ended}/{"~" if self._later else ""}{self.total}'

    @property
    def acquisitions(self) -> tuple[int, int]:
        """Acquisitions that have ended, and all."""
        works = [work for work in self.tally.works.values() if self._is_acquisition(work)]
        return sum(work.closed for work in works), len(works) + len(self._later)

    def time_left(self) -> str:
        """Return 'about 4 to 9 min left', or '' while it is not known."""
        now = self.now()
        mean = sum(self._acquisitions.values()) / max(len(self._acquisitions), 1)
        planned = [work.planned for work in self.tally.works.values() if work.planned]
        each = mean or (sum(planned) / len(planned) if planned else 0.0)
        later = sum(seconds or each for seconds in self._later.values())
        found = self._estimate.range(self.tally.left(now), now, later)
        return f'about {span(*found)} left' if found else ''

    def memory(self) -> str:
        """Return the memory of the whole run now and its limit in words."""
        used = self._gauge.read(self.now())
        return f'{used:.1f} of {self.limit_gb:.1f} GB' if self.limit_gb else f'{used:.1f} GB'

    def spent(self, key: str) -> Spent:
        """Return what an acquisition has cost so far in this run."""
        with self._lock:
            work = self.tally.works.get(key) or Work(key)
            return Spent(work.busy_s, work.peak_gb)

    def _close(self, work: Work) -> None:
        if not work.closed:
            work.closed = True
            if self._is_acquisition(work):
                self._show('acquisition', work, self)

    def _is_acquisition(self, work: Work) -> bool:
        """Whether it is more than a single step with a name of its own."""
        return work.planned > 1 or work.key in self._acquisitions

    def _ticks(self) -> None:
        while self._display and not self._stop.wait(self._display.every_s):
            with self._lock:
                if not self._stop.is_set():
                    self._show('tick', self)

    def _show(self, what: str, *args: object) -> None:
        """Tell the display; a run goes on when its terminal or log is gone."""
        try:
            if self._display:
                getattr(self._display, what)(*args)
        except (OSError, ValueError):  # ValueError: the stream was closed
            self._display = None


def choose_display(stream: TextIO, environ: Mapping[str, str]) -> Display:
    """Return a live display for a terminal and plain lines for everything else."""
    if is_terminal(stream, environ):
        from qsmbids.execution.terminal import TerminalDisplay

        return TerminalDisplay(stream)
    return PlainLines(stream)


def is_terminal(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether a person looks at the stream on a screen that can be written over."""
    unwanted = any(environ.get(name) for name in ('NO_COLOR', 'CI'))
    return not unwanted and environ.get('TERM', 'dumb') != 'dumb' and stream.isatty()


# Workers are forked. A thread that is just writing would leave them a stream that stays locked
# for ever, so nothing is written during a fork, and a child lets go of the screen.
_active: list[Progress] = []


def _before_fork() -> None:
    for progress in _active:
        progress._lock.acquire()


def _after_fork() -> None:
    for progress in reversed(_active):
        progress._lock.release()


def _in_child() -> None:
    _after_fork()
    for progress in _active:
        progress._show('forget')
    _active.clear()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
