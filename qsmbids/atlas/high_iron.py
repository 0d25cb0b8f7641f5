"""The iron-rich part of a nucleus: above which susceptibility a voxel counts as rich in iron.

A nucleus can fill with iron in one part while its mean hardly changes. The method of the
high-iron subregion (Haacke 2010, Liu 2016) therefore counts the voxels above what is usual at
the person's age, the upper bound of a regression on controls. Without controls the bound is

    threshold = curve(age) + offset + 1.96 SD(age),

with the age curve of :mod:`qsmbids.lifespan.prior`, the offset that brings its zero (fluid) to
the reference of the map, and the spread between people of :mod:`qsmbids.lifespan.norm_prior`.
All of it is an **engineering prior, not
published norms**: it finds the same part of a nucleus again and compares groups measured the
same way; it does not say who is abnormal. A norm made of real controls takes its place by giving
another mapping of label to threshold to :func:`~qsmbids.atlas.regions.region_table`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from qsmbids.atlas.asymmetry import region_of
from qsmbids.atlas.geometry import Label
from qsmbids.lifespan.norm_prior import prior_spread
from qsmbids.lifespan.prior import prior_curve

NOTICE = 'engineering prior, not published norms'
UPPER_BOUND_SD = 1.96  # upper end of the 95 % range of a normal distribution
GROUP = 'deep grey'


def high_iron_thresholds(
    age: float | None,
    labels: Sequence[Label],
    offset_ppm: float = 0.0,
    *,
    upper_bound_sd: float = UPPER_BOUND_SD,
) -> dict[int, float]:
    """Return the threshold of each nucleus that has an age curve.

    Parameters
    ----------
    age : float or None, years
        None or not finite: no thresholds.
    labels : sequence of Label
    offset_ppm : float
        Added to the curves, whose zero is fluid, to bring them to the reference of the map.
    upper_bound_sd : float
        How many SD the threshold lies above the curve.

    Returns
    -------
    dict of int to float, ppm
        Value in the label image to threshold; without the regions that have none.

    Examples
    --------
    >>> label = Label(1, 'CaudateLeft', 'CN-L', 'L', 'deep grey', '#4e79a7', 'Caudate')
    >>> round(high_iron_thresholds(62, [label])[1], 4)
    0.0783
    """
    if age is None or not (math.isfinite(age) and age >= 0) or not math.isfinite(offset_ppm):
        return {}
    thresholds = {}
    for label in labels:
        region = region_of(label)
        if label.group.strip().lower() != GROUP:
            continue
        try:
            usual, spread = float(prior_curve(region)(age)), float(prior_spread(region, age))
        except ValueError:  # no curve for this region
            continue
        thresholds[label.index] = usual + offset_ppm + upper_bound_sd * spread
    return thresholds
