import numpy as np
import pytest

from qsmbids.qsm.decay import t2star
from qsmbids.qsm.loglinear import LoglinearParameters, fit_r2star_loglinear
from qsmbids.qsm.relaxometry import fit_r2star

EVEN = np.array([0.004, 0.009, 0.014, 0.019, 0.024])
UNEVEN = np.array([0.004, 0.007, 0.015, 0.019, 0.030])
MASK = np.ones((5, 4, 3), bool)
RATES = np.linspace(5, 100, MASK.size).reshape(MASK.shape)


def decay(times, rate=RATES, s0=800.0):
    return s0 * np.exp(-np.asarray(times)[:, None, None, None] * rate)


@pytest.mark.parametrize('times', [EVEN, UNEVEN, EVEN[:2]], ids=['even', 'uneven', 'two'])
def test_decay_without_noise_is_exact(times):
    r2star, s0 = fit_r2star_loglinear(decay(times), times, MASK)
    assert r2star.dtype == s0.dtype == np.float32
    np.testing.assert_allclose(r2star, RATES, rtol=1e-4)
    np.testing.assert_allclose(s0, 800, rtol=1e-4)


def test_is_what_arlo_falls_back_to():
    noisy = decay(UNEVEN) * np.random.default_rng(0).normal(1, 0.02, (5, *MASK.shape))
    for a, b in zip(
        fit_r2star_loglinear(noisy, UNEVEN, MASK), fit_r2star(noisy, UNEVEN, MASK), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_weights_are_those_of_least_squares_of_the_logarithm():
    """Against numpy, which takes the square roots of the weights."""
    noisy = decay(UNEVEN) * np.random.default_rng(1).normal(1, 0.05, (5, *MASK.shape))
    r2star, _ = fit_r2star_loglinear(noisy, UNEVEN, MASK)
    for v in np.ndindex(MASK.shape):
        signal = noisy[(slice(None), *v)]
        slope = np.polyfit(UNEVEN, np.log(signal), 1, w=signal)[0]
        assert r2star[v] == pytest.approx(-slope, rel=1e-3, abs=1e-2)


def test_scatter_is_that_of_the_noise():
    """SD(R2*) = sigma / sqrt(sum S^2 (TE - mean)^2), the least that is possible."""
    rng = np.random.default_rng(2)
    mask = np.ones((20, 20, 20), bool)
    clean = decay(UNEVEN, np.full(mask.shape, 25.0), s0=100.0)
    noise = rng.normal(size=(2, *clean.shape))
    r2star, _ = fit_r2star_loglinear(np.hypot(clean + noise[0], noise[1]), UNEVEN, mask)
    weight = clean[:, 0, 0, 0] ** 2
    mean = (weight * UNEVEN).sum() / weight.sum()
    best = 1 / np.sqrt((weight * (UNEVEN - mean) ** 2).sum())
    assert r2star.std() == pytest.approx(best, rel=0.05)
    assert abs(r2star.mean() / 25 - 1) < 0.01


@pytest.mark.parametrize('scale', [1e-6, 1e7])
def test_unit_of_the_magnitude_does_not_matter(scale):
    expected, _ = fit_r2star_loglinear(decay(UNEVEN), UNEVEN, MASK)
    r2star, s0 = fit_r2star_loglinear(scale * decay(UNEVEN), UNEVEN, MASK)
    np.testing.assert_allclose(r2star, expected, rtol=1e-4)
    np.testing.assert_allclose(s0, 800 * scale, rtol=1e-3)


def test_odd_signals_and_the_outside_are_safe():
    signal = decay(UNEVEN)
    signal[:, 0, 0, 0] = 0
    signal[:, 1, 0, 0] = np.nan
    signal[1:, 2, 0, 0] = 0  # gone after the first echo
    signal[:, 3, 0, 0] = signal[::-1, 3, 0, 0]  # rises
    mask = MASK.copy()
    mask[:, 3] = False
    signal[:, :, 3] = np.inf
    r2star, s0 = fit_r2star_loglinear(signal, UNEVEN, mask)
    assert np.isfinite(r2star).all()
    assert np.isfinite(s0).all()
    assert r2star.min() >= 0
    assert r2star.max() <= 500
    assert not r2star[:, 3].any()
    np.testing.assert_array_equal(r2star[[0, 1, 3], 0, 0], 0)
    np.testing.assert_allclose(r2star[:, 1:3], RATES[:, 1:3], rtol=1e-3)


def test_axes_may_be_permuted_and_flipped():
    noisy = decay(UNEVEN) * np.random.default_rng(3).normal(1, 0.05, (5, *MASK.shape))
    expected, _ = fit_r2star_loglinear(noisy, UNEVEN, MASK)
    turned, _ = fit_r2star_loglinear(
        noisy.transpose(0, 3, 1, 2)[:, ::-1], UNEVEN, MASK.transpose(2, 0, 1)
    )
    np.testing.assert_array_equal(turned[::-1].transpose(1, 2, 0), expected)


def test_largest_rate_is_a_parameter_and_checked():
    parameters = LoglinearParameters(largest_r2star=50.0)
    r2star, _ = fit_r2star_loglinear(decay(EVEN), EVEN, MASK, parameters=parameters)
    assert r2star.max() == 50
    with pytest.raises(ValueError, match='largest_r2star'):
        LoglinearParameters(largest_r2star=0.0)


def test_t2star_is_the_inverse_and_zero_without_decay():
    found = t2star(np.array([20.0, 0.0, np.nan, -1.0]))
    np.testing.assert_allclose(found, [0.05, 0, 0, 0])
    assert found.dtype == np.float32


def test_unusable_input_is_refused():
    with pytest.raises(ValueError, match='single echo'):
        fit_r2star_loglinear(decay(EVEN[:1]), EVEN[:1], MASK)
    with pytest.raises(ValueError, match='do not fit together'):
        fit_r2star_loglinear(decay(EVEN), EVEN, MASK[1:])
    with pytest.raises(ValueError, match='ascending'):
        fit_r2star_loglinear(decay(EVEN), EVEN[::-1], MASK)
