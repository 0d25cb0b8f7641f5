"""True SWI: magnitude darkened by the susceptibility map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .grid import Grid
from .projection import ProjectionParameters
from .region import MaskedRegion


@dataclass(frozen=True, kw_only=True)
class TswiParameters(ProjectionParameters):
    """Parameters of :func:`make_tswi`, the one place of their defaults."""

    # ppm; up to here nothing is darkened
    lower_ppm: float = 0.0
    # ppm; from here on a voxel is black. 0.45 ppm is about that of venous blood
    upper_ppm: float = 0.45
    # how often the mask is multiplied with the magnitude
    power: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (np.isfinite(self.lower_ppm) and self.lower_ppm < self.upper_ppm < np.inf):
            raise ValueError(
                'The lower limit of tSWI must lie below the upper one, got '
                f'{self.lower_ppm} and {self.upper_ppm} ppm.\n'
                'Between them a voxel turns from untouched to black.\n'
                'Use about 0 and 0.45 ppm.'
            )
        if not (np.isfinite(self.power) and self.power > 0):
            raise ValueError(
                f'The power of tSWI must be positive, got {self.power}.\n'
                'Without it the susceptibility has no influence.\n'
                'Use about 2.'
            )


def make_tswi(
    magnitude_rss: np.ndarray,
    chi: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    parameters: TswiParameters = TswiParameters(),
) -> np.ndarray:
    """Darken the magnitude where the susceptibility is high.

        W = clip((upper - chi) / (upper - lower), 0, 1)
        tSWI = magnitude W^power

    Susceptibility does not depend on the angle of a vein to B0 and does not reach beyond it,
    which is what sets this apart from SWI by phase.

    Parameters
    ----------
    magnitude_rss : (nx, ny, nz) float
        One magnitude, for example the root sum of squares of the echoes.
    chi : (nx, ny, nz) float, ppm
        Susceptibility map, paramagnetic positive, referenced to the brain: the limits are
        relative to tissue. Where it is zero the magnitude stays as it is.
    mask : (nx, ny, nz) bool
        The brain; nothing outside it is looked at.
    grid : Grid
        Of both images.
    parameters : TswiParameters

    Returns
    -------
    (nx, ny, nz) float32
        In the unit of the magnitude; zero outside the mask. Its projection is made by
        :func:`~qsmbids.qsm.projection.project_minimum` with the same parameters.

    Raises
    ------
    ValueError
        If shapes differ, the mask is empty, or an image is not finite inside it.

    Notes
    -----
    No transform; a few passes over the box around the mask and about 16 bytes per voxel.

    References
    ----------
    .. [1] Liu S et al. J Magn Reson Imaging 2014;40:698. doi:10.1002/jmri.24413

    Examples
    --------
    >>> chi = np.array([[[-0.1, 0.0, 0.225, 0.5]]])
    >>> full = np.ones(chi.shape, bool)
    >>> make_tswi(100 * full, chi, full, Grid(chi.shape)).round(3).tolist()
    [[[100.0, 100.0, 25.0, 0.0]]]
    """
    return weigh_by_susceptibility(
        magnitude_rss, chi, mask, grid,
        lower_ppm=parameters.lower_ppm, upper_ppm=parameters.upper_ppm, power=parameters.power,
    )  # fmt: skip


def weigh_by_susceptibility(
    magnitude_rss: np.ndarray,
    chi: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    lower_ppm: float,
    upper_ppm: float,
    power: float,
) -> np.ndarray:
    """Multiply a magnitude with a power of a ramp that falls from 1 to 0 between two limits.

    Arguments, result and errors are those of :func:`make_tswi`.
    """
    region = MaskedRegion.of(mask, grid)
    ramp = region.cut(chi, 'susceptibility')
    ramp -= np.float32(upper_ppm)
    ramp /= np.float32(lower_ppm - upper_ppm)
    np.clip(ramp, 0, 1, out=ramp)
    ramp **= np.float32(power)
    ramp *= region.cut(magnitude_rss, 'magnitude')
    return region.paste(ramp)
