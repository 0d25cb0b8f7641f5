"""Images of uncombined receive coils, combined into one without losing phase (MCPC-3D-S)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .blocks import Blocks
from .echoes import bounding_box, check_echoes
from .grid import Grid
from .offset import evolution_to_first_echo
from .smoothing import MaskedSmoother, check_sigma


@dataclass(frozen=True, kw_only=True)
class CoilParameters:
    """Parameters of :func:`combine_coils`."""

    # Width of the Gaussian that smooths the offset of each coil, in mm. The phase of a coil
    # turns faster than that of a combined image, but noise asks for the same width.
    sigma_mm: float = 7.0

    def __post_init__(self) -> None:
        check_sigma(self.sigma_mm)


def combine_coils(
    phase: np.ndarray,
    magnitude: np.ndarray,
    echo_times_s: Sequence[float],
    mask: np.ndarray,
    grid: Grid,
    *,
    parameters: CoilParameters = CoilParameters(),
) -> tuple[np.ndarray, np.ndarray]:
    """Take the phase offset of each coil away and add the coils up.

    Parameters
    ----------
    phase : (n_coil, n_echo, nx, ny, nz) float, rad
        Wrapped phase; two or more echoes. It may be mapped from a file: one coil is read at
        a time.
    magnitude : (n_coil, n_echo, nx, ny, nz) float
        All coils in one unit.
    echo_times_s : (n_echo,) float, s
    mask : (nx, ny, nz) bool
    grid : Grid
    parameters : CoilParameters

    Returns
    -------
    phase : (n_echo, nx, ny, nz) float32, rad
        Wrapped, free of the offset; 0 outside the mask.
    magnitude : (n_echo, nx, ny, nz) float32
        In the unit of the coils, as large as their root sum of squares where they agree in
        phase; 0 outside the mask.

    Raises
    ------
    ValueError
        If there is a single echo, or shapes, mask or echo times are unusable.

    Notes
    -----
    MCPC-3D-S [1]_: the phase that evolves between the first two echoes is the same in every
    coil c. It is the angle of H = sum_c m_c1 m_c2 exp(i (phase_c2 - phase_c1)), unwrapped to
    psi. Each coil then has the offset phase_c1 - psi TE1/(TE2 - TE1), which is smoothed as in
    :func:`~qsmbids.qsm.remove_phase_offset`, with the weights m_c1 m_c2 of the coil. The sum

        S_e = sum_c m_ce^2 exp(i (phase_ce - offset_c))

    weights each coil by its own signal, which is the matched filter if the noise of the
    coils is alike; the square root of its modulus is the magnitude. No coil is a reference,
    so none has to see all of the head.

    psi is known up to multiples of 2 pi, the combined field up to multiples of
    1/(TE2 - TE1), chosen as in offset removal. Do not remove the offset a second time: what
    is left is noise.

    Cost: 2 + n_echo complex exponentials per voxel and coil; the unwrapping of one volume and
    eight transforms for each coil on blocks of up to sigma/3. Peak memory, besides the
    result, 8 n_echo + 50 bytes per voxel of the box around the mask, for any number of coils.

    References
    ----------
    .. [1] Eckstein K et al. Magn Reson Med 2018;79:2996. doi:10.1002/mrm.26963
    """
    times, mask = _check_coils(phase, magnitude, echo_times_s, mask)
    box = bounding_box(mask)
    inside = mask[box]
    blocks = Blocks(Grid(inside.shape, grid.voxel_size, grid.b0_direction), parameters.sigma_mm)
    coils = range(len(phase))
    peak = max(float(np.max(magnitude[(c, 0, *box)], where=inside, initial=0)) for c in coils)
    scale = np.float32(1 / peak if peak > 0 else 1)

    def signal(coil: int, echo: int) -> np.ndarray:
        strength = np.where(inside, magnitude[(coil, echo, *box)], 0).astype(np.float32)
        strength *= scale
        angle = np.where(inside, phase[(coil, echo, *box)], 0).astype(np.float32)
        return strength * np.exp(1j * angle)

    inner = np.zeros(blocks.grid.shape, np.complex64)
    for c in coils:
        inner += blocks.sum(signal(c, 0).conj() * signal(c, 1))
    evolution = evolution_to_first_echo(inner, times, blocks.sum(inside) > 0, blocks.grid)

    total = np.zeros((len(times), *inside.shape), np.complex64)
    smoother = None
    for c in coils:
        first = signal(c, 0)
        weight = np.abs(blocks.sum(first.conj() * signal(c, 1)))
        if not weight.any():
            continue  # a coil that sees nothing of the mask
        if smoother is None:
            smoother = MaskedSmoother(weight, blocks.grid, parameters.sigma_mm)
        else:
            smoother.set_weight(weight)
        smooth = smoother.phase(np.angle(blocks.sum(first)) - evolution)
        back = np.exp(-1j * blocks.expand_phase(smooth))
        for echo in range(len(times)):
            s = signal(c, echo)
            total[echo] += np.abs(s) * s * back

    combined_phase, combined_magnitude = (
        np.zeros((len(times), *mask.shape), np.float32) for _ in range(2)
    )
    for echo in range(len(times)):
        combined_phase[(echo, *box)] = np.angle(total[echo])
        combined_magnitude[(echo, *box)] = np.sqrt(np.abs(total[echo])) / scale
    return combined_phase, combined_magnitude


def _check_coils(phase, magnitude, echo_times_s, mask) -> tuple[np.ndarray, np.ndarray]:
    """Return echo times and the mask of voxels that are finite in every coil and echo."""
    if np.ndim(phase) != 5 or np.shape(phase) != np.shape(magnitude) or np.shape(phase)[0] == 0:
        raise ValueError(
            f'Phase {np.shape(phase)} and magnitude {np.shape(magnitude)} are not those of '
            'uncombined coils.\n'
            'Every coil needs a phase and a magnitude of each echo.\n'
            'Give (n_coil, n_echo, nx, ny, nz) arrays, or use remove_phase_offset for '
            'combined images.'
        )
    if np.shape(phase)[1] < 2:
        raise ValueError(
            'Coils cannot be combined from a single echo.\n'
            'The phase offset of a coil is what does not grow from echo to echo.\n'
            'Give two or more echoes, or images that the scanner has combined.'
        )
    for c in range(len(phase)):
        _, _, times, mask = check_echoes(phase[c], magnitude[c], echo_times_s, mask)
    return times, mask
