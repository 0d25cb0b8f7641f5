import numpy as np
import pytest

from qsmbids.qsm.relaxometry import ArloParameters, fit_r2star

EVEN = np.array([0.004, 0.009, 0.014, 0.019, 0.024])
UNEVEN = np.array([0.004, 0.007, 0.015, 0.019, 0.030])
MASK = np.ones((5, 4, 3), bool)
RATES = np.linspace(5, 100, MASK.size).reshape(MASK.shape)


def decay(times, rate=RATES, s0=800.0):
    return s0 * np.exp(-np.asarray(times)[:, None, None, None] * rate)


def test_even_echoes_within_the_error_of_simpson():
    """ARLO is off by (R2* D)^4 / 180 of R2*: 0.03 % at 100/s and 5 ms."""
    r2star, s0 = fit_r2star(decay(EVEN), EVEN, MASK)
    assert r2star.dtype == s0.dtype == np.float32
    limit = 2 * (RATES * 0.005) ** 4 / 180 + 1e-5
    assert (np.abs(r2star / RATES - 1) < limit).all()
    np.testing.assert_allclose(s0, 800, rtol=1e-3)


@pytest.mark.parametrize('times', [UNEVEN, EVEN[:2], UNEVEN[:3]], ids=['5', '2', '3'])
def test_uneven_or_two_echoes_are_exact(times):
    r2star, s0 = fit_r2star(decay(times), times, MASK)
    np.testing.assert_allclose(r2star, RATES, rtol=1e-4)
    np.testing.assert_allclose(s0, 800, rtol=1e-4)


def test_rounded_echo_times_count_as_even_and_are_hardly_wrong():
    times = EVEN + np.array([0, 2, -2, 3, 0]) * 1e-5
    r2star, _ = fit_r2star(decay(times), times, MASK)
    np.testing.assert_allclose(r2star, RATES, rtol=0.01)


@pytest.mark.parametrize('times', [EVEN, UNEVEN], ids=['even', 'uneven'])
def test_bias_from_noise_is_below_one_percent(times):
    """At an SNR of 50 in S0 and 30/s; Rician magnitudes."""
    rng = np.random.default_rng(2)
    mask = np.ones((20, 20, 20), bool)
    clean = decay(times, np.full(mask.shape, 30.0), s0=50.0)
    noise = rng.normal(size=(2, *clean.shape))
    noisy = np.hypot(clean + noise[0], noise[1])
    r2star, _ = fit_r2star(noisy, times, mask)
    assert abs(r2star.mean() / 30 - 1) < 0.01
    assert r2star.std() < 3.0


def test_weights_of_the_logarithm_beat_none():
    """Late echoes that have decayed into the noise must not count like the first."""
    rng = np.random.default_rng(3)
    mask = np.ones((20, 20, 20), bool)
    clean = decay(UNEVEN, np.full(mask.shape, 80.0), s0=50.0)
    noise = rng.normal(size=(2, *clean.shape))
    noisy = np.hypot(clean + noise[0], noise[1])
    r2star, _ = fit_r2star(noisy, UNEVEN, mask)
    unweighted = -np.polyfit(UNEVEN, np.log(noisy).reshape(5, -1), 1)[0]
    assert abs(r2star.mean() / 80 - 1) < 0.02  # measured weights cost 1.4 % here
    assert r2star.std() < 0.8 * unweighted.std()


@pytest.mark.parametrize('scale', [1e-6, 1e7])
@pytest.mark.parametrize('times', [EVEN, UNEVEN], ids=['even', 'uneven'])
def test_unit_of_the_magnitude_does_not_matter(times, scale):
    expected, _ = fit_r2star(decay(times), times, MASK)
    r2star, s0 = fit_r2star(scale * decay(times), times, MASK)
    np.testing.assert_allclose(r2star, expected, rtol=1e-4)
    np.testing.assert_allclose(s0, 800 * scale, rtol=1e-3)


@pytest.mark.parametrize('times', [EVEN, UNEVEN, EVEN[:2]], ids=['even', 'uneven', 'two'])
def test_odd_signals_are_safe(times):
    signal = decay(times)
    signal[:, 0, 0, 0] = 0
    signal[:, 1, 0, 0] = np.nan
    signal[1:, 2, 0, 0] = 0  # gone after the first echo
    signal[:, 3, 0, 0] = signal[::-1, 3, 0, 0]  # rises
    signal[:, 4, 0, 0] = -5
    r2star, s0 = fit_r2star(signal, times, MASK)
    assert np.isfinite(r2star).all()
    assert np.isfinite(s0).all()
    assert r2star.min() >= 0
    assert r2star.max() <= 500
    assert (s0 >= 0).all()
    np.testing.assert_array_equal(r2star[[0, 1, 3, 4], 0, 0], 0)
    np.testing.assert_array_equal(s0[[0, 1, 4], 0, 0], 0)
    np.testing.assert_allclose(r2star[:, 1:], RATES[:, 1:], rtol=1e-3)


def test_largest_rate_is_a_parameter():
    parameters = ArloParameters(largest_r2star=50.0)
    r2star, _ = fit_r2star(decay(EVEN), EVEN, MASK, parameters=parameters)
    assert r2star.max() == 50


def test_outside_the_mask_is_zero():
    mask = MASK.copy()
    mask[0] = False
    r2star, s0 = fit_r2star(decay(EVEN), EVEN, mask)
    assert not r2star[0].any()
    assert not s0[0].any()
    assert (r2star[1:] > 0).all()


def test_empty_mask_gives_empty_maps():
    r2star, s0 = fit_r2star(decay(EVEN), EVEN, np.zeros_like(MASK))
    assert not r2star.any()
    assert not s0.any()


def test_unusable_input_is_refused():
    with pytest.raises(ValueError, match='single echo'):
        fit_r2star(decay(EVEN[:1]), EVEN[:1], MASK)
    with pytest.raises(ValueError, match='do not fit together'):
        fit_r2star(decay(EVEN), EVEN, MASK[1:])
    with pytest.raises(ValueError, match='echo times'):
        fit_r2star(decay(EVEN), EVEN[:3], MASK)
    with pytest.raises(ValueError, match='ascending'):
        fit_r2star(decay(EVEN), EVEN[::-1], MASK)
    with pytest.raises(ValueError, match='milliseconds'):
        fit_r2star(decay(EVEN), EVEN * 1000, MASK)
