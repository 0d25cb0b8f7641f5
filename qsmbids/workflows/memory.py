"""What every step of the graph costs: memory, and seconds of one processor.

This is the only place of these numbers. The graph takes the memory of its nodes from here, the
forecast of a run both, without building a graph. A step costs what the program itself holds,
plus so much for each voxel (and echo) of the scan or of the atlas, plus what the catalogue says
of the methods that it calls. ``benchmarks/resources.py`` compares all of it with real runs, and
a test does so for the default chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from qsmbids.bids.names import contrast_keys
from qsmbids.config import Config
from qsmbids.plan.models import Acquisition
from qsmbids.workflows.settings import mask_expression, mask_methods, steps_of

if TYPE_CHECKING:
    from qsmbids.plan.cosmos import CosmosGroup

# Resident memory of a worker before its images. It keeps the libraries of all steps that it has
# done (compiled loops, pictures, ANTs), so steps at the end count more of them.
RECON_GB = 0.33
ATLAS_GB = 0.45  # with ANTs, which also aligns the orientations of COSMOS
MAIN_GB = 0.12  # of the process that hands out the steps; what workers share is in theirs

BUILTIN_MEGAVOXELS = 4.89  # of QSMLifespan, 155 x 191 x 165
_FIELD_STAGES = ('offset', 'bipolar', 'unwrapping', 'fieldmap')


@dataclass(frozen=True)
class Cost:
    """What a step costs besides the methods that it calls.

    Parameters
    ----------
    gb : float
        In any case, beyond what every worker holds.
    per_voxel, per_echo, per_atlas : float
        Bytes for each voxel of the scan, for each of its echoes as well, and for each voxel
        of the atlas.
    s, s_voxel, s_echo, s_atlas : float
        Seconds in any case, and for a million voxels of each.
    """

    gb: float = 0.0
    per_voxel: float = 0.0
    per_echo: float = 0.0
    per_atlas: float = 0.0
    s: float = 0.2
    s_voxel: float = 0.0
    s_echo: float = 0.0
    s_atlas: float = 0.0


COSTS: dict[str, Cost] = {
    'load': Cost(per_voxel=40, per_echo=9, s_voxel=0.15, s_echo=0.08),
    'brain_mask': Cost(per_voxel=12, s=0.3, s_voxel=0.1),
    'relaxometry': Cost(per_voxel=2, per_echo=7, s_voxel=0.15),
    'field_map': Cost(gb=0.06, per_voxel=8, per_echo=10, s=1, s_voxel=0.2),
    'background': Cost(per_voxel=38, s_voxel=0.1),
    'inversion': Cost(per_voxel=48, s_voxel=0.1),
    'quality': Cost(gb=0.1, per_voxel=64, s_voxel=0.4),
    'reference': Cost(gb=0.1, per_voxel=25, s_voxel=0.06),
    'separation': Cost(per_voxel=34, s_voxel=0.2),
    'contrast': Cost(per_voxel=16, per_echo=8, s_voxel=0.1),
    'markings': Cost(per_voxel=90, s_voxel=1.0),
    'age_template': Cost(per_atlas=24, s=0.3, s_atlas=0.2),
    'atlas_mask': Cost(gb=0.06, per_voxel=40, per_atlas=60, s=60, s_voxel=1),
    'warp_atlas': Cost(gb=0.06, per_voxel=58, per_atlas=30, s=2, s_voxel=0.9),
    'maps_to_atlas': Cost(gb=0.06, per_voxel=36, per_atlas=52, s=2, s_voxel=0.3),
    'regions': Cost(gb=0.14, per_voxel=35, s=0.5, s_voxel=0.2),
    'figures': Cost(gb=0.12, per_voxel=30, s=1, s_voxel=0.2),
    'ds': Cost(gb=0.14, per_voxel=16, s=0.5, s_voxel=0.3),
    'align': Cost(gb=0.12, per_voxel=140, s=20, s_voxel=3),
    'invert': Cost(per_voxel=12),
}
REGISTRATION: dict[str, Cost] = {
    'fast': Cost(gb=0.06, per_voxel=45, per_atlas=55, s=30, s_voxel=2),
    'standard': Cost(gb=0.06, per_voxel=45, per_atlas=55, s=300, s_voxel=2),
    'precise': Cost(gb=0.06, per_voxel=45, per_atlas=55, s=600, s_voxel=2),
}
T1W = Cost(per_voxel=40, s=20, s_voxel=1)  # in the registration; voxels of that image
_ALIGNED_BYTES = 25  # of COSMOS, per voxel and orientation: read, and held by the method
_MARKED_BYTES = 5  # per voxel and marked image
_UNWRAPPED_BYTES = 4  # per voxel and echo, where all unwrapped echoes are kept


@dataclass(frozen=True)
class StepNeed:
    """What one step of one acquisition needs.

    Parameters
    ----------
    name : str
        Of its node.
    gb : float
        Peak memory of its worker, GB (10^9 bytes).
    seconds : float
        On one processor.
    """

    name: str
    gb: float
    seconds: float


@dataclass
class _Ledger:
    """Collects the steps of one acquisition."""

    config: Config
    megavoxels: float
    n_echoes: int
    atlas: float
    needs: dict[str, StepNeed] = field(default_factory=dict)

    def add(
        self, name: str, cost: Cost, methods: Iterable[tuple[str, str]] = (),
        more_bytes: float = 0.0, more_seconds: float = 0.0, times: float = 1.0,
    ) -> None:  # fmt: skip
        """Add a step; of its methods, which run one after the other, the largest counts."""
        used = [self.config.method(*step) for step in methods]
        voxels, echoes = self.megavoxels, self.megavoxels * self.n_echoes
        per_voxel = cost.per_voxel + more_bytes
        per_voxel += max((m.bytes_per_voxel for m in used), default=0)
        megabytes = per_voxel * voxels + cost.per_echo * echoes + cost.per_atlas * self.atlas
        seconds = cost.s + cost.s_voxel * voxels + cost.s_echo * echoes + cost.s_atlas * self.atlas
        seconds += times * voxels * sum(m.seconds_per_megavoxel for m in used) + more_seconds
        worker = ATLAS_GB if self.atlas or self.config.cosmos else RECON_GB
        gb = round(worker + cost.gb + megabytes / 1000, 2)
        self.needs[name] = StepNeed(name, gb, round(seconds, 1))


def step_needs(
    acquisition: Acquisition, config: Config, atlas_megavoxels: float
) -> dict[str, StepNeed]:
    """Return what the steps of an acquisition need, by the name of their nodes.

    Parameters
    ----------
    acquisition : Acquisition
    config : Config
    atlas_megavoxels : float
        Million voxels of the atlas; 0 for a run without its steps.
    """
    a, n_echoes = acquisition, len(acquisition.echoes)
    phase = a.phase_scaling is not None
    atlas = atlas_megavoxels if phase else 0.0
    book = _Ledger(config, float(np.prod(a.shape)) / 1e6, n_echoes, atlas)
    planned = steps_of(a, config)
    stages = dict(planned)
    book.add('load', COSTS['load'], more_bytes=_coil_bytes(a))
    masks = [('mask', name) for name in mask_methods(a, config)]
    reads_phase = any('quality' in config.method(*step).takes for step in masks)
    book.add('brain_mask', COSTS['brain_mask'], masks, more_bytes=8 * n_echoes * reads_phase)
    if 'relaxometry' in stages:
        book.add('relaxometry', COSTS['relaxometry'], [('relaxometry', stages['relaxometry'])])
    if phase:
        kept = 'clear-swi' in config.contrasts
        book.add(
            'field_map', COSTS['field_map'], [s for s in planned if s[0] in _FIELD_STAGES],
            more_bytes=_UNWRAPPED_BYTES * n_echoes * kept,
        )  # fmt: skip
        for stage in ('background', 'inversion'):
            twice = stage == 'inversion' and config.two_pass
            book.add(stage, COSTS[stage], [(stage, stages[stage])], times=1 + twice)
        for name in ('quality', 'reference'):
            book.add(name, COSTS[name])
        _add_extras(book, a, stages)
    if atlas:
        _add_atlas(book, a)
    for part in ('recon', *(['atlas'] if atlas else [])):
        book.add(f'figures_{part}', COSTS['figures'])
        book.add(f'ds_{part}', COSTS['ds'])
    return book.needs


def _add_extras(book: _Ledger, acquisition: Acquisition, stages: Mapping[str, str]) -> None:
    config, masks = book.config, acquisition.region_masks
    if 'separation' in stages:
        book.add('separation', COSTS['separation'], [('separation', stages['separation'])])
    for name in config.contrasts:
        book.add(f'contrast_{contrast_keys(name)[0]}', COSTS['contrast'], [('contrast', name)])
    if 'separation' in stages or config.contrasts:
        book.add('ds_extras', COSTS['ds'])
    if masks:
        book.add('markings', COSTS['markings'], more_bytes=_MARKED_BYTES * len(masks))
        book.add('ds_markings', COSTS['ds'])


def _add_atlas(book: _Ledger, acquisition: Acquisition) -> None:
    config = book.config
    if 'atlas' in mask_expression(acquisition, config):
        book.add('atlas_mask', COSTS['atlas_mask'], [('mask', 'bet')])
    more_bytes = more_seconds = 0.0
    if acquisition.t1w:
        voxels = image_megavoxels(acquisition.t1w)
        more_bytes = T1W.per_voxel * voxels / book.megavoxels
        more_seconds = T1W.s + T1W.s_voxel * voxels
    book.add('register', REGISTRATION[config.registration], (), more_bytes, more_seconds)
    for name in ('age_template', 'warp_atlas', 'maps_to_atlas', 'regions'):
        book.add(name, COSTS[name])


def cosmos_needs(group: CosmosGroup, config: Config) -> dict[str, StepNeed]:
    """Return what the steps of a COSMOS group need, by the name of their nodes."""
    n = len(group.acquisitions)
    book = _Ledger(config, float(np.prod(group.shape)) / 1e6, 1, 0.0)
    for number in range(2, n + 1):
        book.add(f'align_{number}', COSTS['align'])
    method = ('cosmos', config.method('cosmos').name)
    book.add('invert', COSTS['invert'], [method], more_bytes=n * _ALIGNED_BYTES)
    book.add('reference', COSTS['reference'])
    book.add('figures', COSTS['figures'])
    book.add('ds_cosmos', COSTS['ds'])
    return book.needs


def atlas_megavoxels(files: Mapping[str, str]) -> float:
    """Return the million voxels of an atlas, from the files of one of its cohorts."""
    return image_megavoxels(files['chi']) if 'chi' in files else BUILTIN_MEGAVOXELS


@lru_cache(maxsize=4096)
def image_megavoxels(path: str) -> float:
    """Return the million voxels of an image, from its header; 0 if it cannot be read."""
    import nibabel as nib

    try:
        return float(np.prod(nib.load(path).shape[:3])) / 1e6
    except (OSError, EOFError, nib.filebasedimages.ImageFileError):
        return 0.0  # whoever uses it says so


def _coil_bytes(acquisition: Acquisition) -> float:
    """Return the bytes per voxel that combining coils takes: one echo, or one coil, at a time."""
    n_coils, n_echoes = acquisition.n_coils, len(acquisition.echoes)
    return 24 * n_coils + 16 * n_echoes + 60 if n_coils > 1 else 0
