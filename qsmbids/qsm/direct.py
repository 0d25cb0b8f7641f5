"""Direct dipole inversion: one multiplication in k-space, and the field it needs outside.

TKD, TSVD, Tikhonov and the closed-form L2 method differ in one thing only, the filter G(k)
by which they replace the inverse of the dipole kernel D(k),

    chi = F^-1 [ G F(field) ].

A transform needs the field everywhere, but it is known in the mask only. Taken as zero
outside, as published, the field of every source near the rim is cut off and the map bends
there. Here the field outside is first continued: what a damped inversion explains of the
field is filled in outside, and this is repeated,

    field <- measured in the mask,  F^-1 [ R F(field) ] outside,   R = D^2 / (D^2 + 0.01).

R lies between 0 and 1, so each step shrinks the distance to the one field that is equal to
the measured one inside and to its own explanation outside (Gerchberg and Papoulis did this
for the spectrum of a cut-off signal). It is linear, and sources may lie outside the mask,
as they do where background removal has eroded it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .fft import PaddedFFT, irfftn, rfftn
from .grid import Grid
from .kernels import dipole_kernel
from .region import MaskedRegion
from .solvers import Progress

CONTINUATION_DAMPING = np.float32(0.01)  # of R, in units of D^2

# (kernel, transforms) -> G on the half-grid; the kernel must not be changed
MakeFilter = Callable[[np.ndarray, PaddedFFT], np.ndarray]


def continue_field(
    field: np.ndarray,
    mask: np.ndarray,
    kernel: np.ndarray,
    fft: PaddedFFT,
    steps: int,
    progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Return the spectrum of a field continued outside the mask.

    Parameters
    ----------
    field : (nx, ny, nz) float32, ppm
        Zero outside the mask.
    mask : (nx, ny, nz) bool
        Where the field is known.
    kernel : (px, py, pz // 2 + 1) float32
        Spectrum D of the dipole.
    fft : PaddedFFT
        Transforms of the grid.
    steps : int
        Repetitions; 0 leaves the field outside at zero.
    progress : callable, optional
        Called with the number of finished steps.

    Returns
    -------
    (px, py, pz // 2 + 1) complex64

    Notes
    -----
    Two transforms per step; about 20 bytes per padded voxel.
    """
    box = tuple(slice(n) for n in fft.shape)
    spectrum = fft.forward(field)
    if steps == 0:
        return spectrum
    explained = kernel**2
    explained /= explained + CONTINUATION_DAMPING
    for step in range(1, steps + 1):
        spectrum *= explained
        everywhere = irfftn(spectrum, fft.padded_shape)
        np.copyto(everywhere[box], field, where=mask)
        spectrum = rfftn(everywhere)
        if progress is not None:
            progress(step)
    return spectrum


def invert_by_filter(
    local_field_ppm: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    make_filter: MakeFilter,
    *,
    continuations: int,
    name: str,
    progress: Progress | None = None,
) -> np.ndarray:
    """Return the susceptibility F^-1 [ G F(continued field) ], zero outside the mask.

    Parameters
    ----------
    local_field_ppm : (nx, ny, nz) float, ppm
        Field of the sources inside the mask; ignored outside.
    mask : (nx, ny, nz) bool
        Where the field is known.
    grid : Grid
        Voxel size and direction of B0.
    make_filter : callable
        Returns G (float32, half-grid, finite) for a dipole kernel.
    continuations : int
        Steps of :func:`continue_field`.
    name : str
        Of the method, for the progress.
    progress : callable, optional
        Called with (fraction, text).

    Returns
    -------
    (nx, ny, nz) float32, ppm

    Raises
    ------
    ValueError
        If the mask is empty, shapes differ, or the field is not finite inside the mask.
    """
    region = MaskedRegion.of(mask, grid)
    field = region.cut(local_field_ppm, 'local field')
    fft = PaddedFFT(field.shape, grid.voxel_size)
    kernel = dipole_kernel(fft.padded_shape, grid.voxel_size, grid.b0_direction)

    def report(step: int) -> None:
        if progress is not None:
            progress(step / (continuations + 1), f'{name}, field outside the mask, step {step}')

    spectrum = continue_field(field, region.mask, kernel, fft, continuations, report)
    spectrum *= make_filter(kernel, fft)
    chi = region.paste(fft.inverse(spectrum))
    if progress is not None:
        progress(1.0, f'{name} done')
    return chi


def check_continuations(name: str, continuations: int) -> None:
    """Raise a ValueError if the number of continuation steps is negative."""
    if continuations < 0:
        raise ValueError(
            f'{name} cannot continue the field {continuations} times.\n'
            'Each time fills in the field outside the mask once more.\n'
            'Use 0 for a field of zero there, or 3 to 10.'
        )
