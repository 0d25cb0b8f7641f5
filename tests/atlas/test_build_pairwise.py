"""One head onto an average: the map is found, and a wrong one is refused."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from qsmbids.atlas.build.pairwise import (
    register_linear,
    register_to_average,
    syn_levels,
    write_matrix,
)
from qsmbids.atlas.coregister import read_matrix
from qsmbids.atlas.errors import RegistrationError
from qsmbids.atlas.images import read_image, write_image
from qsmbids.atlas.transforms import warp

SHAPE = (30, 36, 28)
AFFINE = np.array([[6.0, 0, 0, -87], [0, 6, 0, -105], [0, 0, 6, -81], [0, 0, 0, 1]])
WORLD = np.stack(np.indices(SHAPE), axis=-1) @ AFFINE[:3, :3].T + AFFINE[:3, 3]


def head(points):
    """A brain-like image at points in its own millimetres: mask, ventricles, two dark nuclei."""
    brain = ((points / (66, 82, 60)) ** 2).sum(axis=-1)
    image = 150 - 60 * np.clip(brain, 0, 1) ** 3
    for centre, radii, level in (
        ((12, 5, 10), (8, 30, 10), -90), ((-12, 5, 10), (8, 30, 10), -90),
        ((30, 0, 0), (8, 14, 9), -60), ((-30, 0, 0), (8, 14, 9), -60),
        ((0, -50, -30), (30, 15, 14), 40), ((20, 40, 25), (15, 12, 12), 35),
    ):  # fmt: skip
        image = image + level * np.exp(-(((points - centre) / radii) ** 2).sum(axis=-1))
    return np.where(brain < 1, image, 0).astype(np.float32), brain < 1


def write(folder, name, image, mask):
    return (
        write_image(folder / f'{name}.nii', image, AFFINE),
        write_image(folder / f'{name}_brain.nii', mask.astype(np.float32), AFFINE),
    )


def bent(points):
    """A smooth deformation of a few millimetres."""
    return points + 5 * np.stack(
        [np.sin(points[..., 1] / 35), np.cos(points[..., 2] / 30), np.sin(points[..., 0] / 40)],
        axis=-1,
    )


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """The average, and a person who is turned, larger and bent."""
    folder = tmp_path_factory.mktemp('pair')
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler('xyz', (12, -6, 9), degrees=True).as_matrix() * 1.08
    matrix[:3, 3] = (9, -6, 5)  # average to person
    back = np.linalg.inv(matrix)
    average = write(folder, 'average', *head(WORLD))
    person = write(folder, 'person', *head(bent(WORLD @ back[:3, :3].T + back[:3, 3])))
    return average, person, matrix


def test_linear_map_is_found(files, tmp_path):
    average, _, matrix = files
    back = np.linalg.inv(matrix)
    straight = write(tmp_path, 'straight', *head(WORLD @ back[:3, :3].T + back[:3, 3]))
    found = register_linear(*straight, *average, tmp_path, seed=3)
    points = np.array([(40, 0, 0, 1), (-30, 50, 10, 1), (0, -60, -30, 1)]).T
    error = np.linalg.norm(((found - matrix) @ points)[:3], axis=0)
    assert error.max() < 4.5  # three quarters of a voxel: it is a start


def test_deformable_map_is_found_and_both_ways_cancel(files, tmp_path):
    average, person, matrix = files
    pair = register_to_average(*person, *average, matrix, tmp_path, last=True, seed=3)
    assert set(pair.quality) == {'dice', 'correlation', 'volume_ratio', 'folded'}
    assert pair.quality['dice'] > 0.95
    assert pair.quality['correlation'] > 0.9
    assert pair.quality['volume_ratio'] == pytest.approx(1.08**3, abs=0.1)
    want, brain = head(WORLD)
    core = ndimage.binary_erosion(brain, iterations=2)
    image = read_image(person[0])[0]
    moved = warp(image, AFFINE, SHAPE, AFFINE, [str(pair.forward)])
    linear = warp(image, AFFINE, SHAPE, AFFINE, [str(tmp_path / 'start.mat')])
    assert np.abs(moved - want)[core].mean() < 0.5 * np.abs(linear - want)[core].mean()
    again = warp(moved, AFFINE, SHAPE, AFFINE, [str(pair.inverse)])
    inside = ndimage.binary_erosion(read_image(person[1])[0] > 0.5, iterations=3)
    assert np.corrcoef(again[inside], image[inside])[0, 1] > 0.97


def test_another_object_is_refused(files, tmp_path):
    average, person, matrix = files
    noise = np.random.default_rng(0).random(SHAPE).astype(np.float32) * 100 + 1
    mask = read_image(person[1])[0]
    other = write_image(tmp_path / 'other.nii', noise * mask, AFFINE)
    with pytest.raises(RegistrationError, match=r'other\.nii does not fit') as info:
        register_to_average(other, person[1], *average, matrix, tmp_path, last=False, seed=3)
    assert len(str(info.value).splitlines()) == 3


def test_matrix_files_say_the_same_in_ras(tmp_path):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler('xyz', (10, 20, -30), degrees=True).as_matrix() * 1.1
    matrix[:3, 3] = (3, -40, 25)
    write_matrix(matrix, tmp_path / 'm_Composite.mat')
    (tmp_path / 'm_Composite.mat').rename(tmp_path / 'm_Composite.h5.mat')
    import ants

    ants.write_transform(
        ants.read_transform(str(tmp_path / 'm_Composite.h5.mat')), str(tmp_path / 'm_Composite.h5')
    )
    assert np.allclose(read_matrix(tmp_path / 'm_'), matrix, atol=1e-4)


@pytest.mark.parametrize(
    ('size', 'last', 'levels'),
    [(1.0, True, (8, 4, 2, 1)), (1.0, False, (8, 4, 2)), (2.0, True, (8, 4, 2)),
     (4.0, True, (8, 4)), (4.0, False, (8, 4)), (9.0, True, (8,))],
)  # fmt: skip
def test_levels_end_at_the_resolution_of_the_atlas(size, last, levels):
    assert syn_levels(size, last=last) == levels
