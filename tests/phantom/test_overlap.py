"""Dice by region and hemisphere, between label images with different numbers."""

import numpy as np
import pytest

from qsmbids.atlas.geometry import Label
from qsmbids.phantom.overlap import region_means, region_overlap


def label(index, region, side):
    return Label(index, f'{region}{side}', f'{region}-{side}', side, '', '#ffffff', region)


TRUE_TABLE = [label(1, 'A', 'L'), label(2, 'A', 'R'), label(3, 'B', 'L'), label(4, 'B', 'R')]
FOUND_TABLE = [label(11, 'A', 'R'), label(12, 'A', 'L'), label(13, 'A', 'L')]
TRUE = np.array([[[1, 1, 1, 1, 0, 2, 2, 3]]])
FOUND = np.array([[[12, 12, 13, 0, 0, 11, 11, 0]]])


def test_mean_of_hemispheres_whatever_the_numbers():
    a, b = region_overlap(FOUND, FOUND_TABLE, TRUE, TRUE_TABLE, 2.0, ['A', 'B'])
    # left: two labels make up the region, 3 of 4 voxels; right: all
    assert a.dice == pytest.approx((6 / 7 + 1) / 2)
    assert a.volume_ratio == pytest.approx((0.75 + 1) / 2)
    assert a.true_mm3 == pytest.approx(6.0)
    assert b.dice == 0
    assert b.volume_ratio == 0


def test_exchanged_hemispheres_are_no_overlap():
    mirrored = np.where(TRUE == 1, 2, np.where(TRUE == 2, 1, 0))
    assert region_overlap(mirrored, TRUE_TABLE, TRUE, TRUE_TABLE, 1.0, ['A'])[0].dice == 0


def test_region_that_the_truth_does_not_have():
    assert np.isnan(region_overlap(FOUND, FOUND_TABLE, TRUE, TRUE_TABLE, 1.0, ['C'])[0].dice)


def test_means_of_both_sides_inside_a_mask():
    image = np.arange(8.0).reshape(TRUE.shape)
    inside = image > 0
    means = region_means(image, inside, TRUE, TRUE_TABLE, ['A', 'C'])
    assert means['A'] == pytest.approx((1 + 2 + 3 + 5 + 6) / 5)
    assert np.isnan(means['C'])
