"""From susceptibility to field: the physics, on the fine grid.

The phantom keeps its own forward model, apart from the kernels of the reconstruction, so
that a reconstruction is never tested with the very formula it inverts. The analytic fields
of a sphere and of a cylinder, against which this model is tested, live here too.

References
----------
Salomir R, de Senneville BD, Moonen CTW. A fast calculation method for magnetic field
inhomogeneity due to an arbitrary distribution of bulk susceptibility. Concepts Magn Reson
2003;19B:26-34. https://doi.org/10.1002/cmr.b.10083
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from qsmbids.qsm import fft

PADDING_MM = 60.0  # air between the head and its periodic image


def dipole_field(
    chi: np.ndarray,
    voxel_size: Sequence[float],
    b0_direction: Sequence[float],
    *,
    padding_mm: float = PADDING_MM,
    continue_below_mm: float = 0.0,
) -> np.ndarray:
    """Compute the field shift that a susceptibility distribution causes.

    Parameters
    ----------
    chi : (nx, ny, nz) float32, ppm
        Susceptibility relative to the surroundings, which fill all space outside the array.
    voxel_size : (3,) float, mm
    b0_direction : (3,) float, unit vector in voxel axes
    padding_mm : float, mm
        Least width of the zeros between the array and its periodic image.
    continue_below_mm : float, mm
        The object goes on below the array: the first slice along z is repeated over this
        distance while it fades out linearly. It keeps the cut through the neck from acting
        like an air gap.

    Returns
    -------
    (nx, ny, nz) float32, ppm
        Relative field shift, paramagnetic sources positive above their poles.

    Notes
    -----
    With unit vector b along B0, the field is the convolution with the dipole
    (3 cos^2 theta - 1) / (4 pi r^3), in Fourier space a product:

        field(k) = (1/3 - (k.b)^2 / |k|^2) chi(k),   field(0) = 0.

    The product is formed plane by plane in place, so the kernel is never held in memory.
    Cost: two transforms of the padded array.
    """
    n_below = round(continue_below_mm / voxel_size[2])
    margins = [math.ceil(padding_mm / h) for h in voxel_size]
    margins[2] += n_below
    padded_shape = tuple(fft.good_size(n + m) for n, m in zip(chi.shape, margins, strict=True))
    inside = tuple(slice(n) for n in chi.shape)

    padded = np.zeros(padded_shape, dtype=np.float32)
    padded[inside] = chi
    if n_below:  # the array is periodic: indices -1, -2 ... lie below index 0
        fade = np.arange(n_below, dtype=np.float32) / n_below
        padded[inside[0], inside[1], -n_below:] = chi[:, :, :1] * fade
    spectrum = fft.rfftn(padded)
    del padded
    _multiply_by_dipole(spectrum, padded_shape, voxel_size, b0_direction)
    return np.ascontiguousarray(fft.irfftn(spectrum, padded_shape)[inside])


def _multiply_by_dipole(
    spectrum: np.ndarray,
    shape: Sequence[int],
    voxel_size: Sequence[float],
    b0_direction: Sequence[float],
) -> None:
    """Multiply a half spectrum by the dipole kernel, in place."""
    kx = np.fft.fftfreq(shape[0], voxel_size[0]).astype(np.float32)
    ky = np.fft.fftfreq(shape[1], voxel_size[1]).astype(np.float32)[:, None]
    kz = np.fft.rfftfreq(shape[2], voxel_size[2]).astype(np.float32)[None, :]
    bx, by, bz = (np.float32(b) for b in b0_direction)
    in_plane = ky**2 + kz**2
    along_in_plane = by * ky + bz * kz
    for plane, k in zip(spectrum, kx, strict=True):
        squared = k * k + in_plane
        if k == 0:
            squared[0, 0] = 1  # avoids 0/0; the value there is set below
        plane *= np.float32(1 / 3) - (bx * k + along_in_plane) ** 2 / squared
    spectrum[0, 0, 0] = 0


def remove_shim(
    field: np.ndarray, axes: Sequence[np.ndarray], mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit what a scanner shims away: the solid harmonics up to second order.

    Parameters
    ----------
    field : (nx, ny, nz) float
        Field to be made homogeneous.
    axes : three 1-D arrays, mm
        Coordinates along each array axis.
    mask : (nx, ny, nz) bool
        Where the field is to be homogeneous.

    Returns
    -------
    shimmed : (nx, ny, nz) float32
        Field minus the fit.
    coefficients : (9,) float
        Of 1, x, y, z, xy, xz, yz, x^2 - y^2 and 2z^2 - x^2 - y^2 (decimetres), for
        :func:`shim_field`.

    Notes
    -----
    The nine functions are harmonic, so the shim is a background field like any other.
    """
    x, y, z = (np.asarray(axis)[index] for axis, index in zip(axes, np.nonzero(mask), strict=True))
    design = np.stack([np.broadcast_to(f, x.shape) for f in _harmonics(x, y, z)], axis=1)
    coefficients, *_ = np.linalg.lstsq(design, field[mask].astype(float), rcond=None)
    return field - shim_field(coefficients, axes), coefficients


