"""A calcification and a microbleed in the simulated head."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qsmbids.phantom import simulate_head
from qsmbids.phantom.lesions import CALCIFICATION, LESIONS, MICROBLEED

FINE = {'voxel_size_mm': 2.0, 'oversampling': 1, 'echo_times_s': (0.01,)}


@pytest.fixture(scope='module')
def with_lesions(coarse):
    return simulate_head(40, parameters=replace(coarse, **FINE, lesions=True))


def test_none_unless_asked_for(adult):
    assert not adult.lesions.any()


def test_signs(with_lesions):
    head = with_lesions
    assert head.chi[head.lesions == CALCIFICATION.code].mean() < -0.5
    assert head.chi[head.lesions == MICROBLEED.code].mean() > 0.3


def test_inside_the_brain_and_outside_its_regions(with_lesions):
    head = with_lesions
    assert head.brain_mask[head.lesions > 0].all()
    assert not head.labels[head.lesions > 0].any()


def test_the_rest_of_the_head_is_the_same(with_lesions, coarse):
    plain = simulate_head(40, parameters=replace(coarse, **FINE))
    changed = np.abs(plain.chi - with_lesions.chi) > 1e-6
    volume_mm3 = sum(4 / 3 * np.pi * (lesion.radius_mm + 3) ** 3 for lesion in LESIONS)
    assert 0 < changed.sum() * with_lesions.grid.voxel_volume < 3 * volume_mm3
    np.testing.assert_array_equal(plain.brain_mask, with_lesions.brain_mask)
