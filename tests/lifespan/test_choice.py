import numpy as np
import pytest
from scipy import stats

from qsmbids.lifespan.choice import choose_curve, compare, nested_test
from qsmbids.lifespan.errors import LifespanError
from qsmbids.lifespan.fit import fit_curve
from qsmbids.lifespan.norm_prior import prior_spread
from qsmbids.lifespan.prior import chi_at_age


def people(region, seed, n=100):
    rng = np.random.default_rng(seed)
    age = rng.uniform(1, 83, n)
    sd = np.array([prior_spread(region, a) for a in age])
    return age, chi_at_age(region, age) + sd * rng.standard_normal(n)


def straight(seed, n=100, slope=0.0, sd=0.01):
    rng = np.random.default_rng(seed)
    age = rng.uniform(20, 80, n)
    return age, 0.05 + slope * age + sd * rng.standard_normal(n)


# ------------------------------------------------------------------------------- criteria
@pytest.mark.parametrize(
    ('region', 'family'),
    [('GlobusPallidusInternal', 'exponential'), ('CorpusCallosumSplenium', 'poisson')],
)
def test_the_true_family_is_chosen_with_a_hundred_people(region, family):
    families = ('constant', 'linear', 'exponential', 'poisson')
    chosen = [
        choose_curve(*people(region, seed), families, intervals=False).best for seed in range(8)
    ]
    assert chosen.count(family) >= 7


def test_a_straight_line_and_no_change_are_chosen_when_they_are_true():
    families = ('constant', 'linear', 'quadratic')
    for slope, family in ((0.0, 'constant'), (0.0005, 'linear')):
        chosen = [
            choose_curve(*straight(seed, slope=slope), families, intervals=False).best
            for seed in range(12)
        ]
        assert chosen.count(family) >= 8  # AICc takes one parameter too many in 16 of 100


def test_criteria_are_what_the_formulas_say():
    age, value = people('Putamen', 1)
    choice = choose_curve(age, value, ('constant', 'linear', 'exponential'), intervals=False)
    for row in choice.table:
        n, k = age.size, row['k']
        aicc = -2 * row['log_likelihood'] + 2 * k + 2 * k * (k + 1) / (n - k - 1)
        assert row['aicc'] == pytest.approx(aicc)
        assert row['bic'] == pytest.approx(-2 * row['log_likelihood'] + k * np.log(n))
    for name in ('aicc', 'bic'):
        assert sum(row[f'weight_{name}'] for row in choice.table) == pytest.approx(1)
        assert min(row[f'delta_{name}'] for row in choice.table) == 0
    first, second = choice.table[:2]
    assert first['weight_aicc'] / second['weight_aicc'] == pytest.approx(
        np.exp(second['delta_aicc'] / 2)
    )
    assert choice.best == first['family']


def test_bic_may_choose_a_simpler_curve_than_aicc():
    for seed in range(40):
        age, value = straight(seed)
        by = [
            choose_curve(age, value, ('constant', 'linear'), criterion=c, intervals=False).best
            for c in ('aicc', 'bic')
        ]
        if by[0] != by[1]:
            assert by == ['linear', 'constant']
            return
    pytest.fail('the two criteria never differed')


def test_a_curve_whose_rate_cannot_be_told_is_not_chosen():
    rng = np.random.default_rng(2)
    age = rng.uniform(60, 80, 80)
    value = chi_at_age('GlobusPallidusInternal', age) + 0.01 * rng.standard_normal(80)
    choice = choose_curve(age, value, ('constant', 'exponential'), intervals=False)
    assert not choice.fits['exponential'].identifiable
    assert choice.best == 'constant'


def test_only_the_best_curve_gets_intervals():
    choice = choose_curve(*people('Putamen', 1), ('linear', 'exponential'))
    assert choice.best == 'exponential'
    assert np.isfinite(choice.fit.intervals['alpha']).all()
    assert np.isnan(choice.fits['linear'].intervals['b']).all()


# ---------------------------------------------------------------------------------- tests
def test_f_test_with_a_constant_spread_is_that_of_textbooks():
    age, value = straight(3, n=25, slope=0.0002)
    choice = choose_curve(age, value, ('constant', 'linear'), spread='constant', intervals=False)
    (test,) = choice.tests
    assert test['kind'] == 'F'
    assert test['p'] == pytest.approx(stats.linregress(age, value).pvalue, rel=1e-3)
    assert choice.p_against('linear') != choice.p_against('linear')  # it is not tested


def test_likelihood_ratio_of_the_quadratic_against_the_line():
    age, value = people('Putamen', 4)
    line, curve = (fit_curve(age, value, f, intervals=False) for f in ('linear', 'quadratic'))
    test = nested_test(line, curve)
    gain = 2 * (curve.log_likelihood - line.log_likelihood)
    assert (test['kind'], test['df']) == ('LRT', 1)
    assert test['statistic'] == pytest.approx(gain)
    assert test['p'] == pytest.approx(stats.chi2.sf(gain, 1))


def test_curves_that_are_not_nested_get_no_p_value_but_the_difference_of_aicc():
    choice = choose_curve(*people('Putamen', 5), ('linear', 'exponential'), intervals=False)
    against_line = next(
        t for t in choice.tests if (t['family'], t['against']) == ('exponential', 'linear')
    )
    assert not against_line['nested']
    assert np.isnan(against_line['p'])
    assert 'no special case' in against_line['remark']
    aicc = {row['family']: row['aicc'] for row in choice.table}
    assert against_line['delta_aicc'] == pytest.approx(aicc['exponential'] - aicc['linear'])
    assert choice.p_against('constant') < 1e-6


def test_simpler_curves_are_tested_against_but_not_chosen_unless_they_are_named():
    choice = choose_curve(*straight(6), ('quadratic',), intervals=False)
    assert choice.best == 'quadratic'
    assert [row['family'] for row in choice.table] == ['quadratic']
    assert {t['against'] for t in choice.tests} == {'constant', 'linear'}


def test_p_of_a_line_is_uniform_when_nothing_changes():
    p = [
        choose_curve(*straight(seed, n=60), ('linear',), intervals=False).p_against()
        for seed in range(100)
    ]
    assert 0.01 <= np.mean(np.array(p) < 0.05) <= 0.11
    assert stats.kstest(p, 'uniform').pvalue > 0.01


# ------------------------------------------------------------------------- what goes wrong
def test_a_family_that_needs_more_people_is_left_out_and_named():
    age, value = straight(7, n=5)
    choice = choose_curve(age, value, ('constant', 'linear', 'cubic'), intervals=False)
    assert 'cubic' not in choice.fits
    assert any(text.startswith('cubic: ') for text in choice.remarks)


def test_nothing_that_can_be_fitted_is_an_error_in_three_lines():
    with pytest.raises(LifespanError) as info:
        choose_curve([30.0], [0.1])
    assert len(str(info.value).splitlines()) == 3


def test_an_unknown_criterion_is_named():
    with pytest.raises(LifespanError, match='"cp" is no criterion'):
        choose_curve(*straight(8), criterion='cp')


def test_weights_of_equal_curves_are_equal():
    age, value = straight(9)
    fit = fit_curve(age, value, 'linear', intervals=False)
    assert [row['weight_aicc'] for row in compare({'one': fit, 'two': fit})] == [0.5, 0.5]
