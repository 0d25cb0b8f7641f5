"""Reading and writing of table cells, which may be numbers or the text of a TSV."""

from __future__ import annotations

import math
from typing import Any

MISSING = '–'
THIN_SPACE = '\u202f'  # does not break a number at the end of a line


def number(value: Any) -> float:
    """Return a cell as a float, NaN when it is missing or no number.

    Examples
    --------
    >>> number('0.25'), number('n/a'), number(None)
    (0.25, nan, nan)
    """
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def fixed(value: Any, digits: int = 3, *, sign: bool = False) -> str:
    """Return a number with a fixed count of decimals and a true minus sign.

    Examples
    --------
    >>> fixed(-0.0312), fixed('n/a'), fixed(0.01, 2, sign=True)
    ('−0.031', '–', '+0.01')
    """
    found = number(value)
    if not math.isfinite(found):
        return MISSING
    text = f'{found:+.{digits}f}' if sign else f'{found:.{digits}f}'
    if float(text) == 0:
        text = text.lstrip('+-')
    return text.replace('-', '−')


def significant(value: Any, digits: int = 3) -> str:
    """Return a number with so many significant digits, without an exponent when moderate.

    Examples
    --------
    >>> significant(0.012345), significant(-2.0), significant(None)
    ('0.0123', '−2', '–')
    """
    found = number(value)
    if not math.isfinite(found):
        return MISSING
    if abs(found) >= 1000:
        return f'{found:,.0f}'.replace(',', THIN_SPACE).replace('-', '−')
    return f'{found:.{digits}g}'.replace('-', '−')


def duration(seconds: Any) -> str:
    """Return seconds as a person would say them.

    Examples
    --------
    >>> duration(4.26), duration(75), duration(7260)
    ('4.3 s', '1 min 15 s', '2 h 1 min')
    """
    found = number(seconds)
    if not math.isfinite(found):
        return MISSING
    if found < 60:
        return f'{found:.1f} s'
    minutes, rest = divmod(round(found), 60)
    if minutes < 60:
        return f'{minutes} min {rest} s'
    return f'{minutes // 60} h {minutes % 60} min'


def column_words(name: str, unit: str = '') -> str:
    """Return the name of a column as words, without the unit that stands beside it.

    Examples
    --------
    >>> column_words('field_noise_hz', 'Hz'), column_words('Streaks')
    ('Field noise', 'Streaks')
    """
    words = name.split('_')
    if len(words) > 1 and words[-1].lower() == unit.lower():
        words = words[:-1]
    text = ' '.join(words)
    return text[:1].upper() + text[1:]
