"""Susceptibility and R2* of each region at any age: engineering prior, not published values.

The numbers below are choices of this project. They make the built-in atlas and the head
phantom look like a brain of the right age; they are start values, not norms, and no study
found them. Where a choice leans on a published figure, ``prior_origin`` says on which.

Zero is the susceptibility of cerebrospinal fluid. Deep grey matter grows like its
non-haem iron,

    chi(age) = alpha * (1 - exp(-beta * age)),    alpha = 0.66 ppb per (ug iron / g) * a,

with a and beta = b of Hallgren & Sourander 1958. White matter follows a Poisson curve,
which falls until the age B and then rises; the thalamus uses the same curve upside down.

References
----------
Hallgren B, Sourander P. The effect of age on the non-haemin iron in the human brain.
J Neurochem 1958;3:41-51. https://doi.org/10.1111/j.1471-4159.1958.tb12607.x
Li W, et al. Hum Brain Mapp 2014;35:2698-2713. https://doi.org/10.1002/hbm.22360
Min K, et al. A human brain atlas of chi-separation for normative iron and myelin
distributions. NMR Biomed 2024. https://doi.org/10.1002/nbm.5226
Jain V, et al. Magn Reson Med 2012;68:863-867 (blood).
Shin HG, et al. NeuroImage 2021;240:118371. https://doi.org/10.1016/j.neuroimage.2021.118371
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from qsmbids.lifespan.curves import Constant, Curve, Exponential, Poisson

NOTICE = 'engineering prior, not published values'

# ppm per (mg iron / 100 g wet weight): 0.66 ppb per (ug/g), the slope in vivo of nuclei means
# of Min 2024 (mean age 62 y) against Hallgren's iron at 62 y
PPM_PER_IRON = 0.66e-3 * 10

# Hallgren & Sourander 1958: a in mg/100 g wet weight, b in 1/y
_HALLGREN = {
    'GlobusPallidus': (21.41, 0.09),
    'Putamen': (14.62, 0.04),
    'Caudate': (9.66, 0.05),
}


def _iron(structure: str) -> tuple[Curve, str]:
    a, b = _HALLGREN[structure]
    origin = (
        f'alpha = 0.66 ppb per ug/g times the iron amplitude {10 * a:.1f} ug/g, and beta = {b}/y, '
        'of Hallgren and Sourander 1958; value at birth set to zero'
    )
    return Exponential(alpha=PPM_PER_IRON * a, beta=b), origin


def _growth(alpha: float, beta: float, gamma: float, why: str) -> tuple[Curve, str]:
    return Exponential(alpha, beta, gamma), f'guess: {why}'


def _white(depth: float, time_constant: float, offset: float, why: str) -> tuple[Curve, str]:
    curve = Poisson.from_depth(depth=depth, time_constant=time_constant, offset=offset)
    return curve, (
        f'guess: Poisson curve with its minimum at {time_constant:g} y ({why}), depth and offset '
        'chosen near the adult totals of Min 2024'
    )


def _thalamic(peak: float, offset: float, why: str) -> tuple[Curve, str]:
    curve = Poisson.from_depth(depth=peak - offset, time_constant=40, offset=offset)
    return curve, (
        f'guess: maximum of {1000 * peak:g} ppb at 40 y, then a slow fall as thalamic '
        f'susceptibility is described by Treit 2021; {why}'
    )


_NO_EXPONENTIAL = 'no exponential is published for this nucleus'
_BY_REGION: dict[str, tuple[Curve, str]] = {
    'Caudate': _iron('Caudate'),
    'Putamen': _iron('Putamen'),
    'NucleusAccumbens': _growth(0.025, 0.05, 0.0, 'adult level near Min 2024 (22 ppb)'),
    'GlobusPallidusExternal': _iron('GlobusPallidus'),
    'GlobusPallidusInternal': _iron('GlobusPallidus'),
    'SubthalamicNucleus': _growth(
        0.100, 0.06, 0.0, f'{_NO_EXPONENTIAL}; adult ~97 ppb (Min 2024)'
    ),
    'SubstantiaNigra': _growth(0.120, 0.06, 0.0, f'{_NO_EXPONENTIAL}; adult ~105 ppb (Min 2024)'),
    'RedNucleus': _growth(0.110, 0.06, 0.0, f'{_NO_EXPONENTIAL}; adult ~102 ppb (Min 2024)'),
    'DentateNucleus': _growth(0.100, 0.05, 0.0, f'{_NO_EXPONENTIAL}; below the red nucleus'),
    'ThalamusAnterior': _thalamic(0.020, 0.0, 'level as in the medial thalamus'),
    'ThalamusMedian': _thalamic(0.020, 0.0, 'level near Min 2024 (medial thalamus 19 ppb)'),
    'ThalamusLateral': _thalamic(0.0, -0.010, 'level near Min 2024 (lateral thalamus 0 ppb)'),
    'Pulvinar': _thalamic(0.050, 0.0, 'level near Min 2024 (48 ppb)'),
    'Hippocampus': _growth(0.015, 0.04, -0.005, 'small growth like iron (trend of Zhang 2018)'),
    'Amygdala': _growth(0.012, 0.04, -0.005, 'small growth like iron (trend of Zhang 2018)'),
    'OpticRadiation': _white(-0.030, 30, -0.010, 'about 30 y in Li 2014'),
    'CorpusCallosumSplenium': _white(-0.025, 30, -0.010, 'about 30 y in Li 2014'),
    'CorpusCallosumBody': _white(-0.022, 30, -0.008, 'as in the splenium'),
    'CorpusCallosumGenu': _white(-0.020, 30, -0.005, 'as in the splenium'),
    'CerebralPeduncle': _white(-0.020, 45, -0.005, 'as in the internal capsule of Li 2014'),
    'LateralVentricle': (Constant(0.0), 'cerebrospinal fluid is the zero of this prior'),
    # tissue outside the regions
    'CorticalGreyMatter': _growth(0.012, 0.05, 0.0, 'cortical iron is far below that of nuclei'),
    'WhiteMatter': (Constant(-0.012), 'whole white matter of Min 2024 (mean age 62 y), all ages'),
    'CerebrospinalFluid': (Constant(0.0), 'the zero of this prior'),
    'VenousBlood': (
        Constant(0.44),
        'derived from Jain 2012: haematocrit 0.40 times (-0.10 + 3.43 * (1 - 0.65)) ppm, '
        'oxygen saturation 0.65',
    ),
}

TISSUES = ('CorticalGreyMatter', 'WhiteMatter', 'CerebrospinalFluid', 'VenousBlood')
REGIONS = tuple(name for name in _BY_REGION if name not in TISSUES)

# R2* at 3 T, 1/s: tissue without iron, to which iron adds 137 1/s per ppm (Shin 2021, R2')
_BASE_R2STAR = {
    'white matter': 20.0,
    'grey matter': 15.0,
    'CerebrospinalFluid': 1.5,
    'VenousBlood': 35.0,
}
R2STAR_PER_PPM = 137.0  # 1/s per ppm at 3 T, proportional to the field (Shin 2021)
R2STAR_ORIGIN = (
    f'{NOTICE}: R2* at 3 T = base + 137 1/s per ppm of positive susceptibility (slope of R2-prime '
    'from Shin 2021); base 15 1/s in grey and 20 1/s in white matter, 1.5 1/s in cerebrospinal '
    'fluid and 35 1/s in venous blood are guesses; the iron term scales with the field'
)
_WHITE = {
    'OpticRadiation', 'CorpusCallosumSplenium', 'CorpusCallosumBody', 'CorpusCallosumGenu',
    'CerebralPeduncle', 'WhiteMatter',
}  # fmt: skip


def prior_curve(region_name: str) -> Curve:
    """Return the age curve of a region or tissue (engineering prior, not published values).

    Parameters
    ----------
    region_name : str
        Name without hemisphere as in the geometry table, or one of ``TISSUES``.

    Returns
    -------
    Curve
        Callable from age in years to susceptibility in ppm; zero is cerebrospinal fluid.

    Raises
    ------
    ValueError
        If there is no curve of that name.

    Examples
    --------
    >>> round(prior_curve('GlobusPallidusInternal')(30), 3)
    0.132
    """
    return _entry(region_name)[0]


def prior_origin(region_name: str) -> str:
    """Return one sentence on where the numbers of a region's curve come from."""
    return f'{NOTICE}: {_entry(region_name)[1]}.'


