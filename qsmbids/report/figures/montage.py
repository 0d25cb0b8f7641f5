"""Rows of slices with L/R marks, fixed windows and colour bars, drawn with matplotlib's Agg.

Every picture of the report is a list of rows, a row is a list of tiles, a tile is one slice
with contours on it. Tiles keep the true proportions of the anatomy (anisotropic voxels too),
and all tiles of a row have the same height. All lie in one Axes that spans the figure, in
inches: an Axes for each tile would take as long as the rest. No pyplot: nothing global is
touched, so figures may be drawn in any process or thread.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qsmbids.bids.write import write_atomically
from qsmbids.report.figures.images import Volume, plane_of
from qsmbids.report.figures.outlines import Contour, Outlines, outline

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas
    from matplotlib.image import AxesImage

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

Box = tuple[float, float, float, float]  # left, bottom, width, height; inches from bottom left


@dataclass(frozen=True)
class Window:
    """Fixed grey-value window: the same numbers in every report."""

    low: float
    high: float
    unit: str
    ticks: tuple[float, ...] = ()
    cmap: str = 'gray'


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
class Room:
    """Room over the width of the tiles in which something else is drawn, like a histogram."""

    height: float  # inches
    fill: Callable[[Canvas, Box], None]


@dataclass(frozen=True, eq=False)
class Row:
    """Tiles of equal height under one heading, or room for something else."""

    title: str
    tiles: Sequence[Tile] = ()
    window: Window | None = None  # None: from 0 to ``maximum``, no colour bar
    maximum: float = 1.0
    legend: Sequence[tuple[str, str]] = ()  # (text, colour), beside the title
    room: Room | None = None  # instead of tiles


def make_tile(
    volume: Volume,
    axis: int,
    index: int,
    *,
    mask: np.ndarray | None = None,
    outlines: Sequence[Outlines] = (),
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
    outlines : sequence of Outlines
        Regions on the grid of the volume.
    arrow : (across, up) float, mm, optional
        Drawn through the centre.
    """
    values = volume.plane(axis, index)
    if mask is not None:
        values = np.where(plane_of(mask, axis, index), values, np.nan)
    contours = tuple(contour for regions in outlines for contour in regions.on(axis, index))
    note = f'{_AXIS_NAMES[axis]} = {volume.position(axis, index):+.0f} mm'
    return Tile(values, volume.extent(axis), _MARKS[axis], note, contours, arrow, axis != 2)


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
    axes = canvas.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(0, total), autoscale_on=False)
    axes.set_axis_off()
    top = total
    window = None
    for row, height in zip(rows, heights, strict=True):
        _draw_heading(canvas, row, (top - 0.62 * _HEAD) / total, 1 - (bar + _GAP) / WIDTH)
        top -= _HEAD + height
        if row.room:
            row.room.fill(canvas, (_GAP, top, WIDTH - bar - 2 * _GAP, height))
            continue
        image, right = _draw_tiles(axes, row, top, height)
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
    if row.room:
        return row.room.height
    shapes = sum(tile.extent[0] / tile.extent[1] for tile in row.tiles)
    room = WIDTH - bar - _GAP * (len(row.tiles) + 1)
    return min(room / shapes, max_height)


def _draw_heading(canvas: Canvas, row: Row, y: float, right: float) -> None:
    """Write title and legend at a height and up to a right edge, as fractions."""
    canvas.text(_GAP / WIDTH, y, row.title, color=TEXT, size=10, weight='bold', va='center')
    for text, color in reversed(row.legend):  # from the right edge to the left
        entry = canvas.text(right, y, f'● {text}', color=color, size=8.5, va='center', ha='right')
        right -= entry.get_window_extent().width / (DPI * WIDTH) + 0.02


def _draw_tiles(axes: Axes, row: Row, bottom: float, height: float) -> tuple[AxesImage, float]:
    """Draw the tiles of a row; return the last image and where the row ends, in inches."""
    from matplotlib import colormaps

    window = row.window or Window(0.0, row.maximum, '')
    cmap = colormaps[window.cmap].with_extremes(bad=BACKGROUND)
    left = _GAP
    for tile in row.tiles:
        width = height * tile.extent[0] / tile.extent[1]
        box = (left, bottom, width, height)
        image = axes.imshow(
            tile.values, cmap=cmap, vmin=window.low, vmax=window.high, origin='lower',
            extent=(left, left + width, bottom, bottom + height), aspect='auto',
            interpolation='antialiased',
        )  # fmt: skip
        if tile.contours:
            _draw_contours(axes, tile, box)
        if tile.arrow:
            _draw_arrow(axes, tile, box)
        _annotate(axes, tile, box)
        left += width + _GAP
    return image, left


def _clip(artist: Artist, axes: Axes, box: Box) -> None:
    """Keep what is drawn on a tile off its neighbours."""
    from matplotlib.transforms import Bbox, TransformedBbox

    artist.set_clip_box(TransformedBbox(Bbox.from_bounds(*box), axes.transData))


def _draw_contours(axes: Axes, tile: Tile, box: Box) -> None:
    """Draw all outlines of a tile at once."""
    from matplotlib.collections import PathCollection

    lines = PathCollection(
        [outline(contour.mask, box) for contour in tile.contours],
        facecolors='none',
        edgecolors=[contour.color for contour in tile.contours],
        linewidths=[contour.width for contour in tile.contours],
        transform=axes.transData,
        zorder=2,  # above the slices, below the marks
    )
    axes.add_collection(lines, autolim=False)
    _clip(lines, axes, box)


def _annotate(axes: Axes, tile: Tile, box: Box) -> None:
    from matplotlib.patheffects import withStroke

    style = {
        'color': '#b8c7d6', 'size': 7.5,
        'path_effects': [withStroke(linewidth=1.8, foreground=BACKGROUND)],
    }  # fmt: skip
    left, bottom, width, height = box
    for mark, x, side in zip(tile.marks, (0.02, 0.98), ('left', 'right'), strict=True):
        axes.text(left + x * width, bottom + 0.98 * height, mark, va='top', ha=side,
                  weight='bold', **style)  # fmt: skip
    axes.text(left + 0.02 * width, bottom + 0.015 * height, tile.note, va='bottom', **style)


def _draw_arrow(axes: Axes, tile: Tile, box: Box) -> None:
    """Draw the field direction, and the vertical axis of the image as a dashed line."""
    from matplotlib.patches import FancyArrowPatch

    left, bottom, width, height = box
    centre = np.array([left + width / 2, bottom + height / 2])
    half = np.array(tile.arrow) / 2 * (height / tile.extent[1])  # mm to inches
    if np.linalg.norm(half) < 0.02 * height:  # the field points at the reader
        axes.plot(*centre, 'o', color=B0_COLOR, ms=9, mfc='none', mew=1.6)
        axes.plot(*centre, 'o', color=B0_COLOR, ms=2.5)
        return
    if tile.upright:
        reach = np.array([0, 0.42 * height])
        axes.plot(*zip(centre - reach, centre + reach, strict=True), color=AXIS_COLOR, lw=1.1,
                  ls='--')  # fmt: skip
    arrow = FancyArrowPatch(
        centre - half, centre + half, arrowstyle='-|>', color=B0_COLOR, lw=2.0,
        mutation_scale=16, zorder=3,
    )  # fmt: skip
    axes.add_patch(arrow)
    _clip(arrow, axes, box)


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
    # a fixed height: matplotlib would lay out all tick labels to see whether one is in the way
    axes.set_title(window.unit, color=TEXT, size=8, pad=9, loc='left', y=1.0)
