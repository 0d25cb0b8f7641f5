"""V-SHARP: background removal by spheres as large as fit at each voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .fft import PaddedFFT
from .grid import Grid
from .kernels import kernel_reach, kernel_spectrum, sphere_kernel
from .region import MaskedRegion
from .solvers import Progress


@dataclass(frozen=True, kw_only=True)
class VsharpParameters:
    """Parameters of V-SHARP, the one place of their defaults."""

    # mm; larger spheres keep more of the slowly varying local field. 12 mm as in QSM.rs and
    # STI Suite; 16 mm brought 2 % of the field of a head phantom, for half as much more time
    largest_radius_mm: float = 12.0
    # voxels of the mean size; below two, the mean holds too few voxels and the outermost
    # layer is noise
    smallest_radius_voxels: float = 2.0
    # mm between the radii, as in QSM.rs
    radius_step_mm: float = 1.0
    # spatial frequencies where 1 - S is below this are not restored; 0.05 as in QSM.rs
    threshold: float = 0.05

    def __post_init__(self) -> None:
        if min(self.largest_radius_mm, self.smallest_radius_voxels, self.radius_step_mm) <= 0:
            raise ValueError(
                'The radii of V-SHARP and their step must be positive.\n'
                f'A sphere without size has no mean.\nGot {self}.'
            )
        if not 0 < self.threshold < 1:
            raise ValueError(
                f'The V-SHARP threshold must lie between 0 and 1, got {self.threshold}.\n'
                'It bounds the amplification of low frequencies.\n'
                'Use about 0.05.'
            )


def sphere_radii(parameters: VsharpParameters, grid: Grid) -> list[float]:
    """Return the radii (mm) of V-SHARP on a grid, from the largest to the smallest.

    The smallest is a number of voxels of the mean size, but at least as long as the longest
    side of a voxel, so that every sphere has neighbours along each axis.

    Examples
    --------
    >>> sphere_radii(VsharpParameters(radius_step_mm=4.0), Grid((8, 8, 8)))
    [12.0, 8.0, 4.0, 2.0]
    >>> sphere_radii(VsharpParameters(), Grid((8, 8, 8), (6.5, 6.5, 6.5)))
    [13.0]
    """
    smallest = max(
        parameters.smallest_radius_voxels * grid.voxel_volume ** (1 / 3), max(grid.voxel_size)
    )
    smallest = round(smallest, 6)  # the cube root of 8 should be 2
    largest = max(parameters.largest_radius_mm, smallest)
    radii = np.arange(largest, smallest, -parameters.radius_step_mm).tolist()
    return [*radii, smallest]


def remove_background_vsharp(
    total_field: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    parameters: VsharpParameters = VsharpParameters(),
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the field of the sources inside the mask, and where it is known.

    A field without sources inside a sphere is harmonic there: its mean over the sphere is
    the value at the centre. Subtracting the mean thus removes the background, and leaves
    the local field convolved with C = delta - S, which is undone at the end. Each voxel
    takes the largest sphere that fits into the mask, so that the cortex is kept.

    Parameters
    ----------
    total_field : (nx, ny, nz) float
        Unwrapped field in any unit (Hz, ppm, rad); ignored outside the mask.
    mask : (nx, ny, nz) bool
        Where the field is reliable.
    grid : Grid
        Voxel size; the direction of B0 does not matter.
    parameters : VsharpParameters
        Radii and threshold.
    progress : callable, optional
        Called with (fraction, text).

    Returns
    -------
    local_field : (nx, ny, nz) float32
        In the unit of ``total_field``; zero outside ``mask_after``.
    mask_after : (nx, ny, nz) bool
        The mask without the rim where the smallest sphere does not fit.

    Raises
    ------
    ValueError
        If the mask is empty or too thin for the smallest sphere, if shapes differ, or if
        the field is not finite inside the mask.

    Notes
    -----
    One deconvolution with the largest sphere that was used serves all voxels. A sphere fits
    where the distance to the nearest voxel outside exceeds the reach of its kernel: one
    distance transform replaces a convolution per radius. For R radii it takes R + 3
    transforms of the box around the mask (padded by the largest sphere) and about 60 bytes
    per voxel of that box. Linear in the field.

    References
    ----------
    .. [1] Schweser F et al. NeuroImage 2011;54:2789. doi:10.1016/j.neuroimage.2010.10.070
    .. [2] Li W, Wu B, Liu C. NeuroImage 2011;55:1645. doi:10.1016/j.neuroimage.2010.11.088
    .. [3] Wu B et al. Magn Reson Med 2012;67:137. doi:10.1002/mrm.23000

    Examples
    --------
    The field of a far source is nearly linear and disappears:

    >>> x, y, z = np.indices((24, 24, 24)) - 11.5
    >>> mask = x**2 + y**2 + z**2 < 11**2
    >>> local, inside = remove_background_vsharp(0.1 * z, mask, Grid(mask.shape))
    >>> bool(abs(local).max() < 1e-4), bool((inside <= mask).all())
    (True, True)
    """
    region = MaskedRegion.of(mask, grid)
    field = region.cut(total_field, 'total field')
    depth = region.depth_mm()
    spheres = [sphere_kernel(r, grid.voxel_size) for r in sphere_radii(parameters, grid)]
    reaches = [kernel_reach(sphere, grid.voxel_size) for sphere in spheres]
    deepest = float(depth.max())
    if deepest <= reaches[-1]:
        raise ValueError(
            f'The mask is too thin for V-SHARP: its deepest voxel lies {deepest:.1f} mm inside, '
            f'and the smallest sphere needs more than {reaches[-1]:.1f} mm.\n'
            'No field would be left.\n'
            'Check the mask, or use a smaller smallest_radius_voxels.'
        )

    fft = PaddedFFT(field.shape, grid.voxel_size, padding_mm=max(reaches))
    spectrum = fft.forward(field)
    filtered = np.zeros_like(field)
    done = np.zeros(field.shape, bool)
    largest = None
    for number, (sphere, reach) in enumerate(zip(spheres, reaches, strict=True), start=1):
        if progress is not None:
            progress(number / len(spheres), f'V-SHARP sphere {number} of {len(spheres)}')
        here = depth > reach
        here &= ~done
        if not here.any():
            continue
        sphere_spectrum = kernel_spectrum(sphere, fft.padded_shape)
        if largest is None:
            largest = sphere_spectrum
        mean = fft.inverse(spectrum * sphere_spectrum)
        np.subtract(field, mean, out=filtered, where=here)
        done |= here

    remaining = 1 - largest
    usable = np.abs(remaining) >= parameters.threshold
    inverse = np.divide(1, remaining, out=np.zeros_like(remaining), where=usable)
    spectrum = fft.forward(filtered)
    spectrum *= inverse
    return region.paste(fft.inverse(spectrum), done), region.paste(done)
