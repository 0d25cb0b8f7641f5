import numpy as np
import pytest

from qsmbids.qsm import medi_kernels
from qsmbids.qsm.cg_kernels import advance, inner, turn
from qsmbids.qsm.edges import find_edges
from qsmbids.qsm.fft import PaddedFFT, irfftn, rfftn, set_workers, spectral_inner
from qsmbids.qsm.grid import Grid
from qsmbids.qsm.kernels import dipole_kernel, gradient, gradient_adjoint
from qsmbids.qsm.medi import MediParameters, invert_medi
from qsmbids.qsm.medi0 import Medi0Parameters, invert_medi0
from qsmbids.qsm.quality import nrmse
from qsmbids.qsm.spectral_cg import solve_spectrum
from qsmbids.qsm.tkd import invert_tkd

OBLIQUE = Grid((37, 35, 31), (1.0, 1.1, 1.4), (0.5, 0.0, 0.8660254))  # 30 degrees
AXIAL = Grid((36, 36, 36))
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


def head(grid):
    """Nuclei in a ball: chi, the mask, and a magnitude that shows them in other contrasts."""
    chi, magnitude = np.zeros(grid.shape, np.float32), np.ones(grid.shape, np.float32)
    for i, (centre, radius, value) in enumerate(NUCLEI):
        nucleus = ball(grid, centre, radius)
        chi[nucleus] = value
        magnitude[nucleus] = (0.6, 1.3, 0.7, 1.5)[i]
    return chi, ball(grid, (0, 0, 0), 0.9), magnitude


def field_of(chi, grid, noise=0.002):
    fft = PaddedFFT(grid.shape, grid.voxel_size, 80.0)
    kernel = dipole_kernel(fft.padded_shape, grid.voxel_size, grid.b0_direction)
    exact = fft.inverse(fft.forward(chi) * kernel)
    return exact + noise * np.random.default_rng(1).standard_normal(grid.shape).astype(np.float32)


@pytest.mark.parametrize('grid', [AXIAL, OBLIQUE], ids=['axial', 'oblique anisotropic odd'])
def test_nuclei_are_recovered_better_than_by_division(grid):
    truth, mask, magnitude = head(grid)
    field = field_of(truth, grid)
    chi = invert_medi(field, mask, grid, magnitude=magnitude)
    assert chi.dtype == np.float32
    assert not chi[~mask].any()
    assert nrmse(chi, truth, mask) < 15
    assert nrmse(chi, truth, mask) < 0.4 * nrmse(invert_tkd(field, mask, grid), truth, mask)
    inner_part = ball(grid, NUCLEI[0][0], 0.12)
    background = mask & ~(truth != 0)
    assert chi[inner_part].mean() - chi[background].mean() == pytest.approx(0.1, rel=0.08)
    wrong = Grid(grid.shape, grid.voxel_size, (1.0, 0.0, 0.0))
    assert nrmse(invert_medi(field, mask, wrong), truth, mask) > 3 * nrmse(chi, truth, mask)


def test_a_sphere_has_the_analytic_amplitude():
    grid = Grid((40, 40, 40), b0_direction=(0.0, 0.6, 0.8))
    x = np.stack(np.meshgrid(*[np.arange(40.0) - 20] * 3, indexing='ij'))
    radius, value = 7.0, 0.2
    squared = (x**2).sum(0)
    r2 = np.maximum(squared, radius**2)
    cosine = np.tensordot(grid.b0_direction, x, 1) ** 2 / r2
    field = np.where(
        squared < radius**2, 0, value / 3 * (radius**2 / r2) ** 1.5 * (3 * cosine - 1)
    )
    chi = invert_medi(field, squared < 18**2, grid)
    inside, shell = squared < 5**2, (squared > 9**2) & (squared < 13**2)
    assert chi[inside].mean() - chi[shell].mean() == pytest.approx(value, rel=0.06)


def test_edges_of_the_magnitude_sharpen_the_map():
    truth, mask, magnitude = head(OBLIQUE)
    field = field_of(truth, OBLIQUE, noise=0.006)
    heavy = MediParameters(regularisation=1.0, edge_share=0.1)
    plain = invert_medi(field, mask, OBLIQUE, parameters=heavy)
    guided = invert_medi(field, mask, OBLIQUE, magnitude=magnitude, parameters=heavy)
    assert nrmse(guided, truth, mask) < 0.8 * nrmse(plain, truth, mask)
    none = MediParameters(regularisation=1.0, edge_share=0.0)
    unused = invert_medi(field, mask, OBLIQUE, magnitude=magnitude, parameters=none)
    assert np.array_equal(unused, plain)


