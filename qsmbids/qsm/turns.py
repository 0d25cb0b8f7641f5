"""How many whole turns a region of unwrapped phase is off: what space alone cannot tell.

Unwrapping in space leaves one number of turns open for each region that hangs together.
Echo time settles it: the phase free of an offset is 2 pi f TE, the same f in every echo.
"""

from __future__ import annotations

import numpy as np

from .phase import TWO_PI, wrap

# A region is moved by whole turns only if that brings its second echo closer to the
# prediction by more than this per turn (rad): rests of a phase offset are of that size.
TURN_PENALTY_RAD = 0.2
# Of numbers of turns that fit alike, the one with the mean phase closest to 0 is taken: this
# much per turn (rad) is more than rounding and less than any difference in the data.
TIE_PENALTY_RAD = 0.01
TURNS_TRIED = 2


def settle_first_echo(
    phase: np.ndarray,
    magnitude: np.ndarray,
    times: np.ndarray,
    region: np.ndarray,
    n_region: int,
) -> None:
    """Move each region of the first echo, in place, by its number of turns.

    Parameters
    ----------
    phase : (n_echo, nx, ny, nz) float32, rad
        The first echo unwrapped, the second as it is.
    magnitude : (n_echo, nx, ny, nz) float32
    times : (n_echo,) float64, s
    region : (nx, ny, nz) int
        1...n_region; 0 outside the mask.
    n_region : int

    Notes
    -----
    Taken is the number of turns for which the second echo agrees best with the first, and
    if that does not decide, the one for which the mean phase is closest to 0. It is chosen
    over the whole region, so that it does not hang on the noise of a single voxel.
    """
    voxels, label, mean = _regions(magnitude[0], region, n_region)
    first = phase[0][voxels]
    mean_turns = mean(first) / TWO_PI
    turns = -np.rint(mean_turns)
    if len(times) > 1:
        ratio = np.float32(times[1] / times[0])
        second = phase[1][voxels] - ratio * first
        best = np.full(n_region + 1, np.inf)
        nearest_zero = turns.copy()
        for extra in range(-TURNS_TRIED, TURNS_TRIED + 1):
            shift = (TWO_PI * ratio * (nearest_zero + extra)).astype(np.float32)
            cost = mean(np.abs(wrap(second - shift[label]))) + TURN_PENALTY_RAD * abs(extra)
            cost += TIE_PENALTY_RAD * np.abs(mean_turns + nearest_zero + extra)
            turns = np.where(cost < best, nearest_zero + extra, turns)
            best = np.minimum(cost, best)
    _move(phase[0], voxels, label, turns)


def settle_later_echo(
    phase: np.ndarray,
    magnitude: np.ndarray,
    times: np.ndarray,
    region: np.ndarray,
    n_region: int,
    echo: int,
) -> None:
    """Move each region of a later echo, in place, to what the echoes before it predict.

    Parameters
    ----------
    phase, magnitude, times, region, n_region
        As for :func:`settle_first_echo`; the echoes up to this one unwrapped.
    echo : int
        1 or more.
    """
    voxels, label, mean = _regions(magnitude[echo], region, n_region)
    # the latest echo before this one knows its phase best
    missing = phase[echo - 1][voxels] * np.float32(times[echo] / times[echo - 1])
    missing -= phase[echo][voxels]
    _move(phase[echo], voxels, label, np.rint(mean(missing) / TWO_PI))


def _regions(weight: np.ndarray, region: np.ndarray, n_region: int):
    """Return the voxels of all regions, their numbers, and a function: the mean of each."""
    voxels = region > 0
    label = region[voxels]
    weight = weight[voxels] + np.finfo(np.float32).tiny  # also regions without signal
    total = np.maximum(np.bincount(label, weight, n_region + 1), 1e-300)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(label, weight * values, n_region + 1) / total

    return voxels, label, mean


def _move(phase: np.ndarray, voxels: np.ndarray, label: np.ndarray, turns: np.ndarray) -> None:
    if turns.any():
        phase[voxels] += (TWO_PI * turns).astype(np.float32)[label]
