import numpy as np
import pytest

from qsmbids.lifespan.curves import Constant, Cubic, Exponential, Linear, Poisson, Quadratic

CURVES = [
    Constant(0.02),
    Linear(0.01, 0.0005),
    Quadratic(0.01, 0.002, -2e-5),
    Cubic(0.01, 0.002, -2e-5, 1e-7),
    Exponential(0.14, 0.09, 0.01),
    Poisson(-0.0025, 30.0, -0.01),
]


@pytest.mark.parametrize('curve', CURVES, ids=lambda c: type(c).__name__)
def test_formula_text_is_what_is_computed(curve):
    names = {
        Constant: {'value': 'c'},
        Linear: {'intercept': 'a', 'slope': 'b'},
        Quadratic: {'intercept': 'a', 'slope': 'b', 'curvature': 'c'},
        Cubic: {'intercept': 'a', 'slope': 'b', 'curvature': 'c', 'third': 'd'},
        Exponential: {},
        Poisson: {'amplitude': 'A', 'time_constant': 'B', 'offset': 'C'},
    }[type(curve)]
    values = {names.get(key, key): value for key, value in vars(curve).items()}
    for age in (0.0, 7.5, 83.0):
        text = curve.formula.replace('^', '**')
        expected = eval(text, {'exp': np.exp, 'age': age} | values)
        assert curve(age) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize('curve', CURVES, ids=lambda c: type(c).__name__)
def test_scalar_gives_float_and_array_gives_array(curve):
    assert isinstance(curve(30), float)
    ages = [1, 30, 80]
    assert curve(ages).tolist() == [curve(age) for age in ages]


@pytest.mark.parametrize('age', [-1, np.nan, [30, -0.1]])
def test_impossible_age_is_refused_in_three_lines(age):
    with pytest.raises(ValueError, match='age must be 0 years or more') as info:
        CURVES[0](age)
    assert len(str(info.value).splitlines()) == 3


def test_exponential_reaches_ninety_per_cent_at_ln10_over_beta():
    curve = Exponential(0.1, 0.05, 0.02)
    age = np.log(10) / 0.05
    assert curve.plateau_age(0.9) == pytest.approx(age)
    assert curve(age) - 0.02 == pytest.approx(0.09)


def test_poisson_extremum_lies_at_its_time_constant_with_depth_ab_over_e():
    curve = Poisson(-0.0025, 31.0, -0.01)
    ages = np.linspace(0, 84, 8401)
    assert ages[np.argmin(curve(ages))] == pytest.approx(31.0, abs=0.01)
    assert curve(curve.extremum_age) + 0.01 == pytest.approx(-0.0025 * 31 / np.e)


def test_quadratic_from_peak():
    curve = Quadratic.from_peak(age=40, value=0.05, at_birth=0.01)
    assert curve.extremum_age == pytest.approx(40)
    assert curve(0) == pytest.approx(0.01)
    assert curve(40) > max(curve(39), curve(41))
