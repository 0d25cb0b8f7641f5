"""A template for one age, between two age bins.

Contrast changes smoothly with age, bins do not: two people of 30.9 and 31.1 years would be
compared with different templates. Where the templates of all bins lie in one space, voxel
for voxel, the two bins around an age are therefore mixed,

    T(age) = (1 - w) T_lower + w T_upper,    w = (age - m_lower) / (m_upper - m_lower),

with m the middle ages of the bins. In the middle of a bin that is the bin's own template,
beyond the middle of the first or last bin it is that bin's. The template is continuous in
age, also at the edges of the bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from qsmbids.atlas.cohorts import Cohort
from qsmbids.atlas.dataset import AtlasFiles
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.images import read_image, same_grid, write_image

VERSION = 1  # raised when its numbers change: older templates are then not used
_MIXED = ('chi', 't1w', 't2starw')
_MNI = 4  # NIfTI form code


def age_weights(cohorts: Sequence[Cohort], age: float) -> tuple[tuple[Cohort, float], ...]:
    """Return the bins that a template of an age is mixed from.

    Parameters
    ----------
    cohorts : sequence of Cohort
        In any order.
    age : float, years

    Returns
    -------
    tuple of (Cohort, float)
        One or two bins, the younger first, with weights above 0 that add up to 1.

    Examples
    --------
    >>> bins = (Cohort('1', 'young', 20, 30), Cohort('2', 'older', 30, 40))
    >>> [(cohort.label, weight) for cohort, weight in age_weights(bins, 30)]
    [('1', 0.5), ('2', 0.5)]
    >>> [(cohort.label, weight) for cohort, weight in age_weights(bins, 22)]
    [('1', 1.0)]
    """
    ordered = sorted(cohorts, key=lambda cohort: cohort.middle_age)
    for lower, upper in pairwise(ordered):
        if lower.middle_age < age < upper.middle_age:
            w = (age - lower.middle_age) / (upper.middle_age - lower.middle_age)
            return (lower, 1 - w), (upper, w)
    nearest = min(ordered, key=lambda cohort: abs(cohort.middle_age - age))
    return ((nearest, 1.0),)


def blend_templates(
    templates: Sequence[AtlasFiles], weights: Sequence[float], own: AtlasFiles, folder: Path
) -> AtlasFiles:
    """Mix the images of several bins.

    Parameters
    ----------
    templates : sequence of AtlasFiles
        On one grid.
    weights : sequence of float
        One for each; they add up to 1.
    own : AtlasFiles
        Of the bin that the age lies in: its mask and labels are kept as they are.
    folder : Path
        For the images; made if absent.

    Returns
    -------
    AtlasFiles
        Susceptibility in ppm and, where all bins have one, T1w and magnitude.

    Raises
    ------
    AtlasError
        If the grids differ.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mixed = {}
    for kind in _MIXED:
        paths = [getattr(files, kind) for files in templates]
        if None in paths:
            continue
        for path in paths:
            if not same_grid(path, own.chi):
                raise AtlasError(
                    f'{path} is not on the grid of {own.chi.name}.',
                    'Templates of neighbouring ages can only be mixed voxel by voxel.',
                    'Use --age-interpolation off.',
                )
        pairs = list(zip(paths, weights, strict=True))
        image = sum(
            np.float32(weight) * (read_image(path)[0] if kind == 'chi' else _to_unit(path))
            for path, weight in pairs
        )
        affine = read_image(own.chi)[1]
        mixed[kind] = write_image(folder / f'template_{kind}.nii', image, affine, _MNI)
    return AtlasFiles(mask=own.mask, dseg=own.dseg, **mixed)


def _to_unit(path: Path) -> np.ndarray:
    """Return an image of arbitrary unit with its bright tissue at 1: bins may differ in scale."""
    image = read_image(path)[0]
    return image / np.float32(np.percentile(image[image > 0], 99))
