"""The sphere-filtered data of single-step inversion, on the grid itself and on joined voxels."""

from __future__ import annotations

import numpy as np

from .fft import PaddedFFT
from .field_noise import field_noise
from .grid import Grid
from .kernels import dipole_kernel, kernel_reach, kernel_spectrum, sphere_kernel
from .region import MaskedRegion
from .splitting import FIELD_PENALTY


class SharpRows:
    """Which sphere each voxel uses, and what its filter leaves of the field.

    Parameters
    ----------
    field, weight_squared : (nx, ny, nz) float32
        In the box of the region, zero outside the mask.
    region : MaskedRegion
    radii_mm : tuple of float, mm
        Of the spheres.
    smallest_radius_voxels : float
        Of the last sphere, in units of the longest side of a voxel.

    Attributes
    ----------
    index : (nx, ny, nz) uint8
        Number of the sphere, from 1; 0 where none fits.
    filtered : (nx, ny, nz) float32, ppm
        Field minus its mean over that sphere.
    share : (nx, ny, nz) float32
        W^2 / (W^2 + penalty of the splitting of the field).
    kernels : list of (px, py, pz // 2 + 1) float32
        Spectrum of (1 - S_j) D of each sphere.
    noise : float, ppm
        Of the field, see ``field_noise``.

    Raises
    ------
    ValueError
        If not even the smallest sphere fits.
    """

    def __init__(
        self,
        field: np.ndarray,
        weight_squared: np.ndarray,
        region: MaskedRegion,
        radii_mm: tuple[float, ...],
        smallest_radius_voxels: float,
    ) -> None:
        grid = region.grid
        self.voxel_size = grid.voxel_size
        self.fft = PaddedFFT(grid.shape, grid.voxel_size)
        self.box = tuple(slice(n) for n in grid.shape)
        kernel = dipole_kernel(self.fft.padded_shape, grid.voxel_size, grid.b0_direction)
        smallest = smallest_radius_voxels * max(grid.voxel_size)
        radii = [r for r in sorted(set(radii_mm), reverse=True) if r > smallest]
        depth, spectrum = region.depth_mm(), self.fft.forward(field)
        self.index = np.zeros(grid.shape, np.uint8)  # which sphere, from 1
        self.filtered = np.zeros_like(field)
        self.kernels: list[np.ndarray] = []
        for radius in (*radii, smallest):
            sphere = sphere_kernel(radius, grid.voxel_size)
            fits = (depth > kernel_reach(sphere, grid.voxel_size)) & (self.index == 0)
            if not fits.any():
                continue
            remaining = kernel_spectrum(sphere, self.fft.padded_shape)
            np.subtract(1, remaining, out=remaining)
            left = self.fft.inverse(spectrum * remaining)
            if not self.kernels:
                inner = MaskedRegion(region.box, fits, grid, region.shape)
                self.noise = field_noise(np.where(fits, left, 0), inner)
            np.copyto(self.filtered, left, where=fits)
            self.kernels.append(np.ascontiguousarray(remaining * kernel))
            self.index[fits] = len(self.kernels)
        if not self.kernels:
            raise ValueError(
                f'The mask is too thin: its deepest voxel lies {depth.max():.1f} mm inside, and '
                f'the smallest sphere has a radius of {smallest:.1f} mm.\n'
                'No field would be left.\n'
                'Check the mask.'
            )
        self.share = weight_squared / (weight_squared + np.float32(FIELD_PENALTY))


def join_region(
    images: list[np.ndarray | None], region: MaskedRegion, steps: list[int]
) -> tuple[list[np.ndarray | None], MaskedRegion]:
    """Return images and region on blocks of ``steps`` voxels.

    Raises
    ------
    ValueError
        If no block lies in the mask as a whole: a sphere must not look outside.
    """
    mask = joined(region.mask.astype(np.float32), steps) > 0.999
    voxel = tuple(h * s for h, s in zip(region.grid.voxel_size, steps, strict=True))
    grid = Grid(mask.shape, voxel, region.grid.b0_direction)
    if not mask.any():
        raise ValueError('No block of voxels lies in the mask as a whole.')
    coarse = MaskedRegion(tuple(slice(n) for n in mask.shape), mask, grid, mask.shape)
    return [None if x is None else np.where(mask, joined(x, steps), 0) for x in images], coarse


def joined(x: np.ndarray, steps: list[int]) -> np.ndarray:
    """Average blocks of voxels; what is missing at the end of an odd axis counts as zero."""
    x = np.pad(x, [(0, -n % s) for n, s in zip(x.shape, steps, strict=True)])
    for axis, step in enumerate(steps):
        if step > 1:
            even = tuple(slice(0, None, 2) if a == axis else slice(None) for a in range(3))
            odd = tuple(slice(1, None, 2) if a == axis else slice(None) for a in range(3))
            x = (x[even] + x[odd]) * np.float32(0.5)
    return np.ascontiguousarray(x)


def finer(chi: np.ndarray, steps: list[int], shape: tuple[int, int, int]) -> np.ndarray:
    """Interpolate a map of joined voxels linearly to the fine grid; periodic."""
    for axis, (step, n) in enumerate(zip(steps, shape, strict=True)):
        if step > 1:
            quarter = np.float32(0.25)
            low = chi + quarter * (np.roll(chi, 1, axis) - chi)
            high = chi + quarter * (np.roll(chi, -1, axis) - chi)
            chi = np.stack([low, high], axis + 1)
            merged = list(chi.shape)
            merged[axis : axis + 2] = [merged[axis] * 2]
            chi = chi.reshape(merged)
        index = [slice(None)] * 3
        index[axis] = slice(min(n, chi.shape[axis]))
        chi = chi[tuple(index)]
        if chi.shape[axis] < n:
            chi = np.pad(
                chi, [(0, n - m) if a == axis else (0, 0) for a, m in enumerate(chi.shape)]
            )
    return np.ascontiguousarray(chi, dtype=np.float32)
