"""The two compiled loops of single-step TGV: one half of an iteration each.

Each passes through memory once, row by row and only from the first to the last voxel of the
mask in it; a row stays in the cache while its parts are computed one after the other, in
loops that write one array each, as only such loops are turned into vector instructions.
Arrays carry a margin of one voxel, so that no neighbour is ever outside the array. Values on
edges between voxels (the vector w and the dual p) stand with the lower voxel, values on
faces (mixed derivatives) with the lowest of their four: with sums of absolute values this
makes the result independent of flips and of the order of the axes.
"""

from __future__ import annotations

import numba
import numpy as np

from .compiled import compiled

_IMAGE, _VECTOR, _MASK = 'f4[:, :, ::1]', 'f4[:, :, :, ::1]', 'u1[:, :, ::1]'
_ROW, _BITS = 'f4[::1]', 'u1[::1]'
ONE, TWO = np.float32(1), np.float32(2)  # a plain 2 would turn everything into doubles


@numba.njit('f4(f4, f4)', inline='always')
def _clip(value, limit):
    return min(max(value, -limit), limit)


@numba.njit(
    f'void({_ROW}, {_ROW}, {_ROW}, {_ROW}, {_BITS}, {_BITS}, f4, f4, f4, f4)', fastmath=True
)
def _edge(p, here, there, w, m, n, inverse, step, limit, relax):
    """Set p to clip(p + step ((there - here) / h - w)) on edges with both ends in the mask."""
    for k in range(len(p)):
        s = p[k] + step * ((there[k] - here[k]) * inverse - w[k])
        p[k] += relax * (_clip(s, limit) * np.float32(m[k] & n[k]) - p[k])


@numba.njit(
    f'void({_ROW}, {_ROW}, {_ROW}, {_BITS}, {_BITS}, {_BITS}, f4, f4, f4, f4)', fastmath=True
)
def _node(q, w, before, m, n, o, inverse, step, limit, relax):
    """Set q to clip(q + step (w - before) / h) on voxels with both neighbours in the mask."""
    for k in range(len(q)):
        s = q[k] + step * inverse * (w[k] - before[k])
        q[k] += relax * (_clip(s, limit) * np.float32(m[k] & n[k] & o[k]) - q[k])


@numba.njit(
    f'void({_ROW}, {_ROW}, {_ROW}, {_ROW}, {_ROW}, {_BITS}, {_BITS}, {_BITS}, {_BITS}, '
    'f4, f4, f4, f4, f4)',
    fastmath=True,
)
def _face(q, v, v_next, w, w_next, m, n, o, r, inverse_v, inverse_w, step, limit, relax):
    """Set q to clip(q + step (d v + d w)) on faces with all four voxels in the mask."""
    for k in range(len(q)):
        s = (v_next[k] - v[k]) * inverse_v + (w_next[k] - w[k]) * inverse_w
        s = _clip(q[k] + step * s, limit) * np.float32(m[k] & n[k] & o[k] & r[k])
        q[k] += relax * (s - q[k])


@numba.njit(
    f'void({_ROW}, {_ROW}, {_ROW}, {_ROW}, {_ROW}, {_ROW}, {_ROW}, {_ROW}, f4, f4, f4)',
    fastmath=True,
)
def _add_straight(out, here, xp, xm, yp, ym, zp, zm, ax, ay, az):
    """Add the weighted sum of the second differences along the axes."""
    for k in range(len(out)):
        two = TWO * here[k]
        out[k] += (
            ax * (xp[k] + xm[k] - two) + ay * (yp[k] + ym[k] - two) + az * (zp[k] + zm[k] - two)
        )


@numba.njit(f'void({_ROW}, {_ROW}, {_ROW}, {_ROW}, {_ROW}, f4)', fastmath=True)
def _add_mixed(out, pp, pm, mp, mm, a):
    """Add a times a mixed difference."""
    for k in range(len(out)):
        out[k] += a * (pp[k] - pm[k] - mp[k] + mm[k])


