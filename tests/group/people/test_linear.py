"""Models in every region, against statsmodels and against a truth that is known."""

import numpy as np
import pytest

from qsmbids.group.errors import GroupError
from qsmbids.group.people.linear import fit_model


def simulate(scans, n_regions=4, effect=0.0, seed=0, noise=0.01):
    """Susceptibility that rises with age; patients vary twice as much."""
    rng = np.random.default_rng(seed)
    patient = (scans['diagnosis'] == 'PD').to_numpy()
    y = 0.05 + 0.0005 * (scans['age'].to_numpy()[:, None] - 50)
    y = y + effect * patient[:, None]
    spread = noise * np.where(patient, 2, 1)
    return y + spread[:, None] * rng.standard_normal((len(scans), n_regions))


def row(frame, region, **cells):
    frame = frame[frame['region'] == region]
    for name, value in cells.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def test_coefficients_and_errors_are_those_of_statsmodels(people, table):
    sm = pytest.importorskip('statsmodels.formula.api')
    scans = people()
    y = simulate(scans, effect=0.01)
    result = fit_model(scans, table(mean=y), 'chi ~ diagnosis + age + sex').coefficients.frame
    scans['y'] = np.float32(y[:, 2]).astype(float)
    model = sm.ols("y ~ C(diagnosis, Treatment('control')) + age + sex", scans)
    expected = model.fit(cov_type='HC3', use_t=True)
    for mine, theirs in [('diagnosis[PD]', 1), ('age', 3)]:
        found = row(result, 'Region2', coefficient=mine)
        low, high = expected.conf_int().iloc[theirs]
        np.testing.assert_allclose(
            [found['estimate'], found['se'], found['p'], found['low'], found['high']],
            [expected.params.iloc[theirs], expected.bse.iloc[theirs],
             expected.pvalues.iloc[theirs], low, high],
            rtol=1e-6, atol=1e-12,
        )  # fmt: skip


def test_joint_test_is_that_of_statsmodels(people, table):
    sm = pytest.importorskip('statsmodels.formula.api')
    scans = people()
    scans['centre'] = np.array(['x', 'y', 'z'])[np.arange(len(scans)) % 7 % 3]
    y = simulate(scans)
    result = fit_model(scans, table(mean=y), 'chi ~ centre + age')
    scans['y'] = np.float32(y[:, 0]).astype(float)
    model = sm.ols('y ~ centre + age', scans).fit(cov_type='HC3', use_t=True)
    expected = model.wald_test('centre[T.y] = 0, centre[T.z] = 0', use_f=True, scalar=True)
    found = row(result.terms.frame, 'Region0', term='centre')
    np.testing.assert_allclose([found['f'], found['p']], [expected.fvalue, expected.pvalue])
    assert found['df_term'] == 2


def test_effect_is_recovered_and_false_positives_are_five_percent(people, table):
    """2000 regions; the half in front differs by 8 ppb, half a standard deviation or so."""
    scans = people(150, seed=3)
    y = simulate(scans, 2000, seed=4)
    y[:, :1000] += 0.008 * (scans['diagnosis'] == 'PD').to_numpy()[:, None]
    frame = fit_model(scans, table(mean=y), 'chi ~ diagnosis + age + sex').coefficients.frame
    frame = frame[frame['coefficient'] == 'diagnosis[PD]'].reset_index(drop=True)
    with_effect, without = frame.iloc[:1000], frame.iloc[1000:]
    assert with_effect['estimate'].mean() == pytest.approx(0.008, abs=2e-4)
    covered = (with_effect['low'] < 0.008) & (with_effect['high'] > 0.008)
    assert 0.93 < covered.mean() < 0.97
    assert 0.035 < (without['p'] < 0.05).mean() < 0.065
    found = frame.index[frame['q'] < 0.05]
    assert (found >= 1000).mean() < 0.07  # the false discovery rate
    assert len(found) > 500


