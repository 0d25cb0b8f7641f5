"""What a brain of a given age looks like in the atlas: susceptibility, R2*, GRE magnitude.

Tissue maps of the MNI152 template give the background (grey matter, white matter, fluid by
their probabilities); regions are laid over it with the value that their age curve has at that
age. The border of a region is softened, so that a voxel it covers in part has a value in
between, as in a measured image. Which regions are laid over, and with which curve, is said by
a `Drawing`: the built-in atlas takes the geometry table, other atlases their label map.

The anatomy is the adult average at every age; only the values follow age. The values are
an engineering prior, not published values (`qsmbids.lifespan.prior`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from qsmbids.atlas.geometry import label_table, label_volume
from qsmbids.atlas.template import mni_template
from qsmbids.lifespan.prior import chi_at_age, r2star_at_age

MARGIN_VOXELS = 5  # empty voxels around the brain, so that filters and warps have room
BORDER_SIGMA_MM = 0.6  # softness of region borders: about the partial volume of a 1.5 mm voxel

# a spoiled gradient echo that resembles a 3 T QSM protocol (engineering choices)
_TR_MS, _FLIP_DEG, _TE_MS = 40.0, 15.0, 15.0
_T1_MS = {'grey': 1400.0, 'white': 850.0, 'fluid': 4000.0}
_PROTON_DENSITY = {'grey': 0.82, 'white': 0.70, 'fluid': 1.00}


class AtlasGrid(NamedTuple):
    """The template cropped to the brain, on the grid of the built-in atlas (1 mm).

    ``t1w``, ``gm``, ``wm``, ``csf`` are float32 from 0 to 1, ``brain_mask`` bool,
    ``labels`` int16, ``affine`` maps voxel indices to MNI152 millimetres (RAS).
    """

    t1w: np.ndarray
    gm: np.ndarray
    wm: np.ndarray
    csf: np.ndarray
    brain_mask: np.ndarray
    labels: np.ndarray
    affine: np.ndarray


class Drawing(NamedTuple):
    """Regions to lay over the tissue background.

    ``labels`` is int16 on the grid of `atlas_grid`; ``curves`` gives the age curve
    (`qsmbids.lifespan.prior`) by label. A label without a curve is named only: there the
    tissue background shows.
    """

    labels: np.ndarray
    curves: Mapping[int, str]


@cache
def atlas_grid() -> AtlasGrid:
    """Crop the template to the brain with a margin and draw the labels on it.

    The margin also extends beyond the template, whose grid ends at the brain stem.
    """
    template = mni_template()
    occupied = ndimage.find_objects(template.brain_mask.astype(np.uint8))[0]
    start = np.array([s.start for s in occupied]) - MARGIN_VOXELS
    affine = template.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ start

    def crop(array: np.ndarray) -> np.ndarray:
        return np.pad(array[occupied], MARGIN_VOXELS)

    mask = crop(template.brain_mask)
    arrays = [crop(template.t1w), crop(template.gm), crop(template.wm), crop(template.csf)]
    labels = np.where(mask, label_volume(mask.shape, affine), 0).astype(np.int16)
    grid = AtlasGrid(*arrays, mask, labels, affine)
    for array in grid:
        array.setflags(write=False)
    return grid


@cache
def builtin_drawing() -> Drawing:
    """Return the regions of the geometry table, each with its own curve.

    The ventricles are left to the tissue maps, whose borders are sharper than the geometry.
    """
    curves = {label.index: label.region for label in label_table() if label.group != 'ventricle'}
    return Drawing(atlas_grid().labels, curves)


def chi_contrast(age: float, drawing: Drawing | None = None) -> tuple[np.ndarray, float]:
    """Make the susceptibility map of an age, referenced to the whole brain.

    Parameters
    ----------
    age : float, years
    drawing : Drawing, optional
        Regions to lay over the tissue; by default those of the built-in atlas.

    Returns
    -------
    chi : (nx, ny, nz) float32, ppm
        On the grid of `atlas_grid`; mean zero over the brain mask, zero outside.
    value_subtracted : float, ppm
        The whole-brain mean relative to cerebrospinal fluid, which was subtracted.
    """
    chi = _draw(lambda name: chi_at_age(name, age), drawing or builtin_drawing())
    mask = atlas_grid().brain_mask
    mean = float(chi[mask].mean(dtype=np.float64))
    return np.where(mask, chi - mean, 0).astype(np.float32), mean


def t2starw_contrast(age: float, drawing: Drawing | None = None) -> np.ndarray:
    """Make an image that resembles the magnitude of a GRE scan, for registration only.

    Parameters
    ----------
    age : float, years
    drawing : Drawing, optional
        Regions to lay over the tissue; by default those of the built-in atlas.

    Returns
    -------
    (nx, ny, nz) float32, 0 to 1
        Steady state of a spoiled gradient echo (TR 40 ms, flip angle 15 degrees) times
        exp(-TE R2*) at TE 15 ms; zero outside the brain.

    Notes
    -----
    S = PD sin(a) (1 - E1) / (1 - cos(a) E1) exp(-TE R2*), E1 = exp(-TR/T1).
    """
    grid = atlas_grid()
    start = sum(
        probability * _steady_state(tissue)
        for tissue, probability in (('grey', grid.gm), ('white', grid.wm), ('fluid', grid.csf))
    )
    r2star = _draw(lambda name: r2star_at_age(name, age), drawing or builtin_drawing())
    signal = np.where(grid.brain_mask, start * np.exp(-_TE_MS * 1e-3 * r2star), 0)
    return (signal / signal.max()).astype(np.float32)


def _steady_state(tissue: str) -> float:
    flip = np.radians(_FLIP_DEG)
    e1 = np.exp(-_TR_MS / _T1_MS[tissue])
    return float(_PROTON_DENSITY[tissue] * np.sin(flip) * (1 - e1) / (1 - np.cos(flip) * e1))


def _draw(value_of: Callable[[str], float], drawing: Drawing) -> np.ndarray:
    """Lay the regions with their values over the tissue background, float32."""
    grid = atlas_grid()
    total = np.maximum(grid.gm + grid.wm + grid.csf, 1e-3)
    background = (
        grid.gm * value_of('CorticalGreyMatter')
        + grid.wm * value_of('WhiteMatter')
        + grid.csf * value_of('CerebrospinalFluid')
    ) / total
    values = np.zeros(int(drawing.labels.max(initial=0)) + 1, dtype=np.float32)
    covered = np.zeros_like(values)
    for index, curve in drawing.curves.items():
        if index < len(values):  # a label that the map does not hold at all may be beyond
            values[index] = value_of(curve)
            covered[index] = 1
    value, cover = (
        ndimage.gaussian_filter(lookup[drawing.labels], BORDER_SIGMA_MM, truncate=4)
        for lookup in (values, covered)
    )
    return (value + (1 - cover) * background).astype(np.float32)
