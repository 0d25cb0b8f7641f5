"""Brain extraction with a deformable surface.

A sphere inside the brain grows like a balloon until it meets the dark layer of skull and
fluid around the brain. Whether a vertex goes on or back is judged from the intensities a
little further inside, so neither a bright scalp nor uneven coils fool it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

from .bias import flatten_bias
from .grid import Grid
from .masks import SMALLEST_MASK_VOXELS, fill_holes, largest_component
from .surface import Surface, voxelise

WORKING_VOXEL_MM = 2.0  # finer detail than the spacing of the vertices is of no use
FRAME_MM = 20.0  # tissue cut off by the edge of the image is continued this far
SUBDIVISIONS = 4  # 2562 vertices, about 6 mm apart
HEAD_HEIGHT_MM = 170.0  # what lies further below the top of the head is neck

# Equations of the paper, lengths in mm
SMALLEST_RADIUS_MM, LARGEST_RADIUS_MM = 3.33, 10.0  # of the surface: free, held flat
DARK_DEPTH_MM, BRIGHT_DEPTH_MM = 20.0, 10.0  # how far inside to look for dark and bright
SAMPLE_STEP_MM = 2.0
FORCE = 0.05  # largest step along the normal, as a fraction of the mean edge
LOOK_EVERY = 2  # steps between two looks at the image, which takes most of the time


@dataclass(frozen=True, kw_only=True)
class BetParameters:
    """Parameters of :func:`extract_brain`."""

    # How dark the rim of the brain is, between the darkest (0) and the local brightest
    # (1); larger gives a smaller mask. The paper has 0.5. With an even brain, as here, a
    # stricter value keeps the surface from leaking through thin bone at voxels of 3 mm;
    # chosen on such a scan and on heads simulated with bright, grey and dark fluid.
    fractional_intensity: float = 0.7
    # Added to it from the level of the brain's centre down to 0.3 head radii below: the
    # ways out to eyes, nose and neck are there, the wide fluid spaces of old age are not.
    downward_gradient: float = 0.1
    # Steps of the surface. It has come to rest by then.
    iterations: int = 500


def extract_brain(
    magnitude: np.ndarray,
    grid: Grid,
    *,
    parameters: BetParameters = BetParameters(),
) -> np.ndarray:
    """Find the brain in a magnitude image of the head.

    Parameters
    ----------
    magnitude : (nx, ny, nz) float
        Any unit; the root of the sum of squares over echoes serves best.
    grid : Grid
        Its B0 direction tells which way is up (feet to head for an image in scanner
        coordinates), see Notes.
    parameters : BetParameters

    Returns
    -------
    (nx, ny, nz) bool
        Brain with the fluid between its folds, in one piece without holes.

    Raises
    ------
    ValueError
        If the image does not belong to the grid or is empty, or no brain is found.

    Notes
    -----
    After Smith [1]_, on a copy with voxels of 2 mm from which the coils' sensitivity has
    been taken. With t2 and t98 the robust smallest and largest intensity, t = t2 + (t98 -
    t2)/10, and t_m the median intensity within the sphere that has the volume of all
    voxels above t, every vertex moves in each step by

    * half of the part of s that lies in the surface, where s leads to the mean of its
      neighbours;
    * f2 s_n, with s_n the part of s along the normal and f2 = (1 + tanh(F(1/r - E)))/2 for
      a local radius r = l^2/(2|s_n|): sharp bends are smoothed, gentle ones are not;
    * 0.05 l f3 along the normal, with l the mean edge and f3 = 2 (Imin - t_l)/(Imax - t2).
      Imin and Imax are the extreme intensities on the way inside, limited by t_m, and
      t_l = t2 + b (Imax - t2) with the fractional intensity b.

    Departures: b grows downwards (see :class:`BetParameters`), the start sphere is sought
    in the upper 170 mm of the head, the samples on the way inside are averaged with those
    of the neighbouring vertices at the same depth (noise would make Imin too small, and a
    layer of bone is parallel to the surface), and the image is continued beyond its edges,
    so that a slab through the brain gives a mask up to its first and last slice. If up is
    unknown or wrong the result is a little tighter at the top.

    Time does not depend on the voxel size (about 1 s and 100 MB), apart from 0.2 s per
    million voxels for making the copy and the mask.

    References
    ----------
    .. [1] Smith SM. Hum Brain Mapp 2002;17:143. doi:10.1002/hbm.10062
    """
    magnitude = np.nan_to_num(np.asarray(magnitude, np.float32), posinf=0, neginf=0)
    if magnitude.shape != grid.shape:
        raise ValueError(
            f'The image {magnitude.shape} does not belong to the grid {grid.shape}.\n'
            'Distances in it would be wrong.\n'
            'Give one magnitude image and its own grid.'
        )
    if magnitude.max() <= 0 or magnitude.min() == magnitude.max():
        raise ValueError(
            'The magnitude image is empty: it has no positive value or one value only.\n'
            'Without signal no brain can be found.\n'
            'Check the magnitude files, or give a brain mask.'
        )
    image, spacing = _working_copy(magnitude / magnitude.max(), grid)
    image = flatten_bias(image)
    centre, radius, levels = _start(image, spacing, grid)
    surface = Surface(SUBDIVISIONS)
    vertices = _deform(
        surface, image, spacing, centre, radius, levels, np.array(grid.b0_direction), parameters
    )
    mask = voxelise(vertices / grid.voxel_size - 0.5, surface.triangles, grid.shape)
    # a surface that crosses itself can enclose a stray part or leave out a hollow
    mask = fill_holes(largest_component(mask))
    if np.count_nonzero(mask) < SMALLEST_MASK_VOXELS:
        raise ValueError(
            f'No brain was found: the mask has {np.count_nonzero(mask)} voxels.\n'
            'No map can be computed without a mask.\n'
            'Look at the magnitude image, or give a brain mask.'
        )
    return mask


def _working_copy(magnitude: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Return the image with voxels of about 2 mm and their exact size (mm).

    Positions in mm are counted from the outer corner of the first voxel from here on.
    """
    voxel = np.array(grid.voxel_size)
    # blurred to the new resolution (full width at half maximum) where that is coarser
    sigma = np.sqrt(np.maximum(WORKING_VOXEL_MM**2 - voxel**2, 0)) / 2.355 / voxel
    smooth = gaussian_filter(magnitude, sigma, truncate=2.5)
    extent = np.array(grid.shape) * voxel
    shape = np.maximum(1, np.rint(extent / WORKING_VOXEL_MM)).astype(int)
    factor = shape / np.array(grid.shape)
    copy = zoom(smooth, factor, order=1, mode='nearest', grid_mode=True)
    return copy, extent / np.array(copy.shape)


