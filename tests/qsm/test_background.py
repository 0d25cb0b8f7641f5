import numpy as np
import pytest
from scipy import ndimage

from qsmbids.qsm.fft import PaddedFFT
from qsmbids.qsm.grid import Grid
from qsmbids.qsm.harperella import (
    HarperellaParameters,
    remove_background_harperella,
    unwrap_harperella,
)
from qsmbids.qsm.ismv import IsmvParameters, remove_background_ismv
from qsmbids.qsm.kernels import dipole_kernel, sphere_kernel
from qsmbids.qsm.quality import nrmse
from qsmbids.qsm.region import MaskedRegion
from qsmbids.qsm.resharp import ResharpParameters, remove_background_resharp
from qsmbids.qsm.sharp import SharpParameters, remove_background_sharp
from qsmbids.qsm.vsharp import VsharpParameters, remove_background_vsharp, sphere_radii

REMOVE = {
    'vsharp': remove_background_vsharp,
    'resharp': remove_background_resharp,
    'sharp': remove_background_sharp,
    'ismv': remove_background_ismv,
    'harperella': remove_background_harperella,
}
METHODS = pytest.mark.parametrize('remove', REMOVE.values(), ids=REMOVE)
# of the background's spread, deep inside: methods that undo their filter amplify what a ball
# of few thick voxels leaves of a harmonic field
LEAK = {
    remove_background_ismv: 0.01,
    remove_background_harperella: 0.002,
    remove_background_resharp: 0.002,
}
GRIDS = [
    Grid((61, 59, 57), (2.0, 2.0, 2.0)),
    Grid((63, 61, 41), (2.0, 2.0, 3.0), (0.5, 0.0, 0.8660254)),
    Grid((121, 119, 39), (1.0, 1.0, 3.0), (0.0, 0.6, 0.8)),
]


def axes_mm(grid):
    centred = (
        (np.arange(n) - (n - 1) / 2) * h for n, h in zip(grid.shape, grid.voxel_size, strict=True)
    )
    return np.meshgrid(*centred, indexing='ij', sparse=True)


def brain(grid, radius=45.0):
    x, y, z = axes_mm(grid)
    return (x**2 + (y / 1.1) ** 2 + (z / 0.95) ** 2) < radius**2


def dipole_field(grid, position, strength=1.0):
    """Field of a small source, exact and harmonic away from it."""
    x, y, z = (a - p for a, p in zip(axes_mm(grid), position, strict=True))
    r2 = np.maximum(x**2 + y**2 + z**2, 1.0)
    along = sum(a * b for a, b in zip((x, y, z), grid.b0_direction, strict=True))
    return strength * (3 * along**2 / r2 - 1) / r2**1.5


def outside_field(grid):
    """Sources 12 to 30 mm from the brain: sinuses, ears, the neck; peak about 1."""
    sources = [
        ((4, 58, -30), 9e3),
        ((55, -10, -28), -4e3),
        ((-52, 5, -36), 5e3),
        ((2, -9, 72), 2e4),
    ]
    return sum(dipole_field(grid, p, s) for p, s in sources) + 0.3


def field_of(chi, grid):
    fft = PaddedFFT(grid.shape, grid.voxel_size)
    kernel = dipole_kernel(fft.padded_shape, grid.voxel_size, grid.b0_direction)
    return fft.inverse(fft.forward(chi.astype(np.float32)) * kernel)


def inside_field(grid):
    """Field of spheres deep in the brain and of a ribbon-like layer of cortex."""
    x, y, z = axes_mm(grid)
    chi = np.zeros(grid.shape, np.float32)
    for (px, py, pz), radius, value in [
        ((14, 5, 4), 8, 0.1), ((-14, 5, 4), 8, 0.1), ((0, -20, -12), 6, -0.08),
        ((20, 22, 10), 5, 0.12), ((-18, -24, 18), 5, 0.06),
    ]:  # fmt: skip
        chi[(x - px) ** 2 + (y - py) ** 2 + (z - pz) ** 2 < radius**2] = value
    return field_of(chi, grid)


