"""Fitting an age curve to a cohort: the entry to curves, intervals and spread.

    chi_i = f(age_i) + sigma(age_i) * epsilon_i,      epsilon_i ~ N(0, 1)

``fit_curve`` finds f within a family (``families``, ``spline``), sigma(age) (``spread``), the
profile intervals of parameters and derived quantities (``intervals``, ``derived``), and says
where the ages cannot tell (``identify``). Each file teaches its part.

Inside, values are centred and scaled, so that adding a constant to all values (another
reference region) moves only the offset of the curve, and a factor only its amplitudes.
"""

from __future__ import annotations

from math import log, nan
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from qsmbids.lifespan.curves import Curve
from qsmbids.lifespan.derived import Derived, derived_quantities
from qsmbids.lifespan.errors import LifespanError
from qsmbids.lifespan.estimate import Estimate, estimate
from qsmbids.lifespan.families import PARAMETRIC, Family, Quantity, VertexFamily
from qsmbids.lifespan.fitted import FittedCurve
from qsmbids.lifespan.identify import extrapolations, is_identifiable, open_interval, why_not
from qsmbids.lifespan.intervals import Region, profile_region
from qsmbids.lifespan.people import People, check_people
from qsmbids.lifespan.spline import SplineCurve, SplineFamily, SplineFit, spline_extremum
from qsmbids.lifespan.spread import Spread, rescaled, slope_interval

__all__ = ['FAMILIES', 'Derived', 'FittedCurve', 'Spread', 'fit_curve']

FAMILIES = (*PARAMETRIC, 'spline')
_FEWEST_FOR_SPREAD = 30


def fit_curve(
    age: ArrayLike,
    value: ArrayLike,
    family: str = 'exponential',
    *,
    robust: bool = False,
    spread: Literal['linear', 'constant'] = 'linear',
    intervals: bool = True,
    level: float = 0.95,
) -> FittedCurve:
    """Fit an age curve with its spread, intervals and derived quantities.

    Parameters
    ----------
    age : array-like of float, ``(n,)``, years
    value : array-like of float, ``(n,)``, ppm
        People with NaN in either are left out and counted.
    family : str
        One of ``FAMILIES``.
    robust : bool
        Whether outliers get less weight (Huber, see ``robust``).
    spread : {'linear', 'constant'}
        Whether the logarithm of the standard deviation is linear in age or constant. Below
        30 people it is taken as constant, because its slope cannot be told.
    intervals : bool
        Whether to compute intervals and the confidence band; without, they are NaN.
    level : float
        Confidence level of all intervals.

    Returns
    -------
    FittedCurve

    Raises
    ------
    LifespanError
        If the family is unknown, or people or ages are too few for it.

    Examples
    --------
    >>> from qsmbids.lifespan.curves import Exponential
    >>> age = np.linspace(1, 83, 60)
    >>> fit = fit_curve(age, Exponential(0.14, 0.09, 0.01)(age), 'exponential')
    >>> dict(zip(fit.names, np.round(fit.values, 6).tolist(), strict=True))
    {'alpha': 0.14, 'beta': 0.09, 'gamma': 0.01}
    """
    if family not in FAMILIES:
        raise LifespanError(
            f'There is no family of age curves called {family!r}.',
            'The family says which form the curve may take.',
            f'Use one of: {", ".join(FAMILIES)}.',
        )
    if not 0 < level < 1:
        raise LifespanError(
            f'The confidence level {level} does not lie between 0 and 1.',
            'It is the share of intervals that contain the truth.',
            'Use 0.95 for 95 per cent.',
        )
    n_mean = 2 if family == 'spline' else _n_mean(family)
    people = check_people(age, value, family, n_mean)
    remarks = []
    if people.dropped:
        remarks.append(_left_out(people.dropped))
    few = people.age.size < _FEWEST_FOR_SPREAD
    linear = spread == 'linear' and not few and bool(np.ptp(people.age) > 0)
    if spread == 'linear' and few and family != 'constant':
        remarks.append(
            f'There are fewer than {_FEWEST_FOR_SPREAD} people: the spread is taken as the same '
            'at all ages.'
        )
    if family == 'spline':
        return _spline(people, linear, robust, intervals, level, remarks)
    return _parametric(PARAMETRIC[family](people.age), people, linear, robust, intervals, level,
                       remarks)  # fmt: skip


