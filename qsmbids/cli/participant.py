"""The participant level: plan, say what will happen, run, judge, report."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qsmbids import __version__
from qsmbids.bids.dataset import other_version, prepare_dataset
from qsmbids.bids.write import write_json
from qsmbids.cli import exit_codes
from qsmbids.cli.compute import compute
from qsmbids.cli.verdict import verdict
from qsmbids.config import Config
from qsmbids.plan.models import MIN_ECHOES_R2STAR, Acquisition, Issue, Plan, Severity

if TYPE_CHECKING:
    from qsmbids.workflows.atlas_ages import AtlasAges

_SHOWN = 20  # acquisitions in the banner


def run_participants(config: Config) -> int:
    """Process the participants and return the exit code."""
    from qsmbids.plan.describe import describe
    from qsmbids.workflows.atlas_ages import ages_outside, atlas_ages
    from qsmbids.workflows.finished import cohort_labels

    try:
        learned: list[tuple[Path, Mapping[str, Any]]] = []
        plan = make_the_plan(config, lambda *found: learned.append(found))
        ages = atlas_ages(plan.acquisitions, config)
        warnings = (
            *check_options_of(plan, config),
            *ages_outside(plan.acquisitions, ages, config),
        )
    except ValueError as error:
        print(error, file=sys.stderr)
        return exit_codes.USAGE
    if config.dry_run:
        print(describe(plan, verbose=True, full=True if config.verbose else None))
        _print_atlas(ages)
        _print_issues(warnings)
        return exit_codes.OK if plan.acquisitions else exit_codes.NOTHING_USABLE
    _banner(config, plan)
    _print_atlas(ages)
    old = other_version(config.output_dir)
    if old:
        print(f'Note: the output folder holds results of qsmbids {old}; they are replaced.')
    prepare_dataset(config.output_dir, config.bids_dir)
    for path, content in learned:  # not before: a run that is refused writes nothing
        with suppress(OSError):  # a full disk; the results will say so
            write_json(path, content)
    _print_issues([*_issues(plan), *warnings])
    if any(not person.usable for person in plan.participants):
        # imported late here and below: a run that finds everything done must be quick
        from qsmbids.workflows.finish import write_pages_of_unusable

        write_pages_of_unusable(plan, config)
    if not plan.acquisitions:
        print(
            'Nothing usable was found: no acquisition can be processed (see above).\n'
            'A reconstruction needs magnitude and phase of at least one echo.\n'
            'Mend what the list says, or look with --dry-run at what was found.'
        )
        return exit_codes.NOTHING_USABLE
    try:
        if config.reports_only:
            from qsmbids.workflows.finish import finish

            outcomes, spent = finish(plan, config, []), None
        else:
            cohorts = cohort_labels(plan.acquisitions, ages, config)
            outcomes, spent = compute(plan, config, cohorts)
    except ValueError as error:  # an atlas, age or reference that cannot be used
        print(error, file=sys.stderr)
        return exit_codes.USAGE
    return verdict(plan, outcomes, spent, config)


def make_the_plan(
    config: Config,
    write: Callable[[Path, Mapping[str, Any]], None] | None = None,
    threads: int = 0,
) -> Plan:
    """Return the plan of a run.

    Parameters
    ----------
    config : Config
    write : callable, optional
        Writes what was learned about the images of a person, from path and content; without
        it the next plan has to look through them again.
    threads : int
        Images that are read at the same time; 0 for as many as the run has processors, up to
        eight: more wait for the disk.
    """
    from qsmbids.plan.image_memory import ImageMemory
    from qsmbids.plan.planner import make_plan

    def place(label: str) -> Path:
        return config.output_dir / f'sub-{label}' / 'log' / 'images.json'

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
        memory=ImageMemory(place, write),
        threads=threads or min(config.nprocs, 8),
    )


def _only_masks(config: Config) -> str | None:
    """Return the folder that must have masks, if it is the only one of derivatives.

    The plan then looks nowhere else, not even for T2 maps, so it is not told of this folder
    when there are others.
    """
    return (len(config.derivatives) == 1 and config.mask_derivatives) or None


def check_options_of(plan: Plan, config: Config) -> tuple[Issue, ...]:
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
    if len(issues) > _SHOWN:
        from qsmbids.plan.summary import issues_by_kind

        print(issues_by_kind(issues))
        return
    for issue in issues:
        print(f'{issue.severity.upper()}  {issue}\n')


def _banner(config: Config, plan: Plan) -> None:
    people = len(plan.participants)
    scans = len(plan.acquisitions)
    print(f'qsmbids {__version__}   run {config.run_id}')
    print(f'  dataset   {config.bids_dir}')
    print(f'  output    {config.output_dir}')
    print(f'  work      {config.work_dir}')
    cpus = f'{config.nprocs} processor{"s" * (config.nprocs > 1)} ({config.cpu_source})'
    print(f'  limits    {cpus}, {config.mem_gb:.1f} GB ({config.mem_source})')
    print(f'  found     {people} participants, {scans} usable acquisitions')
    for acquisition in plan.acquisitions[:_SHOWN]:
        print(f'            {acquisition.key}: {_what(acquisition)}')
    if scans > _SHOWN:
        print(f'            and {scans - _SHOWN} more; --dry-run has them all')
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
