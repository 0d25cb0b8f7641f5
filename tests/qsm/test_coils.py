import numpy as np
import pytest

from qsmbids.qsm.coils import CoilParameters, combine_coils
from qsmbids.qsm.grid import Grid
from qsmbids.qsm.offset import remove_phase_offset
from qsmbids.qsm.phase import wrap

GRID = Grid((32, 31, 30), (3, 3.2, 3.4))
TIMES = np.array([0.004, 0.0105, 0.015])
N_COIL = 5


def column(values):
    return np.asarray(values, float)[:, None, None, None]


def axes_mm(grid=GRID):
    return np.meshgrid(
        *((np.arange(n) - (n - 1) / 2) * h for n, h in zip(grid.shape, grid.voxel_size, strict=1)),
        indexing='ij',
        sparse=True,
    )


def coils(sigma=0.0, seed=0):
    """Coils around the head, each with its own phase; field in Hz, truth and mask."""
    x, y, z = axes_mm()
    mask = ((x / 42) ** 2 + (y / 42) ** 2 + (z / 40) ** 2) < 1
    field = 0.8 * x + 40 * np.exp(-(x**2 + (y - 50) ** 2 + (z + 20) ** 2) / 30**2) - 8
    clean = 100 * np.exp(-25 * column(TIMES)) * np.exp(2j * np.pi * column(TIMES) * field)
    images = []
    rng = np.random.default_rng(seed)
    for coil in range(N_COIL):
        angle = 2 * np.pi * coil / N_COIL
        away = (x - 70 * np.cos(angle)) ** 2 + (y - 70 * np.sin(angle)) ** 2 + z**2
        sensitivity = np.exp(-away / 90**2 + 1j * (1.1 * coil + 0.02 * coil * x - 0.015 * y))
        noise = rng.normal(0, sigma, (2, *clean.shape)) if sigma else np.zeros((2, 1, 1, 1, 1))
        images.append(clean * mask * sensitivity + noise[0] + 1j * noise[1])
    return np.array(images), field, mask


def combine(images, mask, **parameters):
    return combine_coils(
        np.angle(images),
        np.abs(images),
        TIMES,
        mask,
        GRID,
        parameters=CoilParameters(**parameters),
    )


@pytest.mark.parametrize('sigma', [0.0, 3.0], ids=['noiseless', 'noisy'])
def test_field_is_all_that_is_left_in_the_phase(sigma):
    images, field, mask = coils(sigma)
    phase, strength = combine(images, mask)
    assert phase.dtype == strength.dtype == np.float32
    assert phase.shape == strength.shape == images.shape[1:]
    error = wrap(phase - 2 * np.pi * column(TIMES) * field)[:, mask]
    assert np.sqrt((error**2).mean()) < 0.04 + sigma / 40
    assert abs(error.mean()) < 0.02
    for out in (phase, strength):
        assert not out[:, ~mask].any()


def test_magnitude_is_the_root_sum_of_squares():
    images, _, mask = coils()
    _, strength = combine(images, mask)
    expected = np.sqrt((np.abs(images) ** 2).sum(axis=0))
    np.testing.assert_allclose(strength[:, mask], expected[:, mask], rtol=0.01)


def test_better_than_adding_the_coils_as_they_are():
    """The plain sum cancels where coils disagree; no voxel does here."""
    images, _, mask = coils()
    _, strength = combine(images, mask)
    plain = np.abs(images.sum(axis=0))
    full = np.abs(images).sum(axis=0)
    assert (plain / np.maximum(full, 1e-9))[0, mask].min() < 0.1
    expected = np.sqrt((np.abs(images) ** 2).sum(axis=0))
    assert (strength[0, mask] / expected[0, mask]).min() > 0.95


def test_noise_is_that_of_the_matched_filter():
    images, field, mask = coils(2.0, seed=1)
    phase, strength = combine(images, mask)
    error = wrap(phase - 2 * np.pi * column(TIMES) * field)[0]
    inner = mask & np.roll(mask, 1, axis=2)
    fine = (error - np.roll(error, 1, axis=2))[inner]  # what smooth errors do not reach
    expected = 2.0 * np.sqrt(2 * np.mean(1 / strength[0, inner] ** 2))
    assert fine.std() == pytest.approx(expected, rel=0.1)


def test_one_coil_is_offset_removal():
    images, _, mask = coils()
    phase, strength = combine(images[:1], mask)
    expected, _ = remove_phase_offset(np.angle(images[0]), np.abs(images[0]), TIMES, mask, GRID)
    np.testing.assert_allclose(wrap(phase - expected)[:, mask], 0, atol=2e-3)
    np.testing.assert_allclose(strength[:, mask], np.abs(images[0])[:, mask], rtol=1e-4)


def test_order_and_unit_of_the_coils_do_not_matter_and_dead_ones_are_left_out():
    images, _, mask = coils()
    expected = combine(images, mask)
    shuffled = np.concatenate([images[::-1], np.zeros_like(images[:1])]) * 1e6
    found = combine(shuffled, mask)
    np.testing.assert_allclose(wrap(found[0] - expected[0]), 0, atol=1e-3)
    np.testing.assert_allclose(found[1], 1e6 * expected[1], rtol=1e-4)


def test_outside_the_mask_has_no_influence():
    images, _, mask = coils()
    expected = combine(images, mask)
    images[..., ~mask] = 30j
    images[:, :, 0] = np.nan
    found = combine(images, mask)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_mirrored_coils_give_the_mirrored_image():
    images, _, mask = coils()
    phase, strength = combine(images, mask)
    flipped_phase, flipped_strength = combine(images[:, :, ::-1], mask[::-1])
    np.testing.assert_allclose(wrap(flipped_phase[:, ::-1] - phase), 0, atol=2e-3)
    np.testing.assert_allclose(flipped_strength[:, ::-1], strength, rtol=1e-3)


def test_unusable_input_is_refused():
    images, _, mask = coils()
    phase, strength = np.angle(images), np.abs(images)
    with pytest.raises(ValueError, match='single echo'):
        combine_coils(phase[:, :1], strength[:, :1], TIMES[:1], mask, GRID)
    with pytest.raises(ValueError, match='uncombined coils'):
        combine_coils(phase[0], strength[0], TIMES, mask, GRID)
    with pytest.raises(ValueError, match='finite data'):
        combine_coils(phase, strength, TIMES, mask & False, GRID)
    with pytest.raises(ValueError, match='sigma_mm'):
        CoilParameters(sigma_mm=-1.0)
