from dataclasses import replace

import pytest

from qsmbids.plan import describe
from qsmbids.plan.describe import MANY
from qsmbids.plan.models import Decision, Issue, Participant, Plan, Severity, Source
from qsmbids.plan.summary import MOST_GROUPS, first_names, issues_by_kind, summary


@pytest.fixture
def study(good):
    """A plan of many people, copies of one, some on another scanner."""
    one = good.only(age=30)

    def make(n, **changes):
        people = []
        for i in range(n):
            label = f'{i + 1:02d}'
            scan = replace(one, entities=(('sub', label),), issues=())
            if i in changes.get('others', ()):
                frequency = Decision(298.0 + 0.001 * i, Source.SIDECAR)
                scan = replace(scan, imaging_frequency_mhz=frequency)
            if i in changes.get('young', ()):
                scan = replace(scan, age_years=None)
            if i in changes.get('broken', ()):
                scan = scan.with_issues(
                    Issue(
                        'BAD', Severity.ERROR, f'Image {i} is bad.', 'Why.', 'Fix.', '', scan.key
                    )
                )
            people.append(Participant(label, (scan,)))
        return Plan('/data', tuple(people))

    return make


def test_short_form_begins_beyond_twenty(study):
    assert 'sub-20\n' in describe(study(MANY))
    text = describe(study(MANY + 1))
    assert text == summary(study(MANY + 1))
    assert 'echo 1' in describe(study(MANY + 1), full=True)
    assert describe(study(2), full=False) == summary(study(2))


def test_protocols_are_counted_and_only_differences_repeated(study):
    text = summary(study(30, others=(3, 5, 7, 8)))
    assert '1. 26 scans: sub-01, sub-02, sub-03 and 23 more' in text
    assert '2. 4 scans: sub-04, sub-06, sub-08, sub-09' in text  # slightly other frequencies
    assert text.count('field strength:') == 2
    assert text.count('echoes:') == 1


def test_many_protocols_are_cut_off(study):
    plan = study(MOST_GROUPS + 5)
    people = tuple(
        replace(p, acquisitions=(replace(p.acquisitions[0], shape=(8, 8, i + 2)),))
        for i, p in enumerate(plan.participants)
    )
    text = summary(replace(plan, participants=people))
    assert f'{MOST_GROUPS}. 1 scan:' in text
    assert f'{MOST_GROUPS + 1}. ' not in text
    assert '5 other protocols, 5 scans in all' in text


def test_findings_of_a_kind_are_told_once(study):
    text = summary(study(40, broken=range(25), young=range(30, 33)))
    assert '40 participants, 40 scans: 15 will be processed, 25 cannot be.' in text
    assert 'Nothing can be done for 25 participants: sub-01, sub-02, sub-03 and 22 more.' in text
    assert 'ERROR, 25 times: for example Image 0 is bad.' in text
    assert text.count('Fix.') == 1
    assert 'age:             30 to 30 years; not known for 3 scans' in text


def test_errors_come_first_then_what_is_frequent():
    def found(code, severity, n):
        return [Issue(code, severity, f'{code}.', scope=f'sub-{i}') for i in range(n)]

    issues = found('N', Severity.NOTE, 9) + found('W', Severity.WARNING, 2)
    issues += found('V', Severity.WARNING, 5) + found('E', Severity.ERROR, 1)
    heads = [line for line in issues_by_kind(issues).splitlines() if line[2] != ' ']
    assert heads == ['  ERROR: E.', '  warning, 5 times: V.', '  warning, 2 times: W.',
                     '  note, 9 times: N.']  # fmt: skip


def test_no_name_is_hidden_behind_one_more():
    assert first_names(list('abcd')) == 'a, b, c, d'
    assert first_names(list('abcde')) == 'a, b, c and 2 more'


def test_nothing_usable_is_still_a_page(tree):
    text = summary(tree.plan())
    assert '0 participants, 0 scans' in text
    assert 'There is no sub-* folder' in text
    assert 'Protocols' not in text
