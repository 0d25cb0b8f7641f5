"""Age curves of a cohort: who counts, which families, what is said where there is no curve."""

import numpy as np
import pandas as pd
import pytest

from qsmbids.group import curves
from qsmbids.group.cohort import Cohort, RegionTable
from qsmbids.group.curve_tables import centile_rows, family_rows, quantity_rows
from qsmbids.group.curves import SAME_IN_ALL, families_of, fit_curves
from qsmbids.lifespan.curves import Exponential

CURVE = Exponential(0.14, 0.09, 0.0)
FAMILIES = ('constant', 'linear', 'exponential')


@pytest.fixture
def cohort():
    """Sixty people, one of whom was scanned three times."""
    rng = np.random.default_rng(4)
    n = 62
    ages = np.append(rng.uniform(2, 80, 60), [71.0, 72.0])
    first = np.append(np.ones(60, bool), [False, False])
    scans = pd.DataFrame({'age': ages, 'primary': True, 'first_session': first})
    values = np.stack([CURVE(ages) + 0.005 * rng.standard_normal(n), np.zeros(n),
                       np.full(n, np.nan)], axis=1)  # fmt: skip
    values[60:, 0] = 5.0  # would bend the curve if repeated scans counted
    regions = pd.DataFrame({
        'index': [1, 0, 2], 'name': ['Pallidum', 'WholeBrain', 'Empty'],
        'region': ['Pallidum', 'WholeBrain', 'Empty'], 'hemisphere': 'B',
        'group': ['deep grey', '', 'deep grey'],
    })  # fmt: skip
    table = RegionTable('Mine', 'Chimap', regions, {'mean': values.astype(np.float32)})
    return Cohort(scans, {('Mine', 'Chimap'): table}, pd.DataFrame())


def fitted(cohort, families=FAMILIES, **options):
    return fit_curves(cohort, cohort.tables['Mine', 'Chimap'], families, **options)


def test_one_scan_of_each_person_counts(cohort):
    choices, _, _ = fitted(cohort)
    fit = choices['Pallidum', 'B'].fit
    assert (fit.family, fit.n) == ('exponential', 60)
    assert fit.predict(40.0) == pytest.approx(CURVE(40.0), abs=0.004)


def test_what_has_no_curve_says_why(cohort):
    choices, reasons, problems = fitted(cohort)
    assert set(choices) == {('Pallidum', 'B')}
    assert reasons['WholeBrain', 'B'] == SAME_IN_ALL
    assert 'Nobody' in reasons['Empty', 'B']
    assert {p.what for p in problems} == {
        'No age curve: Whole brain.', 'No age curve: Empty.',
    }  # fmt: skip


def test_people_of_one_age_have_no_curve(cohort):
    cohort.scans['age'] = 40.0
    choices, reasons, _ = fitted(cohort)
    assert not choices
    assert '60 people of 40 years' in reasons['Pallidum', 'B']


def test_families_follow_the_tissue_unless_they_are_named(cohort):
    assert 'poisson' not in families_of('deep grey')
    assert 'exponential' not in families_of('white matter')
    assert {'poisson', 'exponential'} <= set(families_of('cortex'))
    compared = {row['family'] for row in fitted(cohort, ())[0]['Pallidum', 'B'].table}
    assert compared == set(families_of('deep grey'))


def test_ages_that_cannot_tell_a_rate_are_named(cohort):
    rng = np.random.default_rng(8)
    cohort.scans['age'] = ages = rng.uniform(60, 80, 62)
    noise = 0.005 * rng.standard_normal(62)
    cohort.tables['Mine', 'Chimap'].values['mean'][:, 0] = CURVE(ages) + noise
    choices, _, problems = fitted(cohort, ())
    fit = choices['Pallidum', 'B'].fit
    assert fit.family != 'exponential'
    assert 'growth rate cannot be told from people of 60 to 80 years' in ' '.join(fit.remarks)
    assert any('60 to 80 years cannot tell' in p.what and 'Pallidum' in p.what for p in problems)


def test_processes_change_nothing(cohort, monkeypatch):
    monkeypatch.setattr(curves, '_WORTH_PROCESSES', 1)
    alone, many = fitted(cohort)[0], fitted(cohort, nprocs=2)[0]
    assert quantity_rows(alone) == quantity_rows(many)


def test_tables_of_curves(cohort):
    choices, _, _ = fitted(cohort)
    families = {row['family']: row for row in family_rows(choices)}
    assert families['exponential']['chosen'] == 1
    assert families['exponential']['p_constant_fdr'] < 1e-10
    assert sum(row['weight_aicc'] for row in families.values()) == pytest.approx(1)
    quantities = {row['quantity']: row for row in quantity_rows(choices)}
    assert quantities['alpha']['low'] < CURVE.alpha < quantities['alpha']['high']
    assert quantities['beta']['unit'] == '1/year'
    rows = centile_rows(choices)
    assert all(r['p5'] < r['mean_low'] < r['mean'] < r['mean_high'] < r['p95'] for r in rows)
    ages = [row['age'] for row in rows]
    assert min(ages) >= cohort.scans['age'][:60].min()
    assert max(ages) <= cohort.scans['age'][:60].max()
