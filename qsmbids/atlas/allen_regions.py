"""Regions of the Allen Human Reference Atlas 3D: names, sides, and the rules that divide two.

The table ``qsmbids/data/allen_regions.tsv`` has one row per region of the finished atlas: the
acronyms of the source it is made of, its kind, the age curve it is drawn with, and the tissue
it is cut down to. Two structures of the source are divided further, by the rules below:

* **Corpus callosum** by coronal planes: genu in front of y = 19 mm, splenium behind
  y = -26 mm, body between. There the shapes of the built-in atlas meet as well.
* **Internal capsule.** The source has no such label; it is part of the forebrain white matter.
  Taken as the capsule is white matter within 8 mm of the caudate or the thalamus, within 8 mm
  of the putamen or the pallidum, with the two distances at most 12 mm together, and above
  z = -8 mm (below, the peduncle begins). In front of the frontmost point of the thalamus it is
  the anterior limb, behind it the posterior limb. The distances are a choice of this project.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from scipy import ndimage

from qsmbids.atlas.geometry import Label

TABLE = 'allen_regions.tsv'
FIRST_MIDLINE_INDEX = 301
GENU_Y_MM, SPLENIUM_Y_MM = 19.0, -26.0
CAPSULE_REACH_MM, CAPSULE_WIDTH_MM, CAPSULE_BOTTOM_MM = 8.0, 12.0, -8.0

_NONE = 'n/a'
_SIDES = {'L': 'Left', 'R': 'Right', 'B': ''}
_BETWEEN_MEDIAL = ('Caudate',)  # and the regions of the group thalamus
_BETWEEN_LATERAL = ('Putamen', 'GlobusPallidusExternal', 'GlobusPallidusInternal')
_NOT_THALAMUS = ('PinealBody', 'Habenula', 'LateralGeniculateNucleus', 'MedialGeniculateNucleus')


@dataclass(frozen=True)
class AllenRegion:
    """One row of the table.

    Parameters
    ----------
    name, abbreviation, group, color : str
    midline : bool
        One label for both sides.
    acronyms : tuple of str
        Structures of the source.
    curve : str or None
        Age curve it is drawn with; None: the tissue of the template shows.
    tissue : str or None
        ``grey`` or ``white``: only where the template is at least half of it.
    """

    name: str
    abbreviation: str
    group: str
    midline: bool
    acronyms: tuple[str, ...]
    curve: str | None
    tissue: str | None
    color: str


@cache
def allen_regions() -> tuple[AllenRegion, ...]:
    """Read the table; its order is the order of the label indices."""
    text = resources.files('qsmbids.data').joinpath(TABLE).read_text(encoding='utf-8')
    return tuple(
        AllenRegion(
            name=row['region'],
            abbreviation=row['abbreviation'],
            group=row['group'],
            midline=row['sides'] == 'B',
            acronyms=tuple(row['acronyms'].split()),
            curve=None if row['curve'] == _NONE else row['curve'],
            tissue=None if row['tissue'] == _NONE else row['tissue'],
            color=row['color'],
        )
        for row in csv.DictReader(text.splitlines(), delimiter='\t')
    )


@cache
def allen_labels() -> tuple[Label, ...]:
    """Return all labels: left odd, right the even number after it, midline from 301 on.

    Examples
    --------
    >>> [label.name for label in allen_labels()[:2]]
    ['CaudateLeft', 'CaudateRight']
    """
    labels = []
    paired = midline = 0
    for region in allen_regions():
        for side in 'B' if region.midline else 'LR':
            if side == 'B':
                index = FIRST_MIDLINE_INDEX + midline
            else:
                index = 2 * paired + 1 + (side == 'R')
            suffix = '' if side == 'B' else f'-{side}'
            labels.append(
                Label(
                    index, region.name + _SIDES[side], region.abbreviation + suffix, side,
                    region.group, region.color, region.name,
                )
            )  # fmt: skip
        midline += region.midline
        paired += not region.midline
    return tuple(labels)


@cache
def indices_of(region: str) -> Mapping[str, int]:
    """Return the label index of a region by side (L and R, or B)."""
    return {b.hemisphere: b.index for b in allen_labels() if b.region == region}


@cache
def region_of_acronym() -> Mapping[str, AllenRegion]:
    """Return the region of each structure of the source, before any is divided further."""
    found: dict[str, AllenRegion] = {}
    for region in allen_regions():
        for acronym in region.acronyms:
            found.setdefault(acronym, region)
    return found


def divide(labels: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Divide the corpus callosum, and take the internal capsule out of the white matter.

    Parameters
    ----------
    labels : (nx, ny, nz) int
        Indices of `allen_labels`.
    affine : (4, 4) float
        Voxel indices to MNI152 millimetres, axes parallel to RAS.

    Returns
    -------
    (nx, ny, nz) int
        A copy.
    """
    divided = labels.copy()
    y = (affine[1, 1] * np.arange(labels.shape[1]) + affine[1, 3])[None, :, None]
    callosum = labels == indices_of('CorpusCallosumBody')['B']
    divided[callosum & (y >= GENU_Y_MM)] = indices_of('CorpusCallosumGenu')['B']
    divided[callosum & (y < SPLENIUM_Y_MM)] = indices_of('CorpusCallosumSplenium')['B']

    thalamus = _thalamus(labels)
    capsule = _capsule(labels, thalamus, affine)
    # in a map without a thalamus there is no posterior limb
    behind = y <= (y[:, thalamus.any(axis=(0, 2))].max() if thalamus.any() else -np.inf)
    for side in 'LR':
        white = capsule & (labels == indices_of('ForebrainWhiteMatter')[side])
        divided[white & ~behind] = indices_of('InternalCapsuleAnteriorLimb')[side]
        divided[white & behind] = indices_of('InternalCapsulePosteriorLimb')[side]
    return divided


def _thalamus(labels: np.ndarray) -> np.ndarray:
    wanted = [
        label.index
        for label in allen_labels()
        if label.group == 'thalamus' and label.region not in _NOT_THALAMUS
    ]
    return np.isin(labels, wanted)


def _capsule(labels: np.ndarray, thalamus: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Return what lies between the medial and the lateral nuclei, whatever its label."""
    medial, lateral = (
        np.isin(labels, [index for name in names for index in indices_of(name).values()])
        for names in (_BETWEEN_MEDIAL, _BETWEEN_LATERAL)
    )
    medial |= thalamus
    between = np.zeros(labels.shape, dtype=bool)
    if not (medial.any() and lateral.any()):
        return between
    size = np.abs(np.diag(affine)[:3])
    margin = np.ceil(CAPSULE_REACH_MM / size).astype(int)
    box = tuple(
        slice(max(s.start - m, 0), s.stop + m)
        for s, m in zip(ndimage.find_objects(lateral.astype(np.uint8))[0], margin, strict=True)
    )
    to_medial, to_lateral = (
        ndimage.distance_transform_edt(~nuclei[box], sampling=size) for nuclei in (medial, lateral)
    )
    between[box] = (
        (to_medial <= CAPSULE_REACH_MM)
        & (to_lateral <= CAPSULE_REACH_MM)
        & (to_medial + to_lateral <= CAPSULE_WIDTH_MM)
    )
    z = affine[2, 2] * np.arange(labels.shape[2]) + affine[2, 3]
    return between & (z >= CAPSULE_BOTTOM_MM)
