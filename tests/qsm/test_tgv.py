import numpy as np
import pytest
from scipy import ndimage

from qsmbids.phantom.forward import dipole_field, sphere_field
from qsmbids.qsm import single_step_kernels
from qsmbids.qsm.grid import Grid
from qsmbids.qsm.kernels import laplacian_spectrum
from qsmbids.qsm.phase import wrap
from qsmbids.qsm.quality import nrmse
from qsmbids.qsm.tgv import TgvParameters, invert_tgv, tgv_laplacian_of_wrapped
from qsmbids.qsm.tgv_grids import TgvLevel, TgvState, coarser

OBLIQUE = (0.36, 0.48, 0.8)
GRIDS = [Grid((40, 40, 40)), Grid((37, 41, 27), (1.0, 1.1, 1.6), OBLIQUE)]
QUICK = TgvParameters(iterations=150, coarse_iterations=300)


def axes_mm(grid):
    pairs = zip(grid.shape, grid.voxel_size, strict=True)
    return np.meshgrid(*((np.arange(n) - n // 2) * h for n, h in pairs), indexing='ij')


def ball(grid, centre, radius):
    distance = np.sqrt(sum((a - c) ** 2 for a, c in zip(axes_mm(grid), centre, strict=True)))
    return np.clip((radius - distance) / grid.voxel_volume ** (1 / 3) + 0.5, 0, 1)


def head(grid, noise=0.0005, air=9.0):
    """Two nuclei in a ball, air beside it, a shim; returns chi, mask and the total field."""
    chi = 0.15 * ball(grid, (4, 2, 1), 5) - 0.08 * ball(grid, (-7, -3, 2), 4.5)
    mask = ball(grid, (0, 0, 0), 17) > 0.5
    total = dipole_field(chi.astype(np.float32), grid.voxel_size, grid.b0_direction)
    away = np.stack([a - c for a, c in zip(axes_mm(grid), (0, 17, 16), strict=True)], axis=-1)
    total += sphere_field(away, 4.0, air, grid.b0_direction)
    x, y, z = axes_mm(grid)
    total += 0.3 + 0.02 * x - 0.01 * z + 1e-3 * (x * y + z**2 - y**2)
    total += noise * np.random.default_rng(0).standard_normal(grid.shape)
    return chi.astype(np.float32), mask, total


@pytest.mark.parametrize('grid', GRIDS, ids=['axial', 'oblique anisotropic odd'])
def test_total_field_needs_no_background_removal(grid):
    truth, mask, total = head(grid)
    calls = []
    chi = invert_tgv(
        total, mask, grid, parameters=QUICK, progress=lambda f, text: calls.append((f, text))
    )
    assert chi.dtype == np.float32
    assert not chi[~mask].any()
    core = ndimage.binary_erosion(mask, iterations=3)
    right = nrmse(chi, truth, core)
    assert right < 45
    nucleus, around = ball(grid, (4, 2, 1), 3.5) > 0.5, ball(grid, (4, 2, 1), 8) == 0
    contrast = chi[nucleus].mean() - chi[core & around & (np.abs(truth) < 1e-3)].mean()
    assert contrast == pytest.approx(0.15, rel=0.2)
    other = Grid(grid.shape, grid.voxel_size, (1.0, 0.0, 0.0))
    wrong = invert_tgv(total, mask, other, parameters=QUICK)
    assert nrmse(wrong, truth, core) > 1.4 * right
    fractions = [f for f, _ in calls]
    assert fractions == sorted(fractions)
    assert 0 < fractions[-1] <= 1 + 1e-6


def test_wrapped_phase_gives_the_same_map():
    grid = GRIDS[1]
    _, mask, total = head(grid, noise=0, air=1.0)
    scale = 2 * np.pi * 0.010 * 127.7
    phase = wrap((scale * total + 1.0).astype(np.float32))
    assert np.abs(np.diff(phase[mask])).max() > 3  # there are wraps
    laplacian = tgv_laplacian_of_wrapped(phase, mask, grid) / scale
    chi = invert_tgv(None, mask, grid, laplacian_ppm=laplacian, parameters=QUICK)
    again = invert_tgv(total, mask, grid, parameters=QUICK)
    assert np.abs(chi - again).max() < 0.02 * np.abs(again).max()


def test_laplacian_of_a_parabola_is_a_constant():
    grid = Grid((12, 11, 10), (1.0, 1.5, 2.0))
    x, y, z = axes_mm(grid)
    mask = np.ones(grid.shape, bool)
    mask[:4, :3] = False
    laplacian = tgv_laplacian_of_wrapped(wrap(0.05 * (x**2 + 2 * y**2) - 0.2 * z), mask, grid)
    inner = ndimage.binary_erosion(mask)
    assert laplacian[inner] == pytest.approx(0.3, abs=1e-4)
    assert not laplacian[~inner].any()


def test_flips_and_permutations_commute():
    grid = GRIDS[1]
    _, mask, total = head(grid)
    mask[:12, :12] = False
    order = (2, 0, 1)
    shape, voxel, b0 = (
        tuple(np.array(v)[list(order)]) for v in (grid.shape, grid.voxel_size, grid.b0_direction)
    )
    turned = Grid(shape, voxel, (-b0[0], b0[1], b0[2]))
    p = TgvParameters(levels=1, iterations=100)  # a coarser grid pairs voxels from one end
    chi = invert_tgv(total, mask, grid, parameters=p)
    other = invert_tgv(
        total.transpose(order)[::-1], mask.transpose(order)[::-1], turned, parameters=p
    )
    assert np.abs(other - chi.transpose(order)[::-1]).max() < 0.01 * np.abs(chi).max()


def test_values_outside_the_mask_do_not_matter():
    grid = GRIDS[1]
    _, mask, total = head(grid)
    p = TgvParameters(iterations=20, coarse_iterations=20)
    chi = invert_tgv(total, mask, grid, parameters=p)
    assert np.array_equal(invert_tgv(np.where(mask, total, np.nan), mask, grid, parameters=p), chi)
    eroded = invert_tgv(total, mask, grid, parameters=TgvParameters(iterations=5, erosion_mm=3))
    assert 0 < np.count_nonzero(eroded) < np.count_nonzero(chi)
    wide = Grid(tuple(n + 8 for n in grid.shape), grid.voxel_size, grid.b0_direction)
    padded = invert_tgv(np.pad(total, (3, 5)), np.pad(mask, (3, 5)), wide, parameters=p)
    assert np.array_equal(padded, np.pad(chi, (3, 5)))


def test_weights_protect_from_bad_voxels():
    grid = GRIDS[0]
    truth, mask, total = head(grid)
    bad = np.random.default_rng(5).random(grid.shape) < 0.01
    total[bad] += 0.1
    weight = np.where(bad, 0.001, 1.0)
    core = ndimage.binary_erosion(mask, iterations=3)
    plain = invert_tgv(total, mask, grid, parameters=QUICK)
    weighted = invert_tgv(total, mask, grid, weight=weight, parameters=QUICK)
    assert nrmse(weighted, truth, core) < 0.7 * nrmse(plain, truth, core)


def test_coarse_grids_are_consistent():
    rng = np.random.default_rng(1)
    smooth = ndimage.gaussian_filter(rng.standard_normal((30, 33, 28)), 4).astype(np.float32)
    mask = np.ones(smooth.shape, bool)
    ones = np.ones(smooth.shape, np.float32)
    inner = np.zeros_like(mask)
    inner[1:-1, 1:-1, 1:-1] = True
    fine = TgvLevel.of(mask, inner, smooth, ones, (1.0, 1.0, 2.0))
    coarse = coarser(fine)
    assert coarse.doubled == (2, 2, 1)
    assert coarse.voxel_size == (2.0, 2.0, 2.0)
    assert coarse.shape == (17, 19, 30)
    means = smooth[:, :32].reshape(15, 2, 16, 2, 28).mean(axis=(1, 3))
    known = coarse.inner[1:-1, 1:-1, 1:-1].astype(bool)[:, :16]
    known[0] = known[-1] = False
    assert np.allclose(coarse.laplacian[1:-1, 1:17, 1:-1][known], means[known], atol=1e-5)
    # and back: a smooth image survives, a constant exactly
    state = TgvState.zeros(coarse.shape)
    state.chi[1:-1, 1:-1, 1:-1] = 3.0
    state.psi[1:-1, 1:17, 1:-1] = means
    refined = state.refined(coarse, fine)
    assert np.allclose(refined.chi[1:-1, 1:-1, 1:-1], 3.0)
    assert refined.q.shape == (6, *fine.shape)
    back = refined.psi[3:-3, 3:29, 3:-3]
    assert np.abs(back - smooth[2:-2, 2:28, 2:-2]).max() < 0.1 * np.abs(smooth).max()


def test_loops_are_adjoint_to_each_other():
    # <K x, y> of the dual step equals <x, K^T y> of the primal step
    rng = np.random.default_rng(2)
    shape = (9, 10, 11)
    inside = np.zeros(shape, np.uint8)
    inside[1:-1, 1:-1, 1:-1] = rng.random((7, 8, 9)) < 0.9
    bounds = np.zeros((*shape[:2], 2), np.int32)
    bounds[..., 0], bounds[..., 1] = 1, shape[2] - 1
    structure = ndimage.generate_binary_structure(3, 2)
    inner = ndimage.binary_erosion(inside, structure).astype(np.uint8)
    inner[4, 4, 4] = 1 if inside[3:6, 3:6, 3:6].all() else inner[4, 4, 4]

    def random(*lead):
        return (rng.standard_normal((*lead, *shape)) * inside).astype(np.float32)

    chi, psi, w, zero = random(), random(), random(3), np.zeros(shape, np.float32)
    inverse_voxel = np.array([1.0, 0.7, 0.5], np.float32)
    wave = np.array([0.3, 0.1, -0.4, 0.05, -0.1, 0.2], np.float32)
    p, q = np.zeros((3, *shape), np.float32), np.zeros((6, *shape), np.float32)
    eta, huge = zero.copy(), np.float32(1e9)
    single_step_kernels.dual_step(
        0, shape[0] - 2, bounds, inside, inner, zero, chi, w, psi, p, q, eta,
        inverse_voxel, wave, np.ones(10, np.float32), huge, huge, np.float32(1),
    )  # fmt: skip
    # the state of y is any that vanishes where the equations do: that of another x
    other = random(), random(), random(3)
    y = np.zeros_like(p), np.zeros_like(q), zero.copy()
    single_step_kernels.dual_step(
        0, shape[0] - 2, bounds, inside, inner, zero, other[0], other[2], other[1], *y,
        inverse_voxel, wave, np.ones(10, np.float32), huge, huge, np.float32(1),
    )  # fmt: skip
    forward = sum(float(np.vdot(a, b)) for a, b in zip((p, q, eta), y, strict=True))
    x = np.zeros(shape, np.float32), np.zeros_like(w), np.zeros(shape, np.float32)
    ahead = tuple(np.zeros_like(v) for v in x)
    single_step_kernels.primal_step(
        0, shape[0] - 2, bounds, inside, zero, *x, *ahead, *y,
        inverse_voxel, wave, np.ones(5, np.float32), np.float32(1),
    )  # fmt: skip
    backward = -sum(float(np.vdot(a, b)) for a, b in zip(x, (chi, w, psi), strict=True))
    assert backward == pytest.approx(forward, rel=1e-4)
    for a, b in zip(ahead, x, strict=True):
        assert np.allclose(a, 2 * b, atol=1e-4)


def test_difference_operators_have_the_known_spectrum():
    # a plane wave in a box is multiplied by the symbol of the Laplacian
    n, h = 16, (1.0, 1.5, 2.0)
    axes = np.meshgrid(*[np.arange(n)] * 3, indexing='ij')
    wave = np.cos(2 * np.pi * (2 * axes[0] + axes[1] + 3 * axes[2]) / n)
    grid = Grid((n, n, n), h)
    found = tgv_laplacian_of_wrapped(0.1 * wave, np.ones(grid.shape, bool), grid)
    symbol = laplacian_spectrum(grid.shape, h)[2, 1, 3]
    inner = (slice(1, -1),) * 3
    assert np.allclose(found[inner], 0.1 * symbol * wave[inner], atol=1e-4)


def test_tiny_and_impossible_input():
    grid = Grid((9, 8, 7))
    field, mask = np.ones(grid.shape), np.zeros(grid.shape, bool)
    with pytest.raises(ValueError, match='mask is empty'):
        invert_tgv(field, mask, grid)
    mask[3:5, 3:5, 3:5] = True
    with pytest.raises(ValueError, match='nowhere thicker') as error:
        invert_tgv(field, mask, grid)
    assert len(str(error.value).splitlines()) == 3
    mask[2:6, 2:6, 2:6] = True
    assert not invert_tgv(field, mask, grid).any()
    with pytest.raises(ValueError, match='neither a total field nor a Laplacian'):
        invert_tgv(None, mask, grid)
    field[3, 3, 3] = np.nan
    with pytest.raises(ValueError, match='total field is not a number'):
        invert_tgv(field, mask, grid)


@pytest.mark.parametrize(
    'values',
    [{'alpha1': 0}, {'alpha0': -1}, {'erosion_mm': -1}, {'levels': 0}, {'iterations': 0},
     {'tolerance': 0}, {'balance': 0}],
)  # fmt: skip
def test_impossible_parameters_are_refused(values):
    with pytest.raises(ValueError, match='TGV'):
        TgvParameters(**values)
