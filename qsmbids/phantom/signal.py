"""From anatomy and field to the complex signal that a scanner would hand out.

Each fine voxel emits

    s(TE) = M(B1) exp(-R2* TE) exp(i 2 pi f TE),

and a data voxel is the mean of its fine voxels, so partial volume and the loss of signal by
dephasing within a voxel come about by themselves. The receive coils then add a smooth phase
offset and a smooth weighting, and noise is added to the real and the imaginary part.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsmbids.phantom import tissues
from qsmbids.phantom.anatomy import Anatomy
from qsmbids.phantom.parameters import PhantomParameters

_SLAB = 12  # data planes at a time
_HEAD_RADIUS_MM = 100.0  # unit of length of the smooth functions
_N_BUMPS = 6
_BUMP_WIDTH = 0.4  # standard deviation, head radii
_BUMP_HEIGHT = 0.3


def block_mean(fine: np.ndarray, factor: int) -> np.ndarray:
    """Average cubic blocks: (f*nx, f*ny, f*nz) to (nx, ny, nz).

    Examples
    --------
    >>> block_mean(np.arange(8.0).reshape(2, 2, 2), 2).item()
    3.5
    """
    nx, ny, nz = (n // factor for n in fine.shape)
    total = fine.reshape(nx, factor, ny * factor, nz * factor).sum(axis=1)
    total = total.reshape(nx, ny, factor, nz * factor).sum(axis=2)
    # summing strided slices is far quicker than reducing over a short last axis
    total = sum(total[:, :, start::factor] for start in range(factor))
    return total / fine.dtype.type(factor**3)


def spin_signal(
    anatomy: Anatomy, field_ppm: np.ndarray, parameters: PhantomParameters
) -> np.ndarray:
    """Compute the noise-free signal of every echo before the receive coils see it.

    Parameters
    ----------
    anatomy : Anatomy
        On the fine grid.
    field_ppm : (fnx, fny, fnz) float32, ppm
        Total field on the fine grid.
    parameters : PhantomParameters

    Returns
    -------
    (n_echo, nx, ny, nz) complex64
    """
    factor = parameters.oversampling
    signal = np.empty((len(parameters.echo_times_s), *parameters.shape), dtype=np.complex64)
    x, y, z = parameters.axes_mm(fine=True)
    shift = tissues.lookup('chemical_shift_ppm')
    for start in range(0, parameters.shape[0], _SLAB):
        fine = slice(start * factor, (start + _SLAB) * factor)
        flip = np.float32(np.radians(parameters.flip_angle_deg)) * _transmit_bias(
            (x[fine], y, z), parameters.bias
        )
        amplitude = tissues.spoiled_gradient_echo(
            anatomy.proton_density[fine].astype(np.float32),
            anatomy.t1_s[fine].astype(np.float32),
            flip,
            np.float32(parameters.repetition_time_s),
        )
        r2star = anatomy.r2star[fine].astype(np.float32)
        angular = field_ppm[fine] + shift[anatomy.codes[fine]]
        angular *= np.float32(2 * np.pi * parameters.imaging_frequency_mhz)
        for echo, time in enumerate(np.float32(parameters.echo_times_s)):
            magnitude = amplitude * np.exp(-r2star * time)
            angle = angular * time
            real = block_mean(magnitude * np.cos(angle), factor)
            imag = block_mean(magnitude * np.sin(angle), factor)
            signal[echo, start : start + _SLAB] = real + 1j * imag
    return signal


def receive(
    signal: np.ndarray,
    brain: np.ndarray,
    parameters: PhantomParameters,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Apply receive weighting, receive phase and noise, in place.

    Parameters
    ----------
    signal : (n_echo, nx, ny, nz) complex64
        Changed in place.
    brain : (nx, ny, nz) bool
        Where the signal-to-noise ratio is defined.
    parameters : PhantomParameters
    rng : numpy.random.Generator

    Returns
    -------
    signal : (n_echo, nx, ny, nz) complex64
    phase_offset : (nx, ny, nz) float32, rad
        The receive phase, the same in every echo.
    noise_sd : float
        SD of the noise in the real and in the imaginary part.
    """
    axes = parameters.axes_mm()
    phase_offset = np.float32(parameters.phase_offset_rad) * _smooth_random(axes, rng)
    weighting = 1 + np.float32(parameters.bias) * _receive_bias(axes, rng)
    signal *= weighting * np.exp(1j * phase_offset)
    noise_sd = float(np.abs(signal[0][brain]).mean()) / parameters.snr
    if noise_sd > 0:
        for echo in signal:
            echo.real += noise_sd * rng.standard_normal(echo.shape, dtype=np.float32)
            echo.imag += noise_sd * rng.standard_normal(echo.shape, dtype=np.float32)
    return signal, phase_offset, noise_sd


def _transmit_bias(axes: Sequence[np.ndarray], relative_size: float) -> np.ndarray:
    """Relative flip angle: high in the middle of the head, low towards its surface."""
    x, y, z = (np.asarray(a, dtype=np.float32) / _HEAD_RADIUS_MM for a in axes)
    squared = x[:, None, None] ** 2 + y[:, None] ** 2 + z**2
    return 1 + np.float32(relative_size) * (np.float32(0.3) - np.float32(0.6) * squared)


def _receive_bias(axes: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Coils near the surface see it brighter, some a little more than others."""
    x, y, z = _unit_axes(axes)
    tilt = rng.normal(0, 0.3, 3).astype(np.float32)
    return (x**2 + y**2 + z**2) + tilt[0] * x + tilt[1] * y + tilt[2] * z


def _smooth_random(axes: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Draw a smooth function of order one: a cubic polynomial and a few broad bumps.

    The bumps are what no polynomial of low order follows, as the phase near a coil element.
    """
    x, y, z = _unit_axes(axes)
    terms = (x, y, z, x * y, x * z, y * z, x**2, y**2, z**2, x**3, y**3, z**3, x * y * z)
    total = np.full((x.size, y.size, z.size), rng.uniform(-1, 1), dtype=np.float32)
    for term, weight in zip(terms, rng.normal(0, 0.5, len(terms)), strict=True):
        total += np.float32(weight) * term
    for _ in range(_N_BUMPS):
        cx, cy, cz = rng.uniform(-0.8, 0.8, 3)
        height = rng.normal(0, _BUMP_HEIGHT)
        distance = [((v - c) / _BUMP_WIDTH) ** 2 / 2 for v, c in ((x, cx), (y, cy), (z, cz))]
        bump = np.exp(-distance[0]) * np.exp(-distance[1]) * np.exp(-distance[2])
        total += np.float32(height) * bump.astype(np.float32)
    return total


def _unit_axes(axes: Sequence[np.ndarray]) -> list[np.ndarray]:
    scaled = [np.asarray(axis, dtype=np.float32) / _HEAD_RADIUS_MM for axis in axes]
    return list(np.meshgrid(*scaled, indexing='ij', sparse=True))