def core(mask, grid, depth_mm=13.0):
    region = MaskedRegion.of(mask, grid)
    return region.paste(region.depth_mm()) > depth_mm


@METHODS
@pytest.mark.parametrize('grid', GRIDS, ids=['iso', 'oblique', 'anisotropic'])
def test_field_of_outside_sources_disappears(remove, grid):
    mask, field = brain(grid), outside_field(grid)
    local, after = remove(field, mask, grid)
    assert after.sum() > 0.6 * mask.sum()
    leak = LEAK.get(remove, 0.001)
    assert local[core(mask, grid)].std() < leak * field[mask].std()
    assert local[after].std() < 2 * leak * field[mask].std()


@METHODS
@pytest.mark.parametrize('grid', GRIDS, ids=['iso', 'oblique', 'anisotropic'])
def test_field_of_inside_sources_is_kept(remove, grid):
    mask, truth = brain(grid), inside_field(grid)
    inner = core(mask, grid)
    local, _ = remove(truth + outside_field(grid), mask, grid)
    error = (local - truth)[inner]  # the background is 40 times as strong as the truth
    slope = np.polyfit(truth[inner], local[inner], 1)[0]
    assert 0.9 < slope < 1.1
    assert error.std() < (0.25 if remove is remove_background_ismv else 0.2) * truth[inner].std()


@METHODS
def test_result_is_linear_in_the_field(remove):
    grid = GRIDS[1]
    mask = brain(grid)
    a, b = inside_field(grid), outside_field(grid).astype(np.float32)
    both, _ = remove(3 * a - 2 * b, mask, grid)
    separate = 3 * remove(a, mask, grid)[0] - 2 * remove(b, mask, grid)[0]
    scale = np.abs(separate).max()
    # RESHARP is linear up to its stop
    assert (
        np.abs(both - separate).max()
        < (1e-4 if remove is remove_background_vsharp else 0.03) * scale
    )


@METHODS
def test_mask_after_is_a_subset_and_the_field_zero_elsewhere(remove):
    grid = GRIDS[0]
    mask = brain(grid)
    x, y, z = axes_mm(grid)
    mask &= ~(x**2 + (y - 5) ** 2 + (z - 3) ** 2 < 5**2)  # a hole
    local, after = remove(outside_field(grid), mask, grid)
    assert after.dtype == bool
    assert local.dtype == np.float32
    assert after.any()
    assert not (after & ~mask).any()
    assert after.sum() < mask.sum()
    assert not local[~after].any()


@METHODS
def test_values_outside_the_mask_do_not_matter(remove):
    grid = GRIDS[0]
    mask = brain(grid)
    field = outside_field(grid)
    plain, _ = remove(field, mask, grid)
    spoiled = np.where(mask, field, np.nan)
    spoiled[0, 0, 0] = np.inf
    assert np.array_equal(remove(spoiled, mask, grid)[0], plain)


@METHODS
def test_field_of_view_of_air_does_not_matter(remove):
    grid = GRIDS[0]
    mask, field = brain(grid), outside_field(grid)
    local, after = remove(field, mask, grid)
    wide = Grid((80, 70, 65), grid.voxel_size)
    shift = ((7, 12), (3, 8), (0, 8))
    local_wide, after_wide = remove(np.pad(field, shift), np.pad(mask, shift), wide)
    assert np.array_equal(after_wide, np.pad(after, shift))
    assert np.array_equal(local_wide, np.pad(local, shift))


@METHODS
def test_flips_and_permutations_commute(remove):
    grid = GRIDS[2]
    field, mask = outside_field(grid) + inside_field(grid), brain(grid)
    mask[:40, :30] = False  # not symmetric
    local, after = remove(field, mask, grid)
    order = (2, 0, 1)
    turned_grid = Grid(*(tuple(np.array(v)[list(order)]) for v in (grid.shape, grid.voxel_size)))
    turned_local, turned_after = remove(
        field.transpose(order)[::-1], mask.transpose(order)[::-1], turned_grid
    )
    assert np.array_equal(turned_after, after.transpose(order)[::-1])
    scale = np.abs(local).max()
    assert np.abs(turned_local - local.transpose(order)[::-1]).max() < 0.01 * scale


