"""The compiled loops of sparse gradients: splitting by one array, and the change of a map.

Kept apart from ``rts`` so that numba is only imported when something is inverted. One
array v = E chi + u holds the state of the splitting: soft thresholding at t divides it into
z = v - clip(v) and the next u = clip(v), where clip limits to [-t, t]. Three floats per
voxel therefore do the work of nine, and each loop passes through memory once, on slabs of
planes shared by threads. All axes are periodic, as the transforms are.
"""

from __future__ import annotations

from functools import partial

import numba
import numpy as np

from .compiled import compiled, over_slabs

IMAGE, VECTORS = 'f4[:, :, ::1]', 'f4[:, :, :, ::1]'


@numba.njit('f4(f4, f4)', inline='always')
def _clip(value, limit):
    return min(max(value, -limit), limit)


@compiled(f'void({IMAGE}, {VECTORS}, f4[::1], f4, i8, i8)')
def _add_gradient(chi, v, inverse_voxel, limit, start, stop):
    nx, ny, nz = chi.shape
    hx, hy, hz = inverse_voxel
    for i in range(start, stop):
        next_i = (i + 1) % nx
        for j in range(ny):
            next_j = (j + 1) % ny
            for k in range(nz):
                here = chi[i, j, k]
                x, y = v[0, i, j, k], v[1, i, j, k]
                v[0, i, j, k] = (chi[next_i, j, k] - here) * hx + _clip(x, limit)
                v[1, i, j, k] = (chi[i, next_j, k] - here) * hy + _clip(y, limit)
            for k in range(nz - 1):
                difference = (chi[i, j, k + 1] - chi[i, j, k]) * hz
                v[2, i, j, k] = difference + _clip(v[2, i, j, k], limit)
            difference = (chi[i, j, 0] - chi[i, j, nz - 1]) * hz
            v[2, i, j, nz - 1] = difference + _clip(v[2, i, j, nz - 1], limit)


@compiled(f'void({IMAGE}, {VECTORS}, f4[::1], f4, i8, i8)')
def _gradient_adjoint_of_split(out, v, inverse_voxel, limit, start, stop):
    nx, ny, nz = out.shape
    hx, hy, hz = inverse_voxel
    for i in range(start, stop):
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
                z = a - b - 2 * (_clip(a, limit) - _clip(b, limit))
                out[i, j, k] += z * hz


@compiled(f'UniTuple(f8, 2)({IMAGE}, {IMAGE}, i8, i8)', fastmath=True)
def _squares(chi, last, start, stop):
    size = change = 0.0
    for i in range(start, stop):
        for j in range(chi.shape[1]):
            row, row_change = np.float32(0), np.float32(0)
            for k in range(chi.shape[2]):
                row += chi[i, j, k] * chi[i, j, k]
                difference = chi[i, j, k] - last[i, j, k]
                row_change += difference * difference
            size += row
            change += row_change
    return size, change


def add_gradient(chi: np.ndarray, v: np.ndarray, inverse_voxel: np.ndarray, limit: float) -> None:
    """Set v to E chi + clip(v): the forward differences plus the scaled dual variable.

    Parameters
    ----------
    chi : (nx, ny, nz) float32
    v : (3, nx, ny, nz) float32
        In: v of the last iteration. Out: v of this one.
    inverse_voxel : (3,) float32, 1/mm
    limit : float
        Soft threshold t, in the unit of chi per mm.
    """
    loop = partial(_add_gradient, chi, v, inverse_voxel, np.float32(limit))
    over_slabs(loop, chi.shape[0])


def gradient_adjoint_of_split(
    out: np.ndarray, v: np.ndarray, inverse_voxel: np.ndarray, limit: float
) -> None:
    """Set out to E^T (z - u), where z - u = v - 2 clip(v); see :func:`add_gradient`."""
    loop = partial(
        _gradient_adjoint_of_split,
        out, v, inverse_voxel, np.float32(limit),
    )  # fmt: skip
    over_slabs(loop, out.shape[0])


def relative_change(chi: np.ndarray, last: np.ndarray) -> float:
    """Return || chi - last || / || chi ||, and 0 for a map of zeros."""
    parts = over_slabs(partial(_squares, chi, last), chi.shape[0])
    size, change = (sum(part) for part in zip(*parts, strict=True))
    return float(np.sqrt(change / size)) if size > 0 else 0.0
