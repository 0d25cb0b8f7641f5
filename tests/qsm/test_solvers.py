import numpy as np
import pytest

from qsmbids.qsm import fft, kernels, solvers


def test_convolution_is_its_own_adjoint():
    """<E x, y> = <x, E^T y> with E: pad, convolve, crop. D is even, so E^T is E."""
    transform = fft.PaddedFFT((5, 4, 3), (1.0, 1.0, 2.0), padding_mm=2.0)
    kernel = kernels.dipole_kernel(transform.padded_shape, (1.0, 1.0, 2.0), (0.6, 0, 0.8))
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((2, *transform.shape)).astype(np.float32)
    forward_x = transform.inverse(transform.forward(x) * kernel)
    forward_y = transform.inverse(transform.forward(y) * kernel)
    assert float((forward_x * y).sum()) == pytest.approx(float((x * forward_y).sum()), rel=1e-4)


def test_conjugate_gradient_reports_its_stop():
    rng = np.random.default_rng(6)
    q, _ = np.linalg.qr(rng.standard_normal((8, 8)))
    matrix, b = (q * np.arange(1, 9)) @ q.T, rng.standard_normal(8)
    seen = []
    x, n, residual = solvers.conjugate_gradient(
        lambda v: matrix @ v, b, lambda a, c: float(a @ c),
        tolerance=1e-9, max_iterations=50, progress=lambda i, r: seen.append((i, r)),
    )  # fmt: skip
    assert np.allclose(matrix @ x, b)
    assert n <= 9  # no more than the number of eigenvalues, and one for round-off
    assert residual <= 1e-9
    assert seen[-1] == (n, residual)
    assert [i for i, _ in seen] == list(range(1, n + 1))
    _, n, residual = solvers.conjugate_gradient(
        lambda v: matrix @ v, b, lambda a, c: float(a @ c), tolerance=1e-9, max_iterations=2
    )
    assert n == 2
    assert residual > 1e-9


def test_nothing_to_solve_gives_zero():
    x, n, residual = solvers.conjugate_gradient(
        lambda v: 2 * v, np.zeros(3), lambda a, c: float(a @ c), tolerance=1e-3, max_iterations=5
    )
    assert not x.any()
    assert (n, residual) == (0, 0.0)
