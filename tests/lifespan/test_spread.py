import numpy as np
import pytest

from qsmbids.lifespan.fit import fit_curve
from qsmbids.lifespan.spread import Spread, fit_spread, log_likelihood

AGE = np.random.default_rng(3).uniform(1, 83, 4000)


def residuals(s1, seed=0):
    return 0.01 * np.exp(s1 * AGE) * np.random.default_rng(seed).standard_normal(AGE.size)


@pytest.mark.parametrize('s1', [-0.01, 0.0, 0.0112])
def test_slope_and_level_are_recovered(s1):
    spread = fit_spread(AGE, residuals(s1))
    assert spread.s1 == pytest.approx(s1, abs=0.0015)
    assert spread(50) == pytest.approx(0.01 * np.exp(50 * s1), rel=0.05)


def test_it_is_the_largest_likelihood():
    r = residuals(0.01)[:100]
    age = AGE[:100]
    spread = fit_spread(age, r)
    best = log_likelihood(age, r, spread)
    for change0, change1 in ((0.01, 0), (-0.01, 0), (0, 2e-4), (0, -2e-4)):
        assert log_likelihood(age, r, Spread(spread.s0 + change0, spread.s1 + change1)) < best


def test_constant_spread_is_the_root_mean_square():
    r = residuals(0.0)
    assert fit_spread(AGE, r, linear=False)(10) == pytest.approx(np.sqrt(np.mean(r**2)))


def test_leverage_divides_by_people_minus_parameters():
    r = residuals(0.0)[:50]
    spread = fit_spread(AGE[:50], r, np.full(50, 5 / 50), linear=False)
    assert spread(0) == pytest.approx(np.sqrt(np.sum(r**2) / 45))


def test_restricted_likelihood_of_a_line_is_that_of_statsmodels():
    age = AGE[:40]
    value = 0.02 + 0.001 * age + residuals(0.0)[:40]
    import statsmodels.api as sm

    fit = fit_curve(age, value, 'linear', spread='constant')
    ols = sm.OLS(value, sm.add_constant(age)).fit()
    assert fit.sd(30) == pytest.approx(np.sqrt(ols.scale), rel=1e-6)
    assert fit.log_likelihood == pytest.approx(ols.llf, abs=1e-6)
    assert fit.intervals['b'] == pytest.approx(tuple(ols.conf_int()[1]), rel=1e-6)
    assert fit.intervals['a'] == pytest.approx(tuple(ols.conf_int()[0]), rel=1e-6)


def test_spread_of_small_cohorts_is_not_biased():
    levels, slopes = [], []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        age = rng.uniform(1, 83, 40)
        value = 0.1 * age / 83 + 0.01 * np.exp(0.01 * (age - 42)) * rng.standard_normal(40)
        fit = fit_curve(age, value, 'cubic', intervals=False)
        levels.append((fit.sd(42) / 0.01) ** 2)
        slopes.append(fit.spread.s1)
    assert np.mean(levels) == pytest.approx(1, abs=0.06)  # maximum likelihood: 0.86
    assert np.mean(slopes) == pytest.approx(0.01, abs=0.0015)


def test_interval_of_the_slope_covers_it():
    inside = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        age = rng.uniform(1, 83, 190)
        value = 0.01 * np.exp(0.01 * age) * rng.standard_normal(190)
        low, high = fit_curve(age, value, 'linear').spread.s1_interval
        inside += low < 0.01 < high
    assert 89 <= inside <= 99


def test_spread_may_not_grow_without_limit():
    age = np.linspace(1, 80, 60)
    value = np.where(age < 40, 0.0, np.random.default_rng(0).standard_normal(60))
    spread = fit_spread(age, value, floor=1e-9)
    assert spread(80) / spread(1) == pytest.approx(50)
