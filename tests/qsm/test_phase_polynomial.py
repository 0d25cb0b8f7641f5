"""A polynomial through a wrapped phase."""

from __future__ import annotations

import numpy as np
import pytest

from qsmbids.qsm.grid import Grid
from qsmbids.qsm.phase import wrap
from qsmbids.qsm.phase_polynomial import fit_phase_polynomial

GRID = Grid((41, 36, 30), (2.0, 2.5, 3.0))


def coordinates():
    shape_and_size = zip(GRID.shape, GRID.voxel_size, strict=True)
    axes = [(np.arange(n) - (n - 1) / 2) * h / 100 for n, h in shape_and_size]
    return np.meshgrid(*axes, indexing='ij')


def ball(radius=0.38):
    return sum(x**2 for x in coordinates()) < radius**2


def cubic():
    x, y, z = coordinates()
    return 0.5 + 9 * x - 14 * y * z + 11 * z**2 + 25 * x**2 * y - 12 * x * y * z


@pytest.mark.parametrize('noise', [0.0, 0.3])
def test_recovers_a_wrapped_cubic(noise):
    truth, mask = cubic(), ball()
    assert np.ptp(truth[mask]) > 2 * np.pi
    rng = np.random.default_rng(0)
    phase = wrap(truth + noise * rng.standard_normal(GRID.shape))
    found = fit_phase_polynomial(phase, mask.astype(np.float32), GRID, 3)
    error = wrap(found - truth)[mask]
    assert np.abs(error).max() < 0.02 + 0.15 * noise
    assert found.dtype == np.float32


def test_what_is_not_polynomial_gets_smaller():
    x, y, z = coordinates()
    bump = 3 * np.exp(-((x - 0.2) ** 2 + y**2 + (z + 0.1) ** 2) / (2 * 0.3**2))
    mask = ball()
    found = fit_phase_polynomial(wrap(bump), mask.astype(np.float32), GRID, 4)
    assert wrap(found - bump)[mask].std() < 0.1 * bump[mask].std()


def test_ignores_what_has_no_weight():
    truth, mask = cubic(), ball()
    phase = wrap(truth).astype(np.float32)
    spoiled = np.where(mask, phase, 2.0)
    weight = mask.astype(np.float32)
    np.testing.assert_allclose(
        fit_phase_polynomial(spoiled, weight, GRID, 3),
        fit_phase_polynomial(phase, weight, GRID, 3),
        atol=1e-5,
    )


def test_nothing_to_fit():
    zeros = np.zeros(GRID.shape, np.float32)
    assert not fit_phase_polynomial(zeros + 1, zeros, GRID, 3).any()
    assert not fit_phase_polynomial(zeros + 1, zeros + 1, GRID, 0).any()
    one = zeros.copy()
    one[5, 5, 5] = 1
    assert np.isfinite(fit_phase_polynomial(zeros + 1, one, GRID, 3)).all()
