"""Calls of Slurm's programs; everything that is read back is parsed here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qsmbids.execution.slurm.errors import SlurmError

TIMEOUT_S = 120.0  # a busy controller may take this long to answer
MAX_ARRAY_SIZE = 1001  # Slurm's own default, where the site does not tell
_WAITING = {'PENDING', 'REQUEUED', 'REQUEUE_HOLD', 'REQUEUE_FED', 'SPECIAL_EXIT', 'RESV_DEL_HOLD'}
_RUNNING = {'RUNNING', 'COMPLETING', 'CONFIGURING', 'SUSPENDED', 'STOPPED', 'RESIZING',
            'SIGNALING', 'STAGE_OUT'}  # fmt: skip


@dataclass(frozen=True)
class Job:
    """One array element, or a job without elements, as the scheduler sees it.

    Parameters
    ----------
    job_id : str
        Of the array.
    element : str
        Index in the array, or ''.
    name : str
        Name of the job; '' where it is not known.
    state : str
        'PENDING', 'RUNNING', 'OUT_OF_MEMORY' ...
    reason : str
        Why it waits.
    """

    job_id: str
    element: str
    name: str
    state: str
    reason: str = ''

    @property
    def waiting(self) -> bool:
        """Whether it has not begun."""
        return self.state in _WAITING

    @property
    def running(self) -> bool:
        """Whether it has begun and not ended."""
        return self.state in _RUNNING

    @property
    def live(self) -> bool:
        """Whether it has not ended."""
        return self.waiting or self.running


def require() -> None:
    """Raise SlurmError unless jobs can be submitted from here."""
    if shutil.which('sbatch') is None:
        raise _absent('sbatch')


def submit(script: Path, options: Sequence[str] = ()) -> str:
    """Submit a batch script; return the number of the job.

    Raises
    ------
    SlurmError
        If there is no scheduler or it refuses.
    """
    done = _call(['sbatch', '--parsable', *options, str(script)])
    number = done.stdout.strip().partition(';')[0]  # '17' or '17;cluster'
    if done.returncode or not number.isdigit():
        said = ' '.join((done.stderr or done.stdout).split()) or f'exit code {done.returncode}'
        raise SlurmError(
            f'The scheduler refused {script}: {said}\n'
            'Those in it will not be processed until it accepts them.\n'
            'Change what it objects to (--mem, --time, --cpus, --partition, --account, '
            '--sbatch-args) and give the command again.'
        )
    return number


def recent_jobs() -> list[Job]:
    """Return the own jobs that wait, run, or ended a few minutes ago.

    Raises
    ------
    SlurmError
        If the scheduler does not answer: nobody then knows what still runs.
    """
    user = str(os.getuid())
    done = _call(['squeue', '-h', '-r', '-t', 'all', '-u', user, '-o', '%F|%K|%j|%T|%r'])
    if done.returncode:
        raise SlurmError(
            f'The scheduler does not answer: {" ".join(done.stderr.split())}\n'
            'Without it nobody knows what still runs, and nobody may run twice at once.\n'
            'Try again in a minute, on a node from which jobs can be submitted.'
        )
    return [job for job in map(_queue_line, done.stdout.splitlines()) if job]


def accounted_jobs(job_ids: Sequence[str]) -> list[Job]:
    """Return how jobs ended according to the accounting; none where a site keeps none."""
    if not job_ids or shutil.which('sacct') is None:
        return []
    ids = ','.join(job_ids)
    done = _call(['sacct', '-n', '-P', '-X', '-j', ids, '-o', 'JobID,JobName,State'])
    return [job for job in map(_account_line, done.stdout.splitlines()) if job]


def cancel(job_ids: Sequence[str]) -> None:
    """Cancel jobs with all their elements; ended ones do not matter."""
    if job_ids:
        _call(['scancel', *job_ids])


def largest_index() -> int:
    """Return the largest index of an array that the site allows."""
    done = _call(['scontrol', 'show', 'config'])
    found = re.search(r'^MaxArraySize\s*=\s*(\d+)', done.stdout, re.MULTILINE)
    return max(1, (int(found.group(1)) if found else MAX_ARRAY_SIZE) - 1)


def _call(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except FileNotFoundError:
        raise _absent(command[0]) from None
    except subprocess.TimeoutExpired:
        raise SlurmError(
            f'{command[0]} did not answer within {TIMEOUT_S:.0f} s.\n'
            'The scheduler is busy or down; what it has accepted goes on.\n'
            'Try again later: only what is missing is submitted.'
        ) from None


def _absent(program: str) -> SlurmError:
    return SlurmError(
        f'There is no {program} on this computer.\n'
        'The work is handed to the scheduler Slurm, through this program.\n'
        'Start it where jobs are submitted (the login node, outside of containers), or use '
        'qsmbids itself, or the scripts for other schedulers in examples/hpc.'
    )


def _queue_line(line: str) -> Job | None:
    """Read a line of squeue.

    Examples
    --------
    >>> _queue_line('17|3|qsmbids-4f|RUNNING|None')
    Job(job_id='17', element='3', name='qsmbids-4f', state='RUNNING', reason='')
    """
    parts = line.split('|')
    if len(parts) != 5:
        return None
    job_id, element, name, state, reason = (part.strip() for part in parts)
    element = element if element.isdigit() else ''  # 'N/A' of a job that is no array
    return Job(job_id, element, name, state, '' if reason == 'None' else reason)


def _account_line(line: str) -> Job | None:
    """Read a line of sacct.

    Examples
    --------
    >>> _account_line('17_3|qsmbids-4f|CANCELLED by 1001')
    Job(job_id='17', element='3', name='qsmbids-4f', state='CANCELLED', reason='')
    """
    parts = line.split('|')
    found = re.fullmatch(r'(\d+)(?:_(\d+))?', parts[0].strip())
    if len(parts) != 3 or not found or not parts[2].split():
        return None  # also '17_[4-9]', which wait and stand in the queue
    return Job(found[1], found[2] or '', parts[1], parts[2].split()[0].rstrip('+'))
