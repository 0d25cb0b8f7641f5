"""The design matrix against patsy's, and what is found before anything is fitted."""

import numpy as np
import pytest

from qsmbids.group.errors import GroupError
from qsmbids.group.people.design import build_design, spline_basis


def same_space(a, b):
    rank = np.linalg.matrix_rank
    return rank(a) == rank(b) == rank(np.hstack([a, b]))


@pytest.mark.parametrize(
    'right',
    ['diagnosis + age + sex', 'diagnosis*age + sex', 'diagnosis*sex*age', 'age + I(age**2)',
     'diagnosis*bs(age, df=4)', '(diagnosis + sex + site)**2'],
)  # fmt: skip
def test_same_models_as_patsy(people, right):
    patsy = pytest.importorskip('patsy')
    scans = people()
    expected = np.asarray(patsy.dmatrix(right, scans))
    design = build_design(f'chi ~ {right}', scans)
    assert design.matrix.shape == expected.shape
    assert same_space(design.matrix, expected)


def test_spline_is_that_of_patsy():
    patsy = pytest.importorskip('patsy')
    age = np.linspace(3, 80, 50) ** 1.1
    expected = np.asarray(patsy.dmatrix('bs(age, df=6) - 1', {'age': age}))
    np.testing.assert_allclose(spline_basis(age, 6), expected, atol=1e-12)


def test_numbers_are_centred_and_the_largest_group_is_the_reference(people):
    scans = people()
    design = build_design('chi ~ diagnosis*age', scans)
    assert design.names == ['constant', 'diagnosis[PD]', 'age', 'diagnosis[PD]:age']
    assert abs(design.matrix[:, 2].mean()) < 1e-10
    named = build_design("chi ~ C(diagnosis, Treatment('PD'))", scans)
    assert named.names == ['constant', 'diagnosis[control]']


def test_numbers_can_name_groups(people):
    scans = people()
    scans['scanner'] = np.arange(len(scans)) % 3 + 1.0
    assert build_design('chi ~ C(scanner)', scans).names[1:] == ['scanner[2]', 'scanner[3]']
    assert build_design('chi ~ scanner', scans).names[1:] == ['scanner']


def test_people_without_a_value_are_left_out_and_named(people):
    scans = people()
    scans.loc[3, 'age'] = np.nan
    scans.loc[5, 'sex'] = ''
    design = build_design('chi ~ age + sex', scans)
    assert len(design.rows) == len(scans) - 2
    text = ' '.join(map(str, design.problems))
    assert '1 person without a value of age' in text
    assert 'sub-0003' in text
    assert 'sub-0005' in text


def test_small_groups_are_left_out(people):
    scans = people()
    scans.loc[[1, 2], 'sex'] = 'O'
    design = build_design('chi ~ sex', scans)
    assert 'sex[O]' not in design.names
    assert 'sex = O' in str(design.problems[0])


def test_columns_that_move_together_are_named(people):
    scans = people()
    scans['site'] = np.where(scans['diagnosis'] == 'PD', 'hospital', 'university')
    with pytest.raises(GroupError, match='cannot tell apart: diagnosis, site'):
        build_design('chi ~ diagnosis + age + site', scans)


def test_nearly_the_same_columns_are_told(people):
    scans = people()
    scans['years'] = scans['age'] + np.random.default_rng(0).normal(size=len(scans))
    problems = build_design('chi ~ age + years + sex', scans).problems
    assert any('age and years are nearly the same' in str(p) for p in problems)
    assert not build_design('chi ~ age + sex', scans).problems


def test_one_group_only_is_left_out_and_the_rest_is_done(people):
    scans = people()
    scans['diagnosis'] = 'PD'
    design = build_design('chi ~ diagnosis + age', scans)
    assert design.names == ['constant', 'age']
    assert 'have diagnosis = PD' in str(design.problems[0])
    with pytest.raises(GroupError, match='have diagnosis = PD'):
        build_design('chi ~ diagnosis', scans)


def test_same_ages(people):
    scans = people()
    scans['age'] = 30.0
    assert 'have age = 30' in str(build_design('chi ~ age + sex', scans).problems[0])


@pytest.mark.parametrize('n', [0, 1, 4])
def test_too_few_people(people, n):
    scans = people().iloc[:n].reset_index(drop=True)
    if n == 0:
        scans = people().assign(age=np.nan, years=1.0)
        with pytest.raises(GroupError, match='Nobody has a value of age'):
            build_design('chi ~ age', scans)
        return
    with pytest.raises(GroupError, match='coefficients, and there are values of'):
        build_design('chi ~ age + bs(age, df=4)', scans)


def test_nobody_has_all_values(people):
    scans = people().assign(score=np.nan)
    scans.loc[:60, 'score'] = 1.0 * np.arange(61)
    scans.loc[:60, 'age'] = np.nan
    with pytest.raises(GroupError, match='values of 0 people'):
        build_design('chi ~ age + bs(score, df=4)', scans)


@pytest.mark.parametrize('right', ['age + sex', "age + C(sex, Treatment('F'))"])
def test_too_few_people_because_groups_are_too_small(people, right):
    scans = people().iloc[:2].reset_index(drop=True).assign(sex=['F', 'M'])
    with pytest.raises(GroupError) as caught:
        build_design(f'chi ~ {right}', scans)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert 'values of 2 people, of whom 0 are left without groups of fewer than 3' in lines[0]
    assert lines[0].endswith(': sex = F (1 person), sex = M (1 person).')


@pytest.mark.parametrize('right', ['constant', 'age:C(constant)', 'constant + age'])
def test_a_column_with_the_name_of_the_intercept(people, right):
    scans = people().assign(constant=lambda s: np.arange(len(s)) % 2)
    with pytest.raises(GroupError, match='a column called constant') as caught:
        build_design(f'chi ~ {right}', scans)
    assert len(str(caught.value).splitlines()) == 3


def test_unknown_column_lists_those_there(people):
    with pytest.raises(GroupError) as caught:
        build_design('chi ~ dx', people())
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert 'diagnosis' in lines[2]
    assert 'primary' not in lines[2]


def test_text_among_numbers(people):
    scans = people()
    scans['score'] = [str(i % 7) for i in range(len(scans))]
    scans.loc[4, 'score'] = 'high'
    with pytest.raises(GroupError, match="score is not a column of numbers: 'high' of sub-0004"):
        build_design('chi ~ score', scans)
    with pytest.raises(GroupError, match='not a column of numbers'):
        build_design('chi ~ sex**2', scans)
    with pytest.raises(GroupError, match='different texts'):
        build_design('chi ~ participant_id', scans)
    with pytest.raises(GroupError, match='Groups that there are: PD, control'):
        build_design("chi ~ C(diagnosis, Treatment('hc'))", scans)


def test_empty_interaction(people):
    scans = people()
    scans.loc[scans['diagnosis'] == 'PD', 'sex'] = 'M'
    with pytest.raises(GroupError, match=r'Nobody belongs to diagnosis\[PD\]:sex\[F\]|diagnosis'):
        build_design('chi ~ diagnosis*sex', scans)
