import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from qsmbids.qsm.fft import get_workers, set_workers
from qsmbids.qsm.grid import Grid
from qsmbids.qsm.phase import wrap
from qsmbids.qsm.romeo import RomeoParameters, phase_quality, unwrap_romeo

TIMES = np.array([0.004, 0.010, 0.016, 0.022])
UNEVEN = np.array([0.004, 0.0095, 0.021])
GRIDS = [Grid((36, 34, 32), (1, 1, 1)), Grid((40, 34, 18), (1, 1, 2.2))]
GRID = GRIDS[0]
IDS = pytest.mark.parametrize('grid', GRIDS, ids=['1 mm', '1 x 1 x 2.2 mm'])


def column(values):
    return np.asarray(values, float)[:, None, None, None]


def axes_mm(grid):
    centred = (
        (np.arange(n) - (n - 1) / 2) * h for n, h in zip(grid.shape, grid.voxel_size, strict=True)
    )
    return np.meshgrid(*centred, indexing='ij', sparse=True)


def sphere_and_ramp(grid):
    """Field of a sphere of 5 mm, which is a hole of the mask, on a ramp: 340 Hz in all."""
    x, y, z = axes_mm(grid)
    r2 = x**2 + y**2 + z**2
    radius = 5.0
    dipole = 60 * (radius**2 / np.maximum(r2, 1)) ** 1.5 * (3 * z**2 / np.maximum(r2, 1) - 1)
    brain = ((x / 17) ** 2 + (y / 16) ** 2 + (z / 15) ** 2) < 1
    return dipole + 7 * x - 3 * y, brain & (r2 > radius**2)


def signal(field, times, mask, snr_last=None, seed=0):
    """True phase of the (noisy) data, unwrapped, and magnitude."""
    strength = np.exp(-30 * column(times)) * np.where(mask, 1.0, 0.02)
    truth = 2 * np.pi * column(times) * field
    if snr_last is not None:
        sigma = np.exp(-30 * times[-1]) / snr_last
        noise = np.random.default_rng(seed).normal(0, sigma, (2, *strength.shape))
        measured = strength + noise[0] + 1j * noise[1]
        truth, strength = truth + np.angle(measured), np.abs(measured)
    return truth, strength


def turns_off(unwrapped, truth, mask):
    """Whole turns between result and truth, (n_echo, n_voxel)."""
    turns = (unwrapped - truth)[:, mask] / (2 * np.pi)
    np.testing.assert_allclose(turns, np.rint(turns), atol=1e-3)  # the data are not changed
    return np.rint(turns).astype(int)


@IDS
@pytest.mark.parametrize('times', [TIMES, UNEVEN], ids=['even', 'uneven'])
def test_many_turns_around_a_hole_exactly(grid, times):
    field, mask = sphere_and_ramp(grid)
    truth, strength = signal(field, times, mask)
    assert np.ptp(truth[-1][mask]) > 5 * 2 * np.pi
    found = unwrap_romeo(wrap(truth), strength, times, mask, grid)
    assert found.dtype == np.float32
    assert not turns_off(found, truth, mask).any()
    assert not found[:, ~mask].any()


def test_single_echo_up_to_one_number_of_turns():
    field, mask = sphere_and_ramp(GRID)
    truth, strength = signal(field, [0.008], mask)
    truth += 11.0  # nothing tells where zero is
    found = unwrap_romeo(wrap(truth), strength, [0.008], mask, GRID)
    assert np.ptp(turns_off(found, truth, mask)) == 0
    assert abs(found[0][mask].mean()) < np.pi + 0.5  # the choice closest to zero


@IDS
def test_hardly_a_voxel_is_wrong_at_snr_20(grid):
    field, mask = sphere_and_ramp(grid)
    truth, strength = signal(field, TIMES, mask, snr_last=20)
    found = unwrap_romeo(wrap(truth), strength, TIMES, mask, grid)
    wrong = turns_off(found, truth, mask) != 0
    assert wrong.mean(axis=1).max() < 1e-3


