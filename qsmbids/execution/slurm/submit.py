"""Submitting arrays and the job that waits for them, so that an interruption loses nothing.

Each submission is noted before the scheduler hears of it, under a name of its own, and again
with the number that the scheduler gave. If this process dies in between, the next call finds
the job by that name.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from qsmbids.execution.slurm import commands, resources, trace
from qsmbids.execution.slurm.errors import SlurmError
from qsmbids.execution.slurm.resources import Request
from qsmbids.execution.slurm.script import Container, Site, Work, script_text
from qsmbids.execution.slurm.state import GROUP, State, Submission, folder_of, save, write_text
from qsmbids.execution.slurm.status import Jobs
from qsmbids.execution.slurm.words import count

ARRAY = 'array'


@dataclass(frozen=True)
class Task:
    """What all submissions of one call share.

    Parameters
    ----------
    work_dir : Path
    said : str
        The command that the person gave.
    options, group_options : str
        What was asked of the program, at each level, as far as it decides what comes out.
    python : str
    cpus : int
    site : Site
    container : Container or None
    environment : mapping
    """

    work_dir: Path
    said: str
    options: str
    group_options: str
    python: str
    cpus: int
    site: Site
    container: Container | None
    environment: Mapping[str, str]


def array_works(
    task: Task,
    batches: Mapping[Request, Sequence[str]],
    command: Mapping[Request, Sequence[str]],
    first_number: int,
    *,
    per_job: int = 1,
    most: int = 0,
    largest: int = commands.MAX_ARRAY_SIZE - 1,
) -> list[Work]:
    """Return what is to be submitted for people, an array for each request.

    Parameters
    ----------
    task : Task
    batches : mapping
        Request of one person to the names.
    command : mapping
        Request to what is run for a name.
    first_number : int
        Of the submissions.
    per_job : int
        People in one element.
    most : int
        Elements of all arrays that may run at once; 0 for no limit.
    largest : int
        Largest index of an array.
    """
    works = []
    at_once = resources.shares([len(names) for names in batches.values()], most)
    for n, (request, names) in enumerate(batches.items()):
        elements = resources.elements(names, per_job, largest)
        longest = max(map(len, elements))
        title = f'{count(len(names), "participant")} in {count(len(elements), "array element")}.'
        works.append(
            _work(
                task, first_number + n, ARRAY, title, command[request], elements,
                replace(request, minutes=request.minutes * longest), at_once[n],
            )
        )  # fmt: skip
    return works


def group_work(task: Task, number: int, command: Sequence[str], request: Request) -> Work:
    """Return the job of the group level."""
    title = 'The group level; it waits for the arrays.'
    return _work(task, number, GROUP, title, command, [[GROUP]], request, 0)


def _work(
    task: Task, number: int, kind: str, title: str, command: Sequence[str],
    elements: Sequence[Sequence[str]], request: Request, most: int,
) -> Work:  # fmt: skip
    return Work(
        folder=folder_of(task.work_dir, number),
        traces=folder_of(task.work_dir) / trace.FOLDER,
        job_name=f'qsmbids-{secrets.token_hex(4)}',
        title=title,
        python=task.python,
        command=command,
        elements=elements,
        request=request,
        site=task.site,
        most=most,
        container=task.container,
        environment=task.environment,
        array=kind != GROUP,
    )


def submit(state: State, task: Task, work: Work, after: Sequence[str] = ()) -> State:
    """Write the files of a submission, submit it and note it; return the new state.

    Parameters
    ----------
    state : State
    task : Task
    work : Work
    after : sequence of str
        Numbers of jobs that it waits for, however they end.

    Raises
    ------
    SlurmError
        If the scheduler refuses; nothing is noted then.
    """
    number = state.next_number
    write_text(work.list, ''.join(' '.join(names) + '\n' for names in work.elements))
    write_text(work.script, script_text(work))
    submission = Submission(
        number, work.job_name, '', ARRAY if work.array else GROUP,
        tuple(map(tuple, work.elements)), work.request,
        datetime.now().isoformat(timespec='seconds'), task.said,
        task.options if work.array else task.group_options,
    )  # fmt: skip
    save(task.work_dir, state.with_submission(submission))
    options = []
    if after:
        options = [f'--dependency=afterany:{":".join(after)}', '--kill-on-invalid-dep=yes']
    try:
        job_id = commands.submit(work.script, options)
    except SlurmError:
        save(task.work_dir, state)
        raise
    state = state.with_submission(replace(submission, job_id=job_id))
    save(task.work_dir, state)
    return state


def live_ids(state: State, jobs: Jobs, kind: str) -> list[str]:
    """Return the numbers of submissions of a kind that wait or run."""
    return [s.job_id for s in state.submissions if s.kind == kind and jobs.live(s)]


def later_arrays(state: State) -> bool:
    """Whether people were submitted after the last job of the group level."""
    last = max((s.number for s in state.submissions if s.kind == GROUP), default=0)
    return any(s.number > last for s in state.submissions if s.kind == ARRAY)


def next_request(
    need: Request, last: Request, people: int, *, memory: bool, time: bool
) -> Request:
    """Return what to ask for after an attempt that failed: more of what it died of.

    Parameters
    ----------
    need : Request
        What the estimate, or the person, says now.
    last : Request
        Of the element that failed.
    people : int
        In that element, whose time was for all of them.
    memory, time : bool
        What it died of.
    """
    if not (memory or time):
        return need
    each = replace(last, minutes=math.ceil(last.minutes / people))
    grown = each.grown(memory=memory, time=time)
    kept = replace(
        need,
        mem_mb=grown.mem_mb if memory else need.mem_mb,
        minutes=grown.minutes if time else need.minutes,
    )
    return need.at_least(kept)
