"""The field of a map against the exact field of a sphere."""

import numpy as np
import pytest

from qsmbids.phantom.forward import sphere_field
from qsmbids.qsm.forward import field_of
from qsmbids.qsm.grid import Grid


@pytest.mark.parametrize('b0', [(0, 0, 1), (0.48, 0.36, 0.8)])
def test_field_of_a_sphere(b0):
    grid = Grid((61, 50, 44), (1.0, 1.2, 1.5), b0)
    axes = [(np.arange(n) - n // 2) * h for n, h in zip(grid.shape, grid.voxel_size, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing='ij'), axis=-1)
    distance = np.linalg.norm(points, axis=-1)
    chi = 0.5 * np.clip((9.0 - distance) / 1.2 + 0.5, 0, 1)
    mask = distance < 25
    field = field_of(np.where(mask, chi, np.nan), mask, grid)
    exact = sphere_field(points, 9.0, 0.5, grid.b0_direction)
    away = mask & (np.abs(distance - 9.0) > 3)
    difference = (field - exact)[away]
    assert np.abs(difference - difference.mean()).max() < 0.05 * np.abs(exact).max()
    assert not field[~mask].any()