def test_groups_g_and_interval(people, table):
    """The plain two-group case: the g of the textbooks, and its interval covers."""
    scans = people(60)
    truth = 0.5
    rng = np.random.default_rng(1)
    patient = (scans['diagnosis'] == 'PD').to_numpy()[:, None]
    y = rng.standard_normal((60, 3000)) + truth * patient
    frame = fit_model(scans, table(mean=y), 'chi ~ diagnosis').coefficients.frame
    frame = frame[frame['coefficient'] == 'diagnosis[PD]']
    a, b = (y[side.ravel(), 0] for side in (patient, ~patient))
    pooled = np.sqrt((19 * a.var(ddof=1) + 39 * b.var(ddof=1)) / 58)
    expected = (a.mean() - b.mean()) / pooled * (1 - 3 / (4 * 58 - 1))
    assert frame['effect'].iloc[0] == pytest.approx(expected, rel=1e-5)
    assert frame['effect'].mean() == pytest.approx(truth, abs=0.02)
    covered = (frame['effect_low'] < truth) & (frame['effect_high'] > truth)
    assert 0.93 < covered.mean() < 0.975
    assert set(frame['effect_kind']) == {"Hedges' g"}


def test_standardised_slope_alone_is_the_correlation(people, table):
    scans = people()
    y = simulate(scans)
    result = fit_model(scans, table(mean=y), 'chi ~ age')
    found = row(result.coefficients.frame, 'Region1', coefficient='age')
    r = np.corrcoef(scans['age'], y[:, 1])[0, 1]
    assert found['effect'] == pytest.approx(r, rel=1e-4)
    share = row(result.terms.frame, 'Region1', term='age')
    assert share['partial_eta2_low'] < share['partial_eta2'] < share['partial_eta2_high']
    assert share['partial_eta2'] == pytest.approx(r**2, abs=0.05)


def test_adjusted_means_take_the_age_away(people, table):
    """Patients are older by 20 years and otherwise like controls."""
    scans = people(200)
    scans.loc[scans['diagnosis'] == 'PD', 'age'] += 20
    y = simulate(scans, noise=0.002)
    means = fit_model(scans, table(mean=y), 'chi ~ diagnosis * age').means.frame
    patient, control = (row(means, 'Region0', level=level) for level in ('PD', 'control'))
    assert patient['mean'] - control['mean'] > 0.007
    assert abs(patient['adjusted_mean'] - control['adjusted_mean']) < 0.002
    assert patient['low'] < patient['adjusted_mean'] < patient['high']
    assert patient['n'] == (scans['diagnosis'] == 'PD').sum()


def test_regions_that_some_scans_lack(people, table):
    scans = people()
    y = simulate(scans, 4)
    y[:10, 1] = np.nan
    y[:, 2] = 0.0
    y[5:, 3] = np.nan
    result = fit_model(scans, table(mean=y), 'chi ~ age + diagnosis')
    frame = result.coefficients.frame
    assert row(frame, 'Region1', coefficient='age')['n'] == 110
    assert row(frame, 'Region0', coefficient='age')['n'] == 120
    assert np.isnan(row(frame, 'Region2', coefficient='age')['p'])
    assert 'Region3' not in set(frame['region'])
    assert any('could not be fitted in 1 regions: Region3' in str(p) for p in result.problems)
    alone = fit_model(
        scans[10:].reset_index(drop=True), table(mean=y[10:, :2]), 'chi ~ age + diagnosis'
    ).coefficients.frame
    both = [row(f, 'Region1', coefficient='age')['estimate'] for f in (frame, alone)]
    assert both[0] == pytest.approx(both[1], rel=1e-6)


def test_columns_are_described(people, table):
    scans = people()
    result = fit_model(scans, table(mean=simulate(scans)), 'chi ~ age + diagnosis')
    for part in (result.coefficients, result.terms, result.means):
        assert list(part.frame.columns) == [name for name, _, _ in part.columns]
        assert all(text for _, _, text in part.columns)
        assert set(part.rows()[0]) == set(part.frame.columns)
    assert {n: u for n, u, _ in result.coefficients.columns}['estimate'] == 'ppm'


def test_unknown_response_and_no_values(people, table):
    scans = people()
    y = simulate(scans)
    with pytest.raises(GroupError, match='no column thickness'):
        fit_model(scans, table(mean=y), 'thickness ~ age')
    with pytest.raises(GroupError):
        fit_model(scans, table(mean=y * np.nan), 'chi ~ age')


def test_the_same_twice(people, table):
    scans = people()
    y = simulate(scans)
    first, second = (fit_model(scans, table(mean=y), 'chi ~ diagnosis*age') for _ in range(2))
    assert first.coefficients.frame.equals(second.coefficients.frame)
