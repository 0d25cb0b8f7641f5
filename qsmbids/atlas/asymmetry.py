"""Left against right: which regions are a pair, and how far they differ.

Susceptibility has an arbitrary zero. Dividing a difference by such a mean gives any number at
all, depending on the reference, so susceptibility gets the difference only. R2* and volume are
positive and have a zero of their own; for them an index without unit makes sense,

    AI = 2 (right - left) / (right + left).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from qsmbids.atlas.geometry import Label

_SIDE = re.compile(
    r'^(left|right)[ _.-]*|[ _.-]*(left|right)$|(^|[ _.-])(lh|rh|l|r)(?=$|[ _.-])', re.IGNORECASE
)
_NAN = float('nan')


def region_of(label: Label) -> str:
    """Return the name of a label's region without its hemisphere.

    Label tables often have no column for it; then the side is taken off the name.

    Examples
    --------
    >>> region_of(Label(1, 'CaudateLeft', 'CN-L', 'L', 'deep grey', '#4e79a7', 'Caudate'))
    'Caudate'
    >>> region_of(Label(5, 'Right-Putamen', 'PU', 'R', 'deep grey', '#4e79a7', 'Right-Putamen'))
    'Putamen'
    """
    if label.hemisphere not in ('L', 'R') or label.region not in ('', label.name):
        return label.region or label.name
    return _SIDE.sub('', label.name).strip(' _.-') or label.name


def find_pairs(labels: Sequence[Label]) -> list[tuple[int, int]]:
    """Return the positions of the left and the right label of each region that has both.

    A region with more than one label on a side has no pair: nobody knows which.
    """
    sides: dict[str, dict[str, list[int]]] = {}
    for position, label in enumerate(labels):
        if label.hemisphere in ('L', 'R'):
            of_region = sides.setdefault(region_of(label), {'L': [], 'R': []})
            of_region[label.hemisphere].append(position)
    return [
        (found['L'][0], found['R'][0])
        for found in sides.values()
        if len(found['L']) == len(found['R']) == 1
    ]


def asymmetry_of(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, float]:
    """Return what two rows of a region table differ by.

    Parameters
    ----------
    left, right : mapping
        With ``mean`` and ``volume_mm3``; a mean of NaN says that the region is hardly covered.

    Returns
    -------
    dict
        ``right_minus_left`` (unit of the mean), ``asymmetry_index`` and ``volume_asymmetry``
        (both from -2 to 2); NaN where a side is not covered.

    Examples
    --------
    >>> row = asymmetry_of({'mean': 10.0, 'volume_mm3': 4.0}, {'mean': 30.0, 'volume_mm3': 4.0})
    >>> row['right_minus_left'], row['asymmetry_index'], row['volume_asymmetry']
    (20.0, 1.0, 0.0)
    """
    difference = right['mean'] - left['mean']
    if difference != difference:
        return dict.fromkeys(('right_minus_left', 'asymmetry_index', 'volume_asymmetry'), _NAN)
    return {
        'right_minus_left': difference,
        'asymmetry_index': _index(left['mean'], right['mean']),
        'volume_asymmetry': _index(left['volume_mm3'], right['volume_mm3']),
    }


def _index(left: float, right: float) -> float:
    if min(left, right) < 0 or left + right == 0:
        return _NAN
    return 2 * (right - left) / (right + left)
