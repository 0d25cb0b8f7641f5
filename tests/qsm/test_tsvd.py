import numpy as np
import pytest
from scipy import ndimage

from qsmbids.qsm.fft import PaddedFFT
from qsmbids.qsm.grid import Grid
from qsmbids.qsm.kernels import dipole_kernel
from qsmbids.qsm.quality import nrmse
from qsmbids.qsm.tkd import TkdParameters, invert_tkd
from qsmbids.qsm.tsvd import TsvdParameters, invert_tsvd

GRID = Grid((37, 40, 33), (1.0, 1.1, 1.5), (0.36, 0.48, 0.8))


def axes_mm(grid):
    pairs = zip(grid.shape, grid.voxel_size, strict=True)
    return np.meshgrid(*((np.arange(n) - n // 2) * h for n, h in pairs), indexing='ij')


def ball(grid, centre, radius):
    distance = np.sqrt(sum((a - c) ** 2 for a, c in zip(axes_mm(grid), centre, strict=True)))
    return np.clip((radius - distance) / grid.voxel_volume ** (1 / 3) + 0.5, 0, 1)


def head(grid):
    """Two nuclei, one of them at the rim, in a ball; returns chi, mask and the exact field."""
    chi = 0.1 * ball(grid, (4, 0, 2), 5) - 0.06 * ball(grid, (-10, 3, 0), 4)
    mask = ball(grid, (0, 0, 0), 16) > 0.5
    fft = PaddedFFT(grid.shape, grid.voxel_size, 80.0)
    kernel = dipole_kernel(fft.padded_shape, grid.voxel_size, grid.b0_direction)
    return chi.astype(np.float32), mask, fft.inverse(fft.forward(chi.astype(np.float32)) * kernel)


def test_nuclei_are_recovered_and_a_wrong_direction_is_not():
    truth, mask, field = head(GRID)
    right = nrmse(invert_tsvd(field, mask, GRID), truth, mask)
    assert right < 45
    axial = Grid(GRID.shape, GRID.voxel_size)
    assert nrmse(invert_tsvd(field, mask, axial), truth, mask) > 1.3 * right


def test_frequencies_below_the_threshold_are_dropped():
    # without a mask and continuation the map has no content where |D| is small
    grid = Grid((32, 32, 32), (1, 1, 1), (0.6, 0.0, 0.8))
    fft = PaddedFFT(grid.shape, grid.voxel_size)
    field = np.random.default_rng(0).standard_normal(grid.shape).astype(np.float32)
    kernel = dipole_kernel(fft.padded_shape, grid.voxel_size, grid.b0_direction)
    kept = np.abs(kernel) > 0.15
    expected = fft.inverse(fft.forward(field) * np.where(kept, 1 / np.where(kept, kernel, 1), 0))
    p = TsvdParameters(threshold=0.15, continuations=0)
    chi = invert_tsvd(field, np.ones(grid.shape, bool), grid, parameters=p)
    assert np.allclose(chi, expected, atol=1e-4)


@pytest.mark.parametrize(('threshold', 'factor'), [(0.10, 0.759), (0.15, 0.642), (0.20, 0.529)])
def test_correction_is_the_mean_of_the_point_spread_function(threshold, factor):
    # one voxel in the middle of a large empty field: the map shows its centre
    grid = Grid((80, 80, 80))
    chi = np.zeros(grid.shape, np.float32)
    chi[40, 40, 40] = 1
    fft = PaddedFFT(grid.shape, grid.voxel_size)
    kernel = dipole_kernel(fft.padded_shape, grid.voxel_size, grid.b0_direction)
    field, mask = fft.inverse(fft.forward(chi) * kernel), np.ones(grid.shape, bool)
    shown = [
        invert_tsvd(
            field, mask, grid, parameters=TsvdParameters(threshold=threshold, correct_bias=c)
        )[40, 40, 40]
        for c in (False, True)
    ]
    assert shown[0] == pytest.approx(factor, abs=0.01)
    assert shown[1] == pytest.approx(1, abs=0.015)


@pytest.mark.parametrize(
    ('invert', 'kind'), [(invert_tsvd, TsvdParameters), (invert_tkd, TkdParameters)]
)
def test_continuing_the_field_outside_the_mask_pays(invert, kind):
    # sources up to the rim, as the cortex is, and beyond it, where a mask has been eroded
    grid = Grid((40, 42, 39), (2.0, 2.0, 2.0), (0.36, 0.48, 0.8))
    blobs = ndimage.gaussian_filter(np.random.default_rng(4).standard_normal(grid.shape), 1.5)
    brain, mask = ball(grid, (0, 0, 0), 36) > 0.5, ball(grid, (0, 0, 0), 32) > 0.5
    truth = (blobs * brain).astype(np.float32)
    fft = PaddedFFT(grid.shape, grid.voxel_size, 80.0)
    kernel = dipole_kernel(fft.padded_shape, grid.voxel_size, grid.b0_direction)
    field = fft.inverse(fft.forward(truth) * kernel)
    errors = [
        nrmse(invert(field, mask, grid, parameters=kind(continuations=n)), truth, mask)
        for n in (0, 2, 20)
    ]
    assert errors[1] < 0.95 * errors[0]
    assert errors[2] < 1.05 * errors[1]  # it does not run away


def test_linear_flipped_and_permuted():
    _, mask, field = head(GRID)
    chi = invert_tsvd(field, mask, GRID)
    twice = invert_tsvd(-2 * field, mask, GRID)
    assert np.allclose(twice, -2 * chi, atol=1e-5)
    order = (2, 0, 1)
    shape, voxel, b0 = (
        tuple(np.array(v)[list(order)]) for v in (GRID.shape, GRID.voxel_size, GRID.b0_direction)
    )
    turned = Grid(shape, voxel, (-b0[0], b0[1], b0[2]))
    other = invert_tsvd(field.transpose(order)[::-1], mask.transpose(order)[::-1], turned)
    assert np.abs(other - chi.transpose(order)[::-1]).max() < 0.01 * np.abs(chi).max()


def test_values_outside_the_mask_do_not_matter():
    _, mask, field = head(GRID)
    chi = invert_tsvd(field, mask, GRID)
    assert chi.dtype == np.float32
    assert not chi[~mask].any()
    assert np.array_equal(invert_tsvd(np.where(mask, field, np.nan), mask, GRID), chi)


def test_tiny_and_impossible_input():
    grid = Grid((9, 8, 7))
    field, mask = np.ones(grid.shape), np.zeros(grid.shape, bool)
    with pytest.raises(ValueError, match='mask is empty'):
        invert_tsvd(field, mask, grid)
    mask[4, 4, 3] = True
    calls = []
    chi = invert_tsvd(field, mask, grid, progress=lambda f, text: calls.append(f))
    assert np.isfinite(chi).all()
    assert calls == sorted(calls)
    assert calls[-1] == 1
    field[4, 4, 3] = np.nan
    with pytest.raises(ValueError, match='not a number'):
        invert_tsvd(field, mask, grid)


@pytest.mark.parametrize('values', [{'threshold': 0}, {'threshold': 0.4}, {'continuations': -1}])
def test_impossible_parameters_are_refused(values):
    with pytest.raises(ValueError, match='TSVD'):
        TsvdParameters(**values)
