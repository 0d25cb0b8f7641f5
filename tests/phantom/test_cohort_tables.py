"""The tables of a simulated cohort: in the form of a run, and with the numbers they promise."""

import csv
import json

import numpy as np
import pytest

from qsmbids.atlas.region_columns import columns_of, data_dictionary
from qsmbids.bids.names import output_names
from qsmbids.lifespan.prior import REGIONS, prior_curve
from qsmbids.phantom.cohort_people import PATIENT_PPM, PATIENT_PPM_PER_YEAR, atlas_regions
from qsmbids.phantom.cohort_tables import write_cohort_tables

TABLE = '_atlas-QSMLifespan_desc-regions_Chimap.tsv'


def rows_of(path):
    with open(path, encoding='utf-8', newline='') as stream:
        return list(csv.DictReader(stream, delimiter='\t'))


def averages(out, truth, region):
    """Return the mean of both sides of every scan, (n, sessions) ppm."""
    sides = {label.name for label in truth.labels if label.region == region}
    found = np.empty(truth.people.age.shape)
    for i, label in enumerate(truth.people.labels):
        for s, path in enumerate(sorted((out / f'sub-{label}').glob(f'**/*{TABLE}'))):
            values = [float(r['mean']) for r in rows_of(path) if r['name'] in sides]
            assert len(values) == len(sides)
            found[i, s] = np.mean(values)
    return found


@pytest.fixture(scope='module')
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp('cohort')
    truth = write_cohort_tables(folder, 150, seed=3, sessions=2, patients=0.4, sites=2)
    return folder, truth


def test_a_table_has_all_columns_and_consistent_cells(tmp_path):
    write_cohort_tables(tmp_path, 1, ages=(60, 60), n_extra_regions=3)
    path = tmp_path / f'derivatives/qsmbids/sub-01/anat/sub-01{TABLE}'
    rows = rows_of(path)
    assert list(rows[0]) == [column.name for column in columns_of('chi')]
    assert json.loads(path.with_suffix('.json').read_text()) == data_dictionary(
        'chi', 'ppm', 'whole-brain'
    )
    assert [row['name'] for row in rows[-3:]] == ['Region001Left', 'Region001Right', 'Region002']
    assert {row['name'] for row in rows} >= {'WholeBrain', 'CaudateLeft', 'CorpusCallosumGenu'}
    by_name = {row['name']: row for row in rows}
    left, right = by_name['PutamenLeft'], by_name['PutamenRight']
    difference = float(right['mean']) - float(left['mean'])
    assert float(left['right_minus_left']) == pytest.approx(difference, abs=1e-6)
    order = [float(left[c]) for c in ('min', 'p5', 'p25', 'median', 'p75', 'p95', 'max')]
    assert order == sorted(order)
    total = float(left['mean']) * float(left['volume_mm3'])
    assert float(left['total']) == pytest.approx(total, rel=1e-4)
    rich = [row for row in rows if row['high_n'] not in ('n/a', '0')]
    assert rich
    for row in rich:
        assert int(row['high_n']) < int(row['n_voxels'])
        assert float(row['high_mean']) > float(row['high_threshold'])
    unreferenced = float(left['mean']) + float(left['reference_value'])
    assert float(left['mean_unreferenced']) == pytest.approx(unreferenced, abs=1e-6)
    brain, genu = by_name['WholeBrain'], by_name['CorpusCallosumGenu']
    for row, name in ((brain, 'mean_uncertainty'), (genu, 'right_minus_left'), (genu, 'high_n')):
        assert row[name] == 'n/a'


def test_files_are_those_of_the_participant_level(cohort):
    folder, truth = cohort
    out = folder / 'derivatives' / 'qsmbids'
    names = output_names([('sub', '001'), ('ses', '2')], atlas='QSMLifespan', cohort='1')
    for key in ('regions_chi', 'qc'):
        assert (out / names[key]).is_file()
        assert (out / names[key]).with_suffix('.json').is_file()
    sidecar = json.loads((out / names['chi'].replace('.nii.gz', '.json')).read_text())
    assert sidecar['AgeYears'] == truth.people.age[0, 1]
    assert sidecar['SusceptibilityReference'] == 'whole-brain'
    assert sidecar['MagneticFieldStrength'] == 3.0
    record = json.loads((out / 'sub-001/log/sub-001_ses-2_atlas.json').read_text())
    assert record['facts']['atlas']['curve_offset_ppm'] == truth.offset_ppm
    (status,) = (out / 'sub-001').glob('log/*/status.json')
    states = json.loads(status.read_text())['acquisitions']
    assert {s['status'] for s in states.values()} == {'complete'}
    assert list(states) == ['sub-001_ses-1', 'sub-001_ses-2']
    visits = rows_of(folder / 'bids/sub-001/sub-001_sessions.tsv')
    assert [float(v['age']) for v in visits] == truth.people.age[0].tolist()
    assert visits[0]['acq_time'] < visits[1]['acq_time']
    people = rows_of(folder / 'bids/participants.tsv')
    assert [float(p['age']) for p in people] == truth.people.age[:, 0].tolist()
    assert sum(p['diagnosis'] == 'patient' for p in people) == 60
    assert {p['site'] for p in people} == {'A', 'B'}
    link = json.loads((out / 'dataset_description.json').read_text())['DatasetLinks']['raw']
    assert link == (folder / 'bids').resolve().as_uri()


