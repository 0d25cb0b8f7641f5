"""What is read off a curve besides its parameters.

================  ==================  =======================================================
family            quantity            from the parameters
================  ==================  =======================================================
exponential       total_growth        alpha
..                age_at_90_percent   ln(10)/beta, when 90 % of the growth is reached
..                value_at_birth      gamma
..                plateau             alpha + gamma
poisson           extremum_age        B
..                depth               A*B/e, from birth to the extremum
..                extremum            C + A*B/e
..                value_at_birth      C
quadratic         extremum_age        -b/(2c)
..                extremum            a - b²/(4c)
linear            slope_per_decade    10 b
spline            extremum_age        where the curve turns, if it does between the ages
..                extremum            the value there
================  ==================  =======================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, nan

from qsmbids.lifespan.families import Family, PoissonFamily, Quantity, VertexFamily


@dataclass(frozen=True)
class Derived:
    """A derived quantity with its interval.

    Parameters
    ----------
    name : str
    value, low, high : float
        Estimate and ends of the interval; NaN where the data cannot tell.
    unit, description : str
    """

    name: str
    value: float
    low: float
    high: float
    unit: str
    description: str

    def unknown(self) -> Derived:
        """Return the quantity without a value."""
        return Derived(self.name, nan, nan, nan, self.unit, self.description)


def derived_quantities(family: Family) -> tuple[Quantity, ...]:
    """Return the derived quantities of a family.

    Parameters
    ----------
    family : Family
        Any but the quadratic, whose extremum is read in ``VertexFamily``.

    Returns
    -------
    tuple of Quantity
    """
    return _BY_FAMILY.get(family.name, lambda family: ())(family)


def _linear(family: Family) -> tuple[Quantity, ...]:
    slope = family.parameters[1]
    return (
        Quantity(
            'slope_per_decade', 'ppm/decade', 'change in ten years',
            lambda q: 10 * slope.weights(q),
        ),
    )  # fmt: skip


def _exponential(family: Family) -> tuple[Quantity, ...]:
    return (
        Quantity('total_growth', 'ppm', 'growth from birth to the plateau', lambda q: (0, 1)),
        Quantity(
            'age_at_90_percent', 'year', 'age at which 90 % of the growth is reached',
            of_shape=lambda q: log(10) / q,
        ),
        Quantity('value_at_birth', 'ppm', 'value at birth', lambda q: (1, 0)),
        Quantity('plateau', 'ppm', 'value of the plateau', lambda q: (1, 1)),
    )  # fmt: skip


def _poisson(family: PoissonFamily) -> tuple[Quantity, ...]:
    return (
        Quantity('extremum_age', 'year', 'age of the extremum', of_shape=lambda q: q),
        Quantity('depth', 'ppm', 'change from birth to the extremum', lambda q: (0, 1)),
        Quantity('extremum', 'ppm', 'value at the extremum', lambda q: (1, 1)),
        Quantity('value_at_birth', 'ppm', 'value at birth', lambda q: (1, 0)),
    )


def _vertex(family: VertexFamily) -> tuple[Quantity, ...]:
    return family.parameters


_BY_FAMILY = {
    'linear': _linear,
    'exponential': _exponential,
    'poisson': _poisson,
    'vertex': _vertex,
}
