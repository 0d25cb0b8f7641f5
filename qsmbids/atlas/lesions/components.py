"""The pieces of a marking: connected lesions, where their edge is and what lies around them.

A marking is an image of whole numbers on the grid of the scan, 0 for nothing. Everything is
measured in a window round each piece, so that a hundred small lesions cost hardly more than
one.

*Edge.* The surface of a piece is that of its voxels, boxes with sharp corners. The distance of
a voxel centre from it, d, is negative inside. On an isotropic grid the outermost voxels of a
lesion have d = -1/2 voxel. Distances are in millimetres, so anisotropic voxels count as they
are; a *shell* is as wide as the cube root of the volume of a voxel.

*Local background.* A lesion is compared with what it lies in, not with the reference of the
map: the median of the voxels 2 to 4 shells away, without other markings and their next
neighbours, inside the voxels in which susceptibility was reconstructed. The spread of these
voxels (1.4826 times their median absolute deviation) serves as the noise: it holds what the
scanner adds as well as what tissue and inversion add.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

RING_SHELLS = (2.0, 4.0)  # the local background, in shells from the edge
MIN_RING_VOXELS = 20  # fewer do not tell what a lesion lies in
NOISE_FLOOR_PPM = 0.001  # no map is better than that
CORRELATED_VOXELS = 8  # neighbours share their noise: about so many make one independent value
MIN_COVERAGE = 0.5  # share of reliable voxels below which statistics are n/a
_NEIGHBOURS = np.ones((3, 3, 3), dtype=bool)  # 26 of them
_MAD_TO_SD = 1.4826  # of a normal distribution

Window = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Component:
    """One piece of a marking.

    Parameters
    ----------
    value : int
        Of the marking.
    window : tuple of slice
        The part of the image that holds the piece and its surroundings.
    inside : (wx, wy, wz) bool
        Voxels of the piece, in the window.
    """

    value: int
    window: Window
    inside: np.ndarray

    @property
    def n_voxels(self) -> int:
        """Number of voxels."""
        return int(self.inside.sum())

    def indices(self) -> np.ndarray:
        """Return the voxel indices in the whole image, (n, 3) int."""
        return np.argwhere(self.inside) + [s.start for s in self.window]


@dataclass(frozen=True)
class Background:
    """What a lesion lies in; NaN when there are too few voxels to tell."""

    median: float
    noise: float
    n_voxels: int


def find_components(
    labels: np.ndarray, voxel_size: Sequence[float], *, connected: bool = True
) -> list[Component]:
    """Take a marking apart.

    Parameters
    ----------
    labels : (nx, ny, nz) int
        0 and below are nothing; every other value is a marking of its own.
    voxel_size : (3,) float, mm
    connected : bool
        Split each value into pieces whose voxels touch (faces, edges or corners); else each
        value is one piece.

    Returns
    -------
    list of Component
        By value, the largest first.

    Examples
    --------
    >>> marking = np.zeros((9, 5, 5), int)
    >>> marking[1:3, 2, 2] = marking[6, 2, 2] = 4
    >>> [(c.value, c.n_voxels) for c in find_components(marking, (1, 1, 1))]
    [(4, 2), (4, 1)]
    """
    marked = labels > 0
    values, order = np.unique(labels[marked], return_inverse=True)
    dense = np.zeros(labels.shape, dtype=np.int32)  # 1, 2 ... in the order of the values
    dense[marked] = order + 1
    found = []
    for number, (value, box) in enumerate(
        zip(values, ndimage.find_objects(dense), strict=True), start=1
    ):
        own = dense[box] == number
        pieces = ndimage.label(own, _NEIGHBOURS)[0] if connected else own.astype(int)
        parts = []
        for piece, part in enumerate(ndimage.find_objects(pieces), start=1):
            where = tuple(
                slice(b.start + p.start, b.start + p.stop) for b, p in zip(box, part, strict=True)
            )
            parts.append(_windowed(int(value), pieces[part] == piece, where, labels.shape,
                                 voxel_size))  # fmt: skip
        found += sorted(parts, key=lambda c: -c.n_voxels)
    return found


def shell_width(voxel_size: Sequence[float]) -> float:
    """Return the width of one shell, mm: the cube root of the volume of a voxel.

    Examples
    --------
    >>> shell_width((0.5, 0.5, 4.0))
    1.0
    """
    return round(math.prod(voxel_size) ** (1 / 3), 9)


def signed_distance(inside: np.ndarray, voxel_size: Sequence[float]) -> np.ndarray:
    """Return how far each voxel centre is from the surface of a piece.

    Parameters
    ----------
    inside : (nx, ny, nz) bool
    voxel_size : (3,) float, mm

    Returns
    -------
    (nx, ny, nz) float, mm
        Negative inside. What lies beyond the array counts as outside.

    Notes
    -----
    To the box of the voxel whose centre is nearest on the other side, which is the nearest
    box but for strongly anisotropic voxels.

    Examples
    --------
    >>> signed_distance(np.array([[[False, True, True, True, False, False]]]), (9, 9, 1))[0, 0]
    array([ 0.5, -0.5, -1.5, -0.5,  0.5,  1.5])
    """
    padded = np.pad(inside, 1)
    distance = np.where(padded, -_to_box(padded, voxel_size), _to_box(~padded, voxel_size))
    return distance[1:-1, 1:-1, 1:-1]


def free_voxels(component: Component, reliable: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """Return the reliable voxels of the window that no other marking and its neighbours have.

    Parameters
    ----------
    component : Component
    reliable : (nx, ny, nz) bool
    marked : (nx, ny, nz) bool
        All markings, this piece among them.
    """
    others = marked[component.window] & ~component.inside
    others = ndimage.binary_dilation(others, _NEIGHBOURS) & ~component.inside
    return reliable[component.window] & ~others


def local_background(
    chi: np.ndarray, distance: np.ndarray, free: np.ndarray, shell_mm: float
) -> Background:
    """Return the level and the noise of the ring round a piece.

    Parameters
    ----------
    chi : (wx, wy, wz) float, ppm
        In the window.
    distance : (wx, wy, wz) float, mm
        From :func:`signed_distance`.
    free : (wx, wy, wz) bool
        From :func:`free_voxels`.
    shell_mm : float
    """
    low, high = (shell_mm * n for n in RING_SHELLS)
    values = chi[(distance >= low) & (distance < high) & free].astype(np.float64)
    if values.size < MIN_RING_VOXELS:
        return Background(math.nan, math.nan, values.size)
    level = float(np.median(values))
    spread = _MAD_TO_SD * float(np.median(np.abs(values - level)))
    return Background(level, max(spread, NOISE_FLOOR_PPM), values.size)


def mean_noise(noise: float, n_voxels: int) -> float:
    """Return the noise of a mean over voxels that share their noise with their neighbours.

    Examples
    --------
    >>> mean_noise(0.01, 8), mean_noise(0.01, 800)
    (0.01, 0.001)
    """
    if n_voxels == 0:
        return math.nan
    return noise * math.sqrt(min(1.0, CORRELATED_VOXELS / n_voxels))


def place(component: Component, affine: np.ndarray) -> dict[str, float | int]:
    """Return where a piece is: its centre in scanner mm and its voxel nearest to that."""
    voxels = component.indices()
    centre = voxels.mean(axis=0)
    scale = np.linalg.norm(affine[:3, :3], axis=0)
    nearest = voxels[np.argmin((((voxels - centre) * scale) ** 2).sum(axis=1))]
    x, y, z = affine[:3, :3] @ centre + affine[:3, 3]
    i, j, k = (int(n) for n in nearest)
    return {'x_mm': float(x), 'y_mm': float(y), 'z_mm': float(z), 'i': i, 'j': j, 'k': k}


def longest_axis(component: Component, voxel_size: Sequence[float]) -> float:
    """Return the longest extent, mm: between the centres of two voxels, and one shell.

    Looked for along 256 directions, which misses at most a percent.
    """
    surface = component.inside & ~ndimage.binary_erosion(component.inside)
    points = np.argwhere(surface) * np.asarray(voxel_size, dtype=float)
    along = (points @ direction.T for direction in np.array_split(directions(256), 16))
    return max(float(np.ptp(a, axis=0).max()) for a in along) + shell_width(voxel_size)


def directions(n: int) -> np.ndarray:
    """Return unit vectors spread evenly over the sphere on a Fibonacci spiral, (n, 3)."""
    step = np.arange(n) + 0.5
    z = 1 - 2 * step / n
    angle = np.pi * (1 + math.sqrt(5)) * step
    across = np.sqrt(1 - z**2)
    return np.stack([across * np.cos(angle), across * np.sin(angle), z], axis=1)


def _windowed(
    value: int,
    inside: np.ndarray,
    where: Window,
    shape: Sequence[int],
    voxel_size: Sequence[float],
) -> Component:
    """Return a piece with room for its surroundings."""
    reach = RING_SHELLS[1] * shell_width(voxel_size)
    margins = [math.ceil(reach / h) + 1 for h in voxel_size]
    window = tuple(
        slice(max(0, s.start - m), min(n, s.stop + m))
        for s, m, n in zip(where, margins, shape, strict=True)
    )
    room = np.zeros([s.stop - s.start for s in window], dtype=bool)
    room[
        tuple(
            slice(s.start - w.start, s.stop - w.start) for s, w in zip(where, window, strict=True)
        )
    ] = inside
    return Component(value, window, room)


def _to_box(mask: np.ndarray, voxel_size: Sequence[float]) -> np.ndarray:
    """Return the distance of each voxel centre of a mask to the nearest box that is not in it."""
    nearest = ndimage.distance_transform_edt(
        mask, sampling=voxel_size, return_distances=False, return_indices=True
    )
    squared = np.zeros(mask.shape)
    for axis, (index, h) in enumerate(zip(nearest, voxel_size, strict=True)):
        own = np.arange(mask.shape[axis]).reshape([-1 if a == axis else 1 for a in range(3)])
        squared += (np.maximum(np.abs(index - own) - 0.5, 0) * h) ** 2
    return np.sqrt(squared)
