import numpy as np
import pytest
from scipy.ndimage import convolve, distance_transform_edt

from qsmbids.qsm.grid import Grid
from qsmbids.qsm.ismv import IsmvParameters, remove_background_ismv
from qsmbids.qsm.kernels import kernel_reach, sphere_kernel

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
    local, after = remove_background_ismv(outside, mask, grid)
    assert local[after].std() < 0.004 * outside[mask].std()
    local, after = remove_background_ismv(outside + inside, mask, grid)
    deep = after & (depth(mask, grid) > 8)
    assert deep.sum() > 0.2 * mask.sum()
    assert (local - inside)[deep].std() < 0.2 * inside[deep].std()
    assert 0.9 < np.polyfit(inside[deep], local[deep], 1)[0] < 1.1


def test_result_is_the_fixed_point_of_the_published_iteration():
    """b <- M (S * b) + (1 - M) f leaves b = f - l as it is."""
    grid = Grid((33, 31, 29), (2.0, 2.0, 2.0))
    mask, field = brain(grid), outside_field(grid) + inside_field(grid)
    parameters = IsmvParameters(tolerance=1e-6)
    local, after = remove_background_ismv(field, mask, grid, parameters=parameters)
    background = np.where(mask, field, 0) - local
    sphere = sphere_kernel(parameters.radius_mm, grid.voxel_size)
    assert np.array_equal(after, depth(mask, grid) > kernel_reach(sphere, grid.voxel_size))
    mean = convolve(background, sphere, mode='constant')
    assert np.abs(mean - background)[after].max() < 1e-3 * np.abs(local).max()


def test_few_iterations_are_enough():
    grid = GRIDS[1]
    calls = []
    remove_background_ismv(
        outside_field(grid) + inside_field(grid), brain(grid), grid,
        progress=lambda f, text: calls.append(text),
    )  # fmt: skip
    assert 0 < len(calls) < 20
    assert all('iSMV' in text for text in calls)


def test_a_wider_sphere_loses_a_wider_rim():
    grid = GRIDS[0]
    mask, field = brain(grid), outside_field(grid)
    sizes = [
        remove_background_ismv(field, mask, grid, parameters=IsmvParameters(radius_mm=r))[1].sum()
        for r in (4.0, 6.0, 9.0)
    ]
    assert mask.sum() > sizes[0] > sizes[1] > sizes[2] > 0


def test_odd_input_and_parameters():
    grid = Grid((16, 15, 14))
    mask, field = np.zeros(grid.shape, bool), np.ones(grid.shape)
    with pytest.raises(ValueError, match='mask is empty'):
        remove_background_ismv(field, mask, grid)
    single = mask.copy()
    single[5, 5, 5] = True
    with pytest.raises(ValueError, match='too thin for iSMV'):
        remove_background_ismv(field, single, grid)
    local, after = remove_background_ismv(field, ~mask, grid)
    assert after.any()
    assert np.abs(local).max() < 1e-4  # a constant is background
    assert not remove_background_ismv(0 * field, ~mask, grid)[0].any()
    for values in ({'radius_mm': 0.0}, {'tolerance': 0.0}, {'max_iterations': 0}):
        with pytest.raises(ValueError, match='iSMV'):
            IsmvParameters(**values)
