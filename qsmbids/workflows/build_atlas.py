"""Building an atlas: running the graph, telling who was left out, writing the folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qsmbids import __version__
from qsmbids.atlas.build import VERSION
from qsmbids.atlas.build.common_space import WHOLE_BRAIN, common_reference
from qsmbids.atlas.build.writing import BuiltAtlas, BuiltCohort, check_target, write_built
from qsmbids.atlas.dataset import Atlas, open_atlas
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.geometry import Label
from qsmbids.config import Config
from qsmbids.execution.failures import Failure
from qsmbids.execution.progress import Progress
from qsmbids.interfaces.build_atlas import read_record
from qsmbids.workflows.build_graph import COMMON, NAME, BuildGraph, BuildRequest


@dataclass(frozen=True)
class BuildResult:
    """An atlas that was built.

    Parameters
    ----------
    folder : Path
    notes : tuple of str
        Who was left out and what was merged.
    chains : mapping
        Participant to the transforms that bring images to the common space.
    groups, common : mapping, mapping
        Records of the last averages: of each group by its label, and of all groups (empty
        with one group).
    """

    folder: Path
    notes: tuple[str, ...]
    chains: Mapping[str, list[str]]
    groups: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    common: Mapping[str, Any] = field(default_factory=dict)


def build_atlas(request: BuildRequest) -> BuildResult:
    """Build an atlas.

    Parameters
    ----------
    request : BuildRequest

    Returns
    -------
    BuildResult

    Raises
    ------
    AtlasError
        If the name is taken, or a step failed for good, e.g. because too few people of a
        group could be registered.
    """
    # imported late: it pulls in the whole reconstruction
    from qsmbids.workflows.execute import configure_nipype, execute

    check_target(request.out, request.name, replace=request.replace)
    source = open_atlas(request.labels_from)
    config = _config(request)
    configure_nipype(config)
    graph = BuildGraph(request, source)
    with Progress(workers=config.nprocs, limit_gb=config.mem_gb) as progress:
        failures = execute(graph.workflow, graph.titles, config, progress)
    records = {
        name: request.work_dir / NAME / node / 'result.json' for name, node in graph.last.items()
    }
    if failures or not all(path.is_file() for path in records.values()):
        _give_up(failures, request.work_dir)
    return _write(request, source, {name: read_record(path) for name, path in records.items()})


def _config(request: BuildRequest) -> Config:
    """Return what the executor of the App needs to know."""
    return Config(
        bids_dir=request.out, output_dir=request.out, work_dir=request.work_dir,
        random_seed=request.seed, nprocs=request.nprocs, mem_gb=request.mem_gb,
        plugin_file=request.plugin_file, verbose=request.verbose, stop_on_first_crash=True,
    )  # fmt: skip


def _give_up(failures: Sequence[Failure], work_dir: Path) -> None:
    if not failures:
        raise AtlasError(
            'the build ended without all of its results.',
            'A step failed or was stopped.',
            f'Look at the messages above and in {work_dir / "crash"}; the same command goes on.',
        )
    lines = failures[0].message.removeprefix('AtlasError: ').split('\n')
    if len(lines) == 3:
        raise AtlasError(*lines)
    raise AtlasError(
        f'{failures[0].title} failed: {" ".join(lines)}',
        'Every step is needed for the atlas.',
        f'Details: {failures[0].crash_file}. The same command goes on from here.',
    )


def _write(request: BuildRequest, source: Atlas, records: Mapping[str, dict]) -> BuildResult:
    labels, common = records['labels'], records.get(COMMON, {})
    groups = {group.label: records[f'group{group.label}'] for group in request.groups}
    notes = [*request.notes, *_lost(groups), *labels['notes']]
    everybody = [person for group in request.groups for person in group.people]
    licence = source.description.get('License', 'not stated')
    cohorts = []
    for group in request.groups:
        record = dict(records[f'templates_{group.label}'])
        facts = record.pop('facts')
        ages = [p.age for p in group.people if p.label in groups[group.label]['chains']]
        files = {key: Path(path) for key, path in record.items()}
        cohorts.append(
            BuiltCohort(group.label, group.age_min, group.age_max, sum(ages) / len(ages),
                        facts['n'], files)
        )  # fmt: skip
    atlas = BuiltAtlas(
        name=request.name, licence=request.licence, cohorts=cohorts, dseg=Path(labels['dseg']),
        labels=[Label(**row) for row in labels['labels']],
        reference=common_reference(everybody) or WHOLE_BRAIN,
        labels_source=f'carried from the atlas {source.name} (licence: {licence})'
        + (', with drawn regions laid over' if request.drawn else '') + '.',
        notes=[] if request.anonymous else notes,
        provenance=_provenance(request, source, groups, common, labels),
    )  # fmt: skip
    chains = {
        label: [*_to_common(common, name), *chain['forward']]
        for name, group in groups.items()
        for label, chain in group['chains'].items()
    }
    folder = write_built(request.out, atlas, replace=request.replace)
    return BuildResult(folder, tuple(notes), chains, groups, common)


def _to_common(common: Mapping[str, Any], group: str) -> list[str]:
    return common['chains'][f'group{group}']['forward'] if common else []


def _lost(groups: Mapping[str, dict]) -> list[str]:
    return [
        f'{label} is left out: {reason}'
        for group in groups.values()
        for label, reason in group['lost'].items()
    ]


def _provenance(
    request: BuildRequest, source: Atlas, groups: Mapping[str, dict], common: Mapping,
    labels: Mapping,
) -> dict[str, Any]:  # fmt: skip
    """Return who and how; without labels of people if that was asked for."""
    cohorts = {}
    for group in request.groups:
        chains = groups[group.label]['chains']
        people = [p for p in group.people if p.label in chains]
        cohorts[group.label] = {
            'AgeRangeYears': [group.age_min, group.age_max],
            'SampleSize': len(people),
            'LeftOut': len(group.people) - len(people),
            **({} if request.anonymous else {'Participants': {
                p.label: {'AgeYears': p.age, 'Registration': chains[p.label]['quality']}
                for p in people
            }}),
        }  # fmt: skip
    return {
        'GeneratedBy': {'Name': 'qsmbids', 'Version': __version__, 'BuildVersion': VERSION},
        'Steps': [
            'hybrid image of each person: 255 S - 400 chi, S the '
            + ('T1w image' if request.groups[0].people[0].t1w else 'gradient-echo magnitude'),
            'affine registration to the built-in atlas, average in the mean size of the group',
            f'{request.rounds} rounds: SyN to the average, average, move to the mean shape',
            'the same for the averages of the groups: the common space',
            'templates: one interpolation of each map from its own grid',
            f'labels of {source.name}, cohort of the middle age group, registered to it',
        ],
        'Rounds': request.rounds,
        'ResolutionMM': request.resolution_mm,
        'Seed': request.seed,
        'LeastPeople': request.min_people,
        'Cohorts': cohorts,
        'BetweenCohorts': {
            label: chain['quality'] for label, chain in common.get('chains', {}).items()
        },
        'LabelsFrom': {'Name': source.name, 'License': source.description.get('License', ''),
                       'Registration': labels['quality']},
        'Drawn': request.drawn.name if request.drawn else None,
        'Notes': None if request.anonymous else [*request.notes, *labels['notes']],
    }  # fmt: skip