@METHODS
def test_source_free_brain_at_the_border_of_a_tight_field_of_view(remove):
    """The brain touches every face of the array: no wrap-around, no peeking outside."""
    grid = Grid((46, 50, 44), (2.0, 2.0, 2.0))
    mask = np.ones(grid.shape, bool)
    field = outside_field(grid)  # sources lie beyond the array
    x, y, z = axes_mm(grid)
    far_enough = (abs(x) < 30) & (abs(y) < 32) & (abs(z) < 30)
    local, after = remove(field, mask, grid)
    assert not after[0].any()
    assert not after[..., -1].any()
    assert local[far_enough].std() < 0.02 * field.std()


@METHODS
def test_bad_input_is_explained(remove):
    grid = Grid((20, 20, 20))
    field, mask = np.zeros(grid.shape), np.zeros(grid.shape, bool)
    with pytest.raises(ValueError, match='mask is empty'):
        remove(field, mask, grid)
    mask[10, 10, 10] = True
    with pytest.raises(ValueError, match='too thin'):
        remove(field, mask, grid)
    mask[2:18, 2:18, 2:18] = True
    field[10, 10, 10] = np.nan
    with pytest.raises(ValueError, match='not a number in 1 voxels'):
        remove(field, mask, grid)
    with pytest.raises(ValueError, match='shape'):
        remove(field[1:], mask, grid)
    with pytest.raises(ValueError, match='shape'):
        remove(field, mask[1:], grid)
    with pytest.raises(ValueError, match='complex'):
        remove(field * 1j, mask, grid)


@METHODS
def test_smallest_possible_masks_work(remove):
    grid = Grid((17, 17, 17), (2.0, 2.0, 2.0))
    x, y, z = axes_mm(grid)
    mask = x**2 + y**2 + z**2 < 11**2
    local, after = remove(0.1 * z + 0 * x + 0 * y, mask, grid)
    assert 0 < after.sum() < 400
    assert np.abs(local).max() < 1e-3


@METHODS
def test_zero_field_gives_zero(remove):
    grid = GRIDS[0]
    local, _ = remove(np.zeros(grid.shape), brain(grid), grid)
    assert not local.any()


def test_eroded_rim_is_two_voxels_for_vsharp_and_the_radius_for_resharp():
    grid = Grid((61, 61, 61), (2.0, 2.0, 2.0))
    mask = brain(grid)
    region = MaskedRegion.of(mask, grid)
    depth = region.paste(region.depth_mm())
    _, after = remove_background_vsharp(outside_field(grid), mask, grid)
    assert after[depth > 6].all()
    assert not after[depth < 4].any()
    _, after = remove_background_resharp(outside_field(grid), mask, grid)
    assert after[depth > 8.5].all()
    assert not after[depth < 6].any()


def test_a_smallest_sphere_of_one_voxel_adds_a_layer_of_noise():
    """The mean over a voxel and its neighbours takes most of the local field with it."""
    grid = GRIDS[0]
    mask = brain(grid)
    rng = np.random.default_rng(4)
    texture = ndimage.gaussian_filter(rng.standard_normal(grid.shape), 2.0)
    truth = field_of(np.where(mask, texture / texture.std() * 0.05, 0), grid)
    total = truth + outside_field(grid) + 0.005 * rng.standard_normal(grid.shape)
    two, after_two = remove_background_vsharp(total, mask, grid)
    thin = VsharpParameters(smallest_radius_voxels=1.0)
    one, after_one = remove_background_vsharp(total, mask, grid, parameters=thin)
    added = after_one & ~after_two
    assert added.any()
    assert nrmse(one, truth, added) > 100  # worse than no field at all
    assert nrmse(two, truth, after_two) < 75


def test_radii_of_vsharp():
    assert sphere_radii(VsharpParameters(), Grid((9, 9, 9))) == [
        12,
        11,
        10,
        9,
        8,
        7,
        6,
        5,
        4,
        3,
        2,
    ]
    thick = sphere_radii(VsharpParameters(), Grid((9, 9, 9), (0.5, 0.5, 4.0)))
    assert thick[0] == 12
    assert thick[-1] == 4.0  # one slice, as two voxels of the mean size are shorter
    assert thick == sorted(thick, reverse=True)


