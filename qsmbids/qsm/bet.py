"""Brain extraction: a surface that grows from inside the brain until it meets the dark rim."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import affine_transform, gaussian_filter

from .grid import Grid
from .masks import dilate, erode, fill_holes, largest_component, otsu_threshold
from .surface import Surface, voxelise

WORKING_VOXEL_MM = 2.0  # the surface is smooth on a much larger scale
SUBDIVISIONS = 4  # 2562 vertices, about 4 mm apart on an adult brain
HEAD_HEIGHT_MM = 170.0  # from the top of the scalp; what is below is neck
START_RADIUS = 0.5  # of the radius of a ball with the volume of the head
SMALLEST_RADIUS_MM, LARGEST_RADIUS_MM = 3.33, 10.0  # of curvature; Smith 2002
LOOK_FOR_BRIGHT_MM = 10.0  # how far inside the surface brain is looked for
SAMPLING_MM = 2.0  # distance of the samples along the normals
MARGIN_MM = 20.0  # how far the surface may leave a tight field of view
LARGEST_STEP = 0.05  # of the edge length, per iteration; Smith 2002


@dataclass(frozen=True, kw_only=True)
class BetParameters:
    """Parameters of :func:`extract_brain`, the one place of their defaults."""

    # the surface stops where the darkest value inside it falls to this share of the
    # brightest: first a firm and near-sighted search, which does not leak into eyes and
    # neck, then a softer one, which takes in sulci
    first_fraction: float = 0.75
    second_fraction: float = 0.6
    first_depth_mm: float = 12.0
    second_depth_mm: float = 20.0
    first_iterations: int = 400
    second_iterations: int = 60
    # width of the Gaussian that tells the receive bias from anatomy, mm
    bias_sigma_mm: float = 40.0
    # what hangs on the brain by less than twice this is cut off, mm; 0 = nothing
    opening_mm: float = 6.0

    def __post_init__(self) -> None:
        fractions = (self.first_fraction, self.second_fraction)
        if not all(0 < fraction < 1 for fraction in fractions):
            raise ValueError(
                f'The fractions of brain extraction must lie between 0 and 1, got {fractions}.\n'
                'They are shares of the intensity of the brain.\n'
                'Use 0.5 to 0.8; larger ones give a smaller brain.'
            )


def extract_brain(
    magnitude: np.ndarray,
    grid: Grid,
    *,
    parameters: BetParameters = BetParameters(),
) -> np.ndarray:
    """Find the brain in a gradient-echo magnitude.

    Parameters
    ----------
    magnitude : (nx, ny, nz) float
        Root sum of squares of the echoes, or one early echo; not negative.
    grid : Grid
        Voxel size, and B0 for which way is up.
    parameters : BetParameters

    Returns
    -------
    (nx, ny, nz) bool
        In one piece and without holes.

    Raises
    ------
    ValueError
        If the image does not belong to the grid, holds no signal, or no brain is found.

    Notes
    -----
    After Smith 2002. On a copy with voxels of 2 mm whose receive bias was divided out, a
    sphere inside the head is deformed. Each vertex moves (a) along the surface to keep the
    vertices evenly spread, (b) along the normal to keep the surface smooth, the more the
    sharper it is curved, and (c) outwards or inwards by

        0.05 l * 2 (I_min - t) / (I_max - t_2),   t = t_2 + fraction (I_max - t_2),

    with l the mean edge length, I_min and I_max the darkest and brightest values found
    inwards along the normal, and t_2 the 2nd percentile of the image. New here: two passes
    with different fractions and depths, and an opening that cuts off what hangs on the
    brain by a thin stalk (eyes, neck).

    Takes about 3 s whatever the matrix; peak memory about 12 bytes per voxel.

    References
    ----------
    .. [1] Smith SM. Hum Brain Mapp 2002;17:143. doi:10.1002/hbm.10062
    """
    magnitude = np.nan_to_num(np.asarray(magnitude, dtype=np.float32), posinf=0.0)
    if magnitude.shape != grid.shape:
        raise ValueError(
            f'The magnitude {magnitude.shape} does not belong to the grid {grid.shape}.\n'
            'Distances in it would be wrong.\nGive the grid of the image.'
        )
    if not magnitude.max() > 0:
        raise ValueError(
            'The magnitude holds no signal.\nNo brain can be told apart in it.\n'
            'Check the files of the magnitude.'
        )
    image = _working_copy(magnitude, grid)
    for _ in range(2):  # the first division lets the second see the head's true outline
        image = _flatten(image, parameters.bias_sigma_mm)
    centre, radius, levels = _start(image, grid)
    surface = Surface(SUBDIVISIONS)
    vertices = centre + START_RADIUS * radius * surface.sphere
    passes = (
        (parameters.first_iterations, parameters.first_fraction, parameters.first_depth_mm),
        (parameters.second_iterations, parameters.second_fraction, parameters.second_depth_mm),
    )
    for iterations, fraction, depth in passes:
        vertices = _deform(image, surface, vertices, levels, iterations, fraction, depth)
    # the copy's voxel k is centred at (k + 1/2) 2 mm from the corner of the image
    voxels = (vertices + WORKING_VOXEL_MM / 2) / np.asarray(grid.voxel_size) - 0.5
    return _clean(voxelise(voxels, surface.triangles, grid.shape), parameters, grid)


def _clean(mask: np.ndarray, parameters: BetParameters, grid: Grid) -> np.ndarray:
    """Cut off what hangs on by a stalk, fill holes, and refuse an empty result."""
    core = largest_component(erode(mask, parameters.opening_mm, grid))
    if core.any():
        # one voxel more than was eroded: corners that the opening rounded come back
        back = parameters.opening_mm + max(grid.voxel_size)
        mask = mask & dilate(core, back, grid)
    mask = fill_holes(largest_component(mask))
    if not mask.any():
        raise ValueError(
            'No brain was found in the magnitude.\n'
            'The surface that should grow in it collapsed.\n'
            'Look at the magnitude, or give a mask of your own.'
        )
    return mask


def _working_copy(magnitude: np.ndarray, grid: Grid) -> np.ndarray:
    """Resample to 2 mm; finer images are smoothed first, so that noise averages out."""
    size = np.asarray(grid.voxel_size)
    excess = np.sqrt(np.maximum(WORKING_VOXEL_MM**2 - size**2, 0)) / 2.355  # FWHM to SD
    smooth = gaussian_filter(magnitude, excess / size)
    shape = np.maximum(1, np.round(np.array(magnitude.shape) * size / WORKING_VOXEL_MM))
    ratio = WORKING_VOXEL_MM / size
    return affine_transform(
        smooth, np.diag(ratio), offset=0.5 * ratio - 0.5, output_shape=tuple(shape.astype(int)),
        order=1, mode='nearest',
    )  # fmt: skip


def _flatten(image: np.ndarray, sigma_mm: float) -> np.ndarray:
    """Divide by the smooth part of the head's intensity, computed on every fourth voxel."""
    head = image > 0.5 * otsu_threshold(image)
    capped = np.where(head, np.minimum(image, np.percentile(image[head], 90)), 0)
    sigma = sigma_mm / WORKING_VOXEL_MM / 4
    parts = (gaussian_filter(_mean_of_blocks(x), sigma, truncate=3) for x in (capped, head))
    total, share = parts
    bias = affine_transform(
        total / np.maximum(share, 0.05), 0.25 * np.eye(3), offset=-0.375,
        output_shape=image.shape, order=1, mode='nearest',
    )  # fmt: skip
    return image / np.maximum(bias, 0.2 * bias[head].mean())


