"""Convolution kernels and their spectra: dipole, sphere, finite differences.

Every spectrum is float32 on the half-grid of a real-to-complex transform, i.e. of shape
(nx, ny, nz // 2 + 1) for a padded grid of shape (nx, ny, nz). All these kernels are real
and even in space, so their spectra are real and even too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import fft as _fft

SUBSAMPLES = 8  # points per axis and voxel that measure the part of it inside a sphere


def frequencies(padded_shape: Sequence[int], voxel_size: Sequence[float]) -> list[np.ndarray]:
    """Return the frequencies (1/mm) of the three axes, shaped to broadcast on the half-grid."""
    (nx, ny, nz), (hx, hy, hz) = padded_shape, voxel_size
    axes = (_fft.fftfreq(nx, hx), _fft.fftfreq(ny, hy), _fft.rfftfreq(nz, hz))
    return [k.reshape([-1 if j == i else 1 for j in range(3)]) for i, k in enumerate(axes)]


def dipole_kernel(
    padded_shape: Sequence[int], voxel_size: Sequence[float], b0_direction: Sequence[float]
) -> np.ndarray:
    """Return the spectrum of the unit dipole, D(k) = 1/3 - (k.b)^2 / |k|^2.

    The field shift (ppm, along B0) of a susceptibility map (ppm) is its convolution with
    this kernel. B0 may point anywhere: the kernel is rotated, not the data.

    Parameters
    ----------
    padded_shape : (3,) int
        Shape of the (padded) array that is transformed.
    voxel_size : (3,) float, mm
        Voxel size.
    b0_direction : (3,) float, unit vector in voxel axes
        Direction of the main field.

    Returns
    -------
    (nx, ny, nz // 2 + 1) float32
        Values from -2/3 to 1/3; D(0) = 0, as the mean field is not determined.

    Notes
    -----
    The Nyquist frequency of an even axis stands for +k and -k at once. The products of two
    different components of k have opposite signs there and average to zero; without that
    the kernel of an oblique field would not be even and its transform not real.

    References
    ----------
    .. [1] Salomir R, de Senneville BD, Moonen CTW. Concepts Magn Reson B 2003;19B:26.
       doi:10.1002/cmr.b.10083
    .. [2] Marques JP, Bowtell R. Concepts Magn Reson B 2005;25B:65. doi:10.1002/cmr.b.20034

    Examples
    --------
    >>> kernel = dipole_kernel((4, 4, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 1.0))
    >>> kernel.shape, float(kernel[0, 0, 0]), round(float(kernel[1, 0, 0]), 3)
    ((4, 4, 3), 0.0, 0.333)
    >>> round(float(kernel[0, 0, 1]), 3)
    -0.667
    """
    along_b = np.zeros(1, np.float32)  # k.b without the Nyquist frequencies
    nyquist = np.zeros(1, np.float32)  # their own squares
    k_squared = np.zeros(1, np.float32)
    waves = frequencies(padded_shape, voxel_size)
    for k, n, h, b in zip(waves, padded_shape, voxel_size, b0_direction, strict=True):
        is_nyquist = np.isclose(np.abs(k), 0.5 / h) & (n % 2 == 0)
        along_b = along_b + (b * np.where(is_nyquist, 0, k)).astype(np.float32)
        nyquist = nyquist + np.where(is_nyquist, (b * k) ** 2, 0).astype(np.float32)
        k_squared = k_squared + (k**2).astype(np.float32)
    k_squared[0, 0, 0] = 1.0
    along_b *= along_b
    along_b += nyquist
    along_b /= k_squared
    kernel = np.subtract(np.float32(1 / 3), along_b, out=along_b)
    kernel[0, 0, 0] = 0.0
    return kernel


def sphere_kernel(radius_mm: float, voxel_size: Sequence[float]) -> np.ndarray:
    """Return the normalised ball S whose convolution is the mean over a sphere.

    Voxels that the surface cuts count by the part inside. A field without sources inside
    the sphere is harmonic and S leaves its centre value unchanged; 1 - S removes it.

    Parameters
    ----------
    radius_mm : float, mm
        Radius; the longest side of a voxel is enough.
    voxel_size : (3,) float, mm
        Voxel size.

    Returns
    -------
    (2 a + 1, 2 b + 1, 2 c + 1) float32
        Weights with sum 1, centred; only as large as the ball.

    Raises
    ------
    ValueError
        If the ball is so small that it would not touch the neighbours along each axis.

    Notes
    -----
    Counting a ball in whole voxels widens it by the variance of a voxel, h^2 / 12 along
    each axis. With anisotropic voxels its second moments would then differ and quadratic
    harmonic fields (z^2 - x^2) would leak. The semi-axes are therefore changed to
    sqrt(r^2 + 5 (mean(h^2) - h^2) / 12), which makes the three moments equal again.
    """
    h = np.asarray(voxel_size, dtype=float)
    squared = radius_mm**2 + 5 * ((h**2).mean() - h**2) / 12
    if not np.all(squared > (h / 2) ** 2):
        raise ValueError(
            f'A sphere of {radius_mm:g} mm is too small for voxels of {tuple(voxel_size)} mm.\n'
            'Its mean would be that of a plane or of one voxel, not of a sphere.\n'
            f'Use a radius of at least {h.max():g} mm.'
        )
    semi_axes = np.sqrt(squared)
    reach = np.ceil(semi_axes / h - 0.5).astype(int)
    inside = np.zeros(1)
    for i, (a, m, step) in enumerate(zip(semi_axes, reach, h, strict=True)):
        points = (np.arange((2 * m + 1) * SUBSAMPLES) + 0.5) / SUBSAMPLES - m - 0.5
        shape = [-1 if j == i else 1 for j in range(3)]
        inside = inside + (points.reshape(shape) * step / a) ** 2
    blocks = [n for m in reach for n in (2 * m + 1, SUBSAMPLES)]
    kernel = (inside < 1).reshape(blocks).mean(axis=(1, 3, 5))
    return (kernel / kernel.sum()).astype(np.float32)


def kernel_reach(kernel: np.ndarray, voxel_size: Sequence[float]) -> float:
    """Return the distance (mm) from the centre to the farthest voxel that a kernel uses.

    A sphere fits into a mask wherever the nearest voxel outside is farther away than this.
    """
    offsets = np.argwhere(kernel > 0) - np.array(kernel.shape) // 2
    return float(np.sqrt(((offsets * np.asarray(voxel_size)) ** 2).sum(axis=1).max()))


def kernel_spectrum(kernel: np.ndarray, padded_shape: Sequence[int]) -> np.ndarray:
    """Return the spectrum of a small centred kernel that is even along each axis.

    Parameters
    ----------
    kernel : (2 a + 1, 2 b + 1, 2 c + 1) float
        Even along each axis, as :func:`sphere_kernel` is.
    padded_shape : (3,) int
        Shape of the (padded) array that is transformed.

    Returns
    -------
    (nx, ny, nz // 2 + 1) float32

    Notes
    -----
    An even kernel needs cosines only, and one octant of the spectrum gives the rest. For
    a ball of radius 12 this takes a tenth of the time of a transform.
    """
    octant = np.asarray(kernel, dtype=np.float64)
    for axis, n in enumerate(padded_shape):
        half = octant.shape[axis] // 2
        octant = np.moveaxis(octant, axis, -1)[..., half:]
        angles = 2 * np.pi / n * np.outer(np.arange(half + 1), np.arange(n // 2 + 1))
        cosines = np.cos(angles) * np.where(np.arange(half + 1) == 0, 1.0, 2.0)[:, None]
        octant = np.moveaxis((octant @ cosines).astype(np.float32), -1, axis)
    nx, ny, _ = padded_shape
    i, j = np.arange(nx), np.arange(ny)
    return octant[np.minimum(i, nx - i)][:, np.minimum(j, ny - j)]


def gradient(x: np.ndarray, voxel_size: Sequence[float]) -> np.ndarray:
    """Return the forward differences E x per mm, periodic.

    Parameters
    ----------
    x : (nx, ny, nz) float
        Image.
    voxel_size : (3,) float, mm
        Voxel size.

    Returns
    -------
    (3, nx, ny, nz) float
        (x[i + 1] - x[i]) / h along each axis; the last voxel looks at the first.
    """
    return np.stack([(np.roll(x, -1, axis) - x) / h for axis, h in enumerate(voxel_size)])


def gradient_adjoint(g: np.ndarray, voxel_size: Sequence[float]) -> np.ndarray:
    """Return E^T g, the exact adjoint of :func:`gradient`: minus the divergence.

    Parameters
    ----------
    g : (3, nx, ny, nz) float
        Vector field.
    voxel_size : (3,) float, mm
        Voxel size.

    Returns
    -------
    (nx, ny, nz) float
        Sum over axes of (g[i - 1] - g[i]) / h, so that <E x, g> = <x, E^T g>.
    """
    return sum((np.roll(g[axis], 1, axis) - g[axis]) / h for axis, h in enumerate(voxel_size))


def divergence(g: np.ndarray, voxel_size: Sequence[float]) -> np.ndarray:
    """Return the backward-difference divergence per mm, -E^T g (see the adjoint)."""
    return -gradient_adjoint(g, voxel_size)


def laplacian_spectrum(padded_shape: Sequence[int], voxel_size: Sequence[float]) -> np.ndarray:
    """Return the spectrum of the 7-point Laplacian, divergence(gradient(x)).

    Parameters
    ----------
    padded_shape : (3,) int
        Shape of the (padded) array that is transformed.
    voxel_size : (3,) float, mm
        Voxel size.

    Returns
    -------
    (nx, ny, nz // 2 + 1) float32, 1/mm^2
        Sum over axes of 2 (cos(2 pi k h) - 1) / h^2, at most 0; its negative is the power
        |E(k)|^2 of the forward differences.
    """
    waves = frequencies(padded_shape, voxel_size)
    terms = (
        (2 * (np.cos(2 * np.pi * k * h) - 1) / h**2).astype(np.float32)
        for k, h in zip(waves, voxel_size, strict=True)
    )
    return sum(terms)
