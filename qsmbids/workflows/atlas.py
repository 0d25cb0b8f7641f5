"""Which cohort of the atlas an acquisition gets, and the nodes that use it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbids.atlas.builtin import NAME as BUILTIN
from qsmbids.atlas.builtin import write_builtin
from qsmbids.atlas.cohorts import Cohort, pick_cohort
from qsmbids.atlas.dataset import Atlas, AtlasFiles, open_atlas
from qsmbids.atlas.images import read_image
from qsmbids.bids.dataset import write_atlas_description
from qsmbids.config import REFERENCES, REFERENCES_WITHOUT_ATLAS, Config
from qsmbids.interfaces.atlas import MapsToAtlas, Register, WarpAtlas
from qsmbids.interfaces.regions import Regions
from qsmbids.plan.models import Acquisition

if TYPE_CHECKING:
    from nipype import Node

    from qsmbids.workflows.acquisition import GraphBuilder

CSF_REGION = 'LateralVentricle'


@dataclass(frozen=True)
class AtlasChoice:
    """The cohort that one acquisition is compared with.

    Parameters
    ----------
    name, cohort : str
        Labels of atlas and cohort.
    files : mapping
        Kind of image to its path.
    labels : sequence of mapping
        The label table.
    facts : mapping
        What sidecars and report say of the choice.
    reference_values : sequence of int
        Labels of the reference region; none for the whole brain.
    """

    name: str
    cohort: str
    files: Mapping[str, str]
    labels: Sequence[Mapping[str, Any]]
    facts: Mapping[str, Any]
    reference_values: Sequence[int] = ()


def choose_atlas(acquisitions: Sequence[Acquisition], config: Config) -> dict[str, AtlasChoice]:
    """Return the cohort of each acquisition that has a susceptibility map, by key.

    The built-in atlas is written into the work folder, the needed cohorts only. Nothing is
    chosen with ``recon_only``.

    Raises
    ------
    ValueError
        If the atlas is broken, an age is not covered under ``strict_age``, or the reference
        region is not in the atlas.
    """
    wanted = [a for a in acquisitions if a.phase_scaling is not None]
    if config.recon_only or not wanted:
        _check_reference(config, None)
        return {}
    atlas = _open(config)
    _check_reference(config, atlas)
    cohorts = {a.key: _cohort(a, atlas, config) for a in wanted}
    if atlas.name == BUILTIN:
        write_builtin(_builtin_root(config), sorted({c.label for c, _ in cohorts.values()}))
    labels = [asdict(label) for label in atlas.labels]
    description = {
        'Name': atlas.name,
        'License': atlas.description.get('License', 'unknown'),
        'BIDSVersion': '1.11.1',
    }
    write_atlas_description(config.output_dir, atlas.name, labels, description)
    files = {c.label: atlas.files(c.label) for c, _ in cohorts.values()}
    offsets = {label: _curve_offset(found, atlas, config) for label, found in files.items()}
    return {
        key: AtlasChoice(
            atlas.name,
            cohort.label,
            {k: str(v) for k, v in asdict(files[cohort.label]).items() if v},
            labels,
            {
                'name': atlas.name,
                'cohort': cohort.label,
                'cohort_name': cohort.name,
                'age_range': [cohort.age_min, cohort.age_max],
                'note': note,
                'builtin': atlas.name == BUILTIN,
                'curve_offset_ppm': offsets[cohort.label],
            },
            _label_values(atlas, config.reference),
        )
        for key, (cohort, note) in cohorts.items()
    }


def _builtin_root(config: Config) -> Path:
    return config.work_dir / 'atlases'


def _open(config: Config) -> Atlas:
    if config.atlas == BUILTIN:
        return open_atlas(write_builtin(_builtin_root(config), []))
    return open_atlas(Path(config.atlas))


def _cohort(acquisition: Acquisition, atlas: Atlas, config: Config) -> tuple[Cohort, str]:
    if config.cohort:
        found = {cohort.label: cohort for cohort in atlas.cohorts}
        if config.cohort not in found:
            raise ValueError(
                f'The atlas {atlas.name} has no cohort {config.cohort}.\n'
                f'It has: {", ".join(found)}.\nCorrect --cohort, or leave it out.'
            )
        return found[config.cohort], 'cohort given on the command line'
    age = acquisition.age_years
    return pick_cohort(
        atlas.cohorts, None if age is None else float(age.value), strict=config.strict_age
    )


def _curve_offset(files: AtlasFiles, atlas: Atlas, config: Config) -> float:
    """Return what brings the age curves, whose zero is CSF, to the reference of the maps."""
    sidecar = files.chi.with_name(files.chi.name.split('.')[0] + '.json')
    try:
        content = json.loads(sidecar.read_text(encoding='utf-8'))
        offset = -float(content.get('SusceptibilityReferenceValue', 0.0))
    except (OSError, ValueError, TypeError, AttributeError):
        offset = 0.0  # an atlas that does not say
    values = _label_values(atlas, 'csf' if config.reference == 'csf-r2star' else config.reference)
    if values:
        inside = np.isin(read_image(files.dseg)[0], values)
        offset -= float(read_image(files.chi)[0][inside].mean(dtype=float))
    return offset


def _label_values(atlas: Atlas, region: str) -> list[int]:
    """Return the labels of a reference region; none for the whole brain."""
    wanted = CSF_REGION if region == 'csf' else region
    return [label.index for label in atlas.labels if wanted in (label.name, label.region)]


def _check_reference(config: Config, atlas: Atlas | None) -> None:
    region = config.reference
    if region in REFERENCES_WITHOUT_ATLAS:
        return
    if atlas is None:
        raise ValueError(
            f'--reference-region {region} needs the regions of an atlas.\n'
            'With --recon-only there are none.\n'
            'Use whole-brain, csf-r2star or none, or leave --recon-only out.'
        )
    known = {name for label in atlas.labels for name in (label.name, label.region)}
    if (CSF_REGION if region == 'csf' else region) not in known:
        raise ValueError(
            f'--reference-region {region} is no region of the atlas {atlas.name}.\n'
            'Susceptibility can only be referenced to a region that is measured.\n'
            f'Choose from: {", ".join([*REFERENCES, *sorted(known)])}.'
        )


def add_registration(b: GraphBuilder, atlas: AtlasChoice, nodes: dict) -> list[Node]:
    """Add registration and the warped labels; they need no reference yet."""
    config = b.config
    register = b.node(
        Register, 'register', bytes_per_voxel=b.registration_bytes,
        t1w=b.acquisition.t1w, template=dict(atlas.files), preset=config.registration,
        seed=config.random_seed,
    )  # fmt: skip
    for trait, key in (
        ('magnitude', 'rss'), ('chi', 'chi_raw'), ('brain_mask', 'brain_mask'),
        ('qsm_mask', 'qsm_mask'),
    ):  # fmt: skip
        b.connect(*nodes[key], register, trait)
    warp = b.node(WarpAtlas, 'warp_atlas', bytes_per_voxel=60, template=dict(atlas.files))
    b.connect(register, 'xfm_inverse', warp, 'xfm_inverse')
    b.connect(*nodes['rss'], warp, 'reference')
    b.connect(*nodes['brain_mask'], warp, 'brain_mask')
    nodes |= {
        'xfm_forward': (register, 'xfm_forward'), 'xfm_inverse': (register, 'xfm_inverse'),
        'dseg': (warp, 'dseg'), 'template_chi': (warp, 'template_chi'),
    }  # fmt: skip
    return [register, warp]


def add_regions(b: GraphBuilder, atlas: AtlasChoice, nodes: dict) -> list[Node]:
    """Add the tables and the maps in atlas space, from the referenced map."""
    regions = b.node(
        Regions, 'regions', bytes_per_voxel=60, labels=[dict(row) for row in atlas.labels],
        region=b.config.reference,
    )  # fmt: skip
    normalise = b.node(
        MapsToAtlas, 'maps_to_atlas', bytes_per_voxel=60, template=dict(atlas.files)
    )
    b.connect(*nodes['xfm_forward'], normalise, 'xfm_forward')
    for key in ('chi', 'rss', 'r2star'):
        if key in nodes:
            b.connect(*nodes[key], normalise, key)
            nodes[f'norm_{key}'] = (normalise, f'norm_{key}')
    for key in ('chi', 'dseg', 'qsm_mask', 'brain_mask', 'r2star'):
        if key in nodes:
            b.connect(*nodes[key], regions, key)
    nodes['regions_chi'] = (regions, 'regions_chi')
    if 'r2star' in nodes:
        nodes['regions_r2star'] = (regions, 'regions_r2star')
    return [regions, normalise]
