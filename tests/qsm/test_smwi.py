import numpy as np
import pytest

from qsmbids.phantom.forward import cylinder_field
from qsmbids.qsm.grid import Grid
from qsmbids.qsm.smwi import SmwiParameters, make_smwi
from qsmbids.qsm.tkd import invert_tkd
from qsmbids.qsm.tswi import TswiParameters, make_tswi


@pytest.mark.parametrize('direction', [(0.0, 0.0, 1.0), (0.5, 0.0, 0.8660254)])
def test_paramagnetic_cylinder_of_a_simulated_scan_is_dark(direction):
    grid = Grid((41, 43, 37), (1.0, 1.0, 1.2), direction)
    axes = [(np.arange(n) - n // 2) * h for n, h in zip(grid.shape, grid.voxel_size, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing='ij'), axis=-1)
    axis = np.array([0.0, 0.6, 0.8])
    distance = np.linalg.norm(points - (points @ axis)[..., None] * axis, axis=-1)
    radius2 = (points**2).sum(axis=-1)
    mask, core = radius2 < 19**2, radius2 < 10**2
    median = {}
    for chi in (0.5, -0.5):
        field = cylinder_field(points, 3.0, chi, axis, direction)
        found = invert_tkd(field, mask, grid)
        image = make_smwi(np.full(grid.shape, 100.0), found - np.median(found[mask]), mask, grid)
        around = np.median(image[core & (distance > 6)])
        median[chi] = np.median(image[core & (distance < 2)]) / around
    assert median[0.5] < 0.35  # a ramp of 1/2 to the fourth power is 0.06
    assert median[-0.5] > 0.95


def test_darkening_keeps_the_order_of_iron():
    """Nuclei of different iron stay apart, where tSWI makes both black."""
    grid = Grid((3, 1, 1))
    chi = np.array([0.1, 0.5, 0.8]).reshape(grid.shape)
    one, mask = np.ones(grid.shape), np.ones(grid.shape, bool)
    image = make_smwi(one, chi, mask, grid).ravel()
    np.testing.assert_allclose(image, [0.9**4, 0.5**4, 0.2**4], rtol=1e-5)
    assert not make_tswi(one, chi, mask, grid).ravel()[1:].any()


def test_it_is_tswi_with_other_limits():
    grid = Grid((8, 7, 6), (1.0, 2.0, 0.5))
    rng = np.random.default_rng(1)
    magnitude, chi = rng.random(grid.shape), rng.standard_normal(grid.shape)
    mask = rng.random(grid.shape) > 0.3
    image = make_smwi(
        magnitude, chi, mask, grid, parameters=SmwiParameters(threshold_ppm=0.7, power=3.0)
    )
    limits = TswiParameters(lower_ppm=0.0, upper_ppm=0.7, power=3.0)
    expected = make_tswi(magnitude, chi, mask, grid, parameters=limits)
    np.testing.assert_array_equal(image, expected)
    assert not image[~mask].any()


def test_undefined_values_outside_the_mask_are_ignored():
    grid = Grid((5, 5, 5))
    mask = np.zeros(grid.shape, bool)
    mask[2, 2, 2] = True
    image = make_smwi(np.where(mask, 3, np.nan), np.where(mask, 0.0, np.inf), mask, grid)
    assert image[2, 2, 2] == 3
    assert image.sum() == 3
    with pytest.raises(ValueError, match='mask is empty'):
        make_smwi(mask * 1.0, mask * 1.0, mask & False, grid)


@pytest.mark.parametrize(
    'bad', [{'threshold_ppm': 0.0}, {'threshold_ppm': np.nan}, {'power': -1.0}]
)
def test_bad_parameters_are_refused_in_three_lines(bad):
    with pytest.raises(ValueError, match='SMWI') as error:
        SmwiParameters(**bad)
    assert str(error.value).count('\n') == 2
