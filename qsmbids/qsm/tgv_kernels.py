"""The compiled loops of total generalised variation (see ``tgv_splitting``).

The state of a splitting is one array v per component, as in ``splitting_kernels``: soft
thresholding divides it into z = v - clip(v) and the next u = clip(v).
"""

from __future__ import annotations

import numba
import numpy as np

from .compiled import compiled

IMAGE, VECTOR = 'f4[:, :, ::1]', 'f4[:, :, :, ::1]'
SPECTRUM, SPECTRA, WAVE = 'c8[:, :, ::1]', 'c8[:, :, :, ::1]', 'c8[::1]'


@numba.njit('f4(f4, f4)', inline='always')
def _clip(value, limit):
    return min(max(value, -limit), limit)


@compiled(f'UniTuple(f8, 2)(i8, i8, {IMAGE}, {IMAGE}, {VECTOR}, {VECTOR}, f4[::1], f4)')
def shrink_first(start, stop, chi, last, slope, v, inverse_voxel, limit):
    """Set v to E chi - w + clip(v), and ``last`` to chi.

    Parameters
    ----------
    start, stop : int
        Planes to work on.
    chi, last : (nx, ny, nz) float32
    slope : (3, nx, ny, nz) float32
        w, the smooth part of the gradient.
    v : (3, nx, ny, nz) float32
    inverse_voxel : (3,) float32, 1/mm
    limit : float32
        Soft threshold, ppm/mm.

    Returns
    -------
    (float, float)
        Sums of (chi - last)^2 and of chi^2.
    """
    nx, ny, nz = chi.shape
    hx, hy, hz = inverse_voxel
    moved, size = 0.0, 0.0
    for i in range(start, stop):
        next_i = i + 1 if i + 1 < nx else 0
        for j in range(ny):
            next_j = j + 1 if j + 1 < ny else 0
            for k in range(nz):
                next_k = k + 1 if k + 1 < nz else 0
                here = chi[i, j, k]
                step = here - last[i, j, k]
                moved += step * step
                size += here * here
                last[i, j, k] = here
                a = (chi[next_i, j, k] - here) * hx - slope[0, i, j, k]
                b = (chi[i, next_j, k] - here) * hy - slope[1, i, j, k]
                c = (chi[i, j, next_k] - here) * hz - slope[2, i, j, k]
                v[0, i, j, k] = a + _clip(v[0, i, j, k], limit)
                v[1, i, j, k] = b + _clip(v[1, i, j, k], limit)
                v[2, i, j, k] = c + _clip(v[2, i, j, k], limit)
    return moved, size


@compiled(f'void(i8, i8, {VECTOR}, {VECTOR}, f4[::1], f4)')
def shrink_second(start, stop, slope, v, inverse_voxel, limit):
    """Set v to e w + clip(v), with e the symmetrised backward differences.

    The six components are xx, yy, zz, xy, xz, yz; the last three count twice in the norm.
    """
    nx, ny, nz = slope.shape[1:]
    hx, hy, hz = inverse_voxel
    half = np.float32(0.5)
    for i in range(start, stop):
        p = i - 1 if i > 0 else nx - 1
        for j in range(ny):
            q = j - 1 if j > 0 else ny - 1
            for k in range(nz):
                r = k - 1 if k > 0 else nz - 1
                x, y, z = slope[0, i, j, k], slope[1, i, j, k], slope[2, i, j, k]
                xx = (x - slope[0, p, j, k]) * hx
                yy = (y - slope[1, i, q, k]) * hy
                zz = (z - slope[2, i, j, r]) * hz
                xy = ((y - slope[1, p, j, k]) * hx + (x - slope[0, i, q, k]) * hy) * half
                xz = ((z - slope[2, p, j, k]) * hx + (x - slope[0, i, j, r]) * hz) * half
                yz = ((z - slope[2, i, q, k]) * hy + (y - slope[1, i, j, r]) * hz) * half
                v[0, i, j, k] = xx + _clip(v[0, i, j, k], limit)
                v[1, i, j, k] = yy + _clip(v[1, i, j, k], limit)
                v[2, i, j, k] = zz + _clip(v[2, i, j, k], limit)
                v[3, i, j, k] = xy + _clip(v[3, i, j, k], limit)
                v[4, i, j, k] = xz + _clip(v[4, i, j, k], limit)
                v[5, i, j, k] = yz + _clip(v[5, i, j, k], limit)


@numba.njit('f4(f4, f4)', inline='always')
def _split(v, limit):
    """Return z - u."""
    return v - 2 * _clip(v, limit)


