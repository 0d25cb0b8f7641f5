import numpy as np
import pytest

from qsmbids.qsm.grid import Grid
from qsmbids.qsm.reliable import ReliabilityParameters, quality_mask
from qsmbids.qsm.romeo import phase_quality

SHAPE = (24, 24, 24)
GRID = Grid(SHAPE)


def brain():
    mask = np.zeros(SHAPE, bool)
    mask[3:21, 3:21, 3:21] = True
    return mask


def core():
    mask = np.zeros(SHAPE, bool)
    mask[6:18, 6:18, 6:18] = True
    return mask


def ones():
    return np.ones(SHAPE, np.float32)


def test_holes_inside_stay():
    quality, reliability = ones(), ones()
    quality[10:12, 10:12, 10:12] = 0.0
    reliability[15, 8:12, 8] = 0.1
    np.testing.assert_array_equal(quality_mask(quality, brain(), reliability, GRID), brain())


def test_hole_of_the_brain_mask_is_not_filled():
    mask = brain()
    mask[10, 10, 10] = False
    np.testing.assert_array_equal(quality_mask(ones(), mask, ones(), GRID), mask)


@pytest.mark.parametrize('which', ['quality', 'reliability'])
def test_poor_rim_goes(which):
    images = {'quality': ones(), 'reliability': ones()}
    images[which][~core()] = 0.2
    kept = quality_mask(images['quality'], brain(), images['reliability'], GRID)
    np.testing.assert_array_equal(kept, core())


def test_rim_of_noise_goes_and_smooth_phase_stays():
    """With the quality that ROMEO gives to noise around smooth phase."""
    rng = np.random.default_rng(1)
    x = np.arange(SHAPE[0])[:, None, None]
    phase = np.stack([0.2 * x + np.zeros(SHAPE), 0.4 * x + np.zeros(SHAPE)])
    noise = rng.uniform(-np.pi, np.pi, phase.shape)
    phase = np.where(core(), phase, noise)
    magnitude = np.where(core(), 100.0, rng.rayleigh(2.0, phase.shape))
    quality = phase_quality(phase, magnitude, [0.005, 0.010], brain())
    kept = quality_mask(quality, brain(), ones(), GRID)
    rim = brain() & ~core()
    assert kept[7:17, 7:17, 7:17].all()
    assert kept[core()].mean() > 0.97  # corners touch noise on three sides
    assert kept[rim].mean() < 0.2


def test_islands_go():
    quality = ones()
    quality[18, :, :] = 0  # parts a slice of two voxels from the rest
    kept = quality_mask(quality, brain(), ones(), GRID)
    assert kept[:18].sum() == 15 * 18 * 18
    assert not kept[18:].any()


def test_limits_are_parameters():
    quality = np.full(SHAPE, 0.3, np.float32)
    with pytest.raises(ValueError, match='can be trusted'):
        quality_mask(quality, brain(), ones(), GRID)
    kept = quality_mask(
        quality, brain(), ones(), GRID, parameters=ReliabilityParameters(quality=0.3 - 1e-6)
    )
    np.testing.assert_array_equal(kept, brain())


def test_nothing_trusted_or_no_brain_is_refused():
    with pytest.raises(ValueError, match='can be trusted'):
        quality_mask(ones(), brain(), 0.5 * ones(), GRID)
    with pytest.raises(ValueError, match='can be trusted'):
        quality_mask(ones(), np.zeros(SHAPE, bool), ones(), GRID)


def test_images_of_two_scans_are_refused():
    with pytest.raises(ValueError, match='differ'):
        quality_mask(ones()[1:], brain(), ones(), GRID)
    with pytest.raises(ValueError, match='differ'):
        quality_mask(ones(), brain(), ones(), Grid((24, 24, 23)))
