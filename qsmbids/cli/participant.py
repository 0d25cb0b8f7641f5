"""The participant level: plan, say what will happen, run, judge, report."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qsmbids import __version__
from qsmbids.bids.dataset import other_version, prepare_dataset
from qsmbids.cli import exit_codes
from qsmbids.config import Config
from qsmbids.plan.models import MIN_ECHOES_R2STAR, Acquisition, Issue, Plan, Severity

if TYPE_CHECKING:
    from qsmbids.workflows.atlas_ages import AtlasAges

MAX_THREADS = 8  # more gain nothing in transforms of this size


def run_participants(config: Config) -> int:
    """Process the participants and return the exit code."""
    from qsmbids.plan.describe import describe
    from qsmbids.workflows.atlas_ages import ages_outside, atlas_ages

    try:
        plan = make_the_plan(config)
        ages = atlas_ages(plan.acquisitions, config)
        warnings = (*_check_options(plan, config), *ages_outside(plan.acquisitions, ages, config))
    except ValueError as error:
        print(error, file=sys.stderr)
        return exit_codes.USAGE
    if config.dry_run:
        print(describe(plan, verbose=True))
        _print_atlas(ages)
        _print_issues(warnings)
        return exit_codes.OK if plan.acquisitions else exit_codes.NOTHING_USABLE
    _banner(config, plan)
    _print_atlas(ages)
    old = other_version(config.output_dir)
    if old:
        print(f'Note: the output folder holds results of qsmbids {old}; they are replaced.')
    prepare_dataset(config.output_dir, config.bids_dir)
    _print_issues([*_issues(plan), *warnings])
    # imported late: the plan must be quick, and these pull in the whole engine
    from qsmbids.workflows.finish import finish, write_pages_of_unusable

    write_pages_of_unusable(plan, config)
    if not plan.acquisitions:
        print(
            'Nothing usable was found: no acquisition can be processed (see above).\n'
            'A reconstruction needs magnitude and phase of at least one echo.\n'
            'Mend what the list says, or look with --dry-run at what was found.'
        )
        return exit_codes.NOTHING_USABLE
    config = replace(config, omp_nthreads=_threads(config, len(plan.acquisitions)))
    try:
        outcomes = finish(plan, config, []) if config.reports_only else _process(plan, config)
    except ValueError as error:  # an atlas, age or reference that cannot be used
        print(error, file=sys.stderr)
        return exit_codes.USAGE
    return _verdict(plan, outcomes, config)


def make_the_plan(config: Config) -> Plan:
    """Return the plan of a run."""
    from qsmbids.plan.planner import make_plan

    return make_plan(
        config.bids_dir,
        participant_labels=config.participant_labels,
        session_labels=config.session_labels,
        filters=config.filters,
        age=config.age_years,
        field_strength=config.field_strength_t,
        b0_dir=config.b0_dir,
        phase_sign=config.phase_sign,
        derivatives=config.derivatives,
        mask_derivatives=_only_masks(config),
        cosmos=config.cosmos,
    )


def _only_masks(config: Config) -> str | None:
    """Return the folder that must have masks, if it is the only one of derivatives.

    The plan then looks nowhere else, not even for T2 maps, so it is not told of this folder
    when there are others.
    """
    return (len(config.derivatives) == 1 and config.mask_derivatives) or None


def _check_options(plan: Plan, config: Config) -> tuple[Issue, ...]:
    """Return warnings of options that do not suit some scan.

    Raises
    ------
    ValueError
        For options that cannot be carried out.
    """
    from qsmbids.workflows.preflight import check_options

    if 'atlas' in config.mask:
        from qsmbids.workflows.atlas_mask import check_atlas_mask

        check_atlas_mask(plan.acquisitions, config)
    return check_options(plan.acquisitions, config)


def _print_atlas(ages: AtlasAges | None) -> None:
    if ages is not None:
        print(f'Atlas: {ages.summary}')
        for finding in ages.findings:
            print(f'  {finding}')
        print(flush=True)


def _print_issues(issues: Sequence[Issue]) -> None:
    for issue in issues:
        print(f'{issue.severity.upper()}  {issue}\n')


def _process(plan: Plan, config: Config) -> list:
    from qsmbids.execution.lock import WorkFolderBusyError, WorkLock
    from qsmbids.execution.resume import remove_damaged_steps
    from qsmbids.workflows.run import process

    try:
        with WorkLock(config.work_dir) as lock:
            if not lock.supported:
                print(
                    f'Note: the file system of {config.work_dir} knows no locks; '
                    'make sure that no other run uses this work folder.'
                )
            if config.clean_workdir:
                _empty(config.work_dir)
            for name in remove_damaged_steps(config.work_dir):
                print(f'Files of an earlier run are damaged; the step runs again: {name}')
            return process(plan, config)
    except WorkFolderBusyError as error:
        print(error, file=sys.stderr)
        raise SystemExit(exit_codes.USAGE) from None


def _empty(work_dir: Path) -> None:
    """Remove what runs left in the work folder, but not the lock and the caches."""
    for path in work_dir.iterdir():
        if path.name not in ('lock.json', 'cache', 'tmp'):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()


def _threads(config: Config, acquisitions: int) -> int:
    if config.omp_nthreads:
        return config.omp_nthreads
    return max(1, min(MAX_THREADS, config.nprocs // max(1, acquisitions)))


def _banner(config: Config, plan: Plan) -> None:
    people = len(plan.participants)
    scans = len(plan.acquisitions)
    print(f'qsmbids {__version__}   run {config.run_id}')
    print(f'  dataset   {config.bids_dir}')
    print(f'  output    {config.output_dir}')
    print(f'  work      {config.work_dir}')
    print(f'  limits    {config.nprocs} processors, {config.mem_gb:.1f} GB')
    print(f'  found     {people} participants, {scans} usable acquisitions')
    for acquisition in plan.acquisitions:
        print(f'            {acquisition.key}: {_what(acquisition)}')
    for group in (group for person in plan.participants for group in person.cosmos):
        print(f'            {group.key}: COSMOS from {len(group.acquisitions)} orientations')
    print(flush=True)


def _what(acquisition: Acquisition) -> str:
    """Return an acquisition in a few words."""
    shape = 'x'.join(map(str, acquisition.shape))
    voxel = 'x'.join(f'{v:.3g}' for v in acquisition.voxel_size_mm)
    age = acquisition.age_years
    decay = len(acquisition.echoes) >= MIN_ECHOES_R2STAR
    only = 'magnitude only, ' + ('R2* but no susceptibility' if decay else 'no map')
    kind = 'phase' if acquisition.phase_scaling else only
    years = f'age {age.value:g} y ({age.source})' if age else 'age unknown'
    return f'{len(acquisition.echoes)} echoes, {shape} at {voxel} mm, {kind}, {years}'


def _issues(plan: Plan) -> list:
    everything = [*plan.issues, *(i for p in plan.participants for i in p.all_issues)]
    return [issue for issue in everything if issue.severity is not Severity.NOTE]


def _verdict(plan: Plan, outcomes: list, config: Config) -> int:
    """Print who is complete and who is not, and why; return the exit code."""
    failed = [outcome for outcome in outcomes if not outcome.complete]
    skipped = set(plan.failed)
    print()
    for outcome in outcomes:
        state = 'complete' if outcome.complete else 'FAILED'
        print(f'{outcome.acquisition.key:<30} {state:<9} {outcome.reason}')
        for failure in outcome.failures:
            if failure.crash_file:
                print(f'{"":<30} details: {failure.crash_file}')
    for person in plan.participants:
        first: dict[str, str] = {}  # one reason for each scan or session
        for issue in person.all_issues:
            if issue.severity is Severity.ERROR:
                first.setdefault(issue.scope or f'sub-{person.label}', issue.what)
        for scope, what in first.items():
            print(f'{scope:<30} LEFT OUT  {what}')
    done = len(outcomes) - len(failed)
    what = 'acquisitions and COSMOS maps' if config.cosmos else 'acquisitions'
    print(f'\n{done} of {len(outcomes)} {what} complete.', end=' ')
    print(f'Reports: {config.output_dir}/sub-*.html')
    if not done:
        print('No acquisition could be finished; the reports say what to look at.')
    return exit_codes.SOME_FAILED if failed or skipped else exit_codes.OK
