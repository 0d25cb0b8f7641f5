import numpy as np
import pytest

from qsmbids.qsm import fft, kernels, solvers


def problem(seed=0, shape=(5, 4, 3), voxel=(1.0, 1.0, 2.0)):
    rng = np.random.default_rng(seed)
    transform = fft.PaddedFFT(shape, voxel, padding_mm=2.0)
    kernel = kernels.dipole_kernel(transform.padded_shape, voxel, (0.6, 0, 0.8))
    data = rng.standard_normal(shape).astype(np.float32)
    weight_squared = rng.uniform(0, 2, shape).astype(np.float32)
    weight_squared[0] = 0
    return transform, kernel, data, weight_squared


def dense_convolution(transform, kernel):
    """The convolution with the kernel and the crop to the data as a matrix."""
    n = int(np.prod(transform.padded_shape))
    columns = []
    for i in range(n):
        unit = np.zeros(n, np.float32)
        unit[i] = 1
        image = transform.inverse(fft.rfftn(unit.reshape(transform.padded_shape)) * kernel)
        columns.append(image.ravel().astype(np.float64))
    return np.array(columns).T


@pytest.mark.parametrize('shape', [(5, 4, 3), (4, 4, 2)])
def test_deconvolution_equals_dense_least_squares(shape):
    transform, kernel, data, weight_squared = problem(shape=shape)
    damping = 0.02
    spectrum = solvers.deconvolve_in_mask(
        data, weight_squared, kernel, transform,
        damping=damping, tolerance=1e-6, max_iterations=300,
    )  # fmt: skip
    a = dense_convolution(transform, kernel)
    w = weight_squared.ravel().astype(np.float64)
    normal = a.T @ (w[:, None] * a) + damping * np.eye(a.shape[1])
    exact = np.linalg.solve(normal, a.T @ (w * data.ravel()))
    found = transform.inverse_full(spectrum).ravel()
    assert np.allclose(found, exact, atol=1e-4 * abs(exact).max())


def test_convolution_is_its_own_adjoint():
    """<E x, y> = <x, E^T y> with E: pad, convolve, crop. D is even, so E^T is E."""
    transform, kernel, *_ = problem()
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
    transform, kernel, data, weight_squared = problem()
    spectrum = solvers.deconvolve_in_mask(
        0 * data, weight_squared, kernel, transform,
        damping=0.1, tolerance=1e-3, max_iterations=5,
    )  # fmt: skip
    assert not spectrum.any()