@numba.njit(f'void({_ROW}, {_ROW}, {_ROW}, f4)', fastmath=True)
def _add_difference(out, x, y, a):
    """Add a (x - y)."""
    for k in range(len(out)):
        out[k] += a * (x[k] - y[k])


@numba.njit(f'void({_ROW}, {_IMAGE}, i8, i8, i8, i8, f4[::1], f4)', fastmath=True)
def _add_wave(out, x, i, j, a, b, wave, sign):
    """Add the second differences of x with the weights ``sign wave``, row from a to b."""
    _add_straight(
        out, x[i, j, a:b], x[i + 1, j, a:b], x[i - 1, j, a:b], x[i, j + 1, a:b],
        x[i, j - 1, a:b], x[i, j, a + 1 : b + 1], x[i, j, a - 1 : b - 1],
        sign * wave[0], sign * wave[1], sign * wave[2],
    )  # fmt: skip
    if wave[3] != 0:
        _add_mixed(
            out, x[i + 1, j + 1, a:b], x[i + 1, j - 1, a:b], x[i - 1, j + 1, a:b],
            x[i - 1, j - 1, a:b], sign * wave[3],
        )  # fmt: skip
    if wave[4] != 0:
        _add_mixed(
            out, x[i + 1, j, a + 1 : b + 1], x[i + 1, j, a - 1 : b - 1],
            x[i - 1, j, a + 1 : b + 1], x[i - 1, j, a - 1 : b - 1], sign * wave[4],
        )  # fmt: skip
    if wave[5] != 0:
        _add_mixed(
            out, x[i, j + 1, a + 1 : b + 1], x[i, j + 1, a - 1 : b - 1],
            x[i, j - 1, a + 1 : b + 1], x[i, j - 1, a - 1 : b - 1], sign * wave[5],
        )  # fmt: skip


@numba.njit(f'void({_ROW}, {_ROW}, {_ROW}, {_BITS}, f4, f4)', fastmath=True)
def _move(x, x_next, slope, m, step, relax):
    """Move x by relax times the step, and set x_next to twice the step ahead."""
    for k in range(len(x)):
        x_next[k] = x[k] - TWO * step * slope[k] * np.float32(m[k])
    for k in range(len(x)):
        x[k] += relax * np.float32(0.5) * (x_next[k] - x[k])


