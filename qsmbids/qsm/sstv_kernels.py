"""The compiled loops of single-step total variation, each over planes start to stop."""

from __future__ import annotations

import numba

from .compiled import compiled

IMAGE, VECTOR, SPECTRUM = 'f4[:, :, ::1]', 'f4[:, :, :, ::1]', 'c8[:, :, ::1]'


@compiled(f'void(i8, i8, {SPECTRUM}, {SPECTRUM}, {IMAGE})')
def times_kernel(start, stop, out, spectrum, kernel):
    """Set out to kernel times spectrum."""
    for i in range(start, stop):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                out[i, j, k] = kernel[i, j, k] * spectrum[i, j, k]


@compiled(f'void(i8, i8, {SPECTRUM}, {SPECTRUM}, {IMAGE})')
def add_product(start, stop, total, spectrum, kernel):
    """Add kernel times spectrum to total."""
    for i in range(start, stop):
        for j in range(total.shape[1]):
            for k in range(total.shape[2]):
                total[i, j, k] += kernel[i, j, k] * spectrum[i, j, k]


@compiled(f'void(i8, i8, {SPECTRUM}, {SPECTRUM}, {IMAGE}, f4)')
def solve_map(start, stop, total, sparse, inverse, ratio):
    """Turn total, the sum over rows of kernel f, into the spectrum of the map.

    Parameters
    ----------
    total : (nx, ny, nz // 2 + 1) complex64
        Overwritten with (total + ratio sparse) inverse.
    sparse : (nx, ny, nz // 2 + 1) complex64
        Spectrum of E^T (z - u).
    inverse : (nx, ny, nz // 2 + 1) float32
        1 / (sum of squared kernels + ratio |E|^2).
    ratio : float32
    """
    for i in range(start, stop):
        for j in range(total.shape[1]):
            for k in range(total.shape[2]):
                total[i, j, k] = (total[i, j, k] + ratio * sparse[i, j, k]) * inverse[i, j, k]


@compiled(f'void(i8, i8, {IMAGE}, {IMAGE}, {IMAGE}, {IMAGE}, u1[:, :, ::1], u1)')
def fit_row(start, stop, predicted, dual, field, share, index, number):
    """Proximal step of the misfit in the voxels of one row, see ``splitting_kernels``.

    Parameters
    ----------
    predicted : (px, py, pz) float32
        In: the filtered field of the map. Out, in the voxels of the row: f - s.
    dual, field, share : (nx, ny, nz) float32
        Dual variable of all rows, filtered data, weight against the penalty.
    index : (nx, ny, nz) uint8
        Row of each voxel.
    number : uint8
        This row.
    """
    _, ny, nz = field.shape
    for i in range(start, stop):
        for j in range(ny):
            for k in range(nz):
                if index[i, j, k] == number:
                    wanted = predicted[i, j, k] + dual[i, j, k]
                    s = share[i, j, k] * (wanted - field[i, j, k])
                    dual[i, j, k] = s
                    predicted[i, j, k] = wanted - 2 * s


@numba.njit('f4(f4, f4)', inline='always')
def _clip(value, limit):
    return min(max(value, -limit), limit)


@compiled(f'UniTuple(f8, 2)(i8, i8, {IMAGE}, {IMAGE}, {VECTOR}, u1[:, :, ::1], f4[::1], f4[::1])')
def split_gradient(start, stop, chi, last, v, edges, inverse_voxel, limits):
    """Set v to E chi + clip(v), the splitting of the gradient; see ``splitting_kernels``.

    Parameters
    ----------
    chi, last : (nx, ny, nz) float32
        Map of this iteration and of the last one.
    v : (3, nx, ny, nz) float32
    edges : (nx, ny, nz) uint8
        Bit a is set where the pair along axis a is an edge of the anatomy.
    inverse_voxel : (3,) float32, 1/mm
    limits : (2,) float32
        Soft threshold of ordinary pairs and of edges.

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
                next_k = k + 1 if k + 1 < nz else 0
                here, e = chi[i, j, k], edges[i, j, k]
                step = here - last[i, j, k]
                row_moved += step * step
                row_size += here * here
                a, b, c = v[0, i, j, k], v[1, i, j, k], v[2, i, j, k]
                v[0, i, j, k] = (chi[next_i, j, k] - here) * hx + _clip(a, limits[e & 1])
                v[1, i, j, k] = (chi[i, next_j, k] - here) * hy + _clip(b, limits[e >> 1 & 1])
                v[2, i, j, k] = (chi[i, j, next_k] - here) * hz + _clip(c, limits[e >> 2 & 1])
            moved += row_moved
            size += row_size
    return moved, size


@compiled(f'void(i8, i8, {IMAGE}, {VECTOR}, u1[:, :, ::1], f4[::1], f4[::1])')
def adjoint_of_split(start, stop, out, v, edges, inverse_voxel, limits):
    """Set out to E^T (z - u), where z - u = v - 2 clip(v); see :func:`split_gradient`."""
    nx, ny, nz = out.shape
    hx, hy, hz = inverse_voxel
    for i in range(start, stop):
        last_i = i - 1 if i > 0 else nx - 1
        for j in range(ny):
            last_j = j - 1 if j > 0 else ny - 1
            for k in range(nz):
                last_k = k - 1 if k > 0 else nz - 1
                e = edges[i, j, k]
                x, y, z = v[0, i, j, k], v[1, i, j, k], v[2, i, j, k]
                own = (2 * _clip(x, limits[e & 1]) - x) * hx
                own += (2 * _clip(y, limits[e >> 1 & 1]) - y) * hy
                own += (2 * _clip(z, limits[e >> 2 & 1]) - z) * hz
                x, y, z = v[0, last_i, j, k], v[1, i, last_j, k], v[2, i, j, last_k]
                own += (x - 2 * _clip(x, limits[edges[last_i, j, k] & 1])) * hx
                own += (y - 2 * _clip(y, limits[edges[i, last_j, k] >> 1 & 1])) * hy
                own += (z - 2 * _clip(z, limits[edges[i, j, last_k] >> 2 & 1])) * hz
                out[i, j, k] = own
