"""The cohort: what is known of each scan, and a sentence for everything that is wrong."""

import json

import numpy as np
import pytest

from qsmbids.group.cohort import read_cohort
from qsmbids.group.people.results import one_each

HEADING = 'index\tname\tabbreviation\themisphere\tgroup\tvolume_mm3\tmean\n'
ROWS = '0\tWholeBrain\tWB\tB\tn/a\t9\t{whole}\n1\tCaudateLeft\tCN-L\tL\tdeep grey\t5\t{mean}\n'
RANGE = 'The age in participants.tsv is not between 0 and 120 years: sub-1 ("{}").'


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding='utf-8')


def add(out, key, mean=0.05, *, whole=0, chi=True, version='1.0', **sidecar):
    """Write a scan with its region table, or with quality numbers alone."""
    parts = dict(part.split('-') for part in key.split('_'))
    folder = out / f'sub-{parts["sub"]}'
    folder = folder / f'ses-{parts["ses"]}' / 'anat' if 'ses' in parts else folder / 'anat'
    if chi:
        table = folder / f'{key}_atlas-QSMLifespan_desc-regions_Chimap.tsv'
        write(table, HEADING + ROWS.format(mean=mean, whole=whole))
        write(table.with_suffix('.json'), {'mean': {'Description': 'Mean', 'Units': 'ppm'}})
    write(folder / f'{key}_desc-qc_Chimap.tsv', 'noise_hz\tjudged\n0.5\tgood\n')
    facts = {'SusceptibilityReference': 'whole-brain', 'MagneticFieldStrength': 3, **sidecar}
    made_by = {'GeneratedBy': [{'Name': 'qsmbids', 'Version': version}]}
    write(folder / f'{key}_Chimap.json', facts | made_by)
    record = {'facts': {'atlas': {'cohort': '4', 'curve_offset_ppm': -0.004}}}
    write(out / f'sub-{parts["sub"]}' / 'log' / f'{key}_atlas.json', record)


@pytest.fixture
def out(tmp_path):
    return tmp_path / 'out'


@pytest.fixture
def raw(tmp_path):
    (tmp_path / 'raw').mkdir()
    return tmp_path / 'raw'


def read(out, raw, people=None, **options):
    if people is not None:
        write(raw / 'participants.tsv', people)
    return read_cohort(out, participants_tsv=raw / 'participants.tsv', **options)


def said(cohort):
    return [problem.what for problem in cohort.problems]


def test_what_is_known_of_a_scan(out, raw):
    add(out, 'sub-10', AgeYears=61.5, SusceptibilityReferenceValue=0.012)
    add(out, 'sub-9', AgeYears=8)
    cohort = read(
        out,
        raw,
        'participant_id\tage\tsex\tsite\tmoca\tdiagnosis\n'
        'sub-9\t8\tf\tB\tn/a\tcontrol\nsub-10\t61.5\tM\tn/a\t27\tPD\n',
    )
    assert cohort.problems == []
    scans = cohort.scans
    assert list(scans['key']) == ['sub-9', 'sub-10']
    second = scans.iloc[1]
    assert (second['age'], second['sex'], second['site']) == (61.5, 'M', '')
    assert (second['reference'], second['reference_value']) == ('whole-brain', 0.012)
    assert (second['units'], second['version'], second['cohort']) == ('ppm', '1.0', '4')
    assert (second['field_strength_t'], second['curve_offset']) == (3.0, -0.004)
    assert (second['page'], second['session_id']) == ('sub-10.html', '')
    assert scans['moca'].dtype == float
    assert np.isnan(scans['moca'][0])
    assert list(scans['diagnosis']) == ['control', 'PD']
    assert cohort.one_each().tolist() == [True, True]
    assert list(cohort.qc['noise_hz']) == [0.5, 0.5]
    assert list(cohort.qc['judged']) == ['good', 'good']


