"""Rows of slices with L/R marks, fixed windows and colour bars, drawn with matplotlib's Agg.

Every picture of the report is a list of rows, a row is a list of tiles, a tile is one slice
with contours on it. Tiles keep the true proportions of the anatomy (anisotropic voxels too),
and all tiles of a row have the same height. No pyplot: nothing global is touched, so figures
may be drawn in any process or thread.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qsmbids.bids.write import write_atomically
from qsmbids.report.figures.images import Volume

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

MAX_BYTES = 200_000
DPI = 150
WIDTH = 10.0  # inches, so 1500 pixels
BACKGROUND = '#000000'
TEXT = '#dfe4ea'
FAINT = '#8fa1b3'
B0_COLOR = '#ffd166'
AXIS_COLOR = '#7fdbff'
SIDE_NOTE = "Neurological display: the subject's left (L) is on the left."

_GAP = 0.04
_HEAD = 0.31  # height of a row's title
_FOOT = 0.28
_BAR = 0.80  # width kept for the colour bar
# quality and size, in turn, until the file is small enough; noise needs the later ones
_ATTEMPTS = ((86, 1.0), (72, 1.0), (55, 1.0), (40, 1.0), (30, 0.7), (30, 0.5), (20, 0.3))
_MARKS = {0: ('P', 'A'), 1: ('L', 'R'), 2: ('L', 'R')}  # left and right edge of a slice
_AXIS_NAMES = 'xyz'


@dataclass(frozen=True)
class Window:
    """Fixed grey-value window: the same numbers in every report."""

    low: float
    high: float
    unit: str
    ticks: tuple[float, ...] = ()
    cmap: str = 'gray'


@dataclass(frozen=True, eq=False)
class Contour:
    """The outline of a mask on a slice."""

    mask: np.ndarray  # (rows, columns) bool
    color: str
    width: float = 0.9


@dataclass(frozen=True, eq=False)
class Tile:
    """One slice, ready to be drawn.

    Values that are NaN are left black. ``arrow`` is a vector (across, up) in mm from the
    centre of the tile.
    """

    values: np.ndarray
    extent: tuple[float, float]  # mm
    marks: tuple[str, str]
    note: str = ''
    contours: tuple[Contour, ...] = ()
    arrow: tuple[float, float] | None = None
    upright: bool = True  # whether the vertical axis of the image lies in this plane


@dataclass(frozen=True, eq=False)
class Row:
    """Tiles of equal height under one heading."""

    title: str
    tiles: Sequence[Tile]
    window: Window | None = None  # None: from 0 to ``maximum``, no colour bar
    maximum: float = 1.0
    legend: Sequence[tuple[str, str]] = ()  # (text, colour), beside the title


def make_tile(
    volume: Volume,
    axis: int,
    index: int,
    *,
    mask: np.ndarray | None = None,
    outlines: Sequence[tuple[np.ndarray, str, float]] = (),
    arrow: tuple[float, float] | None = None,
) -> Tile:
    """Cut a slice out of a volume.

    Parameters
    ----------
    volume : Volume
    axis, index : int
        Which slice; axis 0 sagittal, 1 coronal, 2 axial.
    mask : (nx, ny, nz) bool, optional
        Outside of it the tile is black.
    outlines : sequence of (mask (nx, ny, nz) bool, colour, line width)
        Contours to draw.
    """
    values = volume.plane(axis, index)
    if mask is not None:
        values = np.where(np.take(mask, index, axis=axis).T, values, np.nan)
    contours = []
    for outline, color, width in outlines:
        flat = np.take(outline, index, axis=axis).T
        if flat.any() and not flat.all():
            contours.append(Contour(flat, color, width))
    note = f'{_AXIS_NAMES[axis]} = {volume.position(axis, index):+.0f} mm'
    return Tile(values, volume.extent(axis), _MARKS[axis], note, tuple(contours), arrow, axis != 2)


def spread(mask: np.ndarray, axis: int, count: int, low: float, high: float) -> list[int]:
    """Return ``count`` slice indices between two fractions of a mask's extent.

    Examples
    --------
    >>> spread(np.ones((3, 3, 11), bool), 2, 3, 0.0, 1.0)
    [0, 5, 10]
    """
    hit = np.flatnonzero(mask.any(axis=tuple(i for i in range(3) if i != axis)))
    if not hit.size:
        hit = np.arange(mask.shape[axis])
    span = hit[-1] - hit[0]
    positions = hit[0] + span * np.linspace(low, high, count)
    return list(dict.fromkeys(round(float(p)) for p in positions))


def balanced(regions: np.ndarray, axis: int, fractions: Sequence[float]) -> list[int]:
    """Return slice indices that share labelled regions out evenly.

    Every region counts the same, however small it is, so that slices fall where the nuclei
    are and not where the largest region is.

    Parameters
    ----------
    regions : (nx, ny, nz) int
        Labels, 0 for none.
    fractions : sequence of float
        Quantiles of the weight along the axis, ascending in 0...1.

    Examples
    --------
    >>> regions = np.zeros((1, 1, 9), int)
    >>> regions[..., 2], regions[..., 6:] = 1, 2
    >>> balanced(regions, 2, (0.25, 0.75))
    [2, 7]
    """
    along = np.moveaxis(regions, axis, 0).reshape(regions.shape[axis], -1)
    weight = np.zeros(len(along))
    for label in np.unique(regions[regions != 0]):
        count = np.count_nonzero(along == label, axis=1)
        weight += count / count.sum()
    total = np.cumsum(weight)
    picked = np.searchsorted(total, np.asarray(fractions) * total[-1])
    return list(dict.fromkeys(int(i) for i in picked))


def draw(rows: Sequence[Row], *, footer: str = SIDE_NOTE, max_height: float = 3.4) -> Canvas:
    """Draw the rows under one another.

    Parameters
    ----------
    rows : sequence of Row
    footer : str
        Small line at the bottom; states the side convention.
    max_height : float
        Largest height of a row in inches.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    bar = _BAR if any(row.window for row in rows) else 0.0
    heights = [_row_height(row, max_height, bar) for row in rows]
    total = sum(heights) + _HEAD * len(rows) + _FOOT
    canvas = Figure(figsize=(WIDTH, total), dpi=DPI, facecolor=BACKGROUND)
    FigureCanvasAgg(canvas)
    top = total
    window = None
    for row, height in zip(rows, heights, strict=True):
        _draw_heading(canvas, row, (top - 0.62 * _HEAD) / total, 1 - (bar + _GAP) / WIDTH)
        top -= _HEAD + height
        image, right = _draw_tiles(canvas, row, top, height, total)
        if row.window and row.window != window:  # one bar for rows that share a window
            _draw_bar(canvas, image, row.window, right, top, height, total)
        window = row.window
    canvas.text(_GAP / WIDTH, 0.35 * _FOOT / total, footer, color=FAINT, size=7.5, va='center')
    return canvas


