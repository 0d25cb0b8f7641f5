"""Combining receive coils that were stored one by one, with little memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from qsmbids.qsm.coils import combine_coils
from qsmbids.qsm.grid import Grid
from qsmbids.qsm.masks import dilate
from qsmbids.qsm.threshold_mask import mask_by_threshold

MARGIN_MM = 6.0  # around the head: no voxel of the brain is lost to a dark rim


def combine_stored_coils(
    images: Iterable[tuple[np.ndarray, np.ndarray]], n_coils: int,
    echo_times_s: Sequence[float], grid: Grid, folder: Path,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Combine the coils of all echoes.

    Parameters
    ----------
    images : iterable of ((nx, ny, nz, n_coil), (nx, ny, nz, n_coil))
        Magnitude, and phase in rad, of one echo after the other.
    n_coils : int
    echo_times_s : (n_echo,) float, s
    grid : Grid
    folder : Path
        For scratch files of 8 n_coil n_echo bytes per voxel, removed at the end: one echo is
        in memory while they are written and one coil while they are combined.

    Returns
    -------
    magnitude, phase : (nx, ny, nz, n_echo) float32
        Phase in rad, free of the offsets of the coils; both are 0 away from the head.
    """
    shape = (n_coils, len(echo_times_s), *grid.shape)
    with TemporaryDirectory(dir=folder) as scratch:
        magnitude, phase = (
            np.memmap(Path(scratch) / name, np.float32, 'w+', shape=shape)
            for name in ('magnitude', 'phase')
        )
        energy = np.zeros(grid.shape, np.float32)
        for e, (strength, angle) in enumerate(images):
            magnitude[:, e] = np.moveaxis(strength, -1, 0)
            phase[:, e] = np.moveaxis(angle, -1, 0)
            energy += np.einsum('...c,...c->...', strength, strength)
        head = dilate(mask_by_threshold(np.sqrt(energy), grid), MARGIN_MM, grid)
        combined_phase, combined_magnitude = combine_coils(
            phase, magnitude, echo_times_s, head, grid
        )
    return np.moveaxis(combined_magnitude, 0, -1), np.moveaxis(combined_phase, 0, -1)
