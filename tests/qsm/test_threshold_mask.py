import numpy as np
import pytest

from qsmbids.qsm.grid import Grid
from qsmbids.qsm.masks import erode
from qsmbids.qsm.threshold_mask import ThresholdMaskParameters, mask_by_threshold

GRIDS = [
    Grid((40, 44, 42), (2.0, 2.0, 2.0)),
    Grid((61, 55, 21), (1.1, 1.3, 3.2), (0.5, 0.0, 0.8660254)),
]


def head(grid, signal=100.0, noise=4.0, seed=0):
    """Rayleigh noise in air, tissue with a shading and a dark spot; returns image and truth."""
    axes = [
        (np.arange(n) - (n - 1) / 2) * h for n, h in zip(grid.shape, grid.voxel_size, strict=True)
    ]
    x, y, z = np.meshgrid(*axes, indexing='ij')
    truth = x**2 + y**2 + z**2 < 29**2
    tissue = truth & ((x - 8) ** 2 + y**2 + z**2 > 4**2)
    rng = np.random.default_rng(seed)
    real, imag = noise * rng.standard_normal((2, *grid.shape))
    image = np.hypot(np.where(tissue, signal * (1 + x / 100), 0) + real, imag)
    return image.astype(np.float32), truth


@pytest.mark.parametrize('grid', GRIDS, ids=['isotropic', 'anisotropic odd'])
def test_head_is_found_with_its_dark_spot(grid):
    image, truth = head(grid)
    mask = mask_by_threshold(image, grid)
    assert mask.dtype == bool
    assert mask[erode(truth, 4, grid)].all()
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.95
    assert (mask & ~truth).sum() < 0.05 * truth.sum()


def test_unit_of_the_magnitude_does_not_matter():
    image, _ = head(GRIDS[0])
    expected = mask_by_threshold(image, GRIDS[0])
    for factor in (1e-6, 1e5):
        np.testing.assert_array_equal(mask_by_threshold(image * factor, GRIDS[0]), expected)


def test_a_few_very_bright_voxels_do_not_move_it():
    image, _ = head(GRIDS[0])
    expected = mask_by_threshold(image, GRIDS[0])
    image[20:22, 20:22, 20:22] = 1e5
    assert (mask_by_threshold(image, GRIDS[0]) ^ expected).mean() < 1e-3


@pytest.mark.parametrize('outside', [0.0, np.nan])
def test_stripped_background_is_not_taken_for_noise(outside):
    """Without air the dimmest voxels are tissue, and five times them is more than any."""
    image, truth = head(GRIDS[0])
    expected = mask_by_threshold(image, GRIDS[0])
    stripped = np.where(truth, image, np.float32(outside))
    assert (mask_by_threshold(stripped, GRIDS[0]) ^ expected).mean() < 0.01


def test_tight_field_of_view_is_all_tissue():
    rng = np.random.default_rng(1)
    image = 100 + 10 * rng.standard_normal((24, 24, 24))
    assert mask_by_threshold(image, Grid(image.shape)).all()


def test_lone_bright_voxels_go():
    image, _ = head(GRIDS[0])
    image[2, 2, 2] = image[37, 40, 39] = 100
    mask = mask_by_threshold(image, GRIDS[0])
    assert not mask[2, 2, 2]
    assert not mask[37, 40, 39]


def test_axes_may_be_turned():
    image, _ = head(GRIDS[1])
    mask = mask_by_threshold(image, GRIDS[1])
    grid = Grid(np.array(GRIDS[1].shape)[[2, 0, 1]], np.array(GRIDS[1].voxel_size)[[2, 0, 1]])
    turned = mask_by_threshold(image.transpose(2, 0, 1)[::-1], grid)
    np.testing.assert_array_equal(turned, mask.transpose(2, 0, 1)[::-1])


def test_limits_are_parameters():
    image, truth = head(GRIDS[0])
    dim = np.where(truth, image, image + 30)  # air brighter than a fifth of the tissue
    default = mask_by_threshold(dim, GRIDS[0])
    strict = mask_by_threshold(
        dim, GRIDS[0], parameters=ThresholdMaskParameters(tissue_fraction=0.5)
    )
    assert default.mean() > 0.99
    assert (strict ^ truth).mean() < 0.05


def test_bad_input_is_explained():
    image, _ = head(GRIDS[0])
    with pytest.raises(ValueError, match='shape'):
        mask_by_threshold(image[1:], GRIDS[0])
    with pytest.raises(ValueError, match='no positive voxel'):
        mask_by_threshold(np.zeros(GRIDS[0].shape), GRIDS[0])
    lone = np.zeros(GRIDS[0].shape)
    lone[5, 5, 5] = 3.0
    with pytest.raises(ValueError, match='stands out'):
        mask_by_threshold(lone, GRIDS[0])


@pytest.mark.parametrize(
    'bad',
    [{'noise_factor': -1.0}, {'tissue_fraction': 0.0}, {'tissue_fraction': 1.0},
     {'noise_factor': np.nan}, {'neighbourhood_mm': 0.0}, {'smoothing_mm': -2.0}],
)  # fmt: skip
def test_bad_parameters_are_refused_in_three_lines(bad):
    with pytest.raises(ValueError, match='threshold mask') as error:
        ThresholdMaskParameters(**bad)
    assert str(error.value).count('\n') == 2
