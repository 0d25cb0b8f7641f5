"""Closed triangle surfaces: a sphere to start from, normals, and the way to a mask."""

from __future__ import annotations

import numpy as np
from scipy import sparse


class Surface:
    """A sphere-like surface of fixed connectivity, made by subdividing an icosahedron.

    Parameters
    ----------
    subdivisions : int
        Every subdivision parts each triangle into four; 4 gives 2562 vertices and 5120
        triangles.

    Attributes
    ----------
    sphere : (n_vertex, 3) float
        Vertices on the unit sphere.
    triangles : (n_triangle, 3) int
        Vertex numbers, counter-clockwise seen from outside.

    Examples
    --------
    >>> surface = Surface(4)
    >>> surface.sphere.shape, surface.triangles.shape
    ((2562, 3), (5120, 3))
    """

    def __init__(self, subdivisions: int) -> None:
        self.sphere, self.triangles = _icosahedron()
        for _ in range(subdivisions):
            self.sphere, self.triangles = _subdivided(self.sphere, self.triangles)
        n_vertex, n_triangle = len(self.sphere), len(self.triangles)
        a, b, c = self.triangles.T
        # each edge stands in the two triangles beside it, once in either direction
        start, end = np.concatenate([a, b, c]), np.concatenate([b, c, a])
        ones = np.ones(start.size)
        neighbours = sparse.csr_array((ones, (start, end)), shape=(n_vertex, n_vertex))
        degree = neighbours.sum(axis=1)
        self._edges = start[start < end], end[start < end]
        self._mean_of_neighbours = sparse.csr_array(neighbours / degree[:, None])
        corners = np.tile(np.arange(n_triangle), 3)
        self._triangles_of_vertex = sparse.csr_array(
            (ones, (self.triangles.T.ravel(), corners)), shape=(n_vertex, n_triangle)
        )

    def mean_of_neighbours(self, values: np.ndarray) -> np.ndarray:
        """Return for each vertex the mean of values (n_vertex, ...) over its neighbours."""
        return self._mean_of_neighbours @ values

    def normals(self, vertices: np.ndarray) -> np.ndarray:
        """Return outward unit normals (n_vertex, 3) of the surface with these vertices."""
        a, b, c = vertices[self.triangles.T]
        normal = self._triangles_of_vertex @ np.cross(b - a, c - a)
        return normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)

    def mean_edge_length(self, vertices: np.ndarray) -> float:
        """Return the mean distance of neighbouring vertices."""
        start, end = self._edges
        return float(np.linalg.norm(vertices[start] - vertices[end], axis=1).mean())


def voxelise(
    vertices: np.ndarray, triangles: np.ndarray, shape: tuple[int, int, int]
) -> np.ndarray:
    """Return the voxels whose centres lie inside a closed surface.

    Parameters
    ----------
    vertices : (n_vertex, 3) float, voxels
        Voxel centres are at whole numbers.
    triangles : (n_triangle, 3) int
        Counter-clockwise seen from outside.
    shape : (3,) int
        Shape of the mask. The surface may reach beyond it.

    Returns
    -------
    shape bool

    Notes
    -----
    Along each line of voxels parallel to the last axis, every triangle that is crossed from
    below adds +1 (its inside begins) or -1 (it ends) at the next voxel centre. The running
    sum is the winding number, which is positive inside, also where a surface crosses itself.
    """
    # a shift by an odd fraction of a voxel keeps vertices and edges off the lines
    corners = (np.asarray(vertices, float) + np.array([1.37e-5, 2.71e-5, 0.0]))[triangles]
    x, y, z = corners[..., 0], corners[..., 1], corners[..., 2]
    pairs = [_columns(x, shape[0]), _columns(y, shape[1])]
    (x_first, x_count), (y_first, y_count) = pairs
    # one row per triangle and line within the triangle's bounding rectangle
    count = x_count * y_count
    which = np.repeat(np.arange(len(triangles)), count)
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    i = x_first[which] + within // y_count[which]
    j = y_first[which] + within % y_count[which]

    ax, bx, cx = (x[which, k] - i for k in range(3))
    ay, by, cy = (y[which, k] - j for k in range(3))
    # twice the signed areas of the line's point with each side; they add up to the whole
    toward_a, toward_b, toward_c = bx * cy - cx * by, cx * ay - ax * cy, ax * by - bx * ay
    area = toward_a + toward_b + toward_c
    hit = (np.minimum(np.minimum(toward_a, toward_b), toward_c) >= 0) | (
        np.maximum(np.maximum(toward_a, toward_b), toward_c) <= 0
    )
    hit &= area != 0
    which, i, j, area = which[hit], i[hit], j[hit], area[hit]
    height = (
        toward_a[hit] * z[which, 0] + toward_b[hit] * z[which, 1] + toward_c[hit] * z[which, 2]
    ) / area
    k = np.clip(np.ceil(height), 0, shape[2]).astype(int)

    # area > 0 is a triangle whose outside is above: there the inside ends
    winding = np.zeros((*shape[:2], shape[2] + 1), np.int16)
    np.add.at(winding, (i, j, k), np.where(area > 0, -1, 1).astype(np.int16))
    return np.cumsum(winding, axis=2, dtype=np.int16)[..., :-1] > 0


def _columns(coordinate: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return first index and number of voxel centres in the range of each triangle."""
    first = np.clip(np.ceil(coordinate.min(axis=1)), 0, n).astype(int)
    last = np.clip(np.floor(coordinate.max(axis=1)), -1, n - 1).astype(int)
    return first, np.maximum(last - first + 1, 0)


def _icosahedron() -> tuple[np.ndarray, np.ndarray]:
    """Return the 12 vertices on the unit sphere and the 20 triangles."""
    golden = (1 + np.sqrt(5)) / 2
    corners = [(0, s, t * golden) for s in (-1, 1) for t in (-1, 1)]
    vertices = np.array([np.roll(c, shift) for shift in range(3) for c in corners])
    vertices /= np.linalg.norm(vertices, axis=1, keepdims=True)
    # triangles are the triples of mutually nearest vertices
    distance = np.linalg.norm(vertices[:, None] - vertices[None], axis=2)
    near = (distance > 0) & (distance < 1.06)
    triangles = [
        (a, b, c)
        for a in range(12)
        for b in range(a + 1, 12)
        for c in range(b + 1, 12)
        if near[a, b] and near[b, c] and near[a, c]
    ]
    outward = [
        (a, b, c) if np.linalg.det(vertices[[a, b, c]]) > 0 else (a, c, b) for a, b, c in triangles
    ]
    return vertices, np.array(outward)


def _subdivided(vertices: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Part each triangle into four, with the new vertices pushed out to the sphere."""
    a, b, c = triangles.T
    sides = np.sort(np.concatenate([[a, b], [b, c], [c, a]], axis=1).T, axis=1)
    unique, number = np.unique(sides, axis=0, return_inverse=True)
    middle = vertices[unique].sum(axis=1)
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    ab, bc, ca = len(vertices) + number.reshape(3, -1)
    finer = [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]
    return np.concatenate([vertices, middle]), np.concatenate([np.stack(t, 1) for t in finer])