def shim_field(coefficients: np.ndarray, axes: Sequence[np.ndarray]) -> np.ndarray:
    """Evaluate the shim of :func:`remove_shim` on a grid, (nx, ny, nz) float32."""
    x, y, z = np.meshgrid(*axes, indexing='ij', sparse=True)
    total = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape), dtype=np.float32)
    for coefficient, harmonic in zip(coefficients, _harmonics(x, y, z), strict=True):
        total += np.asarray(coefficient * harmonic, dtype=np.float32)
    return total


def _harmonics(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> list[np.ndarray]:
    x, y, z = x / 100, y / 100, z / 100  # decimetres keep the fit well conditioned
    return [np.ones(1), x, y, z, x * y, x * z, y * z, x**2 - y**2, 2 * z**2 - x**2 - y**2]


def sphere_field(
    points: np.ndarray, radius: float, chi: float, b0_direction: Sequence[float]
) -> np.ndarray:
    """Return the exact field of a sphere at the origin.

    Parameters
    ----------
    points : (..., 3) float, mm
    radius : float, mm
    chi : float, ppm
        Inside minus outside.
    b0_direction : (3,) float, unit vector

    Returns
    -------
    (...) float, ppm
        (chi/3) (a/r)^3 (3 cos^2 theta - 1) outside, 0 inside (Lorentz-corrected).
    """
    r = np.linalg.norm(points, axis=-1)
    r_safe = np.maximum(r, radius * 1e-6)
    cosine = points @ np.asarray(b0_direction) / r_safe
    outside = chi / 3 * (radius / r_safe) ** 3 * (3 * cosine**2 - 1)
    return np.where(r > radius, outside, 0.0)


def cylinder_field(
    points: np.ndarray,
    radius: float,
    chi: float,
    axis: Sequence[float],
    b0_direction: Sequence[float],
) -> np.ndarray:
    """Return the exact field of an infinitely long cylinder through the origin.

    Parameters
    ----------
    points : (..., 3) float, mm
    radius : float, mm
    chi : float, ppm
        Inside minus outside.
    axis, b0_direction : (3,) float, unit vectors

    Returns
    -------
    (...) float, ppm
        With theta between axis and B0, and phi between the point's radius vector and the
        component of B0 across the cylinder: (chi/6) (3 cos^2 theta - 1) inside,
        (chi/2) (a/rho)^2 sin^2 theta cos(2 phi) outside.
    """
    axis, b0 = np.asarray(axis, dtype=float), np.asarray(b0_direction, dtype=float)
    cos_theta = float(axis @ b0)
    across = points - (points @ axis)[..., None] * axis
    rho = np.maximum(np.linalg.norm(across, axis=-1), radius * 1e-6)
    # sin^2 theta cos(2 phi) = 2 (rho_hat . b_perp)^2 - |b_perp|^2
    b_perp = b0 - cos_theta * axis
    angular = 2 * (across @ b_perp / rho) ** 2 - b_perp @ b_perp
    outside = chi / 2 * (radius / rho) ** 2 * angular
    inside = chi / 6 * (3 * cos_theta**2 - 1)
    return np.where(rho > radius, outside, inside)
