import numpy as np
import pytest

from qsmbids.qsm.combine import WeightedFieldParameters, combine_echoes
from qsmbids.qsm.nonlinear_field import NonlinearFieldParameters, fit_field_nonlinear

TIMES = np.array([0.004, 0.010, 0.017, 0.022])
SHAPE = (14, 12, 10)
MASK = np.ones(SHAPE, bool)
FIELD = np.linspace(-60, 80, MASK.size).reshape(SHAPE)
NO_OFFSET = NonlinearFieldParameters(fit_offset=False)
BOTH = pytest.mark.parametrize('parameters', [NonlinearFieldParameters(), NO_OFFSET], ids=repr)


def column(values):
    return np.asarray(values, float)[:, None, None, None]


def magnitude(times=TIMES, s0=100.0, r2star=40.0, shape=SHAPE):
    return s0 * np.exp(-column(times) * r2star) * np.ones((len(times), *shape))


def phase_of(field, times=TIMES):
    return 2 * np.pi * column(times) * field


def measure(field, strength, times, rng, sigma=1.0):
    """Phase unwrapped around the truth, and magnitude, of the signal with noise."""
    truth = phase_of(field, times)
    noise = rng.normal(0, sigma, (2, *strength.shape))
    signal = strength + noise[0] + 1j * noise[1]
    return truth + np.angle(signal), np.abs(signal)


@BOTH
@pytest.mark.parametrize('times', [TIMES, TIMES[:2], TIMES[[0, 1, 3]]], ids=len)
def test_noiseless_field_is_exact(times, parameters):
    field, noise, reliability = fit_field_nonlinear(
        phase_of(FIELD, times), magnitude(times), times, MASK, parameters=parameters
    )
    np.testing.assert_allclose(field, FIELD, atol=1e-3)
    np.testing.assert_allclose(reliability, 1, atol=1e-5)
    assert (noise > 0).all()
    assert field.dtype == noise.dtype == reliability.dtype == np.float32


def test_offset_does_not_enter_the_field():
    """Up to half a turn, constant or not; the weighted mean takes it for field."""
    offset = np.linspace(-2.5, 2.5, MASK.size).reshape(SHAPE)
    field, _, _ = fit_field_nonlinear(phase_of(FIELD) + offset, magnitude(), TIMES, MASK)
    np.testing.assert_allclose(field, FIELD, atol=2e-3)
    weighted, _, _ = combine_echoes(phase_of(FIELD) + offset, magnitude(), TIMES, MASK)
    assert np.abs(weighted - FIELD).max() > 10


def test_an_echo_a_whole_turn_off_does_not_matter():
    phase = phase_of(FIELD)
    phase[3, :4] += 2 * np.pi
    field, _, reliability = fit_field_nonlinear(
        phase, magnitude(), TIMES, MASK, parameters=NO_OFFSET
    )
    np.testing.assert_allclose(field, FIELD, atol=1e-3)
    assert reliability.min() > 0.999
    weighted, _, _ = combine_echoes(phase, magnitude(), TIMES, MASK)
    assert np.abs(weighted - FIELD)[:4].min() > 3


@BOTH
@pytest.mark.parametrize('n_echo', [2, 4])
def test_noise_map_is_the_standard_deviation(n_echo, parameters):
    """Against the scatter over repeats, for strong and weak signal."""
    times = TIMES[:n_echo]
    rng = np.random.default_rng(3)
    strength = magnitude(times)
    strength[:, :7] *= 0.4
    fields, noises = [], []
    for _ in range(60):
        field, noise, _ = fit_field_nonlinear(
            *measure(FIELD, strength, times, rng), times, MASK, parameters=parameters
        )
        fields.append(field)
        noises.append(noise)
    scatter, stated = np.std(fields, axis=0, ddof=1), np.mean(noises, axis=0)
    for half in (slice(0, 7), slice(7, 14)):
        assert stated[half].mean() == pytest.approx(scatter[half].mean(), rel=0.15)


def test_offset_costs_noise_and_without_it_the_two_methods_agree():
    rng = np.random.default_rng(4)
    data = measure(FIELD, magnitude(), TIMES, rng)
    free, noise_free, _ = fit_field_nonlinear(*data, TIMES, MASK)
    fixed, noise_fixed, _ = fit_field_nonlinear(*data, TIMES, MASK, parameters=NO_OFFSET)
    weighted, noise, _ = combine_echoes(*data, TIMES, MASK, parameters=WeightedFieldParameters())
    assert (noise_free > 1.3 * noise_fixed).all()
    assert (free - FIELD).std() > 1.3 * (fixed - FIELD).std()
    np.testing.assert_allclose(fixed, weighted, atol=0.05)
    np.testing.assert_allclose(noise_fixed, noise, rtol=0.02)


