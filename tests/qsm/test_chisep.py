import numpy as np
import pytest
from scipy import ndimage

from qsmbids.phantom.forward import dipole_field
from qsmbids.qsm.chisep import ChiSeparationParameters, separate_chi, separate_chi_jointly
from qsmbids.qsm.grid import Grid
from qsmbids.qsm.kernels import dipole_kernel

HZ = 3 * 42.577478  # per ppm at 3 T
GRID = Grid((37, 40, 33), (1.5, 1.5, 2.0), (0.36, 0.48, 0.8))


def ellipsoid(grid, centre, radius):
    axes = [np.linspace(-1, 1, n) for n in grid.shape]
    squares = (
        (a - c) ** 2 for a, c in zip(np.meshgrid(*axes, indexing='ij'), centre, strict=True)
    )
    return sum(squares) < radius**2


def head(grid=GRID, noise=0.001):
    """Iron, myelin, and both in one place; positive, negative, mask, field, R2' at 3 T."""
    rng = np.random.default_rng(0)
    mask = ellipsoid(grid, (0, 0, 0), 0.85)
    positive = 0.1 * ellipsoid(grid, (0.3, 0, 0), 0.2) + 0.05 * ellipsoid(
        grid, (-0.3, 0, 0.2), 0.25
    )
    negative = -0.05 * ellipsoid(grid, (-0.3, 0, 0.2), 0.25) - 0.04 * ellipsoid(
        grid, (0, 0.4, -0.2), 0.25
    )
    field = dipole_field(
        (positive + negative).astype(np.float32), grid.voxel_size, grid.b0_direction
    )
    field += noise * rng.standard_normal(grid.shape)
    rate = 137 * (positive - negative) + 300 * noise * rng.standard_normal(grid.shape)
    return positive, negative, mask, field, rate


def miss(parts, truths, mask):
    """Root mean square errors in ppm."""
    return [np.sqrt(np.mean((p - t)[mask] ** 2)) for p, t in zip(parts, truths, strict=True)]


def test_closed_form_solves_both_equations():
    positive, negative, mask, _, _ = head()
    rate = 137 * (positive - negative)
    parts = separate_chi(positive + negative, mask, GRID, field_hz_per_ppm=HZ, r2prime=rate)
    assert max(miss(parts, (positive, negative), mask)) < 1e-6
    assert not parts[0][~mask].any()
    assert not parts[1][~mask].any()


def test_relaxivity_follows_the_field_strength():
    positive, negative, mask, _, _ = head()
    rate = 137 * (positive - negative) * 7 / 3
    parts = separate_chi(
        positive + negative, mask, GRID, field_hz_per_ppm=7 * 42.577478, r2prime=rate
    )
    assert max(miss(parts, (positive, negative), mask)) < 1e-6


def test_signs_hold_for_contradicting_data():
    rng = np.random.default_rng(1)
    mask = np.ones(GRID.shape, bool)
    chi, rate = rng.standard_normal(GRID.shape), 100 * rng.standard_normal(GRID.shape)
    for parts in (
        separate_chi(chi, mask, GRID, field_hz_per_ppm=HZ, r2prime=rate),
        separate_chi_jointly(chi, mask, GRID, field_hz_per_ppm=HZ, r2prime=rate),
    ):
        assert parts[0].min() >= 0 >= parts[1].max()
        assert parts[0].dtype == np.float32


def test_joint_solution_recovers_both_parts_from_the_field():
    positive, negative, mask, field, rate = head()
    calls = []
    parts = separate_chi_jointly(
        field, mask, GRID, field_hz_per_ppm=HZ, r2prime=rate,
        progress=lambda f, text: calls.append(f),
    )  # fmt: skip
    errors = miss(parts, (positive, negative), mask)
    assert max(errors) < 0.006  # of sources of 0.04 to 0.1 ppm
    # iron and myelin that cancel in the field are told apart
    both = ellipsoid(GRID, (-0.3, 0, 0.2), 0.15)
    assert parts[0][both].mean() == pytest.approx(0.05, abs=0.005)
    assert parts[1][both].mean() == pytest.approx(-0.05, abs=0.005)
    # the reference is absolute: nothing is left where there is no source
    empty = mask & (ndimage.binary_dilation(positive - negative > 0, iterations=3) == 0)
    assert abs((parts[0] + parts[1])[empty].mean()) < 0.002
    axial = Grid(GRID.shape, GRID.voxel_size)
    wrong = separate_chi_jointly(field, mask, axial, field_hz_per_ppm=HZ, r2prime=rate)
    assert max(miss(wrong, (positive, negative), mask)) > 1.5 * max(errors)
    assert calls == sorted(calls)
    assert 0 < calls[-1] <= 1


