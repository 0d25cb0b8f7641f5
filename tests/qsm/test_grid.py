import numpy as np
import pytest

from qsmbids.qsm.grid import Grid


def rotation(axis, degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = [a for a in range(3) if a != axis]
    matrix = np.eye(3)
    matrix[[i, i, j, j], [i, j, i, j]] = c, -s, s, c
    return matrix


@pytest.mark.parametrize('degrees', [0, 30, -75, 180])
@pytest.mark.parametrize('axis', [0, 1, 2])
def test_b0_is_scanner_z_seen_from_the_voxel_axes(axis, degrees):
    voxel = np.array([0.8, 1.2, 3.0])
    affine = np.eye(4)
    affine[:3, :3] = rotation(axis, degrees) * voxel
    affine[:3, 3] = 12.0, -7.0, 4.0
    grid = Grid.from_affine((4, 5, 6), affine)
    # a step of one mm along B0 in voxel axes must be one mm of scanner z
    step = np.array(grid.b0_direction) / voxel
    assert np.allclose(affine[:3, :3] @ step, [0, 0, 1], atol=1e-6)
    assert np.allclose(grid.voxel_size, voxel)


def test_flipped_axes_flip_the_direction():
    grid = Grid.from_affine((4, 5, 6), np.diag([-1.0, 1.0, -2.0, 1.0]))
    assert grid.b0_direction == (0.0, 0.0, -1.0)


def test_direction_from_the_caller_wins_and_is_normalised():
    grid = Grid.from_affine((4, 5, 6, 3), np.eye(4), b0_direction=(0, 3, 4))
    assert grid.shape == (4, 5, 6)
    assert np.allclose(grid.b0_direction, (0, 0.6, 0.8))
    assert grid.oblique_angle_deg == pytest.approx(np.degrees(np.arccos(0.8)))


def test_equal_grids_are_equal_and_hash_alike():
    a = Grid((2, 3, 4), (1, 1, 2), (0, -0.0, 5))
    b = Grid((2, 3, 4), (1.0, 1.0, 2.0))
    assert a == b
    assert hash(a) == hash(b)
    assert a.voxel_volume == 2.0


@pytest.mark.parametrize(
    'arguments',
    [
        ((2, 3),),
        ((2, 3, 0),),
        ((2, 3, 4), (1, 1, 0)),
        ((2, 3, 4), (1, 1, np.nan)),
        ((2, 3, 4), (1, 1, 1), (0, 0, 0)),
        ((2, 3, 4), (1, 1, 1), (0, 0, np.inf)),
    ],
)
def test_impossible_grids_are_refused(arguments):
    with pytest.raises(ValueError, match='must'):
        Grid(*arguments)
