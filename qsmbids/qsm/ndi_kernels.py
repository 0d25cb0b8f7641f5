"""The two compiled loops of nonlinear dipole inversion."""

from __future__ import annotations

import math

import numba

from .compiled import compiled

IMAGE, SPECTRUM = 'f4[:, :, ::1]', 'c8[:, :, ::1]'


@compiled(f'f8(i8, i8, {IMAGE}, {IMAGE}, {IMAGE}, {IMAGE}, f4)')
def phase_residual(start, stop, out, predicted, field, weight_squared, scale):
    """Set out to W^2 sin(scale (predicted - field)) / scale; return the sum of its size."""
    _, ny, nz = field.shape
    total = 0.0
    for i in range(start, stop):
        for j in range(ny):
            for k in range(nz):
                angle = scale * (predicted[i, j, k] - field[i, j, k])
                value = weight_squared[i, j, k] * numba.float32(math.sin(angle)) / scale
                out[i, j, k] = value
                total += abs(value)
    return total


@compiled(f'void(i8, i8, {SPECTRUM}, {SPECTRUM}, {SPECTRUM}, f4[:, :, ::1], f4, f4, f4)')
def step_spectrum(start, stop, current, ahead, gradient, kernel, step, damping, momentum):
    """Step downhill from ``ahead`` and look ahead again, following the last change.

    Parameters
    ----------
    start, stop : int
        Planes to work on.
    current, ahead : (nx, ny, nz // 2 + 1) complex64
        The map and the point at which the gradient was taken; both updated.
    gradient : (nx, ny, nz // 2 + 1) complex64
        In: spectrum of the weighted residual. Out: the field D ahead.
    kernel : (nx, ny, nz // 2 + 1) float32
    step, damping, momentum : float32
    """
    for i in range(start, stop):
        for j in range(current.shape[1]):
            for k in range(current.shape[2]):
                d, a = kernel[i, j, k], ahead[i, j, k]
                lower = a - step * (d * gradient[i, j, k] + damping * a)
                a = lower + momentum * (lower - current[i, j, k])
                current[i, j, k] = lower
                ahead[i, j, k] = a
                gradient[i, j, k] = d * a
