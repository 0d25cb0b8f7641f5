"""The compiled loops of MEDI: the smoothness term on voxels and two products of spectra.

Kept apart from ``medi`` so that numba is only imported when something is inverted. With P
one factor per pair of neighbours, the smoothness term is E^T P E chi, a stencil of seven
voxels: forming it in one pass saves the three gradient images. All axes are periodic, as
the transforms are, and threads share the planes.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from .compiled import compiled, over_slabs

IMAGE, VECTORS, SPECTRUM = 'f4[:, :, ::1]', 'f4[:, :, :, ::1]', 'c8[:, :, ::1]'


@compiled(f'void({IMAGE}, b1[:, :, :, ::1], {VECTORS}, f4[::1], f4, f4, i8, i8)')
def _pair_weights(chi, edges, weights, inverse_voxel, strength, rounding, start, stop):
    nx, ny, nz = chi.shape
    bx, by, bz = edges.shape[1:]
    hx, hy, hz = inverse_voxel
    flat = rounding * rounding
    for i in range(start, stop):
        next_i = (i + 1) % nx
        for j in range(ny):
            next_j = (j + 1) % ny
            for k in range(nz):
                next_k = k + 1 if k + 1 < nz else 0
                here = chi[i, j, k]
                x = (chi[next_i, j, k] - here) * hx
                y = (chi[i, next_j, k] - here) * hy
                z = (chi[i, j, next_k] - here) * hz
                weights[0, i, j, k] = strength * hx * hx / np.sqrt(x * x + flat)
                weights[1, i, j, k] = strength * hy * hy / np.sqrt(y * y + flat)
                weights[2, i, j, k] = strength * hz * hz / np.sqrt(z * z + flat)
            if i < bx and j < by:
                for axis in range(3):
                    for k in range(bz):
                        if edges[axis, i, j, k]:
                            weights[axis, i, j, k] = 0


@compiled(f'void({IMAGE}, {VECTORS}, {IMAGE}, i8, i8)')
def _smoothness(chi, weights, out, start, stop):
    nx, ny, nz = chi.shape
    for i in range(start, stop):
        last_i, next_i = (i - 1) % nx, (i + 1) % nx
        for j in range(ny):
            last_j, next_j = (j - 1) % ny, (j + 1) % ny
            for k in range(nz):
                here = chi[i, j, k]
                out[i, j, k] = (
                    weights[0, i, j, k] * (here - chi[next_i, j, k])
                    + weights[0, last_i, j, k] * (here - chi[last_i, j, k])
                    + weights[1, i, j, k] * (here - chi[i, next_j, k])
                    + weights[1, i, last_j, k] * (here - chi[i, last_j, k])
                )
            for k in range(nz):
                next_k = k + 1 if k + 1 < nz else 0
                here = chi[i, j, k]
                out[i, j, k] += weights[2, i, j, k] * (here - chi[i, j, next_k])
                out[i, j, k] += weights[2, i, j, k - 1] * (here - chi[i, j, k - 1])


@compiled(f'void({SPECTRUM}, {IMAGE}, {SPECTRUM}, i8, i8)')
def _scale(spectrum, kernel, out, start, stop):
    for i in range(start, stop):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                out[i, j, k] = kernel[i, j, k] * spectrum[i, j, k]


@compiled(f'void({SPECTRUM}, {IMAGE}, {SPECTRUM}, i8, i8)')
def _scale_and_add(spectrum, kernel, other, start, stop):
    for i in range(start, stop):
        for j in range(other.shape[1]):
            for k in range(other.shape[2]):
                spectrum[i, j, k] = kernel[i, j, k] * spectrum[i, j, k] + other[i, j, k]


def pair_weights(
    chi: np.ndarray,
    edges: np.ndarray,
    weights: np.ndarray,
    inverse_voxel: np.ndarray,
    strength: float,
    rounding: float,
) -> None:
    """Set the weights of pairs so that E^T P E chi is the slope of the rounded |E chi|.

    Parameters
    ----------
    chi : (nx, ny, nz) float32
    edges : (3, bx, by, bz) bool
        Pairs without penalty, in the corner of the array; none elsewhere.
    weights : (3, nx, ny, nz) float32
        Output: strength / (h^2 sqrt((E chi)^2 + rounding^2)), zero at edges.
    inverse_voxel : (3,) float32, 1/mm
    strength : float
        Factor of the penalty.
    rounding : float
        Gradient below which the penalty is quadratic, in the unit of chi per mm.
    """
    loop = partial(
        _pair_weights, chi, edges, weights, inverse_voxel,
        np.float32(strength), np.float32(rounding),
    )  # fmt: skip
    over_slabs(loop, chi.shape[0])


def smoothness(chi: np.ndarray, weights: np.ndarray, out: np.ndarray) -> None:
    """Set out to E^T P E chi, with the weights of :func:`pair_weights` (which hold 1 / h^2)."""
    over_slabs(partial(_smoothness, chi, weights, out), chi.shape[0])


def scale(spectrum: np.ndarray, kernel: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Set out to kernel spectrum, and return it."""
    over_slabs(partial(_scale, spectrum, kernel, out), out.shape[0])
    return out


def scale_and_add(spectrum: np.ndarray, kernel: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Set spectrum to kernel spectrum + other, and return it."""
    over_slabs(partial(_scale_and_add, spectrum, kernel, other), other.shape[0])
    return spectrum
