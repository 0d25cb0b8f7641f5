"""COSMOS: susceptibility from scans at several orientations of the head."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .fft import PaddedFFT
from .grid import Grid
from .kernels import dipole_kernel
from .masks import dilate
from .region import MaskedRegion, relative_weight
from .solvers import Progress, conjugate_gradient

LEAST_SCANS = 3
SPHERE_POINTS = 4000  # directions of k-space that are looked at, about 3 degrees apart


@dataclass(frozen=True, kw_only=True)
class CosmosParameters:
    """Parameters of COSMOS, the one place of their defaults."""

    # without unit, in units of the mean of D^2 over the scans: Tikhonov weight. Orientations
    # leave no frequency undetermined, but the voxels outside the masks are not measured
    regularisation: float = 1e-3
    # mm: sources are also sought in a rim outside the masks, where background removal has
    # lost the field but not the brain
    rim_mm: float = 6.0
    # least allowed mean of D^2 over the scans at the worst frequency; noise there is
    # amplified by its inverse root. One or two scans have 0, three of which two are turned by
    # 5 degrees about different axes 7e-4, by 20 degrees in one plane 5e-4 and in two 9e-3
    least_conditioning: float = 5e-4
    # relative residual of the normal equations that ends the iteration, and iterations that
    # end it at the latest
    tolerance: float = 1e-2
    iterations: int = 40

    def __post_init__(self) -> None:
        if min(self.regularisation, self.rim_mm) < 0 or self.tolerance <= 0 or self.iterations < 1:
            raise ValueError(
                'COSMOS needs a regularisation and a rim of at least 0, a positive tolerance, '
                'and at least one iteration.\nOtherwise nothing is minimised.\n'
                f'Got {self}.'
            )
        if not 0 < self.least_conditioning < 4 / 9:
            raise ValueError(
                f'The least conditioning of COSMOS must lie between 0 and 4/9, got '
                f'{self.least_conditioning}.\nThe square of the kernel lies in that range.\n'
                'Use 0.0005 to 0.01.'
            )


def conditioning(b0_directions: np.ndarray) -> float:
    """Return the mean of D^2 over the scans at the worst direction of k-space.

    Parameters
    ----------
    b0_directions : (n, 3) float
        Unit vectors along B0 in a common frame.

    Returns
    -------
    float
        0 for one or two scans, whose cones meet; at most 4/45 for scans in all directions.
    """
    turn = np.pi * (1 + np.sqrt(5)) * np.arange(SPHERE_POINTS)  # golden angle: even cover
    z = 1 - (np.arange(SPHERE_POINTS) + 0.5) / SPHERE_POINTS  # D is even: one half is enough
    radius = np.sqrt(1 - z**2)
    k = np.stack([radius * np.cos(turn), radius * np.sin(turn), z], axis=1)
    squares = (1 / 3 - (k @ np.asarray(b0_directions, float).T) ** 2) ** 2
    return float(squares.mean(axis=1).min())


def invert_cosmos(
    local_fields_ppm: np.ndarray,
    masks: np.ndarray,
    grid: Grid,
    b0_directions: np.ndarray,
    *,
    weights: np.ndarray | None = None,
    parameters: CosmosParameters = CosmosParameters(),
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the susceptibility that explains the fields at several head orientations.

        chi = argmin  mean_i || W_i (D_i * chi - field_i) ||^2 + regularisation s || chi ||^2

    with D_i the dipole kernel of scan i, whose B0 points elsewhere in the frame of the head.
    The cone on which one kernel is zero is not that of another, so that three scans
    determine every frequency and no knowledge about the map is needed. W_i is zero outside
    mask i: the field there is unknown. Sources are sought inside the masks and
    a rim around them.

    Parameters
    ----------
    local_fields_ppm : (n, nx, ny, nz) float, ppm
        Fields of the sources inside the brain, aligned to one frame; each is ignored outside
        its mask.
    masks : (n, nx, ny, nz) bool
        Where each field is known.
    grid : Grid
        Voxel size of the frame; its own direction of B0 is not used.
    b0_directions : (n, 3) float
        Direction of B0 of each scan along the axes of the frame, of any length.
    weights : (n, nx, ny, nz) float, optional
        Confidence per voxel and scan, at least 0 and in any unit: inverse noise. Takes the
        place of W_i^2, in units of the median of its scan and limited to twice that.
    parameters : CosmosParameters
        Regularisation, least conditioning and stop.
    progress : callable, optional
        Called with (fraction, text).

    Returns
    -------
    chi : (nx, ny, nz) float32, ppm
        Susceptibility relative to an unknown constant; zero outside ``mask``.
    mask : (nx, ny, nz) bool
        Voxels inside at least half of the masks.

    Raises
    ------
    ValueError
        If there are fewer than three scans, directions are (nearly) parallel or leave a
        frequency undetermined, shapes differ, a mask is empty, or values are not finite
        inside the masks.

    Notes
    -----
    Conjugate gradients on the normal equations, for the image and not its spectrum because
    the image is confined to the masks. s is the mean square of D over k-space (4/45). Stops
    when the relative residual has fallen to ``tolerance``.

    Cost per iteration: 2 n + 2 transforms of the box around all masks, padded by 20 mm on
    either side. Memory about 12 n + 35 bytes per padded voxel. Linear in the fields. The
    susceptibility of white matter depends on the angle of its fibres to B0; that of the
    result is a mean.

    References
    ----------
    .. [1] Liu T, Spincemaille P, de Rochefort L, Kressler B, Wang Y. Magn Reson Med
       2009;61:196. doi:10.1002/mrm.21828
    """
    fields, masks, directions = _checked(local_fields_ppm, masks, b0_directions, grid, parameters)
    union = masks.any(axis=0)
    region = MaskedRegion.of(dilate(union, parameters.rim_mm, grid), grid)
    n = len(fields)
    data, shares, kernels = [], [], []
    fft = PaddedFFT(region.mask.shape, grid.voxel_size)
    for i, (field, own, direction) in enumerate(zip(fields, masks, directions, strict=True)):
        scan = MaskedRegion(region.box, own[region.box], region.grid, region.shape)
        data.append(scan.cut(field, f'local field of scan {i + 1}'))
        shares.append(relative_weight(None if weights is None else weights[i], scan))
        shares[-1] /= n
        kernels.append(dipole_kernel(fft.padded_shape, grid.voxel_size, direction))
    inside = region.mask.astype(np.float32)
    damping = np.float32(parameters.regularisation * 4 / 45)

    def back(images: Iterable[np.ndarray]) -> np.ndarray:
        total = np.zeros(kernels[0].shape, np.complex64)
        for kernel, image in zip(kernels, images, strict=True):
            part = fft.forward(image)
            part *= kernel
            total += part
        result = fft.inverse(total)
        result *= inside
        return result

    def normal(chi: np.ndarray) -> np.ndarray:
        spectrum = fft.forward(chi)
        pairs = zip(shares, kernels, strict=True)
        result = back(share * fft.inverse(kernel * spectrum) for share, kernel in pairs)
        result += damping * chi
        return result

    def report(iteration: int, residual: float) -> None:
        if progress is not None:
            text = f'COSMOS iteration {iteration}, residual {residual:.1e}'
            progress(iteration / parameters.iterations, text)

    chi, _, _ = conjugate_gradient(
        normal,
        back(share * field for share, field in zip(shares, data, strict=True)),
        lambda a, b: float(np.einsum('ijk,ijk->', a, b, dtype=np.float64)),
        tolerance=parameters.tolerance,
        max_iterations=parameters.iterations,
        progress=report,
    )
    result = 2 * masks.sum(axis=0) >= n
    return region.paste(chi, result[region.box]), result


