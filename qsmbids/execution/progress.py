"""What a person sees while it runs: one line per step with its time, and what is left."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, TextIO

HEARTBEAT_S = 60.0


class Progress:
    """Print a line when a step ends, and a sign of life in long steps.

    Parameters
    ----------
    total : int
        Steps of the run.
    labels : mapping of str to str
        Name of a workflow to the acquisition it belongs to.
    stream : file, optional
        Default standard output.

    Notes
    -----
    An instance is the ``status_callback`` of the Nipype plugin, which calls it with a node
    and 'start', 'end' or 'exception'. Only nodes whose interface has a title count.
    """

    def __init__(self, total: int, labels: Mapping[str, str], stream: TextIO | None = None):
        self.total = total
        self._labels = labels
        self._stream = stream or sys.stdout
        self._running: dict[str, tuple[str, float]] = {}
        self._done: set[str] = set()
        self._start = time.monotonic()
        self._stop = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self) -> Progress:
        threading.Thread(target=self._heartbeat, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()

    def __call__(self, node: Any, status: str) -> None:
        """Take note of a step that started or ended."""
        title = getattr(node.interface, 'title', '')
        if not title or node.fullname in self._done:
            return
        name = node.fullname
        with self._lock:
            if status == 'start':
                self._running[name] = (self._words(name, title), time.monotonic())
                return
            words, begin = self._running.pop(name, (self._words(name, title), None))
            self._done.add(name)
            took = '' if begin is None else f' {time.monotonic() - begin:5.1f} s'
            kept = ' (kept from an earlier run)' if begin is None else ''
            state = ' FAILED' if status == 'exception' else kept
            self._print(f'[{len(self._done)}/{self.total}] {words}{state}{took}{self._left()}')

    def _words(self, fullname: str, title: str) -> str:
        owner = next((self._labels[p] for p in fullname.split('.') if p in self._labels), '')
        return f'{owner} {title}'.strip()

    def _left(self) -> str:
        """Return an estimate of what is left, as a range, from the mean so far."""
        done = len(self._done)
        if done < 3 or done >= self.total:
            return ''
        rest = (time.monotonic() - self._start) / done * (self.total - done)
        return f'   (about {clock(0.6 * rest)} to {clock(1.6 * rest)} left)'

    def _heartbeat(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            with self._lock:
                now = time.monotonic()
                busy = [f'{w} ({clock(now - b)})' for w, b in self._running.values()]
                if busy:
                    self._print(f'... still at work: {"; ".join(busy)}')

    def _print(self, text: str) -> None:
        self._stream.write(text + '\n')
        self._stream.flush()


def clock(seconds: float) -> str:
    """Return a duration in words.

    Examples
    --------
    >>> clock(41), clock(95), clock(7300)
    ('41 s', '1.6 min', '2.0 h')
    """
    if seconds < 60:
        return f'{seconds:.0f} s'
    return f'{seconds / 60:.1f} min' if seconds < 3600 else f'{seconds / 3600:.1f} h'