def _parametric(
    family: Family,
    people: People,
    linear: bool,
    robust: bool,
    intervals: bool,
    level: float,
    remarks: list[str],
) -> FittedCurve:
    found = estimate(family, people.age, people.value, linear=linear, robust=robust)
    age, mean = people.age, found.mean
    region = None
    identifiable = True
    if family.has_shape or intervals:
        allowed = _allowed(found, level)
        region = profile_region(family, age, found.target, found.weight, mean.shape, allowed)
        region = _in_ppm(region, people)
    if family.has_shape:
        identifiable = is_identifiable(region)
        if not identifiable:
            remarks.append(why_not(family, region))
    coef = _coef_in_ppm(mean.coef, people)
    parameters = family.parameters
    values = tuple(p(mean.shape, coef) for p in parameters)
    derived = [_derive(q, mean.shape, coef, region) for q in derived_quantities(family)]
    if family.name == 'quadratic':
        derived, remark = _vertex(age, people, found, values, level, intervals)
        remarks.extend(remark)
    bounds = {p.name: _interval(p, region if intervals else None) for p in parameters}
    if not identifiable:
        derived = [quantity.unknown() for quantity in derived]
        bounds = {
            p.name: open_interval(region) if p.of_shape and intervals else (nan, nan)
            for p in parameters
        }
    elif not intervals:
        derived = [Derived(d.name, d.value, nan, nan, d.unit, d.description) for d in derived]
    remarks.extend(extrapolations(tuple(derived), family.youngest, family.oldest))
    curve = family.curve(values)
    return _assemble(
        family.name, curve, tuple(p.name for p in parameters), values, bounds, derived, people,
        found, linear, robust, level, identifiable, remarks,
        region=region if intervals else None,
    )  # fmt: skip


def _spline(
    people: People,
    linear: bool,
    robust: bool,
    intervals: bool,
    level: float,
    remarks: list[str],
) -> FittedCurve:
    family = SplineFamily.for_ages(people.age)
    found = estimate(family, people.age, people.value, linear=linear, robust=robust)
    mean = found.mean
    assert isinstance(mean, SplineFit)
    coef = mean.coef * people.scale + people.offset  # B-splines sum to one
    curve = SplineCurve(family.knots, coef)
    region = None
    derived: list[Derived] = []
    if intervals:
        residual = found.target - mean.fitted
        free = people.age.size - mean.n_free
        variance = float(found.weight @ residual**2) / free
        covariance = mean.covariance * people.scale**2
        region = Region(
            np.zeros(1), coef[None], covariance[None], np.array([_t(level, free) ** 2 * variance])
        )
        turning = spline_extremum(family, coef, covariance * variance, level)
        names = (('extremum_age', 'year', 'age of the extremum'),
                 ('extremum', 'ppm', 'value at the extremum'))  # fmt: skip
        if turning is not None:
            derived = [
                Derived(name, *numbers, unit, told)
                for (name, unit, told), numbers in zip(names, turning, strict=True)
            ]
    names = ('edf', 'penalty')
    return _assemble(
        'spline', curve, names, (mean.n_free, mean.penalty), dict.fromkeys(names, (nan, nan)),
        derived, people, found, linear, robust, level, True, remarks, region=region,
        spline=(tuple(family.knots.tolist()), tuple(coef.tolist())),
    )  # fmt: skip