def save(canvas: Canvas, path: Path) -> None:
    """Write a figure as WebP of at most 200 kB, at lower quality or smaller when needed."""
    from PIL import Image

    canvas.canvas.draw()
    pixels = Image.fromarray(np.asarray(canvas.canvas.buffer_rgba())[..., :3])
    for quality, scale in _ATTEMPTS:
        size = (round(pixels.width * scale), round(pixels.height * scale))
        buffer = io.BytesIO()
        shown = pixels if scale == 1 else pixels.resize(size)
        shown.save(buffer, 'WEBP', quality=quality, method=4)
        if buffer.tell() <= MAX_BYTES:
            break
    write_atomically(path, lambda stream: stream.write(buffer.getvalue()))


def _row_height(row: Row, max_height: float, bar: float) -> float:
    """Height in inches at which the tiles fill the width beside the colour bar."""
    shapes = sum(tile.extent[0] / tile.extent[1] for tile in row.tiles)
    room = WIDTH - bar - _GAP * (len(row.tiles) + 1)
    return min(room / shapes, max_height)


def _draw_heading(canvas: Canvas, row: Row, y: float, right: float) -> None:
    """Write title and legend at a height and up to a right edge, as fractions."""
    canvas.text(_GAP / WIDTH, y, row.title, color=TEXT, size=10, weight='bold', va='center')
    for text, color in reversed(row.legend):  # from the right edge to the left
        entry = canvas.text(right, y, f'● {text}', color=color, size=8.5, va='center', ha='right')
        right -= entry.get_window_extent().width / (DPI * WIDTH) + 0.02


