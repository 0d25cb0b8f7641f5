"""A reference region that differs between groups is reported."""

import numpy as np
import pytest

from qsmbids.group.people.sensitivity import reference_differs

MODEL = 'chi ~ diagnosis + age'


def test_difference_is_reported(people):
    scans = people()
    scans.loc[scans['diagnosis'] == 'PD', 'reference_value'] += 0.003
    result, problems = reference_differs(scans, MODEL)
    assert 'differs with diagnosis' in str(problems[0])
    row = result.frame[result.frame['coefficient'] == 'diagnosis[PD]'].iloc[0]
    assert row['estimate'] == pytest.approx(0.003, abs=0.001)


def test_no_difference_is_silent(people):
    wrong = sum(bool(reference_differs(people(seed=s), 'chi ~ diagnosis')[1]) for s in range(100))
    assert wrong <= 11  # 5 in 100, and chance


def test_different_references_and_nothing_recorded(people):
    scans = people()
    scans.loc[0, 'reference'] = 'csf'
    assert '2 references: csf, whole-brain' in str(reference_differs(scans, MODEL)[1][0])
    for value in (np.nan, 0.0):
        result, problems = reference_differs(people().assign(reference_value=value), MODEL)
        assert result is None
        assert 'could not be tested' in str(problems[0])
    _, problems = reference_differs(people(6), 'chi ~ bs(age, df=5)')
    assert 'could not be tested' in str(problems[0])
