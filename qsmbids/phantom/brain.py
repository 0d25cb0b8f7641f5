"""Tissue inside the brain: mixtures by the tissue maps, regions of the atlas, mild texture."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
from scipy import ndimage

from qsmbids.atlas.template import mni_template
from qsmbids.lifespan.prior import R2STAR_PER_PPM, chi_at_age, r2star_at_age
from qsmbids.phantom import tissues
from qsmbids.phantom.label_anatomy import LabelAnatomy
from qsmbids.phantom.sampling import linear

_TEXTURE_STEP_MM = 2.0
_TEXTURE_HALF_MM = np.array([84.0, 124.0, 96.0])  # box round the origin that holds the brain
# SD of the texture: a floor in ppm plus a part of the tissue's own susceptibility
_TEXTURE_FLOOR_PPM = 0.003
_TEXTURE_RELATIVE = 0.06
_LEAST_R2STAR = 1.0  # 1/s, where texture would push fluid below zero
_DENSITY_AND_T1 = {
    'deep grey': tissues.DEEP_GREY,
    'thalamus': tissues.DEEP_GREY,
    'limbic': tissues.GREY,
    'white matter': tissues.WHITE,
    'ventricle': tissues.FLUID,
}


class BrainTissue:
    """Properties of the brain of one subject at any template point.

    Parameters
    ----------
    age : float, years
    field_strength_t : float, tesla
    region_chi : mapping of str to float, ppm
        The subject's own susceptibility by age curve.
    texture : (nx, ny, nz) float32
        From :func:`random_texture`.
    regions : LabelAnatomy
        Which region is where.

    Notes
    -----
    Outside the regions that have an age curve, a property is the mean of its values in grey
    matter, white matter and fluid, weighted by the template's tissue maps. Inside, it is the
    region's. Texture adds to susceptibility, and to R2* in proportion, as iron would.
    """

    def __init__(
        self,
        age: float,
        field_strength_t: float,
        region_chi: Mapping[str, float],
        texture: np.ndarray,
        regions: LabelAnatomy,
    ) -> None:
        self._texture = texture
        self._regions = regions
        self._r2star_per_ppm = R2STAR_PER_PPM * field_strength_t / 3.0
        names = ('CorticalGreyMatter', 'WhiteMatter', 'CerebrospinalFluid')
        general = (tissues.GREY, tissues.WHITE, tissues.FLUID)
        self._mixed = {
            'chi_ppm': [chi_at_age(name, age) for name in names],
            'r2star': [r2star_at_age(name, age, field_strength_t) for name in names],
            'proton_density': [density for density, _ in general],
            't1_s': [t1 for _, t1 in general],
        }
        size = regions.size
        self._labelled = {name: np.zeros(size, dtype=np.float32) for name in self._mixed}
        self._solid = np.zeros(size, dtype=np.float32)  # 1 = tissue, 0 = fluid
        self._has_curve = np.zeros(size, dtype=bool)
        for label in regions.table:
            curve, kind = regions.curve(label), regions.kind(label)
            if curve is None or kind is None:
                continue  # filled by the tissue maps
            chi = region_chi[curve]
            # the subject's own iron, not the average at that age, sets R2*
            own_iron = max(chi, 0) - max(chi_at_age(curve, age), 0)
            r2star = r2star_at_age(curve, age, field_strength_t)
            density, t1 = _DENSITY_AND_T1[kind]
            self._has_curve[label.index] = True
            self._labelled['chi_ppm'][label.index] = chi
            self._labelled['r2star'][label.index] = r2star + self._r2star_per_ppm * own_iron
            self._labelled['proton_density'][label.index] = density
            self._labelled['t1_s'][label.index] = t1
            self._solid[label.index] = kind != 'ventricle'

    def at(self, points: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return labels and properties at points of the brain.

        Parameters
        ----------
        points : (3, n) float32, mm
            Template coordinates.

        Returns
        -------
        labels : (n,) int16
            Index of the region, 0 for none.
        properties : dict of (n,) float32
            By field name of `tissues.TissueProperties`.
        """
        labels = self._regions.at(points)
        in_region = self._has_curve[labels]
        grey, white, fluid = _fractions(points)
        values = {}
        for name, (of_grey, of_white, of_fluid) in self._mixed.items():
            mixed = of_grey * grey + of_white * white + of_fluid * fluid
            values[name] = np.where(in_region, self._labelled[name][labels], mixed)

        pattern = linear(self._texture, points, -_TEXTURE_HALF_MM, _TEXTURE_STEP_MM)
        pattern *= np.where(in_region, self._solid[labels], 1 - fluid)
        variation = pattern * (_TEXTURE_FLOOR_PPM + _TEXTURE_RELATIVE * np.abs(values['chi_ppm']))
        values['chi_ppm'] += variation
        values['r2star'] += np.float32(self._r2star_per_ppm) * variation
        np.maximum(values['r2star'], _LEAST_R2STAR, out=values['r2star'])
        return labels, values


def random_texture(rng: np.random.Generator, relative_size: float) -> np.ndarray:
    """Draw a smooth random field in template space, so that it does not depend on the grid.

    Parameters
    ----------
    rng : numpy.random.Generator
    relative_size : float
        Standard deviation.

    Returns
    -------
    (nx, ny, nz) float32
        Correlated over about 4 mm.
    """
    shape = tuple(int(n) + 1 for n in 2 * _TEXTURE_HALF_MM / _TEXTURE_STEP_MM)
    field = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), 1.0)
    return field * np.float32(relative_size / field.std())


def _fractions(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fractions of grey matter, white matter and fluid, which add up to 1."""
    origin = mni_template().affine[:3, 3]
    grey, white = (linear(tissue, points, origin, 1.0) for tissue in _tissue_maps())
    total = np.maximum(grey + white, 1)
    grey, white = grey / total, white / total
    return grey, white, 1 - grey - white


@cache
def _tissue_maps() -> tuple[np.ndarray, np.ndarray]:
    """Grey and white matter of the template, in the memory order that reading is fast in."""
    template = mni_template()
    return np.ascontiguousarray(template.gm), np.ascontiguousarray(template.wm)
