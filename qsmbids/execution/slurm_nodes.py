"""Each step as a job of Slurm, through Nipype's plugin for it, whose faults are mended here.

A job that is refused, cancelled or killed becomes the failure of its step, with the reason
that Slurm gives. All jobs of a run have one name, so that one question to Slurm answers for
all, and so that they can be cancelled: when the run ends, whatever ended it, and, after a run
that could not do so (SIGKILL, a crash of its machine), before the next one starts.
"""

from __future__ import annotations

import logging
import re
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from nipype.pipeline.plugins.slurm import SLURMPlugin
from nipype.utils.filemanip import loadpkl

from qsmbids.execution import slurm_messages as messages
from qsmbids.execution import slurm_queue
from qsmbids.execution.lock import WorkFolderError
from qsmbids.execution.reporting import Reporting
from qsmbids.execution.slurm_job import Job, RefusedError, TooManyError, prepare, submit

MAX_JOBS = 100  # at once in the queue; sites commonly allow some hundreds
POLL_S = 2.0  # between two questions to Slurm
_TRIES, _RETRY_S = 20, 15.0  # a controller that restarts is away for minutes
_RECORDS = 'slurm_jobs'  # folder in the work folder; one file for each run that gives jobs
_STOP_S = 4.0  # for cancelling at the end of a run, which must be quick
_LEFTOVERS_S = 180.0  # for cancelling before a run; Slurm kills what does not end after a while
_UNCLEAR = ('', 'COMPLETED', 'FAILED')  # a result may still be on its way through a file server
_NEVER = re.compile(
    r'launch_failed_requeued_held|Partition(Time|Node)Limit|(QOS|Assoc)Max\w+PerJob\w*'
    r'|MaxMemPerLimit|Invalid(Account|QOS)|DependencyNeverSatisfied'
)
_log = logging.getLogger('nipype.workflow')


class LeftoverJobsError(WorkFolderError):
    """Jobs of an earlier run may still write into the work folder; in three lines."""


