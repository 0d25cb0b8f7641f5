import numpy as np
import pytest

from qsmbids.lifespan.fit import fit_curve
from qsmbids.lifespan.prior import prior_curve
from qsmbids.lifespan.spline import SplineFamily, fit_spline

AGE = np.random.default_rng(21).uniform(1, 83, 400)
NOISE = np.random.default_rng(22).standard_normal(400)
WHITE = prior_curve('CorpusCallosumSplenium')


def test_a_line_stays_a_line():
    fit = fit_curve(AGE, 0.02 + 0.001 * AGE, 'spline')
    assert fit.predict([1, 40, 83]) == pytest.approx([0.021, 0.06, 0.103], abs=1e-7)
    assert fit.derived == ()


def test_a_noisy_line_needs_little_more_than_two_parameters():
    edf = [
        fit_curve(
            AGE, 0.001 * AGE + 0.01 * np.random.default_rng(s).standard_normal(400), 'spline',
            intervals=False,
        ).values[0]
        for s in range(10)
    ]  # fmt: skip
    assert np.median(edf) < 3
    assert min(edf) >= 2


def test_a_curve_is_followed():
    fit = fit_curve(AGE, WHITE(AGE) + 0.003 * NOISE, 'spline')
    ages = np.linspace(3, 80, 30)
    assert np.abs(fit.predict(ages) - WHITE(ages)).max() < 0.002
    assert 4 < fit.values[0] < 12
    assert fit.k == pytest.approx(fit.values[0] + 2)


def test_age_of_the_minimum_and_its_interval():
    fit = fit_curve(AGE, WHITE(AGE) + 0.003 * NOISE, 'spline')
    at, depth = fit.derived
    assert (at.name, depth.name) == ('extremum_age', 'extremum')
    assert at.low < 30 < at.high
    assert at.high - at.low < 20
    assert depth.value == pytest.approx(-0.035, abs=0.002)
    assert fit.derived == fit_curve(AGE, WHITE(AGE) + 0.003 * NOISE, 'spline').derived


def test_band_covers_the_curve_on_average_over_ages():
    ages = np.linspace(2, 82, 41)
    inside = []
    for seed in range(40):
        noise = np.random.default_rng(seed).standard_normal(400)
        low, high = fit_curve(AGE, WHITE(AGE) + 0.006 * noise, 'spline').band(ages)
        inside.append((low < WHITE(ages)) & (WHITE(ages) < high))
    assert 0.90 < np.mean(inside) < 0.99


def test_it_goes_on_straight_beyond_the_ages():
    fit = fit_curve(AGE, WHITE(AGE) + 0.003 * NOISE, 'spline')
    steps = np.diff(fit.predict([85, 90, 95, 100]))
    assert steps == pytest.approx(np.full(3, steps[0]))


def test_penalised_solution_solves_its_equations():
    family = SplineFamily.for_ages(AGE)
    value = 100 * WHITE(AGE) + 0.3 * NOISE
    weight = np.exp(-AGE / 60)
    fit = fit_spline(family, AGE, value, weight)
    columns = family.columns(AGE)
    normal = columns.T @ (weight[:, None] * columns)
    expected = np.linalg.solve(
        normal + fit.penalty * family.penalty(), columns.T @ (weight * value)
    )
    assert columns @ fit.coef == pytest.approx(columns @ expected, abs=1e-5)
    hat = np.trace(np.linalg.solve(normal + fit.penalty * family.penalty(), normal))
    assert fit.n_free == pytest.approx(hat, rel=1e-4)
    assert fit.leverage.sum() == pytest.approx(hat, rel=1e-4)


def test_it_agrees_with_the_smoothing_spline_of_scipy():
    from scipy.interpolate import make_smoothing_spline

    order = np.argsort(AGE)
    value = WHITE(AGE) + 0.003 * NOISE
    theirs = make_smoothing_spline(AGE[order], value[order])
    fit = fit_curve(AGE, value, 'spline', spread='constant')
    ages = np.linspace(5, 78, 20)
    assert fit.predict(ages) == pytest.approx(theirs(ages), abs=0.001)


def test_a_gap_in_the_ages_is_bridged():
    age = np.r_[np.linspace(1, 15, 60), np.linspace(60, 80, 60)]
    noise = 0.002 * np.random.default_rng(0).standard_normal(120)
    assert fit_curve(age, 0.001 * age + noise, 'spline').predict(40) == pytest.approx(
        0.04, abs=0.006
    )
    low, high = fit_curve(age, WHITE(age) + noise, 'spline').band([8.0, 35.0])
    assert high[1] - low[1] > 2 * (high[0] - low[0])
