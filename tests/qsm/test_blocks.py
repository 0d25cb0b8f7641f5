import numpy as np
import pytest

from qsmbids.qsm import blocks
from qsmbids.qsm.blocks import Blocks
from qsmbids.qsm.grid import Grid
from qsmbids.qsm.offset import remove_phase_offset
from qsmbids.qsm.phase import wrap

GRID = Grid((21, 16, 9), (1, 0.8, 2.5), (0.1, 0.2, 0.9))


def axes_mm(grid):
    return np.meshgrid(
        *((np.arange(n) - (n - 1) / 2) * h for n, h in zip(grid.shape, grid.voxel_size, strict=1)),
        indexing='ij',
        sparse=True,
    )


def test_blocks_are_at_most_a_third_of_sigma():
    made = Blocks(GRID, 7.0)
    assert made.factors == (2, 2, 1)
    assert made.grid == Grid((11, 8, 9), (2, 1.6, 2.5), GRID.b0_direction)
    assert Blocks(Grid((5, 5, 5), (3, 3, 3)), 7.0).factors == (1, 1, 1)


def test_sum_keeps_the_total_and_counts_nothing_twice():
    made = Blocks(GRID, 7.0)
    x = np.random.default_rng(0).normal(size=GRID.shape)
    summed = made.sum(x)
    assert summed.shape == made.grid.shape
    assert summed.sum() == pytest.approx(x.sum())
    assert summed[3, 2, 1] == pytest.approx(x[6:8, 4:6, 1].sum())
    assert summed[10, 2, 1] == pytest.approx(x[20, 4:6, 1].sum())  # half a block


@pytest.mark.parametrize('sigma', [1.0, 7.0, 12.0])
def test_a_slope_comes_back_wherever_it_wraps(sigma):
    made = Blocks(GRID, sigma)
    x, y, z = axes_mm(GRID)
    truth = 1.0 + 0.12 * x - 0.1 * y + 0.07 * z
    # the phase at the centre of each block: its mean, but for those cut off by the edge
    factors = made.factors
    grown = [n * f for n, f in zip(made.grid.shape, factors, strict=True)]
    padded = np.pad(truth, [(0, g - n) for g, n in zip(grown, GRID.shape, strict=True)], 'reflect',
                    reflect_type='odd')  # fmt: skip
    centre = Blocks(Grid(padded.shape, GRID.voxel_size), sigma).sum(padded) / np.prod(factors)
    found = made.expand_phase(wrap(centre))
    assert found.shape == GRID.shape
    np.testing.assert_allclose(wrap(found - truth), 0, atol=0.02)


def test_offset_on_blocks_is_that_on_voxels(monkeypatch):
    """At 1 mm blocks are 2 voxels wide, unless smaller ones are asked for."""
    grid = Grid((61, 58, 55), (1, 1, 1))
    x, y, z = axes_mm(grid)
    mask = (x / 28) ** 2 + (y / 27) ** 2 + (z / 26) ** 2 < 1
    times = np.array([0.004, 0.0105])[:, None, None, None]
    field = 1.5 * x + 60 * np.exp(-(x**2 + (y - 30) ** 2 + z**2) / 15**2) - 10
    offset = 2.2 + 0.03 * x - 0.025 * y + 6e-4 * z**2
    rng = np.random.default_rng(0)
    image = mask * np.exp(1j * (2 * np.pi * times * field + offset))
    image = image + rng.normal(0, 0.02, image.shape) + 1j * rng.normal(0, 0.02, image.shape)
    given = np.angle(image), np.abs(image), times.ravel(), mask, grid
    _, on_blocks = remove_phase_offset(*given)
    monkeypatch.setattr(blocks, 'BLOCKS_PER_SIGMA', 100.0)
    _, on_voxels = remove_phase_offset(*given)
    difference = wrap(on_blocks - on_voxels)[mask]
    assert np.abs(difference).max() < 0.03
    assert np.sqrt(np.mean(difference**2)) < 0.005
    assert difference.any()
    errors = [np.std(wrap(found - offset)[mask]) for found in (on_blocks, on_voxels)]
    assert max(errors) < 0.01
