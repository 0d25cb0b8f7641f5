from functools import partial

import numpy as np
import pytest
from scipy import ndimage

from qsmbids.phantom.forward import dipole_field
from qsmbids.qsm.grid import Grid
from qsmbids.qsm.quality import nrmse
from qsmbids.qsm.rts import invert_rts
from qsmbids.qsm.tkd import invert_tkd
from qsmbids.qsm.tv import TvParameters, invert_tv
from qsmbids.qsm.twopass import invert_two_pass

GRID = Grid((37, 40, 33), (1.5, 1.5, 2.0), (0.36, 0.48, 0.8))


def head():
    """Blobs and a strong source whose own field is lost; chi, mask, reliable mask, field."""
    rng = np.random.default_rng(0)
    axes = [np.linspace(-1.2, 1.2, n) for n in GRID.shape]
    mask = sum(a**2 for a in np.meshgrid(*axes, indexing='ij')) < 1
    chi = np.where(mask, 0.5 * ndimage.gaussian_filter(rng.standard_normal(GRID.shape), 2), 0)
    chi[16:20, 20:24, 15:18] = 1.0
    bleeding = np.zeros_like(mask)
    bleeding[15:21, 19:25, 14:19] = True
    field = dipole_field(chi.astype(np.float32), GRID.voxel_size, GRID.b0_direction)
    field += 0.002 * rng.standard_normal(GRID.shape)
    field[bleeding] += 0.1 * rng.standard_normal(bleeding.sum())
    return chi.astype(np.float32), mask, mask & ~bleeding, field


@pytest.mark.parametrize('invert', [invert_rts, invert_tv])
def test_errors_of_a_strong_source_stay_where_they_are(invert):
    truth, mask, reliable, field = head()
    one = invert(field, mask, GRID)
    two = invert_two_pass(field, reliable, field, mask, GRID, invert)
    assert nrmse(two, truth, reliable) < 0.65 * nrmse(one, truth, reliable)
    assert two[17:19, 21:23, 16].mean() > 0.3  # the hole is filled


def test_the_two_maps_are_joined_at_one_level():
    truth, mask, reliable, field = head()
    calls = []
    seen = []

    def invert(local_field_ppm, mask, grid, *, weight, progress):
        seen.append((local_field_ppm, mask, weight))
        progress(0.5, 'half')
        return np.where(mask, truth + 7 * len(seen), 0).astype(np.float32)

    weight = np.ones(GRID.shape)
    chi = invert_two_pass(
        field, reliable, 2 * field, mask, GRID, invert,
        weight=weight, progress=lambda f, text: calls.append((f, text)),
    )  # fmt: skip
    assert np.allclose(chi[mask], truth[mask] + 7, atol=1e-5)
    assert not chi[~mask].any()
    assert np.array_equal(seen[0][1], reliable)
    assert np.array_equal(seen[1][1], mask)
    assert seen[0][0] is field
    assert seen[1][2] is weight
    assert [f for f, _ in calls] == [0.25, 0.75]
    assert calls[1][1] == 'pass 2, half'


def test_the_reliable_mask_may_reach_beyond_the_filled_one():
    _, mask, _, field = head()
    smaller = ndimage.binary_erosion(mask, iterations=2)
    chi = invert_two_pass(field, mask, field, smaller, GRID, invert_tkd)
    assert np.array_equal(chi, invert_tkd(field, mask, GRID))


def test_parameters_and_nan_outside_the_masks():
    _, mask, reliable, field = head()
    invert = partial(invert_tv, parameters=TvParameters(iterations=3))
    holes = np.where(reliable, field, np.nan)
    chi = invert_two_pass(holes, reliable, np.where(mask, field, np.nan), mask, GRID, invert)
    assert chi.dtype == np.float32
    assert np.array_equal(chi, invert_two_pass(field, reliable, field, mask, GRID, invert))
    assert not chi[~mask].any()


def test_unusable_masks_are_refused():
    grid = Grid((9, 8, 7))
    field, mask = np.zeros(grid.shape), np.zeros(grid.shape, bool)
    other = mask.copy()
    mask[2, 2, 2] = other[5, 5, 5] = True
    with pytest.raises(ValueError, match='no voxel in common'):
        invert_two_pass(field, mask, field, other, grid, invert_tkd)
    with pytest.raises(ValueError, match='mask is empty'):
        invert_two_pass(field, 0 * mask, field, other, grid, invert_tkd)
    with pytest.raises(ValueError, match='shape'):
        invert_two_pass(field, mask, field, mask[1:], grid, invert_tkd)
    assert not invert_two_pass(field, mask, field, mask, grid, invert_tkd).any()
