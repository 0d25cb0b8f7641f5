import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from qsmbids.qsm.grid import Grid
from qsmbids.qsm.pdf import PdfParameters, remove_background_pdf

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
    local, after = remove_background_pdf(outside, mask, grid)
    assert local[after].std() < 0.006 * outside[mask].std()
    local, after = remove_background_pdf(outside + inside, mask, grid)
    deep = after & (depth(mask, grid) > 6)
    assert deep.sum() > 0.2 * mask.sum()
    assert (local - inside)[deep].std() < 0.25 * inside[deep].std()
    assert 0.9 < np.polyfit(inside[deep], local[deep], 1)[0] < 1.1


def test_flips_and_permutations_commute():
    grid = GRIDS[2]
    mask, field = brain(grid), outside_field(grid) + inside_field(grid)
    mask[:30, :25] = False  # not symmetric
    local, after = remove_background_pdf(field, mask, grid)
    order = (2, 0, 1)
    turned_grid = Grid(*(tuple(np.array(v)[list(order)]) for v in (grid.shape, grid.voxel_size)))
    turned, turned_after = remove_background_pdf(
        field.transpose(order)[::-1], mask.transpose(order)[::-1], turned_grid
    )
    assert np.array_equal(turned_after, after.transpose(order)[::-1])
    assert np.abs(turned - local.transpose(order)[::-1]).max() < 0.01 * np.abs(local).max()


def test_only_the_mask_counts_and_the_result_scales():
    grid = GRIDS[1]
    mask, field = brain(grid), outside_field(grid) + inside_field(grid)
    local, after = remove_background_pdf(field, mask, grid)
    assert local.dtype == np.float32
    assert after.dtype == bool
    assert not (after & ~mask).any()
    assert not local[~after].any()
    spoiled, _ = remove_background_pdf(np.where(mask, field, np.nan), mask, grid)
    assert np.array_equal(spoiled, local)
    shift = ((3, 1), (0, 5), (2, 2))
    wide_grid = Grid(tuple(n + sum(s) for n, s in zip(grid.shape, shift, strict=True)),
                     grid.voxel_size, grid.b0_direction)  # fmt: skip
    wide, wide_after = remove_background_pdf(np.pad(field, shift), np.pad(mask, shift), wide_grid)
    assert np.array_equal(wide, np.pad(local, shift))
    assert np.array_equal(wide_after, np.pad(after, shift))
    scaled, _ = remove_background_pdf(-30 * field + 7, mask, grid)
    assert np.abs(scaled + 30 * local).max() < 0.01 * 30 * np.abs(local).max()


def test_odd_input():
    grid = Grid((12, 11, 10))
    mask, field = np.zeros(grid.shape, bool), np.ones(grid.shape)
    with pytest.raises(ValueError, match='mask is empty'):
        remove_background_pdf(field, mask, grid)
    mask[5, 5, 5] = True
    with pytest.raises(ValueError, match='too thin for PDF'):
        remove_background_pdf(field, mask, grid)
    local, after = remove_background_pdf(field, np.ones(grid.shape, bool), grid)
    assert after.any()
    assert np.abs(local).max() < 1e-5  # a constant is background
    assert not remove_background_pdf(0 * field, np.ones(grid.shape, bool), grid)[0].any()
    field[5, 5, 5] = np.nan
    with pytest.raises(ValueError, match='not a number in 1 voxels'):
        remove_background_pdf(field, mask, grid)
    with pytest.raises(ValueError, match='shape'):
        remove_background_pdf(field[1:], mask, grid)


