"""Progress on a terminal: a bar over the whole run, and a line for each acquisition at work."""

from __future__ import annotations

import fcntl
import logging
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

from qsmbids.execution.estimate import clock
from qsmbids.execution.lines import describe, kept, numbered
from qsmbids.execution.tally import Step, Work

if TYPE_CHECKING:
    from rich.console import Console, Group

    from qsmbids.execution.progress import Progress

_FRAME = 4  # lines of the screen that are left free
_LEAST_BAR = 8  # columns


class TerminalDisplay:
    """Keep the lowest lines of a terminal up to date; what ended scrolls by above them.

    What other code prints meanwhile, and what it logs, appears above as well; so does what
    forked workers and the libraries in them write.

    Parameters
    ----------
    stream : file
        The terminal.
    console : Console, optional
        Another one than that of the stream.
    """

    every_s = 0.25

    def __init__(self, stream: TextIO, console: Console | None = None):
        # rich is imported here, so that a log does not pay for it
        from rich.console import Console
        from rich.live import Live

        self._console = console or Console(file=stream, highlight=False)
        # refreshed by our own thread, under a lock that keeps it from a fork
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stderr=sys.stderr.isatty(),
        )
        self._plain: tuple[Any, Any] = (None, None)
        self._handlers: list[tuple[logging.StreamHandler, Any]] = []
        self._workers_say: int | None = None
        self._read = 0  # bytes of it
        self._shown: tuple = ()
        self._kept_alone = 0

    def start(self) -> None:
        """Take the lowest lines of the screen."""
        self._plain = (sys.stdout, sys.stderr)
        if hasattr(os, 'memfd_create'):
            # neither a full disk nor a full pipe can stop a worker that writes here
            self._workers_say = os.memfd_create('workers')
            fcntl.fcntl(self._workers_say, fcntl.F_SETFL, os.O_APPEND)
        self._live.start()
        self._redirect_loggers()

    def step(self, step: Step, progress: Progress) -> None:
        """Wait for the next tick: fast steps must not make the display flicker."""
        if step.outcome == 'FAILED':
            self._print(f'{step.owner} {step.title} FAILED after {clock(step.seconds)}'.strip())

    def acquisition(self, work: Work, progress: Progress) -> None:
        """Let a line scroll by; acquisitions without anything to do are only counted."""
        if work.state == 'kept':
            self._kept_alone += 1
        else:
            self._print(describe(work))

    def tick(self, progress: Progress) -> None:
        """Draw the lowest lines anew if something changed."""
        self._repeat_workers()
        bar, lines = self._bar(progress), self._at_work(progress)
        shown = (*bar, *lines, self._console.size)
        if shown != self._shown:
            self._shown = shown
            self._live.update(self._draw(bar, lines), refresh=True)

    def stop(self, progress: Progress) -> None:
        """Give the lines back and say in one what was done."""
        tally = progress.tally
        text = f'{progress.count} steps in {clock(progress.now() - progress.start_s)}'
        text += f', {numbered(progress)}' if progress.acquisitions[1] else ''
        text += f'; {kept(tally.kept)}' if tally.kept else ''
        self._repeat_workers()
        if self._workers_say is not None:
            os.close(self._workers_say)
            self._workers_say = None
        self._live.stop()
        self._restore_loggers()
        self._console.print(text, markup=False, soft_wrap=True)

    def forget(self) -> None:
        """Give a forked process the plain streams: the screen is its parent's to draw."""
        sys.stdout, sys.stderr = self._plain
        self._restore_loggers()
        if self._workers_say is not None:
            for number in (1, 2):
                if os.isatty(number):
                    os.dup2(self._workers_say, number)

    def _repeat_workers(self) -> None:
        """Show what forked processes wrote since the last look, whole lines only."""
        if self._workers_say is None:
            return
        text = os.pread(self._workers_say, 1 << 16, self._read)
        end = len(text) if len(text) == 1 << 16 else text.rfind(b'\n') + 1
        self._read += end
        if end:
            from rich.text import Text

            words = text[:end].decode(errors='replace').rstrip('\n')
            self._console.print(Text.from_ansi(words), soft_wrap=True)

    def _draw(self, bar: tuple[int, int, str], lines: list[str]) -> Group:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        done, total, words = bar
        width = self._console.width
        row = Table.grid(padding=(0, 1))
        row.add_column(width=max(_LEAST_BAR, min(40, width - len(words) - 2)))
        row.add_column(no_wrap=True, overflow='ellipsis')
        row.add_row(ProgressBar(total=total or 1, completed=done), words)
        texts = [Text(line, no_wrap=True, overflow='ellipsis') for line in lines]
        return Group(*texts, row)

    def _bar(self, progress: Progress) -> tuple[int, int, str]:
        parts = [f'{progress.count} steps', progress.time_left()]
        room = self._console.width - len(', '.join(parts)) - _LEAST_BAR - 3
        if progress.acquisitions[1] > 1 and len(numbered(progress)) <= room:
            parts.insert(1, numbered(progress))
        return progress.tally.ended, progress.total, ', '.join(filter(None, parts))

    def _at_work(self, progress: Progress) -> list[str]:
        """Return a line for each acquisition of which a step runs, as many as there is room."""
        now = progress.now()
        busy = [work for work in progress.tally.works.values() if work.running]
        room = max(1, self._console.height - _FRAME)
        widest = max((len(work.key) for work in busy), default=0)
        widest = min(widest, max(10, self._console.width // 2))
        lines = []
        for work in busy[:room]:
            steps = ', '.join(
                f'{title} {_whole(now - start)}' for title, start in work.running.values()
            )
            lines.append(f'{work.key:<{widest}}  {steps}')
        if len(busy) > room:
            lines.append(f'and {len(busy) - room} more at work')
        return lines

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)

    def _redirect_loggers(self) -> None:
        """Let loggers that hold the terminal itself write above the display too."""
        now = dict(zip(self._plain, (sys.stdout, sys.stderr), strict=True))
        known = [logging.root, *logging.Logger.manager.loggerDict.values()]
        for logger in known:
            for handler in getattr(logger, 'handlers', ()):
                old = getattr(handler, 'stream', None)
                if isinstance(handler, logging.StreamHandler) and old in self._plain:
                    if isinstance(getattr(type(handler), 'stream', None), property):
                        continue  # it asks for sys.stderr each time, and cannot be set
                    self._handlers.append((handler, old))
                    handler.setStream(now[old])

    def _restore_loggers(self) -> None:
        for handler, stream in self._handlers:
            handler.stream = stream
        self._handlers.clear()


def _whole(seconds: float) -> str:
    """Return a duration that changes once a second at most."""
    return f'{int(seconds)} s' if seconds < 60 else clock(seconds)
