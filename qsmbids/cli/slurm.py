"""``qsmbids-slurm``: a job array with an element for each participant, then the group level.

The same command, given again, looks at what became of everybody and submits only what is
missing.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qsmbids import __version__
from qsmbids.cli import exit_codes
from qsmbids.cli.main import last_resort
from qsmbids.cli.slurm_arguments import Passed, read
from qsmbids.cli.slurm_people import group_of, people_of, stuck_words
from qsmbids.cli.slurm_plan import group_need, needs, stamps
from qsmbids.cli.slurm_refusals import (
    note_little_memory,
    refuse_other_folder,
    refuse_other_options,
    refuse_too_little,
)
from qsmbids.cli.slurm_show import show_issues, show_status, show_work, status_json
from qsmbids.cli.slurm_task import check_folders, group_command, make_task, person_command
from qsmbids.execution.limits import available_cpus
from qsmbids.execution.lock import WorkFolderError, WorkLock
from qsmbids.execution.slurm import commands, status
from qsmbids.execution.slurm.errors import SlurmError
from qsmbids.execution.slurm.resources import Request, classes
from qsmbids.execution.slurm.script import Work, script_text
from qsmbids.execution.slurm.state import GROUP, State, folder_of, load, save
from qsmbids.execution.slurm.status import Jobs, Kind, Person, adopt, group_state
from qsmbids.execution.slurm.submit import (
    ARRAY,
    Task,
    array_works,
    group_work,
    later_arrays,
    live_ids,
    next_request,
    submit,
)
from qsmbids.execution.slurm.words import count


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    said = shlex.join(['qsmbids-slurm', *argv])
    work_dir = Path('work').resolve()
    try:
        own, passed = read(argv)
        work_dir = own.work_dir
        if passed is not None:
            return _plan_and_submit(own, passed, said)
        return _cancel(work_dir) if own.cancel else _status(work_dir, own.json)
    except (SlurmError, WorkFolderError, ValueError) as error:
        print(error, file=sys.stderr)
        return exit_codes.USAGE
    except KeyboardInterrupt:
        print('\nInterrupted. Jobs that were submitted go on: --status shows them, --cancel stops')
        print('them, and the same command again submits what is missing.')
        return exit_codes.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - whoever runs this reads no Python
        return last_resort(error, work_dir)


def _record(work_dir: Path) -> State:
    state = load(work_dir)
    if not state.plan:
        raise SlurmError(
            f'Nothing was submitted yet with the work folder {work_dir}.\n'
            'What was submitted, and for whom, is noted there.\n'
            'Give the same --work-dir as when you submitted, or submit first.'
        )
    return state


def _status(work_dir: Path, as_json: bool) -> int:
    state = _record(work_dir)
    jobs = Jobs(state)
    state = adopt(state, jobs)
    people = people_of(state, jobs, work_dir)
    group = group_of(state, jobs, work_dir)
    if as_json:
        print(status_json(people, group))
    else:
        show_status(people, group)
    finished = all(p.kind in (Kind.DONE, Kind.LEFT_OUT) for p in people)
    complete = finished and (group is None or group.kind is Kind.DONE)
    return exit_codes.OK if complete else exit_codes.SOME_FAILED


def _cancel(work_dir: Path) -> int:
    _record(work_dir)  # before the lock, which would make the folder
    with WorkLock(folder_of(work_dir)):
        state = _record(work_dir)
        jobs = Jobs(state)
        state = adopt(state, jobs)
        live = [*live_ids(state, jobs, GROUP), *live_ids(state, jobs, ARRAY)]
        commands.cancel(live)
    print(f'cancelled: {", ".join(live)}' if live else 'Nothing waits or runs.')
    return exit_codes.OK


def _plan_and_submit(own: argparse.Namespace, passed: Passed, said: str) -> int:
    from qsmbids.bids.write import write_json
    from qsmbids.cli.participant import make_the_plan
    from qsmbids.cli.slurm_preflight import ages_of, check
    from qsmbids.workflows.finished import cohort_labels

    config = passed.config
    commands.require()
    task = make_task(own, passed, said)
    if not own.dry_run:
        check_folders(config, own.image)
    threads = min(available_cpus(), 4)  # a login node belongs to everybody
    plan = make_the_plan(config, None if own.dry_run else write_json, threads)
    ages = ages_of(plan, config, own)
    issues = check(plan, config, ages)
    print(
        f'qsmbids {__version__}: {count(len(plan.participants), "participant")}, '
        f'{count(len(plan.acquisitions), "usable acquisition")}\n'
    )
    show_issues(issues)
    if not plan.acquisitions:
        print(
            f'Nothing usable was found in {config.bids_dir}: there is nothing to submit.\n'
            'A reconstruction needs magnitude and phase of at least one echo.\n'
            'Look with qsmbids --dry-run at what was found and why it cannot be used.',
            file=sys.stderr,
        )
        return exit_codes.NOTHING_USABLE
    requests = needs(plan, config, own.cpus)
    cohorts = cohort_labels(plan.acquisitions, ages, config)
    facts = {
        'output_dir': str(config.output_dir),
        'image': str(own.image or ''),
        'group': 'group' in config.levels,
        'options': passed.options,
        'group_options': passed.group_options,
        'participants': stamps(plan, config, cohorts, passed.options),
    }
    note_little_memory(own.mem, requests)
    if own.dry_run:
        return _submit(own, passed, task, requests, facts)
    with WorkLock(folder_of(config.work_dir)):
        return _submit(own, passed, task, requests, facts)


def _submit(
    own: argparse.Namespace,
    passed: Passed,
    task: Task,
    needed: Mapping[str, Request],
    facts: Mapping[str, Any],
) -> int:
    """Submit what is missing; everything before this has changed nothing."""
    config = passed.config
    old = load(config.work_dir)
    jobs = Jobs(old)
    # people of an earlier call with other labels are still part of the study
    same_place = old.plan.get('output_dir') == facts['output_dir']
    known = {**(old.plan.get('participants', {}) if same_place else {}), **facts['participants']}
    state = replace(adopt(old, jobs), plan={**facts, 'participants': known})
    people = {person.name: person for person in people_of(state, jobs, config.work_dir)}
    refuse_other_folder(old, state, live_ids(state, jobs, ARRAY))
    refuse_other_options(people, old, state, list(facts['participants']))
    if own.mem:
        refuse_too_little(own.mem, people, needed, state)
    if not own.dry_run:
        save(config.work_dir, state)
    wanted = {
        name: _request(own, needed[name], people[name], state)
        for name in needed
        if people[name].kind not in (*status.WAITING, Kind.LEFT_OUT)
        and (people[name].kind is not Kind.DONE or config.redo)
    }
    _say_what_is_missing(people, wanted, state)
    batches = classes(wanted)
    works = array_works(
        task, batches, {r: person_command(task, passed, r) for r in batches}, state.next_number,
        per_job=own.per_job, most=own.max_running,
        largest=commands.largest_index() if batches else 1,
    )  # fmt: skip
    if own.dry_run:
        return _show(works, task, passed, needed, state)
    refused = 0
    for work in works:
        number = state.next_number  # a refused one leaves its number to the next
        work = replace(work, folder=folder_of(config.work_dir, number))
        try:
            state = submit(state, task, work)
        except SlurmError as error:
            print(error, file=sys.stderr)
            refused += 1
            continue
        show_work(work, state.submissions[-1].job_id)
    group = None
    if facts['group'] and not (refused and not live_ids(state, Jobs(state), ARRAY)):
        group = _submit_group(state, task, passed, needed)
    stuck = stuck_words([*people.values(), *([group] if group else [])])
    if stuck:
        print(stuck, file=sys.stderr)
    see = shlex.join(['qsmbids-slurm', '--status', '-w', str(config.work_dir)])
    print(f'See how it goes: {see}')
    return exit_codes.SOME_FAILED if refused or stuck else exit_codes.OK


def _submit_group(
    state: State, task: Task, passed: Passed, needed: Mapping[str, Request]
) -> Person | None:
    """Submit the group level behind all arrays, instead of one that waits for fewer.

    Returns its state if it is left as it is.
    """
    jobs = Jobs(state)
    now = group_state(state, jobs, task.work_dir)
    if not _group_is_due(state, now):
        return now
    waits_for = live_ids(state, jobs, ARRAY)
    if now.kind is Kind.QUEUED:
        commands.cancel([now.job])
    elif now.kind is Kind.RUNNING:
        waits_for.append(now.job)
    request = group_need(needed, task.cpus)
    work = group_work(task, state.next_number, group_command(task, passed, request), request)
    state = submit(state, task, work, waits_for)
    show_work(work, state.submissions[-1].job_id)
    return None


def _group_is_due(state: State, now: Person) -> bool:
    """Whether the group level has not seen, and will not see, all people with these options."""
    last = next((s for s in reversed(state.submissions) if s.kind == GROUP), None)
    changed = last is not None and last.options != state.plan['group_options']
    return later_arrays(state) or changed or now.kind not in (Kind.DONE, *status.WAITING)


def _request(own: argparse.Namespace, need: Request, person: Person, state: State) -> Request:
    """Return what to ask for a person: the estimate, what was given, and what it died of."""
    need = replace(need, mem_mb=own.mem or need.mem_mb, minutes=own.time or need.minutes)
    last = next((s for s in state.submissions if s.number == person.submission), None)
    if last is None:
        return need
    together = len(last.elements[last.element_of(person.name) - 1])
    return next_request(need, last.request, together, memory=person.memory, time=person.time)


def _say_what_is_missing(
    people: Mapping[str, Person], wanted: Mapping[str, Request], state: State
) -> None:
    """Say in one line who is submitted and who is not; then who gets more than before."""
    waiting = sum(person.kind in status.WAITING for person in people.values())
    done = sum(p.kind is Kind.DONE and p.name not in wanted for p in people.values())
    left_out = [person for person in people.values() if person.kind is Kind.LEFT_OUT]
    if state.submissions:
        print(f'{done} done, {waiting} waiting or running, {len(wanted)} to be submitted')
    for person in left_out:
        print(f'left out: {person.name}: {person.reason}')
    for name, request in wanted.items():
        if people[name].memory or people[name].time:
            what = 'memory' if people[name].memory else 'time'
            died = (
                f'had too little {what} to begin' if people[name].refused else f'ran out of {what}'
            )
            print(f'{name} {died}; it gets more: {request.words}')


def _show(
    works: Sequence[Work], task: Task, passed: Passed, needed: Mapping[str, Request], state: State
) -> int:
    for work in works:
        show_work(work, '')
    group = group_state(state, Jobs(state), task.work_dir)
    if state.plan['group'] and (works or _group_is_due(state, group)):
        request = group_need(needed, task.cpus)
        number = state.next_number + len(works)
        show_work(group_work(task, number, group_command(task, passed, request), request), '')
    if works:
        print(f'\n{works[0].script}:\n\n{script_text(works[0])}')
    return exit_codes.OK


if __name__ == '__main__':
    sys.exit(main())
