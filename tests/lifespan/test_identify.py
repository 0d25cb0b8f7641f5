import numpy as np
import pytest

from qsmbids.lifespan.fit import fit_curve
from qsmbids.lifespan.prior import prior_curve


def cohort(structure, young, old, n=190, sd=0.01, seed=0):
    rng = np.random.default_rng(seed)
    age = rng.uniform(young, old, n)
    sd = sd * 2 ** ((age - 62) / 62)
    return age, prior_curve(structure)(age) + sd * rng.standard_normal(n)


@pytest.mark.parametrize('structure', ['GlobusPallidusInternal', 'Putamen', 'Caudate'])
@pytest.mark.parametrize('n', [190, 2000])
def test_people_of_60_to_80_years_cannot_give_a_growth_rate(structure, n):
    for seed in range(8):
        fit = fit_curve(*cohort(structure, 60, 80, n, seed=seed))
        assert not fit.identifiable
        assert fit.remarks[-1].startswith(
            'The growth rate cannot be told from people of 60 to 80 years: '
        )
        assert np.isnan([[d.value, d.low, d.high] for d in fit.derived]).all()
        assert np.isnan(fit.intervals['alpha']).all()
        low, high = fit.intervals['beta']
        assert np.isnan(low) or low == 0 or high == np.inf
        # the curve itself is still the mean of these people
        assert fit.predict(70) == pytest.approx(prior_curve(structure)(70), abs=0.01)


@pytest.mark.parametrize('structure', ['GlobusPallidusInternal', 'Putamen', 'Caudate'])
def test_the_whole_lifespan_gives_the_growth_rate(structure):
    for seed in range(8):
        fit = fit_curve(*cohort(structure, 1, 83, seed=seed))
        assert fit.identifiable
        assert not any('cannot be told' in remark for remark in fit.remarks)


def test_children_alone_cannot_tell_a_slow_growth():
    told = [fit_curve(*cohort('Putamen', 1, 15, seed=s, sd=0.02)) for s in range(12)]
    assert sum(fit.identifiable for fit in told) <= 2
    assert any(
        'older people, in whom the growth has slowed down' in ' '.join(f.remarks) for f in told
    )


def test_old_people_cannot_tell_the_minimum_of_white_matter():
    told = [fit_curve(*cohort('CorpusCallosumSplenium', 60, 80, seed=s), 'poisson')
            for s in range(8)]  # fmt: skip
    assert not any(fit.identifiable for fit in told)
    assert all('The age of the extremum cannot be told' in f.remarks[-1] for f in told)


def test_no_growth_at_all_has_no_rate():
    rng = np.random.default_rng(1)
    age = rng.uniform(1, 83, 190)
    found = [fit_curve(age, 0.01 * np.random.default_rng(s).standard_normal(190)).identifiable
             for s in range(20)]  # fmt: skip
    assert np.mean(found) <= 0.15


def test_a_straight_line_has_no_plateau():
    rng = np.random.default_rng(1)
    age = rng.uniform(1, 83, 190)
    fit = fit_curve(age, 0.001 * age + 0.01 * rng.standard_normal(190))
    assert not fit.identifiable
    assert fit.intervals['beta'][0] == 0


def test_a_flat_parabola_has_no_extremum():
    rng = np.random.default_rng(1)
    age = rng.uniform(1, 83, 190)
    fit = fit_curve(age, 0.001 * age + 0.01 * rng.standard_normal(190), 'quadratic')
    assert fit.identifiable  # its coefficients are
    assert np.isnan([d.value for d in fit.derived]).all()
    assert any('too flat to tell the age of its extremum' in r for r in fit.remarks)


def test_without_children_the_value_at_birth_is_flagged():
    fit = fit_curve(*cohort('Caudate', 18, 83, n=2000))
    assert fit.identifiable
    assert any('Nobody is younger than 18 years' in remark for remark in fit.remarks)


def test_identifiability_does_not_need_intervals():
    for young in (1, 60):
        age, value = cohort('Putamen', young, 80)
        assert (
            fit_curve(age, value, intervals=False).identifiable
            == fit_curve(age, value).identifiable
            == (young == 1)
        )
