"""The compiled loops of the field maps: one straight line of phase for each voxel.

Kept apart from the methods so that numba is only imported when something is fitted. The
loops share the planes [start, stop) of the first axis with other threads.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from .compiled import compiled

TWO_PI = 2 * math.pi
ECHOES = 'f4[:, :, :, :], f4[:, :, :, :], f8[::1], b1[:, :, :]'  # phase, magnitude, TE, mask
MAPS = 'f4[:, :, :], f4[:, :, :], f4[:, :, :]'


@compiled(f'void({ECHOES}, f8, {MAPS}, i8, i8)')
def weighted_fit(phase, magnitude, times, mask, scale, field, precision, agreement, start, stop):
    """Fit phase = 2 pi f TE with weights m^2.

    Parameters
    ----------
    phase, magnitude : (n_echo, nx, ny, nz) float32, rad and any unit
    times : (n_echo,) float64, s
    mask : (nx, ny, nz) bool
    scale : float
        Factor of the magnitudes.
    field : (nx, ny, nz) float32, Hz
        Output; voxels outside the mask are left as they are, in all outputs.
    precision : (nx, ny, nz) float32, s^2
        Output: sum(m^2 (2 pi TE)^2).
    agreement : (nx, ny, nz) float32
        Output: sum(m^2 cos(phase - 2 pi f TE)) / sum(m^2).
    start, stop : int
    """
    for i in range(start, stop):
        for j in range(mask.shape[1]):
            for k in range(mask.shape[2]):
                if not mask[i, j, k]:
                    continue
                above, below, total = 0.0, 0.0, 0.0
                for e in range(times.size):
                    weight = (scale * magnitude[e, i, j, k]) ** 2
                    turn = TWO_PI * times[e]
                    total += weight
                    above += weight * turn * phase[e, i, j, k]
                    below += weight * turn * turn
                found = above / below if below > 1e-30 else 0.0
                agreed = 0.0
                for e in range(times.size):
                    weight = (scale * magnitude[e, i, j, k]) ** 2
                    agreed += weight * math.cos(phase[e, i, j, k] - TWO_PI * times[e] * found)
                field[i, j, k] = found
                precision[i, j, k] = below
                agreement[i, j, k] = max(agreed / total, 0.0) if below > 1e-30 else 0.0


@numba.njit
def _direction(phase, weight, times, turns):
    """Return the phase of sum(m^2 exp(i (phase - turns TE)))."""
    real, imag = 0.0, 0.0
    for e in range(times.size):
        miss = phase[e] - turns * times[e]
        real += weight[e] * math.cos(miss)
        imag += weight[e] * math.sin(miss)
    return math.atan2(imag, real)


@numba.njit
def _agreement(phase, weight, times, offset, turns):
    """Return sum(m^2 cos(phase - offset - turns TE)) / sum(m^2)."""
    agreed, total = 0.0, 0.0
    for e in range(times.size):
        agreed += weight[e] * math.cos(phase[e] - offset - turns * times[e])
        total += weight[e]
    return agreed / total


@numba.njit
def _fit_voxel(phase, weight, times, turns, free_offset, max_iterations, tolerance):
    """Return offset (rad), frequency (rad/s), iterations used; see :func:`complex_fit`."""
    total, first, second = 0.0, 0.0, 0.0
    for e in range(times.size):
        total += weight[e]
        first += weight[e] * times[e]
        second += weight[e] * times[e] ** 2
    determinant = total * second - first * first
    offset = 0.0
    if free_offset:  # start with the offset that fits best to the frequency given
        offset = _direction(phase, weight, times, turns)
    for iteration in range(max_iterations):
        pull, tilt = 0.0, 0.0
        for e in range(times.size):
            miss = weight[e] * math.sin(phase[e] - offset - turns * times[e])
            pull += miss
            tilt += miss * times[e]
        if free_offset:
            step_offset = (second * pull - first * tilt) / determinant
            step = (total * tilt - first * pull) / determinant
            offset += step_offset
        else:
            step = tilt / second
            step_offset = 0.0
        turns += step
        if abs(step) * times[-1] + abs(step_offset) < tolerance:
            return offset, turns, iteration + 1
    return offset, turns, max_iterations


@compiled(f'i8({ECHOES}, f8, b1, i8, f8, {MAPS}, f4[:, :, :], i8, i8)')
def complex_fit(
    phase, magnitude, times, mask, scale, free_offset, max_iterations, tolerance,
    field, precision, agreement, left, start, stop,
):  # fmt: skip
    """Fit m exp(i phase) = m exp(i (p0 + 2 pi f TE)) by Gauss-Newton steps.

    Parameters
    ----------
    phase, magnitude, times, mask, scale, start, stop
        As for :func:`weighted_fit`.
    free_offset : bool
        Whether p0 is fitted or 0.
    max_iterations : int
    tolerance : float, rad
        A voxel is done when a step changes the phase of its last echo by less.
    field : (nx, ny, nz) float32, Hz
        In: where to start. Out: the fit.
    precision : (nx, ny, nz) float32, s^2
        Output: inverse of the variance of f for a noise of 1.
    agreement : (nx, ny, nz) float32
        Output: sum(m^2 cos(residual phase)) / sum(m^2).
    left : (nx, ny, nz) float32
        Output: sum(m^2 sin(residual phase)^2), the squared residual of a small misfit.

    Returns
    -------
    int
        Largest number of iterations of a voxel.
    """
    n = times.size
    most = 0
    weight = np.empty(n)
    here = np.empty(n)
    for i in range(start, stop):
        for j in range(mask.shape[1]):
            for k in range(mask.shape[2]):
                if not mask[i, j, k]:
                    continue
                total, first, second = 0.0, 0.0, 0.0
                for e in range(n):
                    weight[e] = (scale * magnitude[e, i, j, k]) ** 2
                    here[e] = phase[e, i, j, k]
                    total += weight[e]
                    first += weight[e] * times[e]
                    second += weight[e] * times[e] ** 2
                about = second - first * first / total if free_offset and total > 0 else second
                precision[i, j, k] = TWO_PI**2 * about
                agreement[i, j, k] = 0.0
                left[i, j, k] = 0.0
                # with signal in a single echo an offset and a slope cannot both be found
                if about <= 1e-6 * second or total < 1e-30:
                    precision[i, j, k] = 0.0
                    continue
                begin = TWO_PI * field[i, j, k]
                offset, turns, used = _fit_voxel(
                    here, weight, times, begin, free_offset, max_iterations, tolerance
                )
                most = max(most, used)
                agreed = _agreement(here, weight, times, offset, turns)
                begin_offset = _direction(here, weight, times, begin) if free_offset else 0.0
                at_begin = _agreement(here, weight, times, begin_offset, begin)
                if agreed < at_begin:  # noise: steps that lead nowhere
                    offset, turns, agreed = begin_offset, begin, at_begin
                squares = 0.0
                for e in range(n):
                    squares += weight[e] * math.sin(here[e] - offset - turns * times[e]) ** 2
                field[i, j, k] = turns / TWO_PI
                agreement[i, j, k] = max(agreed, 0.0)
                left[i, j, k] = squares
    return most
