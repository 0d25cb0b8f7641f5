"""After the graph: judge each acquisition, write its quality table and the participant's page.

This runs outside the graph, so that a page exists also when something failed. It reads only
what stands in the output folder.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from qsmbids import __version__
from qsmbids.bids import names as bids_names
from qsmbids.bids.cosmos import cosmos_names
from qsmbids.bids.dataset import write_table
from qsmbids.config import Config
from qsmbids.execution.failures import Failure
from qsmbids.plan.cosmos import CosmosGroup
from qsmbids.plan.models import Acquisition, Participant, Plan
from qsmbids.report.models import AcquisitionResult, Figure, QCValue, Status
from qsmbids.report.page import write_participant_page
from qsmbids.report.tables import read_table
from qsmbids.workflows.cosmos_result import cosmos_result
from qsmbids.workflows.outcome import Outcome, judge, promised_names
from qsmbids.workflows.qc import qc_values
from qsmbids.workflows.status import write_status

Record = dict[str, Any]


def finish(
    plan: Plan,
    config: Config,
    failures: Sequence[tuple[str, Failure]],
    cohorts: Mapping[str, str] | None = None,
) -> list[Outcome]:
    """Judge and report all usable acquisitions of a plan.

    Parameters
    ----------
    plan : Plan
        Participants of this batch.
    config : Config
        Settings of the run.
    failures : sequence of (str, Failure)
        Key of the acquisition and what failed.
    cohorts : mapping, optional
        Key to the cohort chosen; by default what an earlier run recorded.

    Returns
    -------
    list of Outcome
        In the order of the plan.
    """
    outcomes = []
    for person in plan.participants:
        if not person.usable:
            continue
        own, results = [], []
        for acquisition in person.usable:
            records = _read_records(config.output_dir, acquisition)
            cohort = _cohort(acquisition, records, config, cohorts)
            names = promised_names(acquisition, config, cohort)
            qc = qc_values(records)
            if 'qc' in names and 'recon' in records:
                _write_qc(config.output_dir / names['qc'], qc)
            failed = [f for key, f in failures if key == acquisition.key]
            failed = _with_kept_crash_files(failed, person.label, config)
            outcome = judge(acquisition, names, config.output_dir, failed)
            own.append(outcome)
            results.append(_result(outcome, records, qc, config))
        cosmos = [_judge_cosmos(group, config, failures) for group in person.cosmos]
        results += [cosmos_result(o, config.output_dir, _errors(o)) for o in cosmos]
        write_status(person, own, config, cosmos)
        _write_page(person, results, config)
        outcomes += [*own, *cosmos]
    return outcomes


def _judge_cosmos(
    group: CosmosGroup, config: Config, failures: Sequence[tuple[str, Failure]]
) -> Outcome:
    from qsmbids.workflows.cosmos import failures_of  # with all of Nipype

    failed = failures_of(group, failures, config)
    failed = _with_kept_crash_files(failed, group.participant, config)
    return judge(group, cosmos_names(group), config.output_dir, failed)


def write_pages_of_unusable(plan: Plan, config: Config) -> None:
    """Write the page of each participant of whom nothing can be processed."""
    for person in plan.participants:
        if not person.usable:
            write_status(person, [], config)
            _write_page(person, [], config)


def _write_page(person: Participant, results: list[AcquisitionResult], config: Config) -> None:
    write_participant_page(
        config.output_dir / bids_names.report_path(person.label),
        participant=person, results=results, command=config.command, version=__version__,
        run_id=config.run_id,
    )  # fmt: skip


def _read_records(output_dir: Path, acquisition: Acquisition) -> dict[str, Record]:
    """Return what the sinks recorded: 'recon', 'extras' ... where they exist."""
    found = {}
    for part in ('recon', 'extras', 'atlas', 'markings'):
        path = output_dir / bids_names.record_path(acquisition.participant, acquisition.key, part)
        try:
            found[part] = json.loads(path.read_text(encoding='utf-8'))
        except (OSError, ValueError):
            continue  # that part did not get so far; the missing outputs say so
    return found


def _cohort(
    acquisition: Acquisition,
    records: Mapping[str, Record],
    config: Config,
    cohorts: Mapping[str, str] | None,
) -> str:
    if config.recon_only or acquisition.phase_scaling is None:
        return ''
    if cohorts is not None:
        return cohorts.get(acquisition.key, '')
    return str(records.get('atlas', {}).get('facts', {}).get('atlas', {}).get('cohort', ''))


def _write_qc(path: Path, qc: Sequence[QCValue]) -> None:
    columns = [(value.name, value.unit, value.meaning) for value in qc]
    write_table(path, [{value.name: value.value for value in qc}], columns)


def _result(
    outcome: Outcome, records: Mapping[str, Record], qc: Sequence[QCValue], config: Config
) -> AcquisitionResult:
    """Collect everything that the page shows of an acquisition."""
    acquisition, out = outcome.acquisition, config.output_dir
    if not outcome.complete:
        status = Status.FAILED
    elif any(not value.plausible for value in qc):
        status = Status.WARNINGS
    else:
        status = Status.COMPLETE
    recon, atlas = records.get('recon', {}), records.get('atlas', {})
    facts = recon.get('facts', {}) | atlas.get('facts', {})
    chosen = dict(facts.get('atlas') or {})
    if chosen and acquisition.age_years is not None:
        chosen['age_used'] = acquisition.age_years.value
    return AcquisitionResult(
        key=acquisition.key,
        acquisition=acquisition,
        status=status,
        # a picture of both parts is shown with labels, if there are some
        figures=list(
            {
                figure['name']: Figure(**{**figure, 'path': out / figure['path']})
                for record in (recon, atlas)
                for figure in record.get('figures', ())
            }.values()
        ),
        regions=_rows(out, outcome.names.get('regions_chi')),
        regions_r2star=_rows(out, outcome.names.get('regions_r2star')),
        markings=_marking_tables(outcome, config),
        qc=qc,
        atlas=chosen,
        reference=facts.get('reference') or {},
        steps=_steps(records, outcome.names),
        errors=_errors(outcome),
        settings=recon.get('settings') or {},
        outputs=[path for path in outcome.names.values() if (out / path).is_file()],
        curve_offset_ppm=float(chosen.get('curve_offset_ppm', 0.0)),
        norms=config.norms,
    )


def _steps(records: Mapping[str, Record], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the steps of all parts, each once; a part of an earlier run may linger."""
    found: dict[tuple, dict[str, Any]] = {}
    for record in records.values():
        if record.get('names', {}).keys() <= names.keys():
            for step in record.get('steps', ()):
                found.setdefault((step['name'], step.get('seconds')), step)
    return list(found.values())


