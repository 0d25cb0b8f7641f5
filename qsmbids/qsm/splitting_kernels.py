"""The compiled loops of the variable-splitting inversions.

Kept apart from ``splitting`` so that numba is only imported when something is inverted. As in
``rts_kernels`` one array v = E chi + u holds the splitting of the gradient: soft thresholding
at t divides it into z = v - clip(v) and the next u = clip(v), where clip limits to [-t, t].
Every loop works on a slab of planes along the first axis. All axes are periodic, as the
transforms are.
"""

from __future__ import annotations

import math

import numba

from .compiled import compiled

IMAGE, VECTOR, SPECTRUM = 'f4[:, :, ::1]', 'f4[:, :, :, ::1]', 'c8[:, :, ::1]'


@numba.njit('f4(f4, f4)', inline='always')
def _clip(value, limit):
    return min(max(value, -limit), limit)


@compiled(f'UniTuple(f8, 2)(i8, i8, {IMAGE}, {IMAGE}, {VECTOR}, f4[::1], f4)')
def shrink_gradient(start, stop, chi, last, v, inverse_voxel, limit):
    """Update v from chi and turn ``last`` into E^T (z - u), in one pass over memory.

    The first plane lacks what the plane before it contributes, as that may belong to another
    thread; :func:`join_slabs` adds it.

    Parameters
    ----------
    start, stop : int
        Planes to work on.
    chi : (nx, ny, nz) float32
    last : (nx, ny, nz) float32
        In: chi of the last iteration. Out: E^T (z - u).
    v : (3, nx, ny, nz) float32
        In: v of the last iteration. Out: E chi + clip(v).
    inverse_voxel : (3,) float32, 1/mm
    limit : float32
        Soft threshold t, in the unit of chi per mm.

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
            row_moved, row_size = numba.float32(0), numba.float32(0)
            for k in range(nz):
                here = chi[i, j, k]
                step = here - last[i, j, k]
                row_moved += step * step
                row_size += here * here
                a = (chi[next_i, j, k] - here) * hx + _clip(v[0, i, j, k], limit)
                b = (chi[i, next_j, k] - here) * hy + _clip(v[1, i, j, k], limit)
                v[0, i, j, k] = a
                v[1, i, j, k] = b
                own = (2 * _clip(a, limit) - a) * hx + (2 * _clip(b, limit) - b) * hy
                last[i, j, k] = own
            for k in range(nz - 1):
                difference = (chi[i, j, k + 1] - chi[i, j, k]) * hz
                v[2, i, j, k] = difference + _clip(v[2, i, j, k], limit)
            difference = (chi[i, j, 0] - chi[i, j, nz - 1]) * hz
            v[2, i, j, nz - 1] = difference + _clip(v[2, i, j, nz - 1], limit)
            for k in range(1, nz):
                a, b = v[2, i, j, k - 1], v[2, i, j, k]
                last[i, j, k] += (a - b - 2 * (_clip(a, limit) - _clip(b, limit))) * hz
            a, b = v[2, i, j, nz - 1], v[2, i, j, 0]
            last[i, j, 0] += (a - b - 2 * (_clip(a, limit) - _clip(b, limit))) * hz
            moved += row_moved
            size += row_size
        for j in range(ny):
            last_j = j - 1 if j > 0 else ny - 1
            for k in range(nz):
                b = v[1, i, last_j, k]
                last[i, j, k] += (b - 2 * _clip(b, limit)) * hy
        if i > start:
            for j in range(ny):
                for k in range(nz):
                    a = v[0, i - 1, j, k]
                    last[i, j, k] += (a - 2 * _clip(a, limit)) * hx
    return moved, size


@compiled(f'void(i8, {IMAGE}, {VECTOR}, f4, f4)')
def join_slabs(start, out, v, inverse_voxel_x, limit):
    """Add to plane ``start`` of E^T (z - u) what the plane before it contributes."""
    nx, ny, nz = out.shape
    before = start - 1 if start > 0 else nx - 1
    for j in range(ny):
        for k in range(nz):
            a = v[0, before, j, k]
            out[start, j, k] += (a - 2 * _clip(a, limit)) * inverse_voxel_x


@compiled(f'void(i8, i8, {SPECTRUM}, {SPECTRUM}, {IMAGE}, {IMAGE}, f4)')
def solve_spectrum(start, stop, data, sparse, kernel, inverse, penalty):
    """Solve for chi in k-space: data becomes its field's spectrum, sparse its own.

    Parameters
    ----------
    start, stop : int
        Planes to work on.
    data : (nx, ny, nz // 2 + 1) complex64
        In: spectrum of f - s. Out: D chi.
    sparse : (nx, ny, nz // 2 + 1) complex64
        In: spectrum of E^T (z - u). Out: chi = (D data + penalty sparse) inverse.
    kernel, inverse : (nx, ny, nz // 2 + 1) float32
        D and 1 / (D^2 + penalty |E|^2).
    penalty : float32
    """
    for i in range(start, stop):
        for j in range(data.shape[1]):
            for k in range(data.shape[2]):
                d = kernel[i, j, k]
                chi = (d * data[i, j, k] + penalty * sparse[i, j, k]) * inverse[i, j, k]
                sparse[i, j, k] = chi
                data[i, j, k] = d * chi


@compiled(f'void(i8, i8, {IMAGE}, {IMAGE}, {IMAGE}, {IMAGE})')
def fit_squares(start, stop, predicted, dual, field, share):
    """Proximal step of 1/2 || W (f - field) ||^2.

    Parameters
    ----------
    start, stop : int
        Planes of the box to work on.
    predicted : (px, py, pz) float32
        In: D chi. Out, inside the box: f - s.
    dual : (nx, ny, nz) float32
        s; updated.
    field : (nx, ny, nz) float32
    share : (nx, ny, nz) float32
        W^2 / (W^2 + penalty of the splitting of the field); zero where the field is unknown.
    """
    _, ny, nz = field.shape
    for i in range(start, stop):
        for j in range(ny):
            for k in range(nz):
                wanted = predicted[i, j, k] + dual[i, j, k]
                s = share[i, j, k] * (wanted - field[i, j, k])
                dual[i, j, k] = s
                predicted[i, j, k] = wanted - 2 * s


@compiled(f'void(i8, i8, {IMAGE}, {IMAGE}, {IMAGE}, {IMAGE})')
def fit_absolute(start, stop, predicted, dual, field, limit):
    """Proximal step of || W (f - field) ||_1; see :func:`fit_squares`.

    ``limit`` is W over the penalty of the splitting of the field, the largest dual variable.
    """
    _, ny, nz = field.shape
    for i in range(start, stop):
        for j in range(ny):
            for k in range(nz):
                wanted = predicted[i, j, k] + dual[i, j, k]
                s = _clip(wanted - field[i, j, k], limit[i, j, k])
                dual[i, j, k] = s
                predicted[i, j, k] = wanted - 2 * s


@compiled(f'void(i8, i8, {IMAGE}, {IMAGE}, {IMAGE}, {IMAGE}, f4, i8)')
def fit_phase(start, stop, predicted, dual, field, ratio, scale, steps):
    """Proximal step of 1/2 || W (exp(i scale f) - exp(i scale field)) / scale ||^2.

    See :func:`fit_squares`. With r = f - field and t = D chi + s - field every voxel solves
    ratio sin(scale r) / scale + r - t = 0 by Newton's method, starting from where small
    angles would lead; where the cosine is negative the slope counts as 1, which keeps the
    step downhill.

    Parameters
    ----------
    ratio : (nx, ny, nz) float32
        W^2 over the penalty of the splitting of the field.
    scale : float32, rad/ppm
    steps : int
        Newton steps.
    """
    _, ny, nz = field.shape
    for i in range(start, stop):
        for j in range(ny):
            for k in range(nz):
                c = ratio[i, j, k]
                wanted = predicted[i, j, k] + dual[i, j, k]
                if c > 0:
                    target = wanted - field[i, j, k]
                    r = target / (1 + c)
                    for _ in range(steps):
                        slope = 1 + c * max(numba.float32(math.cos(scale * r)), 0)
                        r -= (c * numba.float32(math.sin(scale * r)) / scale + r - target) / slope
                    dual[i, j, k] = target - r
                    predicted[i, j, k] = wanted - 2 * (target - r)
