"""ROMEO: exact phase unwrapping by region growing along the most reliable edges.

Neighbouring voxels are joined by edges, each with a weight that says how safely the phase
can be followed across it. Regions grow from a seed over the best edge that is left; each
new voxel gets the multiple of 2*pi that brings it closest to the neighbour it was reached
from. By default only the first echo is unwrapped this way. Each later one follows, voxel by
voxel, from the echoes before it, so that no region can be a turn off from one echo to the
next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .echoes import bounding_box, check_echoes
from .grid import Grid
from .phase import wrap
from .turns import settle_first_echo, settle_later_echo

MODES = ('template', 'individual')


@dataclass(frozen=True, kw_only=True)
class RomeoParameters:
    """Parameters of :func:`unwrap_romeo`."""

    # 'template': the first echo in space, the later ones in echo time. 'individual': every
    # echo in space, for phase that does not grow in proportion to echo time (flow, strong
    # eddy currents); regions may then be a turn off from one echo to the next.
    mode: str = 'template'
    # Template mode: a voxel that misses what the echoes before predict by more than this, in
    # rad, may be moved by its neighbours. An eighth of a turn is far outside the noise of a
    # voxel that can be trusted; smaller values mend more and cost nothing but time.
    uncertain_miss_rad: float = 0.4

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(
                f'mode is {self.mode!r}.\n'
                'It decides which echoes are unwrapped in space.\n'
                f'Give one of: {", ".join(MODES)}.'
            )
        if not 0 < self.uncertain_miss_rad <= np.pi:
            raise ValueError(
                f'uncertain_miss_rad is {self.uncertain_miss_rad}.\n'
                'Phase can miss a prediction by anything between 0 and pi.\n'
                'Give a value in between, for example 0.4.'
            )


def unwrap_romeo(
    phase: np.ndarray,
    magnitude: np.ndarray,
    echo_times_s: Sequence[float],
    mask: np.ndarray,
    grid: Grid,
    *,
    parameters: RomeoParameters = RomeoParameters(),
) -> np.ndarray:
    """Unwrap all echoes, the first in space and the others in echo time.

    Parameters
    ----------
    phase : (n_echo, nx, ny, nz) float, rad
        Wrapped phase, free of the phase offset if there are several echoes.
    magnitude : (n_echo, nx, ny, nz) float
    echo_times_s : (n_echo,) float, s
    mask : (nx, ny, nz) bool
        What to unwrap. It may fall apart into several components.
    grid : Grid
        Not needed by the method; all unwrapping functions are called alike.
    parameters : RomeoParameters

    Returns
    -------
    (n_echo, nx, ny, nz) float32, rad
        Whole turns from the input inside the mask, 0 outside and where data are not finite.

    Raises
    ------
    ValueError
        If shapes, mask or echo times are unusable.

    Notes
    -----
    1. Edges get the product of (0.1 + 0.9 w) over phase coherence, gradient coherence with
       the second echo, phase linearity and magnitude coherence [1]_. Voxels outside the
       mask have no influence.
    2. Regions grow over edges, lowest cost first; each component of the mask has its own
       seed. What is unknown is one number of turns per component: the one for which the
       second echo agrees best with the first, and if that does not decide, the one for
       which the mean phase is closest to 0.
    3. Template mode: later echoes are moved by whole turns to the prediction
       TE_e * sum(m TE phase) / sum(m TE^2) over the echoes before. Noise alone would ask for
       m^2; but what misleads is phase that bends where a voxel dephases, and there the late,
       weak echoes know more than the first. Voxels that miss the prediction by more than
       ``uncertain_miss_rad`` are then compared with their neighbours that do not: if at
       least four of these agree that it is one and the same number of turns off, and none is
       more than a quarter turn away afterwards, it is moved. Growing regions through such
       voxels, as the paper does, makes more mistakes than it mends: next to air phase
       changes by more than half a turn from voxel to voxel, which only time can follow.
    4. Individual mode: every echo as the first, and each region of a later echo is moved by
       the whole turns that bring its mean closest to what the echo before predicts.

    A cycle is wrong when the result and the phase of the signal, followed from echo time 0
    without noise, are more than half a turn apart. The phase of the mean field of a voxel is
    something else where the voxel dephases: at the rim of the brain, an error in that sense
    is mostly physics. Where the signal passes through zero neither is defined.

    Cost: time O(N), two or three passes over the echoes and one over the queue. Peak memory
    42 bytes per voxel of the box around the mask, and the result.

    References
    ----------
    .. [1] Dymerska B et al. Magn Reson Med 2021;85:2294. doi:10.1002/mrm.28563

    Examples
    --------
    >>> x = np.linspace(-15, 15, 40, dtype=np.float32)
    >>> truth = np.broadcast_to(x[:, None, None], (40, 4, 4))[None]
    >>> ones = np.ones_like(truth)
    >>> found = unwrap_romeo(wrap(truth), ones, [0.01], ones[0] > 0, Grid((40, 4, 4)))
    >>> bool(abs(found - truth).max() < 1e-5)
    True
    """
    phase, magnitude, times, mask = check_echoes(phase, magnitude, echo_times_s, mask)
    box = bounding_box(mask)
    inside = np.require(mask[box], requirements='W')  # compiled loops want writable arrays
    strength = np.require(magnitude[(slice(None), *box)], requirements='W')
    unwrapped = np.zeros(phase.shape, np.float32)
    work = unwrapped[(slice(None), *box)]  # every step below changes the result in place
    for echo in range(len(times)):
        np.multiply(wrap(phase[(echo, *box)]), inside, out=work[echo])

    region, n_region = _unwrap_in_space(work, strength, times, inside, echo=0)
    settle_first_echo(work, strength, times, region, n_region)
    for echo in range(1, len(times)):
        if parameters.mode == 'individual':
            region, n_region = _unwrap_in_space(work, strength, times, inside, echo)
            settle_later_echo(work, strength, times, region, n_region, echo)
        else:
            _follow_echo_time(work, strength, times, inside, echo, parameters)
    return unwrapped


def phase_quality(
    phase: np.ndarray, magnitude: np.ndarray, echo_times_s: Sequence[float], mask: np.ndarray
) -> np.ndarray:
    """Rate how safely the phase of the first echo can be followed through each voxel.

    Parameters
    ----------
    phase, magnitude, echo_times_s, mask
        As for :func:`unwrap_romeo`; the phase may still have its offset.

    Returns
    -------
    (nx, ny, nz) float32, 0...1
        Mean weight of the edges between the voxel and its neighbours in the mask; about 1
        in smooth phase, 0.3 in noise, 0 outside the mask and without neighbours.

    Raises
    ------
    ValueError
        If shapes, mask or echo times are unusable.
    """
    phase, magnitude, times, mask = check_echoes(phase, magnitude, echo_times_s, mask)
    box = bounding_box(mask)
    inside = np.pad(mask[box], 1)
    boxed = (slice(0, 2), *box)  # no other echo enters the weights
    costs, _ = _edge_costs(phase[boxed], magnitude[boxed], times, inside, echo=0)
    quality = np.zeros(mask.shape, np.float32)
    quality[box] = _voxel_quality(costs)[1:-1, 1:-1, 1:-1]
    return quality


def _unwrap_in_space(
    phase: np.ndarray, magnitude: np.ndarray, times: np.ndarray, inside: np.ndarray, echo: int
) -> tuple[np.ndarray, int]:
    """Unwrap one echo in place; return the regions (nx, ny, nz) int32 and their number."""
    from .romeo_kernels import grow

    framed = np.pad(inside, 1)
    costs, here = _edge_costs(phase, magnitude, times, framed, echo)
    region = np.zeros(framed.shape, np.int32)
    seeds = _seeds(costs, framed)
    n_region = grow(
        here.ravel(), costs.reshape(-1, 3), _strides(framed.shape), seeds, region.ravel()
    )
    inner = (slice(1, -1),) * 3
    phase[echo] = here[inner]
    return np.ascontiguousarray(region[inner]), n_region


def _strides(shape: tuple[int, ...]) -> np.ndarray:
    return np.array([shape[1] * shape[2], shape[2], 1], np.int64)


def _edge_costs(
    phase: np.ndarray, magnitude: np.ndarray, times: np.ndarray, framed: np.ndarray, echo: int
) -> tuple[np.ndarray, np.ndarray]:
    """Weigh the edges of one echo.

    Parameters
    ----------
    phase, magnitude : (n_echo, nx, ny, nz) float32
    times : (n_echo,) float64, s
    framed : (nx + 2, ny + 2, nz + 2) bool
        The mask with a frame of one voxel of False.
    echo : int

    Returns
    -------
    costs : (nx + 2, ny + 2, nz + 2, 3) uint8
    framed_phase : (nx + 2, ny + 2, nz + 2) float32, rad
        A copy of the phase of this echo.
    """
    from .compiled import over_slabs
    from .romeo_kernels import edge_costs

    other = min(1, len(phase) - 1) if echo == 0 else echo - 1
    te_ratio = times[echo] / times[other] if other != echo else 0.0
    here = np.pad(phase[echo], 1)
    second = np.pad(phase[other], 1) if other != echo else here
    strength = np.pad(magnitude[echo], 1)
    strides = _strides(framed.shape)
    costs = np.zeros((*framed.shape, 3), np.uint8)

    def loop(start: int, stop: int) -> None:
        edge_costs(
            here.ravel(),
            second.ravel(),
            strength.ravel(),
            framed.ravel(),
            strides,
            te_ratio,
            costs.reshape(-1, 3),
            start * strides[0],
            stop * strides[0],
        )

    over_slabs(loop, framed.shape[0])
    return costs, here


def _seeds(costs: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return the flat indices of the mask, lowest sum of the three edge costs first."""
    voxels = np.flatnonzero(inside)
    total = np.zeros(voxels.size, np.uint16)
    for axis in range(3):
        cost = costs.reshape(-1, 3)[:, axis][voxels]
        total += np.where(cost == 0, np.uint8(255), cost)
    return voxels[np.argsort(total, kind='stable')]


def _voxel_quality(costs: np.ndarray) -> np.ndarray:
    """Return the mean weight of the up to six edges of each voxel."""
    total = np.zeros(costs.shape[:3], np.float32)
    count = np.zeros(costs.shape[:3], np.uint8)
    for axis in range(3):
        cost = costs[..., axis]
        weight = np.where(cost > 0, 1 - cost / np.float32(255), np.float32(0))
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        total += weight
        total[high] += weight[low]
        count += cost > 0
        count[high] += cost[low] > 0
    return total / np.maximum(count, 1)


def _follow_echo_time(
    phase: np.ndarray,
    magnitude: np.ndarray,
    times: np.ndarray,
    inside: np.ndarray,
    echo: int,
    parameters: RomeoParameters,
) -> None:
    """Unwrap one echo in place from what the echoes before it predict."""
    from .compiled import over_slabs
    from .romeo_kernels import follow_echo_time, mend_turns

    state = np.zeros(inside.shape, np.uint8)
    miss = parameters.uncertain_miss_rad

    def loop(start: int, stop: int) -> None:
        follow_echo_time(phase, magnitude, times, inside, echo, miss, state, start, stop)

    over_slabs(loop, inside.shape[0])
    mend_turns(phase[echo], state)
