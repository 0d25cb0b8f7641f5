import numpy as np
import pytest

from qsmbids.qsm.fft import PaddedFFT, set_workers
from qsmbids.qsm.grid import Grid
from qsmbids.qsm.kernels import dipole_kernel
from qsmbids.qsm.misfit import misfit_level
from qsmbids.qsm.quality import nrmse
from qsmbids.qsm.rts import RtsParameters, invert_rts
from qsmbids.qsm.rts_kernels import add_gradient, gradient_adjoint_of_split, relative_change

GRID = Grid((36, 37, 35), (1.0, 1.0, 1.2), (0.0, 0.6, 0.8))


def nuclei(noise):
    """Three balls in a ball: chi, its field with noise, and the mask."""
    axes = np.meshgrid(*((np.arange(n) - n // 2) / 18 for n in GRID.shape), indexing='ij')

    def ball(centre, radius):
        return sum((a - c) ** 2 for a, c in zip(axes, centre, strict=True)) < radius**2

    chi = np.zeros(GRID.shape, np.float32)
    chi[ball((0.3, 0.1, 0.0), 0.22)] = 0.10
    chi[ball((-0.35, 0.1, 0.1), 0.2)] = 0.05
    chi[ball((0.0, -0.4, -0.2), 0.18)] = -0.08
    fft = PaddedFFT(GRID.shape, GRID.voxel_size, 80.0)
    kernel = dipole_kernel(fft.padded_shape, GRID.voxel_size, GRID.b0_direction)
    field = fft.inverse(fft.forward(chi) * kernel)
    field += noise * np.random.default_rng(2).standard_normal(GRID.shape).astype(np.float32)
    return chi, field, ball((0, 0, 0), 0.85)


def test_the_map_grows_with_the_field():
    _, field, mask = nuclei(0.003)
    chi = invert_rts(field, mask, GRID)
    assert np.allclose(invert_rts(8 * field, mask, GRID), 8 * chi, atol=1e-4)


@pytest.mark.parametrize('noise', [0.0005, 0.004])
def test_one_default_suits_noise_of_different_size(noise):
    truth, field, mask = nuclei(noise)
    light, default, heavy = (
        nrmse(invert_rts(field, mask, GRID, parameters=RtsParameters(fidelity=f)), truth, mask)
        for f in (60.0, RtsParameters.fidelity, 0.2)
    )
    assert default < light
    assert default < heavy


def test_threads_do_not_change_the_map():
    _, field, mask = nuclei(0.003)
    one = invert_rts(field, mask, GRID)
    set_workers(3)
    try:
        three = invert_rts(field, mask, GRID)
    finally:
        set_workers(1)
    assert np.allclose(one, three, atol=1e-5)


def test_misfit_is_the_noise_in_spite_of_outliers():
    rng = np.random.default_rng(0)
    residual = rng.normal(0, 0.01, (30, 30, 30))
    residual[:6] = 100.0  # a fifth of all
    weight = np.ones(residual.shape)
    assert misfit_level(residual, weight) == pytest.approx(0.01, rel=0.35)
    weight[:6] = 0
    assert misfit_level(residual, weight) == pytest.approx(0.01, rel=0.03)
    assert misfit_level(residual, 4 * weight) == pytest.approx(0.02, rel=0.03)
    assert misfit_level(0 * residual, weight) > 0


def test_loops_on_threads_equal_one_thread():
    rng = np.random.default_rng(1)
    chi, last = rng.standard_normal((2, 7, 6, 5)).astype(np.float32)
    start = rng.standard_normal((3, 7, 6, 5)).astype(np.float32)
    results = []
    for workers in (1, 3):
        set_workers(workers)
        try:
            v, out = start.copy(), np.empty_like(chi)
            add_gradient(chi, v, np.ones(3, np.float32), 0.3)
            gradient_adjoint_of_split(out, v, np.ones(3, np.float32), 0.3)
            results.append((v, out, relative_change(chi, last)))
        finally:
            set_workers(1)
    assert np.array_equal(results[0][0], results[1][0])
    assert np.array_equal(results[0][1], results[1][1])
    expected = np.linalg.norm(chi - last) / np.linalg.norm(chi)
    assert results[1][2] == pytest.approx(expected, rel=1e-5)
    assert relative_change(0 * chi, 0 * chi) == 0
