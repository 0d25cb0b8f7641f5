"""Norms of a simulated cohort: who made them, who may be compared, who is flagged."""

import numpy as np
import pandas as pd
import pytest

from qsmbids.bids.norm_file import read_norms, write_norms
from qsmbids.group.cohort import Cohort, RegionTable
from qsmbids.group.errors import GroupError
from qsmbids.group.norms import Z_COLUMNS, fit_norms, summary, z_scores
from qsmbids.lifespan.choice import choose_curve
from qsmbids.lifespan.errors import LifespanError
from qsmbids.lifespan.norm_prior import prior_norms, prior_spread
from qsmbids.lifespan.prior import chi_at_age

# family by which the norm of each region is fitted here: choosing is tested elsewhere
FAMILIES = {
    'Caudate': 'exponential', 'Putamen': 'exponential', 'GlobusPallidusInternal': 'exponential',
    'SubstantiaNigra': 'exponential', 'RedNucleus': 'exponential',
    'CorpusCallosumSplenium': 'poisson', 'CerebralPeduncle': 'poisson',
}  # fmt: skip
NIGRA = list(FAMILIES).index('SubstantiaNigra')


def simulate(n, seed, *, sides=False, ages=(5.0, 80.0), **columns):
    """Return a cohort at table level; whole-brain reference, 5 ppb above that of the prior."""
    rng = np.random.default_rng(seed)
    age = np.sort(rng.uniform(*ages, n))
    halves = [('Left', 'L'), ('Right', 'R')] if sides else [('', 'B')]
    names = [(region, word, side) for region in FAMILIES for word, side in halves]
    mean = np.empty((n, len(names)))
    for column, (region, _, _) in enumerate(names):
        sd = np.array([prior_spread(region, a) for a in age])
        mean[:, column] = chi_at_age(region, age) + 0.005 + sd * rng.standard_normal(n)
    regions = pd.DataFrame({
        'index': range(1, len(names) + 1),
        'name': [region + word for region, word, _ in names],
        'abbreviation': [region[:3] for region, _, _ in names],
        'hemisphere': [side for *_, side in names],
        'group': 'deep grey',
        'region': [region for region, *_ in names],
    })  # fmt: skip
    keys = [f'sub-{i:03d}' for i in range(n)]
    scans = pd.DataFrame({
        'key': keys, 'participant_id': keys, 'session_id': '', 'age': age,
        'sex': ['F', 'M'] * (n // 2) + ['F'] * (n % 2), 'field_strength_t': 3.0,
        'reference': 'whole-brain', 'units': 'ppm', 'version': '1', 'curve_offset': 0.005,
        'primary': True, 'first_session': True,
    } | columns)  # fmt: skip
    table = RegionTable('QSMLifespan', 'Chimap', regions, {'mean': mean.astype(np.float32)})
    return Cohort(scans, {('QSMLifespan', 'Chimap'): table}, pd.DataFrame()), table


def choices(cohort, table):
    age = cohort.scans['age']
    return {
        name: choose_curve(age, table.values['mean'][:, i], (FAMILIES[name],))
        for i, name in enumerate(table.regions['name'])
    }


@pytest.fixture(scope='module')
def fitted():
    cohort, table = simulate(200, seed=1)
    return cohort, table, fit_norms(cohort, table, choices(cohort, table))[0]


# ------------------------------------------------------------------------------ made from
def test_norms_remember_where_they_come_from(fitted):
    cohort, _, norms = fitted
    assert len(norms.norms) == len(FAMILIES)
    assert norms.reference == 'whole-brain'
    assert (norms.field_strength_t, norms.units, norms.measure) == (3.0, 'ppm', 'mean')
    assert (norms.atlas, norms.hemispheres) == ('QSMLifespan', 'average')
    about = norms.provenance
    assert about['n'] == 200
    assert about['ages'] == [round(cohort.scans['age'].min(), 2), round(
        cohort.scans['age'].max(), 2)]  # fmt: skip
    assert about['sexes'] == {'F': 100, 'M': 100}
    assert not any('sub-' in text for text in norms.to_json().split())  # nobody can be found


def test_the_table_follows_the_fitted_curve(fitted):
    cohort, table, norms = fitted
    for i, (region, family) in enumerate(FAMILIES.items()):
        fit = choose_curve(cohort.scans['age'], table.values['mean'][:, i], (family,)).fit
        norm = norms.find(region, 'B')
        age = np.linspace(*fit.age_range, 331)
        assert norm.expected(age) == pytest.approx(fit.predict(age), abs=2e-5)
        assert norm.between(age) == pytest.approx(fit.sd(age), rel=1e-3)
        assert norm.model['family'] == family


def test_a_norm_file_gives_the_same_scores_and_the_same_bytes(tmp_path, fitted):
    cohort, table, norms = fitted
    write_norms(tmp_path / 'norms.json', norms)
    again = read_norms(tmp_path / 'norms.json')
    write_norms(tmp_path / 'again.json', again)
    assert (tmp_path / 'again.json').read_bytes() == (tmp_path / 'norms.json').read_bytes()
    first, second = (z_scores(cohort, table, n)[0] for n in (norms, again))
    pd.testing.assert_frame_equal(first, second)
    assert read_norms('prior').to_json() == prior_norms().to_json()


@pytest.mark.parametrize('content', [None, b'\xff\xfe', b'{}'])
def test_a_file_that_is_no_norm_file_is_named(tmp_path, content):
    path = tmp_path / 'norms.json'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LifespanError, match=r'norms\.json') as info:
        read_norms(path)
    assert len(str(info.value).splitlines()) == 3


