"""The compiled loops of the multigrid solver of Poisson's equation in a mask.

Every loop works on the planes start <= i < stop of its result, so that threads can share a
level. Arrays have a rim of one voxel that is never active, so neighbours always exist.
A is the negative Laplacian: positive on the diagonal.
"""

from __future__ import annotations

import numpy as np

from .compiled import compiled

IMAGE = 'f4[:, :, ::1]'
FLAGS = 'b1[:, :, ::1]'
TABLE = 'i8[:, ::1], f4[:, ::1]'  # indices and weights along one axis


@compiled(f'void({IMAGE}, {IMAGE}, {FLAGS}, f4[::1], i8, i8, i8)')
def relax(u, right, active, weights, parity, start, stop):
    """One half of a red-black Gauss-Seidel sweep of A u = right on the finest level.

    Parameters
    ----------
    u : (nx, ny, nz) float32
        Changed where active and (i + j + k) % 2 == parity; zero where not active.
    right : (nx, ny, nz) float32
    active : (nx, ny, nz) bool
    weights : (3,) float32, 1/mm^2
        1 / h^2 along each axis.
    """
    wx, wy, wz = weights
    scale = np.float32(1) / (2 * (wx + wy + wz))
    _, ny, nz = u.shape
    for i in range(max(start, 1), min(stop, u.shape[0] - 1)):
        for j in range(1, ny - 1):
            for k in range(1 + (i + j + 1 + parity) % 2, nz - 1, 2):
                if active[i, j, k]:
                    u[i, j, k] = scale * (
                        right[i, j, k]
                        + wx * (u[i - 1, j, k] + u[i + 1, j, k])
                        + wy * (u[i, j - 1, k] + u[i, j + 1, k])
                        + wz * (u[i, j, k - 1] + u[i, j, k + 1])
                    )


@compiled(f'f8({IMAGE}, {IMAGE}, {IMAGE}, {FLAGS}, f4[::1], i8, i8)')
def residual(out, u, right, active, weights, start, stop):
    """Set out to right - A u where active, else 0; return its sum of squares."""
    wx, wy, wz = weights
    diagonal = 2 * (wx + wy + wz)
    _, ny, nz = u.shape
    total = 0.0
    for i in range(max(start, 1), min(stop, u.shape[0] - 1)):
        for j in range(1, ny - 1):
            row = np.float32(0)
            for k in range(1, nz - 1):
                value = (
                    right[i, j, k]
                    - diagonal * u[i, j, k]
                    + wx * (u[i - 1, j, k] + u[i + 1, j, k])
                    + wy * (u[i, j - 1, k] + u[i, j + 1, k])
                    + wz * (u[i, j, k - 1] + u[i, j, k + 1])
                )
                value = value if active[i, j, k] else np.float32(0)
                out[i, j, k] = value
                row += value * value
            total += row
    return total


@compiled(f'void({IMAGE}, {IMAGE}, f4[:, :, :, ::1], i8, i8, i8)')
def relax_coarse(u, right, links, parity, start, stop):
    """One half sweep on a coarse level, where every pair of neighbours has its own weight.

    Parameters
    ----------
    u, right : (nx, ny, nz) float32
    links : (4, nx, ny, nz) float32
        Weights to the next voxel along x, y and z, and the inverse of the diagonal of A,
        which is zero where the level is not active.
    """
    cx, cy, cz, inverse = links[0], links[1], links[2], links[3]
    _, ny, nz = u.shape
    for i in range(max(start, 1), min(stop, u.shape[0] - 1)):
        for j in range(1, ny - 1):
            for k in range(1 + (i + j + 1 + parity) % 2, nz - 1, 2):
                u[i, j, k] = inverse[i, j, k] * (
                    right[i, j, k]
                    + cx[i, j, k] * u[i + 1, j, k]
                    + cx[i - 1, j, k] * u[i - 1, j, k]
                    + cy[i, j, k] * u[i, j + 1, k]
                    + cy[i, j - 1, k] * u[i, j - 1, k]
                    + cz[i, j, k] * u[i, j, k + 1]
                    + cz[i, j, k - 1] * u[i, j, k - 1]
                )


