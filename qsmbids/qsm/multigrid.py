"""Poisson's equation inside a mask, by multigrid.

Find u with A u = q in the active voxels and u = 0 everywhere else, where A is the negative
7-point Laplacian. Gauss-Seidel sweeps remove the error that changes from voxel to voxel
within two sweeps, but smooth errors only slowly; on a grid twice as coarse these are rough
again. One cycle over all levels therefore takes the error down by a constant factor whatever
the size of the mask, for the cost of about three sweeps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

SWEEPS = 2  # before and after each coarse correction
COARSEST_SWEEPS = 12  # on the last level, a few voxels wide
FEWEST_VOXELS = 4  # along an axis that is still coarsened
PARALLEL_VOXELS = 30_000  # smaller levels are not worth a thread


def surrounded(mask: np.ndarray) -> np.ndarray:
    """Return the voxels of a mask whose six neighbours belong to it as well.

    There the 7-point Laplacian of what is known inside the mask can be formed. What lies
    beyond the array is not in the mask.

    Examples
    --------
    >>> surrounded(np.ones((3, 3, 5), bool))[1, 1].tolist()
    [False, True, True, True, False]
    """
    inner = np.zeros_like(mask)
    if min(mask.shape) < 3:
        return inner
    c = (slice(1, -1),) * 3
    inner[c] = mask[c]
    for axis in range(3):
        for shifted in (slice(None, -2), slice(2, None)):
            inner[c] &= mask[tuple(shifted if a == axis else slice(1, -1) for a in range(3))]
    return inner


class MaskedPoisson:
    """The negative Laplacian on the active voxels of a mask, and its inverse.

    Parameters
    ----------
    active : (nx, ny, nz) bool
        Where u is unknown; false on the outermost layer of the array.
    voxel_size : (3,) float, mm

    Notes
    -----
    Coarse voxels join two fine ones along each axis, but an axis is left as it is while its
    voxels are much longer than those of the others, because sweeps work only among equal
    neighbours. The coarse weights of two neighbours are the sums of the fine ones, divided by
    the distance that has grown. A mask of any shape becomes a mask with fuzzy edges: links to
    voxels outside, where u = 0, stay as an addition to the diagonal.

    Memory: 1 byte per voxel for the mask, 4 for the residual, and 24 / 7 for all coarser
    levels; one cycle costs about 10 passes over the finest level.

    References
    ----------
    .. [1] Brandt A. Math Comput 1977;31:333. doi:10.1090/S0025-5718-1977-0431719-X
    .. [2] Trottenberg U, Oosterlee C, Schuller A. Multigrid. Academic Press 2001.
    """

    def __init__(self, active: np.ndarray, voxel_size: Sequence[float]) -> None:
        self.active = np.ascontiguousarray(active)
        self.weights = (1 / np.asarray(voxel_size, float) ** 2).astype(np.float32)
        self.buffer = np.zeros(active.shape, np.float32)
        self.levels: list[_CoarseLevel] = []
        size = np.asarray(voxel_size, float)
        links, sink, flags = _fine_links(self.active, self.weights)
        shape = np.array(active.shape)
        while (shape - 2).max() > FEWEST_VOXELS:
            # an axis waits until the others have caught up
            factors = np.where((shape - 2 > FEWEST_VOXELS) & (size < 1.5 * size.min()), 2, 1)
            if factors.max() == 1:
                # the short axes are exhausted: go on with the shortest that is left
                candidates = np.where(shape - 2 > FEWEST_VOXELS, size, np.inf)
                factors = np.where(candidates < 1.5 * candidates.min(), 2, 1)
            links, sink, flags = _coarsen(links, sink, flags, factors)
            self.levels.append(_CoarseLevel(links, sink, flags, shape, factors))
            shape = np.array(flags.shape)
            size = size * factors

    def apply(self, u: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Set out to A u inside the rim of the array, for u zero on the rim."""
        from .lbv_kernels import negative_laplacian

        _run(lambda a, b: negative_laplacian(out, u, self.weights, a, b), u.shape)
        return out

    def residual_norm(self, u: np.ndarray, right: np.ndarray) -> float:
        """Return the norm of right - A u over the active voxels, kept in ``buffer``."""
        from .lbv_kernels import residual

        squares = _run(
            lambda a, b: residual(self.buffer, u, right, self.active, self.weights, a, b), u.shape
        )
        return float(np.sqrt(sum(squares)))

    def cycle(self, u: np.ndarray, right: np.ndarray) -> None:
        """Improve u by one symmetric V-cycle."""
        from .lbv_kernels import prolong, relax

        def sweep(parity: int) -> None:
            _run(lambda a, b: relax(u, right, self.active, self.weights, parity, a, b), u.shape)

        for _ in range(SWEEPS):
            sweep(0)
            sweep(1)
        if self.levels:
            self.residual_norm(u, right)
            self.levels[0].correct(self.levels[1:], self.buffer)
            correction = self.levels[0].u
            tables = self.levels[0].down
            _run(lambda a, b: prolong(u, correction, self.active, *tables, a, b), u.shape)
        for _ in range(SWEEPS):
            sweep(1)
            sweep(0)

    def inverse(self, right: np.ndarray) -> np.ndarray:
        """Return about the solution for a right side: one cycle, linear and symmetric."""
        u = np.zeros_like(right)
        self.cycle(u, right)
        return u

    def solve(
        self,
        right: np.ndarray,
        *,
        tolerance: float,
        max_cycles: int,
        progress: Callable[[int, float], None] | None = None,
    ) -> np.ndarray:
        """Return u with ||right - A u|| <= tolerance ||right|| over the active voxels."""
        u = np.zeros_like(right)
        start = self.residual_norm(u, right)
        for cycle in range(1, max_cycles + 1):
            if start == 0:
                break
            self.cycle(u, right)
            relative = self.residual_norm(u, right) / start
            if progress is not None:
                progress(cycle, relative)
            if relative <= tolerance:
                break
        return u


