import numpy as np
import pytest

from qsmbids.qsm.reference import reference_to


@pytest.fixture
def image():
    rng = np.random.default_rng(0)
    chi = rng.standard_normal((6, 7, 8)).astype(np.float32) * 0.1 + 0.03
    mask = np.zeros(chi.shape, bool)
    mask[1:5, 1:6, 1:7] = True
    region = np.zeros(chi.shape, bool)
    region[2:8, 2:4, 2:4] = True  # partly outside the mask
    return chi, region, mask


def test_whole_brain_reference_gives_zero_mean(image):
    chi, _, mask = image
    shifted, value, n = reference_to(chi, mask, mask)
    assert shifted.dtype == np.float32
    assert shifted[mask].mean(dtype=float) == pytest.approx(0, abs=1e-7)
    assert value == pytest.approx(chi[mask].mean(dtype=float))
    assert n == mask.sum()
    assert not shifted[~mask].any()


def test_region_counts_inside_the_mask_only(image):
    chi, region, mask = image
    shifted, value, n = reference_to(chi, region, mask)
    both = region & mask
    assert n == both.sum() < region.sum()
    assert shifted[both].mean(dtype=float) == pytest.approx(0, abs=1e-7)
    assert np.allclose(shifted[mask] + value, chi[mask], atol=1e-6)


def test_negative_values_count_too():
    """A region of symmetric noise has mean zero, not the mean of its positive voxels."""
    chi = np.array([[[-0.3, -0.1, 0.1, 0.3]]])
    everywhere = np.ones(chi.shape, bool)
    assert reference_to(chi, everywhere, everywhere)[1] == pytest.approx(0)


def test_median_ignores_an_outlier(image):
    chi, region, mask = image
    first = np.argwhere(region & mask)[0]
    chi[tuple(first)] = 50.0
    mean = reference_to(chi, region, mask)[1]
    median = reference_to(chi, region, mask, statistic='median')[1]
    assert median == pytest.approx(np.median(chi[region & mask]), abs=1e-6)
    assert mean > 1 > abs(median)


def test_the_input_is_left_alone_and_nan_outside_is_harmless(image):
    chi, region, mask = image
    chi[~mask] = np.nan
    before = chi.copy()
    shifted, *_ = reference_to(chi, region, mask)
    assert np.array_equal(chi, before, equal_nan=True)
    assert np.isfinite(shifted).all()


def test_bad_input_is_explained(image):
    chi, region, mask = image
    with pytest.raises(ValueError, match='no voxel inside the mask'):
        reference_to(chi, region & ~mask, mask)
    with pytest.raises(ValueError, match='shapes'):
        reference_to(chi, region[1:], mask)
    with pytest.raises(ValueError, match='statistic'):
        reference_to(chi, region, mask, statistic='mode')
    chi[tuple(np.argwhere(region & mask)[0])] = np.nan
    with pytest.raises(ValueError, match='not a number'):
        reference_to(chi, region, mask)
