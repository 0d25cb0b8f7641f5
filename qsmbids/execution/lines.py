"""Progress as plain lines, for a log: no escape codes, nothing written over."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from qsmbids.execution.estimate import clock
from qsmbids.execution.tally import Step, Work

if TYPE_CHECKING:
    from qsmbids.execution.progress import Progress

HEARTBEAT_S = 60.0
_SETTLE_S = 2.0  # kept steps come in bursts, and one line tells of a burst
_MOST_NAMED = 6  # steps named in one heartbeat
_WIDEST = 56


class PlainLines:
    """Write a line for every step that ended, and a sign of life each minute.

    Parameters
    ----------
    stream : file
        The log.
    """

    every_s = 1.0

    def __init__(self, stream: TextIO):
        self._stream = stream
        self._beat: float | None = None
        self._kept = 0  # steps kept that no line has told of
        self._kept_at = 0.0
        self._width = 24

    def start(self) -> None:
        """Do nothing: the first line comes with the first step."""

    def forget(self) -> None:
        """Do nothing: a child has no display of its own."""

    def step(self, step: Step, progress: Progress) -> None:
        """Write a line; steps that were kept are counted instead."""
        if step.outcome == 'left out':
            return
        if step.outcome == 'kept':
            self._kept += 1
            self._kept_at = step.end
            return
        self._tell_kept(progress, step.end)
        words = f'{step.owner} {step.title}'.strip()
        self._width = max(self._width, min(max(len(words), progress.widest), _WIDEST))
        memory = '' if step.peak_gb is None else f'{step.peak_gb:.2f} GB'
        parts = [f'{counted(progress)} {words:<{self._width}}', f'{clock(step.seconds):>8}']
        if step.outcome == 'FAILED':
            parts.append('FAILED')
        elif memory:
            parts.append(memory)
        left = progress.time_left()
        self._write('  '.join(parts) + (f'   ({left})' if left else ''))

    def acquisition(self, work: Work, progress: Progress) -> None:
        """Write how an acquisition ended, unless there was nothing to do for it."""
        if work.state == 'kept':
            return
        self._tell_kept(progress, progress.now())
        self._write(f'{describe(work)}   ({numbered(progress)})')

    def tick(self, progress: Progress) -> None:
        """Write which steps are at work, once a minute."""
        now = progress.now()
        self._tell_kept(progress, now)
        self._beat = progress.start_s if self._beat is None else self._beat
        if now - self._beat < HEARTBEAT_S:
            return
        self._beat = now
        running = progress.tally.running()
        busy = [f'{key} {title} ({clock(now - t)})'.strip() for key, title, t in running]
        if len(busy) > _MOST_NAMED:
            busy[_MOST_NAMED:] = [f'{len(busy) - _MOST_NAMED} more']
        parts = [f'at work: {", ".join(busy) or "nothing, waiting"}']
        parts += [f'memory {progress.memory()}', progress.time_left()]
        self._write(f'... after {clock(now - progress.start_s)} ' + '; '.join(filter(None, parts)))

    def stop(self, progress: Progress) -> None:
        """Tell of what no line has told yet."""
        self._tell_kept(progress, float('inf'))

    def _tell_kept(self, progress: Progress, now: float) -> None:
        if self._kept and now - self._kept_at >= _SETTLE_S:
            self._write(f'{counted(progress)} {kept(self._kept)}')
            self._kept = 0

    def _write(self, text: str) -> None:
        self._stream.write(text + '\n')
        self._stream.flush()


def counted(progress: Progress) -> str:
    """Return '[12/36]', as wide for the first step as for the last."""
    return f'[{progress.count}]'.ljust(2 * len(str(progress.total)) + 3)


def describe(work: Work) -> str:
    """Return how an acquisition ended, in one line."""
    parts = [work.key or 'the run', work.state]
    if work.failed:
        parts[1] += f' at {work.failed}'
    if work.done or work.failed:
        parts.append(f'  {clock(work.busy_s)}')
    if work.peak_gb is not None:
        parts.append(f'  peak {work.peak_gb:.2f} GB')
    if work.left_out:
        parts.append(f'  {work.left_out} {_steps(work.left_out)} left out')
    return ' '.join(parts)


def numbered(progress: Progress) -> str:
    """Return '7 of 16 acquisitions'."""
    ended, everything = progress.acquisitions
    return f'{ended} of {everything} acquisition{"" if everything == 1 else "s"}'


def kept(number: int) -> str:
    """Return a line on steps that an earlier run finished."""
    return f'{number} {_steps(number)} kept from an earlier run'


def _steps(number: int) -> str:
    return 'step' if number == 1 else 'steps'
