"""Intensity bias of a scan, removed by N4.

Coils see near tissue brighter than far tissue. The measured image is v = u b with the tissue
u and a smooth field b, so log v = log u + log b. N4 sharpens the histogram of log u in turns:
tissues that b smears out become narrow peaks again, and what was taken away, smoothed by a
B-spline, is the next estimate of log b.

The field is smooth, so it is estimated in voxels of `WORKING_MM` and interpolated back: seconds
instead of minutes, whatever the voxel size and however thick the slices are.

References
----------
Tustison NJ, Avants BB, Cook PA, et al. N4ITK: improved N3 bias correction. IEEE Trans Med
Imaging 2010;29:1310-1320. https://doi.org/10.1109/TMI.2010.2046908
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from qsmbids.atlas.images import resample_isotropic, resample_to
from qsmbids.atlas.transforms import to_ants

WORKING_MM = 6.0
MIN_VOXELS = 500  # of the working grid; fewer have no histogram worth sharpening
_ITERATIONS = (50, 50, 30)
_TOLERANCE = 1e-6


def remove_bias(image: np.ndarray, brain: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Divide an image by its intensity bias.

    Parameters
    ----------
    image : (nx, ny, nz) float
        Magnitude or T1w, any unit.
    brain : (nx, ny, nz) bool
        Where the histogram is taken.
    affine : (4, 4) float

    Returns
    -------
    (nx, ny, nz) float32
        Corrected inside the mask, zero outside. A mask that is too small for an estimate
        (`MIN_VOXELS`) gives the image as it is.

    Notes
    -----
    The same result every time with one thread of ITK.
    """
    from qsmbids.atlas.light_ants import ants

    signal = np.where(brain, image, 0).astype(np.float32)
    soft, at = resample_isotropic(brain, affine, WORKING_MM)
    inside = soft > 0.5
    if inside.sum() < MIN_VOXELS or not signal.any():
        return signal
    mean, _ = resample_isotropic(signal, affine, WORKING_MM)
    mean = np.where(inside, mean / np.maximum(soft, 0.5), 0)
    floor = 1e-3 * float(np.percentile(mean[inside], 99))  # the logarithm of zero is nothing
    field = ants.n4_bias_field_correction(
        to_ants(np.where(inside, np.maximum(mean, floor), 0), at),
        mask=to_ants(inside, at),
        shrink_factor=1,
        convergence={'iters': list(_ITERATIONS), 'tol': _TOLERANCE},
        return_bias_field=True,
    ).numpy()
    # every voxel outside takes the bias of the nearest one inside: nothing is divided by a
    # weight that vanishes beyond the edge of the mask
    nearest = ndimage.distance_transform_edt(~inside, return_distances=False, return_indices=True)
    bias = resample_to(field[tuple(nearest)], at, image.shape, affine, mode='nearest')
    return np.where(brain, signal / np.where(brain, bias, 1), 0).astype(np.float32)
