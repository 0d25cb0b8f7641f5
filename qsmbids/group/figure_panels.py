"""Panels of a figure on disk, drawn by hand in inches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qsmbids.group.panel_svg import shortened
from qsmbids.group.panels import Panel
from qsmbids.report.chart import X_LABEL, ticks
from qsmbids.report.values import fixed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 3.1, 2.8  # of a panel with its texts
FIT, PRIOR = '#0072b2', '#a06a00'
POINTS = {'both': '#4a5662', 'left': '#0072b2', 'right': '#b3445a'}
_ACROSS, _UP = WIDTH - 0.75, HEIGHT - 1.15  # of the axes
_CROWDED = 3000  # points of a figure; more become one image inside the SVG
_INK, _MUTED, _LINE, _ZERO = '#1b2229', '#4a5662', '#e3e6ea', '#9aa4ae'


@dataclass(frozen=True)
class Box:
    """A panel and where the lower left corner of its axes is, in inches."""

    panel: Panel
    left: float
    bottom: float

    def x(self, ages: np.ndarray | float) -> np.ndarray:
        """Return where ages are."""
        low, high = self.panel.x_range
        return self.left + (np.asarray(ages) - low) / (high - low) * _ACROSS

    def y(self, values: np.ndarray | float) -> np.ndarray:
        """Return where values are; beyond the axis they are on its edge."""
        low, high = self.panel.y_range
        inside = np.clip(values, low, high)
        return self.bottom + (inside - low) / (high - low) * _UP

    def line(self, ages: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return the known points of a line, shape (n, 2)."""
        known = np.isfinite(values)
        return np.column_stack([self.x(ages[known]), self.y(values[known])])


def draw_boxes(sheet: Axes, boxes: Sequence[Box]) -> None:
    """Draw axes, points, bands, curves and texts of all panels."""
    _axes(sheet, boxes)
    _points(sheet, boxes)
    _curves(sheet, boxes)
    _texts(sheet, boxes)


def _axes(sheet: Axes, boxes: Sequence[Box]) -> None:
    grid, zero, marks = [], [], []
    for box in boxes:
        heights = ticks(*box.panel.y_range)
        digits = max((len(f'{v:g}'.partition('.')[2]) for v in heights), default=0)
        for value in heights:
            y = float(box.y(value))
            (zero if value == 0 else grid).append([(box.left, y), (box.left + _ACROSS, y)])
            sheet.text(box.left - 0.06, y, fixed(value, digits), size=7, color=_MUTED,
                       ha='right', va='center')  # fmt: skip
        bottom = box.bottom
        marks.append([(box.left, bottom), (box.left + _ACROSS, bottom)])
        for value in ticks(*box.panel.x_range):
            x = float(box.x(value))
            marks.append([(x, bottom), (x, bottom - 0.04)])
            sheet.text(x, bottom - 0.07, f'{value:g}', size=7, color=_MUTED, ha='center', va='top')
        sheet.text(box.left + _ACROSS / 2, bottom - 0.22, X_LABEL, size=7, color=_MUTED,
                   ha='center', va='top')  # fmt: skip
    _lines(sheet, grid, _LINE, 0.6)
    _lines(sheet, zero, _ZERO, 0.6)
    _lines(sheet, marks, _INK, 0.7)


def _points(sheet: Axes, boxes: Sequence[Box]) -> None:
    total = sum(box.panel.ages.size for box in boxes)
    most = max(box.panel.ages.size for box in boxes)
    for side, color in POINTS.items():
        members = [box for box in boxes if box.panel.side == side]
        if members:
            sheet.plot(
                np.concatenate([box.x(box.panel.ages) for box in members]),
                np.concatenate([box.y(box.panel.values) for box in members]),
                linestyle='none', marker='o', markeredgewidth=0, color=color,
                markersize=3.4 if most < 100 else 2.2 if most < 1000 else 1.4,
                alpha=0.6 if most < 1000 else 0.3, rasterized=total > _CROWDED,
            )  # fmt: skip


def _curves(sheet: Axes, boxes: Sequence[Box]) -> None:
    from matplotlib.collections import PolyCollection

    bands, means, inner, outer, priors = [], [], [], [], []
    for box in boxes:
        lines = box.panel.lines
        if lines is not None:
            low, high = box.line(lines.ages, lines.low), box.line(lines.ages, lines.high)
            if len(low) > 1 and len(high) > 1:
                bands.append(np.concatenate([low, high[::-1]]))
            means.append(box.line(lines.ages, lines.mean))
            for p, values in lines.centiles.items():
                if p != 50:
                    (inner if 20 < p < 80 else outer).append(box.line(lines.ages, values))
        if box.panel.prior:
            priors.append(box.line(*np.array(box.panel.prior).T))
    sheet.add_collection(
        PolyCollection(bands, facecolor=FIT, alpha=0.28, linewidth=0, zorder=2.1), autolim=False
    )
    _lines(sheet, outer, FIT, 0.8, (0, (1.5, 2)))
    _lines(sheet, inner, FIT, 0.8, (0, (5, 2)))
    _lines(sheet, priors, PRIOR, 1.2, (0, (4, 1.6)))
    _lines(sheet, means, FIT, 1.7)


def _texts(sheet: Axes, boxes: Sequence[Box]) -> None:
    for box in boxes:
        panel = box.panel
        out = f', {panel.outside} beyond the axis' if panel.outside else ''
        for above, text, size, weight in (
            (0.5, shortened(panel.name, 40), 9, 'bold'),
            (0.345, shortened(panel.unit, 56), 6.6, 'normal'),
            (0.205, f'{panel.count}{out}', 6.6, 'normal'),
            (0.065, shortened(panel.title, 60), 6.6, 'normal'),
        ):
            sheet.text(
                box.left - 0.38, box.bottom + _UP + above, text, size=size, weight=weight,
                color=_INK, parse_math=False,
            )  # fmt: skip


def _lines(
    sheet: Axes, lines: Sequence, color: str, width: float, dash: str | tuple = 'solid'
) -> None:  # fmt: skip
    from matplotlib.collections import LineCollection

    order = 1 if color in (_LINE, _ZERO, _INK) else 2.2
    sheet.add_collection(
        LineCollection(lines, colors=color, linewidths=width, linestyles=[dash], zorder=order),
        autolim=False,
    )