def test_it_is_the_projection_onto_the_fields_of_dipoles_outside():
    """Dense least squares over 1600 explicit dipoles, B0 oblique, leaves the same field."""
    grid = Grid((25, 24, 25), (2.0, 2.0, 2.0), (0.36, 0.48, 0.8))
    mask = brain(grid)
    field = inside_field(grid) + outside_field(grid)
    surface = np.stack(axes_mm(grid), -1)[mask & (depth(mask, grid) < 2.1)]
    places = np.indices((17, 17, 17)).reshape(3, -1).T * 4.0 - 32.0  # mm, around the grid
    places = places[np.linalg.norm(places, axis=1) > 15]
    gap = np.array([np.sqrt(((surface - p) ** 2).sum(1)).min() for p in places])
    fields = [dipole(grid, p, 100.0)[mask] for p in places[(gap > 6) & (gap < 14)]]
    design = np.stack([np.ones(mask.sum()), *fields], 1)
    values, vectors = np.linalg.eigh(design.T @ design)
    usable = values > 1e-12 * values[-1]
    found = vectors[:, usable].T @ (design.T @ field[mask].astype(float)) / values[usable]
    expected = field[mask] - design @ (vectors[:, usable] @ found)
    local, _ = remove_background_pdf(field, mask, grid, parameters=PdfParameters(tolerance=1e-4))
    deep = depth(mask, grid)[mask] > 5
    assert np.corrcoef(expected, local[mask])[0, 1] > 0.97
    assert np.corrcoef(expected[deep], local[mask][deep])[0, 1] > 0.99
    assert abs(np.linalg.norm(local[mask]) / np.linalg.norm(expected) - 1) < 0.07


def test_the_local_field_is_as_small_as_it_can_be():
    """No harmonic function, on the grid, can make it smaller: it is orthogonal to all."""
    grid = GRIDS[1]
    mask = brain(grid)
    local, after = remove_background_pdf(
        inside_field(grid), mask, grid, parameters=PdfParameters(tolerance=1e-5)
    )
    x, y, z = axes_mm(grid)
    for harmonic in (np.ones_like(x), x, y, z, x * y, y * z, x**2 - y**2, z**2 - x**2):
        product = np.vdot(local[after], harmonic[after])
        scale = np.linalg.norm(local[after]) * np.linalg.norm(harmonic[after])
        assert abs(product) < 1e-3 * scale


def test_weight_keeps_a_spoiled_region_from_the_rest():
    grid = GRIDS[0]
    mask, field = brain(grid), outside_field(grid) + inside_field(grid)
    y = axes_mm(grid)[1]
    bad = mask & (y > 0.7 * y[mask].max()) & (depth(mask, grid) < 8)
    spoiled = field + np.where(bad, 0.2, 0).astype(np.float32)
    clean, _ = remove_background_pdf(field, mask, grid)
    far = mask & (depth(mask, grid) > 6) & (y < 0)
    errors = []
    for weight in (None, np.where(bad, 0.0, 5.0)):
        local, _ = remove_background_pdf(spoiled, mask, grid, weight=weight)
        errors.append((local - clean)[far].std())
    assert errors[1] < 0.5 * errors[0]
    rescaled, _ = remove_background_pdf(spoiled, mask, grid, weight=np.where(bad, 0.0, 1.0))
    assert np.array_equal(rescaled, local)  # its unit does not matter


def test_bad_weights_and_parameters_are_refused():
    grid = GRIDS[0]
    mask, field = brain(grid), outside_field(grid)
    for weight in (-np.ones(grid.shape), np.zeros(grid.shape), np.full(grid.shape, np.nan)):
        with pytest.raises(ValueError, match='weight'):
            remove_background_pdf(field, mask, grid, weight=weight)
    for values in ({'tolerance': 0.0}, {'max_iterations': 0}):
        with pytest.raises(ValueError, match='PDF'):
            PdfParameters(**values)


def test_progress_is_reported():
    grid = GRIDS[0]
    calls = []
    remove_background_pdf(
        outside_field(grid), brain(grid), grid,
        parameters=PdfParameters(max_iterations=4, tolerance=1e-9),
        progress=lambda f, text: calls.append((f, text)),
    )  # fmt: skip
    assert [f for f, _ in calls] == [0.25, 0.5, 0.75, 1.0]
    assert all('PDF' in text for _, text in calls)
