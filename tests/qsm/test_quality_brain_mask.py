import numpy as np
import pytest

from qsmbids.qsm.closing import closing, closing_with_holes, opening
from qsmbids.qsm.grid import Grid
from qsmbids.qsm.masks import erode, largest_component
from qsmbids.qsm.quality_brain_mask import QualityMaskParameters, mask_by_quality
from qsmbids.qsm.romeo import phase_quality

SHAPE = (30, 28, 26)
GRID = Grid(SHAPE)


def cube(margin=6):
    mask = np.zeros(SHAPE, bool)
    mask[(slice(margin, -margin),) * 3] = True
    return mask


def quality_of(mask, seed=0):
    rng = np.random.default_rng(seed)
    return np.where(mask, 0.9, 0.3) + 0.05 * rng.standard_normal(mask.shape)


def test_smooth_phase_is_told_from_noise():
    """With the quality that ROMEO gives over the whole image, air included."""
    rng = np.random.default_rng(1)
    x = np.arange(SHAPE[0])[:, None, None]
    phase = np.stack([0.2 * x + np.zeros(SHAPE), 0.4 * x + np.zeros(SHAPE)])
    tissue = cube(4)
    phase = np.where(tissue, phase, rng.uniform(-np.pi, np.pi, phase.shape))
    magnitude = np.where(tissue, 100.0, rng.rayleigh(2.0, phase.shape))
    quality = phase_quality(phase, magnitude, [0.005, 0.010], np.ones(SHAPE, bool))
    mask = mask_by_quality(quality, GRID)
    assert mask[erode(tissue, 1, GRID)].all()
    assert 2 * (mask & tissue).sum() / (mask.sum() + tissue.sum()) > 0.93


def test_gaps_and_hollows_are_closed():
    tissue = cube()
    holed = tissue.copy()
    holed[10, 8:20, 12] = False  # a vein
    holed[14:18, 12:16, 11:15] = False  # a bleeding
    np.testing.assert_array_equal(mask_by_quality(quality_of(holed), GRID), tissue)


def test_sealed_bay_goes_and_wide_bay_stays():
    tissue = cube()
    bay = tissue.copy()
    bay[6:12, 12, 12] = False  # one voxel wide, open to the outside
    bay[10:14, 10:15, 10:15] = False  # a hollow at its end
    mask = mask_by_quality(quality_of(bay), GRID)
    mask[6, 12, 12] = True  # the mouth of the channel stays open
    np.testing.assert_array_equal(mask, tissue)
    wide = tissue.copy()
    wide[6:12, 10:16, 10:16] = False
    mask = mask_by_quality(quality_of(wide), GRID)
    assert not mask[6:11, 12:14, 12:14].any()


def test_every_good_voxel_is_kept_up_to_the_border():
    tissue = np.zeros(SHAPE, bool)
    tissue[5:25, 5:23, :20] = True  # the neck leaves the image
    np.testing.assert_array_equal(mask_by_quality(quality_of(tissue), GRID), tissue)


def test_unknown_voxels_are_outside_and_do_not_move_the_threshold():
    tissue = cube()
    quality = quality_of(tissue)
    expected = mask_by_quality(quality, GRID)
    for unknown in (0.0, np.nan):
        cut = quality.copy()
        cut[:3] = unknown
        np.testing.assert_array_equal(mask_by_quality(cut, GRID), expected)


def test_distance_is_at_least_a_voxel_along_every_axis():
    grid = Grid(SHAPE, (0.8, 1.0, 3.0), (0.6, 0.0, 0.8))
    tissue = cube()
    gap = tissue.copy()
    gap[:, :, 13] = False  # a dark slice
    mask = mask_by_quality(quality_of(gap), grid)
    assert mask[10:-10, 9:-9, 13].all()
    assert (mask <= tissue).all()


def test_axes_may_be_turned():
    rng = np.random.default_rng(3)
    quality = quality_of(cube()) + 0.2 * rng.standard_normal(SHAPE)
    grid = Grid(SHAPE, (1.0, 1.2, 1.9))
    turned_grid = Grid(np.array(SHAPE)[[1, 2, 0]], np.array(grid.voxel_size)[[1, 2, 0]])
    turned = mask_by_quality(quality.transpose(1, 2, 0)[:, ::-1], turned_grid)
    expected = mask_by_quality(quality, grid).transpose(1, 2, 0)[:, ::-1]
    np.testing.assert_array_equal(turned, expected)


def test_bad_input_is_explained():
    with pytest.raises(ValueError, match='shape'):
        mask_by_quality(np.ones(SHAPE)[1:], GRID)
    for flat in (np.zeros(SHAPE), np.ones(SHAPE), np.full(SHAPE, np.nan)):
        with pytest.raises(ValueError, match='same everywhere'):
            mask_by_quality(flat, GRID)
    for bad in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match='closing_mm') as error:
            QualityMaskParameters(closing_mm=bad)
        assert str(error.value).count('\n') == 2


@pytest.mark.parametrize('radius', [0.0, 1.0, 2.5])
@pytest.mark.parametrize('voxel', [(1, 1, 1), (0.7, 1.0, 2.2)])
def test_opening_is_within_and_closing_around_the_mask(radius, voxel):
    grid = Grid(SHAPE, voxel)
    rng = np.random.default_rng(2)
    mask = rng.random(SHAPE) > 0.35  # up to every border
    opened, closed = opening(mask, radius, grid), closing(mask, radius, grid)
    sealed = closing_with_holes(mask, radius, grid)
    assert (opened <= mask).all()
    assert (mask <= closed).all()
    assert (closed <= sealed).all()
    np.testing.assert_array_equal(opening(opened, radius, grid), opened)
    np.testing.assert_array_equal(closing(closed, radius, grid), closed)
    if radius == 0:
        np.testing.assert_array_equal(opened, mask)
        np.testing.assert_array_equal(closed, mask)


def test_opening_cuts_a_bridge():
    mask = np.zeros(SHAPE, bool)
    mask[2:12, 4:20, 4:20] = mask[16:27, 6:18, 6:18] = True
    mask[10:18, 11:13, 11:13] = True
    opened = opening(mask, 2, GRID)
    assert not opened[13:15].any()
    assert largest_component(opened)[2:12].any()
    assert not largest_component(opened)[16:].any()


def test_distances_of_opening_and_closing_are_checked():
    mask = np.ones((4, 4, 4), bool)
    for change in (opening, closing, closing_with_holes):
        with pytest.raises(ValueError, match='radius'):
            change(mask, -1, Grid(mask.shape))
        with pytest.raises(ValueError, match='does not belong'):
            change(mask, 1, Grid((4, 4, 5)))
        assert not change(~mask, 2, Grid(mask.shape)).any()