@compiled(f'void({IMAGE}, {IMAGE}, {IMAGE}, f4[:, :, :, ::1], i8, i8)')
def residual_coarse(out, u, right, links, start, stop):
    """Set out to right - A u on a coarse level, zero where it is not active."""
    cx, cy, cz, inverse = links[0], links[1], links[2], links[3]
    _, ny, nz = u.shape
    for i in range(max(start, 1), min(stop, u.shape[0] - 1)):
        for j in range(1, ny - 1):
            for k in range(1, nz - 1):
                if inverse[i, j, k] > 0:
                    out[i, j, k] = (
                        right[i, j, k]
                        - u[i, j, k] / inverse[i, j, k]
                        + cx[i, j, k] * u[i + 1, j, k]
                        + cx[i - 1, j, k] * u[i - 1, j, k]
                        + cy[i, j, k] * u[i, j + 1, k]
                        + cy[i, j - 1, k] * u[i, j - 1, k]
                        + cz[i, j, k] * u[i, j, k + 1]
                        + cz[i, j, k - 1] * u[i, j, k - 1]
                    )


@compiled(f'void({IMAGE}, {IMAGE}, {TABLE}, {TABLE}, {TABLE}, i8, i8)')
def restrict(coarse, fine, rows, row_weights, columns, column_weights, lines, line_weights,
             start, stop):  # fmt: skip
    """Sum the fine level into the coarse one: the exact adjoint of :func:`prolong`.

    Parameters
    ----------
    coarse : (cx, cy, cz) float32
        Overwritten.
    fine : (nx, ny, nz) float32
        Zero where not active.
    rows, row_weights, columns, ... : (cx, 4) int64 and float32, (cy, 4), (cz, 4)
        Which fine indices a coarse one collects along each axis, and their weights.
    """
    _, ny, nz = coarse.shape
    line = np.empty(fine.shape[2], np.float32)
    for i in range(start, stop):
        for j in range(ny):
            line[:] = 0
            for a in range(4):
                for b in range(4):
                    weight = row_weights[i, a] * column_weights[j, b]
                    if weight > 0:
                        source = fine[rows[i, a], columns[j, b]]
                        for k in range(line.size):
                            line[k] += weight * source[k]
            for k in range(nz):
                value = np.float32(0)
                for c in range(4):
                    value += line_weights[k, c] * line[lines[k, c]]
                coarse[i, j, k] = value


@compiled(f'void({IMAGE}, {IMAGE}, {FLAGS}, {TABLE}, {TABLE}, {TABLE}, i8, i8)')
def prolong(fine, coarse, active, rows, row_weights, columns, column_weights, lines,
            line_weights, start, stop):  # fmt: skip
    """Add the coarse level, interpolated linearly, to the active voxels of the fine one.

    Parameters
    ----------
    fine : (nx, ny, nz) float32
        Changed.
    coarse : (cx, cy, cz) float32
    active : (nx, ny, nz) bool
    rows, row_weights, columns, ... : (nx, 2) int64 and float32, (ny, 2), (nz, 2)
        The two coarse neighbours of a fine index along each axis, and their weights.
    """
    _, ny, nz = fine.shape
    line = np.empty(coarse.shape[2], np.float32)
    for i in range(max(start, 1), min(stop, fine.shape[0] - 1)):
        for j in range(1, ny - 1):
            line[:] = 0
            for a in range(2):
                for b in range(2):
                    weight = row_weights[i, a] * column_weights[j, b]
                    if weight > 0:
                        source = coarse[rows[i, a], columns[j, b]]
                        for k in range(line.size):
                            line[k] += weight * source[k]
            for k in range(1, nz - 1):
                if active[i, j, k]:
                    fine[i, j, k] += (
                        line_weights[k, 0] * line[lines[k, 0]]
                        + line_weights[k, 1] * line[lines[k, 1]]
                    )


@compiled(f'void({IMAGE}, {IMAGE}, f4[::1], i8, i8)')
def negative_laplacian(out, u, weights, start, stop):
    """Set out to A u for an image whose rim is zero."""
    wx, wy, wz = weights
    diagonal = 2 * (wx + wy + wz)
    _, ny, nz = u.shape
    for i in range(max(start, 1), min(stop, u.shape[0] - 1)):
        for j in range(1, ny - 1):
            for k in range(1, nz - 1):
                out[i, j, k] = (
                    diagonal * u[i, j, k]
                    - wx * (u[i - 1, j, k] + u[i + 1, j, k])
                    - wy * (u[i, j - 1, k] + u[i, j + 1, k])
                    - wz * (u[i, j, k - 1] + u[i, j, k + 1])
                )
