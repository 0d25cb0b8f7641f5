"""A smooth, invertible map from a subject's millimetres to those of the template.

A subject differs from the template by head size and pose (an affine map) and by a smooth
random displacement, a cubic B-spline on coarse control points (Rueckert 1999):

    T(x) = A (x + u(x)) + t,      u(x) = sum_ijk  B_i(x) B_j(y) B_k(z) c_ijk.

Being a tensor product, u costs three small matrix products on any grid along the axes, so
the same head can be drawn at any resolution.

References
----------
Rueckert D, et al. Nonrigid registration using free-form deformations. IEEE Trans Med
Imaging 1999;18:712-721. https://doi.org/10.1109/42.796284
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import BSpline
from scipy.ndimage import gaussian_filter

from qsmbids.atlas.template import mni_template

SPACING_MM = 40.0  # of the control points; features much smaller than a lobe are kept
_EXTENT_MM = 160.0  # control points reach this far from the origin along each axis
_HEAD_MM = 90.0  # half the width of a head
# largest allowed |du/dx|: 1 would be the limit at which the map could fold
_MAX_STRETCH = 0.9
_MAX_ITERATIONS = 100  # 0.9^100 of a few mm is far below any tolerance
_FOLD_STEP_MM = 8.0  # where the Jacobian is looked at: a fifth of the spacing
_ROUNDS = 4
_BRAIN_STEP = 6  # voxels of 1 mm, where the displacement is looked at
_TEMPLATE_CENTRE_MM = (0.0, -15.0, 2.0)  # of a head with neck, in MNI152 millimetres


@dataclass(frozen=True, eq=False)
class Warp:
    """Map from slab to template millimetres.

    Parameters
    ----------
    matrix : (3, 3) float
    offset : (3,) float, mm
    coefficients : (3, n, n, n) float, mm
        B-spline coefficients of the three components of u.
    """

    matrix: np.ndarray
    offset: np.ndarray
    coefficients: np.ndarray

    def on_axes(self, axes: Sequence[np.ndarray]) -> np.ndarray:
        """Map the points of a rectilinear grid.

        Parameters
        ----------
        axes : three 1-D arrays, mm
            Coordinates along x, y and z.

        Returns
        -------
        (3, nx, ny, nz) float32, mm
            Template coordinates.
        """
        bases = [_basis(axis) for axis in axes]
        moved = [
            _tensor_product(c, bases) + np.asarray(x, dtype=np.float32)
            for c, x in zip(
                self.coefficients, np.meshgrid(*axes, indexing='ij', sparse=True), strict=True
            )
        ]
        return np.stack(
            [
                np.float32(row[0]) * moved[0]
                + np.float32(row[1]) * moved[1]
                + np.float32(row[2]) * moved[2]
                + np.float32(shift)
                for row, shift in zip(self.matrix, self.offset, strict=True)
            ]
        )

    def at(self, points: np.ndarray) -> np.ndarray:
        """Map single points, (n, 3) mm to (n, 3) mm."""
        points = np.asarray(points, dtype=float)
        return (points + self._displacement(points)) @ self.matrix.T + self.offset

    def inverse_at(self, points: np.ndarray, *, tolerance_mm: float = 1e-4) -> np.ndarray:
        """Map template points back to the slab, (n, 3) mm to (n, 3) mm.

        Notes
        -----
        Iterates x <- A^-1 (y - t) - u(x). Each round multiplies the error by the stretch of
        u, which is at most ``_MAX_STRETCH`` by construction and about 0.2 in practice.
        """
        target = np.linalg.solve(self.matrix, (np.asarray(points, dtype=float) - self.offset).T).T
        x = target.copy()
        for _ in range(_MAX_ITERATIONS):
            previous, x = x, target - self._displacement(x)
            if np.abs(x - previous).max() < tolerance_mm:
                break
        return x

    def jacobian(self, axes: Sequence[np.ndarray]) -> np.ndarray:
        """Return the determinant of dT/dx on a rectilinear grid; positive = invertible."""
        bases = [_basis(axis) for axis in axes]
        slopes = [_basis(axis, derivative=1) for axis in axes]
        gradient = np.empty((*(len(axis) for axis in axes), 3, 3))
        for i, c in enumerate(self.coefficients):
            for j in range(3):
                mixed = [slopes[k] if k == j else bases[k] for k in range(3)]
                gradient[..., i, j] = _tensor_product(c, mixed) + (i == j)
        return np.linalg.det(gradient) * np.linalg.det(self.matrix)

    def _displacement(self, points: np.ndarray) -> np.ndarray:
        bx, by, bz = (_basis(points[:, axis]) for axis in range(3))
        along_z = np.tensordot(bz, self.coefficients, (1, 3))  # (n, 3, i, j)
        along_yz = (along_z @ by[:, None, :, None])[..., 0]  # (n, 3, i)
        return (along_yz @ bx[:, :, None])[..., 0]


def random_warp(age: float, rng: np.random.Generator, displacement_mm: float) -> Warp:
    """Draw head size, pose and shape of a subject.

    Parameters
    ----------
    age : float, years
        Head size grows quickly in the first years.
    rng : numpy.random.Generator
    displacement_mm : float, mm
        SD of each component of u; less if the map could otherwise fold.

    Returns
    -------
    Warp
    """
    angles = np.radians(rng.normal(0, 2.0, 3))  # how well the slab was set on the head
    size = head_size(age) * (1 + rng.normal(0, 0.015)) * (1 + rng.normal(0, 0.01, 3))
    shift = rng.normal(0, 2.0, 3)
    matrix = np.diag(1 / size) @ _rotation(angles)
    coefficients = _random_coefficients(rng, displacement_mm)
    offset = np.asarray(_TEMPLATE_CENTRE_MM) + matrix @ shift
    return Warp(matrix, offset, coefficients)


def with_greatest_displacement(warp: Warp, greatest_mm: float) -> Warp:
    """Set how far the brain is displaced beyond what an affine map explains.

    Parameters
    ----------
    warp : Warp
        Drawn by :func:`random_warp`; its affine map is kept.
    greatest_mm : float, mm
        Greatest length of u in the brain.

    Returns
    -------
    Warp
        With u' = s (u - L), where L is the affine map that fits u best over the brain, so
        that all of u' has to be undone by a deformable registration.

    Raises
    ------
    ValueError
        If the map could fold.
    """
    template = mni_template()
    every = (slice(None, None, _BRAIN_STEP),) * 3
    voxels = _BRAIN_STEP * np.argwhere(template.brain_mask[every])
    in_template = voxels @ template.affine[:3, :3].T + template.affine[:3, 3]
    # a cubic spline repeats an affine map if its coefficients are the map's values at the
    # control points
    points = np.stack(np.meshgrid(*[_knots()[2:-2]] * 3, indexing='ij'))
    sized = replace(warp, coefficients=np.zeros_like(warp.coefficients))
    u = warp
    for _ in range(_ROUNDS):  # where the brain lies depends on the displacement itself
        brain = sized.inverse_at(in_template)
        design = np.c_[brain, np.ones(len(brain))]
        fit, *_ = np.linalg.lstsq(design, u._displacement(brain), rcond=None)
        affine = np.einsum('ij,i...->j...', fit[:3], points) + fit[3][:, None, None, None]
        bent = replace(warp, coefficients=u.coefficients - affine)
        greatest = np.linalg.norm(bent._displacement(brain), axis=1).max()
        u = sized = replace(
            warp, coefficients=bent.coefficients * greatest_mm / max(greatest, 1e-9)
        )
    axis = np.arange(-_EXTENT_MM, _EXTENT_MM + 1, _FOLD_STEP_MM)
    if sized.jacobian([axis] * 3).min() <= 0:
        raise ValueError(
            f'a displacement of {greatest_mm:g} mm folds the head.\n'
            'A head that is folded has no inverse map to the template.\n'
            'Ask for a smaller displacement, or take another seed.'
        )
    return sized


def head_size(age: float) -> float:
    """Return the linear size of the head relative to the template.

    Notes
    -----
    A choice of this phantom, not a published growth curve: 0.96 in adults (the MNI152
    brain is larger than average), 0.83 at one year.
    """
    return 0.96 * (1 - 0.20 * math.exp(-age / 2.5))


def _random_coefficients(rng: np.random.Generator, displacement_mm: float) -> np.ndarray:
    n = len(_knots()) - 4
    rough = rng.normal(size=(3, n, n, n))
    smooth = np.stack([gaussian_filter(c, 1.0, mode='reflect') for c in rough])
    lattice = [np.linspace(-_HEAD_MM, _HEAD_MM, 17)] * 3
    bases = [_basis(axis) for axis in lattice]
    spread = np.std([_tensor_product(c, bases) for c in smooth])
    smooth *= displacement_mm / spread
    # du/dx is a weighted mean of coefficient steps / spacing, so the steps bound the stretch
    steps = np.array([[np.abs(np.diff(c, axis=j)).max() for j in range(3)] for c in smooth])
    stretch = steps.sum(axis=1).max() / SPACING_MM
    return smooth * min(1.0, _MAX_STRETCH / max(stretch, 1e-9))


def _knots() -> np.ndarray:
    half = round(_EXTENT_MM / SPACING_MM) + 3
    return SPACING_MM * np.arange(-half, half + 1, dtype=float)


def _basis(x: np.ndarray, derivative: int = 0) -> np.ndarray:
    """Values of all B-splines at the points x, (len(x), n) float."""
    knots = _knots()
    inside = np.clip(x, knots[3], knots[-4])
    splines = BSpline(knots, np.eye(len(knots) - 4), 3)
    return np.asarray(splines(inside, nu=derivative))


def _tensor_product(coefficients: np.ndarray, bases: Sequence[np.ndarray]) -> np.ndarray:
    x, y, z = (base.astype(np.float32) for base in bases)
    partial = np.tensordot(x, coefficients.astype(np.float32), (1, 0))  # (nx, j, k)
    partial = np.tensordot(partial, y, (1, 1))  # (nx, k, ny)
    return np.tensordot(partial, z, (1, 1))  # (nx, ny, nz)


def _rotation(angles: np.ndarray) -> np.ndarray:
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x
