"""TKD: dipole inversion by thresholded division in k-space, a quick look."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .fft import PaddedFFT, spectral_inner
from .grid import Grid
from .kernels import dipole_kernel
from .region import MaskedRegion
from .solvers import Progress


@dataclass(frozen=True, kw_only=True)
class TkdParameters:
    """Parameters of thresholded k-space division, the one place of their defaults."""

    # without unit; |D| below it is replaced by it. 0.15 is the usual value; in vivo heavier
    # ones score better (0.4 against COSMOS in the 2016 challenge data), 0.2 is a compromise
    # that still shows small structures
    threshold: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 2 / 3:
            raise ValueError(
                f'The TKD threshold must lie between 0 and 2/3, got {self.threshold}.\n'
                'The dipole kernel itself lies in that range.\n'
                'Use 0.1 to 0.4.'
            )


def truncated_inverse(kernel: np.ndarray, threshold: float, n_last: int) -> np.ndarray:
    """Return the corrected inverse of a dipole kernel.

    Parameters
    ----------
    kernel : (px, py, pz // 2 + 1) float32
        Spectrum D of the dipole.
    threshold : float
        |D| below it counts as the threshold, with the sign of D.
    n_last : int
        Samples of the last axis in image space.

    Returns
    -------
    (px, py, pz // 2 + 1) float32
        D^-1 / c, where c = mean(D D^-1) is the centre of the point spread function. Without
        c a threshold of 0.2 would show 76 % of the true susceptibility.
    """
    bounded = np.where(np.abs(kernel) > threshold, kernel, np.copysign(threshold, kernel))
    inverse = np.divide(1, bounded, dtype=np.float32)
    inverse[kernel == 0] = 0
    n_samples = kernel.shape[0] * kernel.shape[1] * n_last
    inverse /= np.float32(spectral_inner(kernel, inverse, n_last) / n_samples)
    return inverse


def invert_tkd(
    local_field_ppm: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    weight: np.ndarray | None = None,
    parameters: TkdParameters = TkdParameters(),
    progress: Progress | None = None,
) -> np.ndarray:
    """Return the susceptibility by division in k-space.

    chi = F^-1 [ F(field) D^-1 ] / c, with D^-1 = sign(D) / threshold where |D| is below the
    threshold. Takes seconds, but shows streaks and amplifies noise; c corrects the mean
    underestimation.

    Parameters
    ----------
    local_field_ppm : (nx, ny, nz) float, ppm
        Field of the sources inside the mask; ignored outside.
    mask : (nx, ny, nz) bool
        Where the field is known; it counts as zero elsewhere.
    grid : Grid
        Voxel size and direction of B0.
    weight : (nx, ny, nz) float, optional
        Not used: a division in k-space cannot weigh voxels.
    parameters : TkdParameters
        Threshold.
    progress : callable, optional
        Called once with (1.0, text).

    Returns
    -------
    (nx, ny, nz) float32, ppm
        Susceptibility relative to an unknown constant; zero outside the mask.

    Raises
    ------
    ValueError
        If the mask is empty, shapes differ, or the field is not finite inside the mask.

    Notes
    -----
    Two transforms of the padded box around the mask, about 20 bytes per padded voxel.
    Linear in the field. The field beyond an eroded mask counts as zero, which lowers the
    contrast between large structures; :func:`~qsmbids.qsm.rts.invert_rts` does not assume it.

    References
    ----------
    .. [1] Shmueli K et al. Magn Reson Med 2009;62:1510. doi:10.1002/mrm.22135
    .. [2] Schweser F et al. Magn Reson Med 2013;69:1582. doi:10.1002/mrm.24405 (correction)
    """
    del weight
    region = MaskedRegion.of(mask, grid)
    field = region.cut(local_field_ppm, 'local field')
    fft = PaddedFFT(field.shape, grid.voxel_size)
    kernel = dipole_kernel(fft.padded_shape, grid.voxel_size, grid.b0_direction)
    spectrum = fft.forward(field)
    spectrum *= truncated_inverse(kernel, parameters.threshold, fft.padded_shape[2])
    chi = region.paste(fft.inverse(spectrum))
    if progress is not None:
        progress(1.0, 'TKD done')
    return chi
