"""Two-pass inversion: strong sources must not streak through the rest of the map."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .grid import Grid
from .region import MaskedRegion
from .solvers import Progress


def invert_two_pass(
    local_field_ppm_reliable: np.ndarray,
    reliable_mask: np.ndarray,
    local_field_ppm_filled: np.ndarray,
    filled_mask: np.ndarray,
    grid: Grid,
    invert: Callable[..., np.ndarray],
    *,
    weight: np.ndarray | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """Return one map of two: of the reliable voxels, and of the places left out there.

    Inside strong sources (veins, bleedings, calcifications) phase is unreliable, and an error
    there becomes a streak everywhere. The first pass inverts with these voxels left out, as
    holes of the mask; the second with the holes filled. The first map is used where it
    exists, the second in the holes.

        chi = chi_1 in the reliable mask, chi_2 + c elsewhere in the filled mask

    where the constant c, which no inversion determines, makes the medians of both maps agree
    in the reliable mask. There are no parameters but those of ``invert``.

    Parameters
    ----------
    local_field_ppm_reliable, local_field_ppm_filled : (nx, ny, nz) float, ppm
        Local field of each mask, as background removal depends on the mask; the same array
        may be given twice.
    reliable_mask, filled_mask : (nx, ny, nz) bool
        Without and with the unreliable voxels.
    grid : Grid
        Voxel size and direction of B0.
    invert : callable
        Any ``invert(local_field_ppm, mask, grid, weight=..., progress=...)`` of this package;
        bind its own parameters with ``functools.partial``. It must take voxels outside the
        mask as unknown to make use of the holes: RTS and TV do, direct methods fill them in.
    weight : (nx, ny, nz) float, optional
        Handed to both passes.
    progress : callable, optional
        Called with (fraction, text).

    Returns
    -------
    (nx, ny, nz) float32, ppm
        Zero outside the union of the masks.

    Raises
    ------
    ValueError
        If a mask is empty, the masks have no voxel in common, shapes differ, or whatever
        ``invert`` raises.

    Notes
    -----
    The maps are not blended: fading the second into the first near the holes brought errors
    of the strong sources back on a head phantom.

    Twice the cost of one inversion; beyond its memory one map and two masks.

    References
    ----------
    .. [1] Stewart AW et al. Magn Reson Med 2022;87:1289. doi:10.1002/mrm.29048

    Examples
    --------
    >>> from qsmbids.qsm.tkd import invert_tkd
    >>> grid = Grid((8, 8, 8))
    >>> filled = np.ones(grid.shape, bool)
    >>> reliable = filled.copy()
    >>> reliable[4, 4, 4] = False
    >>> field = np.zeros(grid.shape)
    >>> invert_two_pass(field, reliable, field, filled, grid, invert_tkd).shape
    (8, 8, 8)
    """
    filled = np.asarray(filled_mask) != 0
    reliable = np.asarray(reliable_mask) != 0
    MaskedRegion.of(filled, grid)
    MaskedRegion.of(reliable, grid)
    common = reliable & filled
    if not common.any():
        raise ValueError(
            'The reliable and the filled mask have no voxel in common.\n'
            'The two maps could not be brought to one level.\n'
            'Fill the holes of the reliable mask to get the filled one.'
        )

    def part(number: int) -> Progress | None:
        if progress is None:
            return None
        return lambda fraction, text: progress(
            (number - 1 + fraction) / 2, f'pass {number}, {text}'
        )

    first = invert(local_field_ppm_reliable, reliable, grid, weight=weight, progress=part(1))
    second = invert(local_field_ppm_filled, filled, grid, weight=weight, progress=part(2))
    second += np.float32(np.median(first[common]) - np.median(second[common]))
    return np.where(reliable, first, np.where(filled, second, np.float32(0)))
