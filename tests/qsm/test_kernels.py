import numpy as np
import pytest

from qsmbids.qsm import fft, kernels

OBLIQUE = np.array([0.5, 0.0, np.sqrt(0.75)])  # 30 degrees from the third axis
TILTED = np.array([0.36, 0.48, 0.8])


def coordinates(shape, voxel, centre):
    axes = ((np.arange(n) - c) * h for n, c, h in zip(shape, centre, voxel, strict=True))
    return np.meshgrid(*axes, indexing='ij')


def forward(chi, voxel, b0, padding_mm=40.0):
    padded = fft.PaddedFFT(chi.shape, voxel, padding_mm)
    kernel = kernels.dipole_kernel(padded.padded_shape, voxel, b0)
    return padded.inverse(padded.forward(chi.astype(np.float32)) * kernel)


def fraction_inside(test, shape, voxel, centre, n=5):
    """Partial volume: the mean of test(x, y, z) over n^3 points in each voxel."""
    offsets = (np.arange(n) - (n - 1) / 2) / n
    total = np.zeros(shape)
    for dx in offsets:
        for dy in offsets:
            for dz in offsets:
                shifted = np.add(centre, (dx, dy, dz))
                total += test(*coordinates(shape, voxel, shifted))
    return total / n**3


SPHERES = [
    # shape, voxel, b0, radius
    ((48, 48, 48), (1.0, 1.0, 1.0), (0, 0, 1), 7.0),
    ((47, 51, 45), (1.0, 1.0, 1.0), OBLIQUE, 7.0),
    ((49, 45, 31), (1.0, 1.1, 2.0), OBLIQUE, 9.0),
    ((31, 43, 47), (2.0, 1.0, 1.0), TILTED, 9.0),
]


@pytest.mark.parametrize(('shape', 'voxel', 'b0', 'radius'), SPHERES)
def test_sphere_field_inside_zero_and_outside_a_dipole(shape, voxel, b0, radius):
    centre = [(n - 1) / 2 + 0.2 for n in shape]
    chi = fraction_inside(lambda x, y, z: x**2 + y**2 + z**2 < radius**2, shape, voxel, centre)
    field = forward(chi, voxel, b0)
    x, y, z = coordinates(shape, voxel, centre)
    r = np.sqrt(x**2 + y**2 + z**2)
    cos2 = (b0[0] * x + b0[1] * y + b0[2] * z) ** 2 / np.maximum(r, 1e-6) ** 2
    dipole = (radius / np.maximum(r, 1)) ** 3 * (3 * cos2 - 1) / 3
    far = 2.5 * max(voxel)  # what lies closer mixes inside and outside
    outside, inside = r > radius + far, r < radius - far
    assert abs((field - dipole)[outside]).max() < 0.03  # of a dipole of 2/3 at the pole
    assert np.sqrt(((field - dipole)[outside] ** 2).mean()) < 0.003
    assert abs(field[inside]).max() < 0.03


def test_a_kernel_along_z_would_miss_an_oblique_sphere():
    shape, voxel = (48, 48, 48), (1.0, 1.0, 1.0)
    x, y, z = coordinates(shape, voxel, [23.5] * 3)
    chi = (x**2 + y**2 + z**2 < 49).astype(float)
    right, wrong = forward(chi, voxel, OBLIQUE), forward(chi, voxel, (0, 0, 1))
    assert np.linalg.norm(right - wrong) > 0.5 * np.linalg.norm(right)