class _CoarseLevel:
    """One coarse level: its weights, its buffers, and the way from and to the finer one."""

    def __init__(self, links, sink, flags, fine_shape, factors) -> None:
        shape = flags.shape
        diagonal = sink.copy()
        for axis in range(3):
            diagonal += links[axis] + np.roll(links[axis], 1, axis)
        inverse = np.divide(1, diagonal, out=np.zeros_like(diagonal), where=flags & (diagonal > 0))
        self.links = np.ascontiguousarray(np.stack([*links, inverse]))
        self.flags = flags
        self.u = np.zeros(shape, np.float32)
        self.right = np.zeros(shape, np.float32)
        self.buffer = np.zeros(shape, np.float32)
        self.down, self.up = [], []
        for n, m, f in zip(fine_shape, shape, factors, strict=True):
            index, weight = _interpolation(int(n), int(m), int(f))
            self.down += [index, weight]
            self.up += _adjoint(index, weight, int(m))

    def correct(self, coarser: list[_CoarseLevel], fine_residual: np.ndarray) -> None:
        """Set u to about the solution for the residual of the finer level."""
        from .lbv_kernels import prolong, relax_coarse, residual_coarse, restrict

        u, right, links, shape = self.u, self.right, self.links, self.u.shape
        _run(lambda a, b: restrict(right, fine_residual, *self.up, a, b), shape)
        u[:] = 0

        def sweep(parity: int) -> None:
            _run(lambda a, b: relax_coarse(u, right, links, parity, a, b), shape)

        n_sweeps = SWEEPS if coarser else COARSEST_SWEEPS
        for _ in range(n_sweeps):
            sweep(0)
            sweep(1)
        if coarser:
            _run(lambda a, b: residual_coarse(self.buffer, u, right, links, a, b), shape)
            coarser[0].correct(coarser[1:], self.buffer)
            _run(lambda a, b: prolong(u, coarser[0].u, self.flags, *coarser[0].down, a, b), shape)
        for _ in range(n_sweeps):
            sweep(1)
            sweep(0)


def _run(loop: Callable, shape: Sequence[int]) -> list:
    """Share the planes of a level among threads if it is large."""
    if np.prod(shape) < PARALLEL_VOXELS:
        return [loop(0, shape[0])]
    from .compiled import over_slabs

    return over_slabs(loop, shape[0])


def _fine_links(active: np.ndarray, weights: np.ndarray):
    """Return the weight of each voxel to its next neighbours, and to voxels where u = 0."""
    links, sink = [], np.zeros(active.shape, np.float32)
    for axis, weight in enumerate(weights):
        following = np.roll(active, -1, axis)
        links.append((active & following) * weight)
        sink += (active & ~following) * weight
        sink += (active & ~np.roll(active, 1, axis)) * weight
    return links, sink, active


def _coarsen(links, sink, flags, factors):
    """Return weights, sinks and flags of the next level."""
    coarse_links = []
    shape = [(n - 1) // 2 + 2 if f == 2 else n for n, f in zip(flags.shape, factors, strict=True)]
    for axis, factor in enumerate(factors):
        link = links[axis]
        # a link belongs to the coarse face if it leaves its coarse voxel
        if factor == 2:
            selected = link.copy()
            odd = tuple(slice(1, None, 2) if a == axis else slice(None) for a in range(3))
            selected[odd] = 0  # from 2 I - 1 to 2 I: inside coarse voxel I
            link = selected / np.float32(factor)
        coarse_links.append(_collect(link, shape, factors))
    coarse_sink = _collect(sink, shape, factors)
    coarse_flags = _collect(flags.astype(np.float32), shape, factors) > 0
    return coarse_links, coarse_sink, coarse_flags


def _collect(values: np.ndarray, shape: Sequence[int], factors: Sequence[int]) -> np.ndarray:
    """Sum the voxels 2 I - 1 and 2 I of each coarse voxel I."""
    for axis, (n, f) in enumerate(zip(shape, factors, strict=True)):
        if f == 1:
            continue
        index = [slice(None)] * 3
        pad = [(0, 0)] * 3
        pad[axis] = (1, max(0, 2 * n - 1 - values.shape[axis]))
        padded = np.pad(values, pad)
        index[axis] = slice(0, 2 * n, 2)
        first = padded[tuple(index)]
        index[axis] = slice(1, 2 * n, 2)
        values = first + padded[tuple(index)]
    return values


def _interpolation(n: int, m: int, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the two coarse neighbours of each fine index, and their weights."""
    fine = np.arange(n)
    if factor == 1:
        return np.stack([fine, fine], 1), np.tile(np.float32([1, 0]), (n, 1))
    near = (fine + 1) // 2
    far = np.where(fine % 2 == 1, near - 1, near + 1)
    weight = np.tile(np.float32([0.75, 0.25]), (n, 1))
    weight[far > m - 1, 1] = 0
    return np.stack([np.minimum(near, m - 1), np.clip(far, 0, m - 1)], 1), weight


def _adjoint(index: np.ndarray, weight: np.ndarray, m: int) -> list[np.ndarray]:
    """Return the fine indices and weights that each coarse index collects, at most four."""
    table, weights = np.zeros((m, 4), np.int64), np.zeros((m, 4), np.float32)
    used = np.zeros(m, int)
    for fine in range(len(index)):
        for coarse, w in zip(index[fine], weight[fine], strict=True):
            if w > 0:
                table[coarse, used[coarse]] = fine
                weights[coarse, used[coarse]] = w
                used[coarse] += 1
    return [table, weights]
