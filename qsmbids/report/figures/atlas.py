"""How the atlas fits: its contours on the subject, and both susceptibility maps compared."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbids.report.figures.anatomy import brightness
from qsmbids.report.figures.images import Images, Volume
from qsmbids.report.figures.maps import CHI, where_known
from qsmbids.report.figures.montage import FAINT, WIDTH, Box, Room, Row, draw, make_tile
from qsmbids.report.figures.outlines import Outlines
from qsmbids.report.figures.slices import balanced

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

_LINE = 0.8


def draw_contours(images: Images, labels: Sequence[Any]) -> Canvas:
    """Draw the outlines of all regions on susceptibility and on the magnitude.

    Parameters
    ----------
    labels : sequence of Label
        With ``index``, ``color``, ``region`` and ``abbreviation``.
    """
    regions = images.get('dseg').data.astype(np.int32)
    outlines = [Outlines(regions, {label.index: label.color for label in labels}, _LINE)]
    cuts = _cuts(regions)
    rows = []
    for key, title in (('chi', 'Regions on susceptibility'), ('rss', 'Regions on magnitude')):
        if key not in images:
            continue
        volume = images.get(key)
        mask = where_known(images, volume) if key == 'chi' else None
        inside = images.mask('brain_mask', 'qsm_mask')
        tiles = [make_tile(volume, a, i, mask=mask, outlines=outlines) for a, i in cuts]
        window = CHI if key == 'chi' else None
        rows.append(Row(title, tiles, window, maximum=brightness(volume, inside)))
    shown = _shown(regions, labels)
    if shown:
        rows.append(Row('', room=Room(0.16, partial(_draw_legend, shown))))
    return draw(rows)


def draw_registration(images: Images, labels: Sequence[Any]) -> Canvas:
    """Draw the atlas susceptibility, moved to the subject, under the subject's own map."""
    own, atlas = images.get('chi'), images.get('template_chi')
    mask = where_known(images, own)
    outlines: list[Outlines] = []
    cuts = _cuts(mask)
    if 'dseg' in images:
        nuclei = images.get('dseg').data.astype(np.int32)
        nuclei[~np.isin(nuclei, _grey(labels))] = 0
        if nuclei.any():
            outlines = [Outlines(nuclei != 0, {1: '#6ee7b7'}, _LINE)]
            cuts = _cuts(nuclei)

    def row(title: str, volume: Volume, legend: Sequence[tuple[str, str]] = ()) -> Row:
        tiles = [make_tile(volume, a, i, mask=mask, outlines=outlines) for a, i in cuts]
        return Row(title, tiles, CHI, legend=legend)

    legend = [('atlas outline of deep grey matter', '#6ee7b7')] if outlines else []
    rows = [row('Subject', own, legend), row('Atlas at this age, moved to the subject', atlas)]
    if 'template_t1w_native' in images and 'rss' in images:
        for key, title in (('rss', 'Subject, magnitude'), ('template_t1w_native', 'Atlas T1w')):
            volume = images.get(key)
            tiles = [make_tile(volume, a, i, outlines=outlines) for a, i in cuts]
            rows.append(Row(title, tiles, maximum=brightness(volume, mask)))
    return draw(rows)


def _cuts(regions: np.ndarray) -> list[tuple[int, int]]:
    """Choose four axial slices, one coronal and one sagittal slice through the regions."""
    cuts = [(2, i) for i in balanced(regions, 2, (0.06, 0.3, 0.58, 0.86))]
    return [*cuts, (1, balanced(regions, 1, (0.5,))[0]), (0, balanced(regions, 0, (0.3,))[0])]


def _grey(labels: Sequence[Any]) -> list[int]:
    return [label.index for label in labels if label.group in ('deep grey', 'thalamus')]


def _shown(regions: np.ndarray, labels: Sequence[Any]) -> list[tuple[str, str]]:
    """Return colour and abbreviation of the regions present, left and right as one."""
    present = set(np.unique(regions[regions != 0]).tolist())
    shown = {
        label.region: (label.color, label.abbreviation.removesuffix('-L').removesuffix('-R'))
        for label in labels
        if label.index in present
    }
    return list(shown.values())


def _draw_legend(shown: Sequence[tuple[str, str]], canvas: Canvas, box: Box) -> None:
    """Write coloured squares and abbreviations in rows of eleven."""
    height = canvas.get_figheight()
    top = box[1] + box[3] + 0.15  # inches from the bottom, in the room of the empty heading
    columns = 11
    for number, (color, short) in enumerate(shown):
        x = 0.1 + (WIDTH - 0.2) / columns * (number % columns)
        y = (top - 0.27 * (number // columns)) / height
        canvas.text(x / WIDTH, y, '■', color=color, size=10, va='center')
        canvas.text((x + 0.17) / WIDTH, y, short, color=FAINT, size=8.5, va='center')
