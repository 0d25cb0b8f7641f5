import numpy as np
import pytest

from qsmbids.qsm.bestpath import unwrap_bestpath
from qsmbids.qsm.grid import Grid
from qsmbids.qsm.phase import wrap
from qsmbids.qsm.romeo import unwrap_romeo

TIMES = np.array([0.004, 0.0095, 0.016])
GRIDS = [Grid((36, 34, 31), (1, 1, 1)), Grid((40, 33, 18), (1, 1, 2.2), (0, 0.3, 0.9))]


def column(values):
    return np.asarray(values, float)[:, None, None, None]


def axes_mm(grid):
    centred = (
        (np.arange(n) - (n - 1) / 2) * h for n, h in zip(grid.shape, grid.voxel_size, strict=True)
    )
    return np.meshgrid(*centred, indexing='ij', sparse=True)


def head(grid):
    """A ramp and the field of a sphere of 5 mm, which is a hole of the mask."""
    x, y, z = axes_mm(grid)
    r2 = np.maximum(x**2 + y**2 + z**2, 1)
    field = 40 * (25 / r2) ** 1.5 * (3 * z**2 / r2 - 1) + 6 * x - 3 * y
    return field, (((x / 17) ** 2 + (y / 16) ** 2 + (z / 15) ** 2) < 1) & (r2 > 36)


def signal(field, mask, times=TIMES, snr_last=None):
    strength = np.exp(-30 * column(times)) * np.where(mask, 1.0, 0.02)
    truth = 2 * np.pi * column(times) * field
    if snr_last is not None:
        noise = np.random.default_rng(0).normal(
            0, np.exp(-30 * times[-1]) / snr_last, (2, *truth.shape)
        )
        measured = strength + noise[0] + 1j * noise[1]
        truth, strength = truth + np.angle(measured), np.abs(measured)
    return truth, strength


def turns_off(unwrapped, truth, mask):
    turns = (unwrapped - truth)[:, mask] / (2 * np.pi)
    np.testing.assert_allclose(turns, np.rint(turns), atol=1e-3)  # the data are not changed
    return np.rint(turns).astype(int)


@pytest.mark.parametrize('grid', GRIDS, ids=['1 mm', '1 x 1 x 2.2 mm'])
def test_many_turns_around_a_hole(grid):
    field, mask = head(grid)
    truth, strength = signal(field, mask)
    assert np.ptp(truth[-1][mask]) > 3 * 2 * np.pi
    found = unwrap_bestpath(wrap(truth), strength, TIMES, mask, grid)
    assert found.dtype == np.float32
    assert not turns_off(found, truth, mask).any()
    assert not found[:, ~mask].any()


def test_few_errors_in_noise_but_not_fewer_than_romeo():
    field, mask = head(GRIDS[0])
    truth, strength = signal(2 * field, mask, snr_last=3)
    wrong = [
        (turns_off(f(wrap(truth), strength, TIMES, mask, GRIDS[0]), truth, mask) != 0).mean()
        for f in (unwrap_bestpath, unwrap_romeo)
    ]
    assert wrong[1] <= wrong[0] < 0.05


def test_two_components_are_consistent_over_echoes():
    x, y, z = axes_mm(GRIDS[0])
    field = 4 * y + 2 * z + np.where(x < 0, -210.0, 290.0)
    mask = np.broadcast_to((np.abs(x) > 2) & (np.abs(y) < 13), GRIDS[0].shape)
    truth, strength = signal(field, mask, snr_last=40)
    found = unwrap_bestpath(wrap(truth), strength, TIMES, mask, GRIDS[0])
    assert (turns_off(found, truth, mask) != 0).mean() < 1e-3


def test_same_result_every_time_and_nan_outside_is_ignored():
    field, mask = head(GRIDS[0])
    truth, strength = signal(field, mask, snr_last=3)
    phase = wrap(truth)
    expected = unwrap_bestpath(phase, strength, TIMES, mask, GRIDS[0])
    phase[:, ~mask] = 1.0
    phase[:, 0] = np.nan
    np.testing.assert_array_equal(
        unwrap_bestpath(phase, strength, TIMES, mask, GRIDS[0]), expected
    )


@pytest.mark.parametrize('voxels', [(slice(5, 6),) * 3, (slice(5, 9), slice(5, 6), slice(5, 6))])
def test_a_few_voxels(voxels):
    field, mask = head(GRIDS[0])
    mask = np.zeros_like(mask)
    mask[voxels] = True
    truth, strength = signal(0.2 * field, mask)
    found = unwrap_bestpath(wrap(truth), strength, TIMES, mask, GRIDS[0])
    assert np.isfinite(found).all()
    assert not turns_off(found, truth, mask).any()


def test_unusable_input_is_refused():
    field, mask = head(GRIDS[0])
    truth, strength = signal(field, mask)
    with pytest.raises(ValueError, match='finite data'):
        unwrap_bestpath(truth, strength, TIMES, mask & False, GRIDS[0])
    with pytest.raises(ValueError, match='echo times'):
        unwrap_bestpath(truth, strength, TIMES[:2], mask, GRIDS[0])
