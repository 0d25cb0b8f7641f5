"""How well labels that were brought to a scan fit the true ones, region by region.

Regions are told apart by their name without hemisphere and by the hemisphere, never by the
label index, so two atlases with different numbers can be scored against one truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qsmbids.atlas.geometry import Label

DEEP_GREY = (
    'Caudate', 'Putamen', 'NucleusAccumbens', 'GlobusPallidusExternal', 'GlobusPallidusInternal',
    'SubthalamicNucleus', 'SubstantiaNigra', 'RedNucleus', 'DentateNucleus',
)  # fmt: skip


@dataclass(frozen=True)
class Overlap:
    """Agreement of one region, as the mean of its hemispheres.

    Parameters
    ----------
    region : str
        Name without hemisphere.
    dice : float
        2 |A and B| / (|A| + |B|); NaN if the truth does not have the region.
    volume_ratio : float
        Found over true volume.
    true_mm3 : float
        True volume of one side.
    """

    region: str
    dice: float
    volume_ratio: float
    true_mm3: float


def region_overlap(
    found: np.ndarray,
    found_table: Sequence[Label],
    true: np.ndarray,
    true_table: Sequence[Label],
    voxel_mm3: float,
    regions: Sequence[str] = DEEP_GREY,
) -> list[Overlap]:
    """Compare label images on one grid.

    Parameters
    ----------
    found, true : (nx, ny, nz) int
    found_table, true_table : sequence of Label
        Several labels may make up one region.
    voxel_mm3 : float
    regions : sequence of str
        Names without hemisphere.

    Returns
    -------
    list of Overlap
        One for each name, in their order. A region that was not found has a Dice of 0.

    Examples
    --------
    >>> left = Label(1, 'CaudateLeft', 'CN-L', 'L', 'deep grey', '#4e79a7', 'Caudate')
    >>> true, found = np.array([[[1, 1, 1, 0]]]), np.array([[[0, 1, 1, 0]]])
    >>> region_overlap(found, [left], true, [left], 1.0, ['Caudate'])[0].dice
    0.8
    """
    rows = []
    for region in regions:
        sides = []
        for hemisphere in 'LRB':
            wanted = _indices(true_table, region, hemisphere)
            a = np.isin(true, wanted)
            if not wanted or not a.any():
                continue
            b = np.isin(found, _indices(found_table, region, hemisphere))
            dice = 2 * np.count_nonzero(a & b) / (a.sum() + b.sum())
            sides.append((dice, b.sum() / a.sum(), a.sum() * voxel_mm3))
        mean = np.mean(sides, axis=0) if sides else np.full(3, np.nan)
        rows.append(Overlap(region, *(float(value) for value in mean)))
    return rows


def region_means(
    image: np.ndarray,
    inside: np.ndarray,
    labels: np.ndarray,
    table: Sequence[Label],
    regions: Sequence[str] = DEEP_GREY,
) -> dict[str, float]:
    """Return the mean of an image over both sides of each region, inside a mask."""
    means = {}
    for region in regions:
        values = [label.index for label in table if label.region == region]
        chosen = inside & np.isin(labels, values)
        means[region] = float(image[chosen].mean(dtype=float)) if chosen.any() else float('nan')
    return means


def _indices(table: Sequence[Label], region: str, hemisphere: str) -> list[int]:
    return [
        label.index for label in table if label.region == region and label.hemisphere == hemisphere
    ]
