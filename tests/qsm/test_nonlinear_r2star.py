import numpy as np
import pytest

from qsmbids.phantom import PhantomParameters, simulate_head
from qsmbids.qsm.loglinear import fit_r2star_loglinear
from qsmbids.qsm.nonlinear_r2star import NonlinearR2starParameters, fit_r2star_nonlinear
from qsmbids.qsm.relaxometry import fit_r2star

UNEVEN = np.array([0.004, 0.007, 0.015, 0.019, 0.030])
MASK = np.ones((5, 4, 3), bool)
RATES = np.linspace(5, 100, MASK.size).reshape(MASK.shape)


def decay(times, rate=RATES, s0=800.0):
    return s0 * np.exp(-np.asarray(times)[:, None, None, None] * rate)


def noisy(clean, seed=0, n_coil=1):
    """Root sum of squares of coils that see the same signal; sigma is 1."""
    rng = np.random.default_rng(seed)
    parts = rng.normal(size=(2, n_coil, *clean.shape))
    parts[0] += clean / np.sqrt(n_coil)
    return np.sqrt((parts**2).sum(axis=(0, 1)))


@pytest.mark.parametrize('times', [UNEVEN, UNEVEN[:2]], ids=['five', 'two'])
def test_decay_without_noise(times):
    parameters = NonlinearR2starParameters(noise_sd=1e-3)
    r2star, s0 = fit_r2star_nonlinear(decay(times), times, MASK, parameters=parameters)
    assert r2star.dtype == s0.dtype == np.float32
    np.testing.assert_allclose(r2star, RATES, rtol=1e-3)
    np.testing.assert_allclose(s0, 800, rtol=1e-3)


@pytest.mark.parametrize('n_coil', [1, 8])
def test_noise_floor_does_not_bias_the_rate(n_coil):
    """Signal of 20 sigma at TE 0 and 120/s: half a sigma is left at the last echo."""
    mask = np.ones((30, 30, 30), bool)
    measured = noisy(decay(UNEVEN, np.full(mask.shape, 120.0), s0=20.0), n_coil=n_coil)
    parameters = NonlinearR2starParameters(noise_sd=1.0, n_coil=n_coil)
    r2star, s0 = fit_r2star_nonlinear(measured, UNEVEN, mask, parameters=parameters)
    straight, _ = fit_r2star_loglinear(measured, UNEVEN, mask)
    assert abs(np.median(r2star) / 120 - 1) < 0.02
    assert abs(np.median(s0) / 20 - 1) < 0.02
    assert np.median(straight) < 0.95 * 120


def test_scatter_is_that_of_the_noise():
    mask = np.ones((20, 20, 20), bool)
    clean = decay(UNEVEN, np.full(mask.shape, 25.0), s0=100.0)
    parameters = NonlinearR2starParameters(noise_sd=1.0)
    r2star, _ = fit_r2star_nonlinear(noisy(clean), UNEVEN, mask, parameters=parameters)
    weight = clean[:, 0, 0, 0] ** 2
    mean = (weight * UNEVEN).sum() / weight.sum()
    best = 1 / np.sqrt((weight * (UNEVEN - mean) ** 2).sum())
    assert r2star.std() == pytest.approx(best, rel=0.05)


def test_noise_is_estimated_where_it_is_not_given():
    mask = np.ones((24, 24, 24), bool)
    measured = noisy(decay(UNEVEN, np.full(mask.shape, 60.0), s0=40.0))
    found, _ = fit_r2star_nonlinear(measured, UNEVEN, mask)
    given, _ = fit_r2star_nonlinear(
        measured, UNEVEN, mask, parameters=NonlinearR2starParameters(noise_sd=1.0)
    )
    assert np.abs(found - given).mean() < 0.3
    assert abs(found.mean() / 60 - 1) < 0.01


