"""All questions together: one that fails does not stop the others."""

import re

import numpy as np
import pytest

from qsmbids.bids.dataset import write_table
from qsmbids.group.errors import GroupError
from qsmbids.group.people.answers import answer


def values(scans, n_regions=4):
    rng = np.random.default_rng(0)
    mean = 0.05 + 0.01 * rng.standard_normal((len(scans), n_regions))
    volume = 1000 + 50 * rng.standard_normal(mean.shape)
    return {'mean': mean, 'volume_mm3': volume, 'total': mean * volume}


QUESTIONS = {
    'models': ['chi ~ diagnosis + age + sex', 'volume_mm3 ~ diagnosis'],
    'scores': ['score'],
    'contrasts': ['diagnosis=PD/control'],
}


def test_every_answer_can_be_written(people, table, tmp_path):
    scans = people().assign(score=np.arange(120.0))
    answers = answer(scans, table(**values(scans)), **QUESTIONS, site='site')
    assert set(answers.tables) == {
        'sites', 'model1', 'model1terms', 'model1means', 'model1total', 'model1reference',
        'model2', 'model2terms', 'model2means', 'model2reference', 'scores', 'roc1',
    }  # fmt: skip
    assert set(answers.harmonized.values) == {'mean', 'volume_mm3', 'total'}
    assert set(answers.about) == set(answers.tables)
    for name, result in answers.tables.items():
        assert re.fullmatch('[a-z0-9]+', name)
        path = tmp_path / f'group_desc-{name}_Chimap.tsv'
        write_table(path, result.rows(), result.columns)
        lines = path.read_text().splitlines()
        assert len(lines) == 1 + len(result.frame)
    assert not [p for p in answers.problems if p.severity == 'error']
    assert len(answers.problems) == len(set(answers.problems))


def test_one_that_fails_does_not_stop_the_others(people, table):
    scans = people()
    questions = QUESTIONS | {'models': ['chi ~ nothing', 'chi ~ age'], 'scores': ['MMSE']}
    answers = answer(scans, table(**values(scans)), **questions)
    assert 'model1' not in answers.tables
    assert {'model2', 'roc1'} <= set(answers.tables)
    errors = [str(p) for p in answers.problems if p.severity == 'error']
    assert any('no column nothing' in text for text in errors)
    assert any('no column MMSE' in text for text in errors)


def test_refused_harmonisation_answers_nothing(people, table):
    scans = people()
    scans['site'] = np.where(scans['diagnosis'] == 'PD', 'B', 'A')
    answers = answer(scans, table(**values(scans)), **QUESTIONS, site='site')
    assert not answers.tables
    assert answers.harmonized is None
    assert 'confounded' in str(answers.problems[0])


def test_one_person(people, table):
    scans = people(1)
    answers = answer(scans, table(**values(scans)), models=['chi ~ age'],
                     contrasts=['diagnosis=PD/control'])  # fmt: skip
    assert not answers.tables
    assert len(answers.problems) == 2


def test_slips_of_the_pen_are_raised(people, table):
    scans = people()
    for wrong in ({'models': ['chi ~ age +']}, {'contrasts': ['diagnosis']}):
        with pytest.raises(GroupError):
            answer(scans, table(**values(scans)), **wrong)
