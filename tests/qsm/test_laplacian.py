import numpy as np
import pytest

from qsmbids.qsm.grid import Grid
from qsmbids.qsm.laplacian import LaplacianParameters, _MaskedLaplacian, unwrap_laplacian
from qsmbids.qsm.phase import wrap

GRIDS = [Grid((36, 34, 32), (1, 1, 1)), Grid((40, 34, 18), (1, 1, 2.2))]
GRID = GRIDS[0]
TIMES = np.array([0.005, 0.012, 0.021])


def column(values):
    return np.asarray(values, float)[:, None, None, None]


def axes_mm(grid):
    centred = (
        (np.arange(n) - (n - 1) / 2) * h for n, h in zip(grid.shape, grid.voxel_size, strict=True)
    )
    return np.meshgrid(*centred, indexing='ij', sparse=True)


def smooth_field(grid):
    """Up to 0.4 turns from voxel to voxel at the last echo; a ball with a hole."""
    x, y, z = axes_mm(grid)
    r2 = x**2 + y**2 + z**2
    field = 3 * x + 60 * np.exp(-(x**2 + (y - 3) ** 2 + z**2) / 9**2) - 15
    return field, (r2 < 15.5**2) & (r2 > 4**2)


def true_phase(field, times=TIMES):
    return 2 * np.pi * column(times) * field


def unwrap(truth, mask, grid=GRID, times=TIMES, **parameters):
    return unwrap_laplacian(
        wrap(truth),
        np.ones(truth.shape),
        times,
        mask,
        grid,
        parameters=LaplacianParameters(**parameters),
    )


@pytest.mark.parametrize('grid', GRIDS, ids=['1 mm', '1 x 1 x 2.2 mm'])
def test_smooth_field_within_two_hundredths_of_a_radian(grid):
    field, mask = smooth_field(grid)
    truth = true_phase(field)
    assert np.ptp(truth[-1][mask]) > 2 * 2 * np.pi
    found = unwrap(truth, mask, grid)
    assert found.dtype == np.float32
    assert np.abs(found - truth)[:, mask].max() < 0.02
    assert not found[:, ~mask].any()


def test_laplacian_is_per_square_millimetre():
    grid = GRIDS[1]
    x, y, z = axes_mm(grid)
    laplacian = _MaskedLaplacian(np.ones(grid.shape, bool), grid.voxel_size)
    applied = laplacian.apply((x**2 + 2 * y**2 - 5 * z**2).astype(np.float32))
    np.testing.assert_allclose(applied[1:-1, 1:-1, 1:-1], -2 * (1 + 2 - 5), atol=1e-2)
    image = np.random.default_rng(2).normal(size=grid.shape).astype(np.float32)
    back = laplacian.precondition(laplacian.apply(image))
    np.testing.assert_allclose(back, image - image.mean(), atol=1e-4)


def test_background_field_is_kept():
    """Unlike the form with zero phase on the rim, nothing harmonic is removed."""
    x, y, z = axes_mm(GRID)
    mask = (x**2 + y**2 + z**2) < 15**2
    truth = true_phase(2 * x - 3 * y + 0.1 * (x**2 - z**2))
    assert np.abs(unwrap(truth, mask) - truth)[:, mask].max() < 0.02


def test_constant_comes_from_the_data():
    _, mask = smooth_field(GRID)
    truth = np.full((1, *GRID.shape), 1.3)
    np.testing.assert_allclose(unwrap(truth, mask, times=[0.01])[0][mask], 1.3, atol=1e-4)


def test_two_components_each_with_its_constant():
    x, y, _ = axes_mm(GRID)
    field = np.broadcast_to(2 * y + np.where(x < 0, -40.0, 30.0), GRID.shape)
    mask = np.broadcast_to(np.abs(x) > 2, GRID.shape).copy()
    truth = true_phase(field)
    assert np.abs(unwrap(truth, mask) - truth)[:, mask].max() < 0.02