def test_damping_of_resharp_makes_the_field_smaller():
    grid = GRIDS[0]
    mask, field = brain(grid), inside_field(grid)
    sizes = []
    for damping in (1e-4, 1e-2, 1.0):
        parameters = ResharpParameters(damping=damping)
        local, _ = remove_background_resharp(field, mask, grid, parameters=parameters)
        sizes.append(np.linalg.norm(local))
    assert sizes[0] > sizes[1] > sizes[2]


def test_resharp_reports_progress_and_stops_at_its_limit():
    grid = GRIDS[0]
    calls = []
    parameters = ResharpParameters(max_iterations=4)
    remove_background_resharp(
        outside_field(grid), brain(grid), grid,
        parameters=parameters, progress=lambda f, text: calls.append((f, text)),
    )  # fmt: skip
    assert [f for f, _ in calls] == [0.25, 0.5, 0.75, 1.0]
    assert all('RESHARP' in text for _, text in calls)


@pytest.mark.parametrize(
    ('kind', 'values'),
    [
        (VsharpParameters, {'threshold': 0}),
        (VsharpParameters, {'largest_radius_mm': -1}),
        (VsharpParameters, {'radius_step_mm': 0}),
        (ResharpParameters, {'radius_mm': 0}),
        (ResharpParameters, {'damping': -1e-3}),
        (ResharpParameters, {'max_iterations': 0}),
        (SharpParameters, {'threshold': 1.5}),
        (IsmvParameters, {'tolerance': 0.0}),
        (HarperellaParameters, {'rim_mm': -1.0}),
    ],
)
def test_impossible_parameters_are_refused(kind, values):
    with pytest.raises(ValueError, match=r'V-SHARP|RESHARP|SHARP|iSMV|HARPERELLA'):
        kind(**values)


def test_depth_counts_the_border_of_the_array_as_outside():
    grid = Grid((5, 5, 5), (1.0, 2.0, 3.0))
    region = MaskedRegion.of(np.ones(grid.shape, bool), grid)
    depth = region.depth_mm()
    assert depth[0, 2, 2] == 1
    assert depth[2, 2, 2] == 3  # three voxels of 1 mm to the side
    outside = ndimage.distance_transform_edt(np.pad(region.mask, 1), sampling=grid.voxel_size)
    assert np.allclose(depth, outside[1:-1, 1:-1, 1:-1])


def test_harperella_unwraps():
    """From wrapped phase the same comes out as from the field itself."""
    grid = GRIDS[0]
    mask = brain(grid)
    field = inside_field(grid) + outside_field(grid)
    scale = 10.0  # rad per unit: several wraps
    phase = np.angle(np.exp(1j * scale * field))
    assert np.abs(phase - scale * field)[mask].max() > np.pi
    local, after = remove_background_harperella(field, mask, grid)
    unwrapped, after_unwrapped = unwrap_harperella(phase, mask, grid)
    both = after & after_unwrapped  # a few loops do not close where the phase is steep
    assert both.sum() > 0.99 * after.sum()
    assert np.abs(unwrapped / scale - local)[both].max() < 0.02 * np.abs(field[mask]).max()


def test_ismv_is_where_the_published_iteration_leads():
    grid = Grid((41, 39, 37), (2.0, 2.0, 2.0))
    mask = brain(grid, 30.0)
    field = (inside_field(grid) + outside_field(grid)).astype(np.float32)
    parameters = IsmvParameters(tolerance=1e-5, max_iterations=300)
    local, after = remove_background_ismv(field, mask, grid, parameters=parameters)
    sphere = sphere_kernel(parameters.radius_mm, grid.voxel_size)
    masked = np.where(mask, field, 0)
    background = masked.copy()
    for _ in range(600):
        background = np.where(after, ndimage.convolve(background, sphere), masked)
    expected = np.where(after, masked - background, 0)
    assert np.abs(local - expected).max() < 0.01 * np.abs(expected).max()
