import json

import numpy as np
import pytest

from qsmbids.lifespan.curves import Constant, Cubic, Exponential, Linear, Poisson, Quadratic
from qsmbids.lifespan.errors import LifespanError
from qsmbids.lifespan.fit import FAMILIES, FittedCurve, fit_curve

TRUE = {
    'constant': Constant(0.02),
    'linear': Linear(0.01, 0.0008),
    'quadratic': Quadratic(0.005, 0.0015, -1.2e-5),
    'cubic': Cubic(0.0, 0.004, -6e-5, 3e-7),
    'exponential': Exponential(0.0965, 0.04, 0.01),
    'poisson': Poisson.from_depth(depth=-0.025, time_constant=30, offset=-0.01),
}
AGE = np.random.default_rng(7).uniform(1, 83, 190)


def noisy(family, sd=0.01, seed=0):
    noise = np.random.default_rng(seed).standard_normal(AGE.size)
    return TRUE[family](AGE) + sd * 2 ** ((AGE - 62) / 62) * noise


@pytest.mark.parametrize('family', TRUE)
@pytest.mark.parametrize('robust', [False, True])
def test_a_curve_without_noise_is_recovered(family, robust):
    fit = fit_curve(AGE, TRUE[family](AGE), family, robust=robust)
    assert fit.values == pytest.approx(tuple(vars(TRUE[family]).values()), rel=1e-6, abs=1e-9)
    assert fit.formula == TRUE[family].formula
    assert np.isfinite([fit.log_likelihood, fit.aicc, fit.bic]).all()
    assert fit.sd(40) < 1e-8


@pytest.mark.parametrize('family', FAMILIES)
def test_another_reference_moves_only_the_offset(family):
    value = noisy('exponential')
    first, moved = fit_curve(AGE, value, family), fit_curve(AGE, value + 0.05, family)
    offset = {'constant': 'c', 'exponential': 'gamma', 'poisson': 'C'}.get(family, 'a')
    for name, one, two in zip(first.names, first.values, moved.values, strict=True):
        shift = 0.05 if name == offset else 0.0
        assert two - one == pytest.approx(shift, rel=1e-4, abs=1e-4 * abs(one))
        low, high = first.intervals[name]
        if np.isfinite(low):
            expected = (low + shift, high + shift)
            assert moved.intervals[name] == pytest.approx(expected, abs=2e-4 * (high - low))
    ages = np.array([0, 10, 40, 83.0])
    assert moved.predict(ages) == pytest.approx(first.predict(ages) + 0.05, abs=1e-6)
    assert moved.sd(ages) == pytest.approx(first.sd(ages), rel=1e-4)
    assert moved.aicc == pytest.approx(first.aicc, abs=1e-3)


@pytest.mark.parametrize('family', FAMILIES)
@pytest.mark.parametrize('factor', [1000.0, -1.0])
def test_another_unit_scales_the_amplitudes_only(family, factor):
    value = noisy('exponential')
    first, other = fit_curve(AGE, value, family), fit_curve(AGE, factor * value, family)
    ages = np.array([0, 10, 40, 83.0])
    assert other.predict(ages) == pytest.approx(factor * first.predict(ages), rel=1e-4)
    assert other.sd(ages) == pytest.approx(abs(factor) * first.sd(ages), rel=1e-4)
    for name, one, two in zip(first.names, first.values, other.values, strict=True):
        of_age = name in ('beta', 'B', 'edf', 'penalty')
        assert two == pytest.approx(one if of_age else factor * one, rel=1e-3)
    for one, two in zip(first.derived, other.derived, strict=True):
        scale = 1.0 if one.unit == 'year' else factor
        expected = sorted([scale * one.low, scale * one.high])
        assert [two.low, two.high] == pytest.approx(expected, rel=1e-3)
    change = other.log_likelihood - first.log_likelihood
    assert change == pytest.approx(-AGE.size * np.log(abs(factor)), abs=1e-3)


@pytest.mark.parametrize('family', FAMILIES)
def test_order_of_people_does_not_matter(family):
    value = noisy('poisson')
    order = np.random.default_rng(1).permutation(AGE.size)
    first, other = fit_curve(AGE, value, family), fit_curve(AGE[order], value[order], family)
    assert other.values == pytest.approx(first.values, rel=1e-5)


def test_criteria_follow_from_likelihood_and_number_of_parameters():
    fit = fit_curve(AGE, noisy('exponential'), 'exponential')
    assert (fit.n, fit.k) == (190, 5)
    assert fit.bic == pytest.approx(5 * np.log(190) - 2 * fit.log_likelihood)
    assert fit.aicc == pytest.approx(10 - 2 * fit.log_likelihood + 60 / 184)
    constant = fit_curve(AGE, noisy('exponential'), 'exponential', spread='constant')
    assert constant.k == 4
    assert constant.spread.s1 == 0
    assert constant.log_likelihood < fit.log_likelihood  # nested


def test_likelihood_is_the_largest_one():
    value = noisy('exponential')
    fit = fit_curve(AGE, value, 'exponential')
    from scipy.optimize import minimize
    from scipy.stats import norm

    def cost(p):
        curve = p[0] * (1 - np.exp(-p[1] * AGE)) + p[2]
        return -norm.logpdf(value, curve, np.exp(p[3] + p[4] * AGE)).sum()

    start = [*fit.values, fit.spread.s0, fit.spread.s1]
    best = minimize(cost, start, method='Nelder-Mead', options={'maxfev': 4000, 'fatol': 1e-8})
    assert fit.log_likelihood == pytest.approx(-best.fun, abs=1e-3)


