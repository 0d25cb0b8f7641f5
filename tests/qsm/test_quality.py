import numpy as np
import pytest
from scipy import ndimage

from qsmbids.qsm import quality
from qsmbids.qsm.fft import PaddedFFT
from qsmbids.qsm.grid import Grid
from qsmbids.qsm.kernels import dipole_kernel


@pytest.fixture
def maps():
    rng = np.random.default_rng(0)
    truth = ndimage.gaussian_filter(rng.standard_normal((14, 15, 16)), 1.5) * 0.3
    mask = np.zeros(truth.shape, bool)
    mask[2:12, 2:13, 1:14] = True
    return truth * mask, (truth + 0.01 * rng.standard_normal(truth.shape)) * mask, mask


def test_perfect_reconstruction(maps):
    truth, _, mask = maps
    assert quality.nrmse(truth, truth, mask) == 0
    assert quality.nrmse_detrended(truth, truth, mask) == pytest.approx(0, abs=1e-9)
    assert quality.correlation(truth, truth, mask) == pytest.approx(1)
    assert quality.xsim(truth, truth, mask) == pytest.approx(1)
    assert quality.hfen(truth, truth, mask) == 0


def test_nrmse_ignores_an_offset_and_measures_scale(maps):
    truth, _, mask = maps
    assert quality.nrmse(truth + 5, truth, mask) == pytest.approx(0, abs=1e-9)
    assert quality.nrmse(0.6 * truth, truth, mask) == pytest.approx(40)
    assert quality.nrmse(0 * truth, truth, mask) == pytest.approx(100)
    assert quality.nrmse_detrended(0.6 * truth + 1, truth, mask) == pytest.approx(0, abs=1e-9)


def test_detrending_amplifies_the_error_of_a_map_that_is_too_small(maps):
    truth, noisy, mask = maps
    plain = quality.nrmse(0.5 * noisy, truth, mask)
    assert quality.nrmse_detrended(0.5 * noisy, truth, mask) == pytest.approx(
        quality.nrmse_detrended(noisy, truth, mask)
    )
    over_smoothed = 0.5 * truth + (noisy - truth)
    plain = quality.nrmse_detrended(noisy, truth, mask)
    assert quality.nrmse_detrended(over_smoothed, truth, mask) > 1.8 * plain


def test_correlation_is_pearsons(maps):
    truth, noisy, mask = maps
    expected = np.corrcoef(truth[mask], noisy[mask])[0, 1]
    assert quality.correlation(noisy, truth, mask) == pytest.approx(expected)
    assert quality.correlation(-noisy, truth, mask) == pytest.approx(-expected)


def test_xsim_equals_its_definition_voxel_by_voxel(maps):
    truth, noisy, mask = maps
    mask = mask.copy()
    mask[0, 0, 0] = True  # a window that is cut by the array
    truth, noisy = truth * mask, noisy * mask
    values = []
    for i, j, k in np.argwhere(mask):
        window = tuple(slice(max(0, c - 2), c + 3) for c in (i, j, k))
        a, b = noisy[window].ravel(), truth[window].ravel()
        covariance = np.mean(a * b) - a.mean() * b.mean()
        values.append(
            (2 * a.mean() * b.mean() + 1e-4) * (2 * covariance + 1e-6)
            / ((a.mean() ** 2 + b.mean() ** 2 + 1e-4) * (a.var() + b.var() + 1e-6))
        )  # fmt: skip
    assert quality.xsim(noisy, truth, mask) == pytest.approx(np.mean(values), rel=1e-9)


def test_scores_get_worse_with_noise(maps):
    truth, noisy, mask = maps
    noisier = truth + 4 * (noisy - truth)
    for score, sign in [
        (quality.nrmse, 1), (quality.nrmse_detrended, 1), (quality.hfen, 1),
        (quality.correlation, -1), (quality.xsim, -1),
    ]:  # fmt: skip
        assert sign * score(noisier, truth, mask) > sign * score(noisy, truth, mask)


def test_values_outside_the_mask_do_not_matter(maps):
    truth, noisy, mask = maps
    spoiled = np.where(mask, noisy, 7.0)
    for score in (quality.nrmse, quality.correlation, quality.xsim, quality.hfen):
        assert score(spoiled, truth, mask) == pytest.approx(score(noisy, truth, mask))


