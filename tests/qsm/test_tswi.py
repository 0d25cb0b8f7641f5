import numpy as np
import pytest

from qsmbids.phantom.forward import cylinder_field
from qsmbids.qsm.grid import Grid
from qsmbids.qsm.tkd import invert_tkd
from qsmbids.qsm.tswi import TswiParameters, make_tswi

GRIDS = {
    'axial': Grid((44, 42, 40)),
    'oblique anisotropic odd': Grid((47, 45, 33), (1.0, 1.1, 1.4), (0.5, 0.0, 0.8660254)),
}
AXES = {'along B0': None, 'across B0': (0.0, 1.0, 0.0)}


def vein(grid, axis, chi=0.5, radius=3.0):
    """Field of a cylinder, and where it lies; noise of 1 % of its susceptibility."""
    axis = np.asarray(grid.b0_direction if axis is None else axis)
    axes = [(np.arange(n) - n // 2) * h for n, h in zip(grid.shape, grid.voxel_size, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing='ij'), axis=-1)
    field = cylinder_field(points, radius, chi, axis, grid.b0_direction)
    field += 0.005 * np.random.default_rng(0).standard_normal(grid.shape)
    distance = np.linalg.norm(points - (points @ axis)[..., None] * axis, axis=-1)
    mask = (points**2).sum(axis=-1) < 19**2
    core = (points**2).sum(axis=-1) < 10**2
    return field, mask, core & (distance < radius - 1), core & (distance > 2 * radius)


@pytest.mark.parametrize('name', GRIDS)
@pytest.mark.parametrize('axis', AXES)
def test_vein_of_a_simulated_scan_is_dark_at_any_angle(name, axis):
    grid = GRIDS[name]
    darkness = {}
    for chi in (0.5, -0.5):
        field, mask, inside, around = vein(grid, AXES[axis], chi)
        found = invert_tkd(field, mask, grid)
        image = make_tswi(np.full(grid.shape, 100.0), found - np.median(found[mask]), mask, grid)
        darkness[chi] = np.median(image[inside]) / np.median(image[around])
    assert darkness[0.5] < 0.4
    assert darkness[-0.5] > 0.95


def test_ramp_between_the_limits():
    grid = Grid((5, 1, 1))
    chi = np.array([-1.0, 0.1, 0.2, 0.3, 2.0]).reshape(grid.shape)
    mask = np.ones(grid.shape, bool)
    parameters = TswiParameters(lower_ppm=0.1, upper_ppm=0.3, power=3.0)
    image = make_tswi(np.full(grid.shape, 8.0), chi, mask, grid, parameters=parameters)
    np.testing.assert_allclose(image.ravel(), [8, 8, 1, 0, 0], atol=1e-5)


def test_invariants():
    grid = Grid((9, 8, 7), (1.0, 2.0, 0.5))
    rng = np.random.default_rng(1)
    magnitude = rng.random(grid.shape) * 50 + 1
    chi = 0.3 * rng.standard_normal(grid.shape)
    mask = rng.random(grid.shape) > 0.3
    image = make_tswi(magnitude, chi, mask, grid)
    assert image.dtype == np.float32
    assert not image[~mask].any()
    assert (image <= magnitude * (1 + 1e-6)).all()
    np.testing.assert_allclose(image[mask & (chi <= 0)], magnitude[mask & (chi <= 0)], rtol=1e-6)
    np.testing.assert_allclose(make_tswi(3 * magnitude, chi, mask, grid), 3 * image, rtol=1e-5)
    spoiled = [np.where(mask, x, np.nan) for x in (magnitude, chi)]
    np.testing.assert_array_equal(make_tswi(*spoiled, mask, grid), image)
    turned = make_tswi(
        *(x.transpose(2, 0, 1)[::-1] for x in (magnitude, chi, mask)), Grid((7, 9, 8))
    )
    np.testing.assert_array_equal(turned, image.transpose(2, 0, 1)[::-1])


def test_the_input_is_left_alone():
    grid = Grid((3, 3, 3))
    magnitude, chi = np.full(grid.shape, 2, np.float32), np.full(grid.shape, 0.2, np.float32)
    make_tswi(magnitude, chi, np.ones(grid.shape, bool), grid)
    assert (magnitude == 2).all()
    assert (chi == np.float32(0.2)).all()


def test_bad_input_is_explained():
    grid = Grid((4, 4, 4))
    one, mask = np.ones(grid.shape), np.ones(grid.shape, bool)
    with pytest.raises(ValueError, match='mask is empty'):
        make_tswi(one, one, ~mask, grid)
    with pytest.raises(ValueError, match='susceptibility has the shape'):
        make_tswi(one, one[1:], mask, grid)
    with pytest.raises(ValueError, match='magnitude is not a number'):
        make_tswi(one * np.nan, one, mask, grid)


@pytest.mark.parametrize(
    'bad', [{'lower_ppm': 0.5}, {'upper_ppm': -0.1}, {'upper_ppm': np.inf}, {'power': 0.0}]
)
def test_bad_parameters_are_refused_in_three_lines(bad):
    with pytest.raises(ValueError, match='tSWI') as error:
        TswiParameters(**bad)
    assert str(error.value).count('\n') == 2
