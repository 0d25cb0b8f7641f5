"""The graph of a COSMOS group.

A group takes from the graphs of its acquisitions what they have computed anyway: magnitude and
brain mask for the registration; local field, its mask and its noise for the inversion. Nothing
flows back, so a failing COSMOS leaves the maps of the single orientations alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import networkx as nx
from nipype import Node, Workflow
from nipype.interfaces.utility import Merge

from qsmbids import __version__
from qsmbids.bids.names import output_names
from qsmbids.config import Config
from qsmbids.execution.failures import Failure
from qsmbids.interfaces.cosmos import AlignOrientation, CosmosInversion
from qsmbids.interfaces.cosmos_sink import CosmosSink
from qsmbids.interfaces.figures import Figures
from qsmbids.interfaces.susceptibility import Reference
from qsmbids.plan.cosmos import CosmosGroup
from qsmbids.plan.models import Acquisition
from qsmbids.workflows.acquisition import GraphBuilder, init_acquisition_wf
from qsmbids.workflows.atlas_choice import AtlasChoice
from qsmbids.workflows.memory import cosmos_needs
from qsmbids.workflows.outcome import atlas_label
from qsmbids.workflows.settings import settings_of
from qsmbids.workflows.workflow_names import workflow_name

ALIGN_VERSION = 1  # raised when its numbers change: an older result is then not used

# where an acquisition's graph keeps what COSMOS needs, by trait of AlignOrientation
_SOURCES = {
    'magnitude': 'load.rss',
    'brain_mask': 'brain_mask.brain_mask',
    'local_field': 'background.local_field',
    'qsm_mask': 'background.qsm_mask',
    'field_noise': 'field_map.field_noise',
}
# trait of AlignOrientation to the node that collects it, and so to the input of the inversion
_MERGED = {'local_field': 'local_fields', 'qsm_mask': 'masks', 'field_noise': 'field_noises'}
_LABELS = 'warp_atlas.dseg'  # of the reference scan, for a reference region of the atlas
_WITHOUT_LABELS = ('whole-brain', 'none')
_ANY_ATLAS = AtlasChoice('', '', {}, (), {}, (1,))  # enough to know the steps of a graph
_SHARED_STAGES = ('mask', 'offset', 'bipolar', 'unwrapping', 'fieldmap', 'background')


def add_cosmos(
    run: Workflow, workflows: Mapping[str, Workflow], groups: Sequence[CosmosGroup],
    config: Config, choices: Mapping[str, AtlasChoice],
) -> dict[str, str]:  # fmt: skip
    """Add the graphs of COSMOS groups to a run.

    Parameters
    ----------
    run : Workflow
        Holds the graphs of the acquisitions.
    workflows : mapping of str to Workflow
        Those graphs by key of the acquisition.
    groups : sequence of CosmosGroup
    config : Config
    choices : mapping of str to AtlasChoice
        Of the acquisitions: the reference region of a map may be one of the atlas.

    Returns
    -------
    dict of str to str
        Name of the workflow to key of the group, to tell whose step it was that failed.
    """
    for group in groups:
        cosmos = init_cosmos_wf(group, config, choices.get(group.reference.key))
        reference, *others = [workflows[a.key] for a in group.acquisitions]
        for trait, collector in _MERGED.items():
            run.connect(reference, _SOURCES[trait], cosmos, f'{collector}.in1')
        for number, scan in enumerate(others, start=2):
            for trait, source in _SOURCES.items():
                run.connect(scan, source, cosmos, f'align_{number}.{trait}')
            for trait in ('magnitude', 'brain_mask'):
                target = f'align_{number}.reference_{trait}'
                run.connect(reference, _SOURCES[trait], cosmos, target)
        if cosmos.get_node('reference').inputs.values:
            run.connect(reference, _LABELS, cosmos, 'reference.dseg')
    return {workflow_name(group.key): group.key for group in groups}


def init_cosmos_wf(group: CosmosGroup, config: Config, atlas: AtlasChoice | None) -> Workflow:
    """Return the workflow of one group; :func:`add_cosmos` connects its inputs.

    Nodes: one ``align_N`` for every scan but the reference, ``invert``, ``reference``,
    ``figures`` and ``ds_cosmos``.
    """
    b = GraphBuilder(group, config, cosmos_needs(group, config))
    n, method = len(group.acquisitions), config.method('cosmos')
    invert = b.node(
        CosmosInversion, 'invert', [('cosmos', method.name)],
        n_threads=config.omp_nthreads, method=method.name,
        parameters=config.parameters('cosmos'),
        imaging_frequencies_mhz=[float(a.imaging_frequency_mhz.value) for a in group.acquisitions],
        b0_direction=_direction(group.reference),
    )  # fmt: skip
    merged = {trait: _merge(b, name, n) for trait, name in _MERGED.items()}
    merged['orientation'] = _merge(b, 'orientations', n - 1)
    for trait, name in (*_MERGED.items(), ('orientation', 'orientations')):
        b.connect(merged[trait], 'out', invert, name)
    aligned = []
    for number, acquisition in enumerate(group.acquisitions[1:], start=2):
        align = b.node(
            AlignOrientation, f'align_{number}', seed=config.random_seed,
            b0_direction=_direction(acquisition),
        )  # fmt: skip
        align.inputs.code_version = f'{__version__} align-{ALIGN_VERSION}'
        for trait in _MERGED:
            b.connect(align, trait, merged[trait], f'in{number}')
        b.connect(align, 'orientation', merged['orientation'], f'in{number - 1}')
        aligned.append(align)
    values = list(atlas.reference_values) if atlas else []
    reference = b.node(Reference, 'reference', region=config.reference, values=values)
    b.connect(invert, 'chi', reference, 'chi')
    b.connect(invert, 'qsm_mask', reference, 'mask')
    records = _merge(b, 'records', len(aligned) + 2)
    for place, node in enumerate([*aligned, invert, reference], start=1):
        b.connect(node, 'record', records, f'in{place}')
    stem = '_'.join(f'{k}-{v}' for k, v in (*group.entities, ('rec', 'cosmos')))
    figures = b.node(
        Figures, 'figures', part='recon', stem=stem, labels=[],
        b0_direction=_direction(group.reference),
    )  # fmt: skip
    b.connect(reference, 'chi', figures, 'chi')
    b.connect(invert, 'qsm_mask', figures, 'qsm_mask')
    settings = _settings(group, config)
    if values:
        label, entities = atlas_label(config.atlas), group.reference.entities
        names = output_names(entities, atlas=label, cohort=atlas.cohort)
        settings['reference_labels'] = names['dseg']
    sink = b.node(
        CosmosSink, 'ds_cosmos', group=group, settings=settings,
        output_dir=str(config.output_dir), bids_dir=str(config.bids_dir),
    )  # fmt: skip
    b.connect(records, 'out', sink, 'records')
    b.connect(figures, 'index', sink, 'figures')
    b.connect(reference, 'chi', sink, 'chi')
    b.connect(invert, 'qsm_mask', sink, 'qsm_mask')
    return b.workflow


def _settings(group: CosmosGroup, config: Config) -> dict[str, Any]:
    """Return the settings up to the local field, and of COSMOS in place of the inversion.

    An inversion that starts from the total field comes before the local field, so it stays.
    """
    settings = settings_of(group.reference, config, {})
    method = config.method('cosmos')
    own = {
        'stage': 'cosmos', 'method': method.name, 'label': method.label,
        'summary': method.summary, 'parameters': config.parameters('cosmos'),
        'citation': method.citation, 'version': method.version,
    }  # fmt: skip
    stages, more = _SHARED_STAGES, {}
    inversion = config.method('inversion')
    if inversion.field == 'total':
        stages += ('inversion',)
        more['local_field_from'] = (
            f'Field of the map of {inversion.label} (from the total field), plus what '
            f'{config.method("background").label} keeps of the rest of the total field'
        )
    shared = [step for step in settings['steps'] if step['stage'] in stages]
    return {**settings, 'steps': [*shared, own], 'two_pass': False, **more}


def _direction(acquisition: Acquisition) -> list[float]:
    return [float(v) for v in acquisition.b0_direction.value]


def _merge(b: GraphBuilder, name: str, n: int) -> Node:
    node = Node(Merge(n), name=name, run_without_submitting=True)
    b.workflow.add_nodes([node])
    return node


def failures_of(
    group: CosmosGroup, failures: Sequence[tuple[str, Failure]], config: Config | None = None
) -> list[Failure]:
    """Return what kept a group from its map: own steps, or those of a scan that it needs.

    Without the latter, a map of an earlier run would pass for one of this run.

    Parameters
    ----------
    group : CosmosGroup
    failures : sequence of (str, Failure)
        Key of the acquisition or group and what failed.
    config : Config, optional
        Tells which steps the group depends on. Without it, a step counts that may be one:
        rather a map too few than one of an earlier run.
    """
    failed = {key for key, _ in failures}
    needed = {
        a.key: _needed_steps(a, a is group.reference, config)
        for a in group.acquisitions
        if a.key in failed
    }
    return [
        failure
        for key, failure in failures
        if key == group.key or failure.node.split('.')[-1] in needed.get(key, ())
    ]


def _needed_steps(acquisition: Acquisition, is_reference: bool, config: Config | None) -> set[str]:
    """Return the steps of a scan without which there is no COSMOS map: the graph's ancestors."""
    wanted = {source.split('.')[0] for source in _SOURCES.values()}
    if is_reference and (config is None or config.reference not in _WITHOUT_LABELS):
        wanted.add(_LABELS.split('.')[0])
    if config is None:
        return wanted | {'atlas_mask', 'inversion'} | ({'register'} if is_reference else set())
    atlas = None if config.recon_only else _ANY_ATLAS
    workflow = init_acquisition_wf(acquisition, config, atlas)
    flat = workflow._create_flat_graph()
    last = [node for node in flat.nodes if node.name in wanted]
    return {node.name for node in last}.union(
        *({above.name for above in nx.ancestors(flat, node)} for node in last)
    )