def _errors(outcome: Outcome) -> list[dict[str, str]]:
    errors = [
        {'node': f.title, 'message': f.message, 'hint': '', 'crash_file': f.crash_file}
        for f in outcome.failures
    ]
    if outcome.missing and not errors:
        errors.append(
            {
                'node': 'outputs',
                'message': f'These files are missing: {", ".join(outcome.missing)}',
                'hint': 'Run the same command again; with --clean-workdir if that does not help.',
                'crash_file': '',
            }
        )
    return errors


def _rows(out: Path, name: str | None) -> list[dict[str, Any]]:
    return read_table(out / name) if name and (out / name).is_file() else []


def _marking_tables(outcome: Outcome, config: Config) -> list[dict[str, Any]]:
    """Return the tables of marked lesions and veins that are there."""
    found = []
    for mask in outcome.acquisition.region_masks:
        name = outcome.names.get(bids_names.marking_key(mask.kind, mask.label), '')
        if name and (config.output_dir / name).is_file():
            table = config.output_dir / name
            found.append({
                'kind': mask.kind, 'label': mask.label, 'source': mask.path, 'path': name,
                'rows': read_table(table), 'haematocrit': _haematocrit(table, config),
            })  # fmt: skip
    return found


def _haematocrit(table: Path, config: Config) -> float:
    """Return the haematocrit that a table was made with, which may be that of an earlier run."""
    try:
        return float(json.loads(table.with_suffix('.json').read_text('utf-8'))['Haematocrit'])
    except (OSError, LookupError, ValueError, TypeError):
        return config.haematocrit


def _with_kept_crash_files(
    failures: Sequence[Failure], label: str, config: Config
) -> list[Failure]:
    """Copy crash files beside the results, where they outlive the work folder."""
    kept = []
    for failure in failures:
        source = Path(failure.crash_file) if failure.crash_file else None
        if source is not None and source.is_file():
            folder = config.output_dir / f'sub-{label}' / 'log' / config.run_id
            with suppress(OSError):  # a full disk: the original is still in the work folder
                folder.mkdir(parents=True, exist_ok=True)
                path = Path(shutil.copy(source, folder))
                failure = Failure(failure.node, failure.title, failure.message, str(path))
        kept.append(failure)
    return kept
