"""Age curves: small functions from age in years to a tissue property.

Each family is a frozen dataclass of its parameters that can be called with ages. The
parameters carry the unit of the property, ppm for susceptibility.

================  =========================================  ===========================
family            formula                                    used for
================  =========================================  ===========================
``Constant``      c                                          ventricles, general tissue
``Linear``        a + b·age                                  adults
``Quadratic``     a + b·age + c·age²                         thalamus, adults
``Cubic``         a + b·age + c·age² + d·age³                wide ranges, many people
``Exponential``   α·(1 − exp(−β·age)) + γ                    iron-rich nuclei
``Poisson``       A·age·exp(−age/B) + C                      white matter
================  =========================================  ===========================

The exponential (deep grey matter) and the Poisson curve (white matter) are the families
that Li et al. used for susceptibility over the lifespan.

References
----------
Li W, Wu B, Batrachenko A, et al. Differential developmental trajectories of magnetic
susceptibility in human brain gray and white matter over the lifespan. Hum Brain Mapp
2014;35:2698-2713. https://doi.org/10.1002/hbm.22360
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike


class Curve(ABC):
    """A function of age with a printable formula. Base class of the families."""

    formula: ClassVar[str] = ''

    @abstractmethod
    def _value(self, age: np.ndarray) -> np.ndarray:
        """Return the values at ages that were checked."""

    def __call__(self, age: ArrayLike) -> np.ndarray | float:
        """Evaluate the curve.

        Parameters
        ----------
        age : float or array-like of float, years
            Ages, 0 or more.

        Returns
        -------
        float or ndarray
            Value in the unit of the parameters; a float for a single age.

        Raises
        ------
        ValueError
            If an age is negative or not a number.
        """
        years = np.asarray(age, dtype=float)
        if not np.all(years >= 0):  # also catches NaN
            raise ValueError(
                f'age must be 0 years or more, got {age}.\n'
                'Age curves are defined from birth on.\n'
                'Give the age in years, or leave it out if it is unknown.'
            )
        value = self._value(years)
        return float(value) if years.ndim == 0 else value


@dataclass(frozen=True)
class Constant(Curve):
    """The same value at every age.

    Examples
    --------
    >>> Constant(0.01)([5, 50]).tolist()
    [0.01, 0.01]
    """

    value: float
    formula: ClassVar[str] = 'c'

    def _value(self, age: np.ndarray) -> np.ndarray:
        return np.full(age.shape, float(self.value))


@dataclass(frozen=True)
class Linear(Curve):
    """A straight line a + b·age.

    Examples
    --------
    >>> Linear(intercept=0.01, slope=0.001)([0, 50]).round(3).tolist()
    [0.01, 0.06]
    """

    intercept: float
    slope: float  # per year
    formula: ClassVar[str] = 'a + b*age'

    def _value(self, age: np.ndarray) -> np.ndarray:
        return self.intercept + self.slope * age


@dataclass(frozen=True)
class Quadratic(Curve):
    """A parabola a + b·age + c·age², with its extremum at age −b / (2c).

    Examples
    --------
    >>> round(Quadratic.from_peak(age=40, value=0.05, at_birth=0.01)(40), 3)
    0.05
    """

    intercept: float
    slope: float  # per year
    curvature: float  # per year squared
    formula: ClassVar[str] = 'a + b*age + c*age^2'

    @classmethod
    def from_peak(cls, *, age: float, value: float, at_birth: float) -> Quadratic:
        """Make the parabola with its extremum ``value`` at ``age`` and ``at_birth`` at 0."""
        curvature = (at_birth - value) / age**2
        return cls(intercept=at_birth, slope=-2 * curvature * age, curvature=curvature)

    @property
    def extremum_age(self) -> float:
        """Age in years of the maximum or minimum."""
        return -self.slope / (2 * self.curvature)

    def _value(self, age: np.ndarray) -> np.ndarray:
        return self.intercept + self.slope * age + self.curvature * age**2


@dataclass(frozen=True)
class Cubic(Curve):
    """A cubic polynomial a + b·age + c·age² + d·age³.

    Examples
    --------
    >>> Cubic(1.0, 0.0, 0.0, 2.0)(2)
    17.0
    """

    intercept: float
    slope: float  # per year
    curvature: float  # per year squared
    third: float  # per year cubed
    formula: ClassVar[str] = 'a + b*age + c*age^2 + d*age^3'

    def _value(self, age: np.ndarray) -> np.ndarray:
        return self.intercept + age * (self.slope + age * (self.curvature + age * self.third))


@dataclass(frozen=True)
class Exponential(Curve):
    """Saturating growth α·(1 − exp(−β·age)) + γ.

    Parameters
    ----------
    alpha : float
        Total growth.
    beta : float, 1/years
        Rate; 1/β is the time constant.
    gamma : float
        Value at birth.

    Examples
    --------
    >>> curve = Exponential(alpha=0.1, beta=0.09, gamma=0.0)
    >>> round(curve.plateau_age(0.9), 1)
    25.6
    >>> round(curve(curve.plateau_age(0.9)), 3)
    0.09
    """

    alpha: float
    beta: float
    gamma: float = 0.0
    formula: ClassVar[str] = 'alpha*(1 - exp(-beta*age)) + gamma'

    def plateau_age(self, fraction: float = 0.9) -> float:
        """Age in years at which ``fraction`` of the total growth is reached."""
        return float(-np.log(1 - fraction) / self.beta)

    def _value(self, age: np.ndarray) -> np.ndarray:
        return self.alpha * (1 - np.exp(-self.beta * age)) + self.gamma


@dataclass(frozen=True)
class Poisson(Curve):
    """The Poisson curve A·age·exp(−age/B) + C.

    Parameters
    ----------
    amplitude : float, per year
        A; negative in white matter, where susceptibility first falls, then rises.
    time_constant : float, years
        B, which is also the age of the extremum.
    offset : float
        C, the value at birth.

    Notes
    -----
    The derivative A·exp(−age/B)·(1 − age/B) vanishes at age = B, where the curve has
    moved from C by A·B/e.

    Examples
    --------
    >>> curve = Poisson.from_depth(depth=-0.03, time_constant=30, offset=-0.01)
    >>> round(curve(30), 6)
    -0.04
    """

    amplitude: float
    time_constant: float
    offset: float = 0.0
    formula: ClassVar[str] = 'A*age*exp(-age/B) + C'

    @classmethod
    def from_depth(cls, *, depth: float, time_constant: float, offset: float) -> Poisson:
        """Make the curve that differs from ``offset`` by ``depth`` at its extremum."""
        return cls(np.e * depth / time_constant, time_constant, offset)

    @property
    def extremum_age(self) -> float:
        """Age in years of the maximum or minimum."""
        return self.time_constant

    def _value(self, age: np.ndarray) -> np.ndarray:
        return self.amplitude * age * np.exp(-age / self.time_constant) + self.offset
