import math
from itertools import pairwise

import pytest

from qsmbids.atlas.builtin import cohort_bins
from qsmbids.atlas.cohorts import Cohort, pick_cohort

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
