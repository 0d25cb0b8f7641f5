import math
from itertools import pairwise

import pytest

from qsmbids.atlas.builtin import cohort_bins
from qsmbids.atlas.cohorts import Cohort, cohort_findings, pick_cohort

BINS = cohort_bins()


def test_bins_cover_1_to_84_years_without_gap_and_are_finer_in_childhood():
    assert (BINS[0].age_min, BINS[-1].age_max) == (1, 84)
    for one, following in pairwise(BINS):
        assert one.age_max == following.age_min
    widths = [b.age_max - b.age_min for b in BINS]
    assert widths[:3] == [2, 3, 5]
    assert widths == sorted(widths)
    assert all(b.label.isdigit() for b in BINS)  # TemplateFlow allows nothing else


@pytest.mark.parametrize(
    ('age', 'interval'),
    [(1, '[1, 3)'), (2.999, '[1, 3)'), (3, '[3, 6)'), (20.99, '[11, 21)'), (21, '[21, 31)'),
     (34.2, '[31, 41)'), (71, '[71, 84)'), (84, '[71, 84)')],
)  # fmt: skip
def test_bins_are_half_open_and_the_last_one_is_closed(age, interval):
    cohort, note = pick_cohort(BINS, age, strict=True)
    assert cohort.interval == interval
    assert note == ''


@pytest.mark.parametrize(('age', 'label'), [(0.5, '1'), (84.01, '10'), (101, '10')])
def test_outside_the_nearest_bin_is_taken_with_a_note_or_refused(age, label):
    cohort, note = pick_cohort(BINS, age)
    assert cohort.label == label
    assert 'outside' in note
    assert cohort.interval in note
    with pytest.raises(ValueError, match='outside the ages') as info:
        pick_cohort(BINS, age, strict=True)
    assert len(str(info.value).splitlines()) == 3


def test_unknown_age_is_never_silent():
    cohort, note = pick_cohort(BINS, None)
    assert cohort.age_min >= 18
    assert note.startswith('age unknown')
    with pytest.raises(ValueError, match='age is unknown'):
        pick_cohort(BINS, None, strict=True)


@pytest.mark.parametrize('age', [-1, math.nan])
def test_impossible_age_is_refused(age):
    with pytest.raises(ValueError, match='age must be'):
        pick_cohort(BINS, age)


def test_a_gap_between_bins_leads_to_the_nearest_one():
    gap = (Cohort('2', 'old', 60, 80), Cohort('1', 'young', 5, 20))
    assert pick_cohort(gap, 25)[0].label == '1'
    assert pick_cohort(gap, 55)[0].label == '2'


def test_a_gap_is_named_and_refused_if_strict():
    gap = (Cohort('1', 'young', 5, 20), Cohort('2', 'old', 60, 80))
    assert pick_cohort(gap, 40)[0].label == '1'  # as far from both: the younger one
    assert 'in the gap from 20 to 60 years' in pick_cohort(gap, 20)[1]
    with pytest.raises(ValueError, match='in the gap') as info:
        pick_cohort(gap, 30, strict=True)
    assert len(str(info.value).splitlines()) == 3


OVERLAPPING = (Cohort('3', 'c', 30, 50), Cohort('1', 'a', 0, 100), Cohort('2', 'b', 20, 40))


@pytest.mark.parametrize(
    ('age', 'label'),
    [(10, '1'), (22, '2'), (35, '2'), (35.1, '3'), (44, '3'), (48, '1'), (60, '1'), (100, '1')],
)
@pytest.mark.parametrize('turn', [0, 1, 2])
def test_where_bins_overlap_the_nearest_middle_counts(age, label, turn):
    """The order in which they are given makes no difference."""
    bins = OVERLAPPING[turn:] + OVERLAPPING[:turn]
    assert pick_cohort(bins, age, strict=True) == (
        next(b for b in bins if b.label == label), ''
    )  # fmt: skip


def test_findings_name_gaps_and_overlaps_and_what_is_done():
    assert cohort_findings(BINS) == ()
    found = cohort_findings(OVERLAPPING)
    assert len(found) == 3
    assert 'the age bins [20, 40) and [30, 50) overlap from 30 to 40 years' in found[2]
    gap = cohort_findings(
        (Cohort('1', 'a', 0, 50), Cohort('2', 'b', 10, 20), Cohort('3', 'c', 60, 70))
    )
    assert any('no age bin covers 50 to 60 years' in sentence for sentence in gap)
    assert not any('20 to 60' in sentence for sentence in gap)
    twins = (Cohort('2', 'b', 10, 20), Cohort('1', 'a', 10, 20))
    assert cohort_findings(twins) == (
        'cohorts 1 and 2 both cover [10, 20): cohort 1 is used, the other one only with --cohort',
    )
    assert pick_cohort(twins, 12)[0].label == '1'