def _start(
    image: np.ndarray, spacing: np.ndarray, grid: Grid
) -> tuple[np.ndarray, float, tuple[float, float, float]]:
    """Return centre (mm) and radius (mm) of the head and its levels t2, t and t_m."""
    t2, t98 = np.percentile(image, [2, 98])
    t = t2 + 0.1 * (t98 - t2)
    bright = np.argwhere(image > t)
    position = (bright + 0.5) * spacing
    height = position @ np.array(grid.b0_direction)
    above_neck = height > np.percentile(height, 99.9) - HEAD_HEIGHT_MM
    bright, position = bright[above_neck], position[above_neck]
    intensity = image[tuple(bright.T)]
    centre = np.average(position, axis=0, weights=np.minimum(intensity, t98))
    radius = float((3 / (4 * np.pi) * len(bright) * spacing.prod()) ** (1 / 3))
    within = np.linalg.norm(position - centre, axis=1) < radius
    return centre, radius, (float(t2), float(t), float(np.median(intensity[within])))


def _deform(
    surface: Surface,
    image: np.ndarray,
    spacing: np.ndarray,
    centre: np.ndarray,
    radius: float,
    levels: tuple[float, float, float],
    up: np.ndarray,
    parameters: BetParameters,
) -> np.ndarray:
    """Let a sphere of half the radius grow to the rim of the brain; vertices in mm."""
    look_inside = _Probe(surface, image, spacing)
    t2, t, t_m = levels
    e = (1 / SMALLEST_RADIUS_MM + 1 / LARGEST_RADIUS_MM) / 2
    f = 6 / (1 / SMALLEST_RADIUS_MM - 1 / LARGEST_RADIUS_MM)

    vertices = centre + surface.sphere * radius / 2
    for step in range(parameters.iterations):
        normals = surface.normals(vertices)
        edge = surface.mean_edge_length(vertices)
        to_mean = surface.mean_of_neighbours(vertices) - vertices
        along = (to_mean * normals).sum(axis=1, keepdims=True)
        tangential = to_mean - along * normals
        bend = 2 * np.abs(along) / edge**2  # 1/r
        smoothing = (1 + np.tanh(f * (bend - e))) / 2

        if step % LOOK_EVERY == 0:
            darkest, brightest = look_inside(vertices, normals)
            darkest = np.maximum(t2, np.minimum(t_m, darkest))
            brightest = np.minimum(t_m, np.maximum(t, brightest))
            below = (centre - vertices) @ up / (0.3 * radius)
            fraction = parameters.fractional_intensity
            fraction = fraction + parameters.downward_gradient * np.clip(below, 0, 1)
            local_threshold = t2 + fraction * (brightest - t2)
            growth = 2 * (darkest - local_threshold) / (brightest - t2)
        vertices = (
            vertices
            + 0.5 * tangential
            + smoothing * along * normals
            + FORCE * edge * growth[:, None] * normals
        )
    return vertices


class _Probe:
    """Extreme intensities on the way from vertices towards the inside."""

    def __init__(self, surface: Surface, image: np.ndarray, spacing: np.ndarray) -> None:
        self.surface = surface
        frame = np.ceil(FRAME_MM / spacing).astype(int)
        continued = np.pad(image, [(n, n) for n in frame], mode='edge')
        self.image = np.pad(continued, 1)  # beyond the frame there is nothing
        self.first = frame + 1
        self.spacing = spacing
        self.depths = np.arange(0, DARK_DEPTH_MM + SAMPLE_STEP_MM / 2, SAMPLE_STEP_MM)

    def __call__(self, vertices: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the darkest value over 20 mm and the brightest over 10 mm."""
        inwards = -(normals / self.spacing) * self.depths[:, None, None]
        index = (inwards + vertices / self.spacing + self.first).astype(np.intp)
        np.clip(index, 0, np.array(self.image.shape) - 1, out=index)
        values = self.image[index[..., 0], index[..., 1], index[..., 2]].T
        values = ((values + self.surface.mean_of_neighbours(values)) / 2).T
        return values.min(axis=0), values[self.depths <= BRIGHT_DEPTH_MM].max(axis=0)
