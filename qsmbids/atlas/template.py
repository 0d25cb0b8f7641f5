"""The MNI152 template that ships with nilearn: T1-weighted brain, tissue maps, mask.

It is the ICBM 2009a nonlinear *symmetric* average at 1 mm (the images are equal to their
mirror images voxel by voxel), 197 x 233 x 189 voxels, skull-stripped.

References
----------
Fonov V, Evans AC, Botteron K, et al. Unbiased average age-appropriate atlases for pediatric
studies. NeuroImage 2011;54:313-327. https://doi.org/10.1016/j.neuroimage.2010.07.033
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

LICENCE = (
    'Copyright (C) 1993-2009 Louis Collins, McConnell Brain Imaging Centre, Montreal '
    'Neurological Institute, McGill University. Permission to use, copy, modify, and '
    'distribute this software and its documentation for any purpose and without fee is '
    'hereby granted, provided that the above copyright notice appear in all copies.'
)


class MniTemplate(NamedTuple):
    """Arrays of the template, all (197, 233, 189) on one grid, read-only.

    Attributes
    ----------
    t1w : float32
        T1-weighted brain, 0 to 1, zero outside the brain.
    gm, wm : float32
        Probability of grey and of white matter, 0 to 1.
    brain_mask : bool
        The brain with its ventricles and sulci, no holes.
    affine : (4, 4) float
        Voxel indices to MNI152 millimetres (RAS).
    """

    t1w: np.ndarray
    gm: np.ndarray
    wm: np.ndarray
    brain_mask: np.ndarray
    affine: np.ndarray

    @property
    def csf(self) -> np.ndarray:
        """Probability of cerebrospinal fluid: what is left inside the brain mask."""
        rest = np.clip(1 - self.gm - self.wm, 0, 1)
        return np.where(self.brain_mask, rest, 0).astype(np.float32)


@cache
def mni_template() -> MniTemplate:
    """Load the template (0.5 s; the second call is free).

    Returns
    -------
    MniTemplate
        Unpacks as ``t1w, gm, wm, brain_mask, affine``.
    """
    from nilearn import datasets  # a second to import: only where it is needed
    from scipy import ndimage

    image = datasets.load_mni152_template(resolution=1)
    t1w = image.get_fdata(dtype=np.float32)
    gm = datasets.load_mni152_gm_template(resolution=1).get_fdata(dtype=np.float32)
    wm = datasets.load_mni152_wm_template(resolution=1).get_fdata(dtype=np.float32)
    brain_mask = ndimage.binary_fill_holes(t1w > 0)
    arrays = (t1w, gm, wm, brain_mask, np.asarray(image.affine, dtype=float))
    for array in arrays:
        array.setflags(write=False)  # the cache hands the same arrays to everybody
    return MniTemplate(*arrays)
