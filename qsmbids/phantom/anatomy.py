"""A subject's head on the fine grid: what is where, and its magnetic properties at an age.

The template head is pulled through the subject's warp onto the grid; the brain in it is
filled with tissue and the regions of the atlas, and veins are drawn on top.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qsmbids.atlas.geometry import load_regions
from qsmbids.lifespan.prior import chi_at_age
from qsmbids.phantom import tissues
from qsmbids.phantom.brain import BrainTissue, random_texture
from qsmbids.phantom.head import template_head
from qsmbids.phantom.label_anatomy import LabelAnatomy, builtin_anatomy
from qsmbids.phantom.lesions import LESIONS
from qsmbids.phantom.parameters import PhantomParameters
from qsmbids.phantom.pose import PosedWarp, pose
from qsmbids.phantom.sampling import nearest
from qsmbids.phantom.tissues import Tissue
from qsmbids.phantom.veins import vein_fraction, veins
from qsmbids.phantom.warp import Warp, random_warp, with_greatest_displacement

_MAPS = ('chi_ppm', 'r2star', 'proton_density', 't1_s')  # fields of TissueProperties
_SLAB = 24  # fine planes at a time: bounds the memory of the coordinates


@dataclass(frozen=True, eq=False)
class Anatomy:
    """The head on the fine grid. All arrays are (nx, ny, nz).

    Proton density, T1 and R2* are stored in half precision: three digits are plenty and the
    fine grid is large.
    """

    age: float
    codes: np.ndarray  # int8, Tissue
    brain: np.ndarray  # bool, with the veins in it
    labels: np.ndarray  # int16, index of the region or 0
    chi_ppm: np.ndarray  # float32, relative to cerebrospinal fluid
    r2star: np.ndarray  # float16, 1/s
    proton_density: np.ndarray  # float16
    t1_s: np.ndarray  # float16
    lesions: np.ndarray  # int8, code of ``lesions.Lesion`` or 0
    warp: Warp | PosedWarp
    regions: LabelAnatomy  # what the labels mean


def draw_anatomy(
    age: float,
    parameters: PhantomParameters,
    rng: np.random.Generator,
    regions: LabelAnatomy | None = None,
) -> Anatomy:
    """Draw a subject.

    Parameters
    ----------
    age : float, years
    parameters : PhantomParameters
    rng : numpy.random.Generator
        The same generator state gives the same head on every grid.
    regions : LabelAnatomy, optional
        What the brain is made of; by default the regions of the built-in atlas.

    Returns
    -------
    Anatomy
    """
    axes = parameters.axes_mm(fine=True)
    regions = regions or builtin_anatomy()
    unposed = random_warp(age, rng, parameters.warp_mm)
    if parameters.warp_max_mm is not None:
        unposed = with_greatest_displacement(unposed, parameters.warp_max_mm)
    warp = pose(unposed, parameters.head_to_slab, axes)
    region_chi = _subject_susceptibilities(age, parameters.subject_sd, rng)
    texture = random_texture(rng, parameters.texture)
    tubes = veins(rng)
    tissue = BrainTissue(age, parameters.field_strength_t, region_chi, texture, regions)

    shape = tuple(n * parameters.oversampling for n in parameters.shape)
    anatomy = Anatomy(
        age=age,
        codes=np.empty(shape, dtype=np.int8),
        brain=np.empty(shape, dtype=bool),
        labels=np.zeros(shape, dtype=np.int16),
        chi_ppm=np.empty(shape, dtype=np.float32),
        r2star=np.empty(shape, dtype=np.float16),
        proton_density=np.empty(shape, dtype=np.float16),
        t1_s=np.empty(shape, dtype=np.float16),
        lesions=np.zeros(shape, dtype=np.int8),
        warp=warp,
        regions=regions,
    )
    for start in range(0, shape[0], _SLAB):
        part = slice(start, start + _SLAB)
        points = warp.on_axes((axes[0][part], axes[1], axes[2]))
        _fill(anatomy, part, points, tissue)
    _add_veins(anatomy, *vein_fraction(tubes, warp, axes))
    if parameters.lesions:
        for lesion in LESIONS:
            index, fraction = vein_fraction([lesion.as_vein()], warp, axes)
            _mix(anatomy, index, fraction, lesion.tissue)
            anatomy.lesions.reshape(-1)[index[fraction >= 0.5]] = lesion.code
    return anatomy


def _fill(anatomy: Anatomy, part: slice, points: np.ndarray, tissue: BrainTissue) -> None:
    """Fill some planes of the head, given their template coordinates."""
    head = template_head()
    codes = nearest(head.codes, points, head.origin_mm, 1.0)
    brain = codes == Tissue.BRAIN
    anatomy.codes[part] = codes
    anatomy.brain[part] = brain
    for name in _MAPS:
        getattr(anatomy, name)[part] = tissues.lookup(name)[codes]
    if brain.any():
        labels, values = tissue.at(points[:, brain])
        anatomy.labels[part][brain] = labels
        for name in _MAPS:
            getattr(anatomy, name)[part][brain] = values[name]


def _subject_susceptibilities(
    age: float, relative_sd: float, rng: np.random.Generator
) -> dict[str, float]:
    """Values of the age curves with the subject's own deviation, the same on both sides."""
    return {
        region.name: chi_at_age(region.name, age) * (1 + relative_sd * rng.standard_normal())
        for region in load_regions()
    }


def _add_veins(anatomy: Anatomy, index: np.ndarray, fraction: np.ndarray) -> None:
    """Mix venous blood into soft tissue that veins run through.

    Grey and white regions with an age curve are spared, so that their susceptibility stays that
    of their age curve; veins may run along the wall of the ventricle.
    """
    kinds = {label.index: anatomy.regions.kind(label) for label in anatomy.regions.table}
    unlabelled = [0] + [index for index, kind in kinds.items() if kind in (None, 'ventricle')]
    free = np.isin(anatomy.labels.reshape(-1)[index], unlabelled)
    free &= ~np.isin(anatomy.codes.reshape(-1)[index], (Tissue.AIR, Tissue.BONE))
    _mix(anatomy, index[free], fraction[free], tissues.PROPERTIES[Tissue.BLOOD])


def _mix(
    anatomy: Anatomy, index: np.ndarray, fraction: np.ndarray, tissue: tissues.TissueProperties
) -> None:
    """Replace a fraction of some voxels by another tissue."""
    for name in _MAPS:
        flat = getattr(anatomy, name).reshape(-1)  # a view: the arrays are contiguous
        old = flat[index].astype(np.float32)
        flat[index] = old + fraction * (getattr(tissue, name) - old)
