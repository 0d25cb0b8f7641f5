"""The grids of single-step TGV: data on each of them, and the way from coarse to fine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

LEAST_VOXELS = 12  # along each axis of a coarser grid: fewer are no picture of the head
MARGIN = ((1, 1), (1, 1), (1, 1))


@dataclass(frozen=True)
class TgvLevel:
    """What one grid knows. All arrays carry a margin of one voxel.

    Attributes
    ----------
    inside : (nx, ny, nz) uint8
        Mask.
    inner : (nx, ny, nz) uint8
        Where the Laplacian is known and no neighbour is outside the mask.
    laplacian : (nx, ny, nz) float32, ppm/mm^2
        Of the total field.
    weight : (nx, ny, nz) float32
        Of the squared misfit; zero outside the mask.
    bounds : (nx, ny, 2) int32
        First and last + 1 voxel of the mask in each row.
    voxel_size : (3,) float, mm
    doubled : (3,) int
        By which factor each axis is coarser than on the next finer grid, 1 or 2.
    """

    inside: np.ndarray
    inner: np.ndarray
    laplacian: np.ndarray
    weight: np.ndarray
    bounds: np.ndarray
    voxel_size: tuple[float, float, float]
    doubled: tuple[int, int, int]

    @classmethod
    def of(
        cls,
        mask: np.ndarray,
        inner: np.ndarray,
        laplacian: np.ndarray,
        weight: np.ndarray,
        voxel_size: Sequence[float],
        doubled: Sequence[int] = (1, 1, 1),
    ) -> TgvLevel:
        """Add the margin to arrays of one shape (nx, ny, nz)."""
        inside = np.pad(mask, MARGIN).view(np.uint8)
        first = inside.argmax(axis=2)
        last = inside.shape[2] - inside[:, :, ::-1].argmax(axis=2)
        empty = ~inside.any(axis=2)
        first[empty] = last[empty] = 1
        return cls(
            inside,
            np.pad(inner, MARGIN).view(np.uint8),
            np.pad(laplacian * inner, MARGIN),
            np.pad(weight, MARGIN),
            np.stack([first, last], axis=2).astype(np.int32),
            tuple(voxel_size),
            tuple(doubled),
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape with the margin."""
        return self.inside.shape

    @property
    def size(self) -> int:
        """Number of voxels in the mask."""
        return int(np.count_nonzero(self.inside))


def coarser(level: TgvLevel) -> TgvLevel | None:
    """Return the next coarser grid, or None if it would show nothing.

    Axes with the finest voxels (up to 1.5 times the least) are halved, so that voxels become
    more alike. A coarse voxel belongs to the mask if half of its voxels do, and has the mean
    of the Laplacians that are known in it: differences commute with means.
    """
    least = min(level.voxel_size)
    doubled = tuple(2 if h < 1.5 * least else 1 for h in level.voxel_size)
    inner_shape = [n - 2 for n in level.shape]
    if any(n // d < LEAST_VOXELS for n, d in zip(inner_shape, doubled, strict=True)):
        return None

    def mean(values: np.ndarray) -> np.ndarray:
        values = values[1:-1, 1:-1, 1:-1].astype(np.float32)
        for axis, d in enumerate(doubled):
            if d == 2:
                if values.shape[axis] % 2:
                    end = [(0, int(a == axis)) for a in range(3)]
                    values = np.pad(values, end)
                values = np.moveaxis(values, axis, 0)
                values = np.moveaxis((values[::2] + values[1::2]) / 2, 0, axis)
        return values

    mask = mean(level.inside) >= 0.5
    known = mean(level.inner)
    structure = ndimage.generate_binary_structure(3, 2)
    inner = ndimage.binary_erosion(mask, structure) & (known >= 0.5)
    if not inner.any():
        return None
    share = np.maximum(mean(level.inside), 1e-6)
    return TgvLevel.of(
        mask,
        inner,
        mean(level.laplacian) / np.maximum(known, 1e-6),
        mean(level.weight) / share * mask,
        [h * d for h, d in zip(level.voxel_size, doubled, strict=True)],
        doubled,
    )


@dataclass(frozen=True)
class TgvState:
    """The variables of the iteration; see ``single_step_kernels``.

    Attributes
    ----------
    chi, psi, eta : (nx, ny, nz) float32
    w, p : (3, nx, ny, nz) float32
    q : (6, nx, ny, nz) float32
    """

    chi: np.ndarray
    psi: np.ndarray
    eta: np.ndarray
    w: np.ndarray
    p: np.ndarray
    q: np.ndarray

    @classmethod
    def zeros(cls, shape: Sequence[int]) -> TgvState:
        """Return the start: nothing anywhere."""
        images = [np.zeros(shape, np.float32) for _ in range(3)]
        return cls(*images, *(np.zeros((n, *shape), np.float32) for n in (3, 3, 6)))

    def refined(self, coarse: TgvLevel, fine: TgvLevel) -> TgvState:
        """Return all variables on the next finer grid, by linear interpolation.

        Only voxels of the mask take part: values beyond its rim would be zero.
        """
        doubled = coarse.doubled
        inside = fine.inside != 0
        share = np.maximum(_interpolate(coarse.inside, doubled, fine.shape), 1e-6)

        def refine(values: np.ndarray) -> np.ndarray:
            return _interpolate(values, doubled, fine.shape) / share * inside

        vectors = (np.stack([refine(v) for v in vector]) for vector in (self.w, self.p, self.q))
        return TgvState(
            refine(self.chi), refine(self.psi), refine(self.eta) * fine.inner, *vectors
        )


def _interpolate(values: np.ndarray, doubled: Sequence[int], shape: Sequence[int]) -> np.ndarray:
    """Interpolate to voxels of half the size along some axes; arrays carry the margin.

    Centres lie a quarter of a coarse voxel from the nearest one. The error of linear
    interpolation is the same for both halves of a voxel, so it is as smooth as the values.
    """
    values = values.astype(np.float32)
    for axis, (d, n) in enumerate(zip(doubled, shape, strict=True)):
        if d == 1:
            continue
        values = np.moveaxis(values, axis, 0)
        fine = np.zeros((2 * len(values) - 2, *values.shape[1:]), np.float32)
        fine[1:-1:2] = 0.75 * values[1:-1] + 0.25 * values[:-2]
        fine[2:-1:2] = 0.75 * values[1:-1] + 0.25 * values[2:]
        values = np.moveaxis(fine[: n - 1], 0, axis)
        end = [(0, int(a == axis)) for a in range(3)]
        values = np.pad(values, end)
    return np.ascontiguousarray(values)