def _assemble(
    family: str,
    curve: Curve,
    names: tuple[str, ...],
    values: tuple[float, ...],
    bounds: dict[str, tuple[float, float]],
    derived: list[Derived],
    people: People,
    found: Estimate,
    linear: bool,
    robust: bool,
    level: float,
    identifiable: bool,
    remarks: list[str],
    *,
    region: Region | None,
    spline: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
) -> FittedCurve:
    n = people.age.size
    k = found.mean.n_free + (2 if linear else 1)
    likelihood = found.log_likelihood - n * log(people.scale)
    spread = rescaled(found.spread, people.scale)
    if linear:
        quantile = _t(level, n - found.mean.n_free)
        bound = slope_interval(people.age, found.mean.leverage, spread, quantile)
        spread = Spread(spread.s0, spread.s1, bound)
    spare = n - k - 1
    return FittedCurve(
        family=family,
        formula=curve.formula,
        names=names,
        values=values,
        intervals=bounds,
        derived=tuple(derived),
        spread=spread,
        n=n,
        k=k,
        log_likelihood=likelihood,
        aicc=-2 * likelihood + 2 * k + (2 * k * (k + 1) / spare if spare > 0 else np.inf),
        bic=-2 * likelihood + k * log(n),
        age_range=(float(people.age.min()), float(people.age.max())),
        level=level,
        identifiable=identifiable,
        remarks=tuple(remarks),
        n_dropped=people.dropped,
        robust=robust,
        spline=spline,
        region=region,
    )


def _vertex(
    age: np.ndarray,
    people: People,
    found: Estimate,
    values: tuple[float, ...],
    level: float,
    intervals: bool,
) -> tuple[list[Derived], list[str]]:
    """Read the extremum of a parabola, with the profile of its vertex."""
    family = VertexFamily(age)
    a, b, c = values
    low, high = family.shape_bounds()
    at = -b / (2 * c) if c != 0 else nan
    region = None
    if low < at < high:
        allowed = _allowed(found, level)
        region = profile_region(family, age, found.target, found.weight, at, allowed)
        region = _in_ppm(region, people)
    if region is None or not is_identifiable(region):
        unknown = [
            Derived(q.name, nan, nan, nan, q.unit, q.description) for q in family.parameters
        ]
        return unknown, [
            'The parabola is too flat to tell the age of its extremum from people of '
            f'{family.youngest:.0f} to {family.oldest:.0f} years.'
        ]
    coef = np.array([a - b**2 / (4 * c), np.nan])
    age_quantity, value_quantity = family.parameters
    limits = [region.interval(q) if intervals else (nan, nan) for q in family.parameters]
    return [
        Derived(age_quantity.name, at, *limits[0], age_quantity.unit, age_quantity.description),
        Derived(value_quantity.name, float(coef[0]), *limits[1], value_quantity.unit,
                value_quantity.description),
    ], []  # fmt: skip


def _derive(quantity: Quantity, shape: float, coef: np.ndarray, region: Region | None) -> Derived:
    low, high = _interval(quantity, region)
    value = quantity(shape, coef)
    return Derived(quantity.name, value, low, high, quantity.unit, quantity.description)


def _interval(quantity: Quantity, region: Region | None) -> tuple[float, float]:
    return (nan, nan) if region is None else region.interval(quantity)


def _allowed(found: Estimate, level: float) -> float:
    """Return the rise of the sum of squares within the region, t² s²."""
    free = found.target.size - found.mean.n_free
    residual = found.target - found.mean.fitted
    return float(_t(level, free) ** 2 * (found.weight @ residual**2) / free)


def _t(level: float, free: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(free, (1 + level) / 2))


def _coef_in_ppm(coef: np.ndarray, people: People) -> np.ndarray:
    scaled = coef * people.scale
    scaled[..., 0] += people.offset
    return scaled


def _in_ppm(region: Region, people: People) -> Region:
    return Region(
        region.shapes,
        _coef_in_ppm(region.coefs, people),
        region.covariances * people.scale**2,
        region.slack,
        region.open_low,
        region.open_high,
    )


def _n_mean(family: str) -> int:
    return PARAMETRIC[family](np.array([0.0, 1.0])).n_free


def _left_out(count: int) -> str:
    if count == 1:
        return 'One person without age or value was left out.'
    return f'{count} people without age or value were left out.'