def _checked(
    fields: np.ndarray,
    masks: np.ndarray,
    b0_directions: np.ndarray,
    grid: Grid,
    parameters: CosmosParameters,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return fields, masks and unit directions, or say what is wrong with them."""
    fields, masks = np.asarray(fields), np.asarray(masks) != 0
    directions = np.asarray(b0_directions, float)
    n = len(fields)
    if n < LEAST_SCANS:
        raise ValueError(
            f'COSMOS got {n} head orientation{"s" * (n != 1)} and needs at least three.\n'
            'With fewer, frequencies remain that no scan shows.\n'
            'Use an inversion for single scans, such as RTS.'
        )
    if masks.shape != (n, *grid.shape) or fields.shape != (n, *grid.shape):
        raise ValueError(
            f'COSMOS got fields of shape {fields.shape} and masks of shape {masks.shape} on a '
            f'grid of {grid.shape}.\nVoxels would be mixed up.\n'
            'Give one field and one mask per scan, aligned to one grid.'
        )
    length = np.linalg.norm(directions, axis=-1, keepdims=True)
    if directions.shape != (n, 3) or not np.all(np.isfinite(length) & (length > 0)):
        raise ValueError(
            f'COSMOS needs one direction of B0 for each of the {n} scans, got\n{b0_directions}.\n'
            'Give three components, along the axes of the common frame, that are not all zero.'
        )
    for i, mask in enumerate(masks):
        if not mask.any():
            raise ValueError(
                f'The mask of scan {i + 1} is empty.\n'
                'There is no voxel to compute anything from.\n'
                'Leave this scan out, or give another mask.'
            )
    worst = conditioning(directions / length)
    if worst < parameters.least_conditioning:
        raise ValueError(
            f'The {n} head orientations are too alike: the mean square of the dipole kernel is '
            f'{worst:.1e} at the worst frequency.\n'
            'Noise would be amplified without limit there, as if there were a single scan.\n'
            'Tilt the head about two axes by 15 degrees or more, or use a single-scan method.'
        )
    return fields, masks, directions / length