def _draw_tiles(canvas: Canvas, row: Row, bottom: float, height: float, total: float):
    """Draw the tiles of a row; return the last image and where the row ends, in inches."""
    from matplotlib import colormaps

    window = row.window or Window(0.0, row.maximum, '')
    cmap = colormaps[window.cmap].with_extremes(bad=BACKGROUND)
    left = _GAP
    for tile in row.tiles:
        width = height * tile.extent[0] / tile.extent[1]
        box = (left / WIDTH, bottom / total, width / WIDTH, height / total)
        axes = canvas.add_axes(box, facecolor=BACKGROUND)
        axes.set_axis_off()
        reach = (0.0, tile.extent[0], 0.0, tile.extent[1])
        image = axes.imshow(
            tile.values, cmap=cmap, vmin=window.low, vmax=window.high,
            origin='lower', extent=reach, aspect='auto', interpolation='antialiased',
        )  # fmt: skip
        for contour in tile.contours:
            axes.contour(
                contour.mask.astype(np.float32), levels=[0.5], colors=[contour.color],
                linewidths=contour.width, origin='lower', extent=reach,
            )  # fmt: skip
        if tile.arrow:
            _draw_arrow(axes, tile)
        _annotate(axes, tile)
        left += width + _GAP
    return image, left


def _annotate(axes, tile: Tile) -> None:
    from matplotlib.patheffects import withStroke

    style = {
        'transform': axes.transAxes, 'color': '#b8c7d6', 'size': 7.5,
        'path_effects': [withStroke(linewidth=1.8, foreground=BACKGROUND)],
    }  # fmt: skip
    axes.text(0.02, 0.98, tile.marks[0], va='top', ha='left', weight='bold', **style)
    axes.text(0.98, 0.98, tile.marks[1], va='top', ha='right', weight='bold', **style)
    axes.text(0.02, 0.015, tile.note, va='bottom', ha='left', **style)


def _draw_arrow(axes, tile: Tile) -> None:
    """Draw the field direction, and the vertical axis of the image as a dashed line."""
    centre = np.array(tile.extent) / 2
    half = np.array(tile.arrow) / 2
    if np.linalg.norm(half) < 0.02 * tile.extent[1]:  # the field points at the reader
        axes.plot(*centre, 'o', color=B0_COLOR, ms=9, mfc='none', mew=1.6)
        axes.plot(*centre, 'o', color=B0_COLOR, ms=2.5)
        return
    if tile.upright:
        reach = np.array([0, 0.42 * tile.extent[1]])
        axes.plot(*zip(centre - reach, centre + reach, strict=True), color=AXIS_COLOR, lw=1.1,
                  ls='--')  # fmt: skip
    axes.annotate(
        '', xy=centre + half, xytext=centre - half,
        arrowprops={'arrowstyle': '-|>', 'color': B0_COLOR, 'lw': 2.0, 'mutation_scale': 16},
    )  # fmt: skip
    axes.set_xlim(0, tile.extent[0])
    axes.set_ylim(0, tile.extent[1])


def _draw_bar(canvas: Canvas, image, window: Window, left: float, bottom: float,
              height: float, total: float) -> None:  # fmt: skip
    length = min(height * 0.8, 2.2)
    box = (
        (left + 0.10) / WIDTH,
        (bottom + (height - length) / 2) / total,
        0.11 / WIDTH,
        length / total,
    )
    axes = canvas.add_axes(box)
    bar = canvas.colorbar(image, cax=axes, ticks=window.ticks or (window.low, window.high))
    bar.outline.set_edgecolor(FAINT)
    bar.outline.set_linewidth(0.6)
    axes.tick_params(colors=TEXT, labelsize=7.5, length=2.5, width=0.6)
    axes.set_title(window.unit, color=TEXT, size=8, pad=9, loc='left')
