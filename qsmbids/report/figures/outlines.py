"""Outlines of regions on a slice.

The lines come from contourpy, the same library that draws contours for matplotlib: a hundred
regions of an atlas would otherwise cost more than all the rest of a picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qsmbids.report.figures.images import plane_of

if TYPE_CHECKING:
    from matplotlib.path import Path as Line


@dataclass(frozen=True, eq=False)
class Contour:
    """The outline of a mask on a slice."""

    mask: np.ndarray  # (rows, columns) bool
    color: str
    width: float = 0.9  # points


@dataclass(frozen=True, eq=False)
class Outlines:
    """Regions whose outlines are to be drawn.

    Parameters
    ----------
    regions : (nx, ny, nz) bool or int
        A mask, or labels.
    colors : mapping of int to str
        By label, in the order of drawing; other labels are not drawn. The label of a mask is 1.
    width : float, points
    """

    regions: np.ndarray
    colors: Mapping[int, str]
    width: float = 0.9

    def on(self, axis: int, index: int) -> tuple[Contour, ...]:
        """Return the contours on one slice; axis 0 sagittal, 1 coronal, 2 axial."""
        flat = plane_of(self.regions, axis, index)
        present = set(np.unique(flat).tolist())
        # neither a slice inside of a region nor one that is a single row of voxels has an outline
        if len(present) < 2 or min(flat.shape) < 2:
            return ()
        return tuple(
            Contour(flat == label, color, self.width)
            for label, color in self.colors.items()
            if label in present
        )


def outline(mask: np.ndarray, box: tuple[float, float, float, float]) -> Line:
    """Return the line half way between the voxels inside and outside of a mask.

    Parameters
    ----------
    mask : (rows, columns) bool
        First row at the bottom; at least 2 by 2.
    box : (left, bottom, width, height)
        Where the outer edges of the slice lie.

    Returns
    -------
    matplotlib.path.Path
        In the units of the box; open where the mask meets the edge of the slice.

    Examples
    --------
    >>> mask = np.zeros((3, 3), bool)
    >>> mask[1, 1] = True
    >>> outline(mask, (0, 0, 3, 3)).get_extents().extents.tolist()
    [1.0, 1.0, 2.0, 2.0]
    """
    from contourpy import LineType, contour_generator
    from matplotlib.path import Path as Line

    left, bottom, width, height = box
    rows, columns = mask.shape
    generator = contour_generator(
        x=left + (np.arange(columns) + 0.5) * (width / columns),
        y=bottom + (np.arange(rows) + 0.5) * (height / rows),
        z=mask.astype(float),
        line_type=LineType.ChunkCombinedCode,
    )
    # one chunk, so one array of points for all parts of the outline
    (points,), (codes,) = generator.lines(0.5)
    return Line(points, codes)
