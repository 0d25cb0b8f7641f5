"""A record of what a run uses, for machines: ``--resource-monitor``.

::

    <folder>/resources_<name>_samples.tsv   a row every two seconds, of the whole process tree
    <folder>/resources_<name>_steps.tsv     a row for each step that ended

A row is handed to the system as it comes, so that a killed run leaves all rows up to its end.
Times of day are those of the start plus what has passed since, so that they never go back.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType

from qsmbids.execution.process_tree import Gauge, tree, usage
from qsmbids.execution.tally import Step

SAMPLES = ('time', 'elapsed_s', 'cpu_percent', 'cpu_s', 'rss_gb', 'pss_gb', 'processes')
STEPS = (
    'node', 'acquisition', 'step', 'outcome', 'start', 'end', 'start_s', 'end_s', 'seconds',
    'cpu_seconds', 'peak_gb', 'mem_gb', 'n_procs', 'host',
)  # fmt: skip
_COST = 0.002  # of one processor: what asking for the shared memory may take, and all the rest


class Monitor:
    """Write down what a run uses, from entering to leaving.

    Parameters
    ----------
    folder : Path
        Where the two tables go; it is made.
    name : str
        Name of the run.
    limit_gb : float
        Memory limit of the run; 0 when unknown.
    n_procs : int
        Processors of the run; 0 when unknown.
    interval_s : float
        Time between two samples.
    now : callable
        A clock that never goes back.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        limit_gb: float = 0.0,
        n_procs: int = 0,
        interval_s: float = 2.0,
        now: Callable[[], float] = time.monotonic,
    ):
        self.samples = folder / f'resources_{name}_samples.tsv'
        self.steps = folder / f'resources_{name}_steps.tsv'
        self._limit_gb, self._n_procs, self._interval_s = limit_gb, n_procs, interval_s
        self._now = now
        self._start_s = self._last_s = now()
        self._start_day = datetime.now().astimezone()
        self._cpu_before = self._cpu_s = 0.0
        self._highest_gb = 0.0
        self._shared_gb = 0.0  # counted too often, when it was last known
        self._gauge = Gauge(_COST)
        self._files: dict[Path, int] = {}
        self._trouble = ''
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def __enter__(self) -> Monitor:
        try:
            self.samples.parent.mkdir(parents=True, exist_ok=True)
            for path, names in ((self.samples, SAMPLES), (self.steps, STEPS)):
                # unbuffered: what is written is not lost when this process is killed, and a
                # forked worker holds nothing that it could write a second time
                self._files[path] = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
                self._write(path, names)
        except OSError as error:
            self._trouble = str(error)
        self._cpu_before = usage(tree()).cpu_s
        self._start_s = self._last_s = self._now()
        threading.Thread(target=self._loop, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self.sample()
        with self._lock:
            for file in self._files.values():
                os.close(file)
            self._files.clear()

    def sample(self) -> None:
        """Write a row on the process tree as it is now."""
        now = self._now()
        pids = tree()
        used = usage(pids)
        pss = self._gauge.read(now, pids) if self._gauge.due(now) else None
        with self._lock:
            cpu_s = max(used.cpu_s - self._cpu_before, self._cpu_s)
            passed = now - self._last_s
            percent = 100 * (cpu_s - self._cpu_s) / passed if passed > 0 else 0.0
            self._cpu_s, self._last_s = cpu_s, now
            if pss is not None:
                self._shared_gb = max(used.rss_gb - pss, 0.0)
            self._highest_gb = max(self._highest_gb, used.rss_gb - self._shared_gb)
            self._write(
                self.samples,
                (self._day(now), f'{now - self._start_s:.2f}', f'{percent:.0f}', f'{cpu_s:.2f}',
                 _number(used.rss_gb), _number(pss), used.processes),
            )  # fmt: skip

    def step(self, step: Step) -> None:
        """Write a row on a step that has ended."""
        record = step.record
        start = '' if step.start is None else self._day(step.start)
        start_s = None if step.start is None else step.start - self._start_s
        seconds = step.seconds if step.outcome != 'kept' else record.get('seconds')
        with self._lock:
            self._write(
                self.steps,
                (step.node, step.owner, step.title, step.outcome, start, self._day(step.end),
                 _number(start_s), _number(step.end - self._start_s), _number(seconds),
                 _number(record.get('cpu_seconds')), _number(record.get('peak_gb')),
                 _number(step.mem_gb), step.n_procs, record.get('host', '')),
            )  # fmt: skip

    def summary(self) -> str:
        """Return a line on the processors and the memory that were used, and where it stands."""
        if self._trouble:
            return f'The record of the resources could not be written: {self._trouble}'
        passed = max(self._last_s - self._start_s, 1e-9)
        mean = self._cpu_s / passed
        share = f' of {self._n_procs}' if self._n_procs else ''
        limit = f', limit {self._limit_gb:.1f} GB' if self._limit_gb else ''
        return (
            f'Resources: {mean:.1f}{share} processors busy on average; highest memory of all '
            f'processes together {self._highest_gb:.2f} GB{limit}. Record: {self.samples}'
        )

    def _loop(self) -> None:
        pause = self._interval_s
        while not self._stop.wait(pause):
            start, shared = time.thread_time(), self._gauge.spent_s
            self.sample()
            own = time.thread_time() - start - (self._gauge.spent_s - shared)
            pause = max(self._interval_s, own / _COST)  # longer with hundreds of processes

    def _day(self, now: float) -> str:
        day = self._start_day + timedelta(seconds=now - self._start_s)
        return day.isoformat(timespec='milliseconds')

    def _write(self, path: Path, row: Iterable[object]) -> None:
        """Write a row whole; a full disk ends the record, not the run."""
        file = self._files.get(path)
        if file is None or self._trouble:
            return
        text = '\t'.join(' '.join(str(value).split()) or 'n/a' for value in row) + '\n'
        try:
            os.write(file, text.encode())
        except OSError as error:
            self._trouble = str(error)


def _number(value: float | None) -> str:
    """Return a number for a table; what is not known stays empty."""
    return f'{value:.3f}' if isinstance(value, int | float) else ''
