import numpy as np
import pytest

from qsmbids.qsm import fft


def only_small_factors(n):
    for p in (2, 3, 5, 7):
        while n % p == 0:
            n //= p
    return n == 1


def test_good_size_is_the_next_size_with_small_factors():
    for n in range(1, 400):
        m = fft.good_size(n)
        assert m >= n
        assert only_small_factors(m)
        assert not any(only_small_factors(i) for i in range(n, m))


@pytest.mark.parametrize('shape', [(8, 9, 10), (7, 11, 13), (1, 5, 4)])
def test_padded_round_trip_in_single_precision(shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    padded = fft.PaddedFFT(shape, (1.0, 2.0, 0.5), padding_mm=5.0)
    k = padded.forward(x)
    assert k.dtype == np.complex64
    assert k.shape == (*padded.padded_shape[:2], padded.padded_shape[2] // 2 + 1)
    back = padded.inverse(k)
    assert back.dtype == np.float32
    assert np.allclose(back, x, atol=1e-5)
    whole = padded.inverse_full(k)
    assert whole.shape == padded.padded_shape
    assert abs(np.delete(whole, np.s_[: shape[0]], axis=0)).max() < 1e-5


def test_padding_is_at_least_as_wide_as_asked_along_each_axis():
    shape, voxel = (101, 61, 37), (0.7, 1.0, 3.0)
    padded = fft.PaddedFFT(shape, voxel, padding_mm=40.0).padded_shape
    for n, m, h in zip(shape, padded, voxel, strict=True):
        assert (m - n) * h >= 40.0
        assert only_small_factors(m)


@pytest.mark.parametrize('shape', [(6, 5, 8), (6, 5, 7), (4, 3, 1)])
def test_inner_product_of_half_spectra_is_that_of_the_arrays(shape):
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, *shape)).astype(np.float32)
    product = fft.spectral_inner(fft.rfftn(a), fft.rfftn(b), shape[2])
    assert product / a.size == pytest.approx(float((a * b).sum()), rel=1e-4, abs=1e-4)


def test_number_of_workers_is_kept_and_at_least_one():
    before = fft.get_workers()
    try:
        fft.set_workers(2)
        assert fft.get_workers() == 2
        fft.set_workers(0)
        assert fft.get_workers() == 1
    finally:
        fft.set_workers(before)
