"""Rigid registration of two scans of one head that lies differently in each of them.

Used to bring the orientations of COSMOS together. The head may be turned by tens of degrees,
and the headers do not tell how: the slab may have been turned with the head, or left as it
was. So the start is searched: rotations on a coarse grid, around "the head did not move in the
scanner" and around "the head did not move in the slab", are compared by correlation at low
resolution. The best one is refined by ANTs with mutual information.

The result is a matrix. A scan is then resampled once, by `qsmbids.atlas.realign`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from qsmbids.atlas import ants_run
from qsmbids.atlas.channels import structural_channel
from qsmbids.atlas.coregister import read_matrix
from qsmbids.atlas.errors import RegistrationError
from qsmbids.atlas.images import (
    read_image,
    read_mask,
    resample_isotropic,
    resample_to,
    voxel_size,
    write_image,
)

SEARCH_MM = 8.0  # resolution of the search for a start
SEARCH_DEG = 15.0  # its step: half of it is well within the reach of the refinement
SEARCH_STEPS = 3  # to both sides: heads are hardly turned by more than 45 degrees
SAME_FRAME_DEG = 5.0  # slabs that lie alike need one search
FINEST_MM, COARSEST_MM = 1.5, 3.0  # of the refinement
# around the brain: its edge guides the registration; the moving image shows a little more,
# so that what is compared is never the edge of a mask
FIXED_MARGIN_MM, MOVING_MARGIN_MM = 6.0, 15.0
RIM_MM = 5.0  # left out of the correlation that is reported
MIN_MASK_DICE = 0.85  # one brain in two scans: far below what a working registration gives
MIN_CORRELATION = 0.3
_ITERATIONS = (500, 250, 100)
_LEVELS_MM = (8, 4, 2)
_SAMPLING = 0.25


@dataclass(frozen=True)
class RigidMotion:
    """How the head of a reference scan lies in another scan.

    Parameters
    ----------
    matrix : (4, 4) float
        Maps world points of the reference scan to world points of the moving scan (RAS mm):
        a rotation and a translation.
    quality : dict of str to float
        ``mask_dice``: overlap of the brain masks; ``correlation``: of the magnitudes, freed
        from bias, inside the brain.
    """

    matrix: np.ndarray
    quality: dict[str, float]


@dataclass(frozen=True)
class _Scan:
    """What is compared: an image freed from bias, and where it counts."""

    channel: np.ndarray
    region: np.ndarray
    brain: np.ndarray
    affine: np.ndarray


def register_rigid(
    *, fixed_magnitude: Path, fixed_mask: Path, moving_magnitude: Path, moving_mask: Path,
    folder: Path, seed: int | None = None, threads: int = 1,
) -> RigidMotion:  # fmt: skip
    """Find the rigid motion between two scans of the same head with the same contrast.

    Parameters
    ----------
    fixed_magnitude, fixed_mask : Path
        Magnitude and brain mask of the reference scan, on one grid.
    moving_magnitude, moving_mask : Path
        Of the other scan; any grid.
    folder : Path
        For the files made here; made if absent.
    seed, threads
        As in `qsmbids.atlas.register.register_to_template`.

    Raises
    ------
    RegistrationError
        If the brains do not fit onto each other after the registration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fixed = _prepare(fixed_magnitude, fixed_mask, FIXED_MARGIN_MM)
    moving = _prepare(moving_magnitude, moving_mask, MOVING_MARGIN_MM)
    start = _find_start(fixed, moving)
    refined = _refine(fixed, moving, start, folder, seed, threads)
    matrix = _rigid(start @ refined)
    quality = _quality(fixed, moving, matrix)
    _check(quality, moving_magnitude)
    return RigidMotion(matrix, quality)


def _prepare(magnitude: Path, mask: Path, margin_mm: float) -> _Scan:
    image, affine = read_image(magnitude)
    brain = read_mask(mask)[0]
    rounds = max(1, round(margin_mm / voxel_size(affine).mean()))
    region = ndimage.binary_dilation(brain, iterations=rounds)
    return _Scan(structural_channel(image, region, affine), region, brain, affine)


def _find_start(fixed: _Scan, moving: _Scan) -> np.ndarray:
    """Search a coarse grid of rotations about the centres of the brains.

    Returns
    -------
    (4, 4) float
        Maps world points of the fixed scan to world points of the moving one.

    Notes
    -----
    A few hundred rotations times a few thousand points: about a second.
    """
    image, image_affine = resample_isotropic(fixed.channel, fixed.affine, SEARCH_MM)
    where = resample_isotropic(fixed.region, fixed.affine, SEARCH_MM)[0] > 0.5
    wanted = image[where]
    points = np.argwhere(where) @ image_affine[:3, :3].T + image_affine[:3, 3]
    other, other_affine = resample_isotropic(moving.channel, moving.affine, SEARCH_MM)
    to_voxels = np.linalg.inv(other_affine)
    here, there = _centre(fixed), _centre(moving)

    def likeness(rotation: np.ndarray) -> float:
        moved = (points - here) @ rotation.T + there
        voxels = moved @ to_voxels[:3, :3].T + to_voxels[:3, 3]
        found = ndimage.map_coordinates(other, voxels.T, order=1)
        return float(np.corrcoef(found, wanted)[0, 1]) if found.any() else -1.0

    best = max(_candidates(fixed.affine, moving.affine), key=likeness)
    start = np.eye(4)
    start[:3, :3] = best
    start[:3, 3] = there - best @ here
    return start