@compiled(
    f'void(i8, i8, i4[:, :, ::1], {_MASK}, {_MASK}, {_IMAGE}, {_IMAGE}, {_VECTOR}, {_IMAGE}, '
    f'{_VECTOR}, {_VECTOR}, {_IMAGE}, f4[::1], f4[::1], f4[::1], f4, f4, f4)',
    fastmath=True,
)
def dual_step(
    start, stop, bounds, inside, inner, laplacian, chi, w, psi, p, q, eta,
    inverse_voxel, wave, step, alpha1, alpha0, relax,
):  # fmt: skip
    """Move the dual variables along the gradient and limit them, in place.

        p   <- clip_alpha1( p + step (grad chi - w) )
        q   <- clip_alpha0( q + step sym(grad w) )
        eta <- eta + step (lap psi - wave chi + laplacian)

    Parameters
    ----------
    start, stop : int
        Planes of this call, without the margin.
    bounds : (nx, ny, 2) int32
        First and last + 1 voxel inside the mask of each row; equal for an empty row.
    inside, inner : (nx, ny, nz) uint8
        Mask, and the part of it whose neighbours are in it too.
    laplacian : (nx, ny, nz) float32, ppm/mm^2
        Laplacian of the total field, zero outside ``inner``.
    chi, psi : (nx, ny, nz) float32
        Extrapolated susceptibility and misfit.
    w, p : (3, nx, ny, nz) float32
    q : (6, nx, ny, nz) float32
        xx, yy, zz, xy, xz, yz; the mixed ones count twice in the sum.
    eta : (nx, ny, nz) float32
    inverse_voxel : (3,) float32, 1/mm
    wave : (6,) float32, 1/mm^2
        Weights of the second differences xx, yy, zz and the mixed xy, xz, yz of 1/3 lap - d_b^2.
    step : (10,) float32
        Steps of p, q and eta.
    alpha1, alpha0 : float32
    relax : float32
        Part of the step that is taken: 1 as written above, up to 2.
    """
    hx, hy, hz = inverse_voxel
    lap = np.zeros(6, np.float32)
    lap[0], lap[1], lap[2] = hx * hx, hy * hy, hz * hz
    whole_row = np.empty(inside.shape[2], np.float32)
    for i in range(start + 1, stop + 1):
        for j in range(1, inside.shape[1] - 1):
            a, b = bounds[i, j, 0], bounds[i, j, 1]
            if a == b:
                continue
            m, mk = inside[i, j, a:b], inside[i, j, a + 1 : b + 1]
            mi, mj = inside[i + 1, j, a:b], inside[i, j + 1, a:b]
            c = chi[i, j, a:b]
            u, v, x = w[0, i, j, a:b], w[1, i, j, a:b], w[2, i, j, a:b]
            _edge(p[0, i, j, a:b], c, chi[i + 1, j, a:b], u, m, mi, hx, step[0], alpha1, relax)
            _edge(p[1, i, j, a:b], c, chi[i, j + 1, a:b], v, m, mj, hy, step[1], alpha1, relax)
            _edge(
                p[2, i, j, a:b], c, chi[i, j, a + 1 : b + 1], x, m, mk, hz, step[2], alpha1, relax
            )

            ni, nj, nk = inside[i - 1, j, a:b], inside[i, j - 1, a:b], inside[i, j, a - 1 : b - 1]
            _node(q[0, i, j, a:b], u, w[0, i - 1, j, a:b], m, mi, ni, hx, step[3], alpha0, relax)
            _node(q[1, i, j, a:b], v, w[1, i, j - 1, a:b], m, mj, nj, hy, step[4], alpha0, relax)
            _node(
                q[2, i, j, a:b],
                x,
                w[2, i, j, a - 1 : b - 1],
                m,
                mk,
                nk,
                hz,
                step[5],
                alpha0,
                relax,
            )

            _face(
                q[3, i, j, a:b], u, w[0, i, j + 1, a:b], v, w[1, i + 1, j, a:b],
                m, mi, mj, inside[i + 1, j + 1, a:b], hy, hx, step[6], alpha0, relax,
            )  # fmt: skip
            _face(
                q[4, i, j, a:b], u, w[0, i, j, a + 1 : b + 1], x, w[2, i + 1, j, a:b],
                m, mi, mk, inside[i + 1, j, a + 1 : b + 1], hz, hx, step[7], alpha0, relax,
            )  # fmt: skip
            _face(
                q[5, i, j, a:b], v, w[1, i, j, a + 1 : b + 1], x, w[2, i, j + 1, a:b],
                m, mj, mk, inside[i, j + 1, a + 1 : b + 1], hz, hy, step[8], alpha0, relax,
            )  # fmt: skip

            row, t, good = whole_row[: b - a], eta[i, j, a:b], inner[i, j, a:b]
            row[:] = laplacian[i, j, a:b]
            _add_wave(row, psi, i, j, a, b, lap, ONE)
            _add_wave(row, chi, i, j, a, b, wave, -ONE)
            for k in range(b - a):
                t[k] = (t[k] + relax * step[9] * row[k]) * np.float32(good[k])