def _mean_of_blocks(x: np.ndarray) -> np.ndarray:
    x = np.pad(x.astype(np.float32), [(0, -n % 4) for n in x.shape])
    a, b, c = (n // 4 for n in x.shape)
    return x.reshape(a, 4, b, 4, c, 4).mean(axis=(1, 3, 5))


def _start(image: np.ndarray, grid: Grid) -> tuple[np.ndarray, float, tuple[float, ...]]:
    """Return centre and radius (mm) of the head and its intensity levels.

    The neck may be long, so only what is near the top, against B0's lower end, counts.
    """
    dark, bright = np.percentile(image, [2, 98])
    threshold = dark + 0.1 * (bright - dark)
    inside = np.argwhere(image > threshold)
    height = inside @ np.asarray(grid.b0_direction) * WORKING_VOXEL_MM
    inside = inside[height > np.percentile(height, 99.9) - HEAD_HEIGHT_MM]
    weight = np.minimum(image[tuple(inside.T)], bright)
    centre = (inside * weight[:, None]).sum(axis=0) / weight.sum() * WORKING_VOXEL_MM
    radius = float((3 * len(inside) * WORKING_VOXEL_MM**3 / (4 * np.pi)) ** (1 / 3))
    near = np.linalg.norm(inside * WORKING_VOXEL_MM - centre, axis=1) < radius
    median = float(np.median(image[tuple(inside[near].T)]))
    return centre, radius, (float(dark), float(threshold), median)


def _deform(
    image: np.ndarray, surface: Surface, vertices: np.ndarray, levels: tuple[float, ...],
    iterations: int, fraction: float, depth_mm: float,
) -> np.ndarray:  # fmt: skip
    """Move the vertices (mm) as the notes of :func:`extract_brain` say."""
    dark, threshold, median = levels
    margin = int(np.ceil(MARGIN_MM / WORKING_VOXEL_MM))
    # the edge is continued, so that a cropped head is no rim; beyond it there is nothing
    padded = np.pad(np.pad(image, margin, mode='edge'), 1).astype(np.float32)
    strides = np.array([padded.shape[1] * padded.shape[2], padded.shape[2], 1])
    last = np.array(padded.shape) - 1
    depths = np.arange(0, depth_mm + 0.1, SAMPLING_MM)
    n_bright = int((depths <= LOOK_FOR_BRIGHT_MM).sum())
    smallest, largest = 1 / SMALLEST_RADIUS_MM, 1 / LARGEST_RADIUS_MM
    middle, slope = (smallest + largest) / 2, 6 / (smallest - largest)
    pull = np.zeros(len(vertices))
    for iteration in range(iterations):
        normal = surface.normals(vertices)
        towards = surface.mean_of_neighbours(vertices) - vertices
        outwards = (towards * normal).sum(axis=1, keepdims=True) * normal
        edge = surface.mean_edge_length(vertices)
        curvature = 2 * np.linalg.norm(outwards, axis=1) / edge**2
        smooth = (1 + np.tanh(slope * (curvature - middle))) / 2
        if iteration % 2 == 0:  # the image changes slowly along the way
            points = vertices / WORKING_VOXEL_MM + (margin + 1.5)
            points = points - (depths[:, None, None] / WORKING_VOXEL_MM) * normal
            values = padded.ravel()[np.clip(points.astype(np.int64), 0, last) @ strides]
            low = np.maximum(dark, np.minimum(median, values.min(axis=0)))
            high = np.minimum(median, np.maximum(threshold, values[:n_bright].max(axis=0)))
            stop = dark + fraction * (high - dark)
            pull = 2 * (low - stop) / (high - dark)
        step = 0.5 * (towards - outwards) + smooth[:, None] * outwards
        vertices = vertices + step + (LARGEST_STEP * edge * pull)[:, None] * normal
    return vertices
