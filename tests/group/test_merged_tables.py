"""The merged tables: the text of every cell as it stood, of all people in one file."""

import csv
import json

import numpy as np
import pytest

from qsmbids.group.cohort import read_cohort
from qsmbids.group.merged_tables import write_tables

HEADING = 'index\tname\tabbreviation\themisphere\tgroup\tmean\treference_value\n'
LESIONS = 'id\tlabel\tregion\tvolume_mm3\trim_flag\n'


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if isinstance(text, str) else json.dumps(text), encoding='utf-8')


def add(out, key, body, heading=HEADING):
    stem = out / key.split('_')[0] / 'anat' / f'{key}_atlas-A+2_desc-regions_Chimap'
    write(stem.with_suffix('.tsv'), heading + body)
    entry = {'mean': {'Description': 'Mean', 'Units': 'ppm'}}
    write(stem.with_suffix('.json'), {'Reference': 'csf', **entry})
    write(stem.with_name(f'{key}_Chimap.json'), {'AgeYears': 30, 'SusceptibilityReference': 'csf'})


def rows_of(path):
    with open(path, encoding='utf-8', newline='') as stream:
        return list(csv.DictReader(stream, delimiter='\t'))


@pytest.fixture
def out(tmp_path):
    return tmp_path / 'out'


def test_no_digit_is_lost(out):
    texts = ('0.12345678901', '1e-30', '-0', '3.10', 'n/a')
    body = ''.join(f'{i}\tR{i}\tR\tB\tg\t{text}\t0.5\n' for i, text in enumerate(texts))
    add(out, 'sub-10', body)
    add(out, 'sub-9', body)
    written, n_rows = write_tables(out, read_cohort(out))
    rows = rows_of(out / 'group_atlas-A+2_Chimap.tsv')
    assert n_rows == len(rows) == 10
    assert [row['mean'] for row in rows] == [*texts, *texts]
    assert [row['acquisition'] for row in rows[::5]] == ['sub-9', 'sub-10']
    assert list(rows[0]) == [
        'participant_id', 'session_id', 'acquisition', 'age', 'sex', 'cohort', 'reference',
        'version', *HEADING.split(),
    ]  # fmt: skip
    assert (rows[0]['age'], rows[0]['reference'], rows[0]['sex']) == ('30', 'csf', 'n/a')
    dictionary = json.loads((out / 'group_atlas-A+2_Chimap.json').read_text())
    assert list(dictionary) == list(rows[0])
    assert dictionary['mean'] == {'Description': 'Mean', 'Units': 'ppm'}
    assert all(path.is_file() for path in written)


def test_tables_that_differ_share_all_columns(out):
    add(out, 'sub-1', '1\tGP\tGP\tB\tg\t0.1\t0.5\n')
    add(out, 'sub-2', '1\tGP\t9\n2\t\t8\n', 'index\tname\tmax\n')
    add(out, 'sub-3', '1\t"G ""P"""\tGP\tB\tg\t0.1\n')
    write_tables(out, read_cohort(out))
    rows = rows_of(out / 'group_atlas-A+2_Chimap.tsv')
    assert [row['name'] for row in rows] == ['GP', 'GP', 'n/a', 'G "P"']
    assert [row['max'] for row in rows] == ['n/a', '9', '8', 'n/a']
    assert [row['mean'] for row in rows] == ['0.1', 'n/a', 'n/a', '0.1']
    assert [row['reference_value'] for row in rows] == ['0.5', 'n/a', 'n/a', 'n/a']
    assert list(rows[0])[-1] == 'max'


def test_sex_stands_as_in_the_table_of_people(out, tmp_path):
    add(out, 'sub-1', '1\tGP\tGP\tB\tg\t0.1\t0.5\n')
    write(tmp_path / 'participants.tsv', 'participant_id\tsex\nsub-1\tfemale\n')
    cohort = read_cohort(out, participants_tsv=tmp_path / 'participants.tsv')
    write_tables(out, cohort)
    assert cohort.scans['sex'][0] == 'F'
    assert rows_of(out / 'group_atlas-A+2_Chimap.tsv')[0]['sex'] == 'female'


def test_one_row_for_each_scan(out, tmp_path):
    for run in ('1', '2'):
        add(out, f'sub-1_run-{run}', '1\tGP\tGP\tB\tg\t0.1\t0.5\n')
    people = 'participant_id\tage\tsex\tsite\tbarcode\tnote\nsub-1\t35y\t1\tX\t12345678\ta b\n'
    write(tmp_path / 'participants.tsv', people)
    write_tables(out, read_cohort(out, participants_tsv=tmp_path / 'participants.tsv'))
    first, second = rows_of(out / 'group_scans.tsv')
    assert (first['acquisition'], first['primary']) == ('sub-1_run-1', 'true')
    assert (second['acquisition'], second['primary']) == ('sub-1_run-2', 'false')
    shown = ('first_session', 'age', 'sex', 'site', 'barcode', 'note', 'reference', 'version')
    assert [first[name] for name in shown] == [
        'true', '30', 'n/a', 'X', '12345678', 'a b', 'csf', 'n/a',
    ]  # fmt: skip
    assert list(json.loads((out / 'group_scans.json').read_text())) == list(first)


