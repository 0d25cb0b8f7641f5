"""Bipolar readouts: the phase that changes its sign from echo to echo, taken away.

When odd echoes are read in one direction and even ones in the other, delays and eddy currents
of the readout gradient add a phase of opposite sign to them. It is smooth, mostly a slope
along the readout, and the same size in every echo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .blocks import Blocks
from .echoes import bounding_box, check_echoes
from .grid import Grid
from .offset import subtract_phase
from .romeo import unwrap_romeo
from .smoothing import MaskedSmoother, check_sigma


@dataclass(frozen=True, kw_only=True)
class BipolarParameters:
    """Parameters of :func:`correct_bipolar`."""

    # Width of the Gaussian that smooths the readout phase, in mm, as for the phase offset:
    # several voxels, because the difference of three echoes is noisy.
    sigma_mm: float = 7.0

    def __post_init__(self) -> None:
        check_sigma(self.sigma_mm)


def correct_bipolar(
    phase: np.ndarray,
    magnitude: np.ndarray,
    echo_times_s: Sequence[float],
    mask: np.ndarray,
    grid: Grid,
    *,
    parameters: BipolarParameters = BipolarParameters(),
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate the phase of a bipolar readout from three echoes and subtract it from all.

    Parameters
    ----------
    phase : (n_echo, nx, ny, nz) float, rad
        Wrapped phase after :func:`~qsmbids.qsm.remove_phase_offset`; three or more echoes,
        read in alternating directions.
    magnitude : (n_echo, nx, ny, nz) float
    echo_times_s : (n_echo,) float, s
        Any spacing.
    mask : (nx, ny, nz) bool
    grid : Grid
    parameters : BipolarParameters

    Returns
    -------
    phase_corrected : (n_echo, nx, ny, nz) float32, rad
        Wrapped; 0 outside the mask.
    readout_phase : (nx, ny, nz) float32, rad
        What the first, third, ... echo had too much, and the others too little; 0 outside
        the mask. Not wrapped.

    Raises
    ------
    ValueError
        If there are fewer than three echoes, or shapes, mask or echo times are unusable.

    Notes
    -----
    The phases were 2 pi f TE + p0 + G in odd and 2 pi f TE + p0 - G in even echoes (counted
    from 1). The offset found from the first two echoes [1]_ is p0 + G + 2 G TE1/(TE2 - TE1),
    so that odd echoes keep -2 G TE1/(TE2 - TE1) and even ones -2 G TE2/(TE2 - TE1). With
    k = (TE1 + TE3)/TE2, the sum

        g = phase_1 + phase_3 - k phase_2 = 2 G (TE3 - TE1)/(TE2 - TE1)

    has no field. It is smoothed as a complex number and unwrapped, and then odd echoes get
    g TE1/(TE3 - TE1) back and even ones g TE2/(TE3 - TE1). For even spacing k is 2; for
    other spacing phase_2 has to be unwrapped in as far as k is not an integer.

    g is known up to 2 pi. In the first three echoes (in all, if their spacing is even) one
    turn of g is the phase of a constant field of 1/(TE3 - TE1), which is part of no
    susceptibility; the choice is the one with the smallest mean of g.

    Phase that does change with the polarity but not smoothly (shifted fat, displaced edges)
    stays. Data of monopolar readouts are not improved: use it only if the sidecar or the
    protocol says bipolar.

    Cost: unwrapping one volume (two for uneven spacing), and eight transforms on blocks of
    voxels up to sigma/3 wide. Peak memory, besides the corrected phase, 60 bytes per voxel of
    the box around the mask.

    References
    ----------
    .. [1] Eckstein K et al. Magn Reson Med 2018;79:2996. doi:10.1002/mrm.26963
    """
    phase, magnitude, times, mask = check_echoes(phase, magnitude, echo_times_s, mask)
    if len(times) < 3:
        raise ValueError(
            f'A bipolar readout cannot be corrected with {len(times)} echoes.\n'
            'The field, the phase offset and the readout phase are three unknowns per voxel.\n'
            'Leave the correction out, or give three or more echoes.'
        )
    box = bounding_box(mask)
    inside = mask[box]
    boxed_grid = Grid(inside.shape, grid.voxel_size, grid.b0_direction)
    first, second, third = (phase[(e, *box)] for e in range(3))

    k = (times[0] + times[2]) / times[1]
    whole = round(k)
    left_over = first + third
    left_over -= np.float32(whole) * second
    if abs(k - whole) > 1e-6:
        start = (slice(0, 2), *box)
        unwrapped = unwrap_romeo(phase[start], magnitude[start], times[:2], inside, boxed_grid)
        left_over -= np.float32(k - whole) * unwrapped[1]

    weight = inside.astype(np.float32)
    for strength in magnitude[(slice(0, 3), *box)]:
        weight *= strength / max(strength.max(initial=0, where=inside), np.finfo(np.float32).tiny)
    blocks = Blocks(boxed_grid, parameters.sigma_mm)
    sums = blocks.sum(weight * np.exp(1j * left_over))
    del left_over, weight
    strength = np.abs(sums)
    smooth = MaskedSmoother(strength, blocks.grid, parameters.sigma_mm).phase(np.angle(sums))
    smooth = blocks.expand_phase(smooth)
    g = unwrap_romeo(smooth[None], inside[None], [times[1]], inside, boxed_grid)[0]

    apart = times[2] - times[0]
    readout = np.zeros(mask.shape, np.float32)
    readout[box] = g * np.float32((times[1] - times[0]) / (2 * apart))
    even = np.arange(len(times)) % 2 == 1
    corrected = np.zeros(phase.shape, np.float32)
    for echoes, time in ((~even, times[0]), (even, times[1])):
        surplus = g * np.float32(-time / apart)
        corrected[echoes] = subtract_phase(phase[echoes], surplus, inside, box)
    return corrected, readout