def test_flips_and_permutations_commute():
    truth, mask, magnitude = head(OBLIQUE)
    mask[:16, :12] = False
    field = field_of(truth, OBLIQUE)
    chi = invert_medi(field, mask, OBLIQUE, magnitude=magnitude)
    order = (2, 0, 1)
    shape, voxel, b0 = (
        tuple(np.array(v)[list(order)])
        for v in (OBLIQUE.shape, OBLIQUE.voxel_size, OBLIQUE.b0_direction)
    )
    turned_grid = Grid(shape, voxel, (-b0[0], b0[1], b0[2]))
    turned = [a.transpose(order)[::-1] for a in (field, mask, magnitude, chi)]
    again = invert_medi(turned[0], turned[1], turned_grid, magnitude=turned[2])
    # the first and last voxel of a pair change places, which edges and rounding survive
    assert np.abs(again - turned[3]).max() < 0.02 * np.abs(chi).max()


def test_values_outside_the_mask_do_not_matter():
    truth, mask, magnitude = head(OBLIQUE)
    field = field_of(truth, OBLIQUE)
    chi = invert_medi(field, mask, OBLIQUE, magnitude=magnitude)
    hole = [np.where(mask, a, np.nan) for a in (field, magnitude, np.ones(mask.shape))]
    again = invert_medi(hole[0], mask, OBLIQUE, magnitude=hole[1], weight=hole[2])
    assert np.array_equal(again, chi)


def test_regularisation_follows_the_noise():
    truth, mask, _ = head(AXIAL)
    for noise in (0.001, 0.008):
        field = field_of(truth, AXIAL, noise)
        errors = [
            nrmse(
                invert_medi(field, mask, AXIAL, parameters=MediParameters(regularisation=r)),
                truth, mask,
            )
            for r in (0.025, 0.25, 2.5)
        ]  # fmt: skip
        assert errors[1] < errors[0]
        assert errors[1] < errors[2]


def test_weight_protects_from_bad_voxels_and_has_no_unit():
    truth, mask, magnitude = head(AXIAL)
    rng = np.random.default_rng(6)
    bad = rng.random(mask.shape) < 0.02
    field = field_of(truth, AXIAL) + np.where(bad, 0.1 * rng.standard_normal(mask.shape), 0)
    weight = np.where(bad, 0.01, 1.0)
    plain = invert_medi(field, mask, AXIAL, magnitude=magnitude)
    weighted = invert_medi(field, mask, AXIAL, magnitude=magnitude, weight=weight)
    assert nrmse(weighted, truth, mask) < 0.7 * nrmse(plain, truth, mask)
    scaled = invert_medi(field, mask, AXIAL, magnitude=magnitude, weight=900 * weight)
    assert np.allclose(scaled, weighted, atol=1e-5)


def test_merit_protects_from_bad_voxels_that_nobody_knows():
    truth, mask, magnitude = head(AXIAL)
    rng = np.random.default_rng(6)
    bad = rng.random(mask.shape) < 0.02
    field = field_of(truth, AXIAL) + np.where(bad, 0.1 * rng.standard_normal(mask.shape), 0)
    plain = invert_medi(field, mask, AXIAL, magnitude=magnitude)
    merit = invert_medi(
        field, mask, AXIAL, magnitude=magnitude, parameters=MediParameters(outlier_level=6.0)
    )
    assert nrmse(merit, truth, mask) < 0.8 * nrmse(plain, truth, mask)


def test_a_phase_that_wraps_does_no_harm():
    truth, mask, _ = head(AXIAL)
    field = field_of(truth, AXIAL)
    turn = 1 / (127.73 * 0.02)  # ppm per turn at 20 ms
    wrapped = field.copy()
    wrapped[16:20, 16:20, 10:14] += turn
    p = MediParameters(reference_te_s=0.02)
    chi = invert_medi(field, mask, AXIAL, parameters=p)
    whole = invert_medi(wrapped, mask, AXIAL, parameters=p)
    half = invert_medi(wrapped, mask, AXIAL, parameters=p, field_hz_per_ppm=32.0)
    # at another field strength the same shift is no whole turn
    assert np.abs(whole - chi).max() < 0.1 * np.abs(half - chi).max()


