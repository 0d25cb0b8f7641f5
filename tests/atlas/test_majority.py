import numpy as np
import pytest
from scipy import ndimage

from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.majority import majority


def test_majority_weighs_voxels_by_the_part_that_is_covered():
    fine = np.zeros((5, 5, 5), dtype=np.int16)
    fine[2:] = 4  # of the voxel at x = 1: three of its four quarters along x
    labels = majority(fine, np.diag((0.5, 0.5, 0.5, 1)), (2, 2, 2), np.eye(4))
    assert labels[1, 1, 1] == 4
    assert labels[0, 1, 1] == 0


def test_a_tie_goes_to_a_label_and_then_to_the_smaller_number():
    fine = np.zeros((3, 3, 3), dtype=np.int16)
    grid = np.diag((0.5, 0.5, 0.5, 1.0))
    grid[:3, 3] = -0.5
    fine[0], fine[2] = 8, 8  # a quarter on each side, background in the middle: a tie
    assert majority(fine, grid, (1, 1, 1), np.eye(4))[0, 0, 0] == 8
    fine[0], fine[2] = 8, 6  # background has the most
    assert majority(fine, grid, (1, 1, 1), np.eye(4))[0, 0, 0] == 0
    fine[1] = np.where(fine[1] == 0, 9, fine[1])  # the middle is half of the voxel
    assert majority(fine, grid, (1, 1, 1), np.eye(4))[0, 0, 0] == 9
    fine[1] = 0
    fine[:, 0], fine[:, 1], fine[:, 2] = 8, 0, 6  # 8 and 6 a quarter each, background half
    fine[:, 1, 1] = 8
    fine[:, 1, 0] = fine[:, 1, 2] = 6  # now 8 and 6 have a half each
    assert majority(fine, grid, (1, 1, 1), np.eye(4))[0, 0, 0] == 6


def test_majority_keeps_the_volume_of_a_ball_and_its_place():
    affine = np.diag((0.5, 0.5, 0.5, 1.0))
    affine[:3, 3] = (3.5, 4, 5)  # cropped, beginning half a voxel beside the target's centres
    points = np.stack(np.meshgrid(*(np.arange(n) for n in (50, 52, 54)), indexing='ij'), -1)
    centre = np.array((16.2, 17.1, 18.4))
    ball = np.linalg.norm(0.5 * points + affine[:3, 3] - centre, axis=-1) < 7
    labels = majority(ball.astype(np.int16), affine, (40, 40, 40), np.eye(4))
    assert labels.sum() == pytest.approx(ball.sum() / 8, rel=0.01)
    assert np.allclose(ndimage.center_of_mass(labels), centre, atol=0.05)


def test_a_grid_that_does_not_fit_is_refused():
    with pytest.raises(AtlasError, match='grid of the template'):
        majority(np.ones((4, 4, 4), np.int16), np.diag((0.7, 0.7, 0.7, 1)), (2, 2, 2), np.eye(4))
    shifted = np.diag((0.5, 0.5, 0.5, 1.0))
    shifted[0, 3] = 0.2
    with pytest.raises(AtlasError, match='grid of the template'):
        majority(np.ones((4, 4, 4), np.int16), shifted, (2, 2, 2), np.eye(4))
