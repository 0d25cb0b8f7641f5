"""The forward model against exact fields."""

from __future__ import annotations

import numpy as np
import pytest

from qsmbids.phantom.forward import (
    cylinder_field,
    dipole_field,
    remove_shim,
    shim_field,
    sphere_field,
)


def _points(shape, voxel):
    axes = [(np.arange(n) - (n - 1) / 2) * h for n, h in zip(shape, voxel, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing='ij'), axis=-1)


def _soft(distance_inside, edge):
    """Fraction of a voxel that lies inside a surface."""
    return np.clip(distance_inside / edge + 0.5, 0, 1).astype(np.float32)


@pytest.mark.parametrize('b0', [(0, 0, 1), (0.36, -0.48, 0.8)])
@pytest.mark.parametrize(
    ('shape', 'voxel'), [((64, 64, 64), (1, 1, 1)), ((61, 51, 45), (1.0, 1.2, 1.5))]
)
def test_sphere(shape, voxel, b0):
    points, radius = _points(shape, voxel), 10.0
    r = np.linalg.norm(points, axis=-1)
    field = dipole_field(_soft(radius - r, np.mean(voxel)), voxel, b0, padding_mm=60)
    exact = sphere_field(points, radius, 1.0, b0)
    away = np.abs(r - radius) > 2 * max(voxel)  # the surface itself is a staircase
    assert np.abs(field - exact)[away].max() < 0.04
    assert np.sqrt(np.mean((field - exact)[away] ** 2)) < 0.006
    assert abs(field[r < radius - 3].mean()) < 0.005


@pytest.mark.parametrize('tilt_deg', [0.0, 54.7356, 90.0])
def test_cylinder(tilt_deg):
    """A long cylinder along y, with B0 in the y-z plane."""
    shape, voxel, radius = (48, 160, 48), (1.0, 1.0, 1.0), 6.0
    axis = np.array([0.0, 1.0, 0.0])
    tilt = np.radians(tilt_deg)
    b0 = np.array([0.0, np.cos(tilt), np.sin(tilt)])
    points = _points(shape, voxel)
    rho = np.hypot(points[..., 0], points[..., 2])
    field = dipole_field(_soft(radius - rho, 1.0), voxel, b0, padding_mm=48)
    middle = np.s_[:, 70:90, :]
    exact = cylinder_field(points, radius, 1.0, axis, b0)[middle]
    error = (field[middle] - exact)[np.abs(rho[middle] - radius) > 1.5]
    assert np.abs(error).max() < 0.05
    inside = rho[middle] < radius - 2
    assert field[middle][inside].mean() == pytest.approx((3 * np.cos(tilt) ** 2 - 1) / 6, abs=0.01)


def test_exact_fields_have_their_known_symmetries():
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(4000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    # the mean of a dipole field over a sphere round it vanishes
    assert abs(sphere_field(20 * directions, 5.0, 1.0, (0, 0, 1)).mean()) < 1e-3
    # parallel to B0 a cylinder has no outside field
    around = 20 * directions[np.hypot(*directions[:, :2].T) > 0.2]
    assert np.abs(cylinder_field(around, 2.0, 1.0, (0, 0, 1), (0, 0, 1))).max() < 1e-12


def test_field_is_linear():
    chi = np.random.default_rng(0).normal(size=(16, 18, 20)).astype(np.float32)
    once = dipole_field(chi, (1, 1, 2), (0, 0.6, 0.8))
    assert once.dtype == np.float32
    np.testing.assert_allclose(
        dipole_field(2 * chi, (1, 1, 2), (0, 0.6, 0.8)), 2 * once, rtol=1e-4
    )


def test_continuation_makes_a_column_long():
    """Inside a column along B0 the field is chi/3; a cut end spoils that."""
    points = _points((40, 40, 40), (2, 2, 2))
    column = (np.hypot(points[..., 0], points[..., 1]) < 16).astype(np.float32)
    near_bottom = np.s_[20, 20, 1]
    cut = dipole_field(column, (2, 2, 2), (0, 0, 1))[near_bottom]
    longer = dipole_field(column, (2, 2, 2), (0, 0, 1), continue_below_mm=120)[near_bottom]
    assert abs(longer - 1 / 3) < 0.1
    assert abs(cut - 1 / 3) > 0.3


def test_shim_removes_what_it_can_and_nothing_else():
    axes = [np.linspace(-80, 80, n) for n in (17, 19, 21)]
    rng = np.random.default_rng(1)
    wanted = rng.normal(size=9)
    field = shim_field(wanted, axes)
    mask = rng.random(field.shape) > 0.5
    left, found = remove_shim(field, axes, mask)
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert np.abs(left).max() < 1e-4
    local = sphere_field(np.stack(np.meshgrid(*axes, indexing='ij'), -1), 10, 1.0, (0, 0, 1))
    shimmed, _ = remove_shim(local, axes, np.ones(local.shape, dtype=bool))
    assert np.corrcoef(shimmed.ravel(), local.ravel())[0, 1] > 0.95