def test_echoes_agree_everywhere_in_noise():
    """No region may be a turn off from one echo to the next."""
    field, mask = sphere_and_ramp(GRID)
    truth, strength = signal(field, UNEVEN, mask, snr_last=20, seed=1)
    found = unwrap_romeo(wrap(truth), strength, UNEVEN, mask, GRID)
    rates = found[:, mask] / (2 * np.pi * UNEVEN[:, None])
    jump_hz = 1 / UNEVEN  # what one turn would change
    for echo in (1, 2):
        apart = np.abs(rates[echo] - rates[0])
        assert (apart > jump_hz[echo] / 2).mean() < 1e-3


def test_two_components_are_consistent_over_echoes():
    """Each has its own number of turns, told by the second echo: -0.8 and 1.2 at the first."""
    x, y, z = axes_mm(GRID)
    field = 4 * y + 2 * z + np.where(x < 0, -210.0, 290.0)
    mask = (np.abs(x) > 2) & (np.abs(y) < 13) & (np.abs(z) < 12) & (np.abs(x) < 16)
    truth, strength = signal(field, UNEVEN, mask, snr_last=40)
    found = unwrap_romeo(wrap(truth), strength, UNEVEN, mask, GRID)
    turns = turns_off(found, truth, mask)
    left = np.broadcast_to(x < 0, mask.shape)[mask]
    for side in (left, ~left):
        assert (turns[:, side] != 0).mean() < 1e-3


@pytest.mark.parametrize('field_hz', [-210.0, 210.0])
def test_of_fields_that_fit_alike_the_one_closest_to_zero_is_taken(field_hz):
    """With 4, 10, 16, 22 ms, fields 500 Hz apart give the same data: -210 and 290 Hz."""
    x, y, _ = axes_mm(GRID)
    field = np.broadcast_to(field_hz + 2 * x - y, GRID.shape)
    mask = np.ones(GRID.shape, bool)
    truth, strength = signal(field, TIMES, mask)
    found = unwrap_romeo(wrap(truth), strength, TIMES, mask, GRID)
    assert not turns_off(found, truth, mask).any()


def test_poor_voxels_of_the_first_echo_do_not_mislead_all_later_ones():
    """Random phase in the first echo only, as flow or a fold-over leaves.

    Its prediction is off by up to 2.5 half-turns, so 60 % of these voxels would be wrong in
    the second echo. Those that miss it by more than their noise are mended by neighbours.
    """
    rng = np.random.default_rng(5)
    x, y, _ = axes_mm(GRID)
    field, mask = np.broadcast_to(4 * x - 3 * y, GRID.shape), np.ones(GRID.shape, bool)
    truth, strength = signal(field, TIMES, mask)
    poor = rng.random(GRID.shape) < 0.03
    phase = wrap(truth)
    phase[0, poor] = rng.uniform(-np.pi, np.pi, poor.sum())
    found = unwrap_romeo(phase, strength, TIMES, mask, GRID)
    wrong = turns_off(found[1:], truth[1:], mask) != 0
    assert wrong[:, poor[mask]].mean(axis=1).max() < 0.15
    assert wrong[:, ~poor[mask]].mean() < 1e-3


def test_clusters_of_poor_voxels_are_mended_from_their_rim_inwards():
    """As above, in balls of 5 voxels diameter."""
    rng = np.random.default_rng(6)
    x, y, _ = axes_mm(GRID)
    field, mask = np.broadcast_to(4 * x - 3 * y, GRID.shape), np.ones(GRID.shape, bool)
    truth, strength = signal(field, TIMES, mask)
    poor = binary_dilation(rng.random(GRID.shape) < 0.003, iterations=2)
    phase = wrap(truth)
    phase[0, poor] = rng.uniform(-np.pi, np.pi, poor.sum())
    never = RomeoParameters(uncertain_miss_rad=np.pi)  # no voxel is ever uncertain
    wrong = [
        (turns_off(found[1:], truth[1:], mask) != 0)[:, poor[mask]].mean()
        for found in (
            unwrap_romeo(phase, strength, TIMES, mask, GRID),
            unwrap_romeo(phase, strength, TIMES, mask, GRID, parameters=never),
        )
    ]
    assert wrong[0] < 0.4 * wrong[1]


