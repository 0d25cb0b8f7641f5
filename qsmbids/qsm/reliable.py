"""The mask of voxels whose phase can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .grid import Grid
from .masks import fill_holes, largest_component


@dataclass(frozen=True, kw_only=True)
class ReliabilityParameters:
    """Parameters of :func:`quality_mask`, the one place of their defaults."""

    # 0...1, of the ROMEO quality map; noise alone gives about 0.3
    quality: float = 0.35
    # 0...1, agreement of the echoes with one frequency; 0.75 is the relative residual of 0.5
    # at which other programs reject a voxel
    agreement: float = 0.75
    # 0...1, of the quality map: below it a voxel is left out of the first of two passes. Smooth
    # tissue has 0.8 and more; the surroundings of veins and bleedings fall below
    trusted: float = 0.6


def quality_mask(
    quality: np.ndarray,
    brain_mask: np.ndarray,
    reliability: np.ndarray,
    grid: Grid,
    *,
    parameters: ReliabilityParameters = ReliabilityParameters(),
) -> np.ndarray:
    """Take away the edge of the brain where the phase is noise.

    Parameters
    ----------
    quality : (nx, ny, nz) float, 0...1
        From :func:`~qsmbids.qsm.phase_quality`.
    brain_mask : (nx, ny, nz) bool
    reliability : (nx, ny, nz) float, 0...1
        From :func:`~qsmbids.qsm.combine_echoes`.
    grid : Grid
        Of the images.
    parameters : ReliabilityParameters

    Returns
    -------
    (nx, ny, nz) bool
        A subset of the brain mask in one piece.

    Raises
    ------
    ValueError
        If the shapes differ, or if no voxel of the brain can be trusted.

    Notes
    -----
    Poor voxels that are enclosed by good ones (veins, bleedings) stay in: background removal
    would lose their whole neighbourhood, and the noise map already gives them little weight.

    References
    ----------
    .. [1] QSM Consensus Organization Committee. Magn Reson Med 2024;91:1834.
       doi:10.1002/mrm.30006
    """
    brain = np.asarray(brain_mask, dtype=bool)
    if not brain.shape == np.shape(quality) == np.shape(reliability) == grid.shape:
        raise ValueError(
            f'Mask {brain.shape}, quality {np.shape(quality)}, reliability '
            f'{np.shape(reliability)} and grid {grid.shape} differ.\n'
            'They are compared voxel by voxel.\n'
            'Give images of one scan.'
        )
    good = brain & (quality >= parameters.quality) & (reliability >= parameters.agreement)
    kept = fill_holes(largest_component(good)) & brain
    if not kept.any():
        raise ValueError(
            'No voxel of the brain has a phase that can be trusted.\n'
            'Susceptibility is computed from the phase.\n'
            'Check that phase and magnitude belong together, and the scale of the phase.'
        )
    return kept


def trusted_mask(
    quality: np.ndarray,
    mask: np.ndarray,
    *,
    parameters: ReliabilityParameters = ReliabilityParameters(),
) -> np.ndarray:
    """Leave out the voxels of a mask whose phase is poor, also in its inside.

    Parameters
    ----------
    quality : (nx, ny, nz) float, 0...1
        From :func:`~qsmbids.qsm.phase_quality`.
    mask : (nx, ny, nz) bool
    parameters : ReliabilityParameters
        ``trusted`` is used.

    Returns
    -------
    (nx, ny, nz) bool
        A subset of the mask, with holes; for :func:`~qsmbids.qsm.invert_two_pass`.

    Raises
    ------
    ValueError
        If nothing is left.
    """
    kept = np.asarray(mask, dtype=bool) & (np.asarray(quality) >= parameters.trusted)
    if not kept.any():
        raise ValueError(
            'No voxel has a phase good enough for the first of two passes.\n'
            'Both passes would be the same.\n'
            'Leave --two-pass out, or check phase and magnitude.'
        )
    return kept