def _candidates(fixed_affine: np.ndarray, moving_affine: np.ndarray) -> list[np.ndarray]:
    """Rotations around each of the two guesses: head fixed in the scanner, or in the slab."""
    in_slab = anatomical_axes(moving_affine) @ anatomical_axes(fixed_affine).T
    guesses = [np.eye(3)]
    if np.degrees(Rotation.from_matrix(in_slab).magnitude()) > SAME_FRAME_DEG:
        guesses.append(in_slab)
    angles = SEARCH_DEG * np.arange(-SEARCH_STEPS, SEARCH_STEPS + 1)
    turns = [
        Rotation.from_euler('xyz', three, degrees=True).as_matrix()
        for three in itertools.product(angles, repeat=3)
    ]
    return [guess @ turn for guess in guesses for turn in turns]


def anatomical_axes(affine: np.ndarray) -> np.ndarray:
    """Return the axes of a slab, sorted so that they run to the right, the front and the top.

    Parameters
    ----------
    affine : (4, 4) float
        Voxel indices to RAS mm.

    Returns
    -------
    (3, 3) float
        Unit vectors in columns: a rotation, the identity for a slab that is not oblique,
        whatever the storage order.
    """
    axes = affine[:3, :3] / voxel_size(affine)
    sorted_axes = np.empty_like(axes)
    for column, (place, sign) in zip(axes.T, nib.io_orientation(affine), strict=True):
        sorted_axes[:, int(place)] = sign * column
    return sorted_axes


def _centre(scan: _Scan) -> np.ndarray:
    """World position of the centre of the brain."""
    return scan.affine[:3, :3] @ ndimage.center_of_mass(scan.brain) + scan.affine[:3, 3]


def _refine(
    fixed: _Scan, moving: _Scan, start: np.ndarray, folder: Path, seed: int | None, threads: int
) -> np.ndarray:
    """Refine a start with ANTs; returns what is left to do before the start, (4, 4)."""
    size = float(np.clip(voxel_size(fixed.affine).mean(), FINEST_MM, COARSEST_MM))
    at_start = np.linalg.inv(start) @ moving.affine  # the header is moved, not the image

    def write(name: str, array: np.ndarray, affine: np.ndarray) -> Path:
        return write_image(folder / f'{name}.nii', *resample_isotropic(array, affine, size))

    image = write('fixed', fixed.channel, fixed.affine)
    region = write('region', fixed.region, fixed.affine)
    other = write('moving', moving.channel, at_start)
    prefix = folder / 'rigid_'
    ants_run.run(
        [
            # the region on itself: no movement, but rotations turn about its centre
            *ants_run.start(prefix, f'[{region},{region},1]', seed),
            *ants_run.linear_stage(
                'Rigid', image, other, sampling=_SAMPLING, iterations=_ITERATIONS,
                levels_mm=_LEVELS_MM, size_mm=size,
            ),
            '--masks', f'[{region},NA]',
        ],
        threads,
    )  # fmt: skip
    return read_matrix(prefix)


def _rigid(matrix: np.ndarray) -> np.ndarray:
    """Return the nearest rigid matrix: ANTs works in single precision."""
    u, _, vt = np.linalg.svd(matrix[:3, :3])
    nearest = matrix.copy()
    nearest[:3, :3] = u @ vt
    return nearest


def _quality(fixed: _Scan, moving: _Scan, matrix: np.ndarray) -> dict[str, float]:
    """Compare the scans after registration, within what both of them show."""
    moved_affine = np.linalg.inv(matrix) @ moving.affine

    def moved(array: np.ndarray) -> np.ndarray:
        return resample_to(array, moved_affine, fixed.brain.shape, fixed.affine)

    seen = moved(np.ones(moving.brain.shape)) > 0.5
    other = (moved(moving.brain) > 0.5) & seen
    brain = fixed.brain & seen
    rounds = max(1, round(RIM_MM / voxel_size(fixed.affine).mean()))
    inside = ndimage.binary_erosion(brain & other, iterations=rounds)
    first, second = fixed.channel[inside], moved(moving.channel)[inside]
    spread = inside.sum() > 1 and first.std() > 0 and second.std() > 0
    return {
        'mask_dice': float(2 * (brain & other).sum() / max(1, brain.sum() + other.sum())),
        'correlation': float(np.corrcoef(first, second)[0, 1]) if spread else 0.0,
    }


def _check(quality: dict[str, float], moving: Path) -> None:
    limits = {'mask_dice': MIN_MASK_DICE, 'correlation': MIN_CORRELATION}
    for name, least in limits.items():
        if not quality[name] >= least:
            raise RegistrationError(
                f'{moving.name} does not fit onto the reference scan ({name} = '
                f'{quality[name]:.2f}, at least {least} is needed).',
                'Fields of the same head in two orientations are compared voxel by voxel.',
                'Look at magnitude and brain mask of both scans; leave a bad scan out with a '
                'filter file.',
            )
