"""Correlations against scipy, and partial ones against regression."""

import numpy as np
import pytest
from scipy import stats

from qsmbids.group.errors import GroupError
from qsmbids.group.people.scores import correlate_scores, correlation


def test_plain_ones_are_those_of_scipy():
    rng = np.random.default_rng(0)
    a = rng.standard_normal(40)
    b = a + rng.standard_normal(40)
    r, low, high, p = correlation(a, b)
    expected = stats.pearsonr(a, b)
    interval = expected.confidence_interval()
    np.testing.assert_allclose(
        [r, low, high, p], [*expected[:1], *interval, expected.pvalue], rtol=1e-6
    )
    rho, *_, p = correlation(a, np.exp(b), ranks=True)
    np.testing.assert_allclose([rho, p], stats.spearmanr(a, b), rtol=1e-6)


def test_age_alone_makes_no_partial_correlation(people, table):
    """Score and susceptibility have nothing in common but age."""
    scans = people(150)
    rng = np.random.default_rng(0)
    age = scans['age'].to_numpy()
    scans['score'] = 0.5 * age + 5 * rng.standard_normal(150)
    y = 0.001 * age[:, None] + 0.01 * rng.standard_normal((150, 1000))
    frame = correlate_scores(scans, table(mean=y), ['score'])[0].frame
    assert (frame['pearson_p'] < 0.001).all()
    for kind in ('partial_pearson', 'partial_spearman'):
        # one score for all regions: its own chance correlation moves all of them alike
        assert (frame[f'{kind}_p'] < 0.05).mean() == pytest.approx(0.05, abs=0.03)
        covered = (frame[f'{kind}_low'] < 0) & (frame[f'{kind}_high'] > 0)
        assert covered.mean() == pytest.approx(0.95, abs=0.03)


def test_partial_is_the_t_of_regression():
    sm = pytest.importorskip('statsmodels.api')
    rng = np.random.default_rng(1)
    x = rng.standard_normal((50, 2))
    a = x @ [1, 2] + rng.standard_normal(50)
    b = 0.5 * a + x @ [1, 1] + rng.standard_normal(50)
    r, _, _, p = correlation(a, b, x)
    fit = sm.OLS(b, sm.add_constant(np.column_stack([x, a]))).fit()
    t = fit.tvalues[-1]
    np.testing.assert_allclose([r, p], [t / np.hypot(t, np.sqrt(46)), fit.pvalues[-1]])


def test_interval_of_a_partial_correlation_covers():
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(800):
        x = rng.standard_normal((30, 2))
        shared = rng.standard_normal(30)
        a, b = (shared + rng.standard_normal(30) + x @ [1, -1] for _ in range(2))
        _, low, high, _ = correlation(a, b, x)
        hits += low < 0.5 < high
    assert hits / 800 == pytest.approx(0.95, abs=0.02)


def test_one_scan_of_each_person_counts(people, table):
    scans = people(40, sessions=2)
    scans['score'] = np.arange(80.0)
    scans.loc[0, 'score'] = np.nan  # of the first person only the second session has a score
    y = np.random.default_rng(0).standard_normal((80, 2))
    y[3:, 1] = np.nan
    result, _ = correlate_scores(scans, table(mean=y), ['score'])
    assert list(result.frame['n']) == [40, 2]
    assert np.isnan(result.frame['pearson'].iloc[1])
    chosen = np.r_[1, np.arange(2, 80, 2)]
    expected = np.corrcoef(np.float32(y[chosen, 0]), scans['score'][chosen])[0, 1]
    assert result.frame['pearson'].iloc[0] == pytest.approx(expected)
    assert list(result.frame.columns) == [name for name, _, _ in result.columns]


def test_the_earliest_scan_counts_whatever_its_label(people, table):
    scans = people(20, sessions=3)
    scans['session_id'] = np.tile(['ses-followup', 'ses-pre', 'ses-mid'], 20)
    scans['age'] = scans['age'] + np.tile([9.0, -2.0, 0.0], 20)
    scans['first_session'] = scans['session_id'] == 'ses-pre'
    scans['score'] = np.random.default_rng(1).standard_normal(60)
    y = np.random.default_rng(0).standard_normal((60, 1))
    scans.loc[1, 'score'] = np.nan  # of the first person the one in the middle is the earliest
    chosen = np.r_[2, np.arange(4, 60, 3)]
    expected = np.corrcoef(np.float32(y[chosen, 0]), scans['score'][chosen])[0, 1]
    frame = correlate_scores(scans, table(mean=y), ['score'])[0].frame
    assert frame['pearson'].iloc[0] == pytest.approx(expected)
    scans['acq_time'] = np.tile(['2020-01-01', '2018-01-01', '2021-01-01'], 20)
    chosen[0] = 0  # the time of acquisition counts before the age
    expected = np.corrcoef(np.float32(y[chosen, 0]), scans['score'][chosen])[0, 1]
    frame = correlate_scores(scans, table(mean=y), ['score'])[0].frame
    assert frame['pearson'].iloc[0] == pytest.approx(expected)


def test_unknown_sex_and_scores_that_cannot_be_used(people, table):
    scans = people(40).assign(score=np.arange(40.0), same=1.0, few=np.nan, sex='')
    scans.loc[:3, 'few'] = [1.0, 2, 3, 4]
    y = np.random.default_rng(0).standard_normal((40, 2))
    result, problems = correlate_scores(scans, table(mean=y), ['score', 'same', 'few', 'none'])
    assert set(result.frame['adjusted_for']) == {'age'}
    text = ' '.join(map(str, problems))
    for words in ('Nobody has a value of sex', 'same is the same in all 40 people',
                  'few is known of 4 people', 'no column none'):  # fmt: skip
        assert words in text
    with pytest.raises(GroupError, match='column of text'):
        correlate_scores(scans, table(mean=y), ['diagnosis'])
    with pytest.raises(GroupError, match='None of the scores'):
        correlate_scores(scans, table(mean=y), ['same', 'few'])
