"""The state of everybody in the words of this program, with what the logs say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qsmbids.cli import exit_codes
from qsmbids.cli.slurm_plan import is_done, why_failed
from qsmbids.execution.slurm import status
from qsmbids.execution.slurm.state import State
from qsmbids.execution.slurm.status import Jobs, Kind, Person
from qsmbids.execution.slurm.words import CAN_NEVER, NEVER

_EXITS = {
    f'exit code {exit_codes.USAGE}': 'it could not begin',
    f'exit code {exit_codes.NOTHING_USABLE}': 'nothing usable was found any more',
    f'exit code {exit_codes.INTERNAL}': 'a fault of the program',
}
_QUOTED = 3  # lines: what, why, what to do
_TAIL = 100_000  # bytes of a log
_TOO_LITTLE = re.compile(r'needs about \S+ GB, and the limit is')


def people_of(state: State, jobs: Jobs, work_dir: Path) -> list[Person]:
    """Return the state of everybody in the plan of the last submission."""
    known: Mapping[str, Any] = state.plan['participants']
    out, image = Path(state.plan['output_dir']), state.plan['image']
    found = status.people(
        list(known), state, jobs, work_dir,
        lambda name, well: is_done(name, known[name], out, well and bool(image)),
    )  # fmt: skip
    return [_in_words(person, known[person.name], out) for person in found]


def group_of(state: State, jobs: Jobs, work_dir: Path) -> Person | None:
    """Return the state of the group level, None if it is not wanted."""
    if not state.plan['group']:
        return None
    group = status.group_state(state, jobs, work_dir)
    if group.kind is Kind.FAILED:
        group = replace(group, said=last_lines(group.log, group.name))
    return group


def _in_words(person: Person, known: Mapping[str, Any], out: Path) -> Person:
    if known['left_out']:
        return Person(person.name, Kind.LEFT_OUT, known['left_out'])
    if person.kind is not Kind.FAILED:
        return person
    words = _EXITS.get(person.reason, '')
    if words or not person.begun:
        person = replace(person, said=last_lines(person.log, person.name))
    if any(map(_TOO_LITTLE.search, person.said)):
        person = replace(person, memory=True, refused=True)
        words = 'its memory was too little to begin'
    if person.reason == f'exit code {exit_codes.SOME_FAILED}':
        words = why_failed(person.name, out)
    return replace(person, reason=f'{words} ({person.reason})') if words else person


def last_lines(log: str, name: str) -> tuple[str, ...]:
    """Return the last lines that a log says of a person, or of an element that never began."""
    try:
        with open(log, 'rb') as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - _TAIL))
            lines = stream.read().decode(errors='replace').splitlines()
    except OSError:
        return ()
    heads = [n for n, line in enumerate(lines) if re.match(r'--- \S+, job ', line)]
    own = [n for n in heads if lines[n].startswith(f'--- {name},')]
    begin = own[-1] + 1 if own else 0
    end = min((n for n in heads if n >= begin), default=len(lines))
    return tuple(line.rstrip() for line in lines[begin:end] if line.strip())[-_QUOTED:]


def stuck_words(people: Sequence[Person]) -> str:
    """Return what to tell of those that will not begin, or ''; in three lines."""
    running = any(person.kind is Kind.RUNNING for person in people)
    found = [p for p in people if p.stuck == NEVER or (p.stuck and not running)]
    if not found:
        return ''
    first = found[0]
    others = f' and {len(found) - 1} more' if len(found) > 1 else ''
    sure = 'can' if any(p.stuck == NEVER for p in found) else 'may'
    return (
        f'{first.name}{others} {sure} never start: {first.reason.removeprefix(CAN_NEVER)}.\n'
        'The scheduler keeps such jobs without starting them, however long one waits.\n'
        'Stop them with --cancel, then ask for less (--cpus, --mem, --time), or for another '
        '--partition or --account.'
    )
