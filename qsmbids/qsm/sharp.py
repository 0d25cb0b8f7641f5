"""SHARP: background removal by one sphere and truncated deconvolution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .fft import PaddedFFT
from .grid import Grid
from .kernels import kernel_reach, kernel_spectrum, sphere_kernel
from .region import MaskedRegion
from .solvers import Progress


@dataclass(frozen=True, kw_only=True)
class SharpParameters:
    """Parameters of SHARP, the one place of their defaults."""

    # mm; the rim of this width is lost. 6 mm as in QSM.rs; at least the longest voxel side
    radius_mm: float = 6.0
    # spatial frequencies where 1 - S is below this are not restored. As in QSM.rs; with this
    # radius waves longer than about 50 mm
    threshold: float = 0.05

    def __post_init__(self) -> None:
        if self.radius_mm <= 0:
            raise ValueError(
                f'The radius of SHARP must be positive, got {self.radius_mm} mm.\n'
                'A sphere without size has no mean.\n'
                'Use about 6 mm.'
            )
        if not 0 < self.threshold < 1:
            raise ValueError(
                f'The SHARP threshold must lie between 0 and 1, got {self.threshold}.\n'
                'It bounds the amplification of low frequencies.\n'
                'Use about 0.05.'
            )


def remove_background_sharp(
    total_field: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    parameters: SharpParameters = SharpParameters(),
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the field of the sources inside the mask, and where it is known.

    The background equals its own mean over any sphere inside the mask, S * b = b. Let M be
    the voxels where the sphere fits. What is left there of the field after subtraction of its
    mean is the local field convolved with C = 1 - S, and the convolution is undone in k-space:

        l = F^-1 { F[ M (f - S * f) ] / C },   zero where |C| < threshold.

    Parameters
    ----------
    total_field : (nx, ny, nz) float
        Unwrapped field in any unit (Hz, ppm, rad); ignored outside the mask.
    mask : (nx, ny, nz) bool
        Where the field is reliable.
    grid : Grid
        Voxel size; the direction of B0 does not matter.
    parameters : SharpParameters
        Radius and threshold.
    progress : callable, optional
        Called with (fraction, text).

    Returns
    -------
    local_field : (nx, ny, nz) float32
        In the unit of ``total_field``; zero outside ``mask_after``.
    mask_after : (nx, ny, nz) bool
        M, the mask without the rim where the sphere does not fit.

    Raises
    ------
    ValueError
        If the mask is empty or too thin for the sphere, if shapes differ, or if the field
        is not finite inside the mask.

    Notes
    -----
    The first and simplest of its kind: the division takes l * C as zero in the lost rim, where
    it is unknown. V-SHARP keeps the rim and more of the slowly varying field; RESHARP treats
    the unknown as unknown. Four transforms of the box around the mask, padded by the sphere;
    about 60 bytes per voxel of that box. Linear in the field.

    References
    ----------
    .. [1] Schweser F et al. NeuroImage 2011;54:2789. doi:10.1016/j.neuroimage.2010.10.070

    Examples
    --------
    The field of a far source is nearly linear and disappears:

    >>> x, y, z = np.indices((24, 24, 24)) - 11.5
    >>> mask = x**2 + y**2 + z**2 < 11**2
    >>> local, inside = remove_background_sharp(0.1 * z, mask, Grid(mask.shape))
    >>> bool(abs(local).max() < 1e-4), bool((inside <= mask).all())
    (True, True)
    """
    region = MaskedRegion.of(mask, grid)
    field = region.cut(total_field, 'total field')
    radius = max(parameters.radius_mm, *grid.voxel_size)
    sphere = sphere_kernel(radius, grid.voxel_size)
    reach = kernel_reach(sphere, grid.voxel_size)
    depth = region.depth_mm()
    inner = depth > reach
    if not inner.any():
        raise ValueError(
            f'The mask is too thin for SHARP: its deepest voxel lies {depth.max():.1f} mm '
            f'inside, and the sphere of {radius:g} mm needs more than {reach:.1f} mm.\n'
            'No field would be left.\n'
            'Check the mask, use a smaller radius_mm, or V-SHARP.'
        )
    del depth
    fft = PaddedFFT(field.shape, grid.voxel_size, padding_mm=reach)
    remaining = 1 - kernel_spectrum(sphere, fft.padded_shape)
    spectrum = fft.forward(field)
    spectrum *= remaining
    spectrum = fft.forward(fft.inverse(spectrum) * inner)
    if progress is not None:
        progress(0.5, 'SHARP: mean subtracted')
    usable = np.abs(remaining) >= parameters.threshold
    spectrum *= np.divide(1, remaining, out=np.zeros_like(remaining), where=usable)
    local = fft.inverse(spectrum)
    if progress is not None:
        progress(1.0, 'SHARP: local field restored')
    return region.paste(local, inner), region.paste(inner)
