"""What every scheduler of Nipype lacks: failures that can be asked for, and an orderly end.

The schedulers lose a run when a job is refused or vanishes (a traceback is text where a list
is expected), tell nobody what failed but the log, and leave their jobs behind when they are
stopped. The mixin here mends that for all of them alike.
"""

from __future__ import annotations

import os
import subprocess
import sys
from traceback import format_exception
from typing import Any

from qsmbids.execution.failures import Failure, last_message

# how to take a job back, by the scheduler's class; Slurm has a module of its own
_CANCEL = {
    'PBSPlugin': 'qdel',
    'SGEPlugin': 'qdel',
    'CondorPlugin': 'condor_rm',
    'LSFPlugin': 'bkill',
    'OARPlugin': 'oardel',
}
_REFUSED = (
    'ClusterJobError: The scheduler refused the job of this step.\n'
    'It gave no job number; most often an option, a queue or a limit is wrong.\n'
    'Submit a job with the same options by hand, mend the plugin file, and start again.\n'
)
_CANCEL_TIMEOUT_S = 20


class Reporting:
    """Mixin, to stand before a scheduler that derives from Nipype's DistributedPluginBase.

    Attributes
    ----------
    failures : list of Failure
        The steps that failed, in order.
    """

    def __init__(self, plugin_args: dict[str, Any]):
        # the batch schedulers name their jobs after it, and containers do not set it
        os.environ.setdefault('LOGNAME', str(os.getuid()))
        super().__init__(plugin_args=plugin_args)
        self.failures: list[Failure] = []
        self._refused: dict[int, list[str]] = {}

    def run(self, graph: Any, config: Any, updatehash: bool = False) -> None:
        """Carry out a graph; whatever ends it, nothing is left behind."""
        try:
            super().run(graph, config, updatehash=updatehash)
        finally:
            self.stop()

    def stop(self) -> None:
        """End at once whatever still runs or waits."""
        names = (kind.__name__ for kind in type(self).__mro__)
        cancel = next((_CANCEL[name] for name in names if name in _CANCEL), '')
        jobs = [str(job) for job in getattr(self, '_pending', ())]
        if cancel and jobs:
            _quietly([cancel, *jobs])

    def _submit_job(self, node: Any, updatehash: bool = False) -> Any:
        try:
            taskid = super()._submit_job(node, updatehash=updatehash)
        except Exception:  # noqa: BLE001  whatever a scheduler of others may raise
            return self._refuse(format_exception(*sys.exc_info()))
        if taskid == '':  # Nipype takes the silence of a command that failed for a number
            self._pending.pop(taskid, None)
            return self._refuse([_REFUSED])
        return taskid

    def _refuse(self, traceback: list[str]) -> int:
        """Make a failure of a step that could not be handed over; it fails no other."""
        taskid = -1 - len(self._refused)
        self._refused[taskid] = traceback
        return taskid

    def _get_result(self, taskid: Any) -> dict[str, Any] | None:
        if taskid in self._refused:
            return {'result': None, 'traceback': self._refused[taskid], 'hostname': None}
        return super()._get_result(taskid)

    def _clear_task(self, taskid: Any) -> None:
        if taskid not in self._refused:
            super()._clear_task(taskid)

    def _remove_node_deps(self, jobid: int, crashfile: str, graph: Any) -> Any:
        gone = super()._remove_node_deps(jobid, crashfile, graph)
        for node in gone['dependents']:
            if self._status_callback and node is not self.procs[jobid]:
                self._status_callback(node, 'skipped')
        return gone

    def _report_crash(self, node: Any, result: dict[str, Any] | None = None) -> str:
        traceback = result['traceback'] if result else format_exception(*sys.exc_info())
        if isinstance(traceback, str):
            traceback = traceback.splitlines(keepends=True)
        # a copy, since Nipype adds remarks of its own to it
        given = {'result': result['result'] if result else None, 'traceback': [*traceback]}
        try:
            crash_file = super()._report_crash(node, given)
        except OSError:  # a full disk: the step failed all the same, and must be told of
            crash_file = ''
        title = getattr(node.interface, 'title', '') or node.name
        self.failures.append(
            Failure(node.fullname, title, last_message(traceback), str(crash_file or ''))
        )
        return crash_file


def at_once(config: Any) -> Any:
    """Return a workflow's settings without the blind wait of Nipype's main loop.

    For schedulers that wait for an event, or that need not wait at all.
    """
    return {**config, 'execution': {**config['execution'], 'poll_sleep_duration': '0'}}


def _quietly(command: list[str]) -> None:
    """Run a command whose failure cannot be helped."""
    try:
        subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_CANCEL_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return