class SafeSlurm(Reporting, SLURMPlugin):
    """A job of Slurm for each step.

    Parameters
    ----------
    plugin_args : dict
        As for Nipype's SLURM: ``sbatch_args``, ``template``, ``max_jobs``, ``max_tries``,
        ``retry_timeout``, ``jobid_re``. Processors and memory of each job come from its node
        unless ``sbatch_args`` say something else.
    work_dir : Path
        A note of the jobs' name is kept here while there may be some.
    run_id : str, optional
        Makes the name of the jobs; a random one by default.

    Attributes
    ----------
    failures : list of Failure
        The steps that failed, in order.
    job_name : str
        Name of all jobs, for ``squeue --name``.
    """

    def __init__(self, plugin_args: dict[str, Any], work_dir: Path, run_id: str = ''):
        waits = {'max_jobs': MAX_JOBS, 'max_tries': _TRIES, 'retry_timeout': _RETRY_S}
        super().__init__({**waits, **plugin_args})
        short = re.sub(r'\W', '', run_id)[-8:] or uuid.uuid4().hex[:8]
        self.job_name = f'qsmbids-{short}'
        self._work_dir = work_dir
        self._record = work_dir / _RECORDS / self.job_name
        self._jobs: dict[int, Job] = {}
        self._queue: dict[int, tuple[str, str]] = {}
        self._asked = 0.0
        self._silent = False

    def run(self, graph: Any, config: Any, updatehash: bool = False) -> None:
        """Carry out a graph."""
        poll = {**config['execution'], 'poll_sleep_duration': str(POLL_S / 2)}
        super().run(graph, {**config, 'execution': poll}, updatehash=updatehash)

    def stop(self) -> None:
        """Cancel the jobs that still wait or run."""
        if not self._record.exists():
            return
        try:
            gone = slurm_queue.cancel_and_wait(self.job_name, _STOP_S)
        except slurm_queue.SlurmSilentError:
            return  # the record stays: the next run asks again
        if gone:
            self._record.unlink(missing_ok=True)

    def _submit_job(self, node: Any, updatehash: bool = False) -> int | None:
        if len(self.pending_tasks) >= self.max_jobs:
            return None  # it was lowered a moment ago; the main loop tries again later
        try:
            job = prepare(node, updatehash, self.job_name, self._sbatch_args or '', self._template)
            self._record.parent.mkdir(parents=True, exist_ok=True)
            self._record.touch()  # before the first job is there
            number = self._submit(job)
        except RefusedError as error:  # its text is for people and needs no traceback
            return self._refuse(str(error).splitlines(keepends=True))
        except (OSError, ValueError) as error:
            return self._refuse([f'{type(error).__name__}: {error}\n'])
        if number is not None:
            self._jobs[number] = job
            self._queue[number] = ('PENDING', '')  # until Slurm is asked the next time
        return number

    def _submit(self, job: Job) -> int | None:
        """Return the number of the job, or None if the site takes no more at the moment."""
        tries = 0
        while True:
            try:
                return submit(job, self._jobid_re)
            except TooManyError as error:
                if self.pending_tasks:
                    # what the site allows at once is less than max_jobs: keep to that
                    self.max_jobs = len(self.pending_tasks)
                    _log.warning('Slurm takes no more jobs than %d: %s', self.max_jobs, error)
                    return None
                problem: Exception = error
            except slurm_queue.SlurmSilentError as error:
                problem = error
            tries += 1
            if tries > self._max_tries:
                raise RefusedError(messages.refused(str(problem), job.asked))
            time.sleep(self._retry_timeout)

    def _get_result(self, taskid: int) -> dict[str, Any] | None:
        if taskid in self._refused:
            return super()._get_result(taskid)
        self._look()
        job = self._jobs[taskid]
        if taskid in self._queue:
            reason = self._queue[taskid][1]
            if not _NEVER.fullmatch(reason):
                return None
            slurm_queue.cancel_job(taskid)
            return _failed(messages.never(taskid, reason, job.asked))
        found = job.results()
        if not found:
            state, code = slurm_queue.how_it_ended(taskid)
            if state in _UNCLEAR and job.gone_for() < self._grace():
                return None
            found = job.results(also_old=state == 'COMPLETED') or job.crash_dump()
            if not found:
                return _failed(messages.ended(taskid, state, code, job.asked, job.log(taskid)))
        return self._read(found[0], job, taskid)

    def _read(self, path: Path, job: Job, taskid: int) -> dict[str, Any]:
        content = loadpkl(path)
        if not isinstance(content, dict):
            job.tidy(taskid)
            return {'result': content, 'traceback': None}
        if path.name.startswith('result_'):
            path.rename(path.with_name('crashstore.pklz'))  # else it would pass for a result
        return {key: content[key] for key in ('result', 'traceback', 'hostname')}

    def _grace(self) -> float:
        return float(self._config['execution']['job_finished_timeout'])

    def _look(self) -> None:
        """Ask Slurm for all jobs, not more often than it is polite."""
        now = time.monotonic()
        if now - self._asked < POLL_S:
            return
        self._asked = now
        try:
            self._queue = slurm_queue.queued(self.job_name)
            self._silent = False
        except slurm_queue.SlurmSilentError as error:
            if not self._silent:
                sys.stdout.write(f'Slurm does not answer; its jobs go on meanwhile: {error}\n')
            self._silent = True

    def _clear_task(self, taskid: int) -> None:
        self._jobs.pop(taskid, None)


def cancel_leftovers(work_dir: Path) -> int:
    """Cancel the jobs that earlier, killed runs in a work folder left in the queue.

    To be called by the one who holds the lock of the folder, before anything is started.

    Returns
    -------
    int
        How many there were; they are gone now.

    Raises
    ------
    LeftoverJobsError
        In three lines, if Slurm cannot be asked or does not end them.
    """
    count = 0
    for record in sorted((work_dir / _RECORDS).glob('qsmbids-*')):
        try:
            count += len(slurm_queue.queued(record.name))
            gone = slurm_queue.cancel_and_wait(record.name, _LEFTOVERS_S)
            why = f'they did not end within {_LEFTOVERS_S:.0f} s'
        except slurm_queue.SlurmSilentError as error:
            gone, why = False, f'Slurm does not answer ({error})'
        if not gone:
            raise LeftoverJobsError(messages.leftovers(record.name, why, str(record)))
        record.unlink()
    return count


def _failed(text: str) -> dict[str, Any]:
    return {'result': None, 'traceback': text.splitlines(keepends=True), 'hostname': None}
