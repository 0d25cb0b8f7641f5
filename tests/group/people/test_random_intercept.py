"""Repeated scans, against statsmodels' mixed model and against a truth that is known."""

import numpy as np
import pytest

from qsmbids.group.people.design import build_design
from qsmbids.group.people.least_squares import fit_least_squares
from qsmbids.group.people.linear import fit_model
from qsmbids.group.people.random_intercept import fit_random_intercept

BETWEEN, WITHIN = 0.02, 0.01


def simulate(scans, n_regions, seed=0, effect=0.01):
    rng = np.random.default_rng(seed)
    _, codes = np.unique(scans['participant_id'], return_inverse=True)
    level = BETWEEN * rng.standard_normal((codes.max() + 1, n_regions))
    patient = (scans['diagnosis'] == 'PD').to_numpy()[:, None]
    y = 0.05 + effect * patient + 0.0005 * scans['age'].to_numpy()[:, None] + level[codes]
    return y + WITHIN * rng.standard_normal(y.shape)


def test_agrees_with_statsmodels(people):
    sm = pytest.importorskip('statsmodels.api')
    scans = people(60, sessions=3)
    scans = scans[np.random.default_rng(1).random(len(scans)) < 0.8].reset_index(drop=True)
    design = build_design('chi ~ diagnosis + age', scans)
    y = simulate(scans, 2)
    fit = fit_random_intercept(design.matrix, y, design.people)
    for i in range(2):
        expected = sm.MixedLM(1000 * y[:, i], design.matrix, groups=design.people).fit()
        np.testing.assert_allclose(1000 * fit.b[:, i], expected.fe_params, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(
            1000 * np.sqrt(np.diag(fit.covariance[i])), expected.bse_fe, rtol=3e-3
        )
        assert 1000 * fit.within[i] == pytest.approx(np.sqrt(expected.scale), rel=1e-3)


def test_truth_is_covered_and_repeats_are_no_people(people, table):
    scans = people(60, sessions=3)
    y = simulate(scans, 600)
    result = fit_model(scans, table(mean=y), 'chi ~ diagnosis + age')
    frame = result.coefficients.frame
    frame = frame[frame['coefficient'] == 'diagnosis[PD]']
    assert ((frame['low'] < 0.01) & (frame['high'] > 0.01)).mean() == pytest.approx(
        0.95, abs=0.025
    )
    assert frame['estimate'].mean() == pytest.approx(0.01, abs=0.001)
    assert set(frame['n']) == {180}
    assert set(frame['n_people']) == {60}
    assert set(frame['df']) == {57}
    assert any('random intercept' in str(p) for p in result.problems)
    # as if every scan were a person, the interval would be too narrow
    design = build_design('chi ~ diagnosis + age', scans)
    naive = fit_least_squares(design.matrix, y)
    assert np.sqrt(naive.covariance[:, 1, 1]).mean() < 0.7 * frame['se'].mean()


def test_spread_between_and_within(people):
    scans = people(200, sessions=2)
    design = build_design('chi ~ diagnosis + age', scans)
    fit = fit_random_intercept(design.matrix, simulate(scans, 100), design.people)
    assert np.median(fit.within) == pytest.approx(WITHIN, rel=0.05)
    assert np.median(fit.spread) == pytest.approx(np.hypot(BETWEEN, WITHIN), rel=0.05)


def test_scans_as_different_as_people_give_least_squares(people):
    """Negative correlation within persons: no variance is left for the intercept."""
    scans = people(30, sessions=2)
    design = build_design('chi ~ diagnosis', scans)
    rng = np.random.default_rng(0)
    apart = rng.standard_normal((30, 1)) * np.array([[1.0, -1.0]])
    y = apart.reshape(-1, 1) + 5.0
    fit = fit_random_intercept(design.matrix, y, design.people)
    plain = fit_least_squares(design.matrix, y)
    np.testing.assert_allclose(fit.b, plain.b, atol=1e-10)
    np.testing.assert_allclose(fit.within, plain.spread)
    np.testing.assert_allclose(fit.spread, plain.spread)


def test_second_runs_of_a_session_are_not_used(people, table):
    scans = people(60, sessions=2)
    scans['primary'] = scans['session_id'] == 'ses-1'
    y = simulate(scans, 2)
    frame = fit_model(scans, table(mean=y), 'chi ~ diagnosis').coefficients.frame
    assert set(frame['n']) == {60}
