"""Compiled loops: one way to compile them, and one to run them on several threads.

Loops over voxels are compiled by numba with types given in advance, so that nothing is
compiled in the middle of a reconstruction, and release the interpreter lock, so that ordinary
threads can share a volume. That needs no threading layer of numba, which may hang in
processes that were forked.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba

from .fft import get_workers


def compiled(signature: str | None = None, **options) -> Callable:
    """Return a decorator that compiles a loop, cached on disk where a folder is writable.

    Parameters
    ----------
    signature : str, optional
        Types in numba's notation, e.g. ``'void(f4[:, :, ::1], f4)'``; without one the loop is
        compiled when it is first called.
    **options
        Further options of ``numba.njit``.
    """
    types = () if signature is None else (signature,)

    def decorate(function):
        try:
            return numba.njit(*types, cache=True, nogil=True, **options)(function)
        except RuntimeError:  # read-only installation and no home: compile in each process
            return numba.njit(*types, nogil=True, **options)(function)

    return decorate


def over_slabs(loop: Callable, n: int) -> list:
    """Call ``loop(start, stop)`` for consecutive parts of range(n), one thread for each part.

    Parameters
    ----------
    loop : callable
        Must release the interpreter lock to gain anything, and write only to its own part.
    n : int
        Number of planes; the parts follow the number of workers of :mod:`qsmbids.qsm.fft`.

    Returns
    -------
    list
        What the calls return, in order.

    Examples
    --------
    >>> sum(over_slabs(lambda start, stop: stop - start, 10))
    10
    """
    workers = max(1, min(get_workers(), n))
    bounds = [n * part // workers for part in range(workers + 1)]
    if workers == 1:
        return [loop(0, n)]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(loop, bounds[:-1], bounds[1:]))
