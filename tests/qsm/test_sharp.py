import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from qsmbids.qsm.grid import Grid
from qsmbids.qsm.resharp import ResharpParameters, remove_background_resharp
from qsmbids.qsm.sharp import SharpParameters, remove_background_sharp

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
    local, after = remove_background_sharp(outside, mask, grid)
    assert local[after].std() < 0.004 * outside[mask].std()
    local, after = remove_background_sharp(outside + inside, mask, grid)
    deep = after & (depth(mask, grid) > 8)
    assert deep.sum() > 0.2 * mask.sum()
    assert (local - inside)[deep].std() < 0.3 * inside[deep].std()
    assert 0.9 < np.polyfit(inside[deep], local[deep], 1)[0] < 1.1


def test_linear_in_the_field():
    grid = GRIDS[1]
    mask, a, b = brain(grid), inside_field(grid), outside_field(grid)
    both, _ = remove_background_sharp(3 * a - 2 * b, mask, grid)
    separate = 3 * remove_background_sharp(a, mask, grid)[0]
    separate -= 2 * remove_background_sharp(b, mask, grid)[0]
    assert np.abs(both - separate).max() < 1e-3 * np.abs(separate).max()


def test_a_higher_threshold_keeps_less():
    grid = GRIDS[0]
    mask, field = brain(grid), inside_field(grid)
    sizes = [
        np.linalg.norm(
            remove_background_sharp(field, mask, grid, parameters=SharpParameters(threshold=t))[0]
        )
        for t in (0.02, 0.2, 0.8)
    ]
    assert sizes[0] > sizes[1] > sizes[2]


def test_resharp_is_exact_where_plain_division_is_not():
    """The sphere is the same; the difference is what each assumes of the lost rim."""
    grid = GRIDS[0]
    mask, inside = brain(grid), inside_field(grid)
    field = inside + outside_field(grid)
    errors = []
    for remove in (remove_background_sharp, remove_background_resharp):
        local, after = remove(field, mask, grid)
        errors.append((local - inside)[after].std())
    assert errors[1] < 0.7 * errors[0]


def test_resharp_needs_few_iterations_and_survives_noise_in_the_rim():
    grid = GRIDS[0]
    mask, field = brain(grid), inside_field(grid) + outside_field(grid)
    rng = np.random.default_rng(3)
    noisy = field + (0.01 * rng.standard_normal(grid.shape)).astype(np.float32)
    calls = []
    clean, after = remove_background_resharp(field, mask, grid)
    local, _ = remove_background_resharp(
        noisy, mask, grid, progress=lambda f, text: calls.append(text)
    )
    assert 0 < len(calls) < 15
    assert (local - clean)[after].std() < 1.1 * 0.01  # the noise stays, nothing is amplified
    tight, _ = remove_background_resharp(
        field, mask, grid, parameters=ResharpParameters(tolerance=1e-6)
    )
    assert np.abs(tight - clean)[after].max() < 0.01 * np.abs(tight).max()


def test_odd_input_and_parameters():
    grid = Grid((17, 16, 15))
    mask, field = np.zeros(grid.shape, bool), np.ones(grid.shape)
    with pytest.raises(ValueError, match='mask is empty'):
        remove_background_sharp(field, mask, grid)
    single = mask.copy()
    single[5, 5, 5] = True
    with pytest.raises(ValueError, match='too thin for SHARP'):
        remove_background_sharp(field, single, grid)
    local, after = remove_background_sharp(field, ~mask, grid)
    assert after.any()
    assert np.abs(local).max() < 1e-4  # a constant is background
    for values in ({'radius_mm': 0.0}, {'threshold': 0.0}, {'threshold': 1.0}):
        with pytest.raises(ValueError, match='SHARP'):
            SharpParameters(**values)
