r"""The mean shape of a group: what an average image must be moved by to be unbiased.

Each person i has a map phi_i from the points of the average to the points of the person. It
holds where the head lay in the scanner, which is nobody's anatomy, and size and shape, which
are. The first is taken out as the rigid motion R_i that fits phi_i best over the brain:

    v_i(x) = R_i^{-1} phi_i(x) - x.

The average has the mean shape of the group when the mean of v_i is zero everywhere. If it is
not, a point x of the average should lie at y = x + mean v(x). With psi the inverse of that map,
the maps phi_i o psi of the moved average have

    R_i^{-1} phi_i(psi(y)) - y = psi(y) + v_i(psi(y)) - y,    whose mean over i is zero.

So one full step is exact for maps that are exact. It moves size and shear (what an affine map
holds beside the rigid motion) and the local deformation at once.

For linear maps M = R S (polar decomposition) the mean of the stretches S is taken in the
logarithm, so that half and double size have the mean size 1.

References
----------
Avants BB, Yushkevich P, Pluta J, et al. NeuroImage 2010;49:2457-2466.
https://doi.org/10.1016/j.neuroimage.2009.09.062 (average of images and of shape in turn)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy import linalg

from qsmbids.atlas.build.fields import invert_displacement


def rigid_part(points: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Return the rigid motion that fits a map of points best (Kabsch).

    Parameters
    ----------
    points, moved : (n, 3) float, mm

    Returns
    -------
    (4, 4) float
        Maps ``points`` near to ``moved``: rotation and translation.

    References
    ----------
    Kabsch W. Acta Crystallogr A 1976;32:922-923. https://doi.org/10.1107/S0567739476001873
    """
    centre, centre_moved = points.mean(axis=0), moved.mean(axis=0)
    u, _, vt = np.linalg.svd((moved - centre_moved).T @ (points - centre))
    handedness = np.sign(np.linalg.det(u @ vt))
    motion = np.eye(4)
    motion[:3, :3] = u @ np.diag([1, 1, handedness]) @ vt
    motion[:3, 3] = centre_moved - motion[:3, :3] @ centre
    return motion


def shape_displacement(field: np.ndarray, brain: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Take the pose of a head out of a displacement.

    Parameters
    ----------
    field : (nx, ny, nz, 3) float, mm
        phi(x) - x from the average to a person.
    brain : (nx, ny, nz) bool
        Over which the rigid motion is fitted.
    affine : (4, 4) float

    Returns
    -------
    (nx, ny, nz, 3) float32, mm
        v(x), see the head of this module.
    """
    world = _world(brain.shape, affine)
    moved = world + field
    back = np.linalg.inv(rigid_part(world[brain], moved[brain]))
    return (moved @ back[:3, :3].T + back[:3, 3] - world).astype(np.float32)


def shape_update(
    shapes: Iterable[np.ndarray], affine: np.ndarray, step: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the move that gives an average the mean shape of its people.

    Parameters
    ----------
    shapes : iterable of (nx, ny, nz, 3) float, mm
        v_i of each person; they are added up one by one.
    affine : (4, 4) float
    step : float, 0..1
        Fraction of the mean that is moved by.

    Returns
    -------
    update : (nx, ny, nz, 3) float32, mm
        psi(y) - y: from the moved average to the old one, as resampling an image needs.
    inverse : (nx, ny, nz, 3) float32, mm
        From the old average to the moved one.
    """
    total, n = None, 0
    for shape in shapes:
        total = shape.astype(np.float32, copy=True) if total is None else total + shape
        n += 1
    mean = np.float32(step / n) * total
    return invert_displacement(mean, affine), mean


def mean_stretch(matrices: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean size and shear of linear maps, without their rotations.

    Parameters
    ----------
    matrices : sequence of (4, 4) or (3, 3) float
        From a reference to each person.

    Returns
    -------
    (3, 3) float
        Symmetric: exp of the mean of log S_i, with M_i = R_i S_i.

    Examples
    --------
    >>> mean_stretch([np.diag([0.5, 1, 1]), np.diag([2.0, 1, 1])]).round(6).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    logs = []
    for matrix in matrices:
        values, axes = np.linalg.eigh(matrix[:3, :3].T @ matrix[:3, :3])
        logs.append(axes @ np.diag(0.5 * np.log(values)) @ axes.T)
    return linalg.expm(np.mean(logs, axis=0)) + 0.0


def unbiased_start(matrix: np.ndarray, stretch: np.ndarray, centre: Sequence[float]) -> np.ndarray:
    """Return the map from a linear average of the mean size to a person.

    Parameters
    ----------
    matrix : (4, 4) float
        From the reference to the person.
    stretch : (3, 3) float
        From `mean_stretch` of all people.
    centre : (3,) float, mm
        Of the reference brain; it stays in place.
    """
    from_mean = np.eye(4)
    from_mean[:3, :3] = np.linalg.inv(stretch)
    from_mean[:3, 3] = np.asarray(centre) - from_mean[:3, :3] @ np.asarray(centre)
    return matrix @ from_mean


def _world(shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """World points of the voxels, (nx, ny, nz, 3)."""
    voxels = np.stack(np.indices(shape), axis=-1)
    return voxels @ affine[:3, :3].T + affine[:3, 3]