@pytest.mark.parametrize('degrees', [0, 40, 90])
def test_long_cylinder_at_an_angle(degrees):
    radius, shape, voxel = 5.0, (64, 64, 30), (1.0, 1.0, 1.0)
    b0 = (np.sin(np.radians(degrees)), 0, np.cos(np.radians(degrees)))
    centre = [31.5, 31.5, 14.5]
    disc = fraction_inside(lambda x, y, z: x**2 + y**2 < radius**2, shape, voxel, centre)
    # no padding along the cylinder: its periodic images make it infinite
    shape_padded = (150, 150, shape[2])
    kernel = kernels.dipole_kernel(shape_padded, voxel, b0)
    padded = np.zeros(shape_padded, np.float32)
    padded[:64, :64] = disc
    field = fft.irfftn(fft.rfftn(padded) * kernel, shape_padded)[:64, :64]
    x, y, _ = coordinates(shape, voxel, centre)
    rho, sin2 = np.hypot(x, y), np.sin(np.radians(degrees)) ** 2
    cos2phi = (x**2 - y**2) / np.maximum(rho, 1e-6) ** 2
    inside = (3 * np.cos(np.radians(degrees)) ** 2 - 1) / 6
    outside = 0.5 * (radius / np.maximum(rho, 1)) ** 2 * sin2 * cos2phi
    # the mean over the padded grid is zero by convention; add it back
    field = field + np.pi * radius**2 / 150**2 * inside
    core = rho < radius - 2.5
    assert field[core].mean() == pytest.approx(inside, abs=0.006)
    near = (rho > radius + 2.5) & (rho < 25)
    assert abs((field - outside)[near]).max() < 0.02


def test_source_at_the_border_does_not_wrap_round():
    shape, voxel, b0 = (40, 40, 40), (1.0, 1.0, 1.0), (0, 0, 1)
    x, y, z = coordinates(shape, voxel, [20, 20, 7])
    r2 = x**2 + y**2 + z**2
    chi = (r2 < 36).astype(float)
    field = forward(chi, voxel, b0, padding_mm=fft.DEFAULT_PADDING_MM)
    unpadded = forward(chi, voxel, b0, padding_mm=0.0)
    far = z > 25  # the opposite side
    radius3 = chi.sum() / (4 / 3 * np.pi)
    exact = radius3 / np.maximum(r2, 1) ** 1.5 * (3 * z**2 / np.maximum(r2, 1) - 1) / 3
    assert abs((field - exact)[far]).max() < 0.0015
    assert abs((unpadded - exact)[far]).max() > 0.05


@pytest.mark.parametrize('b0', [(0, 0, 1), OBLIQUE, TILTED])
@pytest.mark.parametrize('shape', [(8, 10, 12), (7, 8, 9), (9, 7, 8), (1, 8, 8)])
def test_dipole_kernel_is_even_in_space(shape, b0):
    """Odd shapes and Nyquist planes: the image of the kernel must equal its mirror image."""
    kernel = kernels.dipole_kernel(shape, (1.0, 1.5, 0.8), b0)
    assert kernel.dtype == np.float32
    image = fft.irfftn(kernel.astype(np.complex64), shape)
    assert np.allclose(fft.rfftn(image), kernel, atol=1e-5)
    mirrored = np.roll(image[::-1, ::-1, ::-1], 1, axis=(0, 1, 2))
    assert np.allclose(image, mirrored, atol=1e-6)


def test_dipole_kernel_values():
    kernel = kernels.dipole_kernel((16, 16, 16), (1, 1, 1), TILTED)
    assert kernel[0, 0, 0] == 0
    assert kernel.min() >= -2 / 3 - 1e-6
    assert kernel.max() <= 1 / 3 + 1e-6
    k = np.array([2, -3, 1])
    expected = 1 / 3 - (k @ TILTED) ** 2 / (k @ k)
    assert kernel[2, -3, 1] == pytest.approx(expected, abs=1e-6)
    assert np.array_equal(kernel, kernels.dipole_kernel((16, 16, 16), (1, 1, 1), -TILTED))


VOXELS = [(1.0, 1.0, 1.0), (1.0, 1.0, 3.0), (2.0, 1.0, 1.5)]


