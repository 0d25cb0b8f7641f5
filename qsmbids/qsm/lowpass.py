"""Smoothing in Fourier space, within slices or in space: half of every high-pass filter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .fft import PaddedFFT
from .grid import Grid

PADDING_SIGMAS = 3.0  # margin against wrap-around of a Gaussian, in units of sigma


class LowPass:
    """A separable filter, made once and applied to many images.

    Parameters
    ----------
    grid : Grid
        Of the images.
    gain : callable
        Spatial frequency (1/mm) along an axis to the factor by which it is let through; 1 at 0.
    padding_mm : float, mm
        Width of the filter in space: what lies further apart does not mix.
    slice_axis : int, optional
        Array axis across the slices, which is not smoothed: slices are often thick and few,
        and smoothing across them would mix tissue that lies far apart.

    Notes
    -----
    Two real transforms of the padded image per call and about 16 bytes per padded voxel.
    """

    def __init__(
        self,
        grid: Grid,
        gain: Callable[[np.ndarray], np.ndarray],
        padding_mm: float,
        slice_axis: int | None = None,
    ) -> None:
        # nothing moves across slices, so that axis needs no margin: its voxels count as huge
        extent = [np.inf if a == slice_axis else h for a, h in enumerate(grid.voxel_size)]
        self._fft = PaddedFFT(grid.shape, extent, padding_mm)
        self._transfer = np.ones((1, 1, 1), np.float32)
        for axis, (n, h) in enumerate(zip(self._fft.padded_shape, grid.voxel_size, strict=True)):
            if axis == slice_axis:
                continue
            frequency = np.fft.rfftfreq(n, h) if axis == 2 else np.fft.fftfreq(n, h)
            factor = gain(np.abs(frequency)).astype(np.float32)
            self._transfer = self._transfer * np.expand_dims(
                factor, [a for a in range(3) if a != axis]
            )

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Return the smoothed (nx, ny, nz) float32 image; beyond its border it is zero."""
        spectrum = self._fft.forward(image)
        spectrum *= self._transfer
        return self._fft.inverse(spectrum)


def gaussian(grid: Grid, sigma_mm: float, slice_axis: int | None = None) -> LowPass:
    """Return the filter by a Gaussian of standard deviation sigma_mm."""
    return LowPass(
        grid,
        lambda f: np.exp(-2 * (np.pi * sigma_mm * f) ** 2),
        padding_mm=PADDING_SIGMAS * sigma_mm,
        slice_axis=slice_axis,
    )


def hamming(grid: Grid, cutoff_mm: float, slice_axis: int | None = None) -> LowPass:
    """Return the filter by a Hamming window over frequencies up to 1 / cutoff_mm."""
    return LowPass(
        grid,
        lambda f: np.where(f < 1 / cutoff_mm, 0.54 + 0.46 * np.cos(np.pi * f * cutoff_mm), 0),
        padding_mm=2 * cutoff_mm,
        slice_axis=slice_axis,
    )