@compiled(
    f'UniTuple(f8, 2)(i8, i8, i4[:, :, ::1], {_MASK}, {_IMAGE}, {_IMAGE}, {_VECTOR}, {_IMAGE}, '
    f'{_IMAGE}, {_VECTOR}, {_IMAGE}, {_VECTOR}, {_VECTOR}, {_IMAGE}, f4[::1], f4[::1], f4[::1], '
    'f4)',
    fastmath=True,
)
def primal_step(
    start, stop, bounds, inside, weight, chi, w, psi, chi_next, w_next, psi_next, p, q, eta,
    inverse_voxel, wave, step, relax,
):  # fmt: skip
    """Move the primal variables against the gradient, in place, and extrapolate them.

        chi <- chi - step (grad^T p - wave^T eta)
        w   <- w   - step (sym(grad)^T q - p)
        psi <- (psi - step lap^T eta) / (1 + step weight)
        next = 2 new - old

    Parameters
    ----------
    weight : (nx, ny, nz) float32
        Of the squared misfit.
    chi, w, psi, chi_next, w_next, psi_next : as in :func:`dual_step`
        The first three are updated, the extrapolated ones overwritten.
    step : (5,) float32
        Steps of chi, the three of w, and psi.
    relax : float32
        As in :func:`dual_step`.

    Returns
    -------
    change, size : float
        Sums of squares of the change of chi and of chi.
    """
    hx, hy, hz = inverse_voxel
    lap = np.zeros(6, np.float32)
    lap[0], lap[1], lap[2] = hx * hx, hy * hy, hz * hz
    whole_row = np.empty(inside.shape[2], np.float32)
    change, size = 0.0, 0.0
    for i in range(start + 1, stop + 1):
        for j in range(1, inside.shape[1] - 1):
            a, b = bounds[i, j, 0], bounds[i, j, 1]
            if a == b:
                continue
            m, row = inside[i, j, a:b], whole_row[: b - a]
            old, new, share = psi[i, j, a:b], psi_next[i, j, a:b], weight[i, j, a:b]
            row[:] = 0
            _add_wave(row, eta, i, j, a, b, lap, ONE)
            for k in range(b - a):
                s = (old[k] - step[4] * row[k]) / (ONE + step[4] * share[k])
                new[k] = TWO * s * np.float32(m[k]) - old[k]
            for k in range(b - a):
                old[k] += relax * np.float32(0.5) * (new[k] - old[k])

            p0, p1, p2 = p[0, i, j, a:b], p[1, i, j, a:b], p[2, i, j, a:b]
            row[:] = 0
            _add_difference(row, p[0, i - 1, j, a:b], p0, hx)
            _add_difference(row, p[1, i, j - 1, a:b], p1, hy)
            _add_difference(row, p[2, i, j, a - 1 : b - 1], p2, hz)
            _add_wave(row, eta, i, j, a, b, wave, -ONE)
            c = chi[i, j, a:b]
            _move(c, chi_next[i, j, a:b], row, m, step[0], relax)
            row_change, row_size = np.float32(0), np.float32(0)
            for k in range(b - a):
                moved = row[k] * np.float32(m[k])
                row_change += moved * moved
                row_size += c[k] * c[k]
            change += row_change * (relax * step[0]) ** 2
            size += row_size

            q3, q4, q5 = q[3, i, j, a:b], q[4, i, j, a:b], q[5, i, j, a:b]
            row[:] = 0
            _add_difference(row, q[0, i, j, a:b], q[0, i + 1, j, a:b], hx)
            _add_difference(row, q[3, i, j - 1, a:b], q3, hy)
            _add_difference(row, q[4, i, j, a - 1 : b - 1], q4, hz)
            row -= p0
            _move(w[0, i, j, a:b], w_next[0, i, j, a:b], row, m, step[1], relax)
            row[:] = 0
            _add_difference(row, q[1, i, j, a:b], q[1, i, j + 1, a:b], hy)
            _add_difference(row, q[3, i - 1, j, a:b], q3, hx)
            _add_difference(row, q[5, i, j, a - 1 : b - 1], q5, hz)
            row -= p1
            _move(w[1, i, j, a:b], w_next[1, i, j, a:b], row, m, step[2], relax)
            row[:] = 0
            _add_difference(row, q[2, i, j, a:b], q[2, i, j, a + 1 : b + 1], hz)
            _add_difference(row, q[4, i - 1, j, a:b], q4, hx)
            _add_difference(row, q[5, i, j - 1, a:b], q5, hy)
            row -= p2
            _move(w[2, i, j, a:b], w_next[2, i, j, a:b], row, m, step[3], relax)
    return change, size
