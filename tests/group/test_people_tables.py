"""Columns of people keep every value when headings are the same or are used otherwise."""

import json

import pytest

from qsmbids.group.cohort import read_cohort
from qsmbids.group.page_data import groupings


@pytest.fixture
def read(tmp_path):
    """Read a cohort of one scan with this table of people."""

    def read_people(text):
        anat = tmp_path / 'out' / 'sub-0' / 'anat'
        anat.mkdir(parents=True)
        (anat / 'sub-0_desc-qc_Chimap.tsv').write_text('noise_hz\n0.5\n')
        (anat / 'sub-0_Chimap.json').write_text(json.dumps({'AgeYears': 20}))
        (tmp_path / 'participants.tsv').write_text(text)
        return read_cohort(tmp_path / 'out', participants_tsv=tmp_path / 'participants.tsv')

    return read_people


def renamed(cohort):
    return [p.what for p in cohort.problems if p.what.startswith('Columns of')]


@pytest.mark.parametrize('names', [('key', 'key_given'), ('key_given', 'key')])
def test_a_new_name_is_not_one_that_is_there(read, names):
    cohort = read('participant_id\t{}\t{}\nsub-0\t{}\t{}\n'.format(*names, *names))
    assert cohort.scans.columns.is_unique
    shown = ['key', 'key_given', 'key_given_given']
    assert cohort.scans.loc[0, shown].tolist() == ['sub-0', 'key_given', 'key']
    (what,) = renamed(cohort)
    assert 'key is key_given_given' in what
    groupings(cohort.scans)


def test_headings_that_stand_twice(read):
    cohort = read(
        'participant_id\tage\tScore2\tScore2\tscore2_2\tscore2\tAge\tParticipant_ID\n'
        'sub-0\t20\t1\t2\t3\t4\t50\tx\n'
    )
    shown = ('Score2', 'Score2_3', 'score2_2', 'score2_4', 'age', 'Age_2', 'Participant_ID_2')
    assert [cohort.scans[name][0] for name in shown] == [1, 2, 3, 4, 20, 50, 'x']
    assert renamed(cohort) == [
        'Columns of participants.tsv have names that are used otherwise here: '
        'Score2 in column 4 is Score2_3, score2 in column 6 is score2_4, '
        'Age in column 7 is Age_2, Participant_ID in column 8 is Participant_ID_2.'
    ]
