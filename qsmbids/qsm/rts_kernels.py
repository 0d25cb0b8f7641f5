"""The two compiled loops of the total-variation step of RTS.

Kept apart from ``rts`` so that numba is only imported when something is inverted. One
array v = E chi + u holds the state of the splitting: soft thresholding at t divides it into
z = v - clip(v) and the next u = clip(v), where clip limits to [-t, t]. Three floats per
voxel therefore do the work of nine, and each loop passes through memory once. All axes are
periodic, as the transforms are.
"""

from __future__ import annotations

import numba

ARRAYS = 'f4[:, :, ::1], f4[:, :, :, ::1], f4[::1], f4'  # one image, v, 1 / voxel size, t


def _compiled(signature: str):
    """Compile for one signature, cached on disk where numba finds a writable folder."""

    def decorate(function):
        try:
            return numba.njit(signature, cache=True, nogil=True)(function)
        except RuntimeError:  # read-only installation and no home: compile in each process
            return numba.njit(signature, nogil=True)(function)

    return decorate


@numba.njit('f4(f4, f4)', inline='always')
def _clip(value, limit):
    return min(max(value, -limit), limit)


@_compiled(f'void({ARRAYS})')
def add_gradient(chi, v, inverse_voxel, limit):
    """Set v to E chi + clip(v): the forward differences plus the scaled dual variable.

    Parameters
    ----------
    chi : (nx, ny, nz) float32
    v : (3, nx, ny, nz) float32
        In: v of the last iteration. Out: v of this one.
    inverse_voxel : (3,) float32, 1/mm
    limit : float32
        Soft threshold, in the unit of chi per mm.
    """
    nx, ny, nz = chi.shape
    hx, hy, hz = inverse_voxel
    for i in range(nx):
        next_i = (i + 1) % nx
        for j in range(ny):
            next_j = (j + 1) % ny
            for k in range(nz):
                here = chi[i, j, k]
                v[0, i, j, k] = (chi[next_i, j, k] - here) * hx + _clip(v[0, i, j, k], limit)
                v[1, i, j, k] = (chi[i, next_j, k] - here) * hy + _clip(v[1, i, j, k], limit)
            for k in range(nz - 1):
                difference = (chi[i, j, k + 1] - chi[i, j, k]) * hz
                v[2, i, j, k] = difference + _clip(v[2, i, j, k], limit)
            difference = (chi[i, j, 0] - chi[i, j, nz - 1]) * hz
            v[2, i, j, nz - 1] = difference + _clip(v[2, i, j, nz - 1], limit)


@_compiled(f'void({ARRAYS})')
def gradient_adjoint_of_split(out, v, inverse_voxel, limit):
    """Set out to E^T (z - u), where z - u = v - 2 clip(v).

    Parameters
    ----------
    out : (nx, ny, nz) float32
        Overwritten.
    v : (3, nx, ny, nz) float32
    inverse_voxel : (3,) float32, 1/mm
    limit : float32
        Soft threshold, in the unit of chi per mm.
    """
    nx, ny, nz = out.shape
    hx, hy, hz = inverse_voxel
    for i in range(nx):
        last_i = (i - 1) % nx
        for j in range(ny):
            last_j = (j - 1) % ny
            for k in range(nz):
                a, b = v[0, last_i, j, k], v[0, i, j, k]
                c, d = v[1, i, last_j, k], v[1, i, j, k]
                x = a - b - 2 * (_clip(a, limit) - _clip(b, limit))
                y = c - d - 2 * (_clip(c, limit) - _clip(d, limit))
                out[i, j, k] = x * hx + y * hy
            for k in range(nz):
                a, b = v[2, i, j, k - 1], v[2, i, j, k]  # k - 1 = -1 is the last voxel
                out[i, j, k] += (a - b - 2 * (_clip(a, limit) - _clip(b, limit))) * hz
