"""SWI by phase: both forms, on a simulated scan of a vein."""

import numpy as np
import pytest

from qsmbids.phantom.forward import cylinder_field
from qsmbids.qsm.clear_swi import ClearSwiParameters, make_clear_swi
from qsmbids.qsm.grid import Grid
from qsmbids.qsm.phase import wrap
from qsmbids.qsm.swi import SwiParameters, make_swi

TIMES = (0.006, 0.012, 0.020)
HZ_PER_PPM = 127.73
GRIDS = {
    'axial': Grid((44, 44, 20)),
    'oblique anisotropic odd': Grid((47, 45, 17), (1.0, 1.1, 2.0), (0.5, 0.0, 0.8660254)),
    'coronal': Grid((41, 18, 43), (1.1, 2.0, 1.0), (0.1, -0.98, 0.2)),
}
BOTH = pytest.mark.parametrize('make', [make_swi, make_clear_swi], ids=['swi', 'clear'])


def points_mm(grid):
    axes = [(np.arange(n) - n // 2) * h for n, h in zip(grid.shape, grid.voxel_size, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing='ij'), axis=-1)


def scan(grid, chi=0.4, axis=None, radius=1.6, noise=1.0, seed=0):
    """A vein along an axis (default B0) under a coil phase and a background field."""
    axis = np.asarray(grid.b0_direction if axis is None else axis, float)
    axis /= np.linalg.norm(axis)
    points = points_mm(grid)
    field = cylinder_field(points, radius, chi, axis, grid.b0_direction) * HZ_PER_PPM
    distance = np.linalg.norm(points - (points @ axis)[..., None] * axis, axis=-1)
    vein = distance <= radius
    field = field + 0.6 * points[..., 0] - 0.02 * points[..., 1] ** 2
    offset = 1.3 + 0.05 * points[..., 2]
    times = np.array(TIMES)[:, None, None, None]
    rng = np.random.default_rng(seed)
    signal = 100 * np.exp(
        -times * np.where(vein, 40, 20) + 1j * (2 * np.pi * field * times + offset)
    )
    signal = signal + noise * (rng.standard_normal((2, *signal.shape)).T @ [1, 1j]).T
    mask = (points**2).sum(axis=-1) < (0.48 * 44) ** 2
    shell = mask & (distance > 3 * radius) & (distance < 7 * radius)
    unwrapped = 2 * np.pi * field * times + offset
    unwrapped = unwrapped + wrap(np.angle(signal) - unwrapped)
    return np.abs(signal), np.angle(signal), unwrapped, mask, vein & mask, shell


def image_of(make, grid, **how):
    magnitude, phase, unwrapped, mask, vein, shell = scan(grid, **how)
    source = phase if make is make_swi else unwrapped
    return make(magnitude, source, TIMES, mask, grid), magnitude, mask, vein, shell


@BOTH
@pytest.mark.parametrize('name', GRIDS)
def test_vein_is_dark_and_calcification_is_not(make, name):
    """Darker than its magnitude explains for chi > 0, and not at all for chi < 0."""
    share = {}
    for chi in (0.4, -0.4):
        image, magnitude, _, vein, shell = image_of(make, GRIDS[name], chi=chi)
        weighted = np.average(magnitude, axis=0, weights=TIMES)
        ratio = np.median(weighted[vein]) / np.median(weighted[shell])
        share[chi] = np.median(image[vein]) / np.median(image[shell]) / ratio
    assert share[0.4] < 0.5
    assert share[-0.4] > 0.9


@BOTH
def test_wrong_sign_of_the_phase_shows_no_vein(make):
    magnitude, phase, unwrapped, mask, vein, shell = scan(GRIDS['axial'])
    source = phase if make is make_swi else unwrapped
    image = make(magnitude, -source, TIMES, mask, GRIDS['axial'])
    assert np.median(image[vein]) > 0.75 * np.median(image[shell])


def test_swi_depends_on_the_angle_of_the_vein():
    """Across B0 the inside of a vein has negative phase: what tSWI is for."""
    along, _, _, vein, shell = image_of(make_swi, GRIDS['axial'])
    dark = np.median(along[vein]) / np.median(along[shell])
    across, _, _, vein, shell = image_of(make_swi, GRIDS['axial'], axis=(1, 0, 0))
    assert np.median(across[vein]) / np.median(across[shell]) > 2 * dark


def test_swi_equals_its_definition_for_a_phase_without_slow_part():
    """exp(i a cos kx) has the mean J0(a) > 0, so the filter takes nothing from its angle."""
    grid = Grid((64, 40, 6))
    x = np.arange(64)[:, None, None]
    phase = np.broadcast_to(1.2 * np.cos(2 * np.pi * x / 4), (1, *grid.shape))
    mask = np.ones(grid.shape, bool)
    image = make_swi(np.full(phase.shape, 50.0), phase, [0.02], mask, grid)
    expected = 50 * (1 - np.maximum(phase[0], 0) / np.pi) ** 4
    inner = (slice(12, -12), slice(12, -12))
    np.testing.assert_allclose(image[inner], expected[inner], rtol=2e-3)


def test_echoes_are_averaged_with_their_echo_time():
    magnitude = np.stack([np.full((20, 20, 8), m) for m in (80.0, 60.0, 40.0)])
    mask = np.ones((20, 20, 8), bool)
    image = make_swi(magnitude, 0 * magnitude, TIMES, mask, Grid(mask.shape))
    np.testing.assert_allclose(image, np.average([80, 60, 40], weights=TIMES), rtol=1e-4)


@BOTH
def test_nothing_but_small_structures_counts(make):
    """Offset, whole turns and a slow field change nothing that is well inside."""
    grid = GRIDS['axial']
    magnitude, phase, unwrapped, mask, _, _ = scan(grid)
    points = points_mm(grid)
    slow = 0.8 + 0.004 * points[..., 0] + 2 * np.pi
    source = phase if make is make_swi else unwrapped
    one = make(magnitude, source, TIMES, mask, grid)
    two = make(magnitude, source + slow, TIMES, mask, grid)
    core = (points**2).sum(axis=-1) < 12**2
    assert np.abs(two - one)[core].max() < 0.05 * one[core].max()
    assert np.abs(two - one)[core].mean() < 0.01 * one[core].mean()


@BOTH
def test_unit_of_the_magnitude_stays(make):
    grid = GRIDS['oblique anisotropic odd']
    magnitude, phase, _, mask, _, _ = scan(grid)
    one = make(magnitude, phase, TIMES, mask, grid)
    many = make(1000 * magnitude, phase, TIMES, mask, grid)
    np.testing.assert_allclose(many, 1000 * one, rtol=1e-3, atol=1e-2)
    assert 0.3 < one[mask].mean() / np.average(magnitude, axis=0, weights=TIMES)[mask].mean() < 1


def test_clear_swi_does_not_depend_on_field_strength():
    grid = GRIDS['axial']
    magnitude, _, unwrapped, mask, _, _ = scan(grid)
    one = make_clear_swi(magnitude, unwrapped, TIMES, mask, grid)
    two = make_clear_swi(magnitude, 2.3 * unwrapped, TIMES, mask, grid)
    np.testing.assert_allclose(two, one, atol=0.01 * one.max())


def test_clear_swi_evens_out_the_sensitivity_of_the_coils():
    grid = Grid((48, 46, 21), (3.0, 3.0, 5.0))
    points = points_mm(grid)
    mask = (points**2).sum(axis=-1) < 65**2
    nucleus = ((points - [20, 10, 0]) ** 2).sum(axis=-1) < 8**2
    magnitude = np.where(nucleus, 70, 100) * (1 + points[..., 0] / 130)[None]
    image = make_clear_swi(magnitude, 0 * magnitude, [0.02], mask, grid)
    tissue = mask & ~nucleus
    spread = [x[tissue].std() / x[tissue].mean() for x in (magnitude[0], image)]
    assert spread[1] < 0.5 * spread[0]
    around = mask & ~nucleus & (((points - [20, 10, 0]) ** 2).sum(axis=-1) < 16**2)
    assert image[nucleus].mean() / image[around].mean() == pytest.approx(0.7, rel=0.05)


@BOTH
def test_flips_and_permutations_commute(make):
    grid = GRIDS['oblique anisotropic odd']
    magnitude, phase, unwrapped, mask, _, _ = scan(grid)
    source = phase if make is make_swi else unwrapped
    image = make(magnitude, source, TIMES, mask, grid)
    turned_grid = Grid((17, 47, 45), (2.0, 1.0, 1.1), (-0.8660254, 0.5, 0.0))

    def turn(x):
        return np.moveaxis(x, -1, -3)[..., ::-1, :, :]

    turned = make(turn(magnitude), turn(source), TIMES, turn(mask), turned_grid)
    np.testing.assert_allclose(turned, turn(image), atol=2e-3 * image.max())


@BOTH
def test_outside_the_mask_nothing_is_looked_at(make):
    grid = GRIDS['axial']
    magnitude, phase, unwrapped, mask, _, _ = scan(grid)
    source = phase if make is make_swi else unwrapped
    image = make(magnitude, source, TIMES, mask, grid)
    for value in (0.0, 1e4, np.nan):
        spoiled = [np.where(mask, x, value) for x in (magnitude, source)]
        np.testing.assert_allclose(make(*spoiled, TIMES, mask, grid), image, rtol=1e-6)
    assert image.dtype == np.float32
    assert not image[~mask].any()


@BOTH
@pytest.mark.parametrize('size', [1, 2])
def test_constant_images_and_tiny_masks_stay_finite(make, size):
    grid = Grid((9, 8, 7))
    mask = np.zeros(grid.shape, bool)
    mask[(slice(3, 3 + size),) * 3] = True
    for level in (0.0, 5.0):
        image = make(
            np.full((1, *grid.shape), level), np.zeros((1, *grid.shape)), [0.02], mask, grid
        )
        assert np.isfinite(image).all()
        assert (image[mask] > 0).all() == (level > 0)


@BOTH
def test_bad_input_is_explained(make):
    grid = GRIDS['axial']
    magnitude, phase, _, mask, _, _ = scan(grid)
    with pytest.raises(ValueError, match='fit together'):
        make(magnitude[:2], phase, TIMES, mask, grid)
    with pytest.raises(ValueError, match='echo times'):
        make(magnitude, phase, TIMES[:2], mask, grid)
    with pytest.raises(ValueError, match='mask holds no voxel'):
        make(magnitude, phase, TIMES, mask & False, grid)
    with pytest.raises(ValueError, match='grid'):
        make(magnitude, phase, TIMES, mask, Grid((44, 44, 21)))


@pytest.mark.parametrize(
    ('parameters', 'bad'),
    [(SwiParameters, {'cutoff_mm': 0.0}), (SwiParameters, {'power': -1.0}),
     (SwiParameters, {'slice_axis': 5}), (SwiParameters, {'cutoff_mm': np.nan}),
     (ClearSwiParameters, {'sigma_mm': 0.0}), (ClearSwiParameters, {'strength': 0.0}),
     (ClearSwiParameters, {'sensitivity_mm': np.inf}),
     (ClearSwiParameters, {'projection_mm': -3.0})],
)  # fmt: skip
def test_bad_parameters_are_refused_in_three_lines(parameters, bad):
    with pytest.raises(ValueError, match=r'\n.*\n') as error:
        parameters(**bad)
    assert str(error.value).count('\n') == 2
