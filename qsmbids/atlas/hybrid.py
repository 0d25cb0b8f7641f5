"""The hybrid image: one contrast that shows cortex and ventricles as well as iron-rich nuclei.

A T1-weighted image hardly shows globus pallidus, substantia nigra or dentate, a
susceptibility map hardly shows the cortex. Their difference shows both:

    H = 255 S - mu chi,

with S the T1-weighted image scaled to 0..1 and mu = 400 per ppm, so that 0.1 ppm weigh 40
of 255 grey levels. In a T1-weighted image iron-rich nuclei are nearly as bright as white
matter; the minus sign makes them dark.

References
----------
He C, et al. Brain Struct Funct 2022. https://doi.org/10.1007/s00429-022-02547-1 (hybrid
templates); Zhang Y, et al. NeuroImage 2018;171:176-189 (T1w and QSM together).
"""

from __future__ import annotations

import numpy as np

MU_PER_PPM = 400.0  # grey levels of 255 per ppm of susceptibility, as in MuSus-100
GREY_LEVELS = 255.0


def hybrid_image(
    structural: np.ndarray, chi: np.ndarray, brain: np.ndarray, mu: float = MU_PER_PPM
) -> np.ndarray:
    """Combine a T1w-like image and a susceptibility map.

    Parameters
    ----------
    structural : (nx, ny, nz) float, 0..1
        T1-weighted contrast: white matter brighter than grey matter, fluid dark.
    chi : (nx, ny, nz) float, ppm
        On the same grid; any reference.
    brain : (nx, ny, nz) bool
    mu : float, grey levels per ppm

    Returns
    -------
    (nx, ny, nz) float32
        Referenced so that the darkest brain voxel is 1; zero outside the brain.

    Examples
    --------
    >>> hybrid_image(np.array([1.0, 1.0]), np.array([0.0, 0.1]), np.array([True, True]))
    array([41.,  1.], dtype=float32)
    """
    mixed = GREY_LEVELS * structural - mu * chi
    lowest = mixed[brain].min() if brain.any() else 0.0
    return np.where(brain, mixed - lowest + 1, 0).astype(np.float32)
