"""Referencing: which tissue counts as zero."""

from __future__ import annotations

import numpy as np

from .grid import Grid
from .masks import erode

STATISTICS = {'mean': np.mean, 'median': np.median}


def reference_to(
    chi: np.ndarray, region_mask: np.ndarray, mask: np.ndarray, *, statistic: str = 'mean'
) -> tuple[np.ndarray, float, int]:
    """Subtract the value of a reference region from a susceptibility map.

    The field does not tell the mean susceptibility, so a map is only meaningful relative to
    a region: the whole brain (region_mask = mask) or, for example, the ventricular CSF.

    Parameters
    ----------
    chi : (nx, ny, nz) float, ppm
        Map with any constant added.
    region_mask : (nx, ny, nz) bool
        The reference region; only its voxels inside ``mask`` count.
    mask : (nx, ny, nz) bool
        Where the map is defined.
    statistic : {'mean', 'median'}
        How the region is summarised. The median suits CSF, whose label holds choroid plexus.

    Returns
    -------
    chi_referenced : (nx, ny, nz) float32, ppm
        Zero outside the mask.
    value_subtracted : float, ppm
    n_voxels : int
        Voxels of the region that counted.

    Raises
    ------
    ValueError
        If shapes differ, no voxel of the region lies inside the mask, or the map is not
        finite there, or the statistic is unknown.

    Examples
    --------
    >>> chi = np.array([[[0.1, 0.3, 0.5]]])
    >>> region, brain = np.array([[[1, 1, 0]]]) > 0, np.ones((1, 1, 3), bool)
    >>> shifted, value, n = reference_to(chi, region, brain)
    >>> shifted.round(3).tolist(), round(value, 3), n
    ([[[-0.10000000149011612, 0.10000000149011612, 0.30000001192092896]]], 0.2, 2)
    """
    if statistic not in STATISTICS:
        raise ValueError(
            f'There is no statistic {statistic!r}.\n'
            'The reference value must be defined.\n'
            f'Choose from: {", ".join(STATISTICS)}.'
        )
    chi, mask = np.asarray(chi), np.asarray(mask, dtype=bool)
    region = np.asarray(region_mask, dtype=bool)
    if not chi.shape == mask.shape == region.shape:
        raise ValueError(
            f'Map, region and mask have the shapes {chi.shape}, {region.shape}, {mask.shape}.\n'
            'Voxels would be mixed up.\n'
            'Give images of one grid.'
        )
    values = chi[region & mask]
    if values.size == 0:
        raise ValueError(
            'The reference region has no voxel inside the mask of the map.\n'
            'Every value would be relative to nothing.\n'
            'Choose another region, or check the registration and the mask.'
        )
    value = float(STATISTICS[statistic](values.astype(np.float64)))
    if not np.isfinite(value):
        raise ValueError(
            'The map is not a number somewhere in the reference region.\n'
            'The whole map would become undefined.\n'
            'Check the mask of the map.'
        )
    referenced = np.zeros(chi.shape, np.float32)
    referenced[mask] = chi[mask] - value
    return referenced, value, int(values.size)


def reference_to_csf(
    chi: np.ndarray,
    csf_mask: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    erosion_mm: float = 1.0,
) -> tuple[np.ndarray, float, int]:
    """Subtract the median of the inner cerebrospinal fluid from a susceptibility map.

    Fluid has the same susceptibility in every head, so maps of different people become
    comparable. Its outermost layer holds tissue as well, by partial volume and registration,
    and is left out; choroid plexus and vessels inside are few voxels, which the median does
    not follow.

    Parameters
    ----------
    chi : (nx, ny, nz) float, ppm
        Map with any constant added.
    csf_mask : (nx, ny, nz) bool
        Fluid, best the lateral ventricles, from an atlas or from low R2*.
    mask : (nx, ny, nz) bool
        Where the map is defined.
    grid : Grid
        Voxel size.
    erosion_mm : float, mm
        What is taken off the fluid; at least the mean side of a voxel, or one layer would
        stay. 0 leaves the fluid as it is.

    Returns
    -------
    chi_referenced : (nx, ny, nz) float32, ppm
        Zero outside the mask.
    value_subtracted : float, ppm
    n_voxels : int
        Voxels of fluid that counted.

    Raises
    ------
    ValueError
        If the erosion leaves nothing of the fluid inside the mask, and as
        :func:`reference_to` and :func:`~qsmbids.qsm.erode` do.

    Notes
    -----
    The fluid is eroded before it is cut to the mask: a ventricle that the mask cuts through
    has no tissue at the cut.

    Examples
    --------
    >>> x = np.abs(np.arange(9) - 4.0)
    >>> radius = np.maximum.reduce(np.meshgrid(x, x, x))
    >>> chi = np.where(radius < 3, 0.02, 0.05)  # fluid, but its label reaches too far
    >>> shifted, value, n = reference_to_csf(chi, radius < 4, radius < 5, Grid(chi.shape))
    >>> value, n
    (0.02, 125)
    """
    csf_mask = np.asarray(csf_mask, dtype=bool)
    mean_side = grid.voxel_volume ** (1 / 3)
    inner = erode(csf_mask, max(erosion_mm, mean_side) if erosion_mm > 0 else erosion_mm, grid)
    if csf_mask.any() and not inner.any():
        raise ValueError(
            f'Nothing is left of the {int(csf_mask.sum())} voxels of fluid after the erosion.\n'
            'The ventricles are too narrow for a reference without partial volume.\n'
            'Use another reference, or erosion_mm=0 if partial volume is acceptable.'
        )
    return reference_to(chi, inner, mask, statistic='median')
