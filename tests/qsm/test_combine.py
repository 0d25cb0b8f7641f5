import numpy as np
import pytest

from qsmbids.qsm.combine import combine_echoes, noise_level

TIMES = np.array([0.004, 0.010, 0.017, 0.022])
SHAPE = (14, 12, 10)
MASK = np.ones(SHAPE, bool)
FIELD = np.linspace(-60, 80, MASK.size).reshape(SHAPE)


def column(values):
    return np.asarray(values, float)[:, None, None, None]


def magnitude(times=TIMES, s0=100.0, r2star=40.0, shape=SHAPE):
    return s0 * np.exp(-column(times) * r2star) * np.ones((len(times), *shape))


def phase_of(field, times=TIMES):
    return 2 * np.pi * column(times) * field


def noisy_phase(field, strength, times, rng, sigma=1.0):
    """Phase of the complex signal with noise, unwrapped around the truth."""
    truth = phase_of(field, times)
    noise = rng.normal(0, sigma, (2, *strength.shape))
    return truth + np.angle(strength + noise[0] + 1j * noise[1])


def test_noiseless_field_is_exact():
    field, noise, reliability = combine_echoes(phase_of(FIELD), magnitude(), TIMES, MASK)
    np.testing.assert_allclose(field, FIELD, atol=1e-4)
    np.testing.assert_allclose(reliability, 1, atol=1e-5)
    assert (noise > 0).all()
    assert noise.max() < 1e-3
    assert field.dtype == noise.dtype == reliability.dtype == np.float32


def test_one_echo():
    field, noise, reliability = combine_echoes(
        phase_of(FIELD, [0.02]), magnitude([0.02]), [0.02], MASK
    )
    np.testing.assert_allclose(field, FIELD, atol=1e-4)
    np.testing.assert_allclose(reliability, 1, atol=1e-5)
    assert (noise > 0).all()


@pytest.mark.parametrize('n_echo', [1, 2, 4])
def test_noise_map_is_the_standard_deviation(n_echo):
    """Against the scatter over repeats, for strong and weak signal."""
    times = TIMES[-n_echo:]
    rng = np.random.default_rng(3)
    strength = magnitude(times)
    strength[:, :7] *= 0.4
    fields, noises = [], []
    for _ in range(60):
        phase = noisy_phase(FIELD, strength, times, rng)
        measured = strength + rng.normal(size=strength.shape)
        field, noise, _ = combine_echoes(phase, measured, times, MASK)
        fields.append(field)
        noises.append(noise)
    scatter = np.std(fields, axis=0, ddof=1)
    stated = np.mean(noises, axis=0)
    for half in (slice(0, 7), slice(7, 14)):
        assert stated[half].mean() == pytest.approx(scatter[half].mean(), rel=0.15)


def test_weights_beat_magnitude_times_echo_time():
    """m^2 TE^2 is the weight with the least noise; m TE is what others use."""
    rng = np.random.default_rng(4)
    strength = magnitude(r2star=20.0)
    phase = noisy_phase(FIELD, strength, TIMES, rng)
    field, _, _ = combine_echoes(phase, strength, TIMES, MASK)
    weight = strength * column(TIMES)
    other = (weight * phase / (2 * np.pi * column(TIMES))).sum(0) / weight.sum(0)
    best_sd = 1 / (2 * np.pi * np.sqrt((weight**2).sum(0).mean()))
    assert (field - FIELD).std() == pytest.approx(best_sd, rel=0.06)
    assert (other - FIELD).var() > 1.1 * (field - FIELD).var()


def test_reliability_falls_where_echoes_disagree():
    phase = phase_of(FIELD)
    phase[2, :4] += np.pi  # as after a wrong wrap or in flow
    _, _, reliability = combine_echoes(phase, magnitude(), TIMES, MASK)
    assert reliability[:4].max() < 0.75
    assert reliability[4:].min() > 0.999


def test_reliability_of_noise_is_low():
    rng = np.random.default_rng(5)
    phase = rng.uniform(-np.pi, np.pi, (4, *SHAPE))
    _, _, reliability = combine_echoes(phase, magnitude(), TIMES, MASK)
    assert reliability.min() >= 0
    assert np.median(reliability) < 0.75


def test_reliability_is_that_of_the_complex_fit():
    """Its residual sum|S - S_fit|^2 / sum|S|^2 is 2 (1 - reliability)."""
    rng = np.random.default_rng(6)
    strength = magnitude()
    phase = phase_of(FIELD) + rng.normal(0, 0.4, strength.shape)
    field, _, reliability = combine_echoes(phase, strength, TIMES, MASK)
    signal, fit = strength * np.exp(1j * phase), strength * np.exp(1j * phase_of(field))
    residual = (np.abs(signal - fit) ** 2).sum(0) / (strength**2).sum(0)
    np.testing.assert_allclose(2 * (1 - reliability), residual, atol=1e-4)


@pytest.mark.parametrize('scale', [1e-6, 1e9])
def test_unit_of_the_magnitude_does_not_matter(scale):
    rng = np.random.default_rng(7)
    phase = noisy_phase(FIELD, magnitude(), TIMES, rng)
    expected = combine_echoes(phase, magnitude(), TIMES, MASK)
    found = combine_echoes(phase, scale * magnitude(), TIMES, MASK)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_no_signal_is_safe_and_marked_as_noise():
    rng = np.random.default_rng(8)
    strength = magnitude()
    phase = noisy_phase(FIELD, strength, TIMES, rng)
    strength[:, :2] = 0
    field, noise, reliability = combine_echoes(phase, strength, TIMES, MASK)
    assert np.isfinite(field).all()
    assert (reliability[:2] == 0).all()
    np.testing.assert_allclose(noise[:2], 1 / (2 * np.sqrt(3) * TIMES[0]), rtol=1e-3)
    assert noise[2:].max() < 1


def test_outside_the_mask_is_zero_and_has_no_influence():
    rng = np.random.default_rng(9)
    mask = MASK.copy()
    mask[:3] = False
    phase = noisy_phase(FIELD, magnitude(), TIMES, rng)
    wild = phase.copy()
    wild[:, :3] = rng.uniform(-50, 50, wild[:, :3].shape)
    wild[:, 0] = np.nan
    expected = combine_echoes(phase, magnitude(), TIMES, mask)
    found = combine_echoes(wild, magnitude(), TIMES, mask)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not a[:3].any()


def test_noise_level_is_that_of_the_complex_signal():
    rng = np.random.default_rng(10)
    strength = magnitude(s0=300.0)
    phase = noisy_phase(FIELD, strength, TIMES, rng, sigma=2.5)
    field, _, _ = combine_echoes(phase, strength, TIMES, MASK)
    phase[:, :2] += rng.uniform(-3, 3, phase[:, :2].shape)  # outliers do not matter much
    assert noise_level(phase, strength, TIMES, MASK, field) == pytest.approx(2.5, rel=0.25)
    one = strength[:1] + rng.normal(0, 2.5, SHAPE)
    found = noise_level(phase[:1], one, TIMES[:1], MASK, field)
    assert found == pytest.approx(2.5, rel=0.15)


def test_unusable_input_is_refused():
    with pytest.raises(ValueError, match='do not fit'):
        combine_echoes(phase_of(FIELD), magnitude()[:3], TIMES, MASK)
    with pytest.raises(ValueError, match='finite data'):
        combine_echoes(phase_of(FIELD), magnitude(), TIMES, ~MASK)
