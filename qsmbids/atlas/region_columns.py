"""The columns of a region table, in their order, and what each means.

A table of susceptibility has columns that a table of R2* cannot have: a sign, a reference, an
expected value at an age, noise of the field. R2* is positive and has no offset, so the
difference between left and right may be divided by its size. Both have the rest, and every
table of a kind has all its columns: what cannot be known is n/a.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from qsmbids.atlas.region_statistics import (
    ENTROPY_BIN_PPM,
    ENTROPY_RANGE_PPM,
    MIN_CORE_VOXELS,
    VESSEL_SHARE,
)

MIN_COVERAGE = 0.5  # below it statistics are n/a; the limit of XCP-D


@dataclass(frozen=True)
class Column:
    """One column of the table; ``{unit}`` stands for the unit of the map.

    ``only`` names the kind of map that has it: ``'chi'``, ``'r2star'`` or '' for both.
    """

    name: str
    unit: str
    description: str
    only: str = ''


_HIGH = (
    'age-dependent threshold (engineering prior, not published norms; only deep grey matter '
    'with an age curve, and a known age)'
)
COLUMNS = (
    # identity
    Column('index', '', 'Value of the region in the label image; 0 is the whole brain'),
    Column('name', '', 'Name of the region with hemisphere'),
    Column('abbreviation', '', 'Short name'),
    Column('hemisphere', '', 'L left, R right, B both or midline'),
    Column('group', '', 'Kind of region'),
    # size
    Column('n_voxels', '', 'Voxels of the region inside the reliable mask'),
    Column('volume_mm3', 'mm^3', 'Volume of these voxels'),
    Column(
        'coverage', '',
        'Fraction of the voxels of the region that are inside the reliable mask; below '
        f'{MIN_COVERAGE:g} the statistics are n/a',
    ),
    # centre
    Column('mean', '{unit}', 'Arithmetic mean of all voxels, whatever their sign'),
    Column('median', '{unit}', 'Median'),
    Column(
        'trimmed_mean', '{unit}',
        f'Mean without the largest {100 * VESSEL_SHARE:g} % of the voxels (rounded down), which '
        'in deep grey matter are often vessels',
    ),
    Column(
        'core_mean', '{unit}',
        'Mean of the voxels whose six neighbours belong to the region, too: less partial volume '
        f'with what surrounds it; n/a with fewer than {MIN_CORE_VOXELS} of them',
    ),
    Column('core_n', '', 'Number of these voxels inside the reliable mask'),
    Column(
        'weighted_mean', '{unit}',
        'Mean with the weights 1 / sigma^2, sigma the noise of the field in each voxel; iron '
        'shortens the signal, so voxels with less of it count more; n/a without a noise map',
        'chi',
    ),
    Column(
        'mean_uncertainty', '{unit}',
        'Standard deviation that the noise of the field gives to the mean, through an inversion '
        'like the default one; noise alone, no error of reconstruction, registration or '
        'reference; n/a for the whole brain, whose mean no inversion knows, and without a noise '
        'map',
        'chi',
    ),
    Column(
        'positive_mean', '{unit}',
        'Mean of the voxels above 0; depends on noise and on the reference, for comparison with '
        'programs that leave the others out',
        'chi',
    ),
    Column('positive_fraction', '', 'Fraction of the voxels that are above 0', 'chi'),
    # spread
    Column('sd', '{unit}', 'Standard deviation between voxels (n - 1)'),
    Column(
        'mad', '{unit}',
        'Median absolute deviation from the median; times 1.4826 it compares with the standard '
        'deviation',
    ),
    Column('iqr', '{unit}', 'Interquartile range, p75 - p25'),
    Column('min', '{unit}', 'Smallest value'),
    Column('p5', '{unit}', '5th percentile'),
    Column('p25', '{unit}', '25th percentile'),
    Column('p75', '{unit}', '75th percentile'),
    Column('p95', '{unit}', '95th percentile'),
    Column('max', '{unit}', 'Largest value'),
    # shape
    Column('skewness', '', 'Third standardised moment; 0 if symmetric'),
    Column('kurtosis', '', 'Fourth standardised moment minus 3; 0 for a normal distribution'),
    Column(
        'entropy', 'bit',
        f'Entropy of the histogram with bins of {1000 * ENTROPY_BIN_PPM:g} ppb from '
        f'{ENTROPY_RANGE_PPM[0]:g} to {ENTROPY_RANGE_PPM[1]:g} ppm, values beyond in the '
        'outermost bins; grows with noise and, in small regions, with their size',
        'chi',
    ),
    # derived
    Column(
        'total', '{unit}*mm^3', 'Mean times volume; for susceptibility the total susceptibility'
    ),
    Column('high_threshold', '{unit}', f'Of the high-iron subregion: {_HIGH}', 'chi'),
    Column('high_n', '', 'Voxels above high_threshold: the high-iron subregion', 'chi'),
    Column('high_fraction', '', 'Their fraction of the region', 'chi'),
    Column('high_mean', '{unit}', 'Their mean; n/a if there is none', 'chi'),
    Column('high_volume_mm3', 'mm^3', 'Their volume', 'chi'),
    Column('high_total', '{unit}*mm^3', 'Their mean times their volume', 'chi'),
    Column(
        'right_minus_left', '{unit}',
        'Mean of the right minus mean of the left region, the same in both rows',
    ),
    Column(
        'asymmetry_index', '',
        '2 (right - left) / (right + left) of the means; only of a positive quantity without an '
        'arbitrary zero',
        'r2star',
    ),
    Column(
        'volume_asymmetry', '',
        '2 (right - left) / (right + left) of volume_mm3, which both coverages change',
    ),
    Column(
        'mean_unreferenced', '{unit}',
        'Mean of the map before reference_value was subtracted',
        'chi',
    ),
    Column('reference', '', 'Region whose mean susceptibility is zero', 'chi'),
    Column('reference_value', '{unit}', 'What was subtracted to make it zero', 'chi'),
)  # fmt: skip


def columns_of(kind: str) -> tuple[Column, ...]:
    """Return the columns of a table: ``kind`` is ``'chi'`` or ``'r2star'``.

    Examples
    --------
    >>> 'reference' in {column.name for column in columns_of('r2star')}
    False
    """
    return tuple(column for column in COLUMNS if column.only in ('', kind))


def data_dictionary(kind: str, unit: str, reference: str = '') -> dict[str, Any]:
    """Return the JSON sidecar of a region table.

    Parameters
    ----------
    kind : str
        ``'chi'`` or ``'r2star'``.
    unit : str
        Of the map: ``ppm`` or ``1/s``.
    reference : str
        In words: what the map is referenced to, or '' for maps without reference.
    """
    content: dict[str, Any] = {'Reference': reference} if reference else {}
    for column in columns_of(kind):
        entry = {'Description': column.description}
        if column.unit:
            entry['Units'] = column.unit.format(unit=unit)
        content[column.name] = entry
    return content
