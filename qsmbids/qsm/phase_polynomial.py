"""A polynomial through a wrapped phase, to take the large smooth part of an offset away."""

from __future__ import annotations

import itertools

import numpy as np

from .grid import Grid

BLOCK_MM = 4.0  # the phase is averaged over blocks of about this size before the fit
RIDGE = 1e-9  # of the mean diagonal: keeps a flat or tiny mask solvable
LENGTH_MM = 100.0  # unit of the coordinates: keeps the normal equations well conditioned
ROUNDS = 4  # of fitting what is left over
OUTLIER = 3.0  # blocks that miss the fit by more than this many median misses do not count


def fit_phase_polynomial(
    phase: np.ndarray, weight: np.ndarray, grid: Grid, order: int
) -> np.ndarray:
    """Fit a polynomial of the coordinates to a phase that may be wrapped.

    Parameters
    ----------
    phase : (nx, ny, nz) float, rad
        Wrapped or not.
    weight : (nx, ny, nz) float
        How much each voxel counts; 0 outside the mask.
    grid : Grid
        Voxel size.
    order : int
        Total degree; 0 gives zeros.

    Returns
    -------
    (nx, ny, nz) float32, rad
        The polynomial, not wrapped, everywhere. Its constant is that of the weighted phase.

    Notes
    -----
    With p = sum_k c_k t_k, a wrapped phase determines the coefficients through differences
    between neighbours, which wrap only where the phase is steeper than half a turn per block:

        min sum w | wrap(phase(r + h) - phase(r)) - sum_k c_k (t_k(r + h) - t_k(r)) |^2.

    What is left over hardly wraps and is fitted as it is, which uses long distances as well
    and is less noisy; blocks far from the fit, as at the edge of a poor mask, do not count. The
    fit works on blocks of about 4 mm, whose mean phasors are far less
    noisy than voxels; it takes a small part of the time of a transform.
    """
    result = np.zeros(grid.shape, np.float32)
    if order < 1 or not np.any(weight > 0):
        return result
    steps = [max(1, round(BLOCK_MM / h)) for h in grid.voxel_size]
    phasor = _block_sum(weight * np.exp(1j * phase), steps)
    share = _block_sum(weight, steps)
    axes = [
        (np.arange(n) + 0.5 - n / 2) * h / LENGTH_MM
        for n, h in zip(grid.shape, grid.voxel_size, strict=True)
    ]
    # blocks that the mask cuts: their centre of weight
    centres = [
        _block_sum(weight * x, steps) / np.where(share > 0, share, 1)
        for x in np.meshgrid(*axes, indexing='ij', sparse=True)
    ]
    powers = [p for p in itertools.product(range(order + 1), repeat=3) if 0 < sum(p) <= order]
    x, y, z = centres
    terms = np.stack([x**i * y**j * z**k for i, j, k in powers])
    coefficients = _fit_differences(phasor, share, terms)
    known = share > 0
    design = np.concatenate([np.ones((1, known.sum())), terms[:, known]])
    constant = 0.0
    for _ in range(ROUNDS):
        model = np.tensordot(coefficients, terms, 1)[known] + constant
        left = np.angle(phasor[known] * np.exp(-1j * model))
        miss = np.abs(left - np.median(left))
        trusted = share[known] * (miss <= OUTLIER * np.median(miss))
        weighted = design * trusted
        change = _solve(_products(weighted, design), _products(weighted, left[None])[:, 0])
        constant += change[0]
        coefficients += change[1:]
    result += np.float32(constant)
    for (i, j, k), c in zip(powers, coefficients, strict=True):
        plane = np.float32(c) * axes[0][:, None] ** i * axes[1] ** j
        result += (plane[..., None] * axes[2] ** k).astype(np.float32)
    return result


def _fit_differences(phasor: np.ndarray, share: np.ndarray, terms: np.ndarray) -> np.ndarray:
    """Return the coefficients that explain the differences between neighbouring blocks."""
    n = len(terms)
    matrix, right = np.zeros((n, n)), np.zeros(n)
    for axis in range(3):
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        weight = np.minimum(share[low], share[high])
        known = weight > 0
        difference = np.angle(phasor[high] * np.conj(phasor[low]))[known]
        rows = (terms[(slice(None), *high)] - terms[(slice(None), *low)])[:, known]
        weighted = rows * weight[known]
        matrix += _products(weighted, rows)
        right += _products(weighted, difference[None])[:, 0]
    return _solve(matrix, right)


def _products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a b^T for long rows; without BLAS, whose threads wait for busy processors."""
    return np.einsum('ik,jk->ij', a, b)


def _solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    scale = np.trace(matrix) / len(matrix)
    if scale <= 0:
        return np.zeros_like(right)
    return np.linalg.solve(matrix + RIDGE * scale * np.eye(len(matrix)), right)


def _block_sum(x: np.ndarray, steps: list[int]) -> np.ndarray:
    """Sum over blocks of ``steps`` voxels; the last block of an axis may be smaller."""
    for axis, step in enumerate(steps):
        x = np.add.reduceat(x, np.arange(0, x.shape[axis], step), axis)
    return x