def test_stationary_point_of_the_likelihood_equations():
    """The weighted residuals of the squares vanish against both derivatives."""
    measured = noisy(decay(UNEVEN, s0=60.0), seed=4)
    parameters = NonlinearR2starParameters(noise_sd=1.0, tolerance=1e-7)
    r2star, s0 = (
        x.astype(float)
        for x in fit_r2star_nonlinear(measured, UNEVEN, MASK, parameters=parameters)
    )
    square = decay(UNEVEN, r2star, s0) ** 2
    weighted = (measured**2 - square - 2) / (4 * (square + 1)) * square
    inside = (r2star > 0) & (r2star < 500)
    for factor in (1, UNEVEN[:, None, None, None]):
        terms = weighted * factor
        assert (np.abs(terms.sum(0)) < 1e-2 * np.abs(terms).sum(0) + 1e-2)[inside].all()
    assert inside.all()


@pytest.mark.parametrize('scale', [1e-6, 1e7])
def test_unit_of_the_magnitude_does_not_matter(scale):
    measured = noisy(decay(UNEVEN, s0=80.0))
    expected, expected_s0 = fit_r2star_nonlinear(measured, UNEVEN, MASK)
    r2star, s0 = fit_r2star_nonlinear(scale * measured, UNEVEN, MASK)
    np.testing.assert_allclose(r2star, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(s0, scale * expected_s0, rtol=1e-3)


def test_odd_signals_and_the_outside_are_safe():
    signal = decay(UNEVEN)
    signal[:, 0, 0, 0] = 0
    signal[:, 1, 0, 0] = np.nan
    signal[1:, 2, 0, 0] = 0  # gone after the first echo
    signal[:, 3, 0, 0] = signal[::-1, 3, 0, 0]  # rises
    signal[:, 4, 0, 0] = 1e-3  # flat, at the noise
    mask = MASK.copy()
    mask[:, 3] = False
    signal[:, :, 3] = np.inf
    parameters = NonlinearR2starParameters(noise_sd=0.01)
    r2star, s0 = fit_r2star_nonlinear(signal, UNEVEN, mask, parameters=parameters)
    for found in (r2star, s0):
        assert np.isfinite(found).all()
        assert found.min() >= 0
        assert not found[~mask].any()
    assert r2star.max() <= 500
    np.testing.assert_array_equal(r2star[[0, 1, 3], 0, 0], 0)
    np.testing.assert_allclose(r2star[:, 1:3], RATES[:, 1:3], rtol=1e-3)


def test_tiny_and_empty_masks():
    mask = np.zeros_like(MASK)
    assert not fit_r2star_nonlinear(decay(UNEVEN), UNEVEN, mask)[0].any()
    mask[2, 2, 1] = True
    r2star, _ = fit_r2star_nonlinear(decay(UNEVEN), UNEVEN, mask)
    assert r2star[2, 2, 1] == pytest.approx(RATES[2, 2, 1], rel=1e-3)


def test_three_methods_find_the_rates_of_the_phantom():
    """Medians over the labels of a head at 5 mm."""
    scan = PhantomParameters(
        voxel_size_mm=5.0, echo_times_s=(0.003, 0.008, 0.013, 0.018), snr=100.0
    )
    head = simulate_head(35, parameters=scan)
    labels = [n for n in np.unique(head.labels) if n > 0 and (head.labels == n).sum() >= 20]
    assert len(labels) >= 5

    def medians(rate):
        return np.array([np.median(rate[head.labels == n]) for n in labels])

    truth = medians(head.r2star)
    for fit in (fit_r2star, fit_r2star_loglinear, fit_r2star_nonlinear):
        r2star, _ = fit(head.magnitude, head.echo_times_s, head.brain_mask)
        error = medians(r2star) - truth
        assert np.abs(error).max() < 0.15 * truth.max()
        assert np.median(np.abs(error)) < 2
        assert np.corrcoef(truth, medians(r2star))[0, 1] > 0.95


@pytest.mark.parametrize(
    'wrong',
    [
        {'noise_sd': 0.0},
        {'noise_sd': -1.0},
        {'n_coil': 0},
        {'tolerance': 0.0},
        {'max_iterations': 0},
        {'largest_r2star': -1.0},
    ],
)
def test_unusable_parameters_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        NonlinearR2starParameters(**wrong)


def test_unusable_input_is_refused():
    with pytest.raises(ValueError, match='single echo'):
        fit_r2star_nonlinear(decay(UNEVEN[:1]), UNEVEN[:1], MASK)
    with pytest.raises(ValueError, match='do not fit together'):
        fit_r2star_nonlinear(decay(UNEVEN), UNEVEN, MASK[1:])
