"""What was measured: the slab with its field direction, and the masks on the magnitude."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from qsmbids.report.figures.images import Images, Volume, direction_to_ras
from qsmbids.report.figures.montage import AXIS_COLOR, B0_COLOR, Row, draw, make_tile
from qsmbids.report.figures.outlines import Outlines
from qsmbids.report.figures.slices import spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

BRAIN_COLOR = '#4cc9f0'
QSM_COLOR = '#ffb703'
_BRIGHT = 99.5  # percentile that is shown white: magnitude has arbitrary units


def brightness(volume: Volume, mask: np.ndarray | None = None) -> float:
    """Return the value that is shown white for an image of arbitrary units."""
    values = volume.data if mask is None or not mask.any() else volume.data[mask]
    return float(np.percentile(values, _BRIGHT)) or 1.0


def draw_slab(images: Images, b0_direction: tuple[float, float, float]) -> Canvas:
    """Draw the direction of the main field on the three middle slices.

    Parameters
    ----------
    images : Images
        Needs ``rss``.
    b0_direction : (3,) float, unit vector in the voxel axes of the stored file
    """
    volume = images.get('rss')
    stored = nib.load(images.files['rss']).affine
    field = direction_to_ras(b0_direction, stored)
    length = 0.8 * volume.shape[2] * volume.voxel_size[2]
    tiles = []
    for axis in (2, 1, 0):
        across, up = (i for i in range(3) if i != axis)
        arrow = (length * field[across], length * field[up])
        middle = volume.shape[axis] // 2
        tiles.append(make_tile(volume, axis, middle, arrow=arrow))
    angle = np.degrees(np.arccos(min(1.0, abs(field[2]))))
    legend = (('vertical axis of the image', AXIS_COLOR), ('B0', B0_COLOR))
    title = f'B0 lies {angle:.1f}° from the vertical axis of the image'
    row = Row(title, tiles, maximum=brightness(volume), legend=legend)
    return draw([row])


def draw_mask(images: Images) -> Canvas:
    """Draw the outlines of the brain mask and the susceptibility mask on the magnitude."""
    volume = images.get('rss')
    brain, qsm = images.mask('brain_mask'), images.mask('qsm_mask')
    outlines, legend = [], []
    for mask, color, text in ((brain, BRAIN_COLOR, 'brain'), (qsm, QSM_COLOR, 'susceptibility')):
        if mask is not None:
            outlines.append(Outlines(mask, {1: color}))
            legend.append((text, color))
    inside = brain if brain is not None else qsm
    if inside is None:
        inside = np.ones(volume.shape, dtype=bool)
    white = brightness(volume, inside)
    rows = []
    for title, axis, count, low, high in (
        ('Axial', 2, 7, 0.08, 0.92),
        ('Coronal', 1, 6, 0.1, 0.9),
        ('Sagittal', 0, 5, 0.12, 0.88),
    ):
        picked = spread(inside, axis, count, low, high)
        tiles = [make_tile(volume, axis, i, outlines=outlines) for i in picked]
        rows.append(Row(title, tiles, maximum=white, legend=() if rows else legend))
    return draw(rows)
