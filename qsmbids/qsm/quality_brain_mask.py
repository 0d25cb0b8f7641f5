"""A mask of the tissue whose phase is smooth, from a map of phase quality."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .closing import closing_with_holes
from .grid import Grid
from .masks import otsu_threshold


@dataclass(frozen=True, kw_only=True)
class QualityMaskParameters:
    """Parameters of :func:`mask_by_quality`, the one place of their defaults."""

    # mm; gaps and bays narrower than about twice this are closed. At least the longest side
    # of a voxel, so that it acts along every axis: one voxel, as QSMxT does
    closing_mm: float = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.closing_mm) and self.closing_mm > 0):
            raise ValueError(
                f'closing_mm must be positive, got {self.closing_mm}.\n'
                'Veins and noisy voxels leave gaps that have to be closed.\n'
                'Use about 1 mm; at least a voxel is closed in any case.'
            )


def mask_by_quality(
    quality: np.ndarray,
    grid: Grid,
    *,
    parameters: QualityMaskParameters = QualityMaskParameters(),
) -> np.ndarray:
    """Tell smooth phase from noise by Otsu's threshold.

    Phase quality falls into two groups, tissue and noise; Otsu's threshold lies where these
    differ most. The voxels above it are dilated, holes are filled, and the result is eroded
    again by the same distance.

    Parameters
    ----------
    quality : (nx, ny, nz) float, 0...1
        From :func:`~qsmbids.qsm.phase_quality`, computed over a mask that holds noise as
        well, such as the whole image. Voxels that are zero or not finite are outside.
    grid : Grid
        Voxel size, for the distance.
    parameters : QualityMaskParameters

    Returns
    -------
    (nx, ny, nz) bool
        Holds every voxel above the threshold. Scalp and skull base have good phase too, and
        noise leaves islands: a brain mask is this combined with others, see
        :func:`~qsmbids.qsm.mask_grammar.parse_mask`.

    Raises
    ------
    ValueError
        If the shape is not that of the grid, or the quality is the same everywhere.

    Notes
    -----
    Otsu's threshold always parts something: of a map without noise it cuts away the poorer
    tissue. One histogram, four transforms and about 40 bytes per voxel.

    References
    ----------
    .. [1] Otsu N. IEEE Trans Syst Man Cybern 1979;9:62. doi:10.1109/TSMC.1979.4310076
    .. [2] Dymerska B et al. Magn Reson Med 2021;85:2294. doi:10.1002/mrm.28563

    Examples
    --------
    >>> x, y, z = np.indices((20, 20, 20)) - 9.5
    >>> ball = x**2 + y**2 + z**2 < 7**2
    >>> quality = np.where(ball, 0.9, 0.3)
    >>> quality[10, 10, 10] = 0.3
    >>> bool((mask_by_quality(quality, Grid(ball.shape)) == ball).all())
    True
    """
    quality = np.asarray(quality, dtype=np.float32)
    if quality.shape != grid.shape:
        raise ValueError(
            f'The quality map has the shape {quality.shape} but its grid {grid.shape}.\n'
            'Voxels would be mixed up.\n'
            'Give the quality map of this very image.'
        )
    known = np.isfinite(quality) & (quality > 0)
    values = quality[known]
    if values.size == 0 or values.min() == values.max():
        raise ValueError(
            'The phase quality is the same everywhere.\n'
            'Tissue and noise cannot be told apart.\n'
            'Compute the quality over the whole image, with the air around the head.'
        )
    good = known & (quality > otsu_threshold(values))
    return closing_with_holes(good, max(parameters.closing_mm, *grid.voxel_size), grid)
