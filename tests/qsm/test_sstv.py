"""Single-step total variation: susceptibility from the total field."""

from __future__ import annotations

import numpy as np
import pytest

from qsmbids.phantom.forward import dipole_field, sphere_field
from qsmbids.qsm.grid import Grid
from qsmbids.qsm.quality import nrmse
from qsmbids.qsm.sstv import SstvParameters, invert_sstv

OBLIQUE = (0.48, 0.36, 0.8)
GRIDS = {
    'axial': Grid((60, 60, 60), (2.0, 2.0, 2.0)),
    'oblique anisotropic odd': Grid((59, 55, 45), (2.0, 2.2, 3.0), OBLIQUE),
}
FINE = Grid((72, 72, 72), (1.0, 1.0, 1.0))
NUCLEI = [((10, 4, 2), 8.0, 0.10), ((-12, -6, 5), 9.0, 0.05), ((2, -14, -8), 7.0, -0.08)]


def points(grid):
    axes = [
        (np.arange(n) - (n - 1) / 2) * h for n, h in zip(grid.shape, grid.voxel_size, strict=True)
    ]
    return np.stack(np.meshgrid(*axes, indexing='ij'), axis=-1)


def head(grid, scale=1.0):
    """Nuclei in a ball of 45 mm, the field of an air space below it, and noise of 1 ppb."""
    where = points(grid) / scale
    chi = np.zeros(grid.shape, np.float32)
    for centre, radius, value in NUCLEI:
        chi[np.linalg.norm(where - centre, axis=-1) < radius] = value
    mask = np.linalg.norm(where, axis=-1) < 45
    local = dipole_field(chi, grid.voxel_size, grid.b0_direction)
    air = sphere_field(where - (0, 20, -62), 12.0, 9.2, grid.b0_direction)
    noise = 0.001 * np.random.default_rng(0).standard_normal(grid.shape)
    return chi, mask, (local + air + 0.02 * where[..., 0] / 50 + noise).astype(np.float32)


@pytest.mark.parametrize('name', GRIDS)
def test_background_of_a_hundred_times_the_signal_is_gone(name):
    grid = GRIDS[name]
    truth, mask, field = head(grid)
    assert field[mask].std() > 5 * dipole_field(truth, grid.voxel_size, grid.b0_direction).std()
    chi = invert_sstv(field, mask, grid)
    kept = chi != 0
    assert kept.sum() > 0.5 * mask.sum()
    assert not (kept & ~mask).any()
    assert nrmse(chi, truth, kept) < 30
    where = points(grid)
    surrounding = np.median(chi[kept])
    for centre, radius, value in NUCLEI:
        inside = np.linalg.norm(where - centre, axis=-1) < radius - 2
        assert chi[inside].mean() - surrounding == pytest.approx(value, rel=0.15)


def test_coarse_start_changes_the_path_and_not_the_result(monkeypatch):
    truth, mask, field = head(FINE, scale=0.6)
    texts = []
    fine = invert_sstv(field, mask, FINE, progress=lambda _, text: texts.append(text))
    assert any('coarse' in text for text in texts)
    monkeypatch.setattr('qsmbids.qsm.sstv.COARSE_MM', 0.0)
    slow = SstvParameters(tolerance=1e-3, iterations=150)
    alone = invert_sstv(field, mask, FINE, parameters=slow)
    kept = fine != 0
    np.testing.assert_array_equal(kept, alone != 0)
    assert nrmse(fine, alone, kept) < 12
    assert nrmse(fine, truth, kept) < 30


def test_not_a_number_outside_the_mask_and_constant_field():
    grid = GRIDS['axial']
    _, mask, field = head(grid)
    expected = invert_sstv(field, mask, grid)
    spoiled = np.where(mask, field, np.nan)
    np.testing.assert_array_equal(invert_sstv(spoiled, mask, grid), expected)
    shifted = invert_sstv(field + 1, mask, grid)
    assert np.abs(shifted - expected).max() < 0.02 * np.abs(expected).max()
    assert np.isfinite(invert_sstv(np.ones(grid.shape), mask, grid)).all()


def test_flips_and_permutations_commute():
    grid = GRIDS['oblique anisotropic odd']
    _, mask, field = head(grid)
    chi = invert_sstv(field, mask, grid)
    order = [2, 0, 1]
    shape, voxel, b0 = (
        tuple(np.array(v)[order]) for v in (grid.shape, grid.voxel_size, grid.b0_direction)
    )
    turned_grid = Grid(shape, voxel, (-b0[0], b0[1], b0[2]))
    turned = invert_sstv(field.transpose(order)[::-1], mask.transpose(order)[::-1], turned_grid)
    assert np.abs(turned - chi.transpose(order)[::-1]).max() < 0.01 * np.abs(chi).max()


def test_a_field_twice_as_large_gives_a_map_twice_as_large():
    grid = GRIDS['axial']
    _, mask, field = head(grid)
    once, twice = invert_sstv(field, mask, grid), invert_sstv(2 * field, mask, grid)
    assert nrmse(twice / 2, once, once != 0) < 6


def test_weight_counts():
    grid = GRIDS['axial']
    truth, mask, field = head(grid)
    rng = np.random.default_rng(1)
    poor = mask & (points(grid)[..., 1] > 15)
    field = field + poor * 0.1 * rng.standard_normal(grid.shape).astype(np.float32)
    weight = np.where(poor, 1e-3, 1.0).astype(np.float32)
    kept = (chi := invert_sstv(field, mask, grid)) != 0
    weighted = invert_sstv(field, mask, grid, weight=weight)
    good = kept & ~poor
    assert nrmse(weighted, truth, good) < 0.8 * nrmse(chi, truth, good)


def test_edges_of_the_magnitude_may_be_edges_of_the_map():
    grid = GRIDS['axial']
    truth, mask, field = head(grid)
    rng = np.random.default_rng(2)
    field = field + 0.004 * rng.standard_normal(grid.shape).astype(np.float32)
    magnitude = 1 - 4 * np.abs(truth)  # iron and calcium are dark
    kept = (plain := invert_sstv(field, mask, grid)) != 0
    sharper = invert_sstv(field, mask, grid, magnitude=magnitude)
    assert nrmse(sharper, truth, kept) < 0.97 * nrmse(plain, truth, kept)
    even = invert_sstv(field, mask, grid, magnitude=np.ones(grid.shape))
    np.testing.assert_array_equal(even, plain)


def test_unusable_input():
    grid = Grid((20, 20, 20), (2.0, 2.0, 2.0))
    field = np.zeros(grid.shape, np.float32)
    with pytest.raises(ValueError, match='empty'):
        invert_sstv(field, field > 0, grid)
    thin = field.copy()
    thin[10] = 1
    with pytest.raises(ValueError, match='too thin'):
        invert_sstv(field, thin, grid)
    for wrong in ({'penalty': 0.0}, {'iterations': 0}, {'smallest_radius_voxels': 0.5}):
        with pytest.raises(ValueError, match=r'.+\n.+\n.+'):
            SstvParameters(**wrong)