def test_a_column_of_people_called_acquisition_is_kept(out, tmp_path):
    add(out, 'sub-1', '1\tGP\tGP\tB\tg\t0.1\t0.5\n')
    write(tmp_path / 'participants.tsv', 'participant_id\tacquisition\nsub-1\tfast\n')
    cohort = read_cohort(out, participants_tsv=tmp_path / 'participants.tsv')
    write_tables(out, cohort)
    (row,) = rows_of(out / 'group_scans.tsv')
    assert (row['acquisition'], row['acquisition_given']) == ('sub-1', 'fast')
    assert any('acquisition is acquisition_given' in problem.what for problem in cohort.problems)


def marking(out, key, label, kind, text):
    write(out / key / 'anat' / f'{key}_label-{label}_desc-{kind}_Chimap.tsv', text)


def test_lesions_and_veins_and_markings_without_any(out):
    add(out, 'sub-1', '1\tGP\tGP\tB\tg\t0.1\t0.5\n')
    marking(out, 'sub-1', 'CMB', 'lesions', LESIONS + '1\t1\tPons\t4.5\tn/a\n2\t1\tn/a\t3\tyes\n')
    marking(out, 'sub-2', 'CMB', 'lesions', LESIONS)
    marking(out, 'sub-2', 'lesion', 'lesions', LESIONS + '1\t1\tPons\t2\tno\n')
    marking(out, 'sub-2', 'vein', 'veins', 'id\toxygen_saturation\tremark\n1\t0.61\tok\n')
    cohort = read_cohort(out)
    lesions = cohort.lesions
    assert list(lesions.columns[:4]) == ['key', 'participant_id', 'session_id', 'marking']
    assert list(lesions['marking']) == ['CMB', 'CMB', 'lesion']
    assert list(lesions['volume_mm3']) == [4.5, 3, 2]
    assert list(lesions['rim_flag']) == ['', 'yes', 'no']
    assert list(cohort.veins['oxygen_saturation']) == [0.61]
    assert list(cohort.select([1]).lesions['key']) == ['sub-2']
    write_tables(out, cohort)
    rows = rows_of(out / 'group_desc-lesions_Chimap.tsv')
    assert [(r['acquisition'], r['marking'], r['volume_mm3']) for r in rows] == [
        ('sub-1', 'CMB', '4.5'), ('sub-1', 'CMB', '3'), ('sub-2', 'lesion', '2'),
    ]  # fmt: skip
    assert rows_of(out / 'group_desc-veins_Chimap.tsv')[0]['remark'] == 'ok'
    counts = rows_of(out / 'group_desc-markings_Chimap.tsv')
    assert [(r['acquisition'], r['kind'], r['marking'], r['n']) for r in counts] == [
        ('sub-1', 'lesions', 'CMB', '2'), ('sub-2', 'lesions', 'CMB', '0'),
        ('sub-2', 'lesions', 'lesion', '1'), ('sub-2', 'veins', 'vein', '1'),
    ]  # fmt: skip
    assert [r['volume_mm3'] for r in counts][:2] == ['7.5', '0']


def test_a_broken_lesion_table_is_named(out):
    add(out, 'sub-1', '1\tGP\tGP\tB\tg\t0.1\t0.5\n')
    marking(out, 'sub-1', 'CMB', 'lesions', '')
    cohort = read_cohort(out)
    assert any('label-CMB_desc-lesions_Chimap.tsv' in p.where for p in cohort.problems)
    assert cohort.lesions.empty
    write_tables(out, cohort)
    assert not (out / 'group_desc-lesions_Chimap.tsv').exists()
    assert not (out / 'group_desc-markings_Chimap.tsv').exists()


def test_a_folder_with_nothing_but_a_broken_table(out):
    marking(out, 'sub-1', 'CMB', 'lesions', '')
    cohort = read_cohort(out)
    assert len(cohort.scans) == 0
    assert [p.severity for p in cohort.problems] == ['error']


def test_only_quality_numbers(out):
    write(out / 'sub-1' / 'ses-2' / 'anat' / 'sub-1_ses-2_desc-qc_Chimap.tsv', 'snr\n12.50\n')
    cohort = read_cohort(out)
    written, n_rows = write_tables(out, cohort)
    assert n_rows == 0
    (row,) = rows_of(out / 'group_desc-qc_Chimap.tsv')
    assert (row['session_id'], row['snr'], row['age']) == ('ses-2', '12.50', 'n/a')
    assert np.isnan(cohort.scans['age'][0])
    assert [str(m) for m in cohort.missing] == [
        'sub-1: no table of regions and no record of a run'
    ]
    assert {p.name for p in written} == {
        'group_desc-qc_Chimap.tsv', 'group_desc-qc_Chimap.json', 'group_missing.tsv',
        'group_missing.json', 'group_scans.tsv', 'group_scans.json',
    }  # fmt: skip
