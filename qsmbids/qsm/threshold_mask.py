"""A mask of the head from the brightness of the magnitude."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter

from .grid import Grid
from .masks import fill_holes

NOISE_PERCENTILE = 15  # a field of view with air around the head holds at least this share of it
TISSUE_PERCENTILES = (80, 99)  # bright tissue, without the brightest fat and vessels
# if the dimmest voxels reach this share of the tissue they are tissue: a tight field of view,
# or a magnitude that was skull-stripped
LARGEST_NOISE = 0.1
KEEP_AT = 0.4  # share of the neighbourhood that must be bright: less than half heals dark spots
SMOOTH_AT = 0.6  # more than half takes away spikes and lone voxels
SMOOTHINGS = 2


@dataclass(frozen=True, kw_only=True)
class ThresholdMaskParameters:
    """Parameters of :func:`mask_by_threshold`, the one place of their defaults."""

    # times the mean of the dimmest voxels; 5 as in MriResearchTools. These are the dimmest of
    # the air: 5 times their mean is 2 to 3 SD of the noise (Rayleigh distribution), and air
    # that exceeds it is too scattered to stay
    noise_factor: float = 5.0
    # of the mean of bright tissue; 0.2 as in MriResearchTools
    tissue_fraction: float = 0.2
    # mm, side of the box in which bright voxels are counted; 5 voxels of 1 mm there
    neighbourhood_mm: float = 5.0
    # mm, side of the box that smooths the outline; 3 voxels of 1 mm there
    smoothing_mm: float = 3.0

    def __post_init__(self) -> None:
        if not (self.noise_factor >= 0 and 0 < self.tissue_fraction < 1):
            raise ValueError(
                'The threshold mask needs a noise_factor of at least 0 and a tissue_fraction '
                f'between 0 and 1, got {self.noise_factor} and {self.tissue_fraction}.\n'
                'A voxel belongs to the head if it is brighter than both.\n'
                'Use about 5 and 0.2.'
            )
        if not (self.neighbourhood_mm > 0 and self.smoothing_mm > 0):
            raise ValueError(
                'The boxes of the threshold mask must have a size, got '
                f'{self.neighbourhood_mm} and {self.smoothing_mm} mm.\n'
                'Single voxels are noisy and are judged by their neighbours.\n'
                'Use about 5 and 3 mm; anything below a voxel takes the voxel alone.'
            )


def mask_by_threshold(
    magnitude: np.ndarray,
    grid: Grid,
    *,
    parameters: ThresholdMaskParameters = ThresholdMaskParameters(),
) -> np.ndarray:
    """Tell the head from air by a threshold that adapts to noise and brightness.

    With h the mean of the voxels between the 80th and the 99th percentile and n the mean of
    those below the 15th, a voxel is bright if it exceeds

        max(noise_factor n, tissue_fraction h).

    A voxel is kept if enough of the voxels in a box around it are bright; then holes are
    filled and the outline is smoothed. Both means are robust: a few very bright voxels or a
    larger field of view move them little.

    Parameters
    ----------
    magnitude : (nx, ny, nz) float
        For example the root sum of squares of all echoes. Voxels that are zero or not finite
        hold no data and are outside.
    grid : Grid
        Voxel size, for the sizes of the boxes.
    parameters : ThresholdMaskParameters

    Returns
    -------
    (nx, ny, nz) bool
        The head with scalp and neck, possibly in several parts: a brain mask is this
        combined with others, see :func:`~qsmbids.qsm.mask_grammar.parse_mask`.

    Raises
    ------
    ValueError
        If the shape is not that of the grid, or no voxel stands out.

    Notes
    -----
    The result does not depend on the unit of the magnitude. Three moving averages, each
    three passes over the image, and about 15 bytes per voxel.

    Examples
    --------
    >>> x, y, z = np.indices((24, 24, 24)) - 11.5
    >>> ball = x**2 + y**2 + z**2 < 8**2
    >>> mask = mask_by_threshold(np.where(ball, 100.0, 2.0), Grid(ball.shape))
    >>> bool((mask == ball).mean() > 0.95)
    True
    """
    magnitude = np.asarray(magnitude, dtype=np.float32)
    if magnitude.shape != grid.shape:
        raise ValueError(
            f'The magnitude has the shape {magnitude.shape} but its grid {grid.shape}.\n'
            'Voxels would be mixed up.\n'
            'Give one 3-D magnitude and its own grid.'
        )
    magnitude = np.where(np.isfinite(magnitude), magnitude, np.float32(0))
    bright = magnitude > _threshold(magnitude[magnitude > 0], parameters)
    mask = fill_holes(_majority(bright, parameters.neighbourhood_mm, grid, KEEP_AT))
    for _ in range(SMOOTHINGS):
        mask = _majority(mask, parameters.smoothing_mm, grid, SMOOTH_AT)
    if not mask.any():
        raise ValueError(
            'No part of the magnitude stands out from the noise.\n'
            'The threshold mask would be empty.\n'
            'Look at the magnitude, or lower noise_factor and tissue_fraction.'
        )
    return mask


def _threshold(values: np.ndarray, parameters: ThresholdMaskParameters) -> float:
    """Return the threshold of a magnitude from its positive values."""
    if values.size == 0:
        raise ValueError(
            'The magnitude has no positive voxel.\n'
            'Brightness is what this mask is made of.\n'
            'Check that the file is a magnitude and not empty.'
        )
    dim, low, high = np.percentile(values, [NOISE_PERCENTILE, *TISSUE_PERCENTILES])
    tissue = values[(values >= low) & (values <= high)].mean(dtype=float)
    noise = values[values <= dim].mean(dtype=float)
    if noise > LARGEST_NOISE * tissue:
        noise = 0.0
    return max(parameters.noise_factor * noise, parameters.tissue_fraction * tissue)


def _majority(mask: np.ndarray, side_mm: float, grid: Grid, share: float) -> np.ndarray:
    """Tell where more than a share of the box around a voxel belongs to the mask.

    Beyond the border the image counts as continued, so that the neck is not cut short.
    """
    size = [2 * round((side_mm / h - 1) / 2) + 1 if side_mm > h else 1 for h in grid.voxel_size]
    return uniform_filter(mask.astype(np.float32), size, mode='nearest') > share
