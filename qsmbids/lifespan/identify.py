"""Whether a cohort can tell the shape of a curve, and what to say if it cannot.

A growth that was over before the youngest person, or that has hardly begun in the oldest,
leaves no trace of its rate: many rates fit equally well, with other amplitudes. The profile of
the shape shows that. Its interval has to close on both sides within the *sensible bounds*:

* exponential: time constants 1/beta between a third of the youngest age (95 % of the growth
  is over before anybody was measured) and three times the oldest age (a straight line to the
  eye);
* Poisson: extrema between a third of the youngest age and three times the oldest age.

Where the interval runs into a bound, the shape is not identifiable: that side of its interval
is left open, and the amplitudes and derived quantities, which hang on it, are not given.
"""

from __future__ import annotations

from math import inf, isnan, nan

from qsmbids.lifespan.derived import Derived
from qsmbids.lifespan.families import Family
from qsmbids.lifespan.intervals import Region

_WHAT = {
    'exponential': ('growth rate', 'rate', 'per year'),
    'poisson': ('age of the extremum', 'age', 'years'),
}
_FAR_FROM_BIRTH = 5.0  # years


def is_identifiable(region: Region) -> bool:
    """Return whether the profile of the shape closes on both sides."""
    return not (region.open_low or region.open_high)


def open_interval(region: Region) -> tuple[float, float]:
    """Return the interval of a shape with its open sides at 0 and infinity."""
    if region.open_low and region.open_high:
        return nan, nan
    low = 0.0 if region.open_low else float(region.shapes[0])
    high = inf if region.open_high else float(region.shapes[-1])
    return low, high


def why_not(family: Family, region: Region) -> str:
    """Return the sentence on a shape that these ages cannot tell.

    Parameters
    ----------
    family : Family
        Exponential or Poisson.
    region : Region
        With at least one open side.

    Returns
    -------
    str
    """
    what, short, unit = _WHAT[family.name]
    low, high = open_interval(region)
    if region.open_low and region.open_high:
        finding = f'every {short} fits'
        need = 'people of more different ages, or more people, are needed'
    elif region.open_high:
        finding = f'every {short} above {low:.2g} {unit} fits'
        need = (
            'younger people, in whom the growth still shows, are needed'
            if family.name == 'exponential'
            else 'older people, in whom the curve has turned, are needed'
        )
    else:
        finding = f'every {short} below {high:.2g} {unit} fits'
        need = (
            'older people, in whom the growth has slowed down, are needed'
            if family.name == 'exponential'
            else 'younger people, in whom the curve has not turned yet, are needed'
        )
    return f'The {what} cannot be told from people of {_ages(family)}: {finding}; {need}.'


def extrapolations(derived: tuple[Derived, ...], youngest: float, oldest: float) -> list[str]:
    """Return sentences on derived quantities that lie outside the sampled ages.

    Parameters
    ----------
    derived : tuple of Derived
    youngest, oldest : float, years

    Returns
    -------
    list of str
    """
    remarks = []
    for quantity in derived:
        if isnan(quantity.value):
            continue
        if quantity.unit == 'year':
            name = quantity.description
            if not youngest <= quantity.value <= oldest:
                remarks.append(
                    f'The {name}, {quantity.value:.0f} years, lies outside the ages of the '
                    f'cohort ({youngest:.0f} to {oldest:.0f} years): it is extrapolated.'
                )
            elif quantity.low < youngest or quantity.high > oldest:
                remarks.append(
                    f'The interval of the {name}, {quantity.low:.0f} to {quantity.high:.0f} '
                    f'years, reaches beyond the ages of the cohort ({youngest:.0f} to '
                    f'{oldest:.0f} years).'
                )
        if quantity.name == 'value_at_birth' and youngest > _FAR_FROM_BIRTH:
            remarks.append(
                f'Nobody is younger than {youngest:.0f} years: the value at birth is '
                'extrapolated, and with it all growth since birth.'
            )
    return remarks


def _ages(family: Family) -> str:
    return f'{family.youngest:.0f} to {family.oldest:.0f} years'
