"""A small scan whose anatomy is a known deformation of the atlas, and the atlas itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from qsmbids.atlas.builtin import write_builtin
from qsmbids.atlas.contrast import atlas_grid, chi_contrast
from qsmbids.atlas.dataset import Atlas, AtlasFiles, open_atlas
from qsmbids.atlas.images import write_image

COHORT = '6'  # 31 to 40 years


@dataclass(frozen=True)
class Scan:
    """Files of a simulated scan and what is true of it."""

    magnitude: Path
    chi: Path
    mask: Path
    t1w: Path
    labels: np.ndarray
    affine: np.ndarray
    t1w_motion: np.ndarray  # GRE world to T1w world, RAS mm


@pytest.fixture(scope='session')
def atlas_folder(tmp_path_factory) -> Path:
    return write_builtin(tmp_path_factory.mktemp('atlas'), [COHORT])


@pytest.fixture(scope='session')
def atlas(atlas_folder) -> Atlas:
    return open_atlas(atlas_folder)


@pytest.fixture(scope='session')
def template(atlas) -> AtlasFiles:
    return atlas.files(COHORT)


def simulate_scan(folder: Path, voxel=(2.6, 2.8, 3.2), shape=(72, 80, 56), age=65.0) -> Scan:
    """Simulate a scan: oblique by 20 degrees, anisotropic, two axes flipped, far from origin.

    The head is 5 % longer than the template, tilted, and deformed smoothly by 2 mm (SD).
    Susceptibility is that of another age, noisy, and has exactly zero mean.
    """
    rng = np.random.default_rng(3)
    folder.mkdir(parents=True, exist_ok=True)
    rotation = Rotation.from_euler('xyz', (20, 5, -5), degrees=True).as_matrix()
    centre = np.array((12.0, -8.0, 150.0))  # a table position as no template has it
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag(np.array(voxel) * (-1, 1, -1))
    affine[:3, 3] = centre - affine[:3, :3] @ ((np.array(shape) - 1) / 2)

    voxels = np.stack(np.meshgrid(*map(np.arange, shape), indexing='ij'), axis=-1)
    world = voxels @ affine[:3, :3].T + affine[:3, 3] - centre
    pose = Rotation.from_euler('xyz', (-8, 4, 6), degrees=True).as_matrix()
    points = world @ (pose * (1.03, 0.95, 1.02)).T + (0, -16, 4)
    for axis in range(3):
        field = ndimage.gaussian_filter(rng.standard_normal(shape), 20 / np.array(voxel))
        points[..., axis] += 2.0 * field / field.std()

    grid = atlas_grid()
    to_grid = np.linalg.inv(grid.affine)
    where = np.moveaxis(points @ to_grid[:3, :3].T + to_grid[:3, 3], -1, 0)

    def sample(image, order=1):
        return ndimage.map_coordinates(image.astype(np.float32), where, order=order)

    mask = sample(grid.brain_mask) > 0.5
    bias = ndimage.gaussian_filter(rng.standard_normal(shape), 40 / np.array(voxel))
    bias = np.exp(0.3 * bias / bias.std())
    skull = ndimage.binary_dilation(mask, iterations=3) & ~ndimage.binary_dilation(mask)
    chi = sample(chi_contrast(age)[0]) + 0.006 * rng.standard_normal(shape)
    chi = np.where(mask, chi - chi[mask].mean(), 0)
    magnitude = sample(0.39 * grid.gm + 0.42 * grid.wm + 0.25 * grid.csf)
    magnitude *= np.exp(-1.6 * np.maximum(chi, 0))
    t1w = sample(grid.t1w) + 0.02 * rng.standard_normal(shape)
    magnitude = np.abs((magnitude + 0.4 * skull) * bias + 0.01 * rng.standard_normal(shape))

    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_euler('xyz', (4, -3, 2), degrees=True).as_matrix()
    motion[:3, 3] = centre - motion[:3, :3] @ centre + (3, -2, 4)
    return Scan(
        magnitude=write_image(
            folder / 'magnitude.nii', 900 * magnitude.astype(np.float32), affine
        ),
        chi=write_image(folder / 'chi.nii', chi.astype(np.float32), affine),
        mask=write_image(folder / 'mask.nii', mask, affine),
        t1w=write_image(
            folder / 't1w.nii', (300 * (t1w + 0.5 * skull)).astype(np.float32), motion @ affine
        ),
        labels=sample(grid.labels, order=0).astype(int),
        affine=affine,
        t1w_motion=motion,
    )


@pytest.fixture(scope='session')
def scan(tmp_path_factory) -> Scan:
    return simulate_scan(tmp_path_factory.mktemp('scan'))