def test_a_field_near_the_cone_is_bounded_by_the_rate():
    # noise that the dipole kernel cannot explain becomes streaks unless R2' forbids them
    positive, negative, mask, field, rate = head()
    fft_shape = GRID.shape
    kernel = dipole_kernel(fft_shape, GRID.voxel_size, GRID.b0_direction)
    noise = np.fft.rfftn(np.random.default_rng(2).standard_normal(fft_shape))
    streaks = np.fft.irfftn(noise * (np.abs(kernel) < 0.08), fft_shape, axes=(0, 1, 2))
    noisy = field + 0.01 * streaks
    errors = []
    for coupling in (0.05, 1e-6):
        p = ChiSeparationParameters(coupling=coupling, regularisation=0.005)
        parts = separate_chi_jointly(
            noisy, mask, GRID, field_hz_per_ppm=HZ, r2prime=rate, parameters=p
        )
        chi = parts[0] + parts[1] - (positive + negative)
        errors.append((chi - chi[mask].mean())[mask].std())
    assert errors[0] < 0.9 * errors[1]


def test_rate_of_r2star_only():
    positive, negative, mask, field, _ = head()
    share = ChiSeparationParameters().r2prime_share
    rate = np.maximum(137 * (positive - negative), 0)
    for function, data in ((separate_chi, positive + negative), (separate_chi_jointly, field)):
        full = function(data, mask, GRID, field_hz_per_ppm=HZ, r2prime=rate)
        part = function(data, mask, GRID, field_hz_per_ppm=HZ, r2star=rate / share)
        assert np.allclose(full, part, atol=1e-5)


def test_values_outside_the_mask_do_not_matter():
    _, _, mask, field, rate = head()
    for function in (separate_chi, separate_chi_jointly):
        parts = function(field, mask, GRID, field_hz_per_ppm=HZ, r2prime=rate)
        holes = (np.where(mask, x, np.nan) for x in (field, rate))
        field_nan, rate_nan = holes
        again = function(field_nan, mask, GRID, field_hz_per_ppm=HZ, r2prime=rate_nan)
        assert np.array_equal(parts, again)


def test_flips_and_permutations_commute():
    _, _, mask, field, rate = head()
    parts = separate_chi_jointly(field, mask, GRID, field_hz_per_ppm=HZ, r2prime=rate)
    order = (2, 0, 1)
    shape, voxel, b0 = (
        tuple(np.array(v)[list(order)]) for v in (GRID.shape, GRID.voxel_size, GRID.b0_direction)
    )
    grid = Grid(shape, voxel, (-b0[0], b0[1], b0[2]))
    turned = (x.transpose(order)[::-1] for x in (field, mask, rate))
    field, mask, rate = turned
    other = separate_chi_jointly(field, mask, grid, field_hz_per_ppm=HZ, r2prime=rate)
    for a, b in zip(parts, other, strict=True):
        assert np.abs(a.transpose(order)[::-1] - b).max() < 0.03 * np.abs(a).max()


def test_tiny_and_bad_input():
    grid = Grid((9, 8, 7))
    field, mask = np.zeros(grid.shape), np.zeros(grid.shape, bool)
    for function in (separate_chi, separate_chi_jointly):
        with pytest.raises(ValueError, match='mask is empty'):
            function(field, mask, grid, field_hz_per_ppm=HZ, r2prime=field)
        mask[4, 4, 3] = True
        parts = function(field + 1, mask, grid, field_hz_per_ppm=HZ, r2prime=field)
        assert np.isfinite(parts).all()
        with pytest.raises(ValueError, match="either R2'"):
            function(field, mask, grid, field_hz_per_ppm=HZ)
        with pytest.raises(ValueError, match="either R2'"):
            function(field, mask, grid, field_hz_per_ppm=HZ, r2prime=field, r2star=field)
        with pytest.raises(ValueError, match='Hz per ppm'):
            function(field, mask, grid, field_hz_per_ppm=0, r2prime=field)
        mask[4, 4, 3] = False


@pytest.mark.parametrize(
    'values',
    [{'relaxivity_3t': 0}, {'r2prime_share': 0}, {'r2prime_share': 2}, {'regularisation': 0},
     {'coupling': -1}, {'iterations': 0}],
)  # fmt: skip
def test_impossible_parameters_are_refused(values):
    with pytest.raises(ValueError, match='Chi-separation'):
        ChiSeparationParameters(**values)
