"""Numbers per region of a map: the rows of the region table.

Every statistic is taken over all voxels of a region that lie in the reliable mask, whatever
their sign; zeros inside the mask are data. The table therefore equals what anybody gets
from the saved map, labels and mask. Columns that leave voxels out say so in their name:
``trimmed_``, ``core_``, ``positive_``, ``high_``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from qsmbids.atlas.asymmetry import asymmetry_of, find_pairs
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.geometry import Label
from qsmbids.atlas.region_columns import MIN_COVERAGE, columns_of
from qsmbids.atlas.region_noise import FieldNoise, Slices
from qsmbids.atlas.region_statistics import (
    MIN_CORE_VOXELS,
    above,
    describe,
    entropy_bits,
    erode_once,
    mean_or_nan,
    weighted_mean,
)

VERSION = 3  # raised when its numbers change: an older table is then not used
WHOLE_BRAIN = Label(0, 'WholeBrain', 'WB', 'B', 'whole brain', '#ffffff', 'WholeBrain')

_NAN = float('nan')

Row = dict[str, Any]


def region_table(
    image: np.ndarray,
    labels: np.ndarray,
    label_table: Sequence[Label],
    voxel_volume_mm3: float,
    reliable_mask: np.ndarray,
    *,
    brain_mask: np.ndarray | None = None,
    kind: str = 'chi',
    reference: str = '',
    reference_value: float | None = None,
    thresholds: Mapping[int, float] | None = None,
    noise: FieldNoise | None = None,
) -> list[Row]:
    """Measure a map in every region.

    Parameters
    ----------
    image : (nx, ny, nz) float
        The map as it is saved, e.g. referenced susceptibility in ppm.
    labels : (nx, ny, nz) int
        Label image on the same grid.
    label_table : sequence of Label
        Regions to measure; each becomes a row, also if the image has no voxel of it.
    voxel_volume_mm3 : float
    reliable_mask : (nx, ny, nz) bool
        Where the map can be trusted. Voxels that are not finite never can.
    brain_mask : (nx, ny, nz) bool, optional
        The whole brain, of which the first row is made; by default the reliable mask.
    kind : 'chi' or 'r2star'
        Which columns the table has; what follows is for susceptibility.
    reference : str
        In words: the region whose mean is zero.
    reference_value : float, ppm, optional
        What was subtracted from the map; without it ``mean_unreferenced`` is NaN.
    thresholds : mapping of int to float, ppm, optional
        Value in the label image to the threshold of its high-iron subregion.
    noise : FieldNoise, optional
        Noise of the field that the map was made from.

    Returns
    -------
    list of dict
        The whole brain first, then the regions in the order of the table, all with the
        columns of ``columns_of(kind)``. Statistics are NaN where the coverage is below
        ``MIN_COVERAGE`` or there is no voxel, and where what they need was not given.

    Raises
    ------
    AtlasError
        If the shapes differ.

    Examples
    --------
    >>> image = np.array([[[1.0, 3.0, 9.0]]])
    >>> left = Label(1, 'CaudateLeft', 'CN-L', 'L', 'deep grey', '#4e79a7', 'Caudate')
    >>> rows = region_table(image, np.array([[[1, 1, 0]]]), [left], 2.0, image > 0)
    >>> rows[1]['mean'], rows[1]['volume_mm3'], rows[1]['total']
    (2.0, 4.0, 8.0)
    """
    _check_shapes(image, labels, reliable_mask, brain_mask, noise)
    reliable = reliable_mask.astype(bool) & np.isfinite(image)
    whole = reliable if brain_mask is None else brain_mask.astype(bool)
    columns = [column.name for column in columns_of(kind)]
    measured = _Map(
        image, reliable, voxel_volume_mm3, kind, reference_value, thresholds or {}, noise
    )
    nowhere = (slice(0, 0),) * 3
    (box,) = ndimage.find_objects(whole.view(np.uint8)) or [nowhere]
    rows = [_measure(WHOLE_BRAIN, whole[box], box, measured)]
    boxes = ndimage.find_objects(labels)
    for label in label_table:
        box = boxes[label.index - 1] if 0 < label.index <= len(boxes) else None
        box = box or nowhere  # the region is not in the image
        rows.append(_measure(label, labels[box] == label.index, box, measured))
    for left, right in find_pairs(label_table):
        difference = asymmetry_of(rows[1 + left], rows[1 + right])
        rows[1 + left] |= difference
        rows[1 + right] |= difference
    same = {
        'reference': reference,
        'reference_value': _NAN if reference_value is None else reference_value,
    }
    return [{name: (row | same).get(name, _NAN) for name in columns} for row in rows]


@dataclass(frozen=True, eq=False)
class _Map:
    """A map with all that its regions are measured with."""

    image: np.ndarray
    reliable: np.ndarray
    voxel_volume_mm3: float
    kind: str
    reference_value: float | None
    thresholds: Mapping[int, float]
    noise: FieldNoise | None


def _measure(label: Label, inside: np.ndarray, box: Slices, measured: _Map) -> Row:
    """Return the row of one region as far as it can be measured."""
    counted = inside & measured.reliable[box]
    n, n_all = int(counted.sum()), int(inside.sum())
    row: Row = {
        'index': label.index,
        'name': label.name,
        'abbreviation': label.abbreviation,
        'hemisphere': label.hemisphere,
        'group': label.group,
        'n_voxels': n,
        'volume_mm3': n * measured.voxel_volume_mm3,
        'coverage': n / n_all if n_all else _NAN,
        'mean': _NAN,
    }
    if n == 0 or row['coverage'] < MIN_COVERAGE:
        return row
    values = measured.image[box][counted].astype(np.float64)
    ordered = np.sort(values)
    core = measured.image[box][erode_once(inside) & counted]
    row |= describe(ordered)
    row |= {
        'core_mean': mean_or_nan(core, MIN_CORE_VOXELS),
        'core_n': core.size,
        'total': row['mean'] * row['volume_mm3'],
    }
    if measured.kind == 'chi':
        row |= _signed(ordered)
        if measured.reference_value is not None:
            row['mean_unreferenced'] = row['mean'] + measured.reference_value
        if label.index in measured.thresholds:
            threshold = measured.thresholds[label.index]
            row |= _high_iron(ordered, threshold, measured.voxel_volume_mm3)
        if measured.noise is not None:
            row['weighted_mean'] = weighted_mean(values, measured.noise.sd_ppm[box][counted])
            if label is not WHOLE_BRAIN:
                row['mean_uncertainty'] = measured.noise.sd_of_mean(counted, box)
    return row


def _signed(ordered: np.ndarray) -> Row:
    positive = above(ordered, 0.0)
    return {
        'positive_mean': mean_or_nan(positive),
        'positive_fraction': positive.size / ordered.size,
        'entropy': entropy_bits(ordered),
    }


def _high_iron(ordered: np.ndarray, threshold: float, voxel_volume_mm3: float) -> Row:
    high = above(ordered, threshold)
    return {
        'high_threshold': threshold,
        'high_n': high.size,
        'high_fraction': high.size / ordered.size,
        'high_mean': mean_or_nan(high),
        'high_volume_mm3': high.size * voxel_volume_mm3,
        'high_total': float(high.sum()) * voxel_volume_mm3,
    }


def _check_shapes(
    image: np.ndarray,
    labels: np.ndarray,
    reliable_mask: np.ndarray,
    brain_mask: np.ndarray | None,
    noise: FieldNoise | None,
) -> None:
    shapes = {image.shape, labels.shape, reliable_mask.shape}
    if brain_mask is not None:
        shapes.add(brain_mask.shape)
    if noise is not None:
        shapes.add(noise.sd_ppm.shape)
    if len(shapes) != 1:
        raise AtlasError(
            f'map, labels and masks have different shapes: {sorted(shapes)}.',
            'They are read voxel by voxel.',
            'Bring them to one grid.',
        )
