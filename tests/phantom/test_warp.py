"""The subject's map to the template."""

from __future__ import annotations

import numpy as np
import pytest

from qsmbids.phantom.warp import head_size, random_warp

AXES = [np.linspace(-96, 96, 25), np.linspace(-112, 112, 23), np.linspace(-96, 96, 21)]


@pytest.mark.parametrize('seed', range(4))
def test_invertible(seed):
    warp = random_warp(40, np.random.default_rng(seed), 3.0)
    jacobian = warp.jacobian(AXES)
    assert jacobian.min() > 0.5
    points = np.random.default_rng(1).uniform(-90, 90, (200, 3))
    np.testing.assert_allclose(warp.inverse_at(warp.at(points)), points, atol=2e-3)


def test_stays_invertible_when_asked_for_too_much():
    warp = random_warp(40, np.random.default_rng(0), 100.0)
    assert warp.jacobian(AXES).min() > 0


def test_jacobian_matches_finite_differences():
    warp = random_warp(30, np.random.default_rng(3), 3.0)
    point, step = np.array([[12.0, -30.0, 18.0]]), 1e-3
    columns = [
        (warp.at(point + step * e) - warp.at(point - step * e))[0] / (2 * step) for e in np.eye(3)
    ]
    expected = np.linalg.det(np.stack(columns, axis=1))
    found = warp.jacobian([point[:, axis] for axis in range(3)]).item()
    assert found == pytest.approx(expected, rel=1e-4)


def test_grid_and_single_points_agree():
    warp = random_warp(40, np.random.default_rng(2), 3.0)
    on_grid = warp.on_axes(AXES)
    points = np.stack(np.meshgrid(*AXES, indexing='ij'), axis=-1).reshape(-1, 3)
    np.testing.assert_allclose(on_grid.reshape(3, -1).T, warp.at(points), atol=1e-3)


def test_displacement_is_a_few_millimetres():
    moved = []
    for seed in range(5):
        warp = random_warp(40, np.random.default_rng(seed), 3.0)
        points = np.random.default_rng(9).uniform(-70, 70, (500, 3))
        affine_only = points @ warp.matrix.T + warp.offset
        moved.append(warp.at(points) - affine_only)
    assert 1.5 < np.std(moved) < 4.0


def test_heads_grow():
    sizes = [head_size(age) for age in (0, 1, 3, 10, 40)]
    assert sizes == sorted(sizes)
    volumes = []
    for age in (1, 40):
        warp = random_warp(age, np.random.default_rng(0), 0.0)
        volumes.append(1 / np.linalg.det(warp.matrix))
    assert 0.5 < volumes[0] / volumes[1] < 0.8
