"""How far a simulated head is from the template: what registration has to undo.

Head size and pose are affine and easy to undo. What counts is the displacement that no affine
map explains, and whether the map could fold: its Jacobian determinant, relative to that of the
affine part, is positive everywhere if it does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qsmbids.phantom.pose import PosedWarp
from qsmbids.phantom.warp import Warp

_EVERY_MM = 4.0  # sampling of the brain


@dataclass(frozen=True)
class Deformation:
    """Size of a subject's warp inside the brain.

    Parameters
    ----------
    size : float
        Linear size of the brain relative to the template.
    rotation_deg : float
        Angle between head and template.
    greatest_mm, rms_mm : float, mm
        Displacement that is left after the affine map that fits it best.
    least_jacobian, greatest_jacobian : float
        Local change of volume, without that of the head size; all positive: invertible.
    """

    size: float
    rotation_deg: float
    greatest_mm: float
    rms_mm: float
    least_jacobian: float
    greatest_jacobian: float


def measure_deformation(
    warp: Warp | PosedWarp, axes: Sequence[np.ndarray], brain: np.ndarray
) -> Deformation:
    """Measure the warp of a subject in the brain.

    Parameters
    ----------
    warp : Warp or PosedWarp
        Slab to template.
    axes : three 1-D arrays, mm
        Slab coordinates of the voxels.
    brain : (nx, ny, nz) bool

    Returns
    -------
    Deformation

    Notes
    -----
    With y = T(x) and the affine map A x + t that fits it best over the brain, the residual
    y - (A x + t) lies in template millimetres; it is divided by the size of the head.
    """
    step = [max(1, round(_EVERY_MM / abs(axis[1] - axis[0]))) for axis in axes]
    coarse = tuple(slice(None, None, n) for n in step)
    index = np.nonzero(brain[coarse])
    x = np.stack([axis[::n][i] for axis, n, i in zip(axes, step, index, strict=True)], axis=1)
    y = warp.at(x)
    design = np.c_[x, np.ones(len(x))]
    fit, *_ = np.linalg.lstsq(design, y, rcond=None)
    matrix = fit[:3].T
    left, stretches, right = np.linalg.svd(matrix)
    size = np.cbrt(stretches.prod())  # of the template in terms of the head
    residual = np.linalg.norm(y - design @ fit, axis=1) / size
    turn = left @ right
    angle = np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))
    jacobian = _jacobian(warp, x) / np.linalg.det(matrix)
    return Deformation(
        float(1 / size),
        float(angle),
        float(residual.max()),
        float(np.sqrt((residual**2).mean())),
        float(jacobian.min()),
        float(jacobian.max()),
    )


def _jacobian(warp: Warp | PosedWarp, points: np.ndarray, step_mm: float = 0.5) -> np.ndarray:
    """Return the determinant of dT/dx by central differences, (n,)."""
    columns = [
        (warp.at(points + step_mm * e) - warp.at(points - step_mm * e)) / (2 * step_mm)
        for e in np.eye(3)
    ]
    return np.linalg.det(np.stack(columns, axis=-1))
