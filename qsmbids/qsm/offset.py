"""MCPC-3D-S: the phase that is there at echo time zero, estimated and taken away.

Receive coils, their combination and the pulse add a phase that does not grow with echo
time. It has to go before echoes may be compared by the ratio of their echo times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .echoes import bounding_box, check_echoes
from .fft import PaddedFFT
from .grid import Grid
from .phase import wrap
from .romeo import unwrap_romeo

PADDING_SIGMAS = 3.0  # margin against wrap-around of the smoothing, in units of sigma


@dataclass(frozen=True, kw_only=True)
class McpcParameters:
    """Parameters of :func:`remove_phase_offset`."""

    # Width of the Gaussian that smooths the offset, in mm. Peers use 4 to 10 voxels.
    sigma_mm: float = 7.0


def remove_phase_offset(
    phase: np.ndarray,
    magnitude: np.ndarray,
    echo_times_s: Sequence[float],
    mask: np.ndarray,
    grid: Grid,
    *,
    parameters: McpcParameters = McpcParameters(),
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate the phase offset from the first two echoes and subtract it from all.

    Parameters
    ----------
    phase : (n_echo, nx, ny, nz) float, rad
        Wrapped phase.
    magnitude : (n_echo, nx, ny, nz) float
    echo_times_s : (n_echo,) float, s
    mask : (nx, ny, nz) bool
        Where the offset is estimated and taken away.
    grid : Grid
    parameters : McpcParameters

    Returns
    -------
    phase_corrected : (n_echo, nx, ny, nz) float32, rad
        Wrapped; 0 outside the mask. A single echo comes back as it is.
    offset : (nx, ny, nz) float32, rad
        In [-pi, pi]; 0 outside the mask. Zero everywhere for a single echo.

    Raises
    ------
    ValueError
        If shapes, mask or echo times are unusable or sigma is not positive.

    Notes
    -----
    The Hermitian inner product m1 m2 exp(i(phase_2 - phase_1)) has no offset. Unwrapped
    with ROMEO it is psi = 2 pi f (TE2 - TE1), so that phase_1 - psi TE1/(TE2 - TE1) is the
    offset plus noise [1]_. This is smoothed as a complex number, normalised to the mask and
    weighted with m1 m2, and the smoothing is then repeated on what it left: near the rim of
    the mask a single pass pulls a sloping offset towards its value further inside.

    The field is known only up to multiples of 1/(TE2 - TE1); for each component of the mask
    the one closest to 0 Hz is taken. The noise of the first two echoes enters the offset
    multiplied by about TE1/(TE2 - TE1), but smoothing over (4 pi sigma^2)^(3/2) mm^3 leaves
    next to nothing of it. An offset that turns round a point (open-ended fringes after a
    failed coil combination) cannot be removed.

    Cost: unwrapping one volume and eight transforms of the box around the mask. Peak memory
    8 n_echo bytes per voxel and about 60 bytes per voxel of the padded box.

    References
    ----------
    .. [1] Eckstein K et al. Magn Reson Med 2018;79:2996. doi:10.1002/mrm.26963
    """
    phase, magnitude, times, mask = check_echoes(phase, magnitude, echo_times_s, mask)
    if not (np.isfinite(parameters.sigma_mm) and parameters.sigma_mm > 0):
        raise ValueError(
            f'sigma_mm must be positive, got {parameters.sigma_mm}.\n'
            'It is the width over which the phase offset is smoothed.\n'
            'Give millimetres, for example 7.'
        )
    if len(times) == 1:
        return phase, np.zeros(mask.shape, np.float32)

    box = bounding_box(mask)
    inside = mask[box]
    first, second = phase[0][box], phase[1][box]
    weight = magnitude[0][box] * inside
    weight /= max(weight.max(), np.finfo(np.float32).tiny)
    weight *= magnitude[1][box]
    weight /= max(weight.max(), np.finfo(np.float32).tiny)

    spacing = times[1] - times[0]
    boxed_grid = Grid(inside.shape, grid.voxel_size, grid.b0_direction)
    psi = unwrap_romeo(
        wrap(second - first)[None], np.sqrt(weight)[None], [spacing], inside, boxed_grid
    )[0]
    noisy = wrap(first - np.float32(times[0] / spacing) * psi)

    smoother = _MaskedSmoother(weight, boxed_grid, parameters.sigma_mm)
    smooth = np.angle(smoother.sum(np.cos(noisy)) + 1j * smoother.sum(np.sin(noisy)))
    smooth += smoother.mean(wrap(noisy - smooth))

    offset = np.zeros(mask.shape, np.float32)
    offset[box] = wrap(smooth) * inside
    corrected = wrap(phase - offset)
    corrected *= mask
    return corrected, offset


class _MaskedSmoother:
    """Gaussian smoothing with weights, normalised so that a constant stays constant."""

    def __init__(self, weight: np.ndarray, grid: Grid, sigma_mm: float) -> None:
        self.fft = PaddedFFT(grid.shape, grid.voxel_size, PADDING_SIGMAS * sigma_mm)
        self.weight = weight
        shape = self.fft.padded_shape
        transfer = np.ones(1, np.float32)
        for axis, (n, h) in enumerate(zip(shape, grid.voxel_size, strict=True)):
            frequency = np.fft.rfftfreq(n, h) if axis == 2 else np.fft.fftfreq(n, h)
            factor = np.exp(-2 * (np.pi * sigma_mm * frequency) ** 2).astype(np.float32)
            transfer = transfer * factor.reshape([-1 if a == axis else 1 for a in range(3)])
        self.transfer = transfer
        self.normaliser = self._smooth(weight)

    def _smooth(self, x: np.ndarray) -> np.ndarray:
        return self.fft.inverse(self.fft.forward(x) * self.transfer)

    def sum(self, x: np.ndarray) -> np.ndarray:
        """Return the weighted sum around each voxel."""
        return self._smooth(self.weight * x)

    def mean(self, x: np.ndarray) -> np.ndarray:
        """Return the weighted mean around each voxel; 0 where there is next to no weight."""
        enough = self.normaliser > 1e-4 * self.normaliser.max()
        return np.where(enough, self.sum(x) / np.where(enough, self.normaliser, 1), 0)
