"""Referencing: which tissue counts as zero."""

from __future__ import annotations

import numpy as np

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
