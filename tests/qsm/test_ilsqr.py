import numpy as np
import pytest

from qsmbids.qsm.fft import PaddedFFT
from qsmbids.qsm.grid import Grid
from qsmbids.qsm.ilsqr import IlsqrParameters, invert_ilsqr
from qsmbids.qsm.kernels import dipole_kernel
from qsmbids.qsm.quality import nrmse, streak_score
from qsmbids.qsm.tkd import invert_tkd

OBLIQUE = Grid((37, 35, 31), (1.0, 1.1, 1.4), (0.5, 0.0, 0.8660254))  # 30 degrees
AXIAL = Grid((40, 40, 40))
NUCLEI = [
    ((0.3, 0.1, 0.0), 0.22, 0.10), ((-0.35, 0.1, 0.1), 0.18, 0.05),
    ((0.0, -0.4, -0.2), 0.16, 0.15), ((-0.1, 0.35, 0.35), 0.15, -0.06),
]  # fmt: skip


def ball(grid, centre, radius):
    """A sphere given by fractions of the smallest half-width of the grid."""
    half = min(n * h for n, h in zip(grid.shape, grid.voxel_size, strict=True)) / 2
    axes = np.meshgrid(
        *((np.arange(n) - n // 2) * h / half
          for n, h in zip(grid.shape, grid.voxel_size, strict=True)), indexing='ij',
    )  # fmt: skip
    return sum((a - c) ** 2 for a, c in zip(axes, centre, strict=True)) < radius**2


def head(grid, noise=0.0005):
    """Nuclei in a ball: chi, its field with noise, and the mask."""
    chi = np.zeros(grid.shape, np.float32)
    for centre, radius, value in NUCLEI:
        chi[ball(grid, centre, radius)] = value
    fft = PaddedFFT(grid.shape, grid.voxel_size, 80.0)
    kernel = dipole_kernel(fft.padded_shape, grid.voxel_size, grid.b0_direction)
    field = fft.inverse(fft.forward(chi) * kernel)
    field += noise * np.random.default_rng(1).standard_normal(grid.shape).astype(np.float32)
    return chi, field, ball(grid, (0, 0, 0), 0.9)


@pytest.mark.parametrize('grid', [AXIAL, OBLIQUE], ids=['axial', 'oblique anisotropic odd'])
def test_nuclei_are_recovered_and_the_cone_is_filled(grid):
    truth, field, mask = head(grid)
    chi = invert_ilsqr(field, mask, grid, weight=np.ones(grid.shape))
    direct = invert_tkd(field, mask, grid)
    assert chi.dtype == np.float32
    assert not chi[~mask].any()
    assert nrmse(chi, truth, mask) < 0.5 * nrmse(direct, truth, mask)
    streaks = [streak_score(np.where(mask, m, 0), mask, grid) for m in (truth, chi, direct)]
    assert abs(streaks[1] - streaks[0]) < 0.5 * abs(streaks[2] - streaks[0])
    wrong = Grid(grid.shape, grid.voxel_size, (1.0, 0.0, 0.0))
    assert nrmse(invert_ilsqr(field, mask, wrong), truth, mask) > 2 * nrmse(chi, truth, mask)


def test_taking_off_streaks_is_what_helps():
    truth, field, mask = head(AXIAL)
    even = np.ones(AXIAL.shape)
    full = invert_ilsqr(field, mask, AXIAL, weight=even)
    hardly = IlsqrParameters(cone=0.001, damping=1e3)  # the same damping, no cone to clean
    first = invert_ilsqr(field, mask, AXIAL, weight=even, parameters=hardly)
    assert nrmse(full, truth, mask) < 0.85 * nrmse(first, truth, mask)


def test_without_weight_rough_voxels_count_less():
    truth, field, mask = head(AXIAL)
    rng = np.random.default_rng(3)
    bad = rng.random(AXIAL.shape) < 0.005
    field = field + np.where(bad, 0.3 * rng.standard_normal(AXIAL.shape), 0)
    even = invert_ilsqr(field, mask, AXIAL, weight=np.ones(AXIAL.shape))
    assert nrmse(invert_ilsqr(field, mask, AXIAL), truth, mask) < 0.9 * nrmse(even, truth, mask)
    known = np.where(bad, 0.01, 1.0)
    weighted = invert_ilsqr(field, mask, AXIAL, weight=known)
    assert nrmse(weighted, truth, mask) < 0.7 * nrmse(even, truth, mask)
    assert np.allclose(invert_ilsqr(field, mask, AXIAL, weight=70 * known), weighted, atol=1e-5)


def test_the_map_grows_with_the_field():
    _, field, mask = head(OBLIQUE)
    chi = invert_ilsqr(field, mask, OBLIQUE)
    assert np.allclose(invert_ilsqr(4 * field, mask, OBLIQUE), 4 * chi, atol=1e-4)


def test_flips_and_permutations_commute():
    _, field, mask = head(OBLIQUE)
    mask[:16, :12] = False
    chi = invert_ilsqr(field, mask, OBLIQUE)
    order = (2, 0, 1)
    shape, voxel, b0 = (
        tuple(np.array(v)[list(order)])
        for v in (OBLIQUE.shape, OBLIQUE.voxel_size, OBLIQUE.b0_direction)
    )
    turned_grid = Grid(shape, voxel, (-b0[0], b0[1], b0[2]))
    turned = invert_ilsqr(field.transpose(order)[::-1], mask.transpose(order)[::-1], turned_grid)
    assert np.abs(turned - chi.transpose(order)[::-1]).max() < 0.02 * np.abs(chi).max()


def test_values_outside_the_mask_do_not_matter():
    _, field, mask = head(OBLIQUE)
    chi = invert_ilsqr(field, mask, OBLIQUE)
    assert np.array_equal(invert_ilsqr(np.where(mask, field, np.nan), mask, OBLIQUE), chi)


def test_small_and_flat_input_is_no_problem():
    grid = Grid((9, 8, 7))
    mask = np.zeros(grid.shape, bool)
    mask[4, 4, 3] = True
    assert np.isfinite(invert_ilsqr(np.ones(grid.shape), mask, grid)).all()
    assert not invert_ilsqr(np.zeros(grid.shape), np.ones(grid.shape, bool), grid).any()
    slice_grid = Grid((20, 21, 1), (1, 1, 4))
    noise = np.random.default_rng(0).standard_normal(slice_grid.shape)
    assert np.isfinite(invert_ilsqr(noise, np.ones(slice_grid.shape, bool), slice_grid)).all()


def test_bad_input_is_explained():
    grid = Grid((9, 8, 7))
    field, mask = np.zeros(grid.shape), np.zeros(grid.shape, bool)
    with pytest.raises(ValueError, match='mask is empty'):
        invert_ilsqr(field, mask, grid)
    mask[2:6, 2:6, 2:6] = True
    with pytest.raises(ValueError, match='weight'):
        invert_ilsqr(field, mask, grid, weight=field)
    with pytest.raises(ValueError, match='shape'):
        invert_ilsqr(field[1:], mask, grid)


def test_progress_rises_to_the_end():
    _, field, mask = head(OBLIQUE)
    calls = []
    invert_ilsqr(field, mask, OBLIQUE, progress=lambda f, text: calls.append((f, text)))
    fractions = [f for f, _ in calls]
    assert fractions == sorted(fractions)
    assert 0 < fractions[-1] <= 1
    assert any('streaks' in text for _, text in calls)


@pytest.mark.parametrize(
    'values',
    [
        {'cone': 0}, {'cone': 0.7}, {'damping': 0}, {'radius_mm': 0}, {'tolerance': 0},
        {'roughness': (60.0,)}, {'roughness': (99.0, 60.0)}, {'smooth_share': (50.0, 101.0)},
        {'streak_tolerance': 0}, {'iterations': 0}, {'streak_iterations': 0},
    ],
)  # fmt: skip
def test_impossible_parameters_are_refused(values):
    with pytest.raises(ValueError, match='iLSQR') as error:
        IlsqrParameters(**values)
    assert str(error.value).count('\n') == 2
