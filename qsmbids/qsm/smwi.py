"""SMWI: susceptibility map-weighted imaging."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .grid import Grid
from .projection import ProjectionParameters
from .tswi import weigh_by_susceptibility


@dataclass(frozen=True, kw_only=True)
class SmwiParameters(ProjectionParameters):
    """Parameters of :func:`make_smwi`, the one place of their defaults."""

    # ppm; from here on a voxel is black. 1 ppm as in the paper: no tissue reaches it, so iron
    # stays in proportion up to that of veins and nuclei
    threshold_ppm: float = 1.0
    # how often the mask is multiplied with the magnitude; 4 as in the paper
    power: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        values = (self.threshold_ppm, self.power)
        if not (np.isfinite(values).all() and min(values) > 0):
            raise ValueError(
                'SMWI needs a positive threshold and power, got '
                f'{self.threshold_ppm} ppm and {self.power}.\n'
                'They say how strongly paramagnetic tissue is darkened.\n'
                'Use about 1 ppm and 4.'
            )


def make_smwi(
    magnitude_rss: np.ndarray,
    chi: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    parameters: SmwiParameters = SmwiParameters(),
) -> np.ndarray:
    """Darken the magnitude in proportion to the susceptibility of tissue.

        W = clip((threshold - chi) / threshold, 0, 1)
        SMWI = magnitude W^power

    The ramp is that of :func:`~qsmbids.qsm.tswi.make_tswi`, but it ends far above any
    tissue: tSWI turns veins black, SMWI keeps grades of iron, as within the substantia nigra,
    visible.

    Parameters
    ----------
    magnitude_rss : (nx, ny, nz) float
        One magnitude, for example the root sum of squares of the echoes.
    chi : (nx, ny, nz) float, ppm
        Susceptibility map, paramagnetic positive, referenced to the brain. Where it is zero
        or negative the magnitude stays as it is.
    mask : (nx, ny, nz) bool
        The brain; nothing outside it is looked at.
    grid : Grid
        Of both images.
    parameters : SmwiParameters

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
    .. [1] Gho SM et al. Magn Reson Med 2014;72:337. doi:10.1002/mrm.24920

    Examples
    --------
    >>> chi = np.array([[[-0.1, 0.0, 0.5, 1.2]]])
    >>> full = np.ones(chi.shape, bool)
    >>> make_smwi(160 * full, chi, full, Grid(chi.shape)).round(3).tolist()
    [[[160.0, 160.0, 10.0, 0.0]]]
    """
    return weigh_by_susceptibility(
        magnitude_rss, chi, mask, grid,
        lower_ppm=0.0, upper_ppm=parameters.threshold_ppm, power=parameters.power,
    )  # fmt: skip