@pytest.mark.parametrize('voxel', VOXELS)
@pytest.mark.parametrize('radius', [4.0, 7.3, 12.0])
def test_sphere_kernel_is_a_mean_over_a_ball(voxel, radius):
    kernel = kernels.sphere_kernel(radius, voxel)
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    for axis in range(3):
        assert np.array_equal(kernel, np.flip(kernel, axis))
        ends = np.moveaxis(kernel, axis, 0)[0]
        assert ends.any()  # no larger than needed
    offsets = coordinates(kernel.shape, voxel, [n // 2 for n in kernel.shape])
    moments = np.array([(kernel * x**2).sum() for x in offsets])
    # a ball has r^2 / 5 and whole voxels add the variance of a voxel
    assert np.allclose(moments, radius**2 / 5 + np.mean(np.square(voxel)) / 12, rtol=0.1)
    reach = kernels.kernel_reach(kernel, voxel)
    assert radius - max(voxel) < reach < radius + np.linalg.norm(voxel)


def test_sphere_kernel_keeps_harmonic_fields():
    voxel, shape = (1.0, 1.0, 3.0), (41, 41, 21)
    x, y, z = coordinates(shape, voxel, [20, 20, 10])
    kernel = kernels.sphere_kernel(8.0, voxel)
    spectrum = kernels.kernel_spectrum(kernel, shape)
    interior = (abs(x) < 11) & (abs(y) < 11) & (abs(z) < 20)
    for harmonic, tolerance in [
        (1 + 0 * x, 1e-4),
        (x - 2 * z, 1e-3),
        (x * y, 1e-3),
        (z**2 - x**2, 0.2),  # of values up to 400: 0.67 without the change of semi-axes
        (2 * z**2 - x**2 - y**2, 0.4),
    ]:
        mean = fft.irfftn(fft.rfftn(harmonic.astype(np.float32)) * spectrum, shape)
        assert abs((mean - harmonic)[interior]).max() < tolerance


@pytest.mark.parametrize(('radius', 'voxel'), [(0.4, (1, 1, 1)), (1.5, (1, 1, 5)), (0, (1, 1, 1))])
def test_too_small_a_sphere_is_refused(radius, voxel):
    with pytest.raises(ValueError, match='too small'):
        kernels.sphere_kernel(radius, voxel)


@pytest.mark.parametrize('padded', [(30, 27, 32), (35, 28, 25)])
def test_kernel_spectrum_equals_the_transform(padded):
    kernel = kernels.sphere_kernel(6.0, (1.0, 1.2, 2.0))
    image = np.zeros(padded, np.float32)
    image[tuple(slice(n) for n in kernel.shape)] = kernel
    image = np.roll(image, [-(n // 2) for n in kernel.shape], axis=(0, 1, 2))
    spectrum = kernels.kernel_spectrum(kernel, padded)
    assert spectrum.dtype == np.float32
    assert np.allclose(fft.rfftn(image), spectrum, atol=1e-6)


def test_gradient_and_its_adjoint():
    rng = np.random.default_rng(2)
    shape, voxel = (7, 8, 5), (1.0, 0.7, 2.5)
    x, y = rng.standard_normal(shape), rng.standard_normal((3, *shape))
    left = (kernels.gradient(x, voxel) * y).sum()
    right = (x * kernels.gradient_adjoint(y, voxel)).sum()
    assert left == pytest.approx(right, rel=1e-10)
    assert np.allclose(kernels.divergence(y, voxel), -kernels.gradient_adjoint(y, voxel))


def test_gradient_is_per_millimetre_and_forward():
    ramp = np.broadcast_to(np.arange(6.0)[:, None, None] * 2.0, (6, 4, 4))
    g = kernels.gradient(ramp, (2.0, 1.0, 1.0))
    assert np.allclose(g[0, :-1], 1)
    assert np.allclose(g[0, -1], -5)  # periodic
    assert np.allclose(g[1:], 0)


@pytest.mark.parametrize('shape', [(8, 9, 10), (5, 6, 7)])
def test_laplacian_spectrum_is_divergence_of_gradient(shape):
    voxel = (1.0, 1.3, 2.0)
    x = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    direct = kernels.divergence(kernels.gradient(x, voxel), voxel)
    spectrum = kernels.laplacian_spectrum(shape, voxel)
    assert spectrum.max() <= 0
    assert np.allclose(fft.irfftn(fft.rfftn(x) * spectrum, shape), direct, atol=1e-4)
