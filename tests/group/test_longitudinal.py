"""Change between visits: exact intervals, honest errors, and no finding where nothing changed."""

import numpy as np
import pandas as pd
import pytest

from qsmbids.group.cohort import Cohort, RegionTable, read_cohort
from qsmbids.group.errors import GroupError
from qsmbids.group.longitudinal import Z95, region_changes, region_slopes
from qsmbids.phantom.cohort_people import NOISE_PPM, PATIENT_PPM_PER_YEAR
from qsmbids.phantom.cohort_tables import write_cohort_tables

REGIONS = ('Caudate', 'Putamen', 'Pulvinar')


def make(scans, values, uncertainty=None, regions=REGIONS):
    """Return a cohort of scans given as (person, session, age, acq_time), values in ppb."""
    frame = pd.DataFrame(scans, columns=['participant_id', 'session_id', 'age', 'acq_time'])
    frame['key'] = frame['participant_id'] + '_' + frame['session_id']
    frame['age'] = frame['age'].astype(float)
    for name, value in (('reference', 'whole-brain'), ('site', ''), ('version', '1'),
                        ('field_strength_t', 3.0), ('primary', True)):  # fmt: skip
        frame[name] = value
    values = np.asarray(values, np.float32) / 1000
    u = np.full(values.shape, np.nan) if uncertainty is None else np.asarray(uncertainty) / 1000
    table = RegionTable(
        'A', 'Chimap',
        pd.DataFrame({'region': regions, 'hemisphere': 'B', 'name': regions}),
        {'mean': values, 'mean_uncertainty': np.broadcast_to(u, values.shape).astype(np.float32)},
    )  # fmt: skip
    return Cohort(frame, {('A', 'Chimap'): table}, pd.DataFrame()), table


def one_person(*visits, **more):
    return make([('sub-1', f'ses-{i + 1}', a, t) for i, (a, t, _) in enumerate(visits)],
                [v for _, _, v in visits], **more)  # fmt: skip


def test_change_rate_and_uncertainty_of_one_interval():
    cohort, table = one_person(
        (40, '2020-01-01T12:00:00', [50, 30, 2]),
        (42, '2021-07-02T00:00:00', [53, 10, 4]),
        uncertainty=[3, 4, 0],
    )
    found, columns, problems = region_changes(cohort, table, repeatability_ppb=2.0)
    assert problems == []
    assert list(found) == [name for name, _, _ in columns]
    years = (366 + 181 + 0.5) / 365.25  # 2020 is a leap year; the ages say two years
    assert found['years'].tolist() == pytest.approx([years] * 3)
    assert found['change'].tolist() == pytest.approx([3, -20, 2], abs=1e-4)
    assert found['change_per_year'].tolist() == pytest.approx(
        [3 / years, -20 / years, 2 / years], abs=1e-4
    )
    assert found['noise_sd'].tolist() == pytest.approx([np.sqrt(18), np.sqrt(32), 0])
    assert found['change_sd'].tolist() == pytest.approx([np.sqrt(26), np.sqrt(40), np.sqrt(8)])
    assert found['exceeds'].tolist() == ['no', 'yes', 'no']
    assert found['p'][1] == pytest.approx(0.00157, rel=0.01)
    assert found['p_fdr'][1] == pytest.approx(3 * found['p'][1])


def test_percent_only_where_the_value_is_far_above_zero():
    cohort, table = one_person(
        (40, '', [50, -50, 9]), (42, '', [55, -55, 18]), uncertainty=[1, 1, 1]
    )
    percent = region_changes(cohort, table, repeatability_ppb=2.0)[0]['percent']
    assert percent[0] == pytest.approx(10)
    assert percent[1:].isna().all()  # negative; within 5 SD of zero


def test_ages_serve_without_times_and_times_set_the_order():
    cohort, table = one_person((40, '', [1, 1, 1]), (41.5, '', [2, 2, 2]))
    assert region_changes(cohort, table)[0]['years'].tolist() == [1.5] * 3
    cohort, table = one_person(
        (40, '2021-06-01T10:00:00Z', [2, 2, 2]), (40, '2020-06-01T10:00:00', [1, 1, 1])
    )
    found = region_changes(cohort, table)[0]
    assert found['session_1'].tolist() == ['ses-2'] * 3
    assert found['change'].tolist() == pytest.approx([1] * 3)


def test_unknown_interval_is_said_and_gives_no_rate():
    cohort, table = one_person((40, '', [1, 1, 1]), (40, 'yesterday', [9, 9, 9]))
    found, _, problems = region_changes(cohort, table)
    assert found['change'].tolist() == pytest.approx([8] * 3)
    assert found['change_per_year'].isna().all()
    assert found['years'].isna().all()
    (problem,) = problems
    assert 'sub-1' in problem.what
    assert 'sessions.tsv' in problem.do


def test_another_reference_is_left_out_and_another_scanner_is_remarked():
    cohort, table = make(
        [(f'sub-{p}', f'ses-{s}', 40 + s, '') for p in (1, 2) for s in (1, 2)], np.ones((4, 3))
    )
    cohort.scans.loc[1, 'reference'] = 'csf'
    cohort.scans['site'] = ['A', 'A', 'A', 'B']
    cohort.scans['field_strength_t'] = [3, 3, 3, 7]
    found, _, problems = region_changes(cohort, table)
    assert set(found['participant_id']) == {'sub-2'}
    assert set(found['remark']) == {'another field strength; another site'}
    assert [p.severity for p in problems] == ['error', 'warning']
    assert 'sub-1' in problems[0].what
    assert 'sub-2' in problems[1].what


