"""Susceptibility-weighted imaging: magnitude darkened where high-passed phase is positive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .echoes import check_echoes
from .grid import Grid
from .lowpass import hamming
from .projection import ProjectionParameters, slice_axis_of
from .region import MaskedRegion


@dataclass(frozen=True, kw_only=True)
class SwiParameters(ProjectionParameters):
    """Parameters of :func:`make_swi`, the one place of their defaults."""

    # mm, shortest wavelength that counts as background. The 64 central points of k-space that
    # are often used for 512 over 256 mm reach 32 / 256 mm = 1 / 8 mm; given as a length it
    # means the same for any matrix
    cutoff_mm: float = 8.0
    # how often the phase mask is multiplied with the magnitude; 4 as in SEPIA
    power: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (np.isfinite(self.cutoff_mm) and self.cutoff_mm > 0):
            raise ValueError(
                f'cutoff_mm must be positive, got {self.cutoff_mm}.\n'
                'It parts the background from vessels.\n'
                'Use about 8 mm.'
            )
        if not (np.isfinite(self.power) and self.power > 0):
            raise ValueError(
                f'The power of the phase mask must be positive, got {self.power}.\n'
                'Without it the phase has no influence.\n'
                'Use about 4.'
            )


def make_swi(
    magnitude: np.ndarray,
    phase: np.ndarray,
    echo_times_s: Sequence[float],
    mask: np.ndarray,
    grid: Grid,
    *,
    parameters: SwiParameters = SwiParameters(),
) -> np.ndarray:
    """Darken the magnitude where the phase of small structures is positive.

    Each echo is divided by its own smooth part (homodyne detection), which takes the phase
    of coils and background away without unwrapping: with the complex image s and a low-pass
    filter H,

        phi = angle(s conj(H * s)).

    Positive phase, that of veins and iron, makes the phase mask P, and the echoes are
    averaged:

        P = 1 - phi / pi where phi > 0, else 1
        SWI = sum_e TE_e |s_e| P_e^power / sum_e TE_e.

    A short echo has next to no contrast; the weight TE keeps it from washing out the others.
    For one echo this is the SWI of [1]_.

    Parameters
    ----------
    magnitude : (n_echo, nx, ny, nz) float
    phase : (n_echo, nx, ny, nz) float, rad
        Wrapped or not, with or without phase offset; paramagnetic sources positive.
    echo_times_s : (n_echo,) float, s
    mask : (nx, ny, nz) bool
        The brain; nothing outside it is looked at.
    grid : Grid
        Voxel size, and the direction of B0 for the default slice axis.
    parameters : SwiParameters

    Returns
    -------
    (nx, ny, nz) float32
        In the unit of the magnitude; zero outside the mask. Its projection is made by
        :func:`~qsmbids.qsm.projection.project_minimum` with the same parameters.

    Raises
    ------
    ValueError
        If shapes, echo times or mask do not fit together.

    Notes
    -----
    H is a Hamming window over the in-plane spatial frequencies up to 1 / cutoff_mm. SWI is
    no measurement: the phase of a vein depends on its angle to B0 (inside a cylinder it is
    proportional to 3 cos^2 theta - 1) and reaches beyond the vein, large nuclei are filtered
    out but for their rim, and phase beyond pi against the background turns bright again.
    :func:`~qsmbids.qsm.tswi.make_tswi` has none of that.

    Four transforms of the box around the mask per echo and about 40 bytes per padded voxel.

    References
    ----------
    .. [1] Haacke EM et al. Magn Reson Med 2004;52:612. doi:10.1002/mrm.20198
    """
    phase, magnitude, times, mask = check_echoes(phase, magnitude, echo_times_s, mask)
    region = MaskedRegion.of(mask, grid)
    low_pass = hamming(region.grid, parameters.cutoff_mm, slice_axis_of(grid, parameters))
    total = np.zeros(region.mask.shape, np.float32)
    for m, p, time in zip(magnitude, phase, times, strict=True):
        m, p = region.cut(m, 'magnitude'), region.cut(p, 'phase')
        real, imag = m * np.cos(p), m * np.sin(p)
        smooth_real, smooth_imag = low_pass(real), low_pass(imag)
        filtered = np.arctan2(
            imag * smooth_real - real * smooth_imag, real * smooth_real + imag * smooth_imag
        )
        phase_mask = 1 - np.clip(filtered / np.float32(np.pi), 0, 1)
        total += np.float32(time / times.sum()) * m * phase_mask ** np.float32(parameters.power)
    return region.paste(total)