@pytest.mark.parametrize('family', FAMILIES)
def test_dictionary_goes_through_json_and_back(family):
    fit = fit_curve(AGE, noisy('poisson'), family)
    text = json.dumps(fit.to_dict(), allow_nan=False)
    back = FittedCurve.from_dict(json.loads(text))
    ages = np.array([0.5, 20, 83, 95])
    assert back.predict(ages).tolist() == fit.predict(ages).tolist()
    assert back.centile(ages, 95).tolist() == fit.centile(ages, 95).tolist()
    assert back.z(30, 0.02) == fit.z(30, 0.02)
    assert back.to_dict() == fit.to_dict()
    with pytest.raises(LifespanError, match='no confidence band'):
        back.band(30)


def test_open_intervals_survive_json():
    old = np.linspace(60, 80, 60)
    fit = fit_curve(old, 0.1 + 0.01 * np.random.default_rng(0).standard_normal(60))
    back = FittedCurve.from_dict(json.loads(json.dumps(fit.to_dict(), allow_nan=False)))
    assert str(back.intervals) == str(fit.intervals)


def test_centiles_and_z_agree():
    fit = fit_curve(AGE, noisy('exponential'), 'exponential')
    assert fit.centile(40, 50) == pytest.approx(fit.predict(40))
    assert fit.z(40, fit.centile(40, 97.5)) == pytest.approx(1.959964, abs=1e-5)
    assert fit.centile([20, 60], [[5], [95]]).shape == (2, 2)
    scores = fit.z(AGE, noisy('exponential'))
    assert scores.std() == pytest.approx(1, abs=0.03)
    assert scores.mean() == pytest.approx(0, abs=0.03)


def test_covers_only_the_sampled_ages():
    fit = fit_curve(AGE, noisy('linear'), 'linear')
    assert fit.covers([0.5, 40, 90]).tolist() == [False, True, False]


def test_people_without_age_or_value_are_dropped_and_counted():
    age, value = AGE.copy(), noisy('linear')
    age[3], value[5], value[6] = np.nan, np.nan, np.inf
    fit = fit_curve(age, value, 'linear')
    assert (fit.n, fit.n_dropped) == (187, 3)
    assert '3 people without age or value were left out.' in fit.remarks
    keep = np.isfinite(age) & np.isfinite(value)
    assert fit.values == fit_curve(age[keep], value[keep], 'linear').values


def test_derived_ages_outside_the_cohort_are_flagged():
    age = np.linspace(1, 40, 300)
    noise = 0.001 * np.random.default_rng(2).standard_normal(300)
    fit = fit_curve(age, Exponential(0.1, 0.04)(age) + noise)
    assert fit.identifiable
    assert any('lies outside the ages of the cohort (1 to 40 years)' in r for r in fit.remarks)


@pytest.mark.parametrize(
    ('age', 'value', 'family', 'match'),
    [
        ([30], [0.1], 'linear', 'needs 5 people, there are 1.'),
        ([30, np.nan], [0.1, 0.2], 'linear', 'there are 1 .1 more have no age'),
        ([], [], 'constant', 'needs 4 people, there are 0'),
        ([40] * 20, np.arange(20) / 100, 'exponential', 'all have the same age'),
        ([40, 50] * 20, np.arange(40) / 100, 'quadratic', '2 different ages'),
        (np.arange(10), np.arange(10), 'spline', 'needs 12 people'),
        ([-1] * 20, np.arange(20), 'linear', 'age is negative'),
        ([1, 2], [1], 'linear', '2 ages for 1 values'),
        (AGE, AGE, 'sigmoid', "called 'sigmoid'"),
    ],
)
def test_what_cannot_be_fitted_is_told_in_three_lines(age, value, family, match):
    with pytest.raises(LifespanError, match=match) as info:
        fit_curve(age, value, family)
    assert len(str(info.value).splitlines()) == 3


def test_level_must_be_a_share():
    with pytest.raises(LifespanError, match='confidence level 95'):
        fit_curve(AGE, AGE, 'linear', level=95)


def test_constant_values_do_not_break_anything():
    for family in FAMILIES:
        fit = fit_curve(AGE, np.full(AGE.size, 0.03), family)
        assert fit.predict(40) == pytest.approx(0.03)


def test_people_of_one_age_have_a_mean_and_a_spread():
    value = noisy('constant')
    fit = fit_curve(np.full(AGE.size, 40.0), value, 'constant')
    assert fit.values[0] == pytest.approx(value.mean())
    assert fit.sd(70) == pytest.approx(value.std(ddof=1))


def test_few_people_get_a_constant_spread_and_are_told():
    age = np.linspace(3, 80, 12)
    value = Exponential(0.1, 0.06)(age) + 0.004 * np.random.default_rng(0).standard_normal(12)
    fit = fit_curve(age, value)
    assert fit.spread.s1 == 0
    assert any('fewer than 30 people' in remark for remark in fit.remarks)


def test_outliers_move_a_robust_curve_little():
    value = noisy('exponential', sd=0.006)
    spoilt = value.copy()
    spoilt[::12] += 0.15
    truth = TRUE['exponential'](AGE)
    plain, robust = (fit_curve(AGE, spoilt, robust=flag) for flag in (False, True))
    assert np.abs(robust.predict(AGE) - truth).max() < 0.006
    assert np.abs(plain.predict(AGE) - truth).max() > 0.012
    assert robust.sd(62) < 1.6 * 0.006 < plain.sd(62)
    assert robust.robust


def test_robust_fit_is_close_to_the_plain_one_for_normal_data():
    value = noisy('exponential')
    plain, robust = (fit_curve(AGE, value, robust=flag) for flag in (False, True))
    for one, two in zip(plain.derived, robust.derived, strict=True):
        width = one.high - one.low
        assert two.value == pytest.approx(one.value, abs=0.2 * width)
        assert two.high - two.low == pytest.approx(width, rel=0.25)