def test_constant_images_give_nan_and_no_warning():
    flat, mask = np.ones((6, 6, 6)), np.ones((6, 6, 6), bool)
    assert np.isnan(quality.nrmse(flat, flat, mask))
    assert np.isnan(quality.nrmse_detrended(flat, flat, mask))
    assert np.isnan(quality.correlation(flat, flat, mask))
    assert np.isnan(quality.streak_score(flat, mask, Grid(flat.shape)))
    assert np.isnan(quality.rim_sd_ratio(flat, mask, Grid(flat.shape)))
    assert np.isnan(quality.field_snr(flat, 0 * flat, mask))


def test_residual_wraps_are_counted_per_pair():
    phase = np.zeros((4, 4, 4))
    mask = np.ones(phase.shape, bool)
    assert quality.residual_wrap_fraction(phase, mask) == 0
    phase[2:] = 2 * np.pi  # 16 of the 3 * 48 pairs jump
    assert quality.residual_wrap_fraction(phase, mask) == pytest.approx(16 / 144)
    mask[2] = False  # the jump lies outside
    assert quality.residual_wrap_fraction(phase, mask) == 0
    phase[~mask] = np.nan
    assert quality.residual_wrap_fraction(phase, mask) == 0
    lone = np.zeros(phase.shape, bool)
    lone[1, 1, 1] = True
    assert np.isnan(quality.residual_wrap_fraction(phase, lone))


def test_rim_is_told_from_the_core():
    grid = Grid((30, 31, 32), (1.0, 1.0, 2.0))
    rng = np.random.default_rng(1)
    values = rng.standard_normal(grid.shape)
    mask = np.ones(grid.shape, bool)
    assert quality.rim_sd_ratio(values, mask, grid) == pytest.approx(1, abs=0.05)
    values[:2] *= 10
    assert quality.rim_sd_ratio(values, mask, grid) > 3
    assert quality.rim_sd(values, mask, grid) > 3
    thin = np.zeros(grid.shape, bool)
    thin[4:6] = True
    assert np.isnan(quality.rim_sd_ratio(values, thin, grid))


def test_field_snr():
    rng = np.random.default_rng(2)
    mask = np.zeros((20, 20, 20), bool)
    mask[3:17] = True
    field = np.where(mask, 6 * rng.standard_normal(mask.shape), 1e6)
    noise = np.where(mask, 2.0, 0.0)
    assert quality.field_snr(field, noise, mask) == pytest.approx(3, rel=0.05)


@pytest.mark.parametrize('b0', [(0, 0, 1), (0.6, 0.0, 0.8)])
def test_streaks_are_power_in_the_cone(b0):
    grid = Grid((40, 42, 44), (1.0, 1.0, 1.2), b0)
    mask = np.ones(grid.shape, bool)
    rng = np.random.default_rng(3)
    white = rng.standard_normal(grid.shape).astype(np.float32)
    assert quality.streak_score(white, mask, grid) == pytest.approx(1, abs=0.15)
    fft = PaddedFFT(grid.shape, grid.voxel_size)
    kernel = dipole_kernel(fft.padded_shape, grid.voxel_size, b0)
    cone = np.abs(kernel) < 0.1
    spectrum = fft.forward(white)
    streaks = fft.inverse(spectrum * (1 + 2 * cone))
    assert quality.streak_score(streaks, mask, grid) > 3
    empty = fft.inverse(spectrum * ~cone)
    assert quality.streak_score(empty, mask, grid) < 0.5
    other = Grid(grid.shape, grid.voxel_size, (0, 1, 0))
    assert quality.streak_score(streaks, mask, other) < quality.streak_score(streaks, mask, grid)
    assert quality.streak_score(5 * streaks, mask, grid) == pytest.approx(
        quality.streak_score(streaks, mask, grid), rel=1e-3
    )


def test_bad_input_is_explained(maps):
    truth, noisy, mask = maps
    with pytest.raises(ValueError, match='mask is empty'):
        quality.nrmse(noisy, truth, mask & False)
    with pytest.raises(ValueError, match='shapes'):
        quality.xsim(noisy[1:], truth, mask)
    with pytest.raises(ValueError, match='shapes'):
        quality.field_snr(noisy, truth, mask[1:])
    with pytest.raises(ValueError, match='mask is empty'):
        quality.streak_score(noisy, mask & False, Grid(mask.shape))
