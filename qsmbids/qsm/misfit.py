"""How far a field is from being explained: the noise level that regularisation follows."""

from __future__ import annotations

import numpy as np

SD_PER_MAD = 1.4826  # of a normal distribution
TINY = 1e-12  # ppm; an exact fit has no noise, and nothing is divided by it


def misfit_level(residual: np.ndarray, weight_squared: np.ndarray) -> float:
    """Return the standard deviation of a weighted residual, not misled by outliers.

    The median of |W residual| over the voxels with weight, scaled to the standard deviation
    of a normal distribution. Up to half of the voxels may be arbitrarily wrong. It contains
    whatever the model does not explain, so it stands for the noise of real data, of which
    the thermal part is the smaller one, better than a noise map alone.

    Parameters
    ----------
    residual : (nx, ny, nz) float
        Measured minus predicted field, in any unit.
    weight_squared : (nx, ny, nz) float
        W^2, zero where nothing is known.

    Returns
    -------
    float
        In the unit of the residual for a weight of 1; at least ``TINY``.

    Examples
    --------
    >>> errors = np.random.default_rng(0).normal(0, 2, (20, 20, 20))
    >>> errors[0] = 1e6
    >>> round(misfit_level(errors, np.ones((20, 20, 20))), 1)
    2.1
    """
    known = weight_squared > 0
    weighted = np.abs(residual[known]) * np.sqrt(weight_squared[known])
    return max(SD_PER_MAD * float(np.median(weighted)), TINY)
