"""Fourier transforms: the one place that knows the library, its threads and its padding.

Everything is real-to-complex in single precision, because maps do not need more and it
halves time and memory. Arrays are padded with zeros to sizes whose prime factors are 2, 3,
5 and 7: that keeps the dipole field of the far side of the head from wrapping round, and
large prime factors make transforms several times slower.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import fft as _fft

# 20 mm on either side: the images of a sphere of 12 mm at the edge of 40 mm then change the
# field at the far edge by 0.001 of its susceptibility (measured; by 0.05 without padding)
DEFAULT_PADDING_MM = 40.0

_workers = 1


def set_workers(n: int) -> None:
    """Set the number of threads of every transform."""
    global _workers
    _workers = max(1, int(n))


def get_workers() -> int:
    """Return the number of threads of every transform."""
    return _workers


def good_size(n: int) -> int:
    """Return the next number of samples >= n whose prime factors are 2, 3, 5 and 7.

    Examples
    --------
    >>> good_size(97), good_size(163), good_size(256)
    (98, 168, 256)
    """
    while True:
        m = n
        for p in (2, 3, 5, 7):
            while m % p == 0:
                m //= p
        if m == 1:
            return n
        n += 1


def rfftn(x: np.ndarray) -> np.ndarray:
    """Return the real-to-complex transform over the last three axes."""
    return _fft.rfftn(x, axes=(-3, -2, -1), workers=_workers)


def irfftn(k: np.ndarray, shape: Sequence[int], *, overwrite: bool = False) -> np.ndarray:
    """Return the inverse of :func:`rfftn` for a real array of the given 3-D shape.

    With ``overwrite`` the spectrum may be destroyed, which saves a copy of it.
    """
    return _fft.irfftn(
        k, s=tuple(shape), axes=(-3, -2, -1), workers=_workers, overwrite_x=overwrite
    )


def spectral_inner(a: np.ndarray, b: np.ndarray, n_last: int) -> float:
    """Return the inner product of two real arrays from their half-grid spectra.

    Parameters
    ----------
    a, b : (nx, ny, nz // 2 + 1) float or complex
        Spectra on the half-grid of :func:`rfftn`.
    n_last : int
        Number of samples nz of the last axis.

    Returns
    -------
    float
        Real part of the sum of conj(a) b over the full grid, i.e. nx ny nz times the inner
        product of the arrays (Parseval). Summed in double precision, plane by plane.
    """
    total = 0.0
    for p, q in zip(a, b, strict=True):
        total += 2 * float(np.vdot(p, q).real) - float(np.vdot(p[:, 0], q[:, 0]).real)
        if n_last % 2 == 0:  # the Nyquist plane has no mirror image either
            total -= float(np.vdot(p[:, -1], q[:, -1]).real)
    return total


class PaddedFFT:
    """Zero-padded transforms of arrays of one shape.

    Parameters
    ----------
    shape : (3,) int
        Shape of the data.
    voxel_size : (3,) float, mm
        Voxel size.
    padding_mm : float, mm
        Least width of the margin of zeros between the data and its periodic image. The
        margin lies behind the data, which is the same as half of it on either side.

    Attributes
    ----------
    padded_shape : (3,) int
        Shape of the padded array; the data sit in the corner at index 0.
    """

    def __init__(
        self,
        shape: Sequence[int],
        voxel_size: Sequence[float],
        padding_mm: float = DEFAULT_PADDING_MM,
    ) -> None:
        self.shape = tuple(int(n) for n in shape)
        self.padded_shape = tuple(
            good_size(n + math.ceil(padding_mm / h))
            for n, h in zip(self.shape, voxel_size, strict=True)
        )

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return the transform of x padded with zeros (complex64 for float32)."""
        return _fft.rfftn(x, s=self.padded_shape, workers=_workers)

    def inverse(self, k: np.ndarray) -> np.ndarray:
        """Return the real array of the spectrum k, cropped to the data."""
        return irfftn(k, self.padded_shape)[tuple(slice(n) for n in self.shape)]

    def inverse_full(self, k: np.ndarray) -> np.ndarray:
        """Return the real array of the spectrum k on the padded grid."""
        return irfftn(k, self.padded_shape)
