"""Areas under the curve against scikit-learn, brute force and a known truth."""

import numpy as np
import pytest
from scipy import stats

from qsmbids.group.errors import GroupError
from qsmbids.group.people.auc import area, cross_validated, performance, youden
from qsmbids.group.people.roc import read_contrast, roc


def test_area_is_the_share_of_pairs():
    rng = np.random.default_rng(0)
    x, z = rng.integers(0, 9, 30).astype(float) + 1, rng.integers(0, 9, 40).astype(float)
    pairs = (x[:, None] > z) + 0.5 * (x[:, None] == z)
    assert area(x, z)[0] == pytest.approx(pairs.mean())
    assert area(-x, -z)[0] == pytest.approx(1 - pairs.mean())


def test_delong_against_bootstrap():
    rng = np.random.default_rng(1)
    x, z = rng.standard_normal(60) + 1, rng.standard_normal(80)
    pairs = x[:, None] > z
    drawn = [
        pairs[np.ix_(rng.integers(0, 60, 60), rng.integers(0, 80, 80))].mean() for _ in range(4000)
    ]
    auc, low, high, _ = area(x, z)
    se = (high - low) / (2 * 1.96)
    assert se == pytest.approx(np.std(drawn), rel=0.06)
    assert [low, high] == pytest.approx(list(np.percentile(drawn, [2.5, 97.5])), abs=0.015)
    assert low < auc < high


def test_interval_covers_the_truth():
    rng = np.random.default_rng(2)
    truth = stats.norm.cdf(1 / np.sqrt(2))
    hits = 0
    for _ in range(1000):
        _, low, high, _ = area(rng.standard_normal(25) + 1, rng.standard_normal(35))
        hits += low < truth < high
    assert hits / 1000 == pytest.approx(0.95, abs=0.02)


def test_perfect_separation_is_not_certainty():
    auc, low, high, p = area(np.arange(10.0) + 100, np.arange(10.0))
    assert (auc, high) == (1.0, 1.0)
    assert 0.7 < low < 0.95
    assert p < 0.001
    assert area(np.arange(10.0), np.arange(10.0) + 100)[2] == pytest.approx(1 - low)


def test_youden_is_the_best_of_all_cutoffs():
    rng = np.random.default_rng(3)
    for sign in (1, -1):
        x, z = sign * (rng.standard_normal(30) + 1), sign * rng.standard_normal(30)
        higher = sign > 0

        def score(cut, x=x, z=z, higher=higher):
            hits, passes = performance(x, z, cut, higher=higher)
            return hits / 30 + passes / 30

        every = [score(cut) for cut in np.linspace(-5, 5, 3001)]
        assert score(youden(x, z, higher=higher)) == pytest.approx(max(every))


def test_noise_does_not_pass_the_cross_validation():
    """Chosen on the same people a cut-off looks useful even where there is nothing."""
    rng = np.random.default_rng(4)
    flattered, honest = [], []
    for _ in range(60):
        x, z = rng.standard_normal(15), rng.standard_normal(15)
        higher = area(x, z)[0] >= 0.5
        hits, passes = performance(x, z, youden(x, z, higher=higher), higher=higher)
        flattered.append(hits / 15 + passes / 15 - 1)
        honest.append(sum(cross_validated(x, z, repeats=2)) - 1)
    assert np.mean(flattered) > 0.2
    assert abs(np.mean(honest)) < 0.1


def test_older_patients_are_no_disease(people, table):
    scans = people(200)
    scans.loc[scans['diagnosis'] == 'PD', 'age'] += 12
    rng = np.random.default_rng(0)
    age = scans['age'].to_numpy()
    patient = (scans['diagnosis'] == 'PD').to_numpy()
    y = 0.002 * age[:, None] + 0.02 * rng.standard_normal((200, 61))
    y[:, 60] += 0.03 * patient
    result, _ = roc(scans, table(mean=y), 'diagnosis=PD/control')
    frame = result.frame
    healthy, ill = frame.iloc[:60], frame.iloc[60]
    assert healthy['auc'].mean() > 0.62
    assert healthy['adjusted_auc'].mean() == pytest.approx(0.5, abs=0.02)
    inside = (healthy['adjusted_low'] < 0.5) & (healthy['adjusted_high'] > 0.5)
    assert inside.mean() > 0.87
    assert ill['adjusted_auc'] == pytest.approx(stats.norm.cdf(1.5 / np.sqrt(2)), abs=0.08)
    assert frame['n_case'].iloc[0] == patient.sum()
    assert list(frame.columns) == [name for name, _, _ in result.columns]
    again, _ = roc(scans, table(mean=y), 'diagnosis=PD/control')
    assert again.frame.equals(frame)


def test_the_first_session_counts_whatever_its_label(people, table):
    scans = people(60, sessions=2)
    scans['session_id'] = np.tile(['ses-followup', 'ses-pre'], 60)
    scans['age'] = scans['age'].to_numpy().reshape(-1, 2)[:, ::-1].ravel()
    scans['first_session'] = scans['session_id'] == 'ses-pre'
    y = np.random.default_rng(0).standard_normal((120, 1))
    frame = roc(scans, table(mean=y), 'diagnosis=PD/control')[0].frame
    before = scans['first_session'].to_numpy()
    alone = roc(
        scans[before].reset_index(drop=True), table(mean=y[before]), 'diagnosis=PD/control'
    )[0].frame
    assert frame.equals(alone)


def test_direction_and_regions_without_values(people, table):
    scans = people(60)
    y = np.random.default_rng(0).standard_normal((60, 3))
    y[:, 0] -= 2 * (scans['diagnosis'] == 'PD').to_numpy()
    y[:, 1] = 0.0
    y[5:, 2] = np.nan
    frame = roc(scans, table(mean=y), 'diagnosis=PD/control')[0].frame
    assert list(frame['region']) == ['Region0']
    assert frame['direction'].iloc[0] == 'lower in cases'
    assert frame['auc'].iloc[0] < 0.3
    assert frame['sensitivity'].iloc[0] > 0.6


@pytest.mark.parametrize('text', ['', 'diagnosis', 'diagnosis=PD', 'x=a/a', '=a/b', 'x=/b'])
def test_contrasts_that_cannot_be_read(text):
    with pytest.raises(GroupError, match='does not name a column and two groups'):
        read_contrast(text)


def test_one_group_only_and_no_ages(people, table):
    scans = people(60)
    y = np.random.default_rng(0).standard_normal((60, 1))
    with pytest.raises(GroupError, match='0 people with regional values have diagnosis = MSA'):
        roc(scans, table(mean=y), 'diagnosis=MSA/control')
    with pytest.raises(GroupError, match='no column dx'):
        roc(scans, table(mean=y), 'dx=PD/control')
    scans['age'] = np.nan
    result, problems = roc(scans, table(mean=y), 'diagnosis=PD/control')
    assert 'No age-adjusted areas' in str(problems[0])
    assert np.isnan(result.frame['adjusted_auc'].iloc[0])


def test_cases_of_ages_without_controls(people, table):
    scans = people(60)
    scans.loc[scans['diagnosis'] == 'PD', 'age'] += 60
    y = np.random.default_rng(0).standard_normal((60, 1))
    _, problems = roc(scans, table(mean=y), 'diagnosis=PD/control')
    assert 'younger or older than every control' in str(problems[0])