def test_nobody_counts_twice():
    cohort, table = simulate(80, seed=2, first_session=[True, False] * 40)
    norms, _ = fit_norms(cohort, table, families=('linear',))
    assert {norm.n for norm in norms.norms} == {40}


def test_a_region_with_few_values_is_left_out_with_a_sentence():
    cohort, table = simulate(40, seed=3)
    table.values['mean'][:15, NIGRA] = np.nan
    norms, problems = fit_norms(cohort, table, families=('linear',))
    assert norms.find('SubstantiaNigra', 'B') is None
    assert len(norms.norms) == len(FAMILIES) - 1
    (problem,) = problems
    assert problem.where == 'SubstantiaNigra'
    assert '25 people' in problem.what


def test_the_region_that_is_the_reference_has_no_norm():
    cohort, table = simulate(40, seed=3)
    table.values['mean'][:, NIGRA] = 0.0
    norms, (problem,) = fit_norms(cohort, table, families=('linear',))
    assert norms.find('SubstantiaNigra', 'B') is None
    assert 'same value in everybody' in problem.what


@pytest.mark.parametrize(
    ('columns', 'words'),
    [
        ({'reference': ['csf', 'whole-brain'] * 20}, 'no common reference: csf, whole-brain'),
        ({'reference': 'none'}, 'no common reference: none'),
        ({'reference': ''}, 'no common reference: unknown'),
        ({'units': ['ppm', 'ppb'] * 20}, 'no common unit'),
        ({'units': 'ppb'}, 'are in ppb'),
        ({'field_strength_t': [1.5, 3.0] * 20}, 'field strength: 1.5 T, 3 T'),
        ({'field_strength_t': np.nan}, 'field strength: unknown'),
        ({'age': np.nan}, 'no scan has an age'),
        ({'first_session': [True] * 20 + [False] * 20}, 'has 30 people'),
    ],
)
def test_a_cohort_that_makes_no_norm_is_refused_in_three_lines(columns, words):
    cohort, table = simulate(40, seed=4, **columns)
    with pytest.raises(GroupError) as info:
        fit_norms(cohort, table, families=('linear',))
    lines = str(info.value).splitlines()
    assert len(lines) == 3
    assert words in lines[0]


def test_norms_of_separate_sides():
    cohort, table = simulate(60, seed=5, sides=True)
    norms, _ = fit_norms(cohort, table, families=('linear',))
    assert norms.hemispheres == 'separate'
    scores, _ = z_scores(cohort, table, norms)
    assert set(scores['hemisphere']) == {'L', 'R'}
    with pytest.raises(GroupError, match='the values are averaged'):
        z_scores(cohort, table.averaged(), norms)


def test_sides_are_averaged_for_norms_of_the_average(fitted):
    cohort, table = simulate(5, seed=6, sides=True)
    scores, _ = z_scores(cohort, table, fitted[2])
    assert set(scores['hemisphere']) == {'B'}
    of_caudate = scores[scores['region'] == 'Caudate']['value'].to_numpy()
    assert of_caudate == pytest.approx(table.values['mean'][:, :2].mean(axis=1))


def test_norms_can_be_made_of_a_spline():
    cohort, table = simulate(60, seed=15)
    norms, problems = fit_norms(cohort, table.select(regions=slice(0, 2)), families=('spline',))
    assert not problems
    scores, _ = z_scores(cohort, table.select(regions=slice(0, 2)), norms)
    assert np.isfinite(scores['z']).all()
    assert 0.85 < scores['z'].std() < 1.05


# ----------------------------------------------------------------------------- applied to
def test_z_of_the_people_of_the_norm_is_standard_normal(fitted):
    cohort, table, norms = fitted
    scores, problems = z_scores(cohort, table, norms)
    assert not problems
    assert list(scores.columns) == [name for name, _, _ in Z_COLUMNS]
    assert len(scores) == 200 * len(FAMILIES)
    z = scores['z'].to_numpy()
    assert np.isfinite(z).all()  # the youngest and the oldest, too
    assert abs(z.mean()) < 0.02
    assert 0.95 < z.std() < 1.01
    old = scores['age'] > 60
    assert scores['z'][old].std() == pytest.approx(scores['z'][~old].std(), abs=0.1)


