import numpy as np
import pytest

from qsmbids.qsm.grid import Grid
from qsmbids.qsm.masks import erode
from qsmbids.qsm.reference import reference_to, reference_to_csf


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


GRID = Grid((24, 22, 20), (1.0, 1.3, 1.0), (0.6, 0.0, 0.8))
FLUID = 0.04


@pytest.fixture
def ventricles():
    """Fluid whose label reaches a layer into tissue, with choroid plexus inside."""
    rng = np.random.default_rng(0)
    chi = -0.02 + 0.005 * rng.standard_normal(GRID.shape)
    fluid = np.zeros(GRID.shape, bool)
    fluid[8:16, 6:16, 5:15] = True
    chi[fluid] += FLUID + 0.02
    chi[11:13, 10:12, 8:12] = 0.5
    label = np.zeros(GRID.shape, bool)
    label[7:17, 5:17, 4:16] = True
    mask = np.zeros(GRID.shape, bool)
    mask[2:22, 2:20, 2:18] = True
    return chi, label, mask


def test_fluid_gets_zero_in_spite_of_plexus_and_partial_volume(ventricles):
    chi, label, mask = ventricles
    shifted, value, n = reference_to_csf(chi, label, mask, GRID)
    inner = erode(label, GRID.voxel_volume ** (1 / 3), GRID)
    assert value == pytest.approx(FLUID, abs=0.001)
    assert value == pytest.approx(np.median(chi[inner]), abs=1e-6)
    assert n == inner.sum()
    np.testing.assert_allclose(shifted[mask] + value, chi[mask], atol=1e-6)
    assert not shifted[~mask].any()
    plain_mean = reference_to(chi, label, mask)[1]
    assert abs(plain_mean - FLUID) > 0.005  # what it would be otherwise


def test_at_least_one_layer_goes_and_none_on_request(ventricles):
    chi, label, mask = ventricles
    counts = [
        reference_to_csf(chi, label, mask, GRID, erosion_mm=mm)[2] for mm in (0.0, 0.2, 1.0, 2.5)
    ]
    assert counts[0] == label.sum()
    assert counts[0] > counts[1] == counts[2] > counts[3]


def test_the_cut_of_the_mask_through_the_fluid_is_not_eroded(ventricles):
    chi, label, mask = ventricles
    mask = mask.copy()
    mask[:, :, 10:] = False
    n = reference_to_csf(chi, label, mask, GRID)[2]
    inner = erode(label, GRID.voxel_volume ** (1 / 3), GRID)
    assert n == (inner & mask).sum() > (erode(label & mask, 1.1, GRID)).sum()


def test_undefined_values_outside_the_mask_do_not_matter_for_fluid(ventricles):
    chi, label, mask = ventricles
    expected = reference_to_csf(chi, label, mask, GRID)[1]
    assert reference_to_csf(np.where(mask, chi, np.nan), label, mask, GRID)[1] == expected


def test_fluid_that_is_too_narrow_or_missing_is_refused(ventricles):
    chi, label, mask = ventricles
    slit = np.zeros_like(label)
    slit[10, 6:16, 5:15] = True
    with pytest.raises(ValueError, match='Nothing is left of the 100 voxels') as error:
        reference_to_csf(chi, slit, mask, GRID)
    assert str(error.value).count('\n') == 2
    assert reference_to_csf(chi, slit, mask, GRID, erosion_mm=0)[2] == 100
    with pytest.raises(ValueError, match='no voxel inside the mask'):
        reference_to_csf(chi, label & False, mask, GRID)
    with pytest.raises(ValueError, match='radius'):
        reference_to_csf(chi, label, mask, GRID, erosion_mm=-1.0)
    with pytest.raises(ValueError, match='does not belong'):
        reference_to_csf(chi, label[1:], mask, GRID)
