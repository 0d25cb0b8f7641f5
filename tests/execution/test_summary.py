"""The table at the end: readable at every width, for one participant and for thousands."""

import pytest

from qsmbids.execution.summary import COMPLETE, FAILED, KEPT, LEFT_OUT, Row, render_summary

PAGE = '/data/out/sub-01.html'
CRASH = '/scratch/work/crash/crash-20260101-000000-brain_mask-' + 'a' * 60 + '.txt'
SMALL = (
    Row('sub-01_run-1', COMPLETE, 192.0, 0.91, PAGE),
    Row('sub-02', KEPT, None, None, '/data/out/sub-02.html'),
    Row(
        'sub-03', FAILED, 41.0, 0.44, CRASH,
        'brain mask: no brain was found.\nThe mask is empty.\nLook at the magnitude.',
    ),
    Row('sub-04', LEFT_OUT, reason='no phase image'),
)  # fmt: skip


def test_small_table():
    lines = render_summary(SMALL, 100).splitlines()
    assert lines[0].split() == ['outcome', 'time', 'memory', 'where', 'to', 'look']
    assert lines[1] == f'sub-01_run-1  complete   3.2 min   0.91 GB  {PAGE}'
    assert lines[2].split() == ['sub-02', 'kept', '/data/out/sub-02.html']
    assert lines[3].split() == ['sub-03', 'FAILED', '41', 's', '0.44', 'GB']
    assert lines[4].strip() == CRASH  # whole, on a line of its own
    assert [line.strip() for line in lines[5:8]] == SMALL[2].reason.splitlines()
    assert lines[8].split() == ['sub-04', 'LEFT', 'OUT']
    assert lines[-1] == ('4 in all: 1 complete, 1 kept from an earlier run, 1 FAILED, 1 LEFT OUT.')


@pytest.mark.parametrize('width', [20, 60, 80, 200])
def test_columns_stand_under_each_other(width):
    names = ('sub-01', 'sub-02_ses-b_acq-' + 'long' * 20 + '_run-1', 'sub-03')
    rows = [Row(name, COMPLETE, 60.0 * n, 1.0, PAGE) for n, name in enumerate(names, 1)]
    text = render_summary(rows, width)
    lines = text.splitlines()
    assert all(name in text for name in names)  # never cut
    starts = {line.index(' complete ') for line in lines if ' complete ' in line}
    assert len(starts) == 1
    allowed = [n for n in (*names, PAGE) if len(n) > width]
    assert all(len(line) <= max(width, 50) or any(n in line for n in allowed) for line in lines)


def test_many_completes_are_counted_and_troubles_listed():
    rows = [Row(f'sub-{n:04d}', COMPLETE, 100.0 + n / 10, 0.5, PAGE) for n in range(1990)]
    rows[77:77] = [Row('sub-bad', FAILED, 3.0, None, CRASH, 'reading: file is damaged')]
    rows.append(Row('sub-none', LEFT_OUT, reason='no phase'))
    text = render_summary(rows, 80)
    assert 'sub-0001' not in text
    assert text.index('sub-bad') < text.index('sub-none')
    assert '1992 in all: 1990 complete, 1 FAILED, 1 LEFT OUT.' in text
    assert 'Time of one: 1.7 min to 5.0 min, typically 3.3 min; highest memory of a step' in text
    assert len(text.splitlines()) < 12


def test_everything_complete_needs_no_table():
    text = render_summary([Row(f'sub-{n}', COMPLETE, 60.0) for n in range(2000)], 80)
    assert text.startswith('2000 in all: 2000 complete.')
    assert len(text.splitlines()) == 2


def test_the_same_trouble_of_many_is_told_once():
    rows = [Row(f'sub-{n:04d}', FAILED, 1.0, None, CRASH, 'out of memory') for n in range(900)]
    rows.append(Row('sub-other', FAILED, 1.0, None, CRASH, 'no brain'))
    text = render_summary(rows, 120)
    assert text.count('out of memory') == 10
    assert 'the same for 890 more: sub-0010 sub-0011' in text
    assert all(row.key in text for row in rows)
    assert 'no brain' in text


def test_equal_rows_are_all_listed_and_nothing_is_said_of_nothing():
    twice = [Row('sub-01', FAILED, reason='x')] * 2
    assert render_summary(twice, 80).count('sub-01') == 2
    assert render_summary([], 80) == 'There was nothing to do.\n'
