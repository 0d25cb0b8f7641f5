"""The region tables of all scans as arrays.

A study of 5,000 people with 150 regions and 45 columns has 34 million cells. As text in
dictionaries they take more memory than a desk computer has; as one float32 array for each
column (scan by region) they take 135 MB, and a model of one region is one column of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

# of two halves these make a whole; everything else is averaged
SUMMED = (
    'volume_mm3', 'n_voxels', 'core_n', 'total', 'high_total', 'high_volume_mm3', 'high_n',
)  # fmt: skip
_EXTREMES = {'min': np.fmin, 'max': np.fmax}
_SIDE_WORDS = {'L': 'left|lh|l', 'R': 'right|rh|r'}


@dataclass
class RegionTable:
    """All scans' table of one atlas and one kind of map.

    Parameters
    ----------
    atlas : str
        ``QSMLifespan``.
    suffix : str
        ``Chimap`` or ``R2starmap``.
    regions : DataFrame
        One row for each region, numbered from 0: index, name, abbreviation, hemisphere
        ('L', 'R' or 'B'), group, and region, the name without hemisphere.
    values : dict of str to ndarray of float32, shape (n_scans, n_regions)
        Every numeric column of the tables; NaN where a cell is n/a, where a table lacks the
        region or the column, and for scans without such a table.
    dictionary : dict
        Description and Units of each column.
    """

    atlas: str
    suffix: str
    regions: pd.DataFrame
    values: dict[str, np.ndarray]
    dictionary: dict[str, dict[str, Any]] = field(default_factory=dict)

    def select(self, scans: Any = slice(None), regions: Any = slice(None)) -> RegionTable:
        """Return the table of some scans or some regions (masks, indices or slices)."""
        scans, regions = (x if isinstance(x, slice) else np.asarray(x) for x in (scans, regions))
        return replace(
            self,
            regions=self.regions.iloc[regions].reset_index(drop=True),
            values={name: array[scans][:, regions] for name, array in self.values.items()},
        )

    def averaged(self) -> RegionTable:
        """Return a table in which left and right are one region.

        Means, percentiles, fractions and the like are the plain mean of the sides that have a
        value. Volumes, counts and totals are summed, and are NaN when one side has none: half
        a volume would look like atrophy. Uncertainties of independent sides u add as
        sqrt(u_L^2 + u_R^2) / 2. ``min`` and ``max`` are those of both sides. Regions without a
        partner stay as they are; the hemisphere of all is 'B'.
        """
        both, first = _pairs(self.regions)
        left = np.array([pair[0] for pair in both], dtype=int)
        right = np.array([pair[-1] for pair in both], dtype=int)
        values = {
            name: _join(name, array[:, left], array[:, right], left == right)
            for name, array in self.values.items()
        }
        return replace(self, regions=first, values=values)


def without_side(name: str, hemisphere: str) -> str:
    """Return the name of a region without its hemisphere.

    Examples
    --------
    >>> without_side('CaudateLeft', 'L'), without_side('rh-insula', 'R')
    ('Caudate', 'insula')
    >>> without_side('Pons', 'B'), without_side('Left', 'L')
    ('Pons', 'Left')
    """
    words = _SIDE_WORDS.get(hemisphere)
    if words is None:
        return name
    long = words.partition('|')[0]
    pattern = rf'(?:{words})[-_ .]|[-_ .](?:{words})$|(?-i:{long.capitalize()}|_{long})$'
    found = re.match(pattern, name, re.IGNORECASE)
    if found and found.end() < len(name):
        return name[found.end() :]
    found = re.search(pattern, name, re.IGNORECASE)
    return name[: found.start()] if found and found.end() == len(name) and found.start() else name


def _pairs(regions: pd.DataFrame) -> tuple[list[tuple[int, ...]], pd.DataFrame]:
    """Return the rows of each region without sides, and the regions that they become."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    for row, (region, side) in enumerate(
        zip(regions['region'], regions['hemisphere'], strict=True)
    ):
        kind = 'sides' if side in _SIDE_WORDS else str(row)
        members = found.setdefault((region, kind), {})
        # a second left region of that name is another region
        if side in members:
            members = found.setdefault((region, str(row)), {})
        members[side] = row
    both = [tuple(members[side] for side in sorted(members)) for members in found.values()]
    first = regions.iloc[[min(pair) for pair in both]].reset_index(drop=True)
    shorts = list(regions['abbreviation'])
    first['abbreviation'] = [
        _common(shorts[pair[0]], shorts[pair[-1]]) or shorts[pair[0]] for pair in both
    ]
    paired = [len(pair) > 1 for pair in both]
    first['name'] = first['region'].where(paired, first['name'])
    first['hemisphere'] = 'B'
    return both, first


def _common(left: str, right: str) -> str:
    """Return what two short names begin with: CN of CN-L and CN-R."""
    if left == right:
        return left
    n = next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), 0)
    return left[:n].rstrip('-_ .')


def _join(name: str, left: np.ndarray, right: np.ndarray, alone: np.ndarray) -> np.ndarray:
    """Make one column of the columns of both sides; ``alone`` marks regions with one."""
    if name in SUMMED:
        joined = left + right
    elif name in _EXTREMES:
        joined = _EXTREMES[name](left, right)
    else:
        joined = np.hypot(left, right) if name.endswith('uncertainty') else left + right
        joined *= np.float32(0.5)
        joined = np.where(np.isnan(left), right, np.where(np.isnan(right), left, joined))
    return np.where(alone, left, joined).astype(np.float32, copy=False)