def test_missing_values_and_the_reference_region_have_no_row():
    cohort, table = one_person((40, '', [np.nan, 0, 5]), (42, '', [5, 0, 6]))
    assert region_changes(cohort, table)[0]['region'].tolist() == ['Pulvinar']


def test_second_runs_and_single_visits_are_no_intervals():
    cohort, table = one_person((40, '', [1, 1, 1]), (42, '', [2, 2, 2]))
    cohort.scans['primary'] = [True, False]
    found, columns, problems = region_changes(cohort, table)
    assert found.empty
    assert list(found) == [name for name, _, _ in columns]
    assert problems == []
    assert region_slopes(cohort, table)[0].empty


def test_expected_ageing_is_told_apart_from_change():
    cohort, table = one_person((40, '', [50, 50, 50]), (42, '', [70, 50, 50]))
    regions = zip(table.regions['region'], table.regions['hemisphere'], strict=True)
    curves = {key: lambda age: 0.01 * age for key in regions if key[0] != REGIONS[2]}
    found, columns, _ = region_changes(cohort, table, repeatability_ppb=2.0, curves=curves)
    assert list(found) == [name for name, _, _ in columns]
    assert found['expected_change'].tolist()[:2] == pytest.approx([20, 20])
    assert np.isnan(found['expected_change'][2])
    assert found['exceeds'].tolist() == ['yes', 'no', 'no']
    assert found['exceeds_expected'].tolist() == ['no', 'yes', '']


def test_slope_over_unequal_visits_is_that_of_weighted_least_squares():
    years, y, u = np.array([0, 1, 2.5, 4]), np.array([10, 14, 15, 22.0]), np.array([1, 2, 1, 3.0])
    cohort, table = one_person(
        *((40 + t, '', [v, 0, 1]) for t, v in zip(years, y, strict=True)),
        uncertainty=u[:, None],
    )
    found, columns, _ = region_slopes(cohort, table, repeatability_ppb=2.0)
    assert list(found) == [name for name, _, _ in columns]
    row = found[found['region'] == 'Caudate'].iloc[0]
    w = 1 / (u**2 + 4)
    design = np.stack([np.ones(4), years], axis=1)
    covariance = np.linalg.inv(design.T @ (w[:, None] * design))
    assert row['slope'] == pytest.approx((covariance @ design.T @ (w * y))[1], rel=1e-4)
    assert row['slope_sd'] == pytest.approx(np.sqrt(covariance[1, 1]), rel=1e-4)
    assert row['n_visits'] == 4
    assert row['years'] == 4
    assert row['exceeds'] == 'yes'
    assert 'Putamen' not in set(found['region'])  # zero at all visits: the reference


def test_slope_needs_three_values():
    cohort, table = one_person((40, '', [1, np.nan, 1]), (41, '', [2, 1, 2]), (42, '', [3, 2, 3]))
    assert region_slopes(cohort, table)[0]['region'].tolist() == ['Caudate', 'Pulvinar']


@pytest.mark.parametrize('wrong', [0, -1, np.nan])
def test_a_change_without_an_error_is_refused(wrong):
    cohort, table = one_person((40, '', [1, 1, 1]), (42, '', [2, 2, 2]))
    with pytest.raises(GroupError, match='repeatability') as error:
        region_changes(cohort, table, repeatability_ppb=wrong)
    assert len(str(error.value).splitlines()) == 3


def test_relaxation_is_refused():
    cohort, table = one_person((40, '', [1, 1, 1]), (42, '', [2, 2, 2]))
    table.suffix = 'R2starmap'
    with pytest.raises(GroupError, match='R2starmap'):
        region_changes(cohort, table)


def test_simulated_cohort_false_findings_at_the_stated_rate_and_patients_found(tmp_path):
    truth = write_cohort_tables(tmp_path, 60, seed=5, ages=(60, 83), sessions=3, patients=0.25)
    cohort = read_cohort(
        tmp_path / 'derivatives' / 'qsmbids', participants_tsv=tmp_path / 'bids/participants.tsv'
    )
    table = cohort.tables['QSMLifespan', 'Chimap'].averaged()
    curves = {(region, 'B'): truth.curves[region] for region in truth.regions}
    noise = 1000 * NOISE_PPM / np.sqrt(2)  # of two sides
    found, _, problems = region_changes(cohort, table, repeatability_ppb=noise, curves=curves)
    assert problems == []
    found = found[~found['region'].str.startswith('CorpusCallosum')]  # one side: more noise
    ill = set(np.array([f'sub-{x}' for x in truth.people.labels])[truth.people.patients])
    healthy = found[~found['participant_id'].isin(ill)]
    z = (healthy['change'] - healthy['expected_change']) / healthy['change_sd']
    # the noise of the field is added, which these numbers do not hold: about 5 % at most
    assert 0.02 < (abs(z) > Z95).mean() < 0.06
    nigra = found[found['participant_id'].isin(ill) & (found['region'] == 'SubstantiaNigra')]
    rate = nigra['change_per_year'] - nigra['expected_change'] / nigra['years']
    error = rate.std() / np.sqrt(len(rate))
    assert rate.mean() == pytest.approx(1000 * PATIENT_PPM_PER_YEAR, abs=3.5 * error)
    assert (nigra['exceeds'] == 'yes').mean() > 0.8
    slopes = region_slopes(cohort, table, repeatability_ppb=noise)[0]
    assert len(slopes) == 60 * len(truth.regions)
    steep = slopes[slopes['participant_id'].isin(ill) & (slopes['region'] == 'SubstantiaNigra')]
    assert steep['slope'].mean() == pytest.approx(rate.mean(), abs=0.6)