def test_rows_of_scans_are_rows_of_arrays(out, raw):
    for label, mean in (('10', 0.1), ('2', 0.2), ('30', 0.3)):
        add(out, f'sub-{label}', mean)
    add(out, 'sub-4', chi=False)
    cohort = read(out, raw)
    assert list(cohort.scans['key']) == ['sub-2', 'sub-4', 'sub-10', 'sub-30']
    means = cohort.tables['QSMLifespan', 'Chimap'].values['mean']
    np.testing.assert_allclose(means[:, 1], [0.2, np.nan, 0.1, 0.3], rtol=1e-6)
    chosen = cohort.select(cohort.scans['key'].isin(['sub-30', 'sub-2']))
    assert list(chosen.scans['key']) == ['sub-2', 'sub-30']
    assert chosen.tables['QSMLifespan', 'Chimap'].values['mean'][1, 1] == np.float32(0.3)
    assert list(chosen.qc['key']) == ['sub-2', 'sub-30']


def test_values_of_the_session_win(out, raw):
    add(out, 'sub-1_ses-a', AgeYears=31)
    add(out, 'sub-1_ses-b')
    write(
        raw / 'sub-1' / 'sub-1_sessions.tsv',
        'session_id\tage\tacq_time\tmoca\tdose\nses-a\t31\t2020-01-02T10:00:00\t20\t1\n'
        'b\t29\t2018-01-02\tn/a\t2\n',
    )
    cohort = read(out, raw, 'participant_id\tage\tsex\tmoca\nsub-1\t29\tF\t25\n')
    scans = cohort.scans
    assert cohort.problems == []
    assert list(scans['age']) == [31, 29]
    assert list(scans['sex']) == ['F', 'F']
    assert list(scans['moca']) == [20, 25]
    assert list(scans['dose']) == [1, 2]
    assert list(scans['acq_time']) == ['2020-01-02T10:00:00', '2018-01-02']
    assert list(scans['first_session']) == [False, True]


def test_earliest_session_by_time_age_or_label(out, raw):
    for label in ('1', '2', '3'):
        for session in ('2', '10'):
            add(out, f'sub-{label}_ses-{session}')
    write(raw / 'sub-1' / 'sub-1_sessions.tsv', 'session_id\tage\nses-2\t50\nses-10\t48\n')
    write(
        raw / 'sub-2' / 'sub-2_sessions.tsv',
        'session_id\tage\tacq_time\nses-2\t40\t2020-01-01\nses-10\t48\t2019-01-01T08:00:00Z\n',
    )
    scans = read(out, raw, 'participant_id\tage\nsub-3\t5\n').scans
    first = scans[scans['first_session']]
    assert list(first['key']) == ['sub-1_ses-10', 'sub-2_ses-10', 'sub-3_ses-2']


def test_a_session_without_susceptibility_is_not_the_first(out, raw):
    add(out, 'sub-1_ses-1', chi=False)
    add(out, 'sub-1_ses-2_run-1', chi=False)
    add(out, 'sub-1_ses-2_run-2')
    cohort = read(out, raw)
    assert list(cohort.scans['key'][cohort.one_each()]) == ['sub-1_ses-2_run-2']


def test_runs_are_all_kept_and_the_first_is_primary(out, raw):
    add(out, 'sub-1_run-10', AgeYears=30)
    add(out, 'sub-1_run-2', AgeYears=30)
    add(out, 'sub-2', AgeYears=30)
    cohort = read(out, raw, 'participant_id\tsex\nsub-1\tF\nsub-2\tF\n')
    assert list(cohort.scans['primary']) == [True, False, True]
    assert said(cohort) == [
        'Several acquisitions of one person and session: '
        'sub-1_run-2 (beside it sub-1_run-10).'
    ]  # fmt: skip


