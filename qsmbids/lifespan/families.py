"""Families of age curves as they are fitted: columns, shape, parameters.

Every family is *separable*: linear in all its parameters but at most one, the shape ``q``,

    chi(age) = sum_j coef_j * column_j(age; q).

================  =====================================  ====================================
family            columns                                shape q
================  =====================================  ====================================
constant          1                                      none
linear ... cubic  1, t, t², t³; t = (age - middle)/half  none
exponential       1, 1 - exp(-q·age)                     q = beta, the rate in 1/years
poisson           1, (age/q)·exp(1 - age/q)              q = B, the age of the extremum
================  =====================================  ====================================

For a given shape the best coefficients are a weighted straight-line fit, so that the search
for the optimum runs along one axis only (variable projection, Golub and Pereyra 1973).
Whatever is asked of a curve (a parameter, the plateau, the value at 40 years) is either the
shape or a weighted sum of the coefficients, whose weights may depend on the shape; a
`Quantity` says which. That makes intervals simple, see ``intervals``.

References
----------
Golub GH, Pereyra V. The differentiation of pseudo-inverses and nonlinear least squares
problems whose variables separate. SIAM Journal on Numerical Analysis 1973;10:413-432.
https://doi.org/10.1137/0710036
Li W, et al. Hum Brain Mapp 2014;35:2698-2713. https://doi.org/10.1002/hbm.22360
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from qsmbids.lifespan.curves import (
    Constant,
    Cubic,
    Curve,
    Exponential,
    Linear,
    Poisson,
    Quadratic,
)

# a growth or decay that is over by 95 % (three time constants) before the youngest person,
# or that has run for a third of a time constant in the oldest one, leaves no trace
TIME_CONSTANTS = 3.0
_YOUNGEST = 1.0  # years; below one year of age the rate is not asked for
# an extremum shows only if people were measured before it: a tenth of them, or ten years.
# Without this, a chance hump of a few infants is taken for the turn of the curve
_BEFORE_EXTREMUM = 0.1
_EARLIEST_EXTREMUM = 10.0  # years


@dataclass(frozen=True)
class Quantity:
    """Something to be read off a curve.

    Parameters
    ----------
    name, unit, description : str
    weights : callable or None
        From the shape to the weights of the coefficients: value = weights @ coef.
    of_shape : callable or None
        From the shape to the value (monotone), for quantities of the shape alone.
    """

    name: str
    unit: str
    description: str
    weights: Callable[[float], Sequence[float]] | None = None
    of_shape: Callable[[float], float] | None = None

    def __call__(self, shape: float, coef: np.ndarray) -> float:
        """Return the value for one shape and its coefficients."""
        if self.of_shape is not None:
            return float(self.of_shape(shape))
        return float(np.dot(self.weights(shape), coef))


class Family(ABC):
    """A kind of curve that can be fitted to the ages given."""

    name: ClassVar[str]
    curve_class: ClassVar[type[Curve]]
    has_shape: ClassVar[bool] = False

    def __init__(self, age: np.ndarray) -> None:
        self.youngest, self.oldest = float(age.min()), float(age.max())

    @abstractmethod
    def columns(self, age: np.ndarray, shape: float) -> np.ndarray:
        """Return the columns, ``(n, m)``; the first is 1."""

    @property
    @abstractmethod
    def parameters(self) -> tuple[Quantity, ...]:
        """The parameters of the formula, in its order."""

    @property
    def n_free(self) -> int:
        """Number of free parameters of the mean."""
        return len(self.parameters)

    def jacobian(self, age: np.ndarray, shape: float, coef: np.ndarray) -> np.ndarray:
        """Return the derivatives of the curve by its free parameters, ``(n, p)``."""
        return self.columns(age, shape)

    def curve(self, values: Sequence[float]) -> Curve:
        """Return the callable curve of parameters in the order of the formula."""
        return self.curve_class(*values)


class ShapedFamily(Family):
    """A curve that is linear in all parameters but one, its shape."""

    has_shape = True

    def columns(self, age: np.ndarray, shape: float) -> np.ndarray:
        """Return 1 and the column that the shape makes."""
        return np.column_stack([np.ones_like(age), self.shaped(age, shape)])

    @abstractmethod
    def shaped(self, age: np.ndarray, shape: ArrayLike) -> np.ndarray:
        """Return the second column; ages and shapes are broadcast."""

    @abstractmethod
    def shape_bounds(self) -> tuple[float, float]:
        """Return the shapes that these ages could tell from a line and from a constant."""


class TimedFamily(ShapedFamily):
    """A curve whose shape is a rate or a time, above zero and fitted by its logarithm."""

    @abstractmethod
    def shape_slope(self, age: np.ndarray, shape: float) -> np.ndarray:
        """Return the derivative of the second column by the logarithm of the shape."""

    def jacobian(self, age: np.ndarray, shape: float, coef: np.ndarray) -> np.ndarray:
        """Return the derivatives of the curve by coefficients and log shape, ``(n, p)``."""
        return np.column_stack([
            self.columns(age, shape), coef[1] * self.shape_slope(age, shape),
        ])  # fmt: skip


class Polynomial(Family):
    """Constant, linear, quadratic or cubic in age; fitted in centred and scaled age."""

    degree: ClassVar[int]
    symbols: ClassVar[str]

    def __init__(self, age: np.ndarray) -> None:
        super().__init__(age)
        self.middle = (self.youngest + self.oldest) / 2
        self.half = max((self.oldest - self.youngest) / 2, 1e-9)

    def columns(self, age: np.ndarray, shape: float = 0.0) -> np.ndarray:
        """Return the powers of the centred and scaled age."""
        return np.vander((age - self.middle) / self.half, self.degree + 1, increasing=True)

    @property
    def parameters(self) -> tuple[Quantity, ...]:
        """The coefficients of the powers of age in years."""
        line = np.array([-self.middle / self.half, 1 / self.half])
        back = np.zeros((self.degree + 1,) * 2)  # from scaled powers to powers of years
        for power in range(self.degree + 1):
            back[: power + 1, power] = np.polynomial.polynomial.polypow(line, power)
        units = ('ppm', 'ppm/year', 'ppm/year^2', 'ppm/year^3')
        return tuple(
            Quantity(symbol, units[i], f'coefficient of age^{i}', lambda q, w=back[i]: w)
            for i, symbol in enumerate(self.symbols)
        )


class ConstantFamily(Polynomial):
    """No age: chi = c."""

    name, curve_class, degree, symbols = 'constant', Constant, 0, 'c'


class LinearFamily(Polynomial):
    """A straight line."""

    name, curve_class, degree, symbols = 'linear', Linear, 1, 'ab'


class QuadraticFamily(Polynomial):
    """A parabola."""

    name, curve_class, degree, symbols = 'quadratic', Quadratic, 2, 'abc'


class CubicFamily(Polynomial):
    """A cubic polynomial."""

    name, curve_class, degree, symbols = 'cubic', Cubic, 3, 'abcd'


class ExponentialFamily(TimedFamily):
    """Saturating growth alpha*(1 - exp(-beta*age)) + gamma; the shape is beta."""

    name, curve_class = 'exponential', Exponential

    def shaped(self, age: np.ndarray, shape: ArrayLike) -> np.ndarray:
        """Return the share of the growth that is done at each age."""
        return -np.expm1(-shape * age)

    def shape_slope(self, age: np.ndarray, shape: float) -> np.ndarray:
        """Return beta * d/dbeta of the share of the growth."""
        return shape * age * np.exp(-shape * age)

    def shape_bounds(self) -> tuple[float, float]:
        """Return the slowest and the fastest rate, 1/years, that leave a trace."""
        fastest = TIME_CONSTANTS / max(self.youngest, _YOUNGEST)
        return 1 / (TIME_CONSTANTS * self.oldest), fastest

    @property
    def parameters(self) -> tuple[Quantity, ...]:
        """alpha, beta, gamma."""
        return (
            Quantity('alpha', 'ppm', 'total growth', lambda q: (0.0, 1.0)),
            Quantity('beta', '1/year', 'growth rate', of_shape=lambda q: q),
            Quantity('gamma', 'ppm', 'value at birth', lambda q: (1.0, 0.0)),
        )


class PoissonFamily(TimedFamily):
    """Poisson curve A*age*exp(-age/B) + C; the shape is B.

    The second column is scaled to be 1 at its extremum, so that its coefficient is the depth
    A*B/e.
    """

    name, curve_class = 'poisson', Poisson

    def __init__(self, age: np.ndarray) -> None:
        super().__init__(age)
        self.tenth = float(np.quantile(age, _BEFORE_EXTREMUM))

    def shaped(self, age: np.ndarray, shape: ArrayLike) -> np.ndarray:
        """Return the curve that is 0 at birth and 1 at its extremum."""
        return age / shape * np.exp(1 - age / shape)

    def shape_slope(self, age: np.ndarray, shape: float) -> np.ndarray:
        """Return B * d/dB of the scaled curve."""
        return age / shape * np.exp(1 - age / shape) * (age / shape - 1)

    def shape_bounds(self) -> tuple[float, float]:
        """Return the earliest and the latest extremum, years, that leave a trace."""
        within = min(self.tenth, _EARLIEST_EXTREMUM)
        return max(within, self.youngest / TIME_CONSTANTS), TIME_CONSTANTS * self.oldest

    @property
    def parameters(self) -> tuple[Quantity, ...]:
        """A, B, C."""
        return (
            Quantity('A', 'ppm/year', 'initial slope', lambda q: (0.0, np.e / q)),
            Quantity('B', 'year', 'age of the extremum', of_shape=lambda q: q),
            Quantity('C', 'ppm', 'value at birth', lambda q: (1.0, 0.0)),
        )


class VertexFamily(ShapedFamily):
    """A parabola written by its vertex, to read the extremum: v + k*((age - q)/half)²."""

    name, curve_class = 'vertex', Quadratic

    def shaped(self, age: np.ndarray, shape: ArrayLike) -> np.ndarray:
        """Return the squared distance from the vertex."""
        half = (self.oldest - self.youngest) / 2
        return ((age - shape) / half) ** 2

    def shape_bounds(self) -> tuple[float, float]:
        """Return the ages between which an extremum is looked for."""
        width = self.oldest - self.youngest
        return self.youngest - width, self.oldest + width

    @property
    def parameters(self) -> tuple[Quantity, ...]:
        """The age and the value of the extremum."""
        return (
            Quantity('extremum_age', 'year', 'age of the extremum', of_shape=lambda q: q),
            Quantity('extremum', 'ppm', 'value at the extremum', lambda q: (1.0, 0.0)),
        )


PARAMETRIC: dict[str, type[Family]] = {
    cls.name: cls
    for cls in (
        ConstantFamily,
        LinearFamily,
        QuadraticFamily,
        CubicFamily,
        ExponentialFamily,
        PoissonFamily,
    )
}
