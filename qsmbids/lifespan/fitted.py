"""A curve that was fitted: its values, its uncertainty, and what is normal at each age."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import nan
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from qsmbids.lifespan.curves import Curve
from qsmbids.lifespan.derived import Derived
from qsmbids.lifespan.errors import LifespanError
from qsmbids.lifespan.families import PARAMETRIC, Family
from qsmbids.lifespan.intervals import Region
from qsmbids.lifespan.spline import SplineCurve, SplineFamily
from qsmbids.lifespan.spread import Spread


@dataclass(frozen=True)
class FittedCurve:
    """An age curve with everything that is known about it.

    Parameters
    ----------
    family : str
        One of ``FAMILIES``.
    formula : str
    names : tuple of str
        Parameters of the formula; for a spline its knots and coefficients are in ``spline``
        and the parameters are ``edf`` (effective number of parameters) and ``penalty``.
    values : tuple of float
        Parameters, in ppm and years.
    intervals : dict of str to (low, high)
        Interval of each parameter at ``level``; NaN or infinite where the data cannot tell.
    derived : tuple of Derived
    spread : Spread
        Standard deviation between people by age (restricted likelihood).
    n : int
        People used.
    k : float
        Free parameters of curve and spread; not a whole number for a spline.
    log_likelihood, aicc, bic : float
        At the maximum of the likelihood (Huber's density if ``robust``).
    age_range : tuple of float
        Youngest and oldest person, years: the curve is known in between only.
    level : float
        Of all intervals, such as 0.95.
    identifiable : bool
        Whether the shape (growth rate, age of the extremum) can be told from these ages.
    remarks : tuple of str
        Plain sentences for people.
    n_dropped : int
        People without age or value, left out.
    robust : bool
        Whether outliers were given less weight.
    spline : tuple or None
        Knots and coefficients of a spline.
    """

    family: str
    formula: str
    names: tuple[str, ...]
    values: tuple[float, ...]
    intervals: dict[str, tuple[float, float]]
    derived: tuple[Derived, ...]
    spread: Spread
    n: int
    k: float
    log_likelihood: float
    aicc: float
    bic: float
    age_range: tuple[float, float]
    level: float
    identifiable: bool
    remarks: tuple[str, ...]
    n_dropped: int = 0
    robust: bool = False
    spline: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    region: Region | None = field(default=None, repr=False, compare=False)

    @property
    def curve(self) -> Curve:
        """The mean as a callable curve."""
        if self.spline is not None:
            return SplineCurve(*self.spline)
        return PARAMETRIC[self.family].curve_class(*self.values)

    def predict(self, age: ArrayLike) -> np.ndarray | float:
        """Return the mean curve in ppm.

        Parameters
        ----------
        age : float or array-like of float, years
            Any age from birth on. Outside ``age_range`` the curve is a guess, see `covers`.

        Returns
        -------
        float or ndarray, ppm
        """
        return self.curve(age)

    def covers(self, age: ArrayLike) -> np.ndarray:
        """Return whether ages lie between the youngest and the oldest person of the fit."""
        years = np.asarray(age, dtype=float)
        return (years >= self.age_range[0]) & (years <= self.age_range[1])

    def band(self, age: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Return the confidence band of the mean at ``level``, point by point.

        Parameters
        ----------
        age : array-like of float, ``(N,)``, years

        Returns
        -------
        low, high : ndarray of float, ``(N,)``, ppm

        Raises
        ------
        LifespanError
            If the curve was read from a file or fitted with ``intervals=False``.
        """
        if self.region is None:
            raise LifespanError(
                f'This {self.family} curve carries no confidence band.',
                'A band needs the data of the fit; a norm file does not hold them.',
                'Fit the curve with intervals=True and ask for the band then.',
            )
        years = np.atleast_1d(np.asarray(age, dtype=float))
        family = self._family()
        return self.region.band(lambda shape: family.columns(years, shape))

    def sd(self, age: ArrayLike) -> np.ndarray | float:
        """Return the standard deviation between people in ppm at ages in years."""
        return self.spread(age)

    def centile(self, age: ArrayLike, p: ArrayLike) -> np.ndarray | float:
        """Return the value below which ``p`` per cent of people lie, for normal spread.

        Parameters
        ----------
        age : float or array-like of float, years
        p : float or array-like of float
            Between 0 and 100; broadcast against age.

        Returns
        -------
        float or ndarray, ppm
        """
        from scipy.special import ndtri

        value = self.predict(age) + self.sd(age) * ndtri(np.asarray(p, dtype=float) / 100)
        return float(value) if np.ndim(value) == 0 else value

    def z(self, age: ArrayLike, value: ArrayLike) -> np.ndarray | float:
        """Return how many standard deviations values (ppm) lie above the curve."""
        score = (np.asarray(value, dtype=float) - self.predict(age)) / self.sd(age)
        return float(score) if np.ndim(score) == 0 else score

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and lists for JSON, without what the band needs.

        NaN becomes None and infinity the text 'inf' or '-inf', because JSON knows neither.
        """
        return {
            'family': self.family,
            'formula': self.formula,
            'parameters': dict(zip(self.names, map(_plain, self.values), strict=True)),
            'intervals': {
                name: [_plain(x) for x in pair] for name, pair in self.intervals.items()
            },
            'derived': [
                {
                    'name': d.name,
                    'value': _plain(d.value),
                    'low': _plain(d.low),
                    'high': _plain(d.high),
                    'unit': d.unit,
                    'description': d.description,
                }
                for d in self.derived
            ],
            'spread': {
                's0': self.spread.s0,
                's1': self.spread.s1,
                's1_interval': [_plain(x) for x in self.spread.s1_interval],
            },
            'n': self.n,
            'n_dropped': self.n_dropped,
            'k': self.k,
            'log_likelihood': _plain(self.log_likelihood),
            'aicc': _plain(self.aicc),
            'bic': _plain(self.bic),
            'age_range': list(self.age_range),
            'level': self.level,
            'identifiable': self.identifiable,
            'robust': self.robust,
            'remarks': list(self.remarks),
            'spline': None if self.spline is None else [list(part) for part in self.spline],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> FittedCurve:
        """Make the curve of what `to_dict` returned; it predicts the same, without a band."""
        spread = data['spread']
        return cls(
            family=data['family'],
            formula=data['formula'],
            names=tuple(data['parameters']),
            values=tuple(_number(x) for x in data['parameters'].values()),
            intervals={k: tuple(_number(x) for x in v) for k, v in data['intervals'].items()},
            derived=tuple(
                Derived(
                    d['name'],
                    *(_number(d[key]) for key in ('value', 'low', 'high')),
                    d['unit'],
                    d['description'],
                )
                for d in data['derived']
            ),
            spread=Spread(
                spread['s0'], spread['s1'], tuple(_number(x) for x in spread['s1_interval'])
            ),
            n=data['n'],
            k=data['k'],
            log_likelihood=_number(data['log_likelihood']),
            aicc=_number(data['aicc']),
            bic=_number(data['bic']),
            age_range=tuple(data['age_range']),
            level=data['level'],
            identifiable=data['identifiable'],
            remarks=tuple(data['remarks']),
            n_dropped=data['n_dropped'],
            robust=data['robust'],
            spline=None if data['spline'] is None else tuple(map(tuple, data['spline'])),
        )

    def _family(self) -> Family | SplineFamily:
        if self.spline is not None:
            return SplineFamily(np.asarray(self.spline[0]))
        return PARAMETRIC[self.family](np.asarray(self.age_range))


def _plain(number: float) -> float | str | None:
    if np.isnan(number):
        return None
    return float(number) if np.isfinite(number) else str(float(number))


def _number(plain: float | str | None) -> float:
    return nan if plain is None else float(plain)
