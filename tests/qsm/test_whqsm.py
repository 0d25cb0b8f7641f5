import numpy as np
import pytest

from qsmbids.qsm import whqsm_kernels
from qsmbids.qsm.fansi import invert_fansi
from qsmbids.qsm.fft import rfftn
from qsmbids.qsm.kernels import dipole_kernel, laplacian_spectrum
from qsmbids.qsm.quality import nrmse
from qsmbids.qsm.whqsm import WhqsmParameters, invert_whqsm


def test_flips_permutations_and_the_outside(cases):
    cases.check_invariance(invert_whqsm)


def test_odd_input(cases):
    cases.check_odd_input(invert_whqsm)


def test_progress(cases):
    cases.check_progress(invert_whqsm)


def test_a_harmonic_remnant_is_taken_out(cases):
    grid = cases.SMALL
    truth, mask, field = cases.noisy_head(grid)
    x, y, z = (np.linspace(-1, 1, n) for n in grid.shape)
    x, y, z = x[:, None, None], y[None, :, None], z[None, None, :]
    remnant = 0.02 * (x * y + z + 0.5 * (x**2 - z**2))  # harmonic
    total = field + remnant.astype(np.float32)
    weak, plain = invert_whqsm(total, mask, grid), invert_fansi(total, mask, grid)
    assert nrmse(weak, truth, mask) < 0.7 * nrmse(plain, truth, mask)


def test_without_a_remnant_nuclei_are_recovered(cases):
    truth, mask, field = cases.noisy_head(cases.SMALL)
    assert nrmse(invert_whqsm(field, mask, cases.SMALL), truth, mask) < 45


def test_spectra_solve_the_normal_equations():
    rng = np.random.default_rng(2)
    shape, voxel, p, r = (6, 5, 8), (1.0, 1.5, 2.0), np.float32(0.3), np.float32(2.0)
    kernel = dipole_kernel(shape, voxel, (0.6, 0, 0.8))
    laplacian = laplacian_spectrum(shape, voxel)
    a, g, b = (rfftn(x) for x in rng.standard_normal((3, *shape)).astype(np.float32))
    field, chi, curved = a.copy(), g.copy(), b.copy()
    whqsm_kernels.solve_with_remnant(0, 6, field, chi, curved, kernel, laplacian, p, r)
    h = field - kernel * chi
    first = (kernel**2 - p * laplacian) * chi + kernel * h - kernel * a - p * g
    second = kernel * chi + (1 + r * laplacian**2) * h - a - r * laplacian * b
    first[0, 0, 0] = 0  # the mean of chi is not determined
    assert np.abs(first).max() < 1e-4
    assert np.abs(second).max() < 1e-3
    assert np.allclose(curved, laplacian * h, atol=1e-4)
    assert chi[0, 0, 0] == 0


@pytest.mark.parametrize(
    'name', ['regularisation', 'harmonicity', 'harmonic_penalty', 'tolerance', 'iterations']
)
def test_impossible_parameters_are_refused(name):
    with pytest.raises(ValueError, match='WH-QSM'):
        WhqsmParameters(**{name: 0})
