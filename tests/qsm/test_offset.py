import numpy as np
import pytest
from scipy.ndimage import binary_erosion, gaussian_filter

from qsmbids.qsm.grid import Grid
from qsmbids.qsm.offset import McpcParameters, remove_phase_offset
from qsmbids.qsm.phase import wrap

GRID = Grid((36, 34, 32), (3, 3, 3))
TIMES = np.array([0.004, 0.0105, 0.015])  # uneven
EVEN = np.array([0.005, 0.010, 0.015])


def column(values):
    return np.asarray(values, float)[:, None, None, None]


def axes_mm(grid):
    centred = (
        (np.arange(n) - (n - 1) / 2) * h for n, h in zip(grid.shape, grid.voxel_size, strict=True)
    )
    return np.meshgrid(*centred, indexing='ij', sparse=True)


def head(grid=GRID):
    """Field in Hz, offset in rad (5 rad from end to end, so it wraps) and mask."""
    x, y, z = axes_mm(grid)
    mask = ((x / 45) ** 2 + (y / 42) ** 2 + (z / 40) ** 2) < 1
    field = 0.8 * x + 40 * np.exp(-(x**2 + (y - 50) ** 2 + (z + 20) ** 2) / 30**2) - 8
    offset = 2.2 + 0.03 * x - 0.025 * y + 6e-4 * z**2
    return field, offset, mask


def parts(phase):
    return np.cos(phase), np.sin(phase)


def rms(values):
    return np.sqrt(np.mean(np.square(values)))


def data(field, offset, times, mask, snr_last=None):
    strength = 100 * np.exp(-25 * column(times)) * np.where(mask, 1.0, 0.0)
    image = strength * np.exp(1j * (2 * np.pi * column(times) * field + offset))
    if snr_last is not None:
        sigma = 100 * np.exp(-25 * times[-1]) / snr_last
        rng = np.random.default_rng(0)
        image = image + rng.normal(0, sigma, image.shape) + 1j * rng.normal(0, sigma, image.shape)
    return np.angle(image), np.abs(image)


@pytest.mark.parametrize('times', [TIMES, EVEN], ids=['uneven', 'even'])
@pytest.mark.parametrize('snr_last', [None, 20], ids=['noiseless', 'snr 20'])
def test_smooth_offset_is_found_and_taken_away(times, snr_last):
    """Root mean square below 0.04 rad, which is 0.8 Hz at 8 ms, with the rim of the mask.

    Smoothing is what keeps it from zero; noise at this level hardly adds to it.
    """
    field, offset, mask = head()
    phase, strength = data(field, offset, times, mask, snr_last)
    corrected, found = remove_phase_offset(phase, strength, times, mask, GRID)
    assert corrected.dtype == found.dtype == np.float32
    error = wrap(found - offset)[mask]
    assert rms(error) < 0.04
    assert np.percentile(np.abs(error), 99) < 0.14
    assert rms(wrap(found - offset)[binary_erosion(mask, iterations=5)]) < 0.02
    clean = 2 * np.pi * column(times) * field
    for echo in range(len(times)):
        # the same offset goes from each echo, to the last bit of the sum
        np.testing.assert_allclose(wrap(corrected[echo] + found - phase[echo])[mask], 0, atol=1e-5)
        assert abs(wrap(corrected[echo] - clean[echo])[mask].mean()) < 0.02


def test_without_offset_nothing_is_taken_away():
    field, offset, mask = head()
    phase, strength = data(field, 0 * offset, TIMES, mask)
    _, found = remove_phase_offset(phase, strength, TIMES, mask, GRID)
    assert np.abs(found).max() < 1e-4


def test_constant_offset_is_exact():
    field, offset, mask = head()
    phase, strength = data(field, 0 * offset + 3.0, TIMES, mask)
    _, found = remove_phase_offset(phase, strength, TIMES, mask, GRID)
    np.testing.assert_allclose(wrap(found - 3.0)[mask], 0, atol=1e-4)


def test_width_is_in_millimetres():
    """The same head on voxels of half the height gives the same offset."""
    results = []
    for grid in (GRID, Grid((36, 34, 64), (3, 3, 1.5))):
        field, offset, mask = head(grid)
        phase, strength = data(field, offset, TIMES, mask)
        _, found = remove_phase_offset(phase, strength, TIMES, mask, grid)
        error = wrap(found - offset) * mask
        results.append(error[18, 17, grid.shape[2] // 2 - 1])
        assert rms(error[mask]) < 0.04
    assert abs(results[0] - results[1]) < 0.01


def test_second_pass_halves_what_the_rim_bends():
    field, offset, mask = head()
    phase, strength = data(field, offset, TIMES, mask)
    _, found = remove_phase_offset(phase, strength, TIMES, mask, GRID)
    once = [gaussian_filter(part * mask, 7 / 3, mode='constant') for part in parts(offset)]
    once = np.arctan2(once[1], once[0])
    assert rms(wrap(found - offset)[mask]) < 0.5 * rms(wrap(once - offset)[mask])


def test_wider_smoothing_bends_the_offset_more():
    field, offset, mask = head()
    phase, strength = data(field, offset, TIMES, mask)
    errors = []
    for sigma in (7.0, 25.0):
        _, found = remove_phase_offset(
            phase, strength, TIMES, mask, GRID, parameters=McpcParameters(sigma_mm=sigma)
        )
        errors.append(wrap(found - offset)[mask].std())
    assert errors[1] > 2 * errors[0]


def test_single_echo_is_unchanged():
    field, offset, mask = head()
    phase, strength = data(field, offset, TIMES[:1], mask)
    corrected, found = remove_phase_offset(phase, strength, TIMES[:1], mask, GRID)
    np.testing.assert_array_equal(corrected, phase.astype(np.float32))
    assert found.shape == mask.shape
    assert not found.any()


def test_outside_the_mask_is_zero_and_nan_there_does_no_harm():
    field, offset, mask = head()
    phase, strength = data(field, offset, TIMES, mask)
    expected = remove_phase_offset(phase, strength, TIMES, mask, GRID)
    rng = np.random.default_rng(1)
    phase = np.where(mask, phase, rng.uniform(-3, 3, phase.shape))
    strength = np.where(mask, strength, 50.0)
    phase[:, 0] = strength[:, :, 0] = np.nan
    found = remove_phase_offset(phase, strength, TIMES, mask, GRID)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
        assert not a[..., ~mask].any()


@pytest.mark.parametrize('scale', [1e-6, 1e9])
def test_unit_of_the_magnitude_does_not_matter(scale):
    field, offset, mask = head()
    phase, strength = data(field, offset, TIMES, mask)
    _, expected = remove_phase_offset(phase, strength, TIMES, mask, GRID)
    _, found = remove_phase_offset(phase, strength * scale, TIMES, mask, GRID)
    np.testing.assert_allclose(wrap(found - expected), 0, atol=1e-4)


def test_unusable_input_is_refused():
    field, offset, mask = head()
    phase, strength = data(field, offset, TIMES, mask)
    for sigma in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match='sigma_mm'):
            remove_phase_offset(
                phase, strength, TIMES, mask, GRID, parameters=McpcParameters(sigma_mm=sigma)
            )
    with pytest.raises(ValueError, match='ascending'):
        remove_phase_offset(phase, strength, TIMES[::-1], mask, GRID)
    with pytest.raises(ValueError, match='finite data'):
        remove_phase_offset(phase, strength, TIMES, ~mask & False, GRID)
