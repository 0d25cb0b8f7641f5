"""Smoothing of a phase inside a mask, as offsets of coils and readouts need it."""

from __future__ import annotations

import numpy as np

from .fft import PaddedFFT
from .grid import Grid
from .phase import wrap
from .phase_polynomial import fit_phase_polynomial

PADDING_SIGMAS = 3.0  # margin against wrap-around of the smoothing, in units of sigma
POLYNOMIAL_ORDER = 4


def check_sigma(sigma_mm: float) -> None:
    """Refuse a width that is not a positive number of millimetres."""
    if not (np.isfinite(sigma_mm) and sigma_mm > 0):
        raise ValueError(
            f'sigma_mm must be positive, got {sigma_mm}.\n'
            'It is the width over which the phase offset is smoothed.\n'
            'Give millimetres, for example 7.'
        )


class MaskedSmoother:
    """Gaussian smoothing with weights, normalised so that a constant stays constant.

    Parameters
    ----------
    weight : (nx, ny, nz) float32
        How much each voxel counts; 0 outside the mask.
    grid : Grid
    sigma_mm : float, mm

    Notes
    -----
    Each smoothing takes two transforms of the box padded by three sigma. Peak memory 12
    bytes per padded voxel, and 8 that stay for the weights and the filter.
    """

    def __init__(self, weight: np.ndarray, grid: Grid, sigma_mm: float) -> None:
        self.grid = grid
        self.fft = PaddedFFT(grid.shape, grid.voxel_size, PADDING_SIGMAS * sigma_mm)
        self.factors = []  # of the transfer function, one for each axis
        for axis, (n, h) in enumerate(zip(self.fft.padded_shape, grid.voxel_size, strict=True)):
            frequency = np.fft.rfftfreq(n, h) if axis == 2 else np.fft.fftfreq(n, h)
            factor = np.exp(-2 * (np.pi * sigma_mm * frequency) ** 2).astype(np.float32)
            self.factors.append(factor.reshape([-1 if a == axis else 1 for a in range(3)]))
        self.set_weight(weight)

    def set_weight(self, weight: np.ndarray) -> None:
        """Use other weights on the same grid."""
        self.weight = weight
        self.normaliser = self._smooth(weight)

    def _smooth(self, x: np.ndarray) -> np.ndarray:
        spectrum = self.fft.forward(x)
        for factor in self.factors:
            spectrum *= factor
        return self.fft.inverse(spectrum)

    def sum(self, x: np.ndarray) -> np.ndarray:
        """Return the weighted sum around each voxel."""
        return self._smooth(self.weight * x)

    def mean(self, x: np.ndarray) -> np.ndarray:
        """Return the weighted mean around each voxel; 0 where there is next to no weight."""
        enough = self.normaliser > 1e-4 * self.normaliser.max()
        return np.where(enough, self.sum(x) / np.where(enough, self.normaliser, 1), 0)

    def phase(self, noisy: np.ndarray) -> np.ndarray:
        """Smooth a phase: a polynomial first, then what that has left over.

        Parameters
        ----------
        noisy : (nx, ny, nz) float32, rad
            Wrapped or not.

        Returns
        -------
        (nx, ny, nz) float32, rad
            In [-pi, pi].

        Notes
        -----
        A Gaussian mean pulls a curved phase towards the inside of its curve, and near the rim
        of the mask a sloping one towards its value further inside. A polynomial of fourth
        order takes most of slope and curvature away before; the rest is smoothed as a complex
        number, and what that misses once more.
        """
        trend = fit_phase_polynomial(noisy, self.weight, self.grid, POLYNOMIAL_ORDER)
        left = wrap(noisy - trend)
        smooth = np.arctan2(self.sum(np.sin(left)), self.sum(np.cos(left)))
        smooth += self.mean(wrap(left - smooth))
        return wrap(smooth + trend)
