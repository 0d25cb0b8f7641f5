"""Running acquisitions: graphs in batches, then judging and reporting each batch."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from nipype import Workflow
from nipype import config as nipype_config
from nipype import logging as nipype_logging

from qsmbids.config import Config
from qsmbids.execution.failures import Failure
from qsmbids.execution.multiproc import SafeMultiProc
from qsmbids.execution.progress import Progress, clock
from qsmbids.plan.models import Acquisition, Plan
from qsmbids.workflows.acquisition import init_acquisition_wf, init_run_wf, workflow_name
from qsmbids.workflows.atlas_choice import choose_atlas
from qsmbids.workflows.cosmos import add_cosmos
from qsmbids.workflows.finish import finish
from qsmbids.workflows.outcome import Outcome

BATCH = 16  # acquisitions in one graph: enough to keep workers busy, quick to build

# rough, from runs of the demo at 1.5 mm on two cores; only the forecast uses them
_SECONDS_PER_MEGAVOXEL = 30.0
_SECONDS_FIXED = 60.0


def process(plan: Plan, config: Config) -> list[Outcome]:
    """Run everything that is usable; pages appear as each batch ends."""
    _configure_nipype(config)
    _forecast(plan.acquisitions, config)
    choices = choose_atlas(plan.acquisitions, config)
    cohorts = {key: choice.cohort for key, choice in choices.items()}
    outcomes: list[Outcome] = []
    for batch in _batches(plan):
        wanted = [a for person in batch for a in person.usable]
        workflows = [init_acquisition_wf(a, config, choices.get(a.key)) for a in wanted]
        names = {workflow_name(a.key): a.key for a in wanted}
        run_wf = init_run_wf(workflows, str(config.work_dir))
        by_key = {a.key: workflow for a, workflow in zip(wanted, workflows, strict=True)}
        groups = [group for person in batch for group in person.cosmos]
        names |= add_cosmos(run_wf, by_key, groups, config, choices)
        failures = _run(run_wf, names, config)
        outcomes += finish(
            Plan(plan.bids_dir, tuple(batch)), config, _with_keys(failures, names), cohorts
        )
    return outcomes


def _with_keys(failures: Sequence[Failure], names: Mapping[str, str]) -> list[tuple[str, Failure]]:
    """Name the acquisition that each failed node belongs to."""
    return [
        (next(names[part] for part in failure.node.split('.') if part in names), failure)
        for failure in failures
    ]


def _run(run_wf: Workflow, names: Mapping[str, str], config: Config) -> list[Failure]:
    """Execute one graph; failures are collected, never raised."""
    nodes = [run_wf.get_node(name) for name in run_wf.list_node_names()]
    titled = [node for node in nodes if getattr(node.interface, 'title', '')]
    if config.plugin_file:
        return _run_with_plugin_file(run_wf, config)
    with Progress(len(titled), names) as progress:
        plugin = SafeMultiProc(
            {
                'n_procs': config.nprocs,
                'memory_gb': config.mem_gb,
                'raise_insufficient': False,
                'status_callback': progress,
            }
        )
        try:
            run_wf.run(plugin=plugin)
        except RuntimeError:
            if not plugin.failures:
                raise
        except BaseException:
            plugin.kill_workers()
            raise
    return plugin.failures


def _run_with_plugin_file(run_wf: Workflow, config: Config) -> list[Failure]:
    """Run with a plugin of the user's; what failed is seen from the missing outputs."""
    import yaml

    settings = yaml.safe_load(config.plugin_file.read_text(encoding='utf-8')) or {}
    try:
        run_wf.run(plugin=settings.get('plugin'), plugin_args=settings.get('plugin_args', {}))
    except RuntimeError as error:
        sys.stdout.write(f'The workflow reported: {error}\n')
    return []


def _batches(plan: Plan) -> Iterator[Sequence]:
    """Yield groups of whole participants with about BATCH acquisitions each."""
    batch: list = []
    for person in plan.participants:
        if not person.usable:
            continue
        batch.append(person)
        if sum(len(p.usable) for p in batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _configure_nipype(config: Config) -> None:
    crash = config.work_dir / 'crash'
    logs = config.work_dir / 'log'
    for folder in (crash, logs):
        folder.mkdir(parents=True, exist_ok=True)
    nipype_config.update_config(
        {
            'execution': {
                'poll_sleep_duration': 0.1,
                'crashdump_dir': str(crash),
                'crashfile_format': 'txt',
                'stop_on_first_crash': str(config.stop_on_first_crash).lower(),
                'hash_method': 'timestamp',
                'check_version': 'false',
                'create_report': 'false',
                'remove_unnecessary_outputs': 'false',
            },
            'logging': {'log_directory': str(logs), 'log_to_file': 'false'},
        }
    )
    nipype_logging.update_logging(nipype_config)
    level = {0: 'CRITICAL', 1: 'WARNING', 2: 'INFO'}.get(config.verbose, 'DEBUG')
    for name in ('nipype', 'nipype.workflow', 'nipype.interface', 'nipype.utils'):
        logging.getLogger(name).setLevel(level)


def _forecast(acquisitions: Sequence[Acquisition], config: Config) -> None:
    """Say before the start how much memory and time it takes."""
    seconds = [
        _SECONDS_FIXED + _SECONDS_PER_MEGAVOXEL * np.prod(a.shape) / 1e6 for a in acquisitions
    ]
    peak = max(_peak_gb(a, config) for a in acquisitions)
    side_by_side = max(1, min(config.nprocs, int(config.mem_gb // peak), len(acquisitions)))
    total = sum(seconds) / side_by_side
    sys.stdout.write(
        f'Needs up to {peak:.1f} GB for one acquisition; {side_by_side} side by side. '
        f'Expect {clock(0.5 * total)} to {clock(2 * total)} in all.\n'
    )


def _peak_gb(acquisition: Acquisition, config: Config) -> float:
    """Return the largest memory estimate of the nodes of an acquisition."""
    workflow = init_acquisition_wf(acquisition, config, None)
    nodes = [workflow.get_node(name) for name in workflow.list_node_names()]
    return max(node.mem_gb for node in nodes)
