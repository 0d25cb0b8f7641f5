from itertools import pairwise

import numpy as np
import pytest

from qsmbids.qsm import splitting_kernels, tgv_kernels
from qsmbids.qsm.fansi import FansiParameters, FansiTgvParameters, invert_fansi, invert_fansi_tgv
from qsmbids.qsm.fft import irfftn, rfftn
from qsmbids.qsm.field_noise import LEAST_NOISE_PPM, field_noise
from qsmbids.qsm.kernels import dipole_kernel, frequencies, gradient, gradient_adjoint
from qsmbids.qsm.quality import nrmse
from qsmbids.qsm.region import MaskedRegion
from qsmbids.qsm.tgv_splitting import PAIRS
from qsmbids.qsm.tv import TvParameters, invert_tv

BOTH = pytest.mark.parametrize('invert', [invert_fansi, invert_fansi_tgv], ids=['tv', 'tgv'])
VOXEL = (1.0, 1.5, 2.0)


@BOTH
def test_flips_permutations_and_the_outside(invert, cases):
    cases.check_invariance(invert)


@BOTH
def test_odd_input(invert, cases):
    cases.check_odd_input(invert)


@BOTH
def test_progress(invert, cases):
    cases.check_progress(invert)


@BOTH
def test_nuclei_are_recovered_from_noise(invert, cases):
    truth, mask, field = cases.noisy_head(cases.SMALL)
    assert nrmse(invert(field, mask, cases.SMALL), truth, mask) < 25


def test_small_angles_are_those_of_tv(cases):
    _, mask, field = cases.noisy_head(cases.SMALL)
    short = FansiParameters(reference_te_s=1e-4, tolerance=1e-3)
    chi = invert_fansi(field, mask, cases.SMALL, parameters=short)
    same = TvParameters(penalty=short.penalty, tolerance=1e-3, iterations=short.iterations)
    expected = invert_tv(field, mask, cases.SMALL, parameters=same)
    assert np.linalg.norm(chi - expected) < 0.02 * np.linalg.norm(expected)


def test_whole_cycles_of_phase_do_not_matter(cases):
    truth, mask, field = cases.noisy_head(cases.SMALL)
    wrong = np.random.default_rng(1).random(mask.shape) < 0.03
    cycle = 1 / (0.02 * 127.73)  # ppm at the default echo time
    wrapped = field + np.where(wrong, cycle, 0).astype(np.float32)
    plain = nrmse(invert_tv(wrapped, mask, cases.SMALL), truth, mask)
    assert nrmse(invert_fansi(wrapped, mask, cases.SMALL), truth, mask) < 0.5 * plain


@pytest.mark.parametrize('frequency', [0, -127.0, np.nan])
def test_impossible_frequency_is_refused(frequency, cases):
    mask = np.ones(cases.SMALL.shape, bool)
    with pytest.raises(ValueError, match='imaging frequency'):
        invert_fansi(mask * 1.0, mask, cases.SMALL, field_hz_per_ppm=frequency)


@pytest.mark.parametrize('kind', [FansiParameters, FansiTgvParameters])
@pytest.mark.parametrize(
    'name', ['regularisation', 'reference_te_s', 'penalty', 'tolerance', 'iterations']
)
def test_impossible_parameters_are_refused(kind, name):
    with pytest.raises(ValueError, match='FANSI'):
        kind(**{name: 0})


def test_phase_step_solves_its_equation():
    rng = np.random.default_rng(2)
    shape, scale = (4, 5, 6), np.float32(16)
    field, predicted, dual = (0.03 * rng.standard_normal((3, *shape))).astype(np.float32)
    ratio = rng.uniform(0, 4, shape).astype(np.float32)
    target = predicted + dual - field
    splitting_kernels.fit_phase(0, 4, predicted, dual, field, ratio, scale, 20)
    r = target - dual
    assert np.allclose(ratio * np.sin(scale * r) / scale + r, target, atol=1e-5)
    assert np.allclose(predicted, field + r - dual, atol=1e-5)


