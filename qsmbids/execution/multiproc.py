"""Nipype's MultiProc, mended: a killed worker becomes a clear failure of its node.

The stock plugin waits for ever when a worker dies (out of memory, SIGKILL): the exception of
the broken pool is raised inside a callback, where nobody sees it. Here the callback looks at
the future's exception. A broken pool fails every node in flight, guilty or not, so each of
them is run once more, alone and with nothing beside it; only the one that breaks that pool
too is reported.

The stock plugin also looks for finished nodes at fixed times. Here the main loop sleeps until
a node ends, so short nodes follow one another at once and waiting costs nothing.
"""

from __future__ import annotations

import gc
import multiprocessing
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import numpy as np
from nipype.pipeline.plugins import legacymultiproc
from nipype.pipeline.plugins.legacymultiproc import LegacyMultiProcPlugin
from nipype.pipeline.plugins.multiproc import (
    MultiProcPlugin,
    process_initializer,
    run_node,
)

from qsmbids.execution.child import end_with_parent, kill_workers
from qsmbids.execution.priority import priorities
from qsmbids.execution.reporting import Reporting, at_once

_LONGEST_SLEEP_S = 5.0  # an event ends it before; this is for safety only
_DEATH_S = 10.0  # a killed process is gone long before
_GRACE_S = 1.0  # for one that was asked to stop


class SafeMultiProc(Reporting, MultiProcPlugin):
    """MultiProc that survives a killed worker and leaves no worker behind.

    Parameters
    ----------
    plugin_args : dict
        As for MultiProc: ``n_procs``, ``memory_gb``, ``status_callback`` ... Nodes may have an
        attribute ``qsmbids_seconds``, the expected time: see
        :func:`qsmbids.execution.priority.priorities`.

    Attributes
    ----------
    failures : list of Failure
        The steps that failed, in order.
    """

    def __init__(self, plugin_args: dict[str, Any]):
        super().__init__(plugin_args)
        self.pool.shutdown(wait=False)  # nothing was started in it yet
        self.pool = self._new_pool(self.processors)
        self._alone: ProcessPoolExecutor | None = None  # of the node that is tried again
        self._tried_again: int | None = None
        self._to_retry: dict[int, tuple[Any, bool]] = {}
        self._priority: dict[Any, tuple] = {}
        self._wake = threading.Event()

    def run(self, graph: Any, config: Any, updatehash: bool = False) -> None:
        """Carry out a graph."""
        self._priority = priorities(graph)
        # Nipype collects garbage before every submission: what is there already (all that
        # was imported, the graph) need not be looked through each time
        gc.freeze()
        try:
            super().run(graph, at_once(config), updatehash=updatehash)
        finally:
            gc.unfreeze()

    def stop(self) -> None:
        """End all workers at once, even one that hears no signal but SIGKILL."""
        for pool in (self.pool, self._alone):
            if pool is not None:
                _kill_workers(pool)
                pool.shutdown(wait=False, cancel_futures=True)

    def _new_pool(self, workers: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            max_workers=workers,
            initializer=_initialise_worker,
            initargs=(self._cwd,),
            mp_context=multiprocessing.get_context(self.plugin_args.get('mp_context')),
        )

    def _submit_job(self, node: Any, updatehash: bool = False) -> int:
        self._taskid += 1
        taskid = self._taskid
        try:
            future = self.pool.submit(run_node, node, updatehash, taskid)
        except BrokenProcessPool:
            self.pool = self._new_pool(self.processors)
            future = self.pool.submit(run_node, node, updatehash, taskid)
        self._task_obj[taskid] = future
        future.add_done_callback(lambda f: self._finished(f, node, updatehash, taskid))
        return taskid

    def _finished(self, future: Future, node: Any, updatehash: bool, taskid: int) -> None:
        error = None if future.cancelled() else future.exception()
        if not isinstance(error, BrokenProcessPool):
            self._keep(future, error, taskid)
        elif taskid == self._tried_again:
            self._keep_killed(node, taskid)
        else:
            self._to_retry[taskid] = (node, updatehash)
        self._wake.set()

    def _send_procs_to_workers(self, updatehash: bool = False, graph: Any = None) -> None:
        before = self._settled()
        if not self._trying_again():
            super()._send_procs_to_workers(updatehash=updatehash, graph=graph)
        # what was done here (from the cache, on this thread) may have made others ready
        if self.pending_tasks and self._settled() == before:
            self._wake.wait(_LONGEST_SLEEP_S)
            self._wake.clear()  # all that is there now is collected before the next wait

    def _settled(self) -> tuple[int, int]:
        return len(self.procs), int(np.count_nonzero(self.proc_done & ~self.proc_pending))

    def _trying_again(self) -> bool:
        """Run the nodes of a broken pool once more, one at a time and with none beside it.

        Called by the main thread, not by the callback: a worker that ends with its parent
        ends with the parent's *thread* that started it.
        """
        if self._tried_again not in self._task_obj:  # its result was collected
            self._tried_again = None
        if self._tried_again is None and not self._to_retry:
            return False
        running = {taskid for taskid, _ in self.pending_tasks} - self._to_retry.keys()
        if self._tried_again is not None or running - self._taskresult.keys():
            return True
        # the pool ends its other workers only after it said that it is broken, and none may
        # still write into the folder of its node when that starts anew
        _kill_workers(self.pool, wait=True)
        if self._alone is not None:
            self._alone.shutdown()
        self._alone = self._new_pool(1)
        taskid = next(iter(self._to_retry))
        node, updatehash = self._to_retry.pop(taskid)
        self._tried_again = taskid
        future = self._alone.submit(run_node, node, updatehash, taskid)
        self._task_obj[taskid] = future
        future.add_done_callback(lambda f: self._finished(f, node, updatehash, taskid))
        return True

    def _clear_task(self, taskid: int) -> None:
        super()._clear_task(taskid)
        del self._taskresult[taskid]

    def _keep(self, future: Future, error: BaseException | None, taskid: int) -> None:
        if future.cancelled() or error is not None:
            text = _told(error) if error else 'the step was cancelled\n'
            self._taskresult[taskid] = {'result': None, 'traceback': [text], 'taskid': taskid}
        else:
            self._taskresult[taskid] = future.result()

    def _keep_killed(self, node: Any, taskid: int) -> None:
        text = (
            'WorkerKilledError: the worker was killed by the system, twice.\n'
            'Most often it ran out of memory: this step was estimated to need '
            f'{node.mem_gb:.1f} GB, the limit of the run is {self.memory_gb:.1f} GB.\n'
            'Give the run more memory (or --mem what it really has) and start it again: '
            'finished steps are kept.\n'
        )
        self._taskresult[taskid] = {'result': None, 'traceback': [text], 'taskid': taskid}

    def _sort_jobs(self, jobids: Any, scheduler: str | None = None) -> Sequence[int]:
        if scheduler:
            return super()._sort_jobs(jobids, scheduler=scheduler)
        last = (len(self._priority), 0)  # subnodes of a MapNode are not in the graph
        return sorted(jobids, key=lambda job: self._priority.get(self.procs[job], last))

    def _postrun_check(self) -> None:
        for pool in (self.pool, self._alone):
            if pool is not None:
                pool.shutdown()


