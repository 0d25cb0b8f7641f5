"""The smallest local field with a given Laplacian: what PDF and HARPERELLA look for.

A background field is harmonic inside the mask, its Laplacian is zero. So the Laplacian q of
the total field is that of the local field, and the local field is q's solution up to a
harmonic function. The one that is smallest in the mask,

    minimise || W l ||^2   with   A l = q   where the Laplacian can be formed,

leaves as background the harmonic function that explains as much of the total field as
possible (A is the negative 7-point Laplacian). With a Lagrange multiplier per voxel,
l = W^-2 A^T m and

    A W^-2 A^T m = q,

an equation of fourth order for m, zero on the edge of the mask, like that of a clamped plate.
Without W and with a freely turning edge its inverse would be A^-1 A^-1, two problems of
Poisson. One cycle of multigrid for each is the preconditioner, and about ten steps of
conjugate gradients do the rest, whatever the size of the mask.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .multigrid import MaskedPoisson
from .preconditioned import preconditioned_gradient


def smallest_field(
    right: np.ndarray,
    poisson: MaskedPoisson,
    weight_squared: np.ndarray,
    known: np.ndarray,
    *,
    tolerance: float,
    max_iterations: int,
    progress: Callable[[int, float], None] | None = None,
) -> np.ndarray:
    """Return the l with A l = right on the active voxels whose || W l || is smallest.

    Parameters
    ----------
    right : (nx, ny, nz) float32, unit of the field per mm^2
        Negative Laplacian; only active voxels count.
    poisson : MaskedPoisson
        A and its active voxels, each with its six neighbours inside the mask.
    weight_squared : (nx, ny, nz) float32
        W^2, positive where known.
    known : (nx, ny, nz) bool
        The mask; l is zero elsewhere.
    tolerance, max_iterations, progress
        See :func:`preconditioned_gradient`.

    Returns
    -------
    (nx, ny, nz) float32

    Notes
    -----
    No transforms; two cycles of multigrid and six passes per iteration, about 50 bytes per
    voxel.
    """
    spread = np.divide(1, weight_squared, out=np.zeros_like(weight_squared), where=known)

    def field_of(multiplier: np.ndarray) -> np.ndarray:
        field = poisson.apply(multiplier, np.zeros_like(multiplier))
        field *= spread
        return field

    def normal(multiplier: np.ndarray) -> np.ndarray:
        image = poisson.apply(field_of(multiplier), np.zeros_like(multiplier))
        image *= poisson.active
        return image

    def precondition(residual: np.ndarray) -> np.ndarray:
        first = poisson.inverse(residual)
        first *= weight_squared
        return poisson.inverse(first)

    multiplier, _, _ = preconditioned_gradient(
        normal,
        precondition,
        right * poisson.active,
        tolerance=tolerance,
        max_iterations=max_iterations,
        progress=progress,
    )
    return field_of(multiplier)


def touching(active: np.ndarray) -> np.ndarray:
    """Return the active voxels and their six neighbours: where an l other than 0 is possible."""
    reached = active.copy()
    for axis in range(3):
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        reached[low] |= active[high]
        reached[high] |= active[low]
    return reached
