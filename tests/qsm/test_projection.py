import numpy as np
import pytest

from qsmbids.qsm.grid import Grid
from qsmbids.qsm.projection import ProjectionParameters, project_minimum, slice_axis_of

GRID = Grid((17, 15, 21), (1.0, 1.4, 2.0), (0.5, 0.0, 0.8660254))


def inputs(seed=0):
    rng = np.random.default_rng(seed)
    mask = np.zeros(GRID.shape, bool)
    mask[2:15, 1:13, 3:19] = True
    mask[5:8, 5:7, 9:12] = False
    return rng.random(GRID.shape).astype(np.float32) + 1, mask


@pytest.mark.parametrize('axis', [0, 1, 2])
@pytest.mark.parametrize('thickness', [0.0, 3.0, 8.0, 11.5])
def test_minimum_over_a_slab_in_mm(axis, thickness):
    """Against the definition, voxel by voxel."""
    image, mask = inputs()
    parameters = ProjectionParameters(projection_mm=thickness, slice_axis=axis)
    found = project_minimum(image, mask, GRID, parameters=parameters)
    height = np.arange(GRID.shape[axis]) * GRID.voxel_size[axis]
    masked = np.moveaxis(np.where(mask, image, np.inf), axis, 0)
    for n, here in enumerate(height):
        slab = masked[np.abs(height - here) <= thickness / 2 + 1e-9].min(axis=0)
        expected = np.where(np.isinf(slab), 0, slab)
        np.testing.assert_array_equal(np.take(found, n, axis=axis), expected)


def test_default_axis_is_the_one_nearest_to_b0():
    image, mask = inputs()
    for direction, axis in [((0, 0, 1), 2), ((0.1, -0.9, 0.3), 1), ((-0.8, 0.5, 0.2), 0)]:
        grid = Grid(GRID.shape, GRID.voxel_size, direction)
        assert slice_axis_of(grid, ProjectionParameters()) == axis
        given = ProjectionParameters(slice_axis=axis)
        np.testing.assert_array_equal(
            project_minimum(image, mask, grid),
            project_minimum(image, mask, GRID, parameters=given),
        )
    assert slice_axis_of(GRID, ProjectionParameters(slice_axis=0.0)) == 0


def test_flips_and_permutations_commute():
    image, mask = inputs()
    grid = Grid((15, 21, 17), (1.4, 2.0, 1.0), (0.0, 0.8660254, -0.5))
    turned = project_minimum(
        image.transpose(1, 2, 0)[..., ::-1], mask.transpose(1, 2, 0)[..., ::-1], grid
    )
    expected = project_minimum(image, mask, GRID).transpose(1, 2, 0)[..., ::-1]
    np.testing.assert_array_equal(turned, expected)


def test_dots_of_a_slanting_vein_are_joined_to_a_line():
    grid = Grid((20, 9, 9), (1.0, 1.0, 1.0))
    image = np.ones(grid.shape, np.float32)
    for x in range(5, 14):
        image[x, 4, x - 5] = 0.1
    shown = project_minimum(image, np.ones(grid.shape, bool), grid)
    np.testing.assert_allclose(shown[5:14, 4, 4], 0.1, rtol=1e-6)
    assert (shown[:, [3, 5], 4] == 1).all()


def test_dark_or_undefined_surroundings_do_not_show():
    image, mask = inputs()
    expected = project_minimum(image, mask, GRID)
    for outside in (0.0, -5.0, np.nan, np.inf):
        spoiled = np.where(mask, image, np.float32(outside))
        np.testing.assert_array_equal(project_minimum(spoiled, mask, GRID), expected)


def test_the_input_is_left_alone():
    image, mask = inputs()
    before = image.copy()
    project_minimum(image, mask, GRID)
    np.testing.assert_array_equal(image, before)


def test_bad_input_is_explained():
    image, mask = inputs()
    with pytest.raises(ValueError, match='differ'):
        project_minimum(image[1:], mask, GRID)
    with pytest.raises(ValueError, match='empty'):
        project_minimum(image, mask & False, GRID)
    image[4, 4, 4] = np.nan
    with pytest.raises(ValueError, match='not a number'):
        project_minimum(image, mask, GRID)


@pytest.mark.parametrize(
    'bad',
    [{'projection_mm': -1.0}, {'projection_mm': np.nan}, {'slice_axis': 3}, {'slice_axis': 0.5}],
)
def test_bad_parameters_are_refused_in_three_lines(bad):
    with pytest.raises(ValueError, match=r'projection|slice axis') as error:
        ProjectionParameters(**bad)
    assert str(error.value).count('\n') == 2
