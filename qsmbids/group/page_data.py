"""What the script of the group page draws the points from: all values, packed.

Values are integers of 0.1 ppb, z-scores of 0.01, 16 bits each, region after region, as
base64: 5,000 people with 150 regions are 2 MB instead of 8 MB of numbers in text. The
smallest integer stands for a missing value.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbids.group.view import AtlasView
from qsmbids.report.values import column_words

if TYPE_CHECKING:
    import pandas as pd

    from qsmbids.group.cohort import Cohort

PPM_STEP = 1e-4  # 0.1 ppb
Z_STEP = 0.01
MISSING = -32768
_MOST_LEVELS = 8  # colours that can be told apart
_NOT_GROUPS = frozenset(
    ('key', 'participant_id', 'session_id', 'reference', 'units', 'version', 'cohort', 'page',
     'acq_time', 'acquisition')
)  # fmt: skip


def pack(values: np.ndarray, step: float) -> dict[str, Any]:
    """Return an array as base64 of little-endian 16-bit integers.

    Parameters
    ----------
    values : ndarray
        NaN where there is none.
    step : float
        Smallest difference that is kept; ten times larger as often as needed for the largest
        value to fit.

    Returns
    -------
    dict
        ``step`` and ``data``.
    """
    values = np.asarray(values, float)
    known = np.isfinite(values)
    largest = float(np.max(np.abs(values[known]), initial=0.0))
    while largest / step > -MISSING - 1:
        step = float(f'{step * 10:g}')
    integers = np.full(values.shape, MISSING, '<i2')
    integers[known] = np.round(values[known] / step)
    return {'step': step, 'data': base64.b64encode(integers.tobytes()).decode('ascii')}


def unpack(packed: Mapping[str, Any], shape: Sequence[int]) -> np.ndarray:
    """Return what :func:`pack` packed; the script of the page does the same."""
    integers = np.frombuffer(base64.b64decode(packed['data']), '<i2').reshape(shape)
    return np.where(integers == MISSING, np.nan, integers * packed['step'])


def page_data(cohort: Cohort, atlases: Sequence[AtlasView], *, points: bool) -> dict[str, Any]:
    """Return everything that the script needs, ready for JSON.

    Parameters
    ----------
    cohort : Cohort
    atlases : sequence of AtlasView
    points : bool
        Whether the script draws the points, or they are in the page already.
    """
    scans = cohort.scans
    ages = scans['age'].to_numpy(float)
    return {
        'keys': [str(k) for k in scans['key']],
        'people': [str(p) for p in scans['participant_id']],
        'pages': [str(p) for p in scans['page']],
        'ages': [round(a, 3) if np.isfinite(a) else None for a in ages.tolist()],
        'groups': [
            {'name': name, 'title': column_words(name), 'levels': levels, 'codes': codes}
            for name, levels, codes in groupings(scans)
        ],
        'draw': points,
        'atlases': [
            {
                'name': view.table.atlas,
                'values': pack(np.asarray(view.table.values['mean']).T, PPM_STEP),
                'z': pack(z, Z_STEP) if (z := z_matrix(scans, view)) is not None else None,
            }
            for view in atlases
        ],
    }


def data_script(data: Mapping[str, Any]) -> str:
    """Return JSON that can stand inside a script element: nothing in it can end the element."""
    text = json.dumps(data, ensure_ascii=False, separators=(',', ':'), allow_nan=False)
    for character in '<>&\u2028\u2029':
        text = text.replace(character, f'\\u{ord(character):04x}')
    return text


def groupings(scans: pd.DataFrame) -> list[tuple[str, list[str], list[int]]]:
    """Return the columns that sort people into two to eight kinds: sex, site, diagnosis.

    Returns
    -------
    list of (name, levels, codes)
        ``codes`` is the place of each acquisition in ``levels``, -1 where it is not known.
    """
    from pandas.api.types import is_numeric_dtype

    found = []
    for name in scans.columns:
        if name in _NOT_GROUPS or (is_numeric_dtype(scans[name]) and name != 'field_strength_t'):
            continue
        texts = [_level(value) for value in scans[name].tolist()]
        levels = sorted({text for text in texts if text})
        if 2 <= len(levels) <= _MOST_LEVELS:
            place = {level: i for i, level in enumerate(levels)}
            found.append((str(name), levels, [place.get(text, -1) for text in texts]))
    return found


def z_matrix(scans: pd.DataFrame, view: AtlasView) -> np.ndarray | None:
    """Return z-scores as (regions, acquisitions), NaN where there is none; None without any."""
    frame = view.zscores
    if frame is None or not len(frame):
        return None
    regions = view.table.regions
    row_of = {
        (str(r), str(h)): i
        for i, (r, h) in enumerate(zip(regions['region'], regions['hemisphere'], strict=True))
    }
    scan_of = {str(key): i for i, key in enumerate(scans['key'])}
    sides = frame['hemisphere'] if 'hemisphere' in frame else ['B'] * len(frame)
    rows = np.array(
        [row_of.get(key, -1) for key in zip(frame['region'].tolist(), list(sides), strict=True)]
    )
    columns = np.array([scan_of.get(key, -1) for key in frame['key'].tolist()])
    found = np.full((len(regions), len(scans)), np.nan)
    known = (rows >= 0) & (columns >= 0)
    found[rows[known], columns[known]] = frame['z'].to_numpy(float)[known]
    return found


def _level(value: Any) -> str:
    if isinstance(value, float):
        return f'{value:g}' if np.isfinite(value) else ''
    return '' if value is None else str(value)
