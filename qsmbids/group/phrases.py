"""Numbers as people would say them: a value with its interval, a p value, a cell."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qsmbids.report.values import MISSING, fixed, number, significant

if TYPE_CHECKING:
    from qsmbids.lifespan.fit import Derived, FittedCurve

_SMALLEST_P = 0.001
_BEYOND = 'The interval of the'


def curve_sentences(fit: FittedCurve) -> list[str]:
    """Return the derived quantities of a curve with intervals, then what to know about it.

    What lies before the youngest person (the value at birth) is in the tables only.
    """
    known = {one.name: one for one in fit.derived if math.isfinite(one.value)}
    words = []
    for name, one in known.items():
        if name in ('extremum', 'depth', 'value_at_birth'):
            continue
        if name == 'extremum_age':
            words.append(_extremum(fit, one, known.get('extremum')))
        else:
            words.append(derived_words(one))
    if fit.family == 'constant':
        words.append(_constant(fit))
    elif fit.family == 'spline':
        words.append(_ends(fit))
    return [*words, *(text for remark in fit.remarks if (text := _clear(fit, str(remark))))]


def derived_words(one: Derived) -> str:
    """Return one derived quantity as a sentence.

    Examples
    --------
    >>> from types import SimpleNamespace as Some
    >>> derived_words(Some(name='age_at_90_percent', value=25.61, low=22.0, high=31.2,
    ...                    unit='year', description=''))
    '90 % of the growth is reached at 26 y (22 to 31).'
    >>> derived_words(Some(name='total_growth', value=0.1412, low=0.12, high=math.inf,
    ...                    unit='ppm', description='growth from birth to the plateau'))
    'Growth from birth to the plateau: 0.141 ppm (at least 0.120).'
    """
    if one.name == 'age_at_90_percent':
        return f'90 % of the growth is reached at {_with_interval(one, "y", _years)}.'
    words = str(one.description or one.name).rstrip('.')
    lead = words[:1].upper() + words[1:]
    if one.unit in ('year', 'years', 'y'):
        return f'{lead}: {_with_interval(one, "y", _years)}.'
    show = _ppm if one.unit.startswith('ppm') else significant
    unit = 'ppm' if one.unit == 'ppm/decade' else one.unit
    return f'{lead}: {_with_interval(one, unit, show)}.'


def p_words(value: Any) -> str:
    """Return a p value.

    Examples
    --------
    >>> p_words(0.00002), p_words(0.0312), p_words(float('nan'))
    ('<0.001', '0.031', '–')
    """
    found = number(value)
    if not math.isfinite(found):
        return MISSING
    return '<0.001' if found < _SMALLEST_P else fixed(found)


def interval_words(low: float, high: float, show: Callable[[float], str]) -> str:
    """Return an interval in parentheses, also one that is open on a side.

    Examples
    --------
    >>> interval_words(22.04, 31.2, significant), interval_words(math.nan, 1, significant)
    ('(22 to 31.2)', '(no interval)')
    """
    if math.isfinite(low) and math.isfinite(high):
        return f'({show(low)} to {show(high)})'
    if math.isfinite(low) and math.isinf(high):
        return f'(at least {show(low)})'
    if math.isinf(low) and math.isfinite(high):
        return f'(at most {show(high)})'
    return '(no interval)'


def _extremum(fit: FittedCurve, age: Derived, value: Derived | None) -> str:
    kind = 'Extremum'
    if age.value >= 0:
        at = float(fit.predict(age.value))
        ends = [float(fit.predict(end)) for end in fit.age_range]
        kind = 'Minimum' if at < min(ends) else 'Maximum' if at > max(ends) else kind
    text = f'{kind} at {_with_interval(age, "y", _years)}'
    return f'{text}, {_with_interval(value, "ppm", _ppm)}.' if value else f'{text}.'


def _constant(fit: FittedCurve) -> str:
    age = sum(fit.age_range) / 2
    text = f'Mean {_at(fit, age)}'
    spread = float(fit.sd(age))
    return f'{text}, SD between people {_ppm(spread)} ppm.' if spread > 0 else f'{text}.'


def _ends(fit: FittedCurve) -> str:
    """Return the values of a curve that has no parameters to tell."""
    young, old = fit.age_range
    return (
        f'{_at(fit, young)} at the youngest age ({_years(young)} y), '
        f'{_at(fit, old)} at the oldest ({_years(old)} y).'
    )


def _at(fit: FittedCurve, age: float) -> str:
    low, high = (float(end[0]) for end in fit.band([age]))
    return f'{_ppm(float(fit.predict(age)))} ppm {interval_words(low, high, _ppm)}'


def _clear(fit: FittedCurve, remark: str) -> str:
    """Return a remark, with decimals where rounded ages would contradict it; '' if they still do.

    An interval of 60.2 to 70 years goes beyond ages from 60.4 on, but not in whole years.
    """
    if not remark.startswith(_BEYOND):
        return remark
    youngest, oldest = fit.age_range
    for one in fit.derived:
        if one.unit != 'year' or one.description not in remark:
            continue
        for digits in (0, 1):
            ends = [round(age, digits) for age in (one.low, one.high, youngest, oldest)]
            if ends[0] < ends[2] or ends[1] > ends[3]:
                if not digits and all(map(math.isfinite, ends)):
                    return remark
                low, high, first, last = (fixed(age, digits) for age in ends)
                span = f'{low} to {high}' if math.isfinite(one.high) else f'at least {low}'
                span = span if math.isfinite(one.low) else f'at most {high}'
                return (
                    f'{_BEYOND} {one.description}, {span} years, reaches beyond the '
                    f'ages of the cohort ({first} to {last} years).'
                )
        return ''
    return remark


def _with_interval(one: Derived, unit: str, show: Callable[[float], str]) -> str:
    gap = ' ' if unit else ''
    return f'{show(one.value)}{gap}{unit} {interval_words(one.low, one.high, show)}'


def _years(value: float) -> str:
    return fixed(value, 0 if abs(value) >= 10 else 1)


def _ppm(value: float) -> str:
    return fixed(value, 3 if abs(value) >= 0.01 else 4)
