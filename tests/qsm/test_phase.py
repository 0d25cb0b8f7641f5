import numpy as np
import pytest

from qsmbids.qsm.phase import (
    GAMMA_MHZ_PER_T,
    complex_to_polar,
    hz_to_ppm,
    ppm_to_hz,
    scale_phase,
    wrap,
)

SIEMENS = (2 * np.pi / 4096, -np.pi)  # stored 0...4095


def test_wrap_moves_by_whole_turns_only():
    phase = np.linspace(-40, 40, 2001)
    wrapped = wrap(phase)
    assert wrapped.dtype == np.float32
    assert np.abs(wrapped).max() <= np.float32(np.pi) + 1e-5
    turns = (phase - wrapped) / (2 * np.pi)
    np.testing.assert_allclose(turns, np.rint(turns), atol=1e-5)


def test_wrap_leaves_what_is_in_range_to_the_last_bit():
    phase = np.linspace(-3.14159, 3.14159, 999, dtype=np.float32)
    np.testing.assert_array_equal(wrap(phase), phase)


def test_all_echoes_get_the_same_map():
    """Echoes that do not fill the range of values must not be stretched to fill it."""
    truth = np.array([0.05, 0.4, 1.0])[:, None] * np.linspace(-3, 3, 50)
    stored = np.rint((truth + np.pi) * 4096 / (2 * np.pi))
    np.testing.assert_allclose(scale_phase(stored, *SIEMENS), truth, atol=1e-3)
    for echo in range(3):  # nor does an echo depend on the others
        alone = scale_phase(stored[echo], *SIEMENS)
        np.testing.assert_array_equal(alone, scale_phase(stored, *SIEMENS)[echo])


def test_stored_range_is_one_turn():
    """4096 stored units are a turn, so 0 and 4095 are neighbours."""
    first, last = scale_phase(np.array([0, 4095]), *SIEMENS)
    assert abs(wrap(first - last)) == pytest.approx(2 * np.pi / 4096, rel=1e-2)


def test_sign_turns_the_phase_around():
    stored = np.arange(1, 4095, 7)
    np.testing.assert_array_equal(
        scale_phase(stored, *SIEMENS, sign=-1), -scale_phase(stored, *SIEMENS)
    )


@pytest.mark.parametrize('value', [0.0, np.pi, -np.pi, 1.0])
def test_constant_region_stays_constant(value):
    """Regions at exactly 0 or +-pi are not filled with noise."""
    phase = np.full((6, 6, 6), value, np.float32)
    scaled = scale_phase(phase, 1.0, 0.0)
    assert np.ptp(scaled) == 0
    assert np.cos(scaled[0, 0, 0] - value) == pytest.approx(1)


def test_phase_of_zero_to_two_pi_is_wrapped():
    truth = np.linspace(-3, 3, 60)
    np.testing.assert_allclose(scale_phase(truth % (2 * np.pi), 1.0, 0.0), truth, atol=1e-6)


def test_not_finite_becomes_zero_and_spoils_nothing():
    stored = np.array([1000.0, np.nan, np.inf, 3000.0])
    scaled = scale_phase(stored, *SIEMENS)
    assert scaled[1] == scaled[2] == 0
    np.testing.assert_array_equal(scaled[[0, 3]], scale_phase(stored[[0, 3]], *SIEMENS))


@pytest.mark.parametrize(
    ('slope', 'intercept', 'sign', 'text'),
    [
        (0.0, 0.0, 1, 'linear map'),
        (np.nan, 0.0, 1, 'linear map'),
        (1.0, np.inf, 1, 'linear map'),
        (1.0, 0.0, 0, 'sign'),
    ],
)
def test_unusable_scaling_is_refused(slope, intercept, sign, text):
    with pytest.raises(ValueError, match=text):
        scale_phase(np.zeros(3), slope, intercept, sign)


def test_complex_input():
    magnitude = np.array([1.0, 250.0, 3e4])
    phase = np.array([-3.0, 0.1, 2.0])
    found_magnitude, found_phase = complex_to_polar(
        magnitude * np.cos(phase), magnitude * np.sin(phase)
    )
    assert found_magnitude.dtype == found_phase.dtype == np.float32
    np.testing.assert_allclose(found_magnitude, magnitude, rtol=1e-6)
    np.testing.assert_allclose(found_phase, phase, atol=1e-6)


def test_complex_input_with_holes_or_of_two_shapes():
    magnitude, phase = complex_to_polar([np.nan, 3.0, 1.0], [1.0, 4.0, np.inf])
    assert magnitude.tolist() == [0, 5, 0]
    assert phase[0] == phase[2] == 0
    with pytest.raises(ValueError, match='differ in shape'):
        complex_to_polar(np.zeros(3), np.zeros(4))


def test_hz_and_ppm():
    frequency = GAMMA_MHZ_PER_T * 3
    assert frequency == pytest.approx(127.73, abs=0.01)
    assert ppm_to_hz(1.0, frequency) == pytest.approx(127.73, abs=0.01)
    hz = np.array([-50.0, 0.0, 12.5])
    np.testing.assert_allclose(ppm_to_hz(hz_to_ppm(hz, frequency), frequency), hz, rtol=1e-6)


@pytest.mark.parametrize('frequency', [0, -1, np.nan])
def test_unusable_imaging_frequency_is_refused(frequency):
    with pytest.raises(ValueError, match='imaging frequency'):
        hz_to_ppm(np.zeros(2), frequency)
    with pytest.raises(ValueError, match='imaging frequency'):
        ppm_to_hz(np.zeros(2), frequency)
