"""The language of models, and what it must not let through."""

import pytest

from qsmbids.group.errors import GroupError
from qsmbids.group.people.formula import parse_formula, term_name


def terms(text):
    return {frozenset(term_name(t).split(':')) for t in parse_formula(text).terms}


def sets(*names):
    return {frozenset(name.split(':')) for name in names}


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('chi ~ diagnosis + age', sets('diagnosis', 'age')),
        ('chi~1+age', sets('age')),
        ('chi ~ diagnosis*age', sets('diagnosis', 'age', 'diagnosis:age')),
        ('chi ~ a*b*c - a:b:c', sets('a', 'b', 'c', 'a:b', 'a:c', 'b:c')),
        ('chi ~ (a + b + c)**2', sets('a', 'b', 'c', 'a:b', 'a:c', 'b:c')),
        ('chi ~ a:b', sets('a', 'b', 'a:b')),  # hierarchical
        ('chi ~ age**3', sets('age', 'age**2', 'age**3')),
        ('chi ~ I(age**2)', sets('age', 'age**2')),
        ('chi ~ a*age**2', sets('a', 'age', 'age**2', 'a:age', 'a:age**2')),
        ('chi ~ bs(age, df=5) + sex', sets('bs(age, df=5)', 'sex')),
        ('chi ~ a + a', sets('a')),
        ('chi ~ `my column` + Länge', sets('my column', 'Länge')),
    ],
)
def test_terms(text, expected):
    assert terms(text) == expected


def test_response():
    assert parse_formula('chi ~ age').response == 'mean'
    assert parse_formula('volume_mm3 ~ age').response == 'volume_mm3'
    assert parse_formula('age').response == 'mean'


def test_reference_group_holds_wherever_the_column_stands():
    formula = parse_formula("chi ~ C(dx, Treatment('control')) + dx:age")
    assert {f.reference for t in formula.terms for f in t if f.column == 'dx'} == {'control'}
    assert len(formula.terms) == 3


@pytest.mark.parametrize(
    'text',
    [
        "chi ~ __import__('os').system('touch /tmp/x')",
        "chi ~ I(__import__('os'))",
        'chi ~ eval("1")',
        'chi ~ np.log(age)',
        'chi ~ (lambda: 1)()',
        'chi ~ [x for x in age]',
        'chi ~ age; import os',
        'chi ~ age if age else sex',
        "chi ~ C(age, Treatment(open('/etc/passwd')))",
        'chi ~ age @ sex',
        'chi ~ age.__class__()',
        'chi ~ {age}',
        'chi ~ age\\',
        'log(chi) ~ age',
        'chi + mean ~ age',
        'chi ~ age ~ sex',
        'chi ~ ',
        'chi ~ 1',
        'chi ~ age +',
        'chi ~ (age',
        'chi ~ age)',
        'chi ~ 0 + age',
        'chi ~ age - 1',
        'chi ~ -1 + age',
        'chi ~ age**9',
        'chi ~ age**x',
        'chi ~ bs(age, df=400)',
        "chi ~ C(a, Treatment('x')) + C(a, Treatment('y'))",
        'chi ~ ' + '(' * 200 + 'a' + ')' * 200,
        'chi ~ ' + '*'.join('abcdefghijklmnop'),
        'chi ~ (' + '+'.join(f'a{i}' for i in range(90)) + ')**4',
        'chi ~ ' + 'a' * 1000,
    ],
)
def test_everything_else_is_refused_in_three_lines(text):
    with pytest.raises(GroupError) as caught:
        parse_formula(text)
    assert len(str(caught.value).splitlines()) == 3


def test_nothing_is_run(tmp_path):
    target = tmp_path / 'made'
    with pytest.raises(GroupError):
        parse_formula(f"chi ~ C(a, Treatment(__import__('pathlib').Path('{target}').touch()))")
    assert not target.exists()
