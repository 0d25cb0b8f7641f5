"""Rigid registration of a T1-weighted image to the GRE scan of the same person.

The result is a matrix, with which the T1w image is moved into the GRE's space by changing
its affine: no voxel is interpolated.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from qsmbids.atlas import ants_run
from qsmbids.atlas.bias import remove_bias
from qsmbids.atlas.channels import structural_channel
from qsmbids.atlas.images import (
    read_image,
    read_mask,
    resample_isotropic,
    resample_to,
    voxel_size,
    write_image,
)
from qsmbids.atlas.transforms import RAS_TO_LPS

WORKING_MM = 2.0  # resolution of the registration; a rigid one gains nothing from a finer grid
MARGIN_MM = 10.0  # around the brain: its edge towards fluid and skull guides the registration
_ITERATIONS = (500, 250, 100)
_LEVELS_MM = (8, 4, 2)
_SAMPLING = 0.25
_FOREGROUND = 0.1  # of the 99th percentile: above it there is head, below it air


def coregister_t1w(
    *, magnitude: Path, mask: Path, t1w: Path, folder: Path, seed: int | None, threads: int
) -> tuple[Path, np.ndarray]:
    """Bring a T1w image into the space of a GRE scan.

    Parameters
    ----------
    magnitude, mask : Path
        GRE magnitude and brain mask on one grid.
    t1w : Path
        T1-weighted image, with or without skull.
    folder : Path
        For the files made here.
    seed, threads
        As in `qsmbids.atlas.register.register_to_template`.

    Returns
    -------
    t1w_channel : Path
        The T1w brain, bias removed, 0..1, whose affine is in the world of the GRE.
    gre_to_t1w : (4, 4) float
        Maps GRE world coordinates to T1w world coordinates (RAS mm).

    Notes
    -----
    Mutual information around the brain. Scans of one session share the scanner's
    coordinates, so the start is the identity; only if the T1w image misses most of the
    brain there are the centres of mass laid on each other.
    """
    image, affine = read_image(magnitude)
    brain = read_mask(mask)[0]
    other, other_affine = read_image(t1w)
    rounds = max(1, round(MARGIN_MM / voxel_size(affine).mean()))
    around = ndimage.binary_dilation(brain, iterations=rounds)

    # both images without intensity bias, which inside the brain outweighs the anatomy
    def write(name: str, array: np.ndarray, at: np.ndarray) -> Path:
        return write_image(folder / f'{name}.nii', *resample_isotropic(array, at, WORKING_MM))

    head = ndimage.binary_closing(other > _FOREGROUND * np.percentile(other, 99), iterations=2)
    fixed = write('gre_head', structural_channel(image, around, affine), affine)
    moving = write('t1w_head', structural_channel(other, head, other_affine), other_affine)
    region = write('gre_region', around, affine)

    inside = resample_to(np.ones(other.shape), other_affine, brain.shape, affine) > 0.5
    shares_world = inside[brain].mean() > 0.5
    # the brain laid on itself: no movement, but rotations turn about its centre and not about
    # the origin of the scanner, which may be far away
    initial = f'[{region},{region},1]' if shares_world else f'[{fixed},{moving},1]'
    prefix = folder / 'gre_to_t1w_'
    ants_run.run(
        [
            *ants_run.start(prefix, initial, seed),
            *ants_run.linear_stage(
                'Rigid', fixed, moving, sampling=_SAMPLING, iterations=_ITERATIONS,
                levels_mm=_LEVELS_MM, size_mm=WORKING_MM,
            ),
            '--masks', f'[{region},NA]',
        ],
        threads,
    )  # fmt: skip
    gre_to_t1w = read_matrix(prefix)
    moved = np.linalg.inv(gre_to_t1w) @ other_affine
    t1w_brain = resample_to(brain, affine, other.shape, moved) > 0.5
    channel = structural_channel(remove_bias(other, t1w_brain, moved), t1w_brain, moved)
    return write_image(folder / 'moving_t1w.nii', channel, moved), gre_to_t1w


def read_matrix(prefix: Path) -> np.ndarray:
    """Read a linear composite transform as a matrix in RAS by moving four points.

    Parameters
    ----------
    prefix : Path
        Of the files of antsRegistration.

    Returns
    -------
    (4, 4) float
        Maps points of the fixed image to points of the moving one, RAS mm.
    """
    from qsmbids.atlas.light_ants import ants

    transform = ants.read_transform(f'{prefix}Composite.h5')
    corners = np.vstack([np.zeros(3), np.eye(3)]) @ RAS_TO_LPS
    moved = np.array([transform.apply_to_point(point.tolist()) for point in corners]) @ RAS_TO_LPS
    matrix = np.eye(4)
    matrix[:3, :3] = (moved[1:] - moved[0]).T
    matrix[:3, 3] = moved[0]
    return matrix
