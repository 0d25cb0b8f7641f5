"""Computing what is left of a plan, as the only owner of the work folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from qsmbids.bids.write import remove_leftovers
from qsmbids.cli import exit_codes
from qsmbids.config import Config
from qsmbids.execution.errors import MemoryShortError
from qsmbids.execution.plugins import runs_elsewhere
from qsmbids.execution.work_folder import empty, empty_temporary, release
from qsmbids.plan.cosmos import CosmosGroup
from qsmbids.plan.models import Acquisition, Plan
from qsmbids.workflows.finished import Cohorts, Remaining, remaining
from qsmbids.workflows.forecast import forecast, memory_issues, needs_of
from qsmbids.workflows.outcome import Outcome
from qsmbids.workflows.workflow_names import workflow_name

MAX_THREADS = 8  # more gain nothing in transforms of this size

Spent = Callable[[str], Any]  # key to what it cost: seconds and peak_gb


def compute(plan: Plan, config: Config, cohorts: Cohorts) -> tuple[list[Outcome], Spent | None]:
    """Compute what earlier runs have not finished.

    Returns
    -------
    list of Outcome
        Of the whole plan, in its order.
    callable or None
        What each acquisition cost; None when nothing was computed.

    Raises
    ------
    SystemExit
        When the work folder or the memory does not allow it; the reason was printed.
    """
    left = remaining(plan, config, cohorts)
    if not left.people:
        print(_kept_words(left), flush=True)
        return _in_order(plan, left.kept), None
    from qsmbids.execution.lock import WorkFolderError, WorkLock

    try:
        with WorkLock(config.work_dir, wait_s=60 * config.wait_minutes or None, say=print):
            left = remaining(plan, config, cohorts)  # another run may have ended meanwhile
            if not left.people:
                return _in_order(plan, left.kept), None
            computed, spent = _compute(plan, left, config, cohorts)
    except (WorkFolderError, MemoryShortError) as error:
        print(error, file=sys.stderr)
        raise SystemExit(exit_codes.USAGE) from None
    return _in_order(plan, [*left.kept, *computed]), spent


def _compute(
    plan: Plan, left: Remaining, config: Config, cohorts: Cohorts
) -> tuple[list[Outcome], Spent]:
    from qsmbids.execution.slurm_nodes import cancel_leftovers

    if left.kept:
        print(_kept_words(left))
    wanted = [a for person in left.people for a in left.acquisitions(person)]
    wanted += [group for person in left.people for group in left.groups(person)]
    config, seconds = _prepared(wanted, config)
    gone = cancel_leftovers(config.work_dir)
    if gone:
        print(f'{gone} jobs of an earlier run were still in the queue and are cancelled.')
    _tidy(left, config)
    # imported late: all of the engine, and Nipype
    from qsmbids.execution.monitor import Monitor
    from qsmbids.execution.progress import Progress
    from qsmbids.workflows.run import process

    limits = {'limit_gb': config.mem_gb, 'n_procs': config.nprocs}
    name = config.run_id.partition('_')[0]
    record = Monitor(config.work_dir / 'log', name, **limits) if config.resource_monitor else None
    with (
        record or nullcontext(),
        Progress(
            acquisitions=seconds,
            workers=0 if runs_elsewhere(config) else config.nprocs,
            limit_gb=config.mem_gb,
            monitor=record,
        ) as progress,
    ):
        computed = process(plan, left, config, cohorts, progress)
    if record:
        print(record.summary())
    return computed, progress.spent


def _prepared(
    wanted: Sequence[Acquisition | CosmosGroup], config: Config
) -> tuple[Config, dict[str, float]]:
    """Say what it needs; return the settings that suit, and the seconds of each acquisition.

    Raises
    ------
    MemoryShortError
        If nothing fits into the memory of this machine, unless the work is done elsewhere.
    """
    if wanted and runs_elsewhere(config):
        needs = needs_of(wanted, config)
        largest = max(needs, key=lambda need: need.peak_gb)
        print(
            'Every step is a job of its own. The largest, '
            f'{largest.peak_step}, needs about {largest.peak_gb:.1f} GB.'
        )
        seconds = {need.key: need.seconds for need in needs}
        return replace(config, omp_nthreads=config.omp_nthreads or 1), seconds
    expected = forecast(wanted, config, config.mem_source)
    print(expected.text())
    for issue in memory_issues(expected, config):
        print(f'{issue.severity.upper()}  {issue}\n')
    suited = replace(
        config,
        nprocs=min(config.nprocs, expected.workers),
        omp_nthreads=_threads(config, expected.side_by_side),
    )
    return suited, {need.key: need.seconds for need in expected.needs}


def _tidy(left: Remaining, config: Config) -> None:
    """Remove what is not to be gone on from: everything, or what a killed run left."""
    from qsmbids.execution.resume import remove_damaged_steps

    if config.clean_workdir:
        empty(config.work_dir)
    empty_temporary(config.work_dir)
    for person in left.people:
        remove_leftovers(config.output_dir / f'sub-{person.label}')
    for outcome in () if config.keep_work else left.kept:
        release(config.work_dir, workflow_name(outcome.acquisition.key))
    for name in remove_damaged_steps(config.work_dir):
        print(f'Files of an earlier run are damaged; the step runs again: {name}')


def _threads(config: Config, acquisitions: int) -> int:
    if config.omp_nthreads:
        return config.omp_nthreads
    return max(1, min(MAX_THREADS, config.nprocs // max(1, acquisitions)))


def _kept_words(left: Remaining) -> str:
    n = len(left.kept)
    what = '1 is' if n == 1 else f'{n} are'
    return f'{what} finished and unchanged since an earlier run (--redo would repeat that).'


def _in_order(plan: Plan, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes in the order of the plan; what was computed counts, not what stood."""
    found = {outcome.acquisition.key: outcome for outcome in outcomes}
    keys = [each.key for person in plan.participants for each in (*person.usable, *person.cosmos)]
    return [found[key] for key in keys]
