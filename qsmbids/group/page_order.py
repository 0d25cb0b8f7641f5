"""What of a table of results the page shows, and in which order.

The table in the output folder has every row and column. The page shows what was tested, the
clearest result first, each estimate beside its interval and its corrected p value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from qsmbids.group.view import Column

if TYPE_CHECKING:
    import pandas as pd

# the first one that a table has tells what comes first in it
SMALLEST_FIRST = ('q', 'p_fdr', 'partial_pearson_q', 'pearson_q', 'mean_q', 'p')
_TESTED = ('p', 'pearson_p', 'mean_p', 'total_p', 'volume_mm3_p', 'high_mean_p',
           'high_volume_mm3_p', 'right_minus_left_p')  # fmt: skip
_VALUES = ('auc', 'z', 'adjusted_mean')
_BEFORE_Q = ('high', 'auc_high', 'slope_high', 'partial_eta2_high', 'z')
_AFTER_Q = ('f', 'df_term', 'df', 'p')  # of a table of terms, whose estimate is partial eta²
_CONSTANT = 'constant'


def arranged(frame: pd.DataFrame, columns: Sequence[Column]) -> tuple[pd.DataFrame, list[Column]]:
    """Return the rows and columns that the page shows, in its order.

    Parameters
    ----------
    frame : DataFrame
    columns : sequence of (name, unit, description)
        Empty for all of the frame.

    Returns
    -------
    frame : DataFrame
        Without rows that have no statistic (the reference region) or are about the constant
        of a model; sorted.
    columns : list of (name, unit, description)
    """
    columns = list(columns) or [(str(name), '', '') for name in frame.columns]
    columns = [column for column in columns if column[0] in frame]
    frame = told(frame)
    return frame.iloc[_order(frame)], _columns(frame, columns)


def told(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that have a statistic and are not about the constant of a model."""
    keep = np.ones(len(frame), bool)
    for name in ('term', 'coefficient'):
        if name in frame:
            keep &= (frame[name].astype(str) != _CONSTANT).to_numpy()
    statistics = [name for name in _TESTED if name in frame]
    statistics = statistics or [name for name in _VALUES if name in frame][:1]
    if statistics:
        keep &= np.any([np.isfinite(numbers(frame, name)) for name in statistics], axis=0)
    return frame[keep]


def ranking(frame: pd.DataFrame) -> str:
    """Return the column of p values that a table is sorted by; '' without one."""
    known = (n for n in SMALLEST_FIRST if n in frame and np.isfinite(numbers(frame, n)).any())
    return next(known, '')


def numbers(frame: pd.DataFrame, name: str) -> np.ndarray:
    """Return a column as numbers, NaN where it has none."""
    import pandas as pd

    return pd.to_numeric(frame[name], errors='coerce').to_numpy(float)


def yes(frame: pd.DataFrame, name: str) -> np.ndarray:
    """Return where a column says yes."""
    return (
        frame[name]
        .map(lambda value: value is True or str(value) in ('yes', 'True'))
        .to_numpy(bool)
    )


def _order(frame: pd.DataFrame) -> np.ndarray:
    keys = [~yes(frame, name) for name in ('exceeds_fdr', 'exceeds', 'flagged') if name in frame]
    if 'auc' in frame:
        keys.append(-np.abs(numbers(frame, 'auc') - 0.5))
    else:
        by = ranking(frame)
        keys += [numbers(frame, name) for name in dict.fromkeys((by, 'p')) if name in frame]
        # many p values can be equal, after correction above all; then the larger effect
        size = next((name for name in ('z', 't', 'f') if name in frame), '')
        keys += [-np.abs(numbers(frame, size))] if size and (by or size == 'z') else []
    if not keys or not len(frame):
        return np.arange(len(frame))
    return np.lexsort([np.where(np.isnan(k), np.inf, k) for k in map(_real, reversed(keys))])


def _real(key: np.ndarray) -> np.ndarray:
    return np.asarray(key, float)


def _columns(frame: pd.DataFrame, columns: list[Column]) -> list[Column]:
    names = [name for name, _, _ in columns]
    hidden = set()
    if 'region' in names:
        hidden.add('group')
        if 'hemisphere' in names and set(frame['hemisphere'].astype(str)) <= {'B'}:
            hidden.add('hemisphere')
    names = [name for name in names if name not in hidden]
    for q in [name for name in names if name in ('q', 'p_fdr') or name.endswith('_q')]:
        prefix = q.removesuffix('q')
        anchors = _BEFORE_Q if q in ('q', 'p_fdr') else (f'{prefix}high',)
        anchor = next((name for name in anchors if name in names), '')
        if anchor:
            names.remove(q)
            names.insert(names.index(anchor) + 1, q)
    if 'partial_eta2' in names and 'q' in names:
        later = [name for name in _AFTER_Q if name in names]
        names = [name for name in names if name not in later]
        place = names.index('q') + 1
        names[place:place] = later
    of = {column[0]: column for column in columns}
    return [of[name] for name in names]