def test_is_the_minimum_of_the_complex_residual():
    rng = np.random.default_rng(5)
    phase, strength = measure(FIELD, magnitude(s0=12.0), TIMES, rng)
    parameters = NonlinearFieldParameters(fit_offset=False, tolerance_rad=1e-6)
    field, _, _ = fit_field_nonlinear(phase, strength, TIMES, MASK, parameters=parameters)
    weight = strength**2

    def residual(f):
        return (weight * (1 - np.cos(phase - phase_of(f)))).sum(axis=0)

    best = residual(field.astype(float))
    for away in (-1.0, -0.1, 0.1, 1.0):
        assert (residual(field + away) > best).mean() > 0.99
    weighted, _, _ = combine_echoes(phase, strength, TIMES, MASK)
    assert (best <= residual(weighted.astype(float)) + 1e-3).all()


@BOTH
def test_noise_alone_is_finite_and_marked(parameters):
    rng = np.random.default_rng(6)
    phase = rng.uniform(-np.pi, np.pi, (4, *SHAPE))
    strength = rng.rayleigh(1.0, phase.shape)
    strength[:, :2] = 0
    field, noise, reliability = fit_field_nonlinear(
        phase, strength, TIMES, MASK, parameters=parameters
    )
    assert np.isfinite(field).all()
    assert (noise > 0).all()
    assert not reliability[:2].any()
    largest = 1 / (2 * np.sqrt(3) * (0.006 if parameters.fit_offset else 0.004))
    np.testing.assert_allclose(noise[:2], largest, rtol=1e-3)
    assert noise.max() <= largest * 1.001


@pytest.mark.parametrize('scale', [1e-6, 1e9])
def test_unit_of_the_magnitude_does_not_matter(scale):
    phase, strength = measure(FIELD, magnitude(), TIMES, np.random.default_rng(7))
    expected = fit_field_nonlinear(phase, strength, TIMES, MASK)
    found = fit_field_nonlinear(phase, scale * strength, TIMES, MASK)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)


def test_outside_the_mask_is_zero_and_has_no_influence():
    rng = np.random.default_rng(9)
    mask = MASK.copy()
    mask[:3] = False
    phase, strength = measure(FIELD, magnitude(), TIMES, rng)
    wild = phase.copy()
    wild[:, :3] = rng.uniform(-50, 50, wild[:, :3].shape)
    wild[:, 0] = np.nan
    expected = fit_field_nonlinear(phase, strength, TIMES, mask)
    found = fit_field_nonlinear(wild, strength, TIMES, mask)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not a[:3].any()


def test_permuted_axes_read_only_and_tiny_masks():
    phase, strength = measure(FIELD, magnitude(), TIMES, np.random.default_rng(10))
    expected, _, _ = fit_field_nonlinear(phase, strength, TIMES, MASK)
    turned = [x.astype(np.float32).transpose(0, 3, 1, 2)[:, ::-1] for x in (phase, strength)]
    for x in turned:
        x.flags.writeable = False
    found, _, _ = fit_field_nonlinear(*turned, TIMES, MASK.transpose(2, 0, 1))
    np.testing.assert_allclose(found[::-1].transpose(1, 2, 0), expected, atol=1e-4)
    one = np.zeros_like(MASK)
    one[3, 3, 3] = True
    found, noise, _ = fit_field_nonlinear(phase, strength, TIMES, one)
    assert found[3, 3, 3] == pytest.approx(expected[3, 3, 3], abs=1e-3)
    assert noise[3, 3, 3] > 0


def test_unusable_input_is_refused():
    with pytest.raises(ValueError, match='single echo'):
        fit_field_nonlinear(phase_of(FIELD)[:1], magnitude()[:1], TIMES[:1], MASK)
    with pytest.raises(ValueError, match='do not fit'):
        fit_field_nonlinear(phase_of(FIELD), magnitude()[:3], TIMES, MASK)
    with pytest.raises(ValueError, match='finite data'):
        fit_field_nonlinear(phase_of(FIELD), magnitude(), TIMES, ~MASK)
    with pytest.raises(ValueError, match='tolerance_rad'):
        NonlinearFieldParameters(tolerance_rad=0.0)
    with pytest.raises(ValueError, match='max_iterations'):
        NonlinearFieldParameters(max_iterations=0)