def test_steep_phase_is_followed_in_time_where_space_cannot():
    """A step of 0.8 turns per voxel at the last echo, of 0.15 turns at the first."""
    x, _, _ = axes_mm(GRID)
    field = np.broadcast_to(36 * (np.abs(x) - 9), GRID.shape)
    mask = np.ones(GRID.shape, bool)
    truth, strength = signal(field, TIMES, mask, snr_last=20)
    in_time = unwrap_romeo(wrap(truth), strength, TIMES, mask, GRID)
    assert (turns_off(in_time, truth, mask) != 0).mean() < 1e-3
    in_space = unwrap_romeo(
        wrap(truth), strength, TIMES, mask, GRID, parameters=RomeoParameters(mode='individual')
    )
    assert (turns_off(in_space, truth, mask)[-1] != 0).mean() > 0.3


@IDS
def test_individual_mode_unwraps_every_echo_in_space(grid):
    """With phase that does not grow in proportion to echo time, which the template misses."""
    field, mask = sphere_and_ramp(grid)
    truth, strength = signal(0.5 * field, TIMES, mask, snr_last=40)
    x, _, _ = axes_mm(grid)
    truth = truth + np.where(np.arange(4) == 2, 1, 0)[:, None, None, None] * 0.35 * x
    individual = RomeoParameters(mode='individual')
    found = unwrap_romeo(wrap(truth), strength, TIMES, mask, grid, parameters=individual)
    assert (turns_off(found, truth, mask) != 0).mean() < 1e-3
    template = unwrap_romeo(wrap(truth), strength, TIMES, mask, grid)
    assert (turns_off(template, truth, mask) != 0).mean() > 0.05


def test_individual_mode_agrees_on_the_turns_of_two_components():
    x, y, z = axes_mm(GRID)
    field = 4 * y + 2 * z + np.where(x < 0, -210.0, 290.0)
    mask = (np.abs(x) > 2) & (np.abs(y) < 13) & (np.abs(z) < 12) & (np.abs(x) < 16)
    truth, strength = signal(field, UNEVEN, mask, snr_last=40)
    individual = RomeoParameters(mode='individual')
    found = unwrap_romeo(wrap(truth), strength, UNEVEN, mask, GRID, parameters=individual)
    assert (turns_off(found, truth, mask) != 0).mean() < 1e-3


@pytest.mark.parametrize('wrong', [{'mode': 'best'}, {'uncertain_miss_rad': 0.0}])
def test_unusable_parameters_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RomeoParameters(**wrong)


def test_read_only_and_permuted_input():
    field, mask = sphere_and_ramp(GRID)
    truth, strength = signal(field, TIMES, mask)
    phase = wrap(truth)
    expected = unwrap_romeo(phase, strength, TIMES, mask, GRID)
    strength = strength.astype(np.float32)
    for x in (phase, strength, mask):
        x.flags.writeable = False
    found = unwrap_romeo(
        phase.transpose(0, 3, 1, 2),
        strength.transpose(0, 3, 1, 2),
        TIMES,
        mask.transpose(2, 0, 1),
        Grid(mask.transpose(2, 0, 1).shape),
    )
    np.testing.assert_array_equal(found.transpose(0, 2, 3, 1), expected)


def test_threads_do_not_change_the_result():
    field, mask = sphere_and_ramp(GRID)
    truth, strength = signal(field, TIMES, mask, snr_last=8)
    expected = unwrap_romeo(wrap(truth), strength, TIMES, mask, GRID)
    before = get_workers()
    set_workers(3)
    try:
        found = unwrap_romeo(wrap(truth), strength, TIMES, mask, GRID)
    finally:
        set_workers(before)
    np.testing.assert_array_equal(found, expected)


def test_scattered_holes_and_single_voxels():
    field, mask = sphere_and_ramp(GRID)
    mask &= np.random.default_rng(2).random(mask.shape) > 0.1
    mask[0, 0, 0] = mask[-1, -1, -1] = True  # alone at the border of the image
    truth, strength = signal(0.3 * field, TIMES, mask)
    found = unwrap_romeo(wrap(truth), strength, TIMES, mask, GRID)
    alone = np.zeros_like(mask)
    alone[0, 0, 0] = alone[-1, -1, -1] = True
    assert not turns_off(found, truth, mask & ~alone).any()
    assert np.isfinite(found).all()


