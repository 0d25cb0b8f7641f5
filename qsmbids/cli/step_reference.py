"""Referencing as a method like any other, for ``qsmbids-step reference``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qsmbids.qsm.grid import Grid
from qsmbids.qsm.reference import reference_to, reference_to_csf


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A reference has no parameters but its region."""


@dataclass(frozen=True, kw_only=True)
class FluidReference:
    """Parameters of the reference to fluid."""

    # mm; the rim of a ventricle holds tissue by partial volume. At least one voxel goes
    erosion_mm: float = 1.0


def reference_to_mean(
    chi: np.ndarray, region_mask: np.ndarray, mask: np.ndarray, *, parameters: Reference
) -> tuple[np.ndarray, dict[str, Any]]:
    """Subtract the mean of the region; see :func:`qsmbids.qsm.reference.reference_to`."""
    return _told(chi, mask, 'mean', reference_to(chi, region_mask, mask, statistic='mean'))


def reference_to_median(
    chi: np.ndarray, region_mask: np.ndarray, mask: np.ndarray, *, parameters: Reference
) -> tuple[np.ndarray, dict[str, Any]]:
    """Subtract the median of the region; see :func:`qsmbids.qsm.reference.reference_to`."""
    return _told(chi, mask, 'median', reference_to(chi, region_mask, mask, statistic='median'))


def reference_to_fluid(
    chi: np.ndarray,
    csf_mask: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    parameters: FluidReference,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Subtract the median of inner fluid; see :func:`~qsmbids.qsm.reference.reference_to_csf`."""
    erosion = parameters.erosion_mm
    found = reference_to_csf(chi, csf_mask, mask, grid, erosion_mm=erosion)
    return _told(chi, mask, 'median', found)


def _told(
    chi: np.ndarray, mask: np.ndarray, statistic: str, found: tuple[np.ndarray, float, int]
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the map, and what belongs into its sidecar."""
    referenced, value, n_voxels = found
    whole = chi[mask].astype(np.float64)
    return referenced, {
        'SusceptibilityReferenceStatistic': statistic,
        'SusceptibilityReferenceValue': value,
        'SusceptibilityReferenceVoxels': n_voxels,
        'WholeBrainMean': float(whole.mean() - value),
        'WholeBrainSD': float(whole.std()),
    }
