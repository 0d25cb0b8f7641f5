import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from qsmbids.qsm.grid import Grid
from qsmbids.qsm.lbv import LbvParameters, remove_background_lbv
from qsmbids.qsm.multigrid import MaskedPoisson, surrounded

GRIDS = [
    Grid((45, 43, 41), (2.0, 2.0, 2.0)),
    Grid((47, 45, 31), (2.0, 2.0, 3.0), (0.5, 0.0, 0.8660254)),
    Grid((81, 79, 29), (1.0, 1.0, 3.0), (0.0, 0.6, 0.8)),
]
EACH_GRID = pytest.mark.parametrize('grid', GRIDS, ids=['iso', 'oblique', 'anisotropic'])


def axes_mm(grid):
    pairs = zip(grid.shape, grid.voxel_size, strict=True)
    return np.meshgrid(*((np.arange(n) - (n - 1) / 2) * h for n, h in pairs), indexing='ij')


def brain(grid, share=0.88):
    """An ellipsoid that nearly fills the grid."""
    half = [n * h / 2 for n, h in zip(grid.shape, grid.voxel_size, strict=True)]
    return sum((a / (share * b)) ** 2 for a, b in zip(axes_mm(grid), half, strict=True)) < 1


def dipole(grid, position, strength):
    """Field of a small source, exact and harmonic away from it."""
    offset = [a - p for a, p in zip(axes_mm(grid), position, strict=True)]
    r2 = np.maximum(sum(a**2 for a in offset), 1.0)
    along = sum(a * b for a, b in zip(offset, grid.b0_direction, strict=True))
    return strength * (3 * along**2 / r2 - 1) / r2**1.5


def outside_field(grid):
    half = [n * h / 2 for n, h in zip(grid.shape, grid.voxel_size, strict=True)]
    places = [((0.1, 1.3, -0.7), 3e3), ((1.4, -0.2, 0.3), -2e3), ((0, 0.3, 1.5), 6e3)]
    sources = [([s * b for s, b in zip(p, half, strict=True)], q) for p, q in places]
    return (0.3 + sum(dipole(grid, p, q) for p, q in sources)).astype(np.float32)


def inside_field(grid):
    """Field of two balls near the middle: zero inside, a dipole outside, edges smoothed."""
    total = 0
    for position, radius, chi in (((5, 3, 2), 6, 0.1), ((-7, -4, 1), 5, -0.08)):
        r2 = sum((a - p) ** 2 for a, p in zip(axes_mm(grid), position, strict=True))
        edge = np.clip((np.sqrt(r2) - radius) / max(grid.voxel_size) + 0.5, 0, 1)
        total = total + edge * dipole(grid, position, chi / 3 * radius**3)
    return total.astype(np.float32)


def depth(mask, grid):
    return distance_transform_edt(np.pad(mask, 1), sampling=grid.voxel_size)[1:-1, 1:-1, 1:-1]


@EACH_GRID
def test_background_goes_and_local_field_stays(grid):
    mask, outside, inside = brain(grid), outside_field(grid), inside_field(grid)
    local, after = remove_background_lbv(outside, mask, grid)
    assert local[after].std() < 0.004 * outside[mask].std()
    local, after = remove_background_lbv(outside + inside, mask, grid)
    deep = after & (depth(mask, grid) > 8)
    assert deep.sum() > 0.2 * mask.sum()
    assert (local - inside)[deep].std() < 0.15 * inside[deep].std()
    assert 0.9 < np.polyfit(inside[deep], local[deep], 1)[0] < 1.1


def test_flips_and_permutations_commute():
    grid = GRIDS[2]
    mask, field = brain(grid), outside_field(grid) + inside_field(grid)
    mask[:30, :25] = False  # not symmetric
    local, after = remove_background_lbv(field, mask, grid)
    order = (2, 0, 1)
    turned_grid = Grid(*(tuple(np.array(v)[list(order)]) for v in (grid.shape, grid.voxel_size)))
    turned, turned_after = remove_background_lbv(
        field.transpose(order)[::-1], mask.transpose(order)[::-1], turned_grid
    )
    assert np.array_equal(turned_after, after.transpose(order)[::-1])
    assert np.abs(turned - local.transpose(order)[::-1]).max() < 0.01 * np.abs(local).max()


def test_only_the_mask_counts_and_the_result_scales():
    grid = GRIDS[1]
    mask, field = brain(grid), outside_field(grid) + inside_field(grid)
    local, after = remove_background_lbv(field, mask, grid)
    assert local.dtype == np.float32
    assert after.dtype == bool
    assert not (after & ~mask).any()
    assert not local[~after].any()
    spoiled, _ = remove_background_lbv(np.where(mask, field, np.nan), mask, grid)
    assert np.array_equal(spoiled, local)
    shift = ((3, 1), (0, 5), (2, 2))
    wide_grid = Grid(tuple(n + sum(s) for n, s in zip(grid.shape, shift, strict=True)),
                     grid.voxel_size, grid.b0_direction)  # fmt: skip
    wide, wide_after = remove_background_lbv(np.pad(field, shift), np.pad(mask, shift), wide_grid)
    assert np.array_equal(wide, np.pad(local, shift))
    assert np.array_equal(wide_after, np.pad(after, shift))
    scaled, _ = remove_background_lbv(-30 * field + 7, mask, grid)
    assert np.abs(scaled + 30 * local).max() < 0.01 * 30 * np.abs(local).max()


