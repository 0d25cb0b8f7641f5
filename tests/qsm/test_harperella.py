import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from qsmbids.qsm.grid import Grid
from qsmbids.qsm.harperella import (
    HarperellaParameters,
    remove_background_harperella,
    unwrap_harperella,
)
from qsmbids.qsm.pdf import PdfParameters, remove_background_pdf
from qsmbids.qsm.phase import wrap

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
    local, after = remove_background_harperella(outside, mask, grid)
    assert local[after].std() < 0.006 * outside[mask].std()
    local, after = remove_background_harperella(outside + inside, mask, grid)
    deep = after & (depth(mask, grid) > 6)
    assert deep.sum() > 0.2 * mask.sum()
    assert (local - inside)[deep].std() < 0.25 * inside[deep].std()
    assert 0.9 < np.polyfit(inside[deep], local[deep], 1)[0] < 1.1


def test_without_a_rim_it_is_pdf_without_weights():
    """Two names, two derivations, one minimum."""
    grid = GRIDS[1]
    mask, field = brain(grid), outside_field(grid) + inside_field(grid)
    a, after_a = remove_background_harperella(
        field, mask, grid, parameters=HarperellaParameters(rim_mm=0.0, tolerance=1e-5)
    )
    b, after_b = remove_background_pdf(field, mask, grid, parameters=PdfParameters(tolerance=1e-5))
    assert not (after_a & ~after_b).any()  # PDF keeps the outermost layer as well
    assert np.abs(a - b)[after_a].max() < 0.01 * np.abs(a).max()


@EACH_GRID
def test_wrapped_phase_gives_what_unwrapped_phase_gives(grid):
    mask = brain(grid)
    phase = outside_field(grid) + inside_field(grid)
    phase *= np.float32(9 / np.ptp(phase[mask]))  # rad
    wrapped = wrap(phase)
    assert (np.abs(wrapped - phase)[mask] > 1).any()
    expected, _ = remove_background_harperella(phase, mask, grid)
    local, after = unwrap_harperella(wrapped, mask, grid)
    assert after.any()
    assert np.abs(local - expected).max() < 0.02


def test_errors_of_a_distrusted_rim_do_less_harm():
    grid = GRIDS[0]
    mask, field = brain(grid), outside_field(grid) + inside_field(grid)
    rim, deep = mask & (depth(mask, grid) < 3), depth(mask, grid) > 8
    x, y, _ = axes_mm(grid)
    spoiled = field + np.where(rim & (y > 0) & (x > 0), 0.05, 0).astype(np.float32)
    errors = []
    for rim_mm in (0.0, 6.0):
        parameters = HarperellaParameters(rim_mm=rim_mm)
        clean, after = remove_background_harperella(field, mask, grid, parameters=parameters)
        local, _ = remove_background_harperella(spoiled, mask, grid, parameters=parameters)
        assert after[deep].all()
        assert after[rim].any() == (rim_mm == 0)
        errors.append((local - clean)[deep].std())
    assert errors[1] < errors[0]


def test_voxels_around_which_the_phase_does_not_close_are_left_out():
    """A source so strong that the phase turns by more than pi from voxel to voxel."""
    grid = GRIDS[0]
    mask = brain(grid)
    phase = 0.5 * outside_field(grid) + dipole(grid, (12, 9, -6), 800.0)
    truth = 0.5 * outside_field(grid)
    near = sum((a - p) ** 2 for a, p in zip(axes_mm(grid), (12, 9, -6), strict=True)) < 12**2
    local, after = unwrap_harperella(wrap(phase), mask, grid)
    assert not after[near].all()
    assert after[~near & (depth(mask, grid) > 4)].all()
    sound, _ = remove_background_harperella(truth, mask & ~near, grid)
    assert np.abs(sound).max() < np.abs(local).max() < 20  # rad: no runaway from the poles


def test_odd_input_and_parameters():
    grid = Grid((12, 11, 10))
    mask, field = np.zeros(grid.shape, bool), np.ones(grid.shape)
    for remove in (remove_background_harperella, unwrap_harperella):
        with pytest.raises(ValueError, match='mask is empty'):
            remove(field, mask, grid)
        single = mask.copy()
        single[5, 5, 5] = True
        with pytest.raises(ValueError, match='too thin for HARPERELLA'):
            remove(field, single, grid)
        assert not remove(field, ~mask, grid)[0].any()
        with pytest.raises(ValueError, match='not a number'):
            remove(field * np.nan, single, grid)
    for values in ({'rim_mm': -1.0}, {'tolerance': 0.0}, {'max_iterations': 0}):
        with pytest.raises(ValueError, match='HARPERELLA'):
            HarperellaParameters(**values)
