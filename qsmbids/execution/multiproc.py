"""Nipype's MultiProc, mended: a killed worker becomes a clear failure of its node.

The stock plugin waits for ever when a worker dies (out of memory, SIGKILL): the exception of
the broken pool is raised inside a callback, where nobody sees it. Here the callback looks at
the future's exception. A broken pool fails every node in flight, guilty or not, so each of
them is run once more in a pool of its own; only the one that breaks that pool too is reported.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from nipype.pipeline.plugins.multiproc import (
    MultiProcPlugin,
    process_initializer,
    run_node,
)

from qsmbids.execution.failures import Failure, last_message

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class SafeMultiProc(MultiProcPlugin):
    """MultiProc that survives a killed worker and leaves no worker behind.

    Parameters
    ----------
    plugin_args : dict
        As for MultiProc: ``n_procs``, ``memory_gb``, ``status_callback`` ...

    Attributes
    ----------
    failures : list of Failure
        The steps that failed, in order.
    """

    def __init__(self, plugin_args: dict[str, Any]):
        super().__init__(plugin_args=plugin_args)
        self.pool.shutdown(wait=False)  # nothing was started in it yet
        self.pool = self._new_pool(self.processors)
        self._retries: list[ProcessPoolExecutor] = []
        self._to_retry: dict[int, tuple[Any, bool]] = {}
        self.failures: list[Failure] = []

    def kill_workers(self) -> None:
        """End all workers at once."""
        for pool in (self.pool, *self._retries):
            for process in list((getattr(pool, '_processes', None) or {}).values()):
                process.kill()
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
        if isinstance(error, BrokenProcessPool):
            self._to_retry[taskid] = (node, updatehash)
        else:
            self._keep(future, error, taskid)

    def _get_result(self, taskid: int) -> dict[str, Any] | None:
        # The main thread polls this, so the retry is started here and not in the callback: a
        # worker that ends with its parent ends with the parent's *thread* that started it.
        if taskid in self._to_retry:
            node, updatehash = self._to_retry.pop(taskid)
            retry = self._new_pool(1)
            self._retries.append(retry)
            again = retry.submit(run_node, node, updatehash, taskid)
            again.add_done_callback(lambda f: self._finished_alone(f, node, taskid))
        return super()._get_result(taskid)

    def _finished_alone(self, future: Future, node: Any, taskid: int) -> None:
        error = None if future.cancelled() else future.exception()
        if isinstance(error, BrokenProcessPool):
            text = (
                'WorkerKilledError: the worker was killed by the system, twice.\n'
                'Most often it ran out of memory: this step was estimated to need '
                f'{node.mem_gb:.1f} GB, the limit of the run is {self.memory_gb:.1f} GB.\n'
                'Give the run more memory (or --mem what it really has) and start it again: '
                'finished steps are kept.\n'
            )
            self._taskresult[taskid] = {'result': None, 'traceback': [text], 'taskid': taskid}
        else:
            self._keep(future, error, taskid)

    def _keep(self, future: Future, error: BaseException | None, taskid: int) -> None:
        if future.cancelled() or error is not None:
            text = f'{type(error).__name__}: {error}\n' if error else 'the step was cancelled\n'
            self._taskresult[taskid] = {'result': None, 'traceback': [text], 'taskid': taskid}
        else:
            self._taskresult[taskid] = future.result()

    def _report_crash(self, node: Any, result: dict[str, Any] | None = None) -> str:
        if result is not None and isinstance(result['traceback'], str):
            result = {**result, 'traceback': result['traceback'].splitlines(keepends=True)}
        crash_file = super()._report_crash(node, result)
        title = getattr(node.interface, 'title', '') or node.name
        traceback = result['traceback'] if result else None
        self.failures.append(
            Failure(node.fullname, title, last_message(traceback), str(crash_file or ''))
        )
        return crash_file

    def _postrun_check(self) -> None:
        for pool in (self.pool, *self._retries):
            pool.shutdown()


def _initialise_worker(folder: str) -> None:
    """Set a worker up so that it ends with its parent, whatever ended that."""
    process_initializer(folder)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    except (OSError, AttributeError):
        return  # not Linux
