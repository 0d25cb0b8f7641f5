"""The graph of one acquisition: about a dozen nodes, one per reconstruction step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from nipype import Node, Workflow
from nipype.interfaces.utility import Merge

from qsmbids import __version__
from qsmbids.config import Config
from qsmbids.interfaces.base import Step
from qsmbids.interfaces.field import FieldMap
from qsmbids.interfaces.figures import Figures
from qsmbids.interfaces.load import LoadGre
from qsmbids.interfaces.mask import BrainMask
from qsmbids.interfaces.quality import Quality
from qsmbids.interfaces.relaxometry import Relaxometry
from qsmbids.interfaces.sink import Sink
from qsmbids.interfaces.susceptibility import BackgroundRemoval, DipoleInversion, Reference
from qsmbids.plan.models import Acquisition
from qsmbids.workflows.atlas import add_regions, add_registration
from qsmbids.workflows.atlas_choice import AtlasChoice
from qsmbids.workflows.atlas_mask import add_atlas_mask
from qsmbids.workflows.extras import add_contrasts, add_separation
from qsmbids.workflows.lesions import PART as MARKINGS
from qsmbids.workflows.lesions import add_markings
from qsmbids.workflows.memory import StepNeed, atlas_megavoxels, step_needs
from qsmbids.workflows.outcome import promised_names
from qsmbids.workflows.settings import (
    mask_expression,
    mask_methods,
    settings_of,
    steps_of,
)
from qsmbids.workflows.workflow_names import workflow_name


class GraphBuilder:
    """Make the nodes of one acquisition, all with version, threads and memory estimate.

    Parameters
    ----------
    acquisition : Acquisition
        What was found.
    config : Config
        What was asked for.
    needs : mapping of str to StepNeed
        What the steps need, by the name of their nodes.
    """

    def __init__(self, acquisition: Acquisition, config: Config, needs: Mapping[str, StepNeed]):
        self.acquisition = acquisition
        self.config = config
        self.workflow = Workflow(name=workflow_name(acquisition.key))
        self._needs = needs

    def node(
        self, interface: type[Step], name: str, steps: Sequence[tuple[str, str]] = (),
        n_threads: int = 1, **inputs: Any,
    ) -> Node:  # fmt: skip
        """Make a node.

        Parameters
        ----------
        steps : sequence of (stage, method)
            What it calls, one after the other: their versions belong to the cache.
        """
        version = ' '.join([__version__, *(self.config.code_version(*step) for step in steps)])
        step = interface(code_version=version, threads=n_threads, **inputs)
        need = self._needs[name]
        node = Node(step, name=name, mem_gb=need.gb, n_procs=n_threads)
        node.qsmbids_seconds = need.seconds  # the plugin starts long chains of steps first
        self.workflow.add_nodes([node])
        return node

    def connect(self, *args: Any) -> None:
        """Connect two nodes."""
        self.workflow.connect(*args)


def init_acquisition_wf(
    acquisition: Acquisition, config: Config, atlas: AtlasChoice | None
) -> Workflow:
    """Return the workflow of one acquisition.

    Parameters
    ----------
    acquisition : Acquisition
        A usable acquisition of the plan.
    config : Config
        Settings of the run.
    atlas : AtlasChoice or None
        The cohort for its age; None leaves the atlas steps out.
    """
    grid = atlas_megavoxels(atlas.files) if atlas else 0.0
    b = GraphBuilder(acquisition, config, step_needs(acquisition, config, grid))
    threads = config.omp_nthreads
    times = list(acquisition.echo_times_s)
    scaling = acquisition.phase_scaling
    planned = steps_of(acquisition, config)
    direction = [float(v) for v in acquisition.b0_direction.value]
    load = b.node(
        LoadGre, 'load', n_coils=acquisition.n_coils, echo_times_s=times,
        echoes=[asdict(echo) for echo in acquisition.echoes],
        affine=[list(map(float, row)) for row in acquisition.affine],
        scaling={} if scaling is None else asdict(scaling),
        sources=[f for echo in acquisition.echoes for f in echo.files],
    )  # fmt: skip
    *before_mask, mask = _add_mask(b, load, times, atlas)
    nodes: dict[str, tuple[Node, str]] = {
        'rss': (load, 'rss'),
        'brain_mask': (mask, 'brain_mask'),
    }
    steps = [load, *before_mask, mask]
    if 'relaxometry' in dict(planned):
        relax = b.node(
            Relaxometry, 'relaxometry', [('relaxometry', config.methods['relaxometry'])],
            method=config.methods['relaxometry'], parameters=config.parameters('relaxometry'),
            echo_times_s=times,
        )  # fmt: skip
        b.connect(load, 'magnitude', relax, 'magnitude')
        b.connect(mask, 'brain_mask', relax, 'mask')
        nodes |= {key: (relax, key) for key in ('r2star', 't2star', 's0')}
        steps.append(relax)
    if scaling is not None:
        _add_susceptibility(b, nodes, steps, times, direction, threads)
    parts = [('recon', steps)]
    if scaling is not None:
        atlas_steps = add_registration(b, atlas, nodes) if atlas else []
        reference = _add_reference(b, nodes, atlas)
        steps.append(reference)
        extras = add_separation(b, nodes, direction, threads)
        extras += add_contrasts(b, nodes, times, direction)
        if extras:
            parts.append(('extras', [reference, *extras]))
        if atlas:
            parts.append(('atlas', [reference, *atlas_steps, *add_regions(b, atlas, nodes)]))
        markings = add_markings(b, atlas, nodes)
        if markings:
            parts.append((MARKINGS, [reference, *markings]))
    settings = settings_of(acquisition, config, dict(atlas.facts) if atlas else {})
    for part, made_by in parts:
        _add_sink(b, nodes, part, made_by, settings, atlas)
    return b.workflow


def _add_mask(b: GraphBuilder, load: Node, times: list, atlas: AtlasChoice | None) -> list[Node]:
    """Add the brain mask, the last of the nodes returned, with what its expression needs."""
    acquisition, config = b.acquisition, b.config
    names = mask_methods(acquisition, config)
    with_phase = any('quality' in config.method('mask', n).takes for n in names)
    mask = b.node(
        BrainMask, 'brain_mask', [('mask', n) for n in names],
        expression=mask_expression(acquisition, config),
        parameters={n: config.parameters('mask', n) for n in names},
        **({'given_mask': acquisition.brain_mask} if acquisition.brain_mask else {}),
        echo_times_s=times,
    )  # fmt: skip
    b.connect(load, 'rss', mask, 'rss')
    if with_phase and acquisition.phase_scaling is not None:
        for key in ('magnitude', 'phase'):
            b.connect(load, key, mask, key)
    return [*add_atlas_mask(b, load, mask, atlas), mask]


def _add_susceptibility(
    b: GraphBuilder, nodes: dict, steps: list, times: list, direction: list, threads: int
) -> None:
    """Add phase to susceptibility: field map, background, inversion, quality."""
    acquisition, config = b.acquisition, b.config
    load, mask = nodes['rss'][0], nodes['brain_mask'][0]
    stages = ('offset', 'bipolar', 'unwrapping', 'fieldmap')
    called = [step for step in steps_of(acquisition, config) if step[0] in stages]
    field = b.node(
        FieldMap, 'field_map', called, n_threads=threads, echo_times_s=times,
        b0_direction=direction,
        methods={stage: [name, config.parameters(stage)] for stage, name in called},
        keep_unwrapped='clear-swi' in config.contrasts,
    )  # fmt: skip
    for key in ('magnitude', 'phase'):
        b.connect(load, key, field, key)
    b.connect(mask, 'brain_mask', field, 'brain_mask')
    nodes |= {
        'magnitude': (load, 'magnitude'), 'phase': (load, 'phase'),
        'phase_first': (load, 'phase_first'), 'phase_last': (load, 'phase_last'),
        'unwrapped': (field, 'unwrapped'), 'unwrapped_last': (field, 'unwrapped_last'),
        'total_field': (field, 'total_field'), 'field_noise': (field, 'field_noise'),
        'fmap_magnitude': (load, 'rss'),
    }  # fmt: skip
    steps.append(field)
    method = config.method('inversion')
    inversion = b.node(
        DipoleInversion, 'inversion', [('inversion', method.name)], n_threads=threads,
        method=method.name, parameters=config.parameters('inversion'),
        imaging_frequency_mhz=float(acquisition.imaging_frequency_mhz.value),
        b0_direction=direction, two_pass=config.two_pass,
    )  # fmt: skip
    background = b.node(
        BackgroundRemoval, 'background', [('background', config.methods['background'])],
        n_threads=threads, method=config.methods['background'],
        parameters=config.parameters('background'), b0_direction=direction,
        imaging_frequency_mhz=float(acquisition.imaging_frequency_mhz.value),
    )  # fmt: skip
    b.connect(field, 'total_field', background, 'total_field')
    b.connect(field, 'field_noise', background, 'field_noise')
    b.connect(field, 'reliable_mask', background, 'mask')
    if method.field == 'local':
        b.connect(background, 'local_field', inversion, 'field')
        b.connect(background, 'qsm_mask', inversion, 'mask')
        steps += [background, inversion]
    else:
        b.connect(field, 'total_field', inversion, 'field')
        b.connect(field, 'reliable_mask', inversion, 'mask')
        b.connect(inversion, 'chi', background, 'chi')
        steps += [inversion, background]
    b.connect(field, 'field_noise', inversion, 'field_noise')
    b.connect(field, 'phase_quality', inversion, 'phase_quality')
    for argument, key in (('magnitude', 'rss'), ('r2star', 'r2star')):
        if argument in method.takes and key in nodes:
            b.connect(*nodes[key], inversion, argument)
    nodes |= {
        'chi_raw': (inversion, 'chi'), 'qsm_mask': (inversion, 'qsm_mask'),
        'local_field': (background, 'local_field'), 'local_mask': (background, 'qsm_mask'),
    }  # fmt: skip
    quality = b.node(Quality, 'quality', b0_direction=direction)
    for key in (
        'unwrapped_last', 'local_field', 'local_mask', 'field_noise', 'brain_mask', 'qsm_mask',
        'r2star',
    ):  # fmt: skip
        if key in nodes:
            b.connect(*nodes[key], quality, key)
    b.connect(inversion, 'chi', quality, 'chi')
    steps.append(quality)


def _add_reference(b: GraphBuilder, nodes: dict, atlas: AtlasChoice | None) -> Node:
    """Add referencing; a region of the atlas needs its labels first."""
    region = b.config.reference
    values = list(atlas.reference_values) if atlas else []
    reference = b.node(Reference, 'reference', region=region, values=values)
    b.connect(*nodes['chi_raw'], reference, 'chi')
    b.connect(*nodes['qsm_mask'], reference, 'mask')
    if values:
        b.connect(*nodes['dseg'], reference, 'dseg')
    if region == 'csf-r2star' and 'r2star' in nodes:
        b.connect(*nodes['r2star'], reference, 'r2star')
    nodes['chi'] = (reference, 'chi')
    return reference


def _add_sink(
    b: GraphBuilder, nodes: dict, part: str, steps: list, settings: dict, atlas: AtlasChoice | None
) -> None:
    """Add figures and sink of one half: the reconstruction is written even if the atlas fails."""
    acquisition, config = b.acquisition, b.config
    names = promised_names(acquisition, config, atlas.cohort if atlas else '', part)
    merge = Node(Merge(len(steps)), name=f'records_{part}', run_without_submitting=True)
    for n, node in enumerate(steps, start=1):
        b.connect(node, 'record', merge, f'in{n}')
    sink = b.node(
        Sink, f'ds_{part}', part=part, names=names, settings=settings,
        output_dir=str(config.output_dir), bids_dir=str(config.bids_dir),
        acquisition=acquisition, atlas=dict(atlas.facts) if atlas else {},
    )  # fmt: skip
    b.connect(merge, 'out', sink, 'records')
    if part in Figures.PARTS:
        figures = _add_figures(b, nodes, part, atlas)
        b.connect(figures, 'index', sink, 'figures')
    if part == MARKINGS:
        b.connect(*nodes['tables'], sink, 'tables')
        return
    for key in names:
        b.connect(*nodes[key], sink, key)


def _add_figures(b: GraphBuilder, nodes: dict, part: str, atlas: AtlasChoice | None) -> Node:
    """Add the pictures of one part."""
    acquisition = b.acquisition
    figures = b.node(
        Figures, f'figures_{part}', part=part, stem=acquisition.key,
        b0_direction=list(map(float, acquisition.b0_direction.value)),
        labels=[dict(row) for row in atlas.labels] if part == 'atlas' else [],
    )  # fmt: skip
    for key in Figures.wanted(part):
        if key in nodes:
            b.connect(*nodes[key], figures, key)
    return figures


def init_run_wf(workflows: Sequence[Workflow], base_dir: str) -> Workflow:
    """Return one workflow that holds those of several acquisitions."""
    major, minor = __version__.split('.')[:2]
    run = Workflow(name=f'qsmbids_{major}_{minor}_wf', base_dir=base_dir)
    run.add_nodes(list(workflows))
    return run
