"""Compiled loops of conjugate gradients on half-grid spectra.

A step of conjugate gradients written with whole-array operations passes about twelve times
through memory; these three loops need one pass each, and threads share the planes. All
spectra are (nx, ny, nz // 2 + 1) complex64, real factors float32.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from .compiled import compiled, over_slabs

SPECTRA = 'c8[:, :, ::1]'


@compiled(f'f8({SPECTRA}, {SPECTRA}, i8, i8, i8)', fastmath=True)
def _inner(a, b, twins, start, stop):
    total = 0.0
    for i in range(start, stop):
        for j in range(a.shape[1]):
            row = np.float32(0)
            for k in range(1, twins):
                row += a[i, j, k].real * b[i, j, k].real + a[i, j, k].imag * b[i, j, k].imag
            row += row
            for k in range(0, a.shape[2], twins):  # the planes that are their own mirror image
                row += a[i, j, k].real * b[i, j, k].real + a[i, j, k].imag * b[i, j, k].imag
            total += row
    return total


@compiled(f'f8({SPECTRA}, {SPECTRA}, {SPECTRA}, {SPECTRA}, f4[:, :, ::1], f4, i8, i8, i8)',
          fastmath=True)  # fmt: skip
def _advance(x, residual, direction, image, inverse, step, twins, start, stop):
    total = 0.0
    for i in range(start, stop):
        for j in range(x.shape[1]):
            for k in range(x.shape[2]):
                x[i, j, k] += step * direction[i, j, k]
                residual[i, j, k] -= step * image[i, j, k]
            row = np.float32(0)
            for k in range(1, twins):
                r = residual[i, j, k]
                row += inverse[i, j, k] * (r.real * r.real + r.imag * r.imag)
            row += row
            for k in range(0, x.shape[2], twins):
                r = residual[i, j, k]
                row += inverse[i, j, k] * (r.real * r.real + r.imag * r.imag)
            total += row
    return total


@compiled(f'void({SPECTRA}, {SPECTRA}, f4[:, :, ::1], f4, i8, i8)', fastmath=True)
def _turn(direction, residual, inverse, share, start, stop):
    for i in range(start, stop):
        for j in range(direction.shape[1]):
            for k in range(direction.shape[2]):
                direction[i, j, k] = (
                    share * direction[i, j, k] + inverse[i, j, k] * residual[i, j, k]
                )


def _twins(spectrum: np.ndarray, n_last: int) -> int:
    """Return the end of the columns that stand for two frequencies, k and -k.

    It is also the step from the zero frequency to the Nyquist frequency, which have no
    mirror image; for an odd number of samples the latter does not exist.
    """
    return max(spectrum.shape[2] - (1 - n_last % 2), 1)


def inner(a: np.ndarray, b: np.ndarray, n_last: int) -> float:
    """Return what :func:`~qsmbids.qsm.fft.spectral_inner` returns, on several threads."""
    return sum(over_slabs(partial(_inner, a, b, _twins(a, n_last)), a.shape[0]))


def advance(
    x: np.ndarray,
    residual: np.ndarray,
    direction: np.ndarray,
    image: np.ndarray,
    inverse: np.ndarray,
    step: float,
    n_last: int,
) -> float:
    """Do x += step direction, residual -= step image; return <residual, inverse residual>."""
    loop = partial(
        _advance, x, residual, direction, image, inverse, np.float32(step), _twins(x, n_last)
    )
    return sum(over_slabs(loop, x.shape[0]))


def turn(direction: np.ndarray, residual: np.ndarray, inverse: np.ndarray, share: float) -> None:
    """Do direction = inverse residual + share direction."""
    over_slabs(partial(_turn, direction, residual, inverse, np.float32(share)), direction.shape[0])
