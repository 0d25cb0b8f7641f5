"""Processes of a run that end with it, and calling a function in one of them."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent() -> None:
    """Set a forked process up so that it ends with its parent, whatever ended that."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    except (OSError, AttributeError):
        return  # not Linux
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():  # it ended before the line above
        os._exit(1)


def kill_workers(pool: ProcessPoolExecutor) -> list[Any]:
    """End the processes of a pool at once; return them."""
    workers = list((getattr(pool, '_processes', None) or {}).values())
    for worker in workers:
        worker.kill()
    return workers


def in_child(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns, or raise what it raises, from a forked process.

    What the function holds in memory goes with that process.

    Parameters
    ----------
    function : callable
        At the top level of a module.
    *arguments
        They and the result are pickled.

    Raises
    ------
    MemoryError
        If the system killed the process, for which there is hardly another reason.
    """
    context = multiprocessing.get_context('fork')
    pool = ProcessPoolExecutor(1, context, initializer=end_with_parent)
    try:
        return pool.submit(function, *arguments).result()
    except BrokenProcessPool:
        raise MemoryError('the system killed a process of this run') from None
    except BaseException:
        kill_workers(pool)
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