def chi_at_age(region_name: str, age: ArrayLike) -> np.ndarray | float:
    """Return the prior susceptibility of a region.

    Parameters
    ----------
    region_name : str
        As in `prior_curve`.
    age : float or array-like, years

    Returns
    -------
    float or ndarray, ppm
        Zero is cerebrospinal fluid.
    """
    return prior_curve(region_name)(age)


def r2star_at_age(
    region_name: str, age: ArrayLike, field_strength_t: float = 3.0
) -> np.ndarray | float:
    """Return the prior R2* of a region; see ``R2STAR_ORIGIN``.

    Parameters
    ----------
    region_name : str
        As in `prior_curve`.
    age : float or array-like, years
    field_strength_t : float, tesla

    Returns
    -------
    float or ndarray, 1/s
    """
    chi = prior_curve(region_name)(age)
    if region_name in ('CerebrospinalFluid', 'LateralVentricle'):
        return chi * 0 + _BASE_R2STAR['CerebrospinalFluid']
    if region_name == 'VenousBlood':
        return chi * 0 + _BASE_R2STAR['VenousBlood']
    base = _BASE_R2STAR['white matter' if region_name in _WHITE else 'grey matter']
    return base + R2STAR_PER_PPM * np.maximum(chi, 0) * field_strength_t / 3.0


def _entry(region_name: str) -> tuple[Curve, str]:
    try:
        return _BY_REGION[region_name]
    except KeyError:
        raise ValueError(
            f'there is no age curve for {region_name!r}.\n'
            'Curves exist for the regions of the geometry table and for general tissue.\n'
            f'Use one of: {", ".join(_BY_REGION)}.'
        ) from None
