"""What ``qsmbids-slurm`` says: the state of each participant, and what is submitted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from qsmbids.cli.slurm_people import stuck_words
from qsmbids.execution.slurm.script import Work
from qsmbids.execution.slurm.status import Kind, Person
from qsmbids.execution.slurm.words import count
from qsmbids.plan.models import Issue

MOST_ISSUES = 20  # that are written out
MOST_LINES = 200  # of participants that are not done; more are in --json


def show_status(people: Sequence[Person], group: Person | None) -> None:
    """Print the counts, then those that are not done, with reasons and logs."""
    counts = Counter(person.kind for person in people)
    for kind in Kind:
        if counts[kind] or kind is not Kind.LEFT_OUT:
            print(f'{kind:<14} {counts[kind]:>6}')
    rest = [person for person in people if person.kind is not Kind.DONE]
    if group is not None:
        print(f'{"group level":<14} {group.kind}{f" ({group.reason})" if group.reason else ""}')
        if group.kind is Kind.FAILED:
            print(''.join(f'{"":<14} | {line}\n' for line in group.said) + f'{"":<14} {group.log}')
    if rest:
        print()
    quoted: set[tuple[str, ...]] = set()
    for person in rest[:MOST_LINES]:
        job = f'job {person.job}' if person.job else ''
        print(f'{person.name:<12} {person.kind:<14} {job:<14} {person.reason}'.rstrip())
        if person.log and person.kind is Kind.FAILED:
            for line in () if person.said in quoted else person.said:
                print(f'{"":<12} | {line}')
            quoted.add(person.said)  # of many with one trouble, once
            print(f'{"":<12} {person.log}')
    if len(rest) > MOST_LINES:
        print(f'... and {len(rest) - MOST_LINES} more; --status --json lists all')
    stuck = stuck_words([*people, *([group] if group else [])])
    if stuck:
        print(f'\n{stuck}')


def show_issues(issues: Sequence[Issue]) -> None:
    """Print what is wrong with scans, or does not suit them."""
    from qsmbids.plan.summary import issues_by_kind

    if len(issues) > MOST_ISSUES:
        print(issues_by_kind(issues))
        return
    for issue in issues:
        print(f'{issue.severity.upper()}  {issue}\n')


def status_json(people: Sequence[Person], group: Person | None) -> str:
    """Return the same for programs."""
    counts = Counter(str(person.kind) for person in people)
    content = {
        'counts': {str(kind): counts[str(kind)] for kind in Kind},
        'participants': {person.name: _plain(person) for person in people},
        'group': _plain(group) if group else None,
    }
    return json.dumps(content, indent=1)


def show_work(work: Work, job_id: str) -> None:
    """Print what a submission asks for."""
    what = count(len(work.elements), 'element') if work.array else 'group level'
    most = f', {work.most} at once' if work.most else ''
    job = f'job {job_id}' if job_id else 'would submit'
    each = 'each ' if len(work.elements) > 1 else ''
    print(f'{job}: {what}{most}; {each}{work.request.words}')


def _plain(person: Person) -> dict[str, Any]:
    return {**asdict(person), 'kind': str(person.kind)}
