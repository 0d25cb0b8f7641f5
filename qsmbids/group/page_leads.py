"""The sentence above a table of results: what was found, from the table itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbids.group.page_order import numbers, ranking, told, yes
from qsmbids.group.panels import region_words
from qsmbids.group.view import Column
from qsmbids.report.values import fixed, number

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.05  # of q
_MOST_NAMED = 3
_MOST_PARTS = 4
_OF = {'mean_': ', mean', 'pearson_': ', Pearson', 'partial_pearson_': ', partial Pearson'}


def lead_sentence(frame: pd.DataFrame, columns: Sequence[Column]) -> str:
    """Return what a table says first, a line for each term; '' if nothing was tested.

    Parameters
    ----------
    frame : DataFrame
        All rows, in any order.
    columns : sequence of (name, unit, description)
    """
    frame = told(frame)
    if not len(frame):
        return ''
    if 'exceeds' in frame:
        return _changes(frame)
    if 'region' not in frame:
        return ''
    if 'auc' in frame:
        return _auc(frame)
    units = {name: unit for name, unit, _ in columns}
    by = ranking(frame)
    if 'score' in frame and by:
        return _parts(frame, 'score', by, by.removesuffix('q'), units)
    if by in ('q', 'mean_q') and 'term' in frame:
        several = 'coefficient' in frame and frame.groupby('term')['coefficient'].nunique().max()
        return _parts(frame, 'coefficient' if several > 1 else 'term', by, by[:-1], units)
    return ''


def _parts(
    frame: pd.DataFrame, split: str, by: str, prefix: str, units: Mapping[str, str]
) -> str:  # fmt: skip
    found = []
    for name, some in frame.groupby(split, sort=False):
        found.append(f'{name}{_OF.get(prefix, "")}: {_count(some, by)}')
        clear = some[numbers(some, by) < LEVEL]
        clear = clear.iloc[np.argsort(numbers(clear, by), kind='stable')]
        first = clear.head(_MOST_NAMED).to_dict('records')
        named = [_estimate(row, prefix, units) for row in first]
        if named:
            more = len(clear) - len(named)
            found[-1] += f': {"; ".join(named)}{f"; and {more} more" if more else ""}'
        found[-1] += '.'
    left = len(found) - _MOST_PARTS
    return '\n'.join(found[:_MOST_PARTS]) + (f'\nAnd {left} more.' if left > 0 else '')


def _count(frame: pd.DataFrame, by: str) -> str:
    q = numbers(frame, by)
    n, k = int(np.isfinite(q).sum()), int((q < LEVEL).sum())
    return f'{k or "none"} of {n} region{"s" * (n != 1)} with q < {LEVEL:g}'


def _estimate(row: Mapping[str, Any], prefix: str, units: Mapping[str, str]) -> str:
    place = region_words(str(row['region']), str(row.get('hemisphere', 'B')))
    if f'{prefix}estimate' in row:
        name, low, high = (f'{prefix}{end}' for end in ('estimate', 'low', 'high'))
        sign, unit = '', units.get(name, '')
        if unit and 'reference_group' in row and not _said(row['reference_group']):
            unit += _per(str(row['term']))
    elif prefix and prefix.rstrip('_') in row:
        name, low, high = prefix.rstrip('_'), f'{prefix}low', f'{prefix}high'
        sign, unit = 'r = ', ''
    elif 'partial_eta2' in row:
        name, low, high = 'partial_eta2', 'partial_eta2_low', 'partial_eta2_high'
        sign, unit = 'partial η² ', ''
    else:
        return place
    ends = [number(row.get(end)) for end in (low, high)]
    if not math.isfinite(number(row[name])):
        return place
    digits = _digits(number(row[name]))
    text = f'{place} {sign}{fixed(row[name], digits)}{" " * bool(unit)}{unit}'
    if all(map(math.isfinite, ends)):
        text += ' ({} to {})'.format(*(fixed(end, digits) for end in ends))
    return text


def _per(term: str) -> str:
    if ':' in term:
        return ''
    return ' per year' if term == 'age' else f' per unit of {term}'


def _digits(value: float) -> int:
    """Return decimals that leave two digits of a small number, three decimals of others."""
    if value == 0 or not math.isfinite(value):
        return 3
    return min(max(1 - math.floor(math.log10(abs(value))), 0 if abs(value) >= 100 else 3), 9)


def _auc(frame: pd.DataFrame) -> str:
    auc = numbers(frame, 'auc')
    best = frame.iloc[int(np.argmax(np.abs(auc - 0.5)))]
    place = region_words(str(best['region']), str(best.get('hemisphere', 'B')))
    text = f'Best AUC: {place} {fixed(best["auc"], 2)}'
    ends = [number(best.get(name)) for name in ('auc_low', 'auc_high')]
    if all(map(math.isfinite, ends)):
        text += ' ({} to {})'.format(*(fixed(end, 2) for end in ends))
    text += f', {best["direction"]}' if _said(best.get('direction')) else ''
    return f'{text}; {_count(frame, "q")}.' if 'q' in frame else f'{text}.'


def _changes(frame: pd.DataFrame) -> str:
    what = 'changes' if 'change' in frame else 'slopes' if 'slope' in frame else 'rows'
    plain = int(yes(frame, 'exceeds').sum())
    if 'exceeds_fdr' not in frame:
        return f'{plain} of {len(frame)} {what} exceed what noise and repeatability explain.'
    corrected = int(yes(frame, 'exceeds_fdr').sum())
    return (
        f'{corrected or "None"} of {len(frame)} {what} exceed what noise and repeatability '
        f'explain, with correction over regions (FDR); {plain} without it.'
    )


def _said(value: Any) -> bool:
    return value is not None and str(value) not in ('', 'nan', 'n/a')