@compiled(f'void(i8, i8, {IMAGE}, {VECTOR}, f4[::1], f4)')
def adjoint_first(start, stop, out, v, inverse_voxel, limit):
    """Set out to E^T (z - u)."""
    nx, ny, nz = out.shape
    hx, hy, hz = inverse_voxel
    for i in range(start, stop):
        p = i - 1 if i > 0 else nx - 1
        for j in range(ny):
            q = j - 1 if j > 0 else ny - 1
            for k in range(nz):
                r = k - 1 if k > 0 else nz - 1
                x = _split(v[0, p, j, k], limit) - _split(v[0, i, j, k], limit)
                y = _split(v[1, i, q, k], limit) - _split(v[1, i, j, k], limit)
                z = _split(v[2, i, j, r], limit) - _split(v[2, i, j, k], limit)
                out[i, j, k] = x * hx + y * hy + z * hz


@compiled(f'void(i8, i8, i8, {IMAGE}, {VECTOR}, {VECTOR}, i8[:, ::1], f4[::1], f4, f4, f4, f4)')
def adjoint_second(
    start, stop, axis, out, first, second, pairs, inverse_voxel, limit0, limit1, p0, p1
):
    """Set out to component ``axis`` of p0 e^T (z0 - u0) - p1 (z1 - u1)."""
    nx, ny, nz = out.shape
    hx, hy, hz = inverse_voxel
    a, b, c = pairs[axis]
    for i in range(start, stop):
        p = i + 1 if i + 1 < nx else 0
        for j in range(ny):
            q = j + 1 if j + 1 < ny else 0
            for k in range(nz):
                r = k + 1 if k + 1 < nz else 0
                x = _split(second[a, i, j, k], limit0) - _split(second[a, p, j, k], limit0)
                y = _split(second[b, i, j, k], limit0) - _split(second[b, i, q, k], limit0)
                z = _split(second[c, i, j, k], limit0) - _split(second[c, i, j, r], limit0)
                own = _split(first[axis, i, j, k], limit1)
                out[i, j, k] = p0 * (x * hx + y * hy + z * hz) - p1 * own


@compiled(
    f'void(i8, i8, {SPECTRUM}, {SPECTRUM}, {SPECTRA}, f4[:, :, ::1], {WAVE}, {WAVE}, {WAVE}, '
    'f4, f4)'
)
def solve_spectra(start, stop, data, sparse, slope, kernel, ex, ey, ez, p1, p0):
    """Solve for chi and w together at every frequency.

    With e the spectra of the forward differences, b = -conj(e) those of the backward ones,
    B = |b|^2, the normal equations are

        [D^2 + p1 |e|^2] chi - p1 e^H w = g
        M w - p1 e chi = r,     M = (p1 + p0 B / 2) 1 + p0 / 2 b b^H

    M has a closed inverse (Sherman and Morrison), which eliminates w.

    Parameters
    ----------
    start, stop : int
        Planes to work on.
    data : (nx, ny, nz // 2 + 1) complex64
        In: spectrum of f - s. Out: D chi.
    sparse : (nx, ny, nz // 2 + 1) complex64
        In: spectrum of E^T (z1 - u1). Out: chi.
    slope : (3, nx, ny, nz // 2 + 1) complex64
        In: r, spectra of e^T p0 (z0 - u0) - p1 (z1 - u1). Out: w.
    kernel : (nx, ny, nz // 2 + 1) float32
    ex, ey, ez : complex64
        Spectra of the forward differences along the axes, 1/mm.
    p1, p0 : float32
        Penalties of the splittings, over that of the field.
    """
    for i in range(start, stop):
        x = ex[i]
        for j in range(data.shape[1]):
            y = ey[j]
            for k in range(data.shape[2]):
                z = ez[k]
                d = kernel[i, j, k]
                power = abs(x) ** 2 + abs(y) ** 2 + abs(z) ** 2
                m, n = p1 + p0 * power / 2, p0 / 2
                bend = n / (m + n * power)
                r0, r1, r2 = slope[0, i, j, k], slope[1, i, j, k], slope[2, i, j, k]
                along = -(x * r0 + y * r1 + z * r2) * bend  # b^H r
                r0 = (r0 + np.conj(x) * along) / m  # M^-1 r
                r1 = (r1 + np.conj(y) * along) / m
                r2 = (r2 + np.conj(z) * along) / m
                square = x * x + y * y + z * z  # - b^H e
                a0 = (x - np.conj(x) * square * bend) / m  # M^-1 e
                a1 = (y - np.conj(y) * square * bend) / m
                a2 = (z - np.conj(z) * square * bend) / m
                g = d * data[i, j, k] + p1 * sparse[i, j, k]
                g += p1 * (np.conj(x) * r0 + np.conj(y) * r1 + np.conj(z) * r2)
                inner = (np.conj(x) * a0 + np.conj(y) * a1 + np.conj(z) * a2).real
                whole = d * d + p1 * (power - p1 * inner)
                chi = g / whole if power > 0 else g * 0
                sparse[i, j, k] = chi
                data[i, j, k] = d * chi
                slope[0, i, j, k] = r0 + p1 * a0 * chi
                slope[1, i, j, k] = r1 + p1 * a1 * chi
                slope[2, i, j, k] = r2 + p1 * a2 * chi