def test_a_run_without_values_does_not_stand_for_a_person(out, raw):
    add(out, 'sub-1_run-1', 'n/a', whole='n/a', AgeYears=30)
    add(out, 'sub-1_run-2', AgeYears=30)
    add(out, 'sub-2', chi=False, AgeYears=30)
    add(out, 'sub-3_ses-1', 'n/a', whole='n/a', AgeYears=30)
    add(out, 'sub-3_ses-2', AgeYears=31)
    people = 'participant_id\tsex\n' + ''.join(f'sub-{i}\tF\n' for i in (1, 2, 3))
    cohort = read(out, raw, people)
    chosen = ['sub-1_run-2', 'sub-2', 'sub-3_ses-2']
    assert list(cohort.scans['key'][cohort.one_each()]) == chosen
    assert list(cohort.scans['primary']) == [False, True, True, True, True]
    assert said(cohort) == [
        'Several acquisitions of one person and session: '
        'sub-1_run-2 (beside it sub-1_run-1).'
    ]  # fmt: skip
    means = cohort.tables['QSMLifespan', 'Chimap'].values['mean']
    counted = one_each(cohort.scans, means)
    assert list(cohort.scans['key'][counted]) == ['sub-1_run-2', 'sub-3_ses-2']


def test_a_table_of_another_map_does_not_count_as_susceptibility(out, raw):
    add(out, 'sub-1_run-1', 'n/a', whole='n/a')
    folder = out / 'sub-1' / 'anat'
    write(
        folder / 'sub-1_run-1_atlas-QSMLifespan_desc-regions_R2starmap.tsv',
        HEADING + ROWS.format(mean=20, whole=0),
    )
    add(out, 'sub-1_run-2')
    (folder / 'sub-1_run-3_atlas-QSMLifespan_desc-regions_Chimap.tsv').write_bytes(b'')
    assert list(read(out, raw).scans['primary']) == [False, True]


def test_without_any_value_the_first_with_a_table_counts(out, raw):
    add(out, 'sub-1_run-1', chi=False)
    for run in ('2', '3'):
        add(out, f'sub-1_run-{run}', 'n/a', whole='n/a')
    cohort = read(out, raw)
    assert list(cohort.scans['primary']) == [False, True, False]
    assert any('sub-1_run-2 (beside it sub-1_run-3)' in text for text in said(cohort))


def test_curves_scores_and_contrasts_count_the_same_scans(out, raw):
    for label in range(1, 7):
        for session, age in (('followup', 52), ('pre', 50), ('mid', 51)):
            add(out, f'sub-{label}_ses-{session}', AgeYears=age)
    cohort = read(out, raw)
    means = cohort.tables['QSMLifespan', 'Chimap'].values['mean']
    assert set(cohort.scans['session_id'][cohort.one_each()]) == {'ses-pre'}
    assert one_each(cohort.scans, means).tolist() == cohort.one_each().tolist()
    unknown = means.copy()
    unknown[cohort.scans['session_id'] == 'ses-pre'] = np.nan
    assert list(cohort.scans['session_id'][one_each(cohort.scans, unknown)]) == ['ses-mid'] * 6


def test_sessions_of_the_same_age(out, raw):
    for session in ('1', '2'):
        add(out, f'sub-1_ses-{session}', AgeYears=30)
    cohort = read(out, raw, 'participant_id\tsex\nsub-1\tF\n')
    assert said(cohort) == [
        'Sessions of one person have the same age and no acq_time: sub-1.'
    ]  # fmt: skip


@pytest.mark.parametrize(
    ('text', 'age', 'sentence'),
    [
        ('35y', None, 'The age in participants.tsv is not a number: sub-1 ("35y").'),
        ('seventy', None, 'The age in participants.tsv is not a number: sub-1 ("seventy").'),
        ('1e1', None, 'The age in participants.tsv is not a number: sub-1 ("1e1").'),
        ('n/a', None, ''),
        ('-2', None, RANGE.format('-2')),
        (
            '999',
            None,
            'The age in participants.tsv is not between 0 and 120 years: sub-1 ("999").',
        ),
        ('89+', 89, 'The age in participants.tsv is given as "or more": sub-1 ("89+").'),
        ('0', 0, ''),
        ('35,5', 35.5, ''),
    ],
)
def test_ages_of_every_spelling(out, raw, text, age, sentence):
    add(out, 'sub-1')
    add(out, 'sub-2', AgeYears=20)
    cohort = read(out, raw, f'participant_id\tAge\tsex\nsub-1\t{text}\tF\nsub-2\t20\tF\n')
    unknown = 'No age is known for sub-1; not in the plots, but in the tables.'
    assert said(cohort) == [*filter(None, [sentence]), *([unknown] if age is None else [])]
    np.testing.assert_equal(cohort.scans['age'][0], np.nan if age is None else age)
    assert all(problem.why and problem.do for problem in cohort.problems)


