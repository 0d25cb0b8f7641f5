"""A panel of the group page as SVG: axes, curve, band and centiles, and points if few.

Without JavaScript these pictures are all there is, so they carry everything but the points
of a large cohort; with it, points lie on a canvas behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

import numpy as np

from qsmbids.group.panels import Panel
from qsmbids.report.chart import X_LABEL, ticks
from qsmbids.report.values import fixed

WIDTH, HEIGHT = 290, 226
LEFT, RIGHT, TOP, BOTTOM = 42, 284, 50, 190  # of the axes; the script reads them from the page
Scale = Callable[[np.ndarray], np.ndarray]
_LONGEST = 46  # characters of the second line that fit


def panel_svg(panel: Panel, titles: Sequence[str] | None, links: Sequence[str]) -> str:
    """Return the picture.

    Parameters
    ----------
    panel : Panel
    titles : sequence of str or None
        Label of each acquisition of the cohort; None draws no points.
    links : sequence of str
        Page of each acquisition of the cohort.
    """
    x, y = _scales(panel)
    parts = [
        _text(2, 14, panel.name, 'name'),
        _text(2, 28, shortened(panel.unit), 'small', hint=panel.unit),
        _text(2, 41, _subtitle(panel), 'small'),
        *_axes(panel),
    ]
    if panel.lines is not None:
        parts.append(_band(panel, x, y))
    if titles is not None:
        parts += [
            f'<a href="{escape(links[row])}"><circle class="{panel.side}" cx="{a:g}" cy="{b:g}" '
            f'r="2.6"><title>{escape(titles[row])}: {_says(age, value)}</title></circle></a>'
            for row, age, value, a, b in zip(
                panel.rows, panel.ages, panel.values, x(panel.ages), y(panel.values), strict=True
            )
        ]
    parts += _curves(panel, x, y)
    label = escape(f'{panel.name}, {panel.unit}, {panel.count}. {panel.title}.')
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'xmlns="http://www.w3.org/2000/svg" aria-label="{label}">{"".join(parts)}</svg>'
    )


def shortened(text: str, longest: int = _LONGEST) -> str:
    """Return a text that fits, with an ellipsis where it was cut.

    Examples
    --------
    >>> shortened('relative to whole-brain', 12)
    'relative to…'
    """
    return text if len(text) <= longest else text[: longest - 1].rstrip() + '…'


def _subtitle(panel: Panel) -> str:
    ages = f'{panel.ages.min():.3g} to {panel.ages.max():.3g} y'
    out = f' · {panel.outside} beyond the axis' if panel.outside else ''
    return f'{panel.count} · {ages}{out}'


def _says(age: float, value: float) -> str:
    return f'{fixed(value)} ppm at {age:.3g} y'


def _scales(panel: Panel) -> tuple[Scale, Scale]:
    def x(ages: np.ndarray) -> np.ndarray:
        low, high = panel.x_range
        return np.round(LEFT + (ages - low) / (high - low) * (RIGHT - LEFT), 1)

    def y(values: np.ndarray) -> np.ndarray:
        low, high = panel.y_range
        inside = np.clip(values, low, high)
        return np.round(BOTTOM - (inside - low) / (high - low) * (BOTTOM - TOP), 1)

    return x, y


def _axes(panel: Panel) -> list[str]:
    x, y = _scales(panel)
    heights = ticks(*panel.y_range)
    digits = max((len(f'{v:g}'.partition('.')[2]) for v in heights), default=0)
    parts = []
    for value in heights:
        style, at = ('zero' if value == 0 else 'grid'), y(np.array(value))
        parts.append(f'<path class="{style}" d="M{LEFT} {at:g}H{RIGHT}"/>')
        parts.append(_text(LEFT - 5, at + 3.5, fixed(value, digits), anchor='end'))
    for value in ticks(*panel.x_range):
        at = x(np.array(value))
        parts.append(f'<path class="zero" d="M{at:g} {BOTTOM}v4"/>')
        parts.append(_text(at, BOTTOM + 15, f'{value:g}', anchor='middle'))
    parts.append(_text((LEFT + RIGHT) / 2, BOTTOM + 29, X_LABEL, 'small', 'middle'))
    return parts


def _band(panel: Panel, x: Scale, y: Scale) -> str:
    lines = panel.lines
    known = np.isfinite(lines.low) & np.isfinite(lines.high)
    if known.sum() < 2:
        return ''
    ages = lines.ages[known]
    across = np.concatenate([x(ages), x(ages)[::-1]])
    height = np.concatenate([y(lines.high[known]), y(lines.low[known])[::-1]])
    return f'<path class="band" d="{_path(across, height)}Z"/>'


def _curves(panel: Panel, x: Scale, y: Scale) -> list[str]:
    parts = []
    if panel.prior:
        ages, values = np.array(panel.prior).T
        parts.append(f'<path class="curve" d="{_path(x(ages), y(values))}"/>')
    if panel.lines is not None:
        for p, values in panel.lines.centiles.items():
            if np.allclose(values, panel.lines.mean, rtol=0, atol=1e-9, equal_nan=True):
                continue  # the median of a symmetric spread is the curve itself
            name = 'centile inner' if 20 < p < 80 else 'centile'
            d = _path(x(panel.lines.ages), y(values))
            parts.append(f'<path class="{name}" d="{d}"/>' if d else '')
        d = _path(x(panel.lines.ages), y(panel.lines.mean))
        parts.append(f'<path class="fit" d="{d}"/>')
    return parts


def _path(x: np.ndarray, y: np.ndarray) -> str:
    known = np.isfinite(y)
    if known.sum() < 2:
        return ''
    points = [f'{a:g} {b:g}' for a, b in zip(x[known], y[known], strict=True)]
    return 'M' + 'L'.join(points)


def _text(
    x: float, y: float, text: str, style: str = '', anchor: str = '', hint: str = ''
) -> str:  # fmt: skip
    attributes = f' class="{style}"' if style else ''
    attributes += f' text-anchor="{anchor}"' if anchor else ''
    hint = f'<title>{escape(hint)}</title>' if hint and hint != text else ''
    return f'<text x="{x:g}" y="{y:g}"{attributes}>{hint}{escape(text)}</text>'
