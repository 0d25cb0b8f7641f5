"""The shape update finds the middle of known shapes, whatever the heads' poses were."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from qsmbids.atlas.build.fields import displacement, invert_displacement, write_displacement
from qsmbids.atlas.build.groupwise import Average, Member, linear_average, next_average
from qsmbids.atlas.build.pairwise import write_matrix
from qsmbids.atlas.build.shape import (
    mean_stretch,
    rigid_part,
    shape_displacement,
    shape_update,
    unbiased_start,
)
from qsmbids.atlas.images import read_image, read_mask, write_image
from qsmbids.atlas.transforms import warp

SHAPE = (40, 44, 42)
AFFINE = np.array(
    [[2.0, 0, 0, -38], [0, 2, 0, -43], [0, 0, 2, -41], [0, 0, 0, 1]]
)  # the world origin lies in the middle
WORLD = np.stack(np.indices(SHAPE), axis=-1) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
RADII = np.array((24.0, 30.0, 27.0))
BRAIN = ((WORLD / RADII) ** 2).sum(axis=-1) < 1


def pose(degrees, shift):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler('xyz', degrees, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def linear(matrix):
    """Displacement of a linear map."""
    return (WORLD @ (matrix[:3, :3] - np.eye(3)).T + matrix[:3, 3]).astype(np.float32)


def stretched(scale, degrees=(0, 0, 0), shift=(0, 0, 0)):
    return pose(degrees, shift) @ np.diag((*np.broadcast_to(scale, 3), 1.0))


def test_rigid_part_of_a_rigid_map_is_that_map():
    motion = pose((20, -35, 10), (30, -5, 200))
    points = WORLD[BRAIN]
    assert np.allclose(
        rigid_part(points, points @ motion[:3, :3].T + motion[:3, 3]), motion, atol=1e-9
    )


def test_pose_is_no_shape_and_size_is():
    moved = shape_displacement(linear(pose((15, 5, -25), (12, 0, 90))), BRAIN, AFFINE)
    assert np.abs(moved).max() < 1e-3
    larger = shape_displacement(linear(stretched(1.1, (15, 5, -25), (12, 0, 90))), BRAIN, AFFINE)
    assert np.allclose(larger[BRAIN], 0.1 * WORLD[BRAIN], atol=0.02)  # about the brain's centre


def test_inverse_of_a_displacement_undoes_it():
    field = 4 * np.stack([np.sin(WORLD[..., 1] / 20), np.cos(WORLD[..., 2] / 25),
                          np.sin(WORLD[..., 0] / 15)], axis=-1).astype(np.float32)  # fmt: skip
    inverse = invert_displacement(field, AFFINE)
    where = np.linalg.inv(AFFINE)[:3, :3] @ inverse[..., None]
    voxels = np.indices(SHAPE) + np.moveaxis(where[..., 0], -1, 0)
    there = np.stack([ndimage.map_coordinates(field[..., i], voxels, order=1) for i in range(3)],
                     axis=-1)  # fmt: skip
    error = np.linalg.norm(inverse + there, axis=-1)[BRAIN]
    assert error.max() < 0.05  # mm
    assert np.linalg.norm(inverse, axis=-1)[BRAIN].max() > 3


def test_one_step_moves_an_average_of_the_wrong_size_to_the_mean_size():
    # the average is as large as one of the people; the mean scale is 1.15
    shapes = (
        shape_displacement(linear(stretched(scale, (7 * scale, 3, 0), (5, 9, 1))), BRAIN, AFFINE)
        for scale in (1.0, 1.1, 1.35)
    )
    update, inverse = shape_update(shapes, AFFINE)
    assert np.allclose(inverse[BRAIN], 0.15 * WORLD[BRAIN], atol=0.03)
    assert np.allclose(update[BRAIN], (1 / 1.15 - 1) * WORLD[BRAIN], atol=0.1)


def test_after_the_step_the_mean_shape_is_zero():
    rng = np.random.default_rng(4)
    bends = [3 * ndimage.gaussian_filter(rng.standard_normal(SHAPE), 6) * 60 for _ in range(3)]
    fields = [linear(stretched((1, 1 + 0.1 * i, 0.95))) for i in range(3)]
    for field, bend in zip(fields, bends, strict=True):
        field[..., 0] += bend
    update, _ = shape_update((shape_displacement(f, BRAIN, AFFINE) for f in fields), AFFINE)
    voxels = np.indices(SHAPE) + np.moveaxis(update / 2.0, -1, 0)
    after = []
    for field in fields:
        moved = [ndimage.map_coordinates(field[..., i], voxels, order=1, mode='nearest')
                 for i in range(3)]  # fmt: skip
        after.append(shape_displacement(update + np.stack(moved, axis=-1), BRAIN, AFFINE))
    core = ndimage.binary_erosion(BRAIN, iterations=3)
    before = np.mean([shape_displacement(f, BRAIN, AFFINE) for f in fields], axis=0)
    left = np.abs(np.mean(after, axis=0))[core].mean()
    assert left < 0.12 * np.abs(before)[core].mean()


def test_half_a_step_moves_half_the_way():
    shapes = [shape_displacement(linear(stretched(1.2)), BRAIN, AFFINE)]
    _, inverse = shape_update(shapes, AFFINE, step=0.5)
    assert np.allclose(inverse[BRAIN], 0.1 * WORLD[BRAIN], atol=0.02)


def test_mean_stretch_ignores_poses_and_is_symmetric_in_large_and_small():
    turned = [stretched(s, (40 * s, 10, -80), (3, 2, 1)) for s in (0.8, 1.25)]
    assert np.allclose(mean_stretch(turned), np.eye(3), atol=1e-9)
    centre = (0.0, -15.0, 4.0)
    start = unbiased_start(np.eye(4), mean_stretch([stretched(1.1)]), centre)
    assert np.allclose(start @ (*centre, 1), (*centre, 1))  # the centre stays
    assert np.allclose(np.diag(start)[:3], 1 / 1.1)


@pytest.mark.parametrize('suffix', ['.nii', '.nii.gz'])
def test_written_field_does_what_the_array_says(tmp_path, suffix):
    image = np.exp(-((WORLD - (6, -8, 4)) ** 2).sum(axis=-1) / 60).astype(np.float32)
    field = np.zeros((*SHAPE, 3), dtype=np.float32)
    field[...] = (6, -8, 4)
    path = write_displacement(tmp_path / f'field{suffix}', field, AFFINE)
    moved = warp(image, AFFINE, SHAPE, AFFINE, [str(path)])
    centre = AFFINE[:3, :3] @ ndimage.center_of_mass(moved) + AFFINE[:3, 3]
    assert np.allclose(centre, 0, atol=0.05)
    assert np.allclose(displacement([str(path)], SHAPE, AFFINE)[BRAIN], (6, -8, 4), atol=1e-3)


def blob(radii, at=(0, 0, 0)):
    """A smooth ellipsoid with a bright core, and its mask."""
    distance = np.sqrt((((WORLD - at) / radii) ** 2).sum(axis=-1))
    return (200 * np.exp(-(distance**2))).astype(np.float32), distance < 1


@pytest.fixture
def members(tmp_path):
    """Three blobs of scale 0.9, 1 and 1.25 along x, in three poses, and the true maps."""
    found, maps = [], {}
    for number, scale in enumerate((0.9, 1.0, 1.25)):
        matrix = stretched((scale, 1, 1), (0, 0, 8 * number), (4.0 * number, -3, 0))
        back = np.linalg.inv(matrix)
        points = WORLD @ back[:3, :3].T + back[:3, 3]
        distance = np.sqrt(((points / RADII) ** 2).sum(axis=-1))
        image, mask = (200 * np.exp(-(distance**2))).astype(np.float32), distance < 1
        label = f'sub-{number}'
        found.append(
            Member(
                label,
                write_image(tmp_path / f'h{number}.nii', np.where(mask, image, 0), AFFINE),
                write_image(tmp_path / f'm{number}.nii', mask.astype(np.float32), AFFINE),
            )
        )
        maps[label] = matrix
    return found, maps


def width_of(mask):
    """Full width along x through the middle, mm."""
    return 2.0 * mask[:, SHAPE[1] // 2, SHAPE[2] // 2].sum()


def test_linear_average_has_the_mean_size(members, tmp_path):
    found, maps = members
    reference = write_image(tmp_path / 'r.nii', blob(RADII)[0], AFFINE)
    brain = write_image(tmp_path / 'b.nii', BRAIN.astype(np.float32), AFFINE)
    (tmp_path / 'out').mkdir()
    average, starts = linear_average(found, maps, reference, brain, tmp_path / 'out')
    expected = 2 * RADII[0] * (0.9 * 1.0 * 1.25) ** (1 / 3)
    assert width_of(read_mask(average.brain)[0]) == pytest.approx(expected, abs=2.1)
    assert np.diag(mean_stretch(list(starts.values()))) == pytest.approx((1, 1, 1), abs=1e-6)


def test_a_round_moves_a_biased_average_to_the_middle_with_one_interpolation(members, tmp_path):
    found, maps = members
    # the current average looks like the smallest person: biased by design
    image, mask = blob(RADII * (0.9, 1, 1))
    average = Average(
        write_image(tmp_path / 'a.nii', np.where(mask, image, 0), AFFINE),
        write_image(tmp_path / 'ab.nii', mask.astype(np.float32), AFFINE),
    )
    to_canonical = np.diag((1 / 0.9, 1, 1, 1))
    forward = {
        label: write_matrix(matrix @ to_canonical, tmp_path / f'{label}.mat')
        for label, matrix in maps.items()
    }
    (tmp_path / 'out').mkdir()
    moved = next_average(found, forward, average, tmp_path / 'out')
    expected = 2 * RADII[0] * (0.9 + 1.0 + 1.25) / 3
    brain = read_mask(moved.brain)[0]
    assert width_of(brain) == pytest.approx(expected, abs=2.1)
    assert 2.0 * brain[SHAPE[0] // 2, :, SHAPE[2] // 2].sum() == pytest.approx(60, abs=2.1)
    # the maps are exact, so the average is as sharp as a person: same values at the same place
    want = blob(RADII * (expected / 2 / RADII[0], 1, 1))[0]
    core = ndimage.binary_erosion(brain, iterations=2)
    assert np.abs(read_image(moved.hybrid)[0] - want)[core].max() < 6  # of 200
    # both ways of the move cancel
    there = displacement([str(moved.update), str(moved.inverse)], SHAPE, AFFINE)
    assert np.abs(there[core]).max() < 0.1
