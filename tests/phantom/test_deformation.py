"""How far a head is from the template: asked for, drawn and measured."""

from dataclasses import replace

import numpy as np
import pytest

from qsmbids.phantom import PhantomParameters, simulate_head
from qsmbids.phantom.deformation import measure_deformation
from qsmbids.phantom.pose import pose
from qsmbids.phantom.warp import Warp, random_warp, with_greatest_displacement

AXES = [np.linspace(-90, 90, 37)] * 3
BALL = sum(axis**2 for axis in np.meshgrid(*AXES, indexing='ij')) < 70**2


def affine_warp(size, degrees):
    turn = np.radians(degrees)
    rotation = np.array(
        [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    )
    n = len(random_warp(40, np.random.default_rng(0), 1.0).coefficients[0])
    return Warp(rotation / size, np.array([3.0, -5.0, 2.0]), np.zeros((3, n, n, n)))


def test_affine_map_is_no_deformation():
    found = measure_deformation(affine_warp(0.9, 6.0), AXES, BALL)
    assert found.size == pytest.approx(0.9, abs=1e-6)
    assert found.rotation_deg == pytest.approx(6.0, abs=1e-3)
    assert found.greatest_mm < 1e-6
    assert found.least_jacobian == pytest.approx(1, abs=1e-6)
    assert found.greatest_jacobian == pytest.approx(1, abs=1e-6)


def test_turning_the_head_changes_the_angle_only():
    warp = random_warp(40, np.random.default_rng(4), 3.0)
    turned = pose(warp, affine_warp(1, 15.0).matrix, AXES)
    before, after = (measure_deformation(w, AXES, BALL) for w in (warp, turned))
    assert after.rotation_deg > before.rotation_deg + 8
    assert after.size == pytest.approx(before.size, rel=0.01)


@pytest.mark.parametrize('seed', [1, 2, 3, 4])
@pytest.mark.parametrize('age', [5, 75])
def test_ten_millimetres_can_be_asked_for(seed, age):
    drawn = random_warp(age, np.random.default_rng([seed, 0]), 3.0)
    warp = with_greatest_displacement(drawn, 10.0)
    np.testing.assert_array_equal(warp.matrix, drawn.matrix)
    assert warp.jacobian(AXES).min() > 0
    points = np.random.default_rng(5).uniform(-60, 60, (50, 3))
    np.testing.assert_allclose(warp.at(warp.inverse_at(points)), points, atol=1e-3)


def test_simulated_head_is_deformed_as_asked(coarse):
    head = simulate_head(75, parameters=replace(coarse, warp_max_mm=10.0, seed=3))
    assert head.deformation.greatest_mm == pytest.approx(10, abs=0.7)
    assert head.deformation.rms_mm > 2
    assert head.deformation.least_jacobian > 0.3
    assert head.deformation.size == pytest.approx(0.96, abs=0.05)


def test_size_of_the_warp_does_not_change_its_shape():
    drawn = random_warp(40, np.random.default_rng(2), 3.0)
    small, large = (with_greatest_displacement(drawn, mm) for mm in (0.01, 0.02))
    np.testing.assert_allclose(2 * small.coefficients, large.coefficients, rtol=1e-2, atol=1e-4)


def test_displacement_that_folds_is_refused():
    drawn = random_warp(40, np.random.default_rng(0), 3.0)
    with pytest.raises(ValueError, match='folds the head'):
        with_greatest_displacement(drawn, 80.0)


def test_negative_displacement_is_refused():
    with pytest.raises(ValueError, match='warp_max_mm is -1'):
        PhantomParameters(warp_max_mm=-1.0)