@pytest.mark.parametrize('axis', [0, 1, 2])
def test_mirrored_input_gives_the_mirrored_result(axis):
    field, mask = sphere_and_ramp(GRID)
    truth, strength = signal(field, TIMES, mask, snr_last=30)
    phase = wrap(truth)
    found = unwrap_romeo(phase, strength, TIMES, mask, GRID)
    mirrored = unwrap_romeo(
        np.flip(phase, axis + 1), np.flip(strength, axis + 1), TIMES, np.flip(mask, axis), GRID
    )
    differs = np.abs(np.flip(mirrored, axis + 1) - found)[:, mask] > 1e-3
    assert differs.mean() < 1e-3


def test_opposite_phase_gives_the_opposite_result():
    field, mask = sphere_and_ramp(GRID)
    truth, strength = signal(field, TIMES, mask)
    found = unwrap_romeo(wrap(truth), strength, TIMES, mask, GRID)
    opposite = unwrap_romeo(wrap(-truth), strength, TIMES, mask, GRID)
    np.testing.assert_allclose(opposite, -found, atol=1e-4)


def test_outside_the_mask_has_no_influence():
    field, mask = sphere_and_ramp(GRID)
    truth, strength = signal(field, TIMES, mask, snr_last=20)
    phase = wrap(truth)
    expected = unwrap_romeo(phase, strength, TIMES, mask, GRID)
    phase[:, ~mask] = np.random.default_rng(3).uniform(-3, 3, phase[:, ~mask].shape)
    phase[:, 0] = strength[:, :, 0] = np.nan
    np.testing.assert_array_equal(unwrap_romeo(phase, strength, TIMES, mask, GRID), expected)


def test_unit_of_the_magnitude_does_not_matter():
    field, mask = sphere_and_ramp(GRID)
    truth, strength = signal(field, TIMES, mask)
    for scale in (1e-6, 1e9):
        found = unwrap_romeo(wrap(truth), strength * scale, TIMES, mask, GRID)
        assert not turns_off(found, truth, mask).any()


def test_quality_tells_smooth_phase_from_noise():
    rng = np.random.default_rng(4)
    field, mask = sphere_and_ramp(GRID)
    truth, strength = signal(0.3 * field, TIMES, mask)
    smooth = phase_quality(wrap(truth), strength, TIMES, mask)
    noise = phase_quality(
        rng.uniform(-np.pi, np.pi, truth.shape), rng.rayleigh(1.0, truth.shape), TIMES, mask
    )
    assert smooth.min() >= 0
    assert smooth.max() <= 1
    assert np.median(smooth[mask]) > 0.8
    assert np.median(noise[mask]) < 0.35
    assert not smooth[~mask].any()


def test_quality_of_a_ramp_is_what_the_equations_say():
    """Dymerska 2021: product of 0.1 + 0.9 w, here for 0.8 rad per voxel along x."""
    x = np.arange(16)[:, None, None] + np.zeros((16, 8, 8))
    phase = wrap(0.8 * column(TIMES[:2] / TIMES[0]) * x)
    strength = np.where(x % 2 == 0, 1.0, 0.7) * np.ones((2, 16, 8, 8))
    quality = phase_quality(phase, strength, TIMES[:2], np.ones((16, 8, 8), bool))
    along_x = (0.1 + 0.9 * (1 - 0.8 / np.pi)) * (0.1 + 0.9 * 0.7**2)
    np.testing.assert_allclose(quality[2:-2, 2:-2, 2:-2], (along_x + 2) / 3, atol=1 / 255)


def test_unusable_input_is_refused():
    field, mask = sphere_and_ramp(GRID)
    truth, strength = signal(field, TIMES, mask)
    with pytest.raises(ValueError, match='echo times'):
        unwrap_romeo(truth, strength, TIMES[:2], mask, GRID)
    with pytest.raises(ValueError, match='milliseconds'):
        unwrap_romeo(truth, strength, TIMES * 1000, mask, GRID)
    with pytest.raises(ValueError, match='finite data'):
        unwrap_romeo(truth, strength, TIMES, np.zeros_like(mask), GRID)
    with pytest.raises(ValueError, match='do not fit'):
        unwrap_romeo(truth, strength[:, 1:], TIMES, mask, GRID)