def test_a_patient_with_40_ppb_more_in_the_nigra_is_flagged_there_alone(fitted):
    cohort, table = simulate(1, seed=7, ages=(30.0, 30.1))
    region = FAMILIES
    table.values['mean'][0] = [chi_at_age(name, 30.0) + 0.005 for name in region]
    table.values['mean'][0, NIGRA] += 0.040
    scores, _ = z_scores(cohort, table, fitted[2])
    assert scores.loc[scores['flagged'], 'region'].tolist() == ['SubstantiaNigra']
    nigra = scores[scores['region'] == 'SubstantiaNigra'].iloc[0]
    assert nigra['z'] == pytest.approx(40 / (1000 * prior_spread('SubstantiaNigra', 30)), rel=0.2)
    assert nigra['centile'] > 99.9
    (row,) = summary(scores)
    assert (row['n'], row['n_flagged'], row['flagged']) == (7, 1, ['SubstantiaNigra'])


def test_healthy_people_are_flagged_at_the_stated_rate(fitted):
    # 1000 who do not belong to the norm: one standard error of the rate is 0.7 %
    cohort, table = simulate(1000, seed=8, ages=(6.0, 79.0))
    scores, _ = z_scores(cohort, table, fitted[2])
    flagged = scores.groupby('key')['flagged'].any().mean()
    assert 0.025 < flagged < 0.075
    assert abs(scores['z'].std() - 1) < 0.06


def test_ages_outside_the_norm_get_no_score_but_a_remark(fitted):
    cohort, table = simulate(3, seed=9)
    cohort.scans['age'] = [3.0, np.nan, 40.0]
    table.values['mean'][2, NIGRA] = np.nan
    scores, _ = z_scores(cohort, table, fitted[2])
    by_key = dict(list(scores.groupby('key')))
    assert by_key['sub-000']['z'].isna().all()
    assert by_key['sub-000']['remark'].str.startswith('age outside the norm (5').all()
    assert (by_key['sub-001']['remark'] == 'no age').all()
    last = by_key['sub-002'].set_index('region')
    assert last['z'].notna().sum() == len(FAMILIES) - 1
    assert last.loc['SubstantiaNigra', 'remark'] == 'no value'
    assert not scores['flagged'][scores['z'].isna()].any()


@pytest.mark.parametrize(
    ('column', 'value', 'words'),
    [
        ('field_strength_t', 1.5, 'at 1.5 T'),
        ('field_strength_t', np.nan, 'an unknown field strength'),
        ('reference', 'csf', 'relative to csf'),
        ('units', 'ppb', 'in ppb'),
    ],
)
def test_a_scan_unlike_the_norms_has_no_score_and_the_others_have(fitted, column, value, words):
    cohort, table = simulate(4, seed=10)
    cohort.scans.loc[1, column] = value
    scores, problems = z_scores(cohort, table, fitted[2])
    known = scores.groupby('key')['z'].apply(lambda z: z.notna().all())
    assert known.to_dict() == {
        'sub-000': True, 'sub-001': False, 'sub-002': True, 'sub-003': True,
    }  # fmt: skip
    (problem,) = problems
    assert words in problem.what
    assert (problem.where, problem.severity) == ('sub-001', 'error')
    assert scores[scores['key'] == 'sub-001']['remark'].str.contains(words).all()
    cohort.scans[column] = value
    with pytest.raises(GroupError, match=words):
        z_scores(cohort, table, fitted[2])


def test_another_atlas_is_refused(fitted):
    cohort, table = simulate(4, seed=11)
    table.atlas = 'Other'
    with pytest.raises(GroupError, match='of the atlas QSMLifespan, the tables of Other'):
        z_scores(cohort, table, fitted[2])


def test_a_region_without_a_norm_is_named(fitted):
    cohort, table = simulate(4, seed=12)
    table.regions.loc[0, ['name', 'region']] = 'Claustrum'
    scores, problems = z_scores(cohort, table, fitted[2])
    assert 'Claustrum' not in set(scores['region'])
    assert [p.severity for p in problems] == ['note']
    assert 'Claustrum' in problems[0].what


# ------------------------------------------------------------------------------ the prior
def test_the_prior_is_moved_to_the_reference_of_each_map():
    cohort, table = simulate(300, seed=13)
    scores, problems = z_scores(cohort, table, prior_norms())
    assert abs(scores['z'].mean()) < 0.1
    assert scores['z'].std() == pytest.approx(1, abs=0.05)
    assert 'engineering prior, not published values' in problems[-1].what


def test_the_prior_is_refused_where_its_zero_is_not_known():
    cohort, table = simulate(3, seed=14, curve_offset=[0.005, np.nan, 0.005])
    scores, problems = z_scores(cohort, table, prior_norms())
    assert scores[scores['key'] == 'sub-001']['z'].isna().all()
    assert scores['z'].notna().sum() == 2 * len(FAMILIES)
    assert 'no recorded offset' in problems[0].what