def test_noise_makes_it_incongruent_but_not_biased_at_snr_20():
    rng = np.random.default_rng(0)
    field, mask = smooth_field(GRID)
    field = 0.5 * field
    truth = true_phase(field) + rng.normal(0, 1 / 20, (3, *GRID.shape))
    error = (unwrap(truth, mask) - truth)[:, mask]
    assert np.sqrt(np.mean(error**2)) < 0.05
    assert np.abs(error.mean(axis=1)).max() < 0.01


def test_limit_steps_above_half_a_turn_are_lost():
    """The stated limit: more than pi between voxels gives a field that is too small."""
    x, _, _ = axes_mm(GRID)
    mask = np.ones(GRID.shape, bool)
    steep = np.broadcast_to(1.2 * np.pi * x, (1, *GRID.shape))
    found = unwrap(steep, mask, times=[0.01])[0]
    slope = np.diff(found, axis=0)
    np.testing.assert_allclose(slope, -0.8 * np.pi, atol=0.02)


def test_more_iterations_come_closer():
    field, mask = smooth_field(GRID)
    truth = true_phase(field)
    errors = [
        np.abs(unwrap(truth, mask, max_iterations=n) - truth)[:, mask].max() for n in (1, 3, 20)
    ]
    assert errors[0] > 2 * errors[1] > 2 * errors[2]


@pytest.mark.parametrize('boundary', ['neumann', 'zero_padded'])
def test_outside_the_mask_has_no_influence(boundary):
    field, mask = smooth_field(GRID)
    truth = true_phase(field)
    expected = unwrap(truth, mask, boundary=boundary)
    wild = truth.copy()
    wild[:, ~mask] = np.random.default_rng(1).uniform(-3, 3, wild[:, ~mask].shape)
    wild[:, 0] = np.nan
    np.testing.assert_allclose(unwrap(wild, mask, boundary=boundary), expected, atol=1e-5)


@pytest.mark.parametrize('grid', GRIDS, ids=['1 mm', '1 x 1 x 2.2 mm'])
def test_zero_padding_keeps_a_third_of_a_slope_in_a_ball(grid):
    """As the field inside a magnetised ball; the Neumann condition keeps all of it."""
    x, y, z = axes_mm(grid)
    mask = (x**2 + y**2 + z**2) < 15**2
    truth = np.broadcast_to(1.2 * x, (1, *grid.shape))
    inner = (x**2 + y**2 + z**2) < 11**2
    slopes = [
        np.polyfit(np.broadcast_to(x, grid.shape)[inner], found[0][inner], 1)[0]
        for found in (
            unwrap(truth, mask, grid, times=[0.01], boundary=boundary)
            for boundary in ('zero_padded', 'neumann')
        )
    ]
    assert slopes[0] == pytest.approx(0.4, rel=0.05)
    assert slopes[1] == pytest.approx(1.2, rel=0.01)


def test_zero_padding_keeps_what_is_local():
    """A blob that ends well inside the mask, with two turns at its centre."""
    x, y, z = axes_mm(GRID)
    mask = (x**2 + y**2 + z**2) < 15**2
    truth = 4 * np.pi * np.exp(-(x**2 + y**2 + z**2) / 5**2)[None]
    found = unwrap(truth, mask, times=[0.01], boundary='zero_padded')
    difference = (found - truth)[0][mask]
    assert np.ptp(difference) < 0.05
    assert abs(difference.mean() / (2 * np.pi) - round(difference.mean() / (2 * np.pi))) < 0.01


@pytest.mark.parametrize(
    'wrong', [{'boundary': 'periodic'}, {'tolerance': 0.0}, {'max_iterations': 0}]
)
def test_unusable_parameters_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LaplacianParameters(**wrong)


def test_unusable_input_is_refused():
    field, mask = smooth_field(GRID)
    truth = true_phase(field)
    with pytest.raises(ValueError, match='finite data'):
        unwrap(truth, mask & False)
    with pytest.raises(ValueError, match='echo times'):
        unwrap(truth, mask, times=[0.01])
