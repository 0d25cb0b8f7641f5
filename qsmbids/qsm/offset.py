"""MCPC-3D-S: the phase that is there at echo time zero, estimated and taken away.

Receive coils, their combination and the pulse add a phase that does not grow with echo
time. It has to go before echoes may be compared by the ratio of their echo times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .blocks import Blocks
from .echoes import bounding_box, check_echoes
from .grid import Grid
from .phase import wrap
from .romeo import unwrap_romeo
from .smoothing import MaskedSmoother, check_sigma


@dataclass(frozen=True, kw_only=True)
class McpcParameters:
    """Parameters of :func:`remove_phase_offset`."""

    # Width of the Gaussian that smooths the offset, in mm. Peers use 4 to 10 voxels.
    sigma_mm: float = 7.0

    def __post_init__(self) -> None:
        check_sigma(self.sigma_mm)


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

    Where voxels are small compared to sigma, the signals of blocks of voxels up to sigma/3
    wide are added before all that, and the offset is interpolated in the end.

    The field is known only up to multiples of 1/(TE2 - TE1); for each component of the mask
    the one closest to 0 Hz is taken. The noise of the first two echoes enters the offset
    multiplied by about TE1/(TE2 - TE1), but smoothing over (4 pi sigma^2)^(3/2) mm^3 leaves
    next to nothing of it. An offset that turns round a point (open-ended fringes after a
    failed coil combination) cannot be removed.

    Cost: two complex exponentials per voxel, and for each block one unwrapping and eight
    transforms. Peak memory, besides the result, 30 bytes per voxel of the box around the
    mask, or 60 per padded voxel where blocks are single voxels.

    References
    ----------
    .. [1] Eckstein K et al. Magn Reson Med 2018;79:2996. doi:10.1002/mrm.26963
    """
    phase, magnitude, times, mask = check_echoes(phase, magnitude, echo_times_s, mask)
    if len(times) == 1:
        return phase, np.zeros(mask.shape, np.float32)

    box = bounding_box(mask)
    inside = mask[box]
    boxed_grid = Grid(inside.shape, grid.voxel_size, grid.b0_direction)
    blocks = Blocks(boxed_grid, parameters.sigma_mm)
    first = masked_signal(phase[(0, *box)], magnitude[(0, *box)], inside)
    second = masked_signal(phase[(1, *box)], magnitude[(1, *box)], inside)
    second *= first.conj()
    inner = blocks.sum(second)
    del second
    noisy = np.angle(blocks.sum(first))
    del first
    weight = np.abs(inner)
    noisy -= evolution_to_first_echo(inner, times, blocks.sum(inside) > 0, blocks.grid)
    smooth = MaskedSmoother(weight, blocks.grid, parameters.sigma_mm).phase(noisy)
    smooth = blocks.expand_phase(smooth)

    offset = np.zeros(mask.shape, np.float32)
    np.multiply(smooth, inside, out=offset[box])
    return subtract_phase(phase, smooth, inside, box), offset


def masked_signal(phase: np.ndarray, magnitude: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return magnitude * exp(i phase) as complex64, 0 outside the mask, at most 1."""
    peak = max(float(magnitude.max(initial=0, where=mask)), np.finfo(np.float32).tiny)
    signal = np.exp(1j * phase)
    signal *= np.where(mask, magnitude, 0)  # products of raw units would leave the range
    signal *= np.float32(1 / peak)
    return signal


def evolution_to_first_echo(
    inner: np.ndarray, times: np.ndarray, mask: np.ndarray, grid: Grid
) -> np.ndarray:
    """Return the phase 2 pi f TE1 as the first two echoes tell it.

    Parameters
    ----------
    inner : (nx, ny, nz) complex64
        Hermitian inner product of the first and the second echo.
    times : (n_echo,) float64, s
    mask : (nx, ny, nz) bool
    grid : Grid

    Returns
    -------
    (nx, ny, nz) float32, rad
        psi TE1/(TE2 - TE1), with psi the unwrapped angle of the inner product.
    """
    spacing = times[1] - times[0]
    strength = np.sqrt(np.abs(inner))[None]
    psi = unwrap_romeo(np.angle(inner)[None], strength, [spacing], mask, grid)[0]
    psi *= np.float32(times[0] / spacing)
    return psi


def subtract_phase(
    phase: np.ndarray, offset: np.ndarray, inside: np.ndarray, box: tuple[slice, slice, slice]
) -> np.ndarray:
    """Return wrap(phase - offset) of all echoes, with offset and mask given in a box.

    Parameters
    ----------
    phase : (n_echo, nx, ny, nz) float32, rad
    offset : (bx, by, bz) or (n_echo, bx, by, bz) float32, rad
    inside : (bx, by, bz) bool
    box : tuple of 3 slices
        Where the box lies in the volume.

    Returns
    -------
    (n_echo, nx, ny, nz) float32, rad
        0 outside the mask.
    """
    corrected = np.zeros(phase.shape, np.float32)
    if offset.ndim == 3:
        offset = np.broadcast_to(offset, (len(phase), *offset.shape))
    for out, values, away in zip(corrected, phase, offset, strict=True):
        np.multiply(wrap(values[box] - away), inside, out=out[box])
    return corrected
