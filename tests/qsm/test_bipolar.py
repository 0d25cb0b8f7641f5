import numpy as np
import pytest

from qsmbids.qsm.bipolar import BipolarParameters, correct_bipolar
from qsmbids.qsm.grid import Grid
from qsmbids.qsm.offset import remove_phase_offset
from qsmbids.qsm.phase import wrap

GRID = Grid((36, 33, 31), (3, 3, 3.5))
EVEN = np.array([0.005, 0.010, 0.015, 0.020])
UNEVEN = np.array([0.004, 0.0105, 0.0155, 0.022])
POLARITY = np.array([1, -1, 1, -1])[:, None, None, None]


def column(values):
    return np.asarray(values, float)[:, None, None, None]


def head(grid=GRID):
    """Field in Hz, offset and readout phase in rad (6 rad from end to end) and mask."""
    x, y, z = np.meshgrid(
        *((np.arange(n) - (n - 1) / 2) * h for n, h in zip(grid.shape, grid.voxel_size, strict=1)),
        indexing='ij',
        sparse=True,
    )
    mask = ((x / 45) ** 2 + (y / 42) ** 2 + (z / 40) ** 2) < 1
    field = 0.8 * x + 40 * np.exp(-(x**2 + (y - 50) ** 2 + (z + 20) ** 2) / 30**2) - 8
    offset = 1.2 + 0.02 * x - 0.015 * y
    readout = 0.3 + 0.035 * x + 0.01 * y + 0 * z
    return field, offset, readout, mask


def data(times, snr_last=None, readout_size=1.0):
    field, offset, readout, mask = head()
    strength = 100 * np.exp(-25 * column(times)) * np.where(mask, 1.0, 0.0)
    angle = 2 * np.pi * column(times) * field + offset
    angle = angle + readout_size * POLARITY[: len(times)] * readout
    image = strength * np.exp(1j * angle)
    if snr_last is not None:
        rng = np.random.default_rng(0)
        sigma = 100 * np.exp(-25 * times[-1]) / snr_last
        image = image + rng.normal(0, sigma, image.shape) + 1j * rng.normal(0, sigma, image.shape)
    return np.angle(image), np.abs(image)


def corrected(times, **options):
    phase, strength = data(times, **options)
    mask = head()[3]
    phase, _ = remove_phase_offset(phase, strength, times, mask, GRID)
    return phase, *correct_bipolar(phase, strength, times, mask, GRID)


def rms_error(phase, times):
    """Root mean square distance of each echo from the phase of the field, with its sign."""
    field, _, _, mask = head()
    error = wrap(phase - 2 * np.pi * column(times) * field)[:, mask]
    return np.sqrt((error**2).mean(axis=1))


@pytest.mark.parametrize('snr_last', [None, 20], ids=['noiseless', 'snr 20'])
@pytest.mark.parametrize('times', [EVEN, UNEVEN], ids=['even', 'uneven'])
def test_readout_phase_is_found_and_taken_away(times, snr_last):
    before, after, readout = corrected(times, snr_last=snr_last)
    assert after.dtype == readout.dtype == np.float32
    noise = 0 if snr_last is None else 1.2 / snr_last
    assert (rms_error(before, times) > 0.4).all()
    assert (rms_error(after, times) < 0.06 + noise).all()
    _, _, truth, mask = head()
    assert np.sqrt(np.mean((readout - truth)[mask] ** 2)) < 0.05


def test_phase_left_by_offset_removal_is_what_the_notes_say():
    """Odd echoes keep -2 m G, even ones -2 (m + 1) G."""
    before, _, _ = corrected(EVEN)
    field, _, readout, mask = head()
    m = EVEN[0] / (EVEN[1] - EVEN[0])
    left = wrap(before - 2 * np.pi * column(EVEN) * field)
    inner = mask & (np.abs(readout) < 0.5)
    for echo, times_g in enumerate((-2 * m, -2 * (m + 1), -2 * m, -2 * (m + 1))):
        error = wrap(left[echo] - times_g * readout)[inner]
        assert np.sqrt(np.mean(error**2)) < 0.05


def test_three_echoes_are_enough():
    _, after, _ = corrected(EVEN[:3])
    assert (rms_error(after, EVEN[:3]) < 0.06).all()


def test_monopolar_data_stay_as_they_are():
    before, after, readout = corrected(EVEN, readout_size=0.0)
    mask = head()[3]
    assert np.abs(readout).max() < 0.02
    assert np.abs(wrap(after - before)[:, mask]).max() < 0.05


def test_turned_data_give_the_turned_result():
    phase, strength = data(EVEN)
    mask = head()[3]
    _, expected = correct_bipolar(phase, strength, EVEN, mask, GRID)
    turned = Grid(GRID.shape[::-1], GRID.voxel_size[::-1], (1, 0, 0))
    _, found = correct_bipolar(
        np.flip(phase.transpose(0, 3, 2, 1), 2),
        np.flip(strength.transpose(0, 3, 2, 1), 2),
        EVEN,
        np.flip(mask.transpose(2, 1, 0), 1),
        turned,
    )
    np.testing.assert_allclose(np.flip(found, 1).transpose(2, 1, 0), expected, atol=2e-3)


def test_outside_the_mask_is_zero_and_nan_there_does_no_harm():
    phase, strength = data(EVEN)
    mask = head()[3]
    expected = correct_bipolar(phase, strength, EVEN, mask, GRID)
    phase[:, ~mask], strength[:, ~mask] = 1.5, 70.0
    phase[:, 0] = strength[:, :, 0] = np.nan
    found = correct_bipolar(phase, strength, EVEN, mask, GRID)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
        assert not a[..., ~mask].any()


def test_a_few_voxels_and_constant_phase():
    mask = np.zeros(GRID.shape, bool)
    mask[10:12, 10, 10] = True
    phase = np.full((3, *GRID.shape), 0.5)
    after, readout = correct_bipolar(phase, np.ones_like(phase), EVEN[:3], mask, GRID)
    assert np.isfinite(after).all()
    np.testing.assert_allclose(readout[mask], 0, atol=1e-4)


def test_unusable_input_is_refused():
    phase, strength = data(EVEN)
    mask = head()[3]
    with pytest.raises(ValueError, match='with 2 echoes'):
        correct_bipolar(phase[:2], strength[:2], EVEN[:2], mask, GRID)
    with pytest.raises(ValueError, match='finite data'):
        correct_bipolar(phase, strength, EVEN, mask & False, GRID)
    with pytest.raises(ValueError, match='sigma_mm'):
        BipolarParameters(sigma_mm=0.0)
