"""The graph of a COSMOS group.

A group takes from the graphs of its acquisitions what they have computed anyway: magnitude and
brain mask for the registration; local field, its mask and its noise for the inversion. Nothing
flows back, so a failing COSMOS leaves the maps of the single orientations alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nipype import Node, Workflow
from nipype.interfaces.utility import Merge

from qsmbids import __version__
from qsmbids.config import Config
from qsmbids.execution.failures import Failure
from qsmbids.interfaces.cosmos import AlignOrientation, CosmosInversion
from qsmbids.interfaces.cosmos_sink import CosmosSink
from qsmbids.interfaces.figures import Figures
from qsmbids.interfaces.susceptibility import Reference
from qsmbids.plan.cosmos import CosmosGroup
from qsmbids.plan.models import Acquisition
from qsmbids.workflows.acquisition import GraphBuilder, workflow_name
from qsmbids.workflows.atlas import AtlasChoice
from qsmbids.workflows.settings import settings_of

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
_SHARED_STAGES = ('mask', 'offset', 'bipolar', 'unwrapping', 'fieldmap', 'background')
_ALIGN_BYTES = 120  # per voxel: indices of the nearest voxel, spline coefficients, images
_REGISTRATION_BYTES = 60  # per voxel, at the resolution of the scan or coarser
# per voxel and orientation: field as read and in ppm, weight and mask; and what the method
# holds of each, whose own entry in the catalogue cannot know their number
_SCAN_BYTES = 13 + 12


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
            run.connect(reference, 'warp_atlas.dseg', cosmos, 'reference.dseg')
    return {workflow_name(group.key): group.key for group in groups}


def init_cosmos_wf(group: CosmosGroup, config: Config, atlas: AtlasChoice | None) -> Workflow:
    """Return the workflow of one group; :func:`add_cosmos` connects its inputs.

    Nodes: one ``align_N`` for every scan but the reference, ``invert``, ``reference``,
    ``figures`` and ``ds_cosmos``.
    """
    b = GraphBuilder(group, config)
    n, method = len(group.acquisitions), config.method('cosmos')
    invert = b.node(
        CosmosInversion, 'invert', [('cosmos', method.name)],
        bytes_per_voxel=n * _SCAN_BYTES, n_threads=config.omp_nthreads, method=method.name,
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
            AlignOrientation, f'align_{number}',
            bytes_per_voxel=_ALIGN_BYTES + _REGISTRATION_BYTES, seed=config.random_seed,
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
        Figures, 'figures', bytes_per_voxel=60, part='recon', stem=stem, labels=[],
        b0_direction=_direction(group.reference),
    )  # fmt: skip
    b.connect(reference, 'chi', figures, 'chi')
    b.connect(invert, 'qsm_mask', figures, 'qsm_mask')
    sink = b.node(
        CosmosSink, 'ds_cosmos', bytes_per_voxel=8, group=group,
        settings=_settings(group, config), output_dir=str(config.output_dir),
        bids_dir=str(config.bids_dir),
    )  # fmt: skip
    b.connect(records, 'out', sink, 'records')
    b.connect(figures, 'index', sink, 'figures')
    b.connect(reference, 'chi', sink, 'chi')
    b.connect(invert, 'qsm_mask', sink, 'qsm_mask')
    return b.workflow


def _settings(group: CosmosGroup, config: Config) -> dict[str, Any]:
    """Return the settings up to the local field, and of COSMOS in place of the inversion."""
    settings = settings_of(group.reference, config, {})
    method = config.method('cosmos')
    own = {
        'stage': 'cosmos', 'method': method.name, 'label': method.label,
        'summary': method.summary, 'parameters': config.parameters('cosmos'),
        'citation': method.citation, 'version': method.version,
    }  # fmt: skip
    shared = [step for step in settings['steps'] if step['stage'] in _SHARED_STAGES]
    return {**settings, 'steps': [*shared, own]}


def _direction(acquisition: Acquisition) -> list[float]:
    return [float(v) for v in acquisition.b0_direction.value]


def _merge(b: GraphBuilder, name: str, n: int) -> Node:
    node = Node(Merge(n), name=name, run_without_submitting=True)
    b.workflow.add_nodes([node])
    return node


def failures_of(group: CosmosGroup, failures: Sequence[tuple[str, Failure]]) -> list[Failure]:
    """Return what kept a group from its map: own steps, or those of a scan that it needs.

    Without the latter, a map of an earlier run would pass for one of this run.

    Parameters
    ----------
    group : CosmosGroup
    failures : sequence of (str, Failure)
        Key of the acquisition or group and what failed.
    """
    scans = {a.key for a in group.acquisitions}
    needed = {source.split('.')[0] for source in _SOURCES.values()}
    return [
        failure
        for key, failure in failures
        if key == group.key or (key in scans and failure.node.split('.')[-1] in needed)
    ]
