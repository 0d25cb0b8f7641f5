"""The search for a start corrects a wrong header and leaves a good one alone."""

import ants
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from qsmbids.atlas.channels import chi_channel, structural_channel, write_template_channels
from qsmbids.atlas.images import read_image, read_mask, write_image
from qsmbids.atlas.initial_pose import find_pose, rotations, write_matrix
from qsmbids.atlas.transforms import RAS_TO_LPS


@pytest.fixture(scope='module')
def channels(scan, template, tmp_path_factory):
    folder = tmp_path_factory.mktemp('pose')
    brain, affine = read_mask(scan.mask)
    arrays = {
        'mask': brain.astype(np.float32),
        'magnitude': structural_channel(read_image(scan.magnitude)[0], brain, affine),
        'chi': chi_channel(read_image(scan.chi)[0], brain, brain),
    }
    return write_template_channels(template, 4.0, folder), arrays, affine


def turned(channels, folder, rotation):
    """The scan with a header that says the head lies elsewhere."""
    fixed, arrays, affine = channels
    wrong = np.eye(4)
    wrong[:3, :3] = rotation
    wrong[:3, 3] = (80, -40, 300)
    moving = {n: write_image(folder / f'{n}.nii', a, wrong @ affine) for n, a in arrays.items()}
    return fixed, moving


def angle(first, second):
    return np.degrees(Rotation.from_matrix(first @ second.T).magnitude())


def test_a_right_header_is_kept(channels, tmp_path):
    pose = find_pose(*turned(channels, tmp_path, np.eye(3)), 'magnitude')
    assert pose.turned_deg == 0
    assert np.array_equal(pose.matrix[:3, :3], np.eye(3))


@pytest.mark.parametrize('rotvec', [(90, 0, 0), (0, -90, 0), (0, 0, 90), (40, 0, 0)])
def test_a_wrong_orientation_is_found(channels, tmp_path, rotvec):
    # by construction the head is tilted against the template by (-8, 4, 6) degrees
    upright = Rotation.from_euler('xyz', (-8, 4, 6), degrees=True).as_matrix().T
    wrong = Rotation.from_rotvec(np.radians(rotvec)).as_matrix()
    pose = find_pose(*turned(channels, tmp_path, wrong), 'magnitude')
    assert pose.turned_deg > 15
    assert pose.score > pose.header_score
    assert angle(pose.matrix[:3, :3], wrong @ upright) < 12  # within reach of the rigid stage


def test_susceptibility_alone_finds_a_quarter_turn(channels, tmp_path):
    wrong = Rotation.from_euler('x', 90, degrees=True).as_matrix()
    pose = find_pose(*turned(channels, tmp_path, wrong), None)
    assert angle(pose.matrix[:3, :3], wrong) < 25


def test_every_turn_has_a_candidate_nearby():
    found = Rotation.from_matrix(np.stack(rotations(step_deg=20.0, max_deg=180.0)))
    for wanted in Rotation.random(200, random_state=0):
        assert np.degrees((found * wanted.inv()).magnitude()).min() < 25


def test_matrix_file_means_the_same_whatever_its_centre(tmp_path):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler('xyz', (30, 20, 10), degrees=True).as_matrix()
    matrix[:3, 3] = (5, -7, 100)
    point = np.array((10.0, -20.0, 30.0))
    for centre in (None, np.array((3.0, -18.0, 9.0))):
        transform = ants.read_transform(str(write_matrix(matrix, tmp_path / 'm.mat', centre)))
        moved = RAS_TO_LPS @ transform.apply_to_point((RAS_TO_LPS @ point).tolist())
        assert np.allclose(moved, (matrix @ np.append(point, 1))[:3], atol=1e-4)
