"""The built-in norms: engineering prior, not published values.

Means are the age curves of :mod:`qsmbids.lifespan.prior`. The spread between people leans on the
standard deviations that Min 2024 tabulates for the positive and the negative part of
susceptibility at a mean age of 62 years; their sum is taken as

    s(62) = sqrt(s_positive^2 + s_negative^2)        (as if the two were independent: a choice)

and moved to other ages by

    s(age) = s(62) * 2^((age - 62) / 60),

because the spread grows with age (Treit 2021); that it doubles within 60 years is a guess. Where
nothing is tabulated, the spread is a guess, too. These norms say what the program itself takes
for an ordinary brain. A distance from them says nothing about health. Zero is cerebrospinal
fluid, so they are moved to the reference of each map.

References
----------
Min K, et al. A human brain atlas of chi-separation for normative iron and myelin distributions.
NMR Biomed 2024. https://doi.org/10.1002/nbm.5226
Treit S, et al. Regional brain susceptibility over the lifespan. Hum Brain Mapp 2021;42:4597.
https://doi.org/10.1002/hbm.25569
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from qsmbids import __version__
from qsmbids.lifespan.norms import Norm, NormSet
from qsmbids.lifespan.prior import NOTICE, prior_curve, prior_origin

PRIOR_NAME = 'built-in prior'
PRIOR_AGES = (0.0, 90.0)
_SPREAD_AGE = 62.0  # mean age of Min 2024
_DOUBLES_IN = 60.0  # years

# standard deviation between people at 62 years, ppb: of the positive and the negative part
_TABULATED = {
    'Caudate': (7.4, 4.9),
    'Putamen': (20.6, 5.9),
    'GlobusPallidusExternal': (10.4, 7.3),
    'GlobusPallidusInternal': (10.4, 7.3),
    'NucleusAccumbens': (13.2, 5.6),
    'SubstantiaNigra': (14.4, 4.5),
    'RedNucleus': (14.8, 4.1),
    'SubthalamicNucleus': (12.1, 5.9),
    'Pulvinar': (11.6, 3.2),
}
_GUESSED = {
    'DentateNucleus': (15.0, 'as in the red nucleus'),
    'ThalamusAnterior': (8.0, 'as in the medial thalamus'),
    'ThalamusMedian': (8.0, 'near 7.6 ppb of the positive part alone'),
    'ThalamusLateral': (6.0, 'near 5.2 ppb of the positive part alone'),
    'Hippocampus': (8.0, 'nothing tabulated'),
    'Amygdala': (8.0, 'nothing tabulated'),
    'OpticRadiation': (8.0, 'nothing tabulated for single tracts'),
    'CorpusCallosumSplenium': (8.0, 'nothing tabulated for single tracts'),
    'CorpusCallosumBody': (8.0, 'nothing tabulated for single tracts'),
    'CorpusCallosumGenu': (8.0, 'nothing tabulated for single tracts'),
    'CerebralPeduncle': (8.0, 'nothing tabulated for single tracts'),
}
_GROUPS = {
    'thalamus': ('ThalamusAnterior', 'ThalamusMedian', 'ThalamusLateral', 'Pulvinar'),
    'limbic': ('Hippocampus', 'Amygdala'),
    'white matter': (
        'OpticRadiation', 'CorpusCallosumSplenium', 'CorpusCallosumBody', 'CorpusCallosumGenu',
        'CerebralPeduncle',
    ),
}  # fmt: skip


def prior_norms() -> NormSet:
    """Return the built-in norms: engineering prior, not published values.

    The ventricles have none: they are the zero.

    Returns
    -------
    NormSet
        Ages 0 to 90 years, ppm, both sides averaged, any field strength.

    Examples
    --------
    >>> norms = prior_norms()
    >>> norms.notice
    'engineering prior, not published values'
    >>> float(norms.find('SubstantiaNigra', 'B').between(62).round(4))
    0.0151
    """
    return NormSet(
        norms=tuple(_norm(region) for region in (*_TABULATED, *_GUESSED)),
        name=f'{PRIOR_NAME} ({NOTICE})',
        atlas='QSMLifespan',
        reference='cerebrospinal fluid',
        field_strength_t=None,
        follows_reference=True,
        notice=NOTICE,
        provenance={
            'made_by': 'qsmbids',
            'software_version': __version__,
            'dataset': f'none: {NOTICE}',
            'licence': 'CC0-1.0',
            'n': 0,
            'ages': list(PRIOR_AGES),
            'description': (
                f'{NOTICE}: the age curves that give the built-in atlas its contrast, with a '
                'spread that leans on Min 2024 at 62 years and is taken to double in 60 years.'
            ),
        },
    )


def prior_spread(region: str, age: ArrayLike) -> np.ndarray | float:
    """Return the standard deviation between people (engineering prior).

    Parameters
    ----------
    region : str
        Without hemisphere.
    age : float or array-like, years

    Returns
    -------
    float or ndarray, ppm

    Raises
    ------
    ValueError
        If there is none for this region.

    Examples
    --------
    >>> float(prior_spread('Caudate', 62.0).round(4)), float(prior_spread('Caudate', 2.0).round(4))
    (0.0089, 0.0044)
    """
    tabulated = _TABULATED.get(region)
    if tabulated is None and region not in _GUESSED:
        raise ValueError(f'there is no prior of the spread between people for {region!r}.')
    at_62 = math.hypot(*tabulated) if tabulated else _GUESSED[region][0]
    return 1e-3 * at_62 * growth_of_spread(age)


def growth_of_spread(age: ArrayLike) -> np.ndarray | float:
    """Return the spread between people of an age over that of people of 62 years: a guess."""
    return 2.0 ** ((np.asarray(age, dtype=float)[()] - _SPREAD_AGE) / _DOUBLES_IN)


def spread_origin(region: str) -> str:
    """Return one sentence on where the spread of a region comes from."""
    if region in _TABULATED:
        positive, negative = _TABULATED[region]
        return (
            f'{NOTICE}: spread at 62 y from {positive:g} and {negative:g} ppb of the positive and '
            'negative part in Min 2024, growing with age by a guess.'
        )
    level, why = _GUESSED[region]
    return f'{NOTICE}: spread guessed, {level:g} ppb at 62 y ({why}), growing with age by a guess.'


def _norm(region: str) -> Norm:
    ages = np.arange(PRIOR_AGES[0], PRIOR_AGES[1] + 1)
    curve = prior_curve(region)
    return Norm(
        region=region,
        hemisphere='B',
        age=tuple(ages.tolist()),
        mean=tuple(np.round(curve(ages), 7).tolist()),
        sd=tuple(round(float(prior_spread(region, age)), 7) for age in ages),
        group=next((g for g, members in _GROUPS.items() if region in members), 'deep grey'),
        model={
            'family': type(curve).__name__.lower(),
            'formula': curve.formula,
            'parameters': vars(curve).copy(),
            'origin': [prior_origin(region), spread_origin(region)],
        },
    )
