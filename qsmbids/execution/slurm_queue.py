"""Asking Slurm about jobs by name: which are queued, how one ended, and cancelling them."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

TIMEOUT_S = 60  # a busy controller answers late
_ENDED = (
    *('BOOT_FAIL', 'CANCELLED', 'COMPLETED', 'DEADLINE', 'FAILED', 'NODE_FAIL'),
    *('OUT_OF_MEMORY', 'PREEMPTED', 'TIMEOUT'),
)


class SlurmSilentError(RuntimeError):
    """A command of Slurm is absent, failed, or did not answer."""


def queued(name: str, timeout_s: float = TIMEOUT_S) -> dict[int, tuple[str, str]]:
    """Return the jobs of a name that wait, run or are just ending: state, and why they wait.

    Raises
    ------
    SlurmSilentError
        If Slurm cannot be asked at the moment.
    """
    text = ask(['squeue', '--noheader', f'--name={name}', '--format=%i|%T|%r'], timeout_s)
    rows = (line.strip().split('|') for line in text.splitlines())
    return {int(row[0]): (row[1], row[2]) for row in rows if len(row) == 3 and row[0].isdigit()}


def cancel(name: str, timeout_s: float = TIMEOUT_S) -> None:
    """Cancel all jobs of a name; no error if there are none.

    Raises
    ------
    SlurmSilentError
        If Slurm cannot be asked at the moment.
    """
    ask(['scancel', '--quiet', f'--name={name}'], timeout_s)


def cancel_job(number: int) -> None:
    """Cancel one job, if that is possible."""
    with suppress(SlurmSilentError):
        ask(['scancel', '--quiet', str(number)])


def cancel_and_wait(name: str, limit_s: float, poll_s: float = 0.5) -> bool:
    """Cancel all jobs of a name; return whether none is left after some time.

    A job counts as long as one of its processes may still write something.
    """
    deadline = time.monotonic() + limit_s
    while queued(name, max(1.0, deadline - time.monotonic())):
        if time.monotonic() > deadline:
            return False
        cancel(
            name, max(1.0, deadline - time.monotonic())
        )  # again and again: one may have been on its way to the queue
        time.sleep(poll_s)
    return True


def how_it_ended(job: int) -> tuple[str, str]:
    """Return the last state of a job and its exit code, ('', '') if nobody knows.

    The controller is asked first: it knows at once, but forgets after some minutes; the
    accounting remembers for long, but learns late, and not every site has it.
    """
    with suppress(SlurmSilentError):
        text = ask(['scontrol', '--oneliner', 'show', 'job', str(job)])
        found = dict(re.findall(r'\b(JobState|ExitCode)=(\S+)', text))
        if found.get('JobState') in _ENDED:
            return found['JobState'], found.get('ExitCode', '')
    try:
        fields = '--format=State,ExitCode'
        text = ask(
            ['sacct', '--noheader', '--parsable2', '--allocations', f'--jobs={job}', fields]
        )
    except SlurmSilentError:
        return '', ''
    state, _, code = text.strip().partition('|')
    state = state.split(' ')[0]  # 'CANCELLED by 1000'
    return (state, code) if state in _ENDED else ('', '')


def ask(
    command: Sequence[str], timeout_s: float = TIMEOUT_S, env: Mapping[str, str] | None = None
) -> str:
    """Return what a command of Slurm prints.

    Raises
    ------
    SlurmSilentError
        With what it said.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=env,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SlurmSilentError(f'{command[0]} did not answer in {timeout_s:.0f} s') from None
    except OSError as error:
        raise SlurmSilentError(f'{command[0]}: {error.strerror}') from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise SlurmSilentError(said[-1] if said else f'{command[0]} ended with {done.returncode}')
    return done.stdout
