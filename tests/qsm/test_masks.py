import numpy as np
import pytest

from qsmbids.qsm.grid import Grid
from qsmbids.qsm.masks import dilate, erode, fill_holes, largest_component, otsu_threshold

SHAPE = (25, 21, 17)
GRIDS = [Grid(SHAPE, (1, 1, 1)), Grid(SHAPE, (1, 1.5, 3)), Grid(SHAPE, (0.7, 2.0, 1.0))]


def distance_mm(grid, index):
    axes = [
        (np.arange(n) - i) * h for n, i, h in zip(grid.shape, index, grid.voxel_size, strict=True)
    ]
    x, y, z = np.meshgrid(*axes, indexing='ij', sparse=True)
    return np.sqrt(x**2 + y**2 + z**2)


@pytest.mark.parametrize('grid', GRIDS, ids=lambda g: str(g.voxel_size))
@pytest.mark.parametrize('radius', [0.0, 1.0, 3.0, 4.2])
def test_one_voxel_grows_to_a_ball_in_mm(grid, radius):
    centre = (12, 10, 8)
    mask = np.zeros(grid.shape, bool)
    mask[centre] = True
    np.testing.assert_array_equal(
        dilate(mask, radius, grid), distance_mm(grid, centre) <= radius + 1e-6
    )


@pytest.mark.parametrize('grid', GRIDS, ids=lambda g: str(g.voxel_size))
@pytest.mark.parametrize('radius', [0.0, 1.0, 3.0, 4.2])
def test_one_hole_erodes_a_ball_in_mm(grid, radius):
    hole = (12, 10, 8)
    mask = np.ones(grid.shape, bool)
    mask[hole] = False
    expected = distance_mm(grid, hole) > radius + 1e-6
    for axis, (n, h) in enumerate(zip(grid.shape, grid.voxel_size, strict=True)):
        beyond = (np.minimum(np.arange(n), np.arange(n)[::-1]) + 1) * h
        inside = (beyond > radius + 1e-6).reshape([-1 if a == axis else 1 for a in range(3)])
        expected = expected & inside
    np.testing.assert_array_equal(erode(mask, radius, grid), expected & mask)


def test_dilating_at_the_border_does_not_come_back_on_the_other_side():
    grid = Grid((12, 12, 12))
    mask = np.zeros(grid.shape, bool)
    mask[0, 6, 6] = True
    np.testing.assert_array_equal(dilate(mask, 3, grid), distance_mm(grid, (0, 6, 6)) <= 3)


def test_everything_may_be_eroded_and_empty_stays_empty():
    grid = Grid((9, 9, 9))
    mask = np.zeros(grid.shape, bool)
    assert not erode(mask, 2, grid).any()
    assert not dilate(mask, 2, grid).any()
    mask[4, 4, 4] = True
    assert not erode(mask, 1, grid).any()


@pytest.mark.parametrize('change', [erode, dilate])
def test_unusable_radius_or_grid_is_refused(change):
    mask = np.ones((4, 4, 4), bool)
    for radius in (-1, np.nan):
        with pytest.raises(ValueError, match='radius'):
            change(mask, radius, Grid((4, 4, 4)))
    with pytest.raises(ValueError, match='does not belong'):
        change(mask, 1, Grid((4, 4, 5)))


def test_holes_are_filled_but_bays_are_not():
    mask = np.zeros((14, 14, 14), bool)
    mask[2:12, 2:12, 2:12] = True
    solid = mask.copy()
    mask[5, 5, 5] = False  # enclosed
    mask[2:6, 8, 8] = False  # open to the outside
    filled = fill_holes(mask)
    solid[2:6, 8, 8] = False
    np.testing.assert_array_equal(filled, solid)


def test_hole_with_a_way_out_over_edges_only_is_filled():
    mask = np.zeros((7, 7, 7), bool)
    mask[1:6, 1:6, 1:6] = True
    mask[1, 1, 3] = mask[2, 2, 3] = False  # the inner one touches the outer over an edge
    filled = fill_holes(mask)
    assert filled[2, 2, 3]
    assert not filled[1, 1, 3]


def test_mask_that_fills_the_image():
    mask = np.ones((5, 5, 5), bool)
    mask[2, 2, 2] = False
    assert fill_holes(mask).all()
    assert not fill_holes(np.zeros((5, 5, 5), bool)).any()


def test_largest_component_is_joined_over_faces():
    mask = np.zeros((12, 12, 12), bool)
    mask[1:4, 1:4, 1:4] = True
    mask[4:10, 4:10, 4:10] = True  # touches the small one at a corner only
    largest = largest_component(mask)
    assert largest.sum() == 6**3
    assert largest[4:10, 4:10, 4:10].all()
    assert not largest_component(np.zeros((3, 3, 3), bool)).any()


def test_otsu_parts_two_classes():
    rng = np.random.default_rng(0)
    dark, bright = rng.normal(10, 2, 5000), rng.normal(50, 4, 2000)
    threshold = otsu_threshold(np.concatenate([dark, bright, [np.nan, np.inf]]))
    assert (dark > threshold).mean() < 1e-3
    assert (bright < threshold).mean() < 1e-3


def test_otsu_of_two_values_lies_half_way():
    values = np.repeat([0.0, 10.0], [30, 70])
    assert otsu_threshold(values) == pytest.approx(5, abs=0.1)


@pytest.mark.parametrize('values', [[], [3.0, 3.0], [np.nan, 1.0]])
def test_otsu_needs_two_values(values):
    with pytest.raises(ValueError, match='two different values'):
        otsu_threshold(np.array(values))
