"""Numbers per region of a map: the rows of the region table and what its columns mean.

Every statistic is taken over all voxels of a region that lie in the reliable mask, whatever
their sign; zeros inside the mask are data. The table therefore equals what anybody gets
from the saved map, labels and mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.geometry import Label

MIN_COVERAGE = 0.5  # below it statistics are n/a; the limit of XCP-D
WHOLE_BRAIN = Label(0, 'WholeBrain', 'WB', 'B', 'whole brain', '#ffffff', 'WholeBrain')


@dataclass(frozen=True)
class Column:
    """One column of the table; ``{unit}`` stands for the unit of the map."""

    name: str
    unit: str
    description: str


COLUMNS = (
    Column('index', '', 'Value of the region in the label image; 0 is the whole brain'),
    Column('name', '', 'Name of the region with hemisphere'),
    Column('abbreviation', '', 'Short name'),
    Column('hemisphere', '', 'L left, R right, B both or midline'),
    Column('group', '', 'Kind of region'),
    Column('n_voxels', '', 'Voxels of the region inside the reliable mask'),
    Column('volume_mm3', 'mm^3', 'Volume of these voxels'),
    Column(
        'coverage',
        '',
        'Fraction of the voxels of the region that are inside the reliable mask; below '
        f'{MIN_COVERAGE:g} the statistics are n/a',
    ),
    Column('mean', '{unit}', 'Arithmetic mean'),
    Column('median', '{unit}', 'Median'),
    Column('sd', '{unit}', 'Standard deviation between voxels (n - 1)'),
    Column('p5', '{unit}', '5th percentile'),
    Column('p95', '{unit}', '95th percentile'),
    Column('max', '{unit}', 'Largest value'),
    Column(
        'total', '{unit}*mm^3', 'Mean times volume; for susceptibility the total susceptibility'
    ),
)
UNREFERENCED = Column(
    'mean_unreferenced', '{unit}', 'Mean of the map before a reference was subtracted'
)
_STATISTICS = ('mean', 'median', 'sd', 'p5', 'p95', 'max', 'total')


def region_table(
    image: np.ndarray,
    labels: np.ndarray,
    label_table: Sequence[Label],
    voxel_volume_mm3: float,
    reliable_mask: np.ndarray,
    *,
    brain_mask: np.ndarray | None = None,
    reference_value: float | None = None,
) -> list[dict[str, Any]]:
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
    reference_value : float, optional
        What was subtracted from the map; adds the column ``mean_unreferenced``.

    Returns
    -------
    list of dict
        The whole brain first, then the regions in the order of the table. Statistics are
        NaN where the coverage is below ``MIN_COVERAGE`` or there is no voxel.

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
    shapes = {image.shape, labels.shape, reliable_mask.shape}
    if brain_mask is not None:
        shapes.add(brain_mask.shape)
    if len(shapes) != 1:
        raise AtlasError(
            f'map, labels and masks have different shapes: {sorted(shapes)}.',
            'They are read voxel by voxel.',
            'Bring them to one grid.',
        )
    reliable = reliable_mask.astype(bool) & np.isfinite(image)
    whole = reliable if brain_mask is None else brain_mask.astype(bool)
    boxes = ndimage.find_objects(labels)
    rows = []
    for label in (WHOLE_BRAIN, *label_table):
        if label is WHOLE_BRAIN:
            inside, values = whole, image[whole & reliable]
        else:
            box = boxes[label.index - 1] if 0 < label.index <= len(boxes) else None
            box = box or (slice(0, 0),) * 3  # the region is not in the image
            inside = labels[box] == label.index
            values = image[box][inside & reliable[box]]
        row = _identity(label) | _measure(values, int(inside.sum()), voxel_volume_mm3)
        if reference_value is not None:
            row['mean_unreferenced'] = row['mean'] + reference_value
        rows.append(row)
    return rows


def data_dictionary(unit: str, reference: str, *, unreferenced: bool = False) -> dict[str, Any]:
    """Return the JSON sidecar of a region table.

    Parameters
    ----------
    unit : str
        Of the map: ``ppm`` or ``1/s``.
    reference : str
        In words: what the map is referenced to, or '' for maps without reference.
    unreferenced : bool
        Whether the table has the column ``mean_unreferenced``.
    """
    columns = (*COLUMNS, UNREFERENCED) if unreferenced else COLUMNS
    content: dict[str, Any] = {'Reference': reference} if reference else {}
    for column in columns:
        entry = {'Description': column.description}
        if column.unit:
            entry['Units'] = column.unit.format(unit=unit)
        content[column.name] = entry
    return content


def _identity(label: Label) -> dict[str, Any]:
    return {
        'index': label.index,
        'name': label.name,
        'abbreviation': label.abbreviation,
        'hemisphere': label.hemisphere,
        'group': label.group,
    }


def _measure(values: np.ndarray, n_all: int, voxel_volume_mm3: float) -> dict[str, Any]:
    n = values.size
    coverage = n / n_all if n_all else float('nan')
    row: dict[str, Any] = {
        'n_voxels': n,
        'volume_mm3': n * voxel_volume_mm3,
        'coverage': coverage,
    }
    if n == 0 or coverage < MIN_COVERAGE:
        return row | dict.fromkeys(_STATISTICS, float('nan'))
    values = values.astype(np.float64)
    p5, median, p95 = np.percentile(values, (5, 50, 95))
    return row | {
        'mean': float(values.mean()),
        'median': float(median),
        'sd': float(values.std(ddof=1)) if n > 1 else float('nan'),
        'p5': float(p5),
        'p95': float(p95),
        'max': float(values.max()),
        'total': float(values.mean()) * n * voxel_volume_mm3,
    }