def test_sphere_takes_off_what_is_left_of_the_background():
    grid = Grid((36, 36, 36))
    truth, mask, _ = head(grid)
    x, y, z = np.meshgrid(*[(np.arange(36.0) - 18) / 18] * 3, indexing='ij')
    field = field_of(truth, grid) + 0.05 * (x * y + z).astype(np.float32)  # harmonic
    deep = ball(grid, (0, 0, 0), 0.6)
    plain = invert_medi(field, mask, grid)
    smv = invert_medi(field, mask, grid, parameters=MediParameters(smv_radius_mm=4.0))
    assert nrmse(smv, truth, deep) < 0.4 * nrmse(plain, truth, deep)
    with pytest.raises(ValueError, match='No voxel of the mask holds the sphere'):
        invert_medi(field, mask, grid, parameters=MediParameters(smv_radius_mm=40.0))


def test_csf_is_even_and_zero():
    truth, mask, magnitude = head(OBLIQUE)
    csf = ball(OBLIQUE, NUCLEI[0][0], NUCLEI[0][1])
    shadow = 0.01 * np.linspace(-1, 1, OBLIQUE.shape[2], dtype=np.float32)
    field = field_of(truth, OBLIQUE) + shadow
    plain = invert_medi(field, mask, OBLIQUE, magnitude=magnitude)
    even = invert_medi0(field, mask, OBLIQUE, magnitude=magnitude, csf_mask=csf)
    assert abs(even[csf].mean()) < 1e-6
    assert even[csf].std() < 0.8 * plain[csf].std()
    r2star = np.where(csf, 2.0, 20.0)
    deep = ball(OBLIQUE, (0, 0, 0), 0.3)
    with pytest.raises(ValueError, match='R2\\* map or a mask of CSF'):
        invert_medi0(field, mask, OBLIQUE)
    with pytest.raises(ValueError, match='No CSF was found'):  # the head is too small for 10 mm
        invert_medi0(field, mask & deep, OBLIQUE, r2star=r2star)
    with pytest.raises(ValueError, match='No voxel of the CSF mask'):
        invert_medi0(field, mask, OBLIQUE, csf_mask=~mask)


def test_csf_is_found_by_its_relaxation():
    grid = Grid((36, 36, 36))
    truth, mask, _ = head(grid)
    csf = ball(grid, (0, 0, 0), 0.25)
    field = field_of(truth, grid)
    found = invert_medi0(field, mask, grid, r2star=np.where(csf, 2.0, 20.0))
    given = invert_medi0(field, mask, grid, csf_mask=csf)
    assert np.array_equal(found, given)


def test_small_and_flat_input_is_no_problem():
    grid = Grid((9, 8, 7))
    mask = np.zeros(grid.shape, bool)
    mask[4, 4, 3] = True
    ones = np.ones(grid.shape)
    assert np.isfinite(invert_medi(ones, mask, grid, magnitude=ones)).all()
    assert not invert_medi(0 * ones, ones > 0, grid, magnitude=ones).any()
    slice_grid = Grid((20, 21, 1), (1, 1, 4))
    noise = np.random.default_rng(0).standard_normal(slice_grid.shape)
    chi = invert_medi(noise, np.ones(slice_grid.shape, bool), slice_grid, magnitude=noise)
    assert np.isfinite(chi).all()


def test_bad_input_is_explained():
    grid = Grid((9, 8, 7))
    field, mask = np.zeros(grid.shape), np.zeros(grid.shape, bool)
    with pytest.raises(ValueError, match='mask is empty'):
        invert_medi(field, mask, grid)
    mask[2:6, 2:6, 2:6] = True
    with pytest.raises(ValueError, match='magnitude has the shape'):
        invert_medi(field, mask, grid, magnitude=field[1:])
    with pytest.raises(ValueError, match='magnitude is not a number'):
        invert_medi(field, mask, grid, magnitude=field + np.nan)
    with pytest.raises(ValueError, match='weight'):
        invert_medi(field, mask, grid, weight=field)


def test_progress_rises_and_the_outer_stop_is_met():
    truth, mask, magnitude = head(AXIAL)
    calls = []
    invert_medi(
        field_of(truth, AXIAL), mask, AXIAL, magnitude=magnitude,
        progress=lambda f, text: calls.append((f, text)),
    )  # fmt: skip
    fractions = [f for f, _ in calls]
    assert fractions == sorted(fractions)
    assert 0 < fractions[-1] < 1  # stopped before the limit
    assert 'MEDI' in calls[0][1]


@pytest.mark.parametrize(
    'values',
    [
        {'regularisation': 0}, {'rounding': -1}, {'reference_te_s': 0}, {'edge_share': 1},
        {'smv_radius_mm': -1}, {'outlier_level': -1}, {'iterations': 0}, {'inner_iterations': 0},
        {'tolerance': 0}, {'inner_tolerance': 0},
    ],
)  # fmt: skip
def test_impossible_parameters_are_refused(values):
    for kind in (MediParameters, Medi0Parameters):
        with pytest.raises(ValueError, match='MEDI') as error:
            kind(**values)
        assert str(error.value).count('\n') == 2
    with pytest.raises(ValueError, match='CSF strength'):
        Medi0Parameters(csf_strength=-1)


