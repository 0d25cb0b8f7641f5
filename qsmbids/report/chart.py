"""Small charts of a value against age, written as SVG by hand.

Twenty small multiples are lighter, sharper and more accessible as SVG text than as rasters,
and points can carry a link and a tooltip. Colours are CSS variables of the page, with
defaults for a file that stands alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from qsmbids.report.values import fixed

WIDTH, HEIGHT = 260, 208
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 248, 44, 162
_CROWDED = 12  # more marks than this would hide a curve behind them
X_LABEL = 'age (years)'

STYLE = """\
.chart text{font:10px system-ui,-apple-system,"Segoe UI",Roboto,Helvetica,Arial,sans-serif;\
fill:var(--muted,#5b6673)}
.chart .name{font-size:12.5px;font-weight:600;fill:var(--ink,#1c232b)}
.chart .small{font-size:9px}
.chart .grid{stroke:var(--line,#dfe3e8);stroke-width:1}
.chart .zero{stroke:var(--line-strong,#b8c0ca);stroke-width:1}
.chart .curve{fill:none;stroke:var(--curve,#8a6d3b);stroke-width:1.8;stroke-dasharray:5 3}
.chart .left{fill:var(--left,#0b6e99);stroke:var(--panel,#fff);stroke-width:.6}
.chart .right{fill:var(--right,#b3445a);stroke:var(--panel,#fff);stroke-width:.6}
.chart .both{fill:var(--ink,#1c232b);stroke:var(--panel,#fff);stroke-width:.8}
.chart .span{stroke:var(--muted,#5b6673);stroke-width:1}
.chart .level{stroke:var(--ink,#1c232b);stroke-width:1.2}
.chart a:hover path,.chart a:focus path{stroke:var(--ink,#1c232b);stroke-width:2}
"""

# outline of each mark around (0, 0); shape, not only colour, tells the sides apart
_SHAPES = {
    'left': 'm-2.5-3.6v7.2l-6-3.6z',
    'right': 'm2.5-3.6v7.2l6-3.6z',
    'both': 'm-3.4 0a3.4 3.4 0 1 0 6.8 0a3.4 3.4 0 1 0-6.8 0',
}


@dataclass(frozen=True)
class Mark:
    """A point: shape 'left', 'right' or 'both', tooltip and an optional link."""

    x: float
    y: float
    shape: str
    title: str = ''
    href: str = ''


@dataclass(frozen=True)
class Chart:
    """One panel.

    Parameters
    ----------
    name, subtitle, footnote : str
        Region; unit, reference and n; what the curve is.
    x_range, y_range : (low, high)
    marks : sequence of Mark
    spans : sequence of (x, y1, y2)
        Thin vertical lines that join marks.
    curve : sequence of (x, y)
    level : float or None
        Horizontal line, for a value whose age is not known.
    """

    name: str
    subtitle: str
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    footnote: str = ''
    marks: Sequence[Mark] = ()
    spans: Sequence[tuple[float, float, float]] = ()
    curve: Sequence[tuple[float, float]] = field(default_factory=tuple)
    level: float | None = None


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round numbers between two values.

    Examples
    --------
    >>> ticks(-0.03, 0.21)
    [0.0, 0.05, 0.1, 0.15, 0.2]
    >>> ticks(0, 90)
    [0.0, 20.0, 40.0, 60.0, 80.0]
    """
    span = (high - low) or 1.0
    power = 10.0 ** math.floor(math.log10(span / count))
    step = min((m * power for m in (1, 2, 5, 10)), key=lambda s: abs(span / s - count))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 10) + 0.0 for i in range(first, last + 1)]


def padded_range(values: Sequence[float], smallest: float = 0.04) -> tuple[float, float]:
    """Return a range that holds all finite values with a margin of 8 %."""
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return (-smallest, smallest)
    low, high = min(finite), max(finite)
    missing = max(smallest - (high - low), 0) / 2
    low, high = low - missing, high + missing
    margin = 0.08 * (high - low)
    return (low - margin, high + margin)


def chart_svg(chart: Chart) -> str:
    """Return a panel as an ``<svg>`` element without a width, so that it fills its box."""
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'xmlns="http://www.w3.org/2000/svg" aria-label="{escape(chart.name)}, '
        f'{escape(chart.subtitle)}">{chart_body(chart)}</svg>'
    )


def chart_body(chart: Chart) -> str:
    """Return what is inside the ``<svg>`` element of a panel."""

    def x(value: float) -> float:
        low, high = chart.x_range
        return round(_LEFT + (value - low) / (high - low) * (_RIGHT - _LEFT), 1)

    def y(value: float) -> float:
        low, high = chart.y_range
        return round(_BOTTOM - (value - low) / (high - low) * (_BOTTOM - _TOP), 1)

    parts = [
        _text(2, 14, chart.name, 'name'),
        _text(2, 29, chart.subtitle, 'small'),
    ]
    heights = ticks(*chart.y_range)
    digits = max((len(f'{v:g}'.partition('.')[2]) for v in heights), default=0)
    for value in heights:
        style = 'zero' if value == 0 else 'grid'
        parts.append(f'<path class="{style}" d="M{_LEFT} {y(value)}H{_RIGHT}"/>')
        parts.append(_text(_LEFT - 5, y(value) + 3.5, fixed(value, digits), anchor='end'))
    for value in ticks(*chart.x_range):
        parts.append(f'<path class="zero" d="M{x(value)} {_BOTTOM}v4"/>')
        parts.append(_text(x(value), _BOTTOM + 15, f'{value:g}', anchor='middle'))
    parts.append(_text((_LEFT + _RIGHT) / 2, _BOTTOM + 29, X_LABEL, 'small', 'middle'))
    points = ' '.join(f'{x(a)},{y(b)}' for a, b in chart.curve)
    curve = f'<polyline class="curve" points="{points}"/>' if points else ''
    crowded = len(chart.marks) > _CROWDED
    parts.append('' if crowded else curve)
    if chart.footnote:
        parts.append(f'<path class="curve" d="M2 {HEIGHT - 7}h18"/>' if chart.curve else '')
        start = 24 if chart.curve else 2
        parts.append(_text(start, HEIGHT - 4, chart.footnote, 'small'))
    if chart.level is not None:
        parts.append(f'<path class="level" d="M{_LEFT} {y(chart.level)}H{_RIGHT}"/>')
    for at, low, high in chart.spans:
        parts.append(f'<path class="span" d="M{x(at)} {y(low)}V{y(high)}"/>')
    parts += [_mark(mark, x(mark.x), y(mark.y)) for mark in chart.marks]
    parts.append(curve if crowded else '')
    return ''.join(parts)


def compose(charts: Sequence[Chart], *, title: str, note: str, columns: int = 4) -> str:
    """Return a stand-alone SVG file of many panels under a title and a note."""
    gap, head = 16, 62
    columns = max(1, min(columns, len(charts)))
    width = columns * (WIDTH + gap) + gap
    rows = -(-len(charts) // columns)
    height = head + rows * (HEIGHT + gap) + gap
    cells = []
    for number, chart in enumerate(charts):
        left = gap + (number % columns) * (WIDTH + gap)
        top = head + (number // columns) * (HEIGHT + gap)
        cells.append(f'<g transform="translate({left} {top})">{chart_body(chart)}</g>')
    return (
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}"><style>{STYLE}</style>'
        f'<rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="{gap}" y="28" style="font-size:18px;font-weight:600;fill:#1c232b">'
        f'{escape(title)}</text>{_text(gap, 48, note)}{"".join(cells)}</svg>\n'
    )


def _text(x: float, y: float, text: str, style: str = '', anchor: str = '') -> str:
    attributes = f' class="{style}"' if style else ''
    attributes += f' text-anchor="{anchor}"' if anchor else ''
    return f'<text x="{round(x, 1)}" y="{round(y, 1)}"{attributes}>{escape(text)}</text>'


def _mark(mark: Mark, x: float, y: float) -> str:
    title = f'<title>{escape(mark.title)}</title>' if mark.title else ''
    path = f'<path class="{mark.shape}" d="M{x} {y}{_SHAPES[mark.shape]}">{title}</path>'
    return f'<a href="{escape(mark.href)}">{path}</a>' if mark.href else path
