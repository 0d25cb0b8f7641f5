"""CSF of the ventricles, found by its slow relaxation: a reference for susceptibility."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .grid import Grid
from .region import MaskedRegion


@dataclass(frozen=True, kw_only=True)
class CsfParameters:
    """Parameters of the CSF finder, the one place of their defaults (as published)."""

    # 1/s: slower relaxation counts as CSF. Tissue is at 12 and more at 3 T, CSF near 1
    threshold_per_s: float = 5.0
    # mm: CSF deeper than this below the surface of the mask; leaves the sulci out, where
    # vessels and partial volume shift chi
    margin_mm: float = 10.0
    # mm: radius of the sphere around the centre of the mask that ventricles touch
    centre_radius_mm: float = 30.0
    # connected parts that are kept, the largest ones of those that touch the sphere
    parts: int = 3

    def __post_init__(self) -> None:
        if min(self.threshold_per_s, self.centre_radius_mm) <= 0 or self.margin_mm < 0:
            raise ValueError(
                'Finding CSF needs a positive threshold and radius and a margin of at least 0.\n'
                'Otherwise no voxel could be CSF.\n'
                f'Got {self}.'
            )
        if self.parts < 1:
            raise ValueError(
                f'At least one part of CSF must be kept, got {self.parts}.\n'
                'Without one there is no reference.\n'
                'Use about 3: the two lateral ventricles and the third.'
            )


def find_csf(
    r2star: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    parameters: CsfParameters = CsfParameters(),
) -> np.ndarray:
    """Return the ventricles: slow R2* in the centre of the brain.

    Water without iron or myelin keeps its phase, so R2* is far below that of tissue. Voxels
    of the mask with R2* below the threshold and deeper than the margin are split into
    connected parts (faces touch), and the largest parts that reach into a sphere around the
    centre of the mask are the ventricles.

    Parameters
    ----------
    r2star : (nx, ny, nz) float, 1/s
        Voxels without a finite, non-negative value are no CSF.
    mask : (nx, ny, nz) bool
        Brain.
    grid : Grid
        Voxel size; the direction of B0 does not matter.
    parameters : CsfParameters
        Threshold, margin, sphere and number of parts.

    Returns
    -------
    (nx, ny, nz) bool

    Raises
    ------
    ValueError
        If the mask is empty, shapes differ, or no CSF is found.

    References
    ----------
    .. [1] Liu Z et al. Magn Reson Med 2018;79:2795. doi:10.1002/mrm.26946

    Examples
    --------
    >>> r2star = np.full((40, 40, 40), 20.0)
    >>> r2star[18:22, 18:22, 18:22] = 1.0
    >>> csf = find_csf(r2star, np.ones(r2star.shape, bool), Grid(r2star.shape))
    >>> int(csf.sum())
    64
    """
    region = MaskedRegion.of(mask, grid)
    r2star = np.asarray(r2star)
    if r2star.shape != grid.shape:
        raise ValueError(
            f'The R2* map has the shape {r2star.shape} but the mask {grid.shape}.\n'
            'Voxels would be mixed up.\n'
            'Give images of one grid.'
        )
    slow = r2star[region.box]
    with np.errstate(invalid='ignore'):
        slow = (slow >= 0) & (slow < parameters.threshold_per_s) & region.mask
    slow &= region.depth_mm() > parameters.margin_mm
    labels, _ = ndimage.label(slow)
    squared = np.zeros(())
    centre = [c.mean() for c in np.nonzero(region.mask)]
    for axis, (middle, h) in enumerate(zip(centre, grid.voxel_size, strict=True)):
        distance = (np.arange(slow.shape[axis]) - middle) * h
        squared = squared + distance.reshape([-1 if a == axis else 1 for a in range(3)]) ** 2
    central = np.unique(labels[(squared < parameters.centre_radius_mm**2) & slow])
    if central.size == 0:
        raise ValueError(
            f'No CSF was found: no voxel deeper than {parameters.margin_mm:g} mm and within '
            f'{parameters.centre_radius_mm:g} mm of the centre has an R2* below '
            f'{parameters.threshold_per_s:g} 1/s.\n'
            'Without CSF there is no zero to refer to.\n'
            'Check that R2* is in 1/s and the mask is a brain, or give a CSF mask.'
        )
    sizes = np.bincount(labels.ravel())[central]
    kept = central[np.argsort(-sizes, kind='stable')[: parameters.parts]]
    return region.paste(np.isin(labels, kept))