def test_units_of_age(out, raw):
    add(out, 'sub-1')
    write(raw / 'participants.json', {'age': {'Units': 'months'}})
    assert read(out, raw, 'participant_id\tage\tsex\nsub-1\t18\tF\n').scans['age'][0] == 1.5
    cohort = read(out, raw, 'participant_id\tage_days\tage\tsex\nsub-1\t731\t18\tF\n')
    assert cohort.scans['age'][0] == pytest.approx(2.0014, abs=1e-4)
    write(raw / 'participants.json', {'age': {'Units': 'moons'}})
    cohort = read(out, raw, 'participant_id\tage\tsex\nsub-1\t18\tF\n')
    assert 'not a year, month, week or day: age ("moons")' in said(cohort)[0]


def test_age_of_the_sidecar_wins_and_a_difference_is_said(out, raw):
    add(out, 'sub-1', AgeYears=30)
    add(out, 'sub-2', AgeYears=300)
    cohort = read(out, raw, 'participant_id\tage\tsex\nsub-1\t40\tF\nsub-2\t50\tM\n')
    assert list(cohort.scans['age']) == [30, 50]
    assert said(cohort) == [
        'The age in the tables is not that of the sidecar of the map: sub-1 ("30 and 40").',
        'The age in the sidecars of the maps is not between 0 and 120 years: sub-2 ("300").',
    ]


def test_sexes_are_not_guessed(out, raw):
    texts = ('F', 'm', 'Female', 'other', '1', 'n/a', 'w')
    for i in range(len(texts)):
        add(out, f'sub-{i}', AgeYears=20)
    table = ''.join(f'sub-{i}\t{text}\n' for i, text in enumerate(texts))
    cohort = read(out, raw, 'participant_id\tsex\n' + table)
    assert list(cohort.scans['sex']) == ['F', 'M', 'F', 'O', '', '', '']
    assert said(cohort) == [
        'The sex in participants.tsv is not one of F, M, O, female, male, other: '
        'sub-4 ("1"), sub-6 ("w").',
        'No sex is known for sub-5.',
    ]
    write(raw / 'participants.json', {'sex': {'Levels': {'1': 'male', 'w': 'female'}}})
    cohort = read(out, raw, 'participant_id\tsex\n' + table)
    assert list(cohort.scans['sex']) == ['F', 'M', 'F', 'O', 'M', '', 'F']
    cohort = read(out, raw, 'participant_id\tage\nsub-1\t20\n')
    assert 'No sex is known for anybody.' in said(cohort)


def test_rows_that_stand_twice(out, raw):
    for label in ('1', '2'):
        add(out, f'sub-{label}')
    cohort = read(
        out,
        raw,
        'participant_id\tage\tsex\nsub-1\t30\tF\n1\t30\tF\nsub-2\t40\tM\nsub-2\t41\tM\n\t3\tF\n\n',
    )
    assert list(cohort.scans['age']) == [30, 40]
    assert said(cohort) == [
        'The same row stands more than once in participants.tsv: sub-1.',
        'Rows that differ have the same name in participants.tsv: sub-2 ("age").',
        'Rows without a name are in participants.tsv: line 6.',
    ]


