"""MEDI+0: MEDI that holds the CSF of the ventricles even and calls it zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .csf import find_csf
from .grid import Grid
from .medi import MediParameters, invert_with_even_region
from .solvers import Progress


@dataclass(frozen=True, kw_only=True)
class Medi0Parameters(MediParameters):
    """Parameters of MEDI+0: those of MEDI and how strongly CSF is held even."""

    # weight of the variance of chi in CSF against that of the weighted misfit of the field,
    # both in ppm^2. The published weights are 100 and 1000
    csf_strength: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.csf_strength < 0:
            raise ValueError(
                f'The CSF strength of MEDI+0 must be at least 0, got {self.csf_strength}.\n'
                'A negative one would drive CSF apart.\n'
                'Use about 0.1.'
            )


def invert_medi0(
    local_field_ppm: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    weight: np.ndarray | None = None,
    magnitude: np.ndarray | None = None,
    r2star: np.ndarray | None = None,
    csf_mask: np.ndarray | None = None,
    field_hz_per_ppm: float | None = None,
    parameters: Medi0Parameters = Medi0Parameters(),
    progress: Progress | None = None,
) -> np.ndarray:
    """Return the susceptibility relative to the CSF of the ventricles.

    The field does not tell the mean of chi, and slow shadows over the brain are badly
    determined. CSF in the ventricles is water of one susceptibility, so the cost of
    :func:`~qsmbids.qsm.medi.invert_medi` is joined by

        csf_strength / 2  || chi - mean(chi) ||^2   over CSF,

    which removes shadows across it, and mean(chi) over CSF is subtracted in the end.

    Parameters
    ----------
    local_field_ppm, mask, grid, weight, magnitude, field_hz_per_ppm, progress
        See :func:`~qsmbids.qsm.medi.invert_medi`.
    r2star : (nx, ny, nz) float, 1/s, optional
        Finds CSF by :func:`~qsmbids.qsm.csf.find_csf` at its defaults if no mask of it is
        given.
    csf_mask : (nx, ny, nz) bool, optional
        CSF of the ventricles; only its part inside ``mask`` counts.
    parameters : Medi0Parameters
        As for MEDI, and the strength.

    Returns
    -------
    (nx, ny, nz) float32, ppm
        Zero on average over CSF, and zero outside the mask.

    Raises
    ------
    ValueError
        As for MEDI; if neither R2* nor a CSF mask is given, or no CSF lies in the mask.

    Notes
    -----
    Cost and memory are those of MEDI.

    References
    ----------
    .. [1] Liu Z et al. Magn Reson Med 2018;79:2795. doi:10.1002/mrm.26946
    """
    mask = np.asarray(mask) != 0
    if csf_mask is None:
        if r2star is None:
            raise ValueError(
                'MEDI+0 needs an R2* map or a mask of CSF.\n'
                'It refers susceptibility to CSF and cannot find it in the field.\n'
                'Give one of them, or use MEDI.'
            )
        csf = find_csf(r2star, mask, grid)
    else:
        csf = np.asarray(csf_mask) != 0
        if csf.shape != mask.shape or not (csf & mask).any():
            raise ValueError(
                f'No voxel of the CSF mask (shape {csf.shape}) lies in the mask '
                f'(shape {mask.shape}).\n'
                'There is no zero to refer to.\n'
                'Check the CSF mask, or give R2*.'
            )
        csf = csf & mask
    chi = invert_with_even_region(
        local_field_ppm, mask, grid, csf, parameters.csf_strength,
        weight=weight, magnitude=magnitude, field_hz_per_ppm=field_hz_per_ppm,
        parameters=parameters, progress=progress,
    )  # fmt: skip
    chi[mask] -= np.float32(chi[csf].mean(dtype=np.float64))
    return chi
