"""A picture of an atlas: template and labels in three planes through the deep grey matter.

One row for each age bin. On the left the susceptibility template in a fixed grey scale with
the outlines of the regions, on the right the structural template with the regions filled. The
colours are those of the label table. Left is left (neurological display), marked L and R.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbids.atlas.cohorts import Cohort
from qsmbids.atlas.dataset import Atlas
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.geometry import Label
from qsmbids.atlas.picture_rows import PLANES, Row, read_rows
from qsmbids.bids.write import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WINDOW_PPM = (-0.10, 0.20)  # the same for every atlas and age, so that pictures compare
MAX_LEGEND = 28
DPI = 150
_WIDTH = 15.0  # inches
_TITLE, _ROW_TITLE, _BAR, _GAP, _LEGEND_LINE = 0.50, 0.34, 0.62, 0.05, 0.22
_LEGEND_COLUMNS = 7
_BLACK, _TEXT, _FAINT = '#000000', '#e6ebf1', '#93a4b7'
_DARKEST = 0.42  # luminance below which a colour of the table is lightened for its outline
_FILL = 0.55
_MANY = 60  # regions, beyond which their outlines are thinner
_MARKS = {2: ('L', 'R'), 1: ('L', 'R'), 0: ('P', 'A')}


def pick_cohorts(atlas: Atlas) -> tuple[Cohort, ...]:
    """Return the youngest, the middle and the oldest age bin."""
    last = len(atlas.cohorts) - 1
    return tuple(atlas.cohorts[i] for i in sorted({0, last // 2, last}))


def draw_atlas(atlas: Atlas, cohorts: Sequence[Cohort], path: Path) -> Path:
    """Draw template and labels of some age bins.

    Parameters
    ----------
    atlas : Atlas
    cohorts : sequence of Cohort
        One row each.
    path : Path
        A PNG file; its folder is made if absent.

    Returns
    -------
    Path

    Raises
    ------
    AtlasError
        If the name does not end in ``.png``, or an image of the atlas cannot be used.
    """
    path = Path(path)
    if path.suffix.lower() != '.png':
        raise AtlasError(
            f'{path} does not end in .png.',
            'The picture is written as PNG.',
            'Give another file name.',
        )
    rows = read_rows(atlas, cohorts)
    canvas = _compose(atlas, rows)
    write_atomically(path, lambda stream: canvas.savefig(stream, format='png'))
    return path


def _compose(atlas: Atlas, rows: Sequence[Row]) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    legend = _legend_entries(atlas.labels, rows)
    legend_height = _LEGEND_LINE * -(-len(legend) // _LEGEND_COLUMNS) + 0.30
    heights = [_row_height(row) for row in rows]
    total = _TITLE + sum(heights) + _ROW_TITLE * len(rows) + legend_height
    canvas = Figure(figsize=(_WIDTH, total), dpi=DPI, facecolor=_BLACK)
    FigureCanvasAgg(canvas)
    _draw_title(canvas, atlas, total)
    top = total - _TITLE
    for row, height in zip(rows, heights, strict=True):
        _draw_row_title(canvas, row, top, total)
        top -= _ROW_TITLE + height
        scale, right = _draw_row(canvas, row, atlas.labels, top, height, total)
        if row is rows[0]:  # one bar, as all rows have one grey scale
            _draw_bar(canvas, scale, right, top, height, total)
    _draw_legend(canvas, legend, top, total)
    return canvas


def _row_height(row: Row) -> float:
    shapes = sum(row.extent(axis)[0] / row.extent(axis)[1] for axis in PLANES)
    columns = 2 * len(PLANES) if row.structural is not None else len(PLANES)
    room = _WIDTH - _BAR - _GAP * (columns + 2)
    return min(room / (shapes * columns / len(PLANES)), 3.6)


def _draw_title(canvas: Figure, atlas: Atlas, total: float) -> None:
    ages = f'{min(c.age_min for c in atlas.cohorts):g}–{max(c.age_max for c in atlas.cohorts):g}'
    count = len(atlas.cohorts)
    facts = (
        f'{count} age bin{"s" if count > 1 else ""}, {ages} years   ·   '
        f'{len(atlas.labels)} regions'
        f'   ·   χ in ppm, grey scale {WINDOW_PPM[0]:+.2f} … {WINDOW_PPM[1]:+.2f}'
    ).replace('-', '−')
    y = 1 - 0.24 / total
    canvas.text(_GAP / _WIDTH, y, atlas.name, color=_TEXT, size=17, weight='bold', va='center')
    canvas.text(1 - _GAP / _WIDTH, y, facts, color=_FAINT, size=10.5, va='center', ha='right')


def _draw_row_title(canvas: Figure, row: Row, top: float, total: float) -> None:
    y = (top - 0.6 * _ROW_TITLE) / total
    words = f'Cohort {row.cohort.label}   {row.cohort.interval} years'
    text = canvas.text(_GAP / _WIDTH, y, words, color=_TEXT, size=11.5, weight='bold', va='center')
    x = _GAP / _WIDTH + text.get_window_extent().width / (DPI * _WIDTH) + 0.015
    planes = ', '.join(f'{"xyz"[axis]} = {row.position(axis):+.0f}' for axis in PLANES)
    kind = f'   ·   {row.structural_name}, regions filled' if row.structural is not None else ''
    note = f'χ, regions outlined{kind}   ·   {planes} mm'.replace('-', '−')
    canvas.text(x, y, note, color=_FAINT, size=9, va='center')


def _draw_row(
    canvas: Figure, row: Row, labels: Sequence[Label], bottom: float, height: float, total: float
) -> tuple[Any, float]:
    """Draw the planes; return the image with the grey scale and where the row ends, inches."""
    left = _GAP
    for image in ('chi', 'structural'):
        if image == 'structural' and row.structural is None:
            continue
        for axis in PLANES:
            across, up = row.extent(axis)
            width = height * across / up
            axes = canvas.add_axes(
                (left / _WIDTH, bottom / total, width / _WIDTH, height / total), facecolor=_BLACK
            )
            axes.set_axis_off()
            shown = _draw_plane(axes, row, labels, axis, image)
            if image == 'chi':
                scale = shown
            left += width + _GAP
        left += _GAP
    return scale, left


def _draw_plane(axes: Axes, row: Row, labels: Sequence[Label], axis: int, image: str) -> Any:
    extent = (0.0, row.extent(axis)[0], 0.0, row.extent(axis)[1])
    place = {'origin': 'lower', 'extent': extent, 'aspect': 'auto'}
    labelled, brain = row.plane(row.labelled, axis), row.plane(row.mask, axis)
    if image == 'chi':
        values, (low, high) = np.where(brain, row.plane(row.chi, axis), np.nan), WINDOW_PPM
    else:
        structural = row.structural
        values = row.plane(structural, axis)
        low, high = np.percentile(structural[row.mask], (0.5, 99.8))
    from matplotlib import colormaps

    cmap = colormaps['gray'].with_extremes(bad=_BLACK)
    shown = axes.imshow(
        values, cmap=cmap, vmin=low, vmax=high, interpolation='antialiased', **place
    )
    present = set(np.unique(labelled).tolist())
    here = [label for label in labels if label.index in present]
    if image == 'structural':
        filled = np.zeros((*labelled.shape, 4), dtype=np.float32)
        for label in here:
            filled[labelled == label.index] = (*_rgb(label.color), _FILL)
        axes.imshow(filled, interpolation='nearest', **place)
    else:
        width = 0.9 if len(labels) <= _MANY else 0.5
        for label in here:
            axes.contour(
                (labelled == label.index).astype(np.float32), levels=[0.5], origin='lower',
                extent=extent, colors=[_lightened(label.color)], linewidths=width,
            )  # fmt: skip
    _draw_marks(axes, axis)
    return shown


def _draw_marks(axes: Axes, axis: int) -> None:
    from matplotlib.patheffects import withStroke

    style = {
        'transform': axes.transAxes, 'color': _TEXT, 'size': 9, 'weight': 'bold', 'va': 'top',
        'path_effects': [withStroke(linewidth=2, foreground=_BLACK)],
    }  # fmt: skip
    axes.text(0.02, 0.985, _MARKS[axis][0], ha='left', **style)
    axes.text(0.98, 0.985, _MARKS[axis][1], ha='right', **style)


def _draw_bar(
    canvas: Figure, shown: Any, left: float, bottom: float, height: float, total: float
) -> None:
    length, ticks = 0.62 * height, (WINDOW_PPM[0], 0, WINDOW_PPM[1])
    axes = canvas.add_axes(
        (left / _WIDTH, (bottom + (height - length) / 2) / total, 0.11 / _WIDTH, length / total)
    )
    bar = canvas.colorbar(shown, cax=axes, ticks=ticks)
    bar.outline.set_edgecolor(_FAINT)
    bar.outline.set_linewidth(0.6)
    axes.set_yticklabels([f'{t:+.1f}'.replace('-', '−') if t else '0' for t in ticks])
    axes.tick_params(colors=_TEXT, labelsize=8, length=2.5, width=0.6)
    axes.set_title('ppm', color=_TEXT, size=8.5, pad=6, loc='left')


def _legend_entries(labels: Sequence[Label], rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Return (region, colour) of what is seen, deep grey first; the last may be "and N more"."""
    seen = {
        int(index)
        for row in rows
        for axis in PLANES
        for index in np.unique(np.take(row.labelled, row.slices[axis], axis=axis))
    }
    entries: dict[str, str] = {}
    for label in sorted(labels, key=lambda b: b.group not in ('deep grey', 'thalamus')):
        if label.index in seen:
            entries.setdefault(label.region, label.color)
    shown = list(entries.items())
    if len(shown) > MAX_LEGEND:
        return [*shown[: MAX_LEGEND - 1], (f'and {len(shown) - MAX_LEGEND + 1} more', '')]
    return shown


def _draw_legend(
    canvas: Figure, entries: Sequence[tuple[str, str]], bottom: float, total: float
) -> None:
    for number, (text, color) in enumerate(entries):
        line, column = divmod(number, _LEGEND_COLUMNS)
        x = (_GAP + column * (_WIDTH - 2 * _GAP) / _LEGEND_COLUMNS) / _WIDTH
        y = (bottom - 0.22 - line * _LEGEND_LINE) / total
        words = text if len(text) <= 26 else text[:25] + '…'
        if color:
            canvas.text(x, y, '■', color=color, size=11, va='center')
        canvas.text(x + 0.013, y, words, color=_TEXT if color else _FAINT, size=9, va='center')


def _rgb(color: str) -> np.ndarray:
    """Return #rrggbb as three numbers 0..1; grey if it is no such colour."""
    try:
        return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    except ValueError:
        return np.full(3, 0.5)


def _lightened(color: str) -> tuple[float, ...]:
    """Mix a dark colour with white until it stands out on grey."""
    rgb = _rgb(color)
    luminance = float(rgb @ (0.2126, 0.7152, 0.0722))
    share = max(0.0, (_DARKEST - luminance) / (1 - luminance))
    return tuple((rgb + share * (1 - rgb)).tolist())
