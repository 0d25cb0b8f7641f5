"""The nodes that bring the atlas to a scan and measure its regions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qsmbids.atlas.blend import VERSION as BLEND_VERSION
from qsmbids.atlas.regions import VERSION as REGIONS_VERSION
from qsmbids.atlas.register import VERSION as REGISTER_VERSION
from qsmbids.interfaces.age_template import AgeTemplate
from qsmbids.interfaces.atlas import MapsToAtlas, Register, WarpAtlas
from qsmbids.interfaces.regions import Regions
from qsmbids.workflows.atlas_choice import AtlasChoice

if TYPE_CHECKING:
    from nipype import Node

    from qsmbids.workflows.acquisition import GraphBuilder


def add_registration(b: GraphBuilder, atlas: AtlasChoice, nodes: dict) -> list[Node]:
    """Add registration and the warped labels; they need no reference yet."""
    config = b.config
    mixed = _add_age_template(b, atlas)
    nodes['template'] = (mixed, 'template') if mixed else None
    register = b.node(
        Register, 'register', t1w=b.acquisition.t1w, preset=config.registration,
        seed=config.random_seed,
    )  # fmt: skip
    register.inputs.code_version += f' register-{REGISTER_VERSION}'
    for trait, key in (
        ('magnitude', 'rss'), ('chi', 'chi_raw'), ('brain_mask', 'brain_mask'),
        ('qsm_mask', 'qsm_mask'),
    ):  # fmt: skip
        b.connect(*nodes[key], register, trait)
    warp = b.node(WarpAtlas, 'warp_atlas')
    for node in (register, warp):
        _give_template(b, atlas, nodes, node)
    b.connect(register, 'xfm_inverse', warp, 'xfm_inverse')
    b.connect(*nodes['rss'], warp, 'reference')
    b.connect(*nodes['brain_mask'], warp, 'brain_mask')
    nodes |= {
        'xfm_forward': (register, 'xfm_forward'), 'xfm_inverse': (register, 'xfm_inverse'),
        'dseg': (warp, 'dseg'), 'template_chi': (warp, 'template_chi'),
    }  # fmt: skip
    return [*([mixed] if mixed else []), register, warp]


def _add_age_template(b: GraphBuilder, atlas: AtlasChoice) -> Node | None:
    """Add the mixing of two cohorts, if the template is mixed."""
    if not atlas.mix:
        return None
    node = b.node(
        AgeTemplate, 'age_template', own=dict(atlas.files),
        templates=[dict(files) for files, _ in atlas.mix],
        weights=[float(weight) for _, weight in atlas.mix],
    )  # fmt: skip
    node.inputs.code_version += f' {BLEND_VERSION} {atlas.stamp}'
    return node


def _give_template(b: GraphBuilder, atlas: AtlasChoice, nodes: dict, node: Node) -> None:
    """Give a node the files of the template; a change of their content makes it run again."""
    if nodes['template']:
        b.connect(*nodes['template'], node, 'template')
    else:
        node.inputs.template = dict(atlas.files)
    node.inputs.code_version += f' {BLEND_VERSION} {atlas.stamp}'


def add_regions(b: GraphBuilder, atlas: AtlasChoice, nodes: dict) -> list[Node]:
    """Add the tables and the maps in atlas space, from the referenced map."""
    regions = b.node(
        Regions, 'regions', labels=[dict(row) for row in atlas.labels],
        region=b.config.reference, **_about_the_person(b, atlas),
    )  # fmt: skip
    regions.inputs.code_version += f' regions-{REGIONS_VERSION}'
    normalise = b.node(MapsToAtlas, 'maps_to_atlas')
    _give_template(b, atlas, nodes, normalise)
    b.connect(*nodes['xfm_forward'], normalise, 'xfm_forward')
    for key in ('chi', 'rss', 'r2star'):
        if key in nodes:
            b.connect(*nodes[key], normalise, key)
            nodes[f'norm_{key}'] = (normalise, f'norm_{key}')
    for key in ('chi', 'dseg', 'qsm_mask', 'brain_mask', 'field_noise', 'r2star'):
        if key in nodes:
            b.connect(*nodes[key], regions, key)
    b.connect(nodes['chi'][0], 'value', regions, 'reference_value')
    nodes['regions_chi'] = (regions, 'regions_chi')
    if 'r2star' in nodes:
        nodes['regions_r2star'] = (regions, 'regions_r2star')
    return [regions, normalise]


def _about_the_person(b: GraphBuilder, atlas: AtlasChoice) -> dict[str, Any]:
    """Return what uncertainties and thresholds of the region table need beyond images."""
    acquisition = b.acquisition
    age = acquisition.age_years
    known = {} if age is None or age.value is None else {'age': float(age.value)}
    return {
        'hz_per_ppm': float(acquisition.imaging_frequency_mhz.value),
        'b0_direction': [float(v) for v in acquisition.b0_direction.value],
        'curve_offset_ppm': float(atlas.facts.get('curve_offset_ppm', 0.0)),
        **known,
    }