@pytest.mark.parametrize('n_slabs', [1, 2, 3])
def test_fused_gradient_loop_equals_its_definition(n_slabs):
    rng = np.random.default_rng(3)
    shape, limit = (6, 5, 7), np.float32(0.4)
    chi, last = rng.standard_normal((2, *shape)).astype(np.float32)
    before = rng.standard_normal((3, *shape)).astype(np.float32)
    v, out = before.copy(), last.copy()
    inverse_voxel = (1 / np.array(VOXEL)).astype(np.float32)
    starts = [6 * i // n_slabs for i in range(n_slabs + 1)]
    sums = [
        splitting_kernels.shrink_gradient(a, b, chi, out, v, inverse_voxel, limit)
        for a, b in pairwise(starts)
    ]
    for start in starts[:-1]:
        splitting_kernels.join_slabs(start, out, v, inverse_voxel[0], limit)
    expected = gradient(chi, VOXEL) + np.clip(before, -limit, limit)
    assert np.allclose(v, expected, atol=1e-5)
    step = expected - 2 * np.clip(expected, -limit, limit)
    assert np.allclose(out, gradient_adjoint(step, VOXEL), atol=1e-5)
    assert np.allclose(np.sum(sums, axis=0), [((chi - last) ** 2).sum(), (chi**2).sum()])


def symmetrised(w):
    """The definition: half the sum of the backward differences and their transpose."""
    d = [[(w[i] - np.roll(w[i], 1, j)) / VOXEL[j] for j in range(3)] for i in range(3)]
    mixed = [(d[i][j] + d[j][i]) / 2 for i, j in ((0, 1), (0, 2), (1, 2))]
    return np.stack([d[0][0], d[1][1], d[2][2], *mixed]).astype(np.float32)


def test_tgv_spectra_solve_the_normal_equations():
    rng = np.random.default_rng(4)
    shape, p1, p0 = (6, 5, 8), np.float32(0.3), np.float32(0.7)
    inverse_voxel = (1 / np.array(VOXEL)).astype(np.float32)
    kernel = dipole_kernel(shape, VOXEL, (0.6, 0, 0.8))
    differences = [
        ((np.exp(2j * np.pi * k.ravel() * h) - 1) / h).astype(np.complex64)
        for k, h in zip(frequencies(shape, VOXEL), VOXEL, strict=True)
    ]
    images = rng.standard_normal((5, *shape)).astype(np.float32)
    data, sparse, *slopes = (rfftn(x) for x in images)
    slopes = np.stack(slopes)
    right = rfftn(images[0]) * kernel + p1 * rfftn(images[1])
    tgv_kernels.solve_spectra(0, 6, data, sparse, slopes, kernel, *differences, p1, p0)
    chi, w = irfftn(sparse, shape), np.stack([irfftn(x, shape) for x in slopes])
    assert np.allclose(data, kernel * sparse, atol=1e-4)
    left = kernel**2 * sparse + p1 * rfftn(gradient_adjoint(gradient(chi, VOXEL) - w, VOXEL))
    assert np.allclose(irfftn(left - right, shape), (left - right)[0, 0, 0].real / 240, atol=1e-4)
    nothing, bent = np.zeros_like(w), symmetrised(w)
    e_adjoint = np.empty_like(w)
    for axis in range(3):
        arrays = (e_adjoint[axis], nothing, bent, PAIRS, inverse_voxel)
        tgv_kernels.adjoint_second(0, 6, axis, *arrays, 0.0, 0.0, 1.0, 1.0)
    misfit = p1 * (w - gradient(chi, VOXEL)) + p0 * e_adjoint - images[2:]
    assert np.abs(misfit).max() < 1e-4


def test_tgv_loops_equal_their_definition():
    rng = np.random.default_rng(5)
    shape, limit = (4, 5, 6), np.float32(0.3)
    inverse_voxel = (1 / np.array(VOXEL)).astype(np.float32)
    w = rng.standard_normal((3, *shape)).astype(np.float32)
    before = rng.standard_normal((6, *shape)).astype(np.float32)
    v = before.copy()
    tgv_kernels.shrink_second(0, 4, w, v, inverse_voxel, limit)
    assert np.allclose(v, symmetrised(w) + np.clip(before, -limit, limit), atol=1e-5)
    chi, last = rng.standard_normal((2, *shape)).astype(np.float32)
    v, old = before[:3].copy(), last.copy()
    sums = tgv_kernels.shrink_first(0, 4, chi, old, w, v, inverse_voxel, limit)
    expected = gradient(chi, VOXEL) - w + np.clip(before[:3], -limit, limit)
    assert np.allclose(v, expected, atol=1e-5)
    assert np.array_equal(old, chi)
    assert np.allclose(sums, [((chi - last) ** 2).sum(), (chi**2).sum()], rtol=1e-5)


@pytest.mark.parametrize('noise', [0.001, 0.004])
def test_noise_of_a_field_is_measured_on_the_cone(noise, cases):
    _, mask, field = cases.noisy_head(cases.SMALL, noise)
    region = MaskedRegion.of(mask, cases.SMALL)
    assert field_noise(region.cut(field, 'field'), region) == pytest.approx(noise, rel=0.25)


def test_least_noise_of_a_flat_field(cases):
    region = MaskedRegion.of(np.ones(cases.SMALL.shape, bool), cases.SMALL)
    assert field_noise(np.ones(cases.SMALL.shape, np.float32), region) == LEAST_NOISE_PPM


def test_map_scales_with_the_field(cases):
    _, mask, field = cases.noisy_head(cases.SMALL)
    once, twice = (invert_tv(f * field, mask, cases.SMALL) for f in (1, 2))
    assert np.linalg.norm(twice - 2 * once) < 0.1 * np.linalg.norm(twice)
