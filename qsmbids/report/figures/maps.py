"""The results: susceptibility in three planes and in the deep grey matter, and R2*."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from qsmbids.report.figures.fields import mixed_tiles
from qsmbids.report.figures.images import Images, Volume, bounding_box
from qsmbids.report.figures.montage import (
    BACKGROUND,
    FAINT,
    TEXT,
    Box,
    Room,
    Row,
    Window,
    draw,
    make_tile,
)
from qsmbids.report.figures.slices import balanced, spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

CHI = Window(-0.1, 0.2, 'χ (ppm)', (-0.1, -0.05, 0, 0.05, 0.1, 0.15, 0.2))
R2STAR = Window(0.0, 60.0, 'R2* (1/s)', (0, 20, 40, 60), cmap='magma')

_ZOOM_MM = (84.0, 92.0, 56.0)  # box that holds all deep grey nuclei of an adult
_DEEP_GREY_SHIFT_MM = (0.0, 2.0, -12.0)  # from the centre of the brain, without labels


def draw_chi(images: Images) -> Canvas:
    """Draw susceptibility in three planes, in the window that all reports share."""
    volume = images.get('chi')
    mask = where_known(images, volume)
    rows = []
    for title, axis, count, low, high in (
        ('Susceptibility, axial', 2, 6, 0.2, 0.85),
        ('Coronal', 1, 5, 0.2, 0.8),
        ('Sagittal', 0, 5, 0.2, 0.8),
    ):
        picked = spread(mask, axis, count, low, high)
        rows.append(Row(title, [make_tile(volume, axis, i, mask=mask) for i in picked], CHI))
    return draw(rows, max_height=2.6)


def draw_zoom(images: Images, deep_grey: Sequence[int] = ()) -> Canvas:
    """Draw the deep grey matter large.

    Parameters
    ----------
    deep_grey : sequence of int
        Label indices of the deep grey nuclei, to centre on when there is a ``dseg``.
    """
    volume = images.get('chi')
    mask = where_known(images, volume)
    nuclei = np.zeros(mask.shape, dtype=np.int32)
    if 'dseg' in images and len(deep_grey):
        nuclei = images.get('dseg').data.astype(np.int32)
        nuclei[~np.isin(nuclei, deep_grey)] = 0
    box = _zoom_box(volume, mask, nuclei != 0)
    near, inside, nuclei = volume.crop(box), mask[box], nuclei[box]
    rows = []
    for title, axis in (('Deep grey matter, axial', 2), ('Coronal', 1)):
        if nuclei.any():
            picked = balanced(nuclei, axis, (0.06, 0.28, 0.5, 0.72, 0.93))
        else:
            picked = spread(inside, axis, 5, 0.25, 0.75)
        rows.append(Row(title, [make_tile(near, axis, i, mask=inside) for i in picked], CHI))
    return draw(rows, max_height=2.6)


def draw_r2star(images: Images) -> Canvas:
    """Draw R2* and the histogram of its values in the brain."""
    volume = images.get('r2star')
    inside = images.mask('brain_mask', 'qsm_mask')
    inside = volume.data > 0 if inside is None else inside
    row = Row('R2*', mixed_tiles(volume, inside, mask=inside), R2STAR)
    histogram = partial(_histogram, volume.data[inside & (volume.data > 0)])
    return draw([row, Row('Values in the brain mask', room=Room(1.17, histogram))])


def where_known(images: Images, volume: Volume) -> np.ndarray:
    """Return where a susceptibility map has values, as bool."""
    mask = images.mask('qsm_mask', 'brain_mask')
    # the map is zero where nothing was computed
    return volume.data != 0 if mask is None else mask & (volume.data != 0)


def _zoom_box(volume: Volume, mask: np.ndarray, nuclei: np.ndarray) -> tuple[slice, ...]:
    """Return a box of fixed size in mm around the nuclei, or where they should be."""
    sizes = np.array(volume.voxel_size)
    half = np.array(_ZOOM_MM) / sizes / 2
    if nuclei.any():
        found = bounding_box(nuclei, volume.voxel_size, margin_mm=0.0)
        first, last = np.array([(side.start, side.stop - 1) for side in found]).T
        centre = (first + last) / 2
        half = np.maximum(half, (last - first) / 2 + 6 / sizes)  # a large head needs more
    elif mask.any():
        centre = _centre(mask) + np.array(_DEEP_GREY_SHIFT_MM) / sizes
    else:
        centre = np.array(volume.shape) / 2
    start = np.clip(np.floor(centre - half), 0, np.array(volume.shape) - 2).astype(int)
    stop = np.minimum(np.ceil(centre + half).astype(int) + 1, volume.shape)
    return tuple(slice(int(a), int(max(b, a + 2))) for a, b in zip(start, stop, strict=True))


def _centre(mask: np.ndarray) -> np.ndarray:
    """Return the mean position (3,) of the true voxels of a mask, in voxels."""
    counts = [np.count_nonzero(mask, axis=rest) for rest in ((1, 2), (0, 2), (0, 1))]
    return np.array([np.average(np.arange(count.size), weights=count) for count in counts])


def _histogram(values: np.ndarray, canvas: Canvas, box: Box) -> None:
    across, up = canvas.get_size_inches()
    left, bottom, width, height = box
    start = 0.45  # room for half a tick label
    axes = canvas.add_axes(
        (
            start / across,
            (bottom + 0.3 * height) / up,
            (left + width - start) / across,
            0.66 * height / up,
        ),
        facecolor=BACKGROUND,
    )
    edges = np.linspace(R2STAR.low, R2STAR.high, 81)
    axes.hist(np.clip(values, edges[0], edges[-1]), edges, color='#c2557a', histtype='stepfilled')
    if values.size:
        median = float(np.median(values))
        axes.axvline(median, color=TEXT, lw=1)
        axes.text(0.99, 0.9, f'median {median:.1f} 1/s', transform=axes.transAxes,
                  color=TEXT, size=9, ha='right', va='top')  # fmt: skip
    axes.set_xlim(edges[0], edges[-1])
    axes.set_yticks([])
    axes.set_xlabel('R2* (1/s); higher values are counted in the last bar', color=TEXT, size=8)
    axes.tick_params(colors=FAINT, labelsize=7.5)
    for name, spine in axes.spines.items():
        spine.set_visible(name == 'bottom')
        spine.set_color(FAINT)
