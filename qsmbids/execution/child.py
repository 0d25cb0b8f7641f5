"""Calling a function in a process of its own, so that what it holds goes with it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def in_child(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns, or raise what it raises, from a forked process.

    Parameters
    ----------
    function : callable
        At the top level of a module.
    *arguments
        They and the result are pickled.
    """
    context = multiprocessing.get_context('fork')
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()
