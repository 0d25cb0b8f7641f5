"""What became of each person: from outputs, scheduler and traces together.

The outputs decide what is done. What waits or runs the scheduler knows. Why something failed
is asked of the scheduler first, which forgets after some minutes where a site keeps no
accounting, and then of the trace of the element.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from qsmbids.execution.slurm import commands, trace
from qsmbids.execution.slurm.commands import Job
from qsmbids.execution.slurm.state import GROUP, State, Submission, folder_of
from qsmbids.execution.slurm.words import waiting


class Kind(StrEnum):
    """The states that a person can be in."""

    DONE = 'done'
    RUNNING = 'running'
    QUEUED = 'queued'
    FAILED = 'failed'
    NEVER = 'never started'
    LEFT_OUT = 'left out'


WAITING = (Kind.RUNNING, Kind.QUEUED)  # nothing is to be done for them

_ENDINGS = {
    'CANCELLED': 'cancelled',
    'TIMEOUT': 'out of time',
    'DEADLINE': 'out of time',
    'OUT_OF_MEMORY': 'out of memory',
    'NODE_FAIL': 'the node failed',
    'BOOT_FAIL': 'the node failed',
    'PREEMPTED': 'displaced by a job of higher priority',
}


@dataclass(frozen=True)
class Person:
    """The state of one person.

    Parameters
    ----------
    name : str
        ``sub-01``.
    kind : Kind
    reason : str
        In words; '' when there is nothing to say.
    job : str
        ``17_3``, of the last attempt.
    log : str
        Where to look.
    memory, time : bool
        Whether it died of memory, or of time.
    submission : int
        Number of the last submission with this person, 0 if there is none.
    begun : bool
        Whether the program was started for this person in that submission.
    refused : bool
        Whether the program found its memory too little to begin.
    stuck : str
        Of what waits: 'never' or 'perhaps' when it cannot, or may not, ever begin.
    said : tuple of str
        Last lines of the log, where the reason says too little.
    """

    name: str
    kind: Kind
    reason: str = ''
    job: str = ''
    log: str = ''
    memory: bool = False
    time: bool = False
    submission: int = 0
    begun: bool = False
    refused: bool = False
    stuck: str = ''
    said: tuple[str, ...] = ()


class Jobs:
    """All jobs of a state that the scheduler knows.

    Parameters
    ----------
    state : State
    """

    def __init__(self, state: State):
        self._jobs: dict[tuple[str, str], Job] = {}
        found = commands.recent_jobs()
        ours = {s.job_id for s in state.submissions if s.job_id}
        names = {s.job_name for s in state.submissions}
        # jobs that were submitted when the number could not be noted any more
        self.adopted = {
            job.name: job.job_id for job in found if job.name in names and job.job_id not in ours
        }
        known = {job.job_id for job in found}
        lost = [s.job_id for s in state.submissions if s.job_id and s.job_id not in known]
        for job in (*commands.accounted_jobs(lost), *found):
            self._jobs[job.job_id, job.element] = job
        self._live = {job.job_id for job in found if job.live}

    def of(self, submission: Submission, element: int) -> Job | None:
        """Return the job of an element, None if the scheduler does not know it."""
        index = str(element) if submission.kind != GROUP else ''
        return self._jobs.get((submission.job_id, index))

    def live(self, submission: Submission) -> bool:
        """Whether anything of a submission waits or runs."""
        return submission.job_id in self._live


def adopt(state: State, jobs: Jobs) -> State:
    """Note the numbers of jobs whose submission was interrupted."""
    for submission in state.submissions:
        if not submission.job_id and submission.job_name in jobs.adopted:
            found = jobs.adopted[submission.job_name]
            state = state.with_submission(replace(submission, job_id=found))
    return state


def people(
    names: Sequence[str],
    state: State,
    jobs: Jobs,
    work_dir: Path,
    done: Callable[[str, bool], bool],
) -> list[Person]:
    """Return the state of each name.

    Parameters
    ----------
    names : sequence of str
    state : State
    jobs : Jobs
        Read after the state, so that nothing submitted is missed.
    work_dir : Path
    done : callable
        Name, and whether the last attempt ended well with the present options; returns whether
        the outputs are complete.
    """
    last: dict[str, tuple[Submission, int]] = {}
    for submission in state.submissions:
        if submission.kind != GROUP:
            for number, element in enumerate(submission.elements, 1):
                last |= dict.fromkeys(element, (submission, number))
    folder = folder_of(work_dir) / trace.FOLDER
    known = state.plan.get('participants', {})
    found = []
    for name in names:
        attempt = next(reversed(trace.attempts(folder, name)), None)
        submission, number = last.get(name, (None, 0))
        job = jobs.of(submission, number) if submission else None
        asked = known.get(name, {}).get('options', state.plan.get('options', ''))
        person = _judge(name, submission, number, job, attempt, work_dir, asked)
        well = (
            submission is not None and submission.options == asked
            and attempt is not None and attempt.exit_code == 0 and _belongs(attempt, submission)
        )  # fmt: skip
        if person.kind not in WAITING and done(name, well):
            person = replace(person, kind=Kind.DONE, reason='', memory=False, time=False)
        found.append(person)
    return found


def _belongs(attempt: trace.Attempt, submission: Submission) -> bool:
    return attempt.job.partition('_')[0] == submission.job_id


def _judge(
    name: str,
    submission: Submission | None,
    number: int,
    job: Job | None,
    attempt: trace.Attempt | None,
    work_dir: Path,
    asked: str,
) -> Person:
    if submission is None:
        return Person(name, Kind.NEVER, 'not submitted yet')
    if not submission.job_id:
        return Person(name, Kind.NEVER, 'the submission was interrupted')
    log = folder_of(work_dir, submission.number) / f'log-{number}.txt'
    person = Person(
        name, Kind.NEVER, job=f'{submission.job_id}_{number}', submission=submission.number,
        log=str(log) if log.is_file() else '',
    )  # fmt: skip
    if attempt is not None and not _belongs(attempt, submission):
        attempt = None  # of an earlier submission
    if job is not None and job.live and (attempt is None or not attempt.end or job.waiting):
        return _live(person, job, attempt, len(submission.elements[number - 1]))
    if attempt is None:
        return _unstarted(person, job, len(submission.elements[number - 1]))
    if not attempt.end:
        return _unended(replace(person, begun=True), job, attempt)
    other = submission.options if submission.options != asked else None
    return _ended(replace(person, begun=True), job, attempt, other)


def _live(person: Person, job: Job, attempt: trace.Attempt | None, people: int) -> Person:
    if job.waiting:
        reason, stuck = waiting(job.reason)
        return replace(person, kind=Kind.QUEUED, reason=reason, stuck=stuck)
    if attempt is None and people > 1:
        return replace(person, kind=Kind.QUEUED, reason='others of the same element come first')
    since = f'on {attempt.host} since {attempt.start[:19]}' if attempt else ''
    return replace(person, kind=Kind.RUNNING, reason=since)


def _unstarted(person: Person, job: Job | None, people: int) -> Person:
    """Say what is known when nothing of the program was ever seen."""
    if people > 1 and job is not None and job.state != 'CANCELLED':
        ending = _ENDINGS.get(job.state, job.state)
        return replace(person, reason=f'its element ended before its turn ({ending})')
    if job is None and people == 1 and person.log and Path(person.log).stat().st_size:
        return replace(person, kind=Kind.FAILED, reason='ended before the program began')
    if job is None:
        return replace(person, reason='the scheduler no longer knows its job')
    if job.state == 'CANCELLED':
        return replace(person, reason='cancelled before it began')
    if job.state in ('OUT_OF_MEMORY', 'TIMEOUT', 'NODE_FAIL', 'BOOT_FAIL', 'PREEMPTED'):
        return _with_ending(person, job, f'{_ENDINGS[job.state]}, before the program began')
    reason = f'ended ({job.state}) before the program began'
    if not person.log:
        reason += '; does the node see the work folder?'
    return replace(person, kind=Kind.FAILED, reason=reason)


def _unended(person: Person, job: Job | None, attempt: trace.Attempt) -> Person:
    """Say what ended a program that could not note it."""
    where = f'(begun {attempt.start[:19]} on {attempt.host})'
    if job is not None and job.state in _ENDINGS:
        return _with_ending(person, job, f'{_ENDINGS[job.state]} {where}')
    return replace(
        person, kind=Kind.FAILED, reason=f'lost: killed, node failure or cancelled {where}'
    )


def _ended(person: Person, job: Job | None, attempt: trace.Attempt, other: str | None) -> Person:
    state = job.state if job else ''
    code = attempt.exit_code or 0
    program = f'exit code {code}' if code >= 0 else f'killed by signal {-code}'
    if attempt.memory or state == 'OUT_OF_MEMORY':
        return replace(person, kind=Kind.FAILED, memory=True, reason=f'out of memory, {program}')
    if attempt.stopped == 'time' or state == 'TIMEOUT':
        return replace(person, kind=Kind.FAILED, time=True, reason=f'out of time, {program}')
    if attempt.stopped:  # the scheduler asked it to stop, and may know why
        program = f'{_ENDINGS.get(state, "cancelled")}, {program}'
    elif not code and other is not None:
        program = f'made with other options: {other or "none"}'
    elif not code:
        program = 'outputs are missing or were changed since'
    return replace(person, kind=Kind.FAILED, reason=program)


def _with_ending(person: Person, job: Job, reason: str) -> Person:
    return replace(
        person, kind=Kind.FAILED, reason=reason,
        memory=job.state == 'OUT_OF_MEMORY', time=job.state in ('TIMEOUT', 'DEADLINE'),
    )  # fmt: skip


def group_state(state: State, jobs: Jobs, work_dir: Path) -> Person:
    """Return the state of the group level: done only if no person was begun after it."""
    groups = [s for s in state.submissions if s.kind == GROUP]
    if not groups:
        return Person(GROUP, Kind.NEVER, 'not submitted yet')
    folder = folder_of(work_dir) / trace.FOLDER
    attempt = next(reversed(trace.attempts(folder, GROUP)), None)
    last = groups[-1]
    asked = state.plan.get('group_options', last.options)
    person = _judge(GROUP, last, 1, jobs.of(last, 1), attempt, work_dir, asked)
    person = replace(person, job=last.job_id)
    ended = attempt is not None and attempt.exit_code == 0 and _belongs(attempt, last)
    later = [s for s in state.submissions if s.kind != GROUP and s.number > last.number]
    if person.kind not in WAITING and ended:
        if later:
            return replace(person, kind=Kind.NEVER, reason='people were submitted after it')
        if last.options != asked:
            return replace(person, kind=Kind.NEVER, reason='its options have changed since')
        return replace(person, kind=Kind.DONE, reason='')
    return person