def test_values_follow_curve_spread_and_disease(cohort):
    folder, truth = cohort
    out = folder / 'derivatives' / 'qsmbids'
    age, healthy = truth.people.age, ~truth.people.patients & (truth.people.site == 'A')
    for region in ('Putamen', 'CorpusCallosumSplenium', 'SubstantiaNigra'):
        found = averages(out, truth, region)
        z = (found - truth.mean(region, age)) / truth.sd(region, age)
        n = healthy.sum()
        assert abs(z[healthy, 0].mean()) < 3.5 / np.sqrt(n)
        assert z[healthy, 0].std() == pytest.approx(1, abs=3.5 / np.sqrt(2 * n))
        # a person keeps his place between two visits
        assert np.corrcoef(z[healthy].T)[0, 1] > 0.8
    excess = found - truth.mean('SubstantiaNigra', age)
    excess -= np.array([truth.site_ppm[s] for s in truth.people.site])[
        :, [truth.regions.index('SubstantiaNigra')]
    ]
    first, second = excess[truth.people.patients].mean(axis=0)
    assert first == pytest.approx(PATIENT_PPM, abs=0.006)
    years = np.diff(age[truth.people.patients]).mean()
    assert second - first == pytest.approx(PATIENT_PPM_PER_YEAR * years, abs=0.001)


def test_sex_has_no_effect_and_score_follows_the_nucleus(cohort):
    _, truth = cohort
    column = truth.regions.index('SubstantiaNigra')
    ill, chi = truth.people.patients, truth.chi[:, 0, column]
    place = (chi - truth.mean('SubstantiaNigra', truth.people.age[:, 0]))[ill]
    assert np.corrcoef(place, truth.people.score[ill])[0, 1] > 0.5
    assert truth.people.score[~ill].max() < truth.people.score[ill].mean()
    men = truth.people.sex == 'M'
    assert men.sum() == 75
    caudate = truth.chi[:, 0, truth.regions.index('Caudate')]
    rest = caudate - truth.mean('Caudate', truth.people.age[:, 0])
    assert abs(rest[men].mean() - rest[~men].mean()) < 3.5 * rest.std() * np.sqrt(4 / 150)


def test_generating_curves_are_the_prior_moved_to_the_reference(cohort, tmp_path):
    _, truth = cohort
    assert set(truth.regions) == set(REGIONS)
    moved = truth.mean('Putamen', 50.0)
    assert moved == pytest.approx(prior_curve('Putamen')(50.0) + truth.offset_ppm)
    fluid = write_cohort_tables(tmp_path, 2, reference='csf')
    assert fluid.mean('Putamen', 50.0) == prior_curve('Putamen')(50.0)


def test_equal_arguments_give_equal_bytes(tmp_path):
    def written(name, seed):
        write_cohort_tables(tmp_path / name, 3, seed=seed, sessions=2, sites=2)
        files = sorted(p for p in (tmp_path / name).rglob('*') if p.is_file())
        files = [p for p in files if p.name != 'dataset_description.json']  # holds the path
        return {p.relative_to(tmp_path / name): p.read_bytes() for p in files}

    first = written('a', 1)
    assert first == written('b', 1)
    assert first != written('c', 2)


def test_extra_regions_have_places_of_their_own():
    labels, curves, volumes = atlas_regions(111)
    assert len(labels) == 150
    assert len({label.index for label in labels}) == 150
    assert {label.region for label in labels} == set(curves) == set(volumes)


@pytest.mark.parametrize(
    'wrong', [{'n': 0}, {'ages': (50, 20)}, {'patients': 2}, {'reference': 'moon'}]
)
def test_senseless_numbers_are_refused_and_nothing_is_written(tmp_path, wrong):
    with pytest.raises(ValueError, match='cannot be made') as error:
        write_cohort_tables(tmp_path, **{'n': 2, **wrong})
    assert len(str(error.value).splitlines()) == 3
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_left_alone(tmp_path):
    (tmp_path / 'bids').mkdir()
    with pytest.raises(ValueError, match='exists'):
        write_cohort_tables(tmp_path, 2)
    assert [p.name for p in tmp_path.iterdir()] == ['bids']
