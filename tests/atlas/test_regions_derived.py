"""High-iron thresholds and pairs of sides."""

import math

import pytest

from qsmbids.atlas.asymmetry import asymmetry_of, find_pairs, region_of
from qsmbids.atlas.geometry import Label, label_table
from qsmbids.atlas.high_iron import high_iron_thresholds
from qsmbids.lifespan.norm_prior import prior_spread
from qsmbids.lifespan.prior import chi_at_age


def label(index, name, hemisphere, region='', group='deep grey'):
    return Label(index, name, name, hemisphere, group, '#000000', region or name)


def test_threshold_is_the_curve_moved_to_the_reference_plus_the_spread():
    thresholds = high_iron_thresholds(40.0, label_table(), -0.012)
    for row in label_table():
        if row.group != 'deep grey':
            assert row.index not in thresholds
            continue
        expected = chi_at_age(row.region, 40.0) - 0.012 + 1.96 * prior_spread(row.region, 40)
        assert thresholds[row.index] == pytest.approx(expected)


def test_thresholds_move_with_the_reference_and_grow_with_age():
    young, old = (high_iron_thresholds(age, label_table()) for age in (10.0, 80.0))
    moved = high_iron_thresholds(80.0, label_table(), 0.02)
    for index, value in old.items():
        assert value > young[index]
        assert moved[index] == pytest.approx(value + 0.02)


@pytest.mark.parametrize('age', [None, math.nan, -1.0])
def test_no_threshold_without_an_age(age):
    assert high_iron_thresholds(age, label_table()) == {}


def test_no_threshold_without_a_curve_or_offset():
    assert high_iron_thresholds(40.0, [label(1, 'Claustrum', 'L')]) == {}
    assert high_iron_thresholds(40.0, label_table(), math.nan) == {}


def test_label_tables_without_a_region_are_understood():
    found = high_iron_thresholds(40.0, [label(7, 'PutamenLeft', 'L'), label(8, 'putamen', 'L')])
    assert list(found) == [7]


@pytest.mark.parametrize(
    ('name', 'hemisphere', 'region'),
    [
        ('CaudateLeft', 'L', 'Caudate'),
        ('Right-Caudate', 'R', 'Caudate'),
        ('caudate_l', 'L', 'caudate'),
        ('ctx-rh-precuneus', 'R', 'ctx-precuneus'),
        ('Left', 'L', 'Left'),
        ('Brain Stem', 'B', 'Brain Stem'),
        ('LateralVentricleLeft', 'L', 'LateralVentricle'),
    ],
)
def test_side_is_taken_off_names(name, hemisphere, region):
    assert region_of(label(1, name, hemisphere)) == region


def test_the_table_knows_better_than_the_name():
    assert region_of(label(1, 'PU left part', 'L', region='Putamen')) == 'Putamen'


def test_pairs_need_one_region_on_each_side():
    labels = [
        label(1, 'A_L', 'L'), label(2, 'B', 'B'), label(3, 'A_R', 'R'),
        label(4, 'C1', 'L', 'C'), label(5, 'C2', 'L', 'C'), label(6, 'C3', 'R', 'C'),
        label(7, 'D_L', 'L'),
    ]  # fmt: skip
    assert find_pairs(labels) == [(0, 2)]


def test_all_pairs_of_the_builtin_atlas_are_found():
    labels = label_table()
    pairs = find_pairs(labels)
    assert len(pairs) == sum(row.hemisphere == 'L' for row in labels)
    assert all(labels[left].region == labels[right].region for left, right in pairs)


@pytest.mark.parametrize(('left', 'right'), [(-1.0, 2.0), (0.0, 0.0)])
def test_no_index_of_what_is_not_positive(left, right):
    found = asymmetry_of({'mean': left, 'volume_mm3': 1.0}, {'mean': right, 'volume_mm3': 1.0})
    assert math.isnan(found['asymmetry_index'])
    assert found['right_minus_left'] == right - left