def test_people_and_tables_that_do_not_match(out, raw):
    add(out, 'sub-1', AgeYears=30)
    add(out, 'sub-2', AgeYears=30)
    write(
        out / 'sub-3' / 'log' / '20260101-120000_a' / 'status.json',
        {'acquisitions': {'sub-3': {'status': 'failed', 'message': 'unwrapping: bad'}}},
    )
    cohort = read(out, raw, 'participant_id\tsex\nsub-2\tF\nsub-3\tM\nsub-4\tM\n')
    assert said(cohort)[0] == 'Not in participants.tsv, but with tables: sub-1.'
    assert [str(m) for m in cohort.missing] == [
        'sub-3: unwrapping: bad',
        'sub-4: the participant level has not been run',
    ]
    cohort = read(out, raw, labels=['sub-1'])
    assert list(cohort.scans['key']) == ['sub-1']
    assert cohort.missing == ()
    assert read(out, raw, expected=['1', 'sub-9']).missing[0].participant_id == 'sub-9'


def test_maps_that_cannot_be_compared(out, raw):
    add(out, 'sub-1', AgeYears=30, Units='ppm', MagneticFieldStrength=2.89)
    add(out, 'sub-2', AgeYears=30, Units='ppm', MagneticFieldStrength=None)
    assert said(read(out, raw, 'participant_id\tsex\nsub-1\tF\nsub-2\tF\n')) == []
    add(
        out, 'sub-3', AgeYears=30, Units='ppb', SusceptibilityReference='csf', version='2.0',
        MagneticFieldStrength=None, ImagingFrequency=298.04,
    )  # fmt: skip
    cohort = read(out, raw, 'participant_id\tsex\nsub-1\tF\nsub-2\tF\nsub-3\tF\n')
    assert said(cohort) == [
        'The maps have different references: csf, whole-brain.',
        'The maps have different units: ppb, ppm.',
        'The maps have different versions of qsmbids: 1.0, 2.0.',
        'The maps have different field strengths (T): 3, 7.',
    ]


def test_columns_with_words_among_numbers(out, raw):
    for label in range(4):
        add(out, f'sub-{label}', AgeYears=20)
    cohort = read(
        out,
        raw,
        'participant_id\tsex\tmoca\tgroup_code\tcohort\tversion\n'
        'sub-0\tF\t20\t1\tA\tx\nsub-1\tF\tmissed\t2\tB\tx\n'
        'sub-2\tF\t22\t1\tA\ty\nsub-3\tF\t23\tn/a\tB\ty\n',
    )
    assert list(cohort.scans['moca']) == ['20', 'missed', '22', '23']
    np.testing.assert_equal(cohort.scans['group_code'].to_numpy(), [1, 2, 1, np.nan])
    assert set(cohort.scans['cohort']) == {'4'}
    assert list(cohort.scans['cohort_given']) == ['A', 'B', 'A', 'B']
    assert said(cohort) == [
        'Columns of participants.tsv have names that are used otherwise here: '
        'cohort is cohort_given, version is version_given.',
        'Columns of numbers in the tables of people hold words: moca ("missed").',
    ]


def test_participants_table_that_cannot_be_used(out, raw):
    add(out, 'sub-1', AgeYears=20)
    cohort = read(out, raw, 'name\tage\nsub-1\t30\n')
    assert said(cohort)[-1] == (
        'participants.tsv cannot be used: participants.tsv has no column participant_id.'
    )
    write(raw / 'participants.tsv', '')
    assert 'is empty' in said(read(out, raw))[-1]
    (raw / 'participants.tsv').write_bytes('participant_id\tort\nsub-1\tKöln\n'.encode('latin-1'))
    assert read(out, raw).scans['ort'][0] == 'Köln'


def test_an_empty_folder_is_a_cohort_without_scans(tmp_path):
    cohort = read_cohort(tmp_path / 'nothing')
    assert len(cohort.scans) == 0
    assert (cohort.tables, cohort.missing, cohort.problems) == ({}, (), [])
    assert cohort.one_each().tolist() == []


def test_a_thousand_of_a_kind_are_one_sentence(out, raw):
    for label in range(12):
        add(out, f'sub-{label}', AgeYears=20)
    table = ''.join(f'sub-{i}\t{i}y\tF\n' for i in range(12))
    (problem,) = read(out, raw, 'participant_id\tage\tsex\n' + table).problems
    assert problem.what.endswith('sub-7 ("7y") and 4 more.')
