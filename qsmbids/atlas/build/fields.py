"""Displacement fields: what a chain of transforms does to points, as an array and as a file.

A transform file maps points of the space it leads to (the fixed one) to points of the image
that is moved. The displacement of such a map phi is u(x) = phi(x) - x in world millimetres,
known on the voxels of a grid. Arrays are RAS; files are ITK displacement fields in LPS.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from qsmbids.atlas.images import voxel_size
from qsmbids.atlas.transforms import RAS_TO_LPS, to_ants

_MAX_ROUNDS = 50
_TOLERANCE = 0.01  # of a voxel


def displacement(
    transforms: Sequence[str], shape: tuple[int, ...], affine: np.ndarray
) -> np.ndarray:
    """Return the displacement of a chain of transforms on a grid.

    Parameters
    ----------
    transforms : sequence of str
        Files in the order of `qsmbids.atlas.transforms.warp`: the last one is the nearest to
        the image that is moved.
    shape, affine
        The grid, in the space that images are brought to.

    Returns
    -------
    (nx, ny, nz, 3) float32, mm
        RAS.
    """
    from qsmbids.atlas.light_ants import ants

    grid = to_ants(np.zeros(shape, dtype=np.float32), affine)
    with tempfile.TemporaryDirectory() as folder:
        path = ants.apply_transforms(
            grid, grid, list(transforms), whichtoinvert=[False] * len(transforms),
            compose=f'{folder}/composed_',
        )  # fmt: skip
        return (ants.image_read(str(path)).numpy() @ RAS_TO_LPS).astype(np.float32)


def write_displacement(path: Path, field: np.ndarray, affine: np.ndarray) -> Path:
    """Write a displacement (RAS mm) as a file that ANTs applies as a transform.

    Parameters
    ----------
    path : Path
        Ends in ``.nii`` or ``.nii.gz``.
    field : (nx, ny, nz, 3) float, mm
    affine : (4, 4) float
    """
    from qsmbids.atlas.light_ants import ants

    size = voxel_size(affine)
    image = ants.from_numpy(
        np.ascontiguousarray(field @ RAS_TO_LPS, dtype=np.float32),
        origin=(RAS_TO_LPS @ affine[:3, 3]).tolist(),
        spacing=size.tolist(),
        direction=RAS_TO_LPS @ (affine[:3, :3] / size),
        has_components=True,
    )
    ants.image_write(image, str(path))
    return Path(path)


def invert_displacement(field: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Return w with y + w(y) the point that x + v(x) = y came from.

    Parameters
    ----------
    field : (nx, ny, nz, 3) float, mm
        v, on a grid; beyond its edge it goes on as at the edge.
    affine : (4, 4) float

    Returns
    -------
    (nx, ny, nz, 3) float32, mm

    Notes
    -----
    Iterates w(y) <- -v(y + w(y)), which converges where v stretches space by less than its
    own length, |dv/dx| < 1.
    """
    to_voxels = np.linalg.inv(affine[:3, :3]).T
    voxels = np.indices(field.shape[:3], dtype=np.float32)
    inverse = np.zeros_like(field, dtype=np.float32)
    for _ in range(_MAX_ROUNDS):
        where = voxels + np.moveaxis(inverse @ to_voxels, -1, 0)
        found = np.stack(
            [-ndimage.map_coordinates(field[..., i], where, order=1, mode='nearest')
             for i in range(3)], axis=-1,
        )  # fmt: skip
        change = float(np.abs((found - inverse) @ to_voxels).max())
        inverse = found
        if change < _TOLERANCE:
            break
    return inverse
