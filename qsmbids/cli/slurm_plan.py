"""What the jobs of a plan need, and when each person of it is done.

What is needed to tell that is kept as plain values in the record of the submissions, so that
the state of thousands of people is told without reading their images again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from qsmbids.bids import names as bids_names
from qsmbids.config import Config
from qsmbids.execution.slurm.resources import Request, memory_mb, minutes
from qsmbids.plan.models import Participant, Plan, Severity
from qsmbids.workflows.done import PART, fingerprint
from qsmbids.workflows.forecast import forecast, needs_of
from qsmbids.workflows.memory import MAIN_GB

PLANNED = 0.9  # part of a job's memory that the program plans with
TIME_SAFETY = 2.0  # the machines of a cluster differ, and share disks
_GROUP_MB, _GROUP_MINUTES = 4096, 120  # what the group level asks for at least


def needs(plan: Plan, config: Config, cpus: int) -> dict[str, Request]:
    """Return what each person with something usable needs, by the name ``sub-XX``.

    Memory is that of the program and of the largest step of each acquisition side by side,
    time is the high end of the forecast twice.
    """
    known = {need.key: need for need in needs_of(plan.acquisitions, config)}
    found, alike = {}, {}  # most people of a study were scanned alike
    for person in plan.participants:
        if not person.usable:
            continue
        own = tuple(replace(known[a.key], key='') for a in person.usable)
        if own not in alike:
            peaks = sorted((need.peak_gb - MAIN_GB for need in own), reverse=True)[:cpus]
            memory = memory_mb((MAIN_GB + sum(peaks)) / PLANNED)
            limits = replace(config, nprocs=cpus, mem_gb=planned_mb(memory) * 2**20 / 1e9)
            high = forecast(person.usable, limits).high_s
            alike[own] = Request(memory, minutes(TIME_SAFETY * high), cpus)
        found[f'sub-{person.label}'] = alike[own]
    return found


def group_need(requests: Mapping[str, Request], cpus: int) -> Request:
    """Return what the group level asks for: the most of any person, and a least."""
    need = Request(_GROUP_MB, _GROUP_MINUTES, cpus)
    for request in requests.values():
        need = need.at_least(request)
    return need


def planned_mb(mem_mb: int) -> int:
    """Return the memory that the program may plan with in a job of so much."""
    return int(PLANNED * mem_mb)


def stamps(plan: Plan, config: Config, cohorts: Mapping[str, str], options: str) -> dict[str, Any]:
    """Return for each person the checksum of each acquisition, or why there is none; options."""
    found: dict[str, Any] = {}
    for person in plan.participants:
        parts = (*person.usable, *person.cosmos)
        sums = {p.key: fingerprint(p, config, cohorts.get(p.key, '')) for p in parts}
        known = {'acquisitions': sums, 'left_out': _left_out(person), 'options': options}
        found[f'sub-{person.label}'] = known
    return found


def is_done(name: str, known: Mapping[str, Any], output_dir: Path, trusted: bool) -> bool:
    """Return whether the outputs of a person are there, whole and up to date.

    Parameters
    ----------
    name : str
        ``sub-01``.
    known : mapping
        Of `stamps`, for this person.
    output_dir : Path
    trusted : bool
        Take stamps with another checksum: of an image that may be another version, but has
        just ended well with the same options.
    """
    sums = known['acquisitions']
    page = output_dir / bids_names.report_path(name.removeprefix('sub-'))
    return (
        bool(sums)
        and page.is_file()
        and all(
            _whole(name, key, '' if trusted else value, output_dir) for key, value in sums.items()
        )
    )


def _whole(name: str, key: str, checksum: str, output_dir: Path) -> bool:
    path = output_dir / bids_names.record_path(name.removeprefix('sub-'), key, PART)
    try:
        stamp = json.loads(path.read_text(encoding='utf-8'))
        if checksum and stamp['fingerprint'] != checksum:
            return False
        files = stamp['files'].items()
        return all((output_dir / file).stat().st_size == size for file, size in files)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False


def why_failed(name: str, output_dir: Path) -> str:
    """Return what the last run of a person said of the first acquisition that failed, or ''."""
    folder = output_dir / name / 'log'
    for path in sorted(folder.glob('*/status.json'), reverse=True)[:1]:
        try:
            content = json.loads(path.read_text(encoding='utf-8'))
            for key, entry in (content['acquisitions'] | content.get('cosmos', {})).items():
                if entry['status'] != 'complete':
                    return f'{key}: {entry["message"]}'
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            break
    return ''


def _left_out(person: Participant) -> str:
    """Return why nothing of a person can be processed, or ''."""
    if person.usable:
        return ''
    errors = [i.what for i in person.all_issues if i.severity is Severity.ERROR]
    return errors[0] if errors else 'no scan was found'
