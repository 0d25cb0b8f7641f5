"""Phase, before and after unwrapping, and the fields made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qsmbids.report.figures.images import Images
from qsmbids.report.figures.montage import Row, Tile, Window, draw, make_tile
from qsmbids.report.figures.slices import spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

WRAPPED = Window(-np.pi, np.pi, 'rad', (-3, 0, 3))
UNWRAPPED = Window(-15.0, 15.0, 'rad', (-15, -10, -5, 0, 5, 10, 15))
TOTAL_FIELD = Window(-100.0, 100.0, 'Hz', (-100, -50, 0, 50, 100))
LOCAL_FIELD = Window(-20.0, 20.0, 'Hz', (-20, -10, 0, 10, 20))
FIELD_NOISE = Window(0.0, 2.0, 'Hz', (0, 1, 2), cmap='magma')

_PHASE_ROWS = (
    ('phase_first', 'First echo, as measured', WRAPPED),
    ('phase_last', 'Last echo, as measured', WRAPPED),
    ('unwrapped_last', 'Last echo, unwrapped', UNWRAPPED),
)
_FIELD_ROWS = (
    ('total_field', 'Total field', TOTAL_FIELD),
    ('local_field', 'Local field, after background removal', LOCAL_FIELD),
    ('field_noise', 'Noise of the field', FIELD_NOISE),
)


def draw_phase(images: Images) -> Canvas:
    """Draw wrapped and unwrapped phase on the same slices."""
    return _draw(images, _PHASE_ROWS, images.mask('brain_mask', 'qsm_mask'))


def draw_fields(images: Images) -> Canvas:
    """Draw total field, local field and noise on the same slices, in fixed windows."""
    return _draw(images, _FIELD_ROWS, images.mask('brain_mask', 'qsm_mask'))


def mixed_tiles(volume, inside: np.ndarray, *, mask=None, outlines=()) -> list[Tile]:
    """Cut four axial slices, one coronal and one sagittal slice."""
    cuts = [(2, i) for i in spread(inside, 2, 4, 0.25, 0.8)]
    cuts += [(1, spread(inside, 1, 1, 0.5, 0.5)[0]), (0, spread(inside, 0, 1, 0.42, 0.42)[0])]
    return [make_tile(volume, axis, i, mask=mask, outlines=outlines) for axis, i in cuts]


def _draw(images: Images, layout, brain: np.ndarray | None) -> Canvas:
    rows = []
    for key, title, window in layout:
        if key not in images:
            continue
        volume = images.get(key)
        inside = brain if brain is not None else volume.data != 0
        # what a later step has masked more tightly holds zeros there
        mask = inside & (volume.data != 0)
        rows.append(Row(title, mixed_tiles(volume, inside, mask=mask), window))
    return draw(rows)