def test_odd_input():
    grid = Grid((12, 11, 10))
    mask, field = np.zeros(grid.shape, bool), np.ones(grid.shape)
    with pytest.raises(ValueError, match='mask is empty'):
        remove_background_lbv(field, mask, grid)
    mask[5, 5, 5] = True
    with pytest.raises(ValueError, match='too thin for LBV'):
        remove_background_lbv(field, mask, grid)
    local, after = remove_background_lbv(field, np.ones(grid.shape, bool), grid)
    assert after.any()
    assert np.abs(local).max() < 1e-5  # a constant is background
    assert not remove_background_lbv(0 * field, np.ones(grid.shape, bool), grid)[0].any()
    field[5, 5, 5] = np.nan
    with pytest.raises(ValueError, match='not a number in 1 voxels'):
        remove_background_lbv(field, mask, grid)
    with pytest.raises(ValueError, match='shape'):
        remove_background_lbv(field[1:], mask, grid)


def test_a_field_that_is_harmonic_on_the_grid_disappears_entirely():
    grid = Grid((33, 31, 29), (1.0, 1.5, 2.0))
    x, y, z = axes_mm(grid)
    field = 2 + 0.1 * x - 0.2 * y + 0.01 * (x**2 - z**2) + 0.02 * x * y
    local, after = remove_background_lbv(field, brain(grid), grid)
    assert after.any()
    assert np.abs(local).max() < 1e-4 * field.std()


def test_peeling_takes_layers_off():
    grid = GRIDS[0]
    mask, field = brain(grid), inside_field(grid)
    expected = surrounded(mask)
    for peel in (0, 1, 2):
        parameters = LbvParameters(peel_layers=peel)
        _, after = remove_background_lbv(field, mask, grid, parameters=parameters)
        assert np.array_equal(after, expected)
        expected = surrounded(expected)


@pytest.mark.parametrize(
    ('shape', 'voxel_size'),
    [((47, 52, 49), (1, 1, 1)), ((61, 60, 17), (1, 1, 3)), ((50, 57, 20), (0.5, 0.5, 3.0)),
     ((30, 34, 60), (2.0, 1.0, 4.0)), ((9, 40, 5), (1, 1, 1))],
)  # fmt: skip
def test_multigrid_converges_in_ragged_masks(shape, voxel_size):
    rng = np.random.default_rng(1)
    grid = Grid(shape, voxel_size)
    for mask in (np.ones(shape, bool), brain(grid, 1.0) & (rng.random(shape) > 0.02)):
        active = surrounded(mask)
        right = rng.standard_normal(shape).astype(np.float32) * active
        residuals = []
        poisson = MaskedPoisson(active, voxel_size)
        u = poisson.solve(
            right, tolerance=1e-5, max_cycles=15, progress=lambda _, r, to=residuals: to.append(r)
        )
        assert residuals[-1] <= 1e-5
        assert not u[~active].any()
        image = poisson.apply(u, np.zeros_like(u))
        assert np.abs(image - right)[active].max() < 1e-3


def test_one_cycle_is_linear_and_symmetric():
    """What conjugate gradients demand of a preconditioner."""
    grid = GRIDS[1]
    poisson = MaskedPoisson(surrounded(brain(grid)), grid.voxel_size)
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((2, *grid.shape)).astype(np.float32) * poisson.active
    left, right = np.vdot(a, poisson.inverse(b)), np.vdot(poisson.inverse(a), b)
    size = np.linalg.norm(a) * np.linalg.norm(poisson.inverse(b))
    assert abs(left - right) < 1e-5 * size
    assert np.vdot(a, poisson.inverse(a)) > 0


def test_progress_ends_at_one():
    grid = GRIDS[0]
    calls = []
    remove_background_lbv(
        outside_field(grid), brain(grid), grid, progress=lambda f, text: calls.append((f, text))
    )
    assert calls[-1][0] == 1
    assert all(0 <= f <= 1 and 'LBV' in text for f, text in calls)


@pytest.mark.parametrize(
    'values', [{'peel_layers': -1}, {'peel_layers': 0.5}, {'tolerance': 0.0}, {'max_cycles': 0}]
)
def test_impossible_parameters_are_refused(values):
    with pytest.raises(ValueError, match='LBV'):
        LbvParameters(**values)
