"""Averages over people: exact moments, no dilution at the edge of a mask."""

import numpy as np
import pytest

from qsmbids.atlas.build.average import RunningMoments, known_mean
from qsmbids.atlas.build.groupwise import check_enough, majority_mask
from qsmbids.atlas.errors import AtlasError


def test_moments_are_those_of_numpy():
    rng = np.random.default_rng(0)
    images = 1000 + rng.standard_normal((7, 5, 6, 4)).astype(np.float32)
    known = rng.random(images.shape) > 0.3
    moments = RunningMoments(images.shape[1:])
    for image, where in zip(images, known, strict=True):
        moments.add(image, where)
    masked = np.ma.array(images.astype(float), mask=~known)
    assert np.array_equal(moments.n, known.sum(axis=0))
    assert np.abs(moments.mean - masked.mean(axis=0).filled(0)).max() < 1e-3
    several = moments.n > 1
    sd = masked.std(axis=0, ddof=1).filled(0)
    assert np.abs(moments.sd - sd)[several].max() < 1e-3
    assert not moments.sd[moments.n < 2].any()


def test_values_at_the_edge_of_a_mask_are_not_diluted():
    weight = np.array([1.0, 0.75, 0.5, 0.25, 0.0])
    values, known = known_mean(0.2 * weight, weight)
    assert known.tolist() == [True, True, True, False, False]
    assert values[:3] == pytest.approx(0.2)
    assert not values[3:].any()


def test_majority_is_one_piece_without_holes():
    counts = np.zeros((12, 12, 12), dtype=int)
    counts[2:9, 2:9, 2:9] = 3
    counts[5, 5, 5] = 0  # a hole
    counts[11, 11, 11] = 4  # an island
    counts[1, 2:9, 2:9] = 1  # a minority
    found = majority_mask(counts, 4)
    assert found.sum() == 7**3
    assert found[5, 5, 5]
    assert not found[11, 11, 11]


def test_too_few_people_end_a_group_in_three_lines():
    check_enough(['a', 'b', 'c'], 3, 'ages 1 to 3')
    with pytest.raises(AtlasError, match='only 2 registrations') as info:
        check_enough(['a', 'b'], 3, 'ages 1 to 3')
    assert len(str(info.value).splitlines()) == 3