def test_edges_are_per_direction_and_leave_the_border_out():
    image = np.ones((10, 12, 14), np.float32)
    image[5:] = 2
    mask = np.ones(image.shape, bool)
    mask[:, :3] = False
    image[:, :3] = 9  # the border of the brain
    edges = find_edges(image, mask, (1.0, 1.0, 1.0), 0.2)
    assert edges[0, 4, 3:].all()
    assert edges.sum() == edges[0, 4, 3:].sum()
    assert not find_edges(image, mask, (1.0, 1.0, 1.0), 0.0).any()
    noise = np.random.default_rng(0).random(image.shape)
    shares = find_edges(noise, mask, (1.0, 1.0, 1.0), 0.3)
    assert shares.sum() == pytest.approx(0.3 * 3 * mask.sum(), rel=0.12)


@pytest.mark.parametrize('workers', [1, 3])
@pytest.mark.parametrize('shape', [(5, 7, 6), (1, 4, 3), (8, 8, 8), (3, 2, 1)])
def test_compiled_loops_equal_their_definition(shape, workers):
    rng = np.random.default_rng(9)
    voxel = (1.0, 1.5, 2.0)
    inverse_voxel = (1 / np.array(voxel)).astype(np.float32)
    chi, other = rng.standard_normal((2, *shape)).astype(np.float32)
    box = tuple(max(1, n - 1) for n in shape)
    edges = rng.random((3, *box)) < 0.3
    weights, out = np.empty((3, *shape), np.float32), np.empty_like(chi)
    spectra = [rfftn(rng.standard_normal(shape).astype(np.float32)) for _ in range(4)]
    inverse = rng.random(spectra[0].shape).astype(np.float32)
    set_workers(workers)
    try:
        medi_kernels.pair_weights(chi, edges, weights, inverse_voxel, 0.3, 0.1)
        medi_kernels.smoothness(other, weights, out)
        added = medi_kernels.scale_and_add(spectra[0].copy(), inverse, spectra[1])
        product = inner(spectra[0], spectra[1], shape[2])
        x, residual, direction = (s.copy() for s in spectra[:3])
        size = advance(x, residual, spectra[2], spectra[3], inverse, 0.3, shape[2])
        turn(direction, residual, inverse, 0.7)
    finally:
        set_workers(1)
    free = np.zeros((3, *shape), bool)
    free[(slice(None), *(slice(n) for n in box))] = edges
    p = np.where(free, 0, 0.3 / np.sqrt(gradient(chi, voxel) ** 2 + 0.01))
    assert np.allclose(weights, p * inverse_voxel[:, None, None, None] ** 2, rtol=1e-4)
    assert np.allclose(out, gradient_adjoint(p * gradient(other, voxel), voxel), atol=1e-4)
    assert np.allclose(added, inverse * spectra[0] + spectra[1], atol=1e-4)
    assert product == pytest.approx(spectral_inner(spectra[0], spectra[1], shape[2]), rel=1e-4)
    expected = spectra[1] - 0.3 * spectra[3]
    assert np.allclose(residual, expected, atol=1e-4)
    assert np.allclose(x, spectra[0] + 0.3 * spectra[2], atol=1e-4)
    assert size == pytest.approx(spectral_inner(expected, inverse * expected, shape[2]), rel=1e-4)
    assert np.allclose(direction, inverse * residual + 0.7 * spectra[2], atol=1e-4)


def test_preconditioned_solver_finds_the_solution():
    rng = np.random.default_rng(2)
    shape = (7, 6, 8)
    weight = rng.random(shape).astype(np.float32) + 0.5
    truth = rfftn(rng.standard_normal(shape).astype(np.float32))

    def operator(spectrum):
        return rfftn(weight * irfftn(spectrum, shape))

    for inverse in (np.ones(truth.shape, np.float32), np.full(truth.shape, 0.3, np.float32)):
        found, iterations = solve_spectrum(
            operator, operator(truth), inverse, shape[2], tolerance=1e-5, max_iterations=60
        )
        assert np.abs(found - truth).max() < 1e-3 * np.abs(truth).max()
        assert iterations < 30
    nothing = np.zeros_like(truth)
    solution, iterations = solve_spectrum(
        operator, nothing, inverse, shape[2], tolerance=1e-5, max_iterations=5
    )
    assert iterations == 0
    assert not solution.any()
