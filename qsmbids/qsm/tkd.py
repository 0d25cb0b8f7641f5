"""TKD: dipole inversion by thresholded division in k-space, a quick look."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .direct import check_continuations, invert_by_filter
from .fft import PaddedFFT, spectral_inner
from .grid import Grid
from .solvers import Progress


@dataclass(frozen=True, kw_only=True)
class TkdParameters:
    """Parameters of thresholded k-space division, the one place of their defaults."""

    # without unit; |D| below it is replaced by it. 0.15 as published by most; in vivo, heavier
    # ones came closer to COSMOS (0.4, 2016 challenge data)
    threshold: float = 0.15
    # divide by the centre of the point spread function. It restores the mean contrast and
    # amplifies noise and streaks by the same factor: on a head phantom the error grew
    correct_bias: bool = False
    # steps that continue the field outside the mask; 0: it is zero there. On a head phantom
    # most of the gain came with two; without sources near the rim, zero is as good or better
    continuations: int = 2

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 2 / 3:
            raise ValueError(
                f'The TKD threshold must lie between 0 and 2/3, got {self.threshold}.\n'
                'The dipole kernel itself lies in that range.\n'
                'Use 0.1 to 0.4.'
            )
        check_continuations('TKD', self.continuations)


def truncated_inverse(
    kernel: np.ndarray, threshold: float, n_last: int, *, correct_bias: bool = True
) -> np.ndarray:
    """Return the inverse of a dipole kernel, limited to 1 / threshold.

    Parameters
    ----------
    kernel : (px, py, pz // 2 + 1) float32
        Spectrum D of the dipole.
    threshold : float
        |D| below it counts as the threshold, with the sign of D.
    n_last : int
        Samples of the last axis in image space.
    correct_bias : bool
        Divide by the centre of the point spread function, see :func:`correct`.

    Returns
    -------
    (px, py, pz // 2 + 1) float32
        D^-1, 0 where D is.
    """
    bounded = np.where(np.abs(kernel) > threshold, kernel, np.copysign(threshold, kernel))
    inverse = np.divide(1, bounded, dtype=np.float32)
    inverse[kernel == 0] = 0
    return correct(inverse, kernel, n_last) if correct_bias else inverse


def correct(inverse: np.ndarray, kernel: np.ndarray, n_last: int) -> np.ndarray:
    """Divide a filter by c = mean(D G), the centre of its point spread function, in place.

    c is what the map shows of a single voxel of susceptibility 1; with a threshold of 0.2 it
    is 0.76 for TKD and 0.53 for TSVD. Larger objects lose less.
    """
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

        chi = F^-1 [ G F(field) ],   G = 1 / D where |D| > threshold, sign(D) / threshold else

    Takes seconds, but shows streaks, and noise wherever D is small.

    Parameters
    ----------
    local_field_ppm : (nx, ny, nz) float, ppm
        Field of the sources inside the mask; ignored outside.
    mask : (nx, ny, nz) bool
        Where the field is known.
    grid : Grid
        Voxel size and direction of B0.
    weight : (nx, ny, nz) float, optional
        Not used: a division in k-space cannot weigh voxels.
    parameters : TkdParameters
        Threshold, correction, and how the field outside is filled in.
    progress : callable, optional
        Called with (fraction, text).

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
    The published method takes the field outside the mask as zero. Here it is first filled in
    (see :mod:`~qsmbids.qsm.direct`).

    No filter that depends on D alone can do much better: it must smooth sharp and smooth
    structures alike. The gradient of :func:`~qsmbids.qsm.l2.invert_l2` is the next step.

    Two transforms of the padded box around the mask, and two per continuation; about 20
    bytes per padded voxel. Linear in the field.

    References
    ----------
    .. [1] Shmueli K et al. Magn Reson Med 2009;62:1510. doi:10.1002/mrm.22135
    .. [2] Schweser F et al. Magn Reson Med 2013;69:1582. doi:10.1002/mrm.24405 (correction)
    """
    del weight

    def make_filter(kernel: np.ndarray, fft: PaddedFFT) -> np.ndarray:
        return truncated_inverse(
            kernel,
            parameters.threshold,
            fft.padded_shape[2],
            correct_bias=parameters.correct_bias,
        )

    return invert_by_filter(
        local_field_ppm,
        mask,
        grid,
        make_filter,
        continuations=parameters.continuations,
        name='TKD',
        progress=progress,
    )
