"""Mean and spread over people, voxel by voxel, one person at a time.

No more than one person's image is in memory, whatever the size of the cohort. Each voxel has
its own number of people: a map counts only where it was reconstructed.
"""

from __future__ import annotations

import numpy as np


class RunningMoments:
    """Mean and standard deviation of images that are added one by one (Welford 1962).

    With n the number of values so far, x the new one and m the mean,

        m_n = m_{n-1} + (x - m_{n-1}) / n,      S_n = S_{n-1} + (x - m_{n-1}) (x - m_n),

    and the variance is S_n / (n - 1). Unlike sums of squares this loses no digits.

    Parameters
    ----------
    shape : tuple of int

    References
    ----------
    Welford BP. Technometrics 1962;4:419-420.
    https://doi.org/10.1080/00401706.1962.10490022

    Examples
    --------
    >>> moments = RunningMoments((2,))
    >>> for values, known in (([1, 5], [True, True]), ([3, 9], [True, False])):
    ...     moments.add(np.array(values, dtype=float), np.array(known))
    >>> moments.mean.tolist(), moments.n.tolist()
    ([2.0, 5.0], [2, 1])
    """

    def __init__(self, shape: tuple[int, ...]):
        self.n = np.zeros(shape, dtype=np.int32)
        self.mean = np.zeros(shape, dtype=np.float32)
        self._squares = np.zeros(shape, dtype=np.float32)

    def add(self, values: np.ndarray, known: np.ndarray) -> None:
        """Add an image where it is known."""
        self.n += known
        difference = np.where(known, values - self.mean, 0).astype(np.float32)
        self.mean += difference / np.maximum(self.n, 1)
        self._squares += difference * np.where(known, values - self.mean, 0)

    @property
    def sd(self) -> np.ndarray:
        """Standard deviation over people, float32; zero where fewer than two are known."""
        return np.sqrt(self._squares / np.maximum(self.n - 1, 1)).astype(np.float32)


def known_mean(values: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Undo the dilution of a map that was interpolated across the edge of its mask.

    Parameters
    ----------
    values : (nx, ny, nz) float
        Linear interpolation of map times mask.
    weight : (nx, ny, nz) float, 0..1
        Linear interpolation of the mask itself.

    Returns
    -------
    values : (nx, ny, nz) float32
        Weighted mean of the neighbours inside the mask.
    known : (nx, ny, nz) bool
        Where at least half of the neighbours lie inside.
    """
    known = weight >= 0.5
    return np.where(known, values / np.maximum(weight, 0.5), 0).astype(np.float32), known
