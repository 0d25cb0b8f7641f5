"""The compiled loop of the nonlinear R2* fit; see ``nonlinear_r2star`` for the equations."""

from __future__ import annotations

import math

import numba
import numpy as np

from .compiled import compiled

DAMPING = 1e-3  # of the first step
DAMPING_FACTOR = 10.0  # less after a good step, more after a bad one
LARGEST_DAMPING = 1e7


@numba.njit
def _misfit(square, expected_weight, times, amplitude, rate, floor):
    """Return sum(w (m^2 - S^2 - floor)^2)."""
    total = 0.0
    for e in range(times.size):
        decay = amplitude * math.exp(-rate * times[e])
        total += expected_weight[e] * (square[e] - decay * decay - floor) ** 2
    return total


@compiled('i8(f4[:, ::1], f8[::1], f8, f8, f8, f8, i8, f8, f4[::1], f4[::1], i8, i8)')
def decay_fit(
    signal, times, scale, variance, n_coil, largest, max_iterations, tolerance,
    rate, amplitude, start, stop,
):  # fmt: skip
    """Fit the squares of signals by S0^2 exp(-2 R2* TE) + 2 n_coil sigma^2.

    Parameters
    ----------
    signal : (n_echo, n_voxel) float32
    times : (n_echo,) float64, s
    scale : float
        Factor of the signals that brings them to order one.
    variance : float
        sigma^2 of the scaled signals; above 0.
    n_coil : float
    largest : float, 1/s
        Upper limit of the rate; the lower one is 0.
    max_iterations : int
    tolerance : float
        A voxel is done when a step changes the signal of no echo by more than this part of
        S0.
    rate : (n_voxel,) float32, 1/s
        In: where to start. Out: the fit.
    amplitude : (n_voxel,) float32
        In and out: S0, in the unit of the signal.
    start, stop : int
        Voxels to work on.

    Returns
    -------
    int
        Largest number of iterations of a voxel.
    """
    n = times.size
    square, weight = np.empty(n), np.empty(n)
    floor = 2 * n_coil * variance
    most = 0
    for v in range(start, stop):
        r, a = float(rate[v]), scale * amplitude[v]
        if a <= 0:
            continue
        for e in range(n):
            square[e] = (scale * signal[e, v]) ** 2
        damping = DAMPING
        for iteration in range(max_iterations):
            most = max(most, iteration + 1)
            aa, ar, rr, ga, gr = 0.0, 0.0, 0.0, 0.0, 0.0
            for e in range(n):
                s = a * math.exp(-r * times[e])
                weight[e] = 1 / (4 * variance * (s * s + n_coil * variance))
                to_a, to_r = 2 * s * s / a, -2 * times[e] * s * s
                miss = square[e] - s * s - floor
                aa += weight[e] * to_a * to_a
                ar += weight[e] * to_a * to_r
                rr += weight[e] * to_r * to_r
                ga += weight[e] * to_a * miss
                gr += weight[e] * to_r * miss
            before = _misfit(square, weight, times, a, r, floor)
            done = True
            while damping < LARGEST_DAMPING:
                paa, prr = aa * (1 + damping), rr * (1 + damping)
                determinant = paa * prr - ar * ar
                if determinant <= 0:
                    break
                new_a = max(a + (prr * ga - ar * gr) / determinant, 0.1 * a)
                new_r = min(max(r + (paa * gr - ar * ga) / determinant, 0.0), largest)
                if _misfit(square, weight, times, new_a, new_r, floor) <= before:
                    change = abs(new_a - a) / a + abs(new_r - r) * times[-1] * math.exp(
                        -r * times[0]
                    )
                    a, r = new_a, new_r
                    damping /= DAMPING_FACTOR
                    done = change < tolerance
                    break
                damping *= DAMPING_FACTOR
            if done:
                break
        rate[v], amplitude[v] = r, a / scale
    return most
