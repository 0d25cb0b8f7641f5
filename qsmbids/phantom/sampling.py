"""Reading template volumes at warped points; plain numpy, in single precision."""

from __future__ import annotations

import itertools

import numpy as np


def nearest(
    volume: np.ndarray,
    points: np.ndarray,
    origin: np.ndarray,
    step: float,
    *,
    outside: int | None = None,
) -> np.ndarray:
    """Read the voxel that each point lies in.

    Parameters
    ----------
    volume : (nx, ny, nz) array
    points : (3, ...) float, mm
    origin : (3,) float, mm
        Centre of the first voxel.
    step : float, mm
        Voxel size.
    outside : int, optional
        Value beyond the volume; by default that of the nearest voxel of its edge.

    Returns
    -------
    (...) array of the volume's type
    """
    flat = np.zeros(points.shape[1:], dtype=np.intp)
    valid = np.ones(points.shape[1:], dtype=bool)
    for coordinate, start, n in zip(points, origin, volume.shape, strict=True):
        i = np.rint((coordinate - np.float32(start)) / np.float32(step)).astype(np.int32)
        if outside is not None:
            valid &= (i >= 0) & (i < n)
        flat *= n
        flat += np.clip(i, 0, n - 1)
    values = volume.reshape(-1)[flat]
    return values if outside is None else np.where(valid, values, volume.dtype.type(outside))


def linear(volume: np.ndarray, points: np.ndarray, origin: np.ndarray, step: float) -> np.ndarray:
    """Interpolate linearly between voxels; beyond the edge, the edge goes on.

    Parameters
    ----------
    volume : (nx, ny, nz) float32
    points : (3, n) float32, mm
    origin : (3,) float, mm
        Centre of the first voxel.
    step : float, mm
        Voxel size.

    Returns
    -------
    (n,) float32
    """
    low, weight = [], []
    for coordinate, start, n in zip(points, origin, volume.shape, strict=True):
        position = (coordinate - np.float32(start)) / np.float32(step)
        i = np.clip(position.astype(np.int32), 0, n - 2)
        low.append(i)
        weight.append(np.clip(position - i, 0, 1))
    flat = volume.reshape(-1)
    _, ny, nz = volume.shape
    first = (low[0].astype(np.intp) * ny + low[1]) * nz + low[2]
    total = np.zeros(points.shape[1], dtype=np.float32)
    for corner in itertools.product((0, 1), repeat=3):
        dx, dy, dz = corner
        part = flat[first + ((dx * ny + dy) * nz + dz)]
        for d, w in zip(corner, weight, strict=True):
            part = part * (w if d else 1 - w)
        total += part
    return total