class SafeLegacyMultiProc(Reporting, LegacyMultiProcPlugin):
    """Nipype's older pool, whose workers end with the run too, but not when one is killed.

    Its use is ``maxtasksperchild``: workers are replaced after so many nodes.
    """

    def __init__(self, plugin_args: dict[str, Any]):
        # Nipype makes the pool with what it finds under this name
        stock = legacymultiproc.process_initializer
        legacymultiproc.process_initializer = _initialise_worker
        try:
            super().__init__(plugin_args)
        finally:
            legacymultiproc.process_initializer = stock

    def stop(self) -> None:
        """End all workers at once."""
        # a worker that is just being born may lose the SIGTERM, and would be waited for for ever
        ending = threading.Thread(target=self.pool.terminate, daemon=True)
        ending.start()
        while ending.is_alive():
            ending.join(_GRACE_S)
            for worker in self.pool._pool:
                worker.kill()


def _kill_workers(pool: ProcessPoolExecutor, wait: bool = False) -> None:
    workers = kill_workers(pool)
    for worker in workers if wait else ():
        worker.join(_DEATH_S)


def _initialise_worker(folder: str) -> None:
    """Set a worker up: where it works, and that it ends with its parent."""
    end_with_parent()
    process_initializer(folder)


def _told(error: BaseException) -> str:
    """Return all that a worker said: the last error may only follow from an earlier one."""
    return f'{error.__cause__ or ""}\n{type(error).__name__}: {error}\n'
