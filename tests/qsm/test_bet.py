"""Brain extraction on simple heads, on the phantom and on a real scan."""

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from qsmbids.qsm import BetParameters, Grid, extract_brain

DATA = Path(os.environ.get('QSMBIDS_TEST_DATA', Path(__file__).parents[2].parent / 'shared/data'))


def simple_head(voxel=(3.0, 3.0, 3.0), scalp=1.5, bias=0.0, snr=50.0, neck=True):
    """Brain ellipsoid, dark layer, scalp; returns magnitude, brain and grid."""
    field_of_view = (180.0, 220.0, 190.0)
    shape = tuple(round(f / h) for f, h in zip(field_of_view, voxel, strict=True))
    axes = [
        (np.arange(n) - (n - 1) / 2) * h for n, h in zip(shape, voxel, strict=True)
    ]  # fmt: skip
    x, y, z = np.meshgrid(*axes, indexing='ij')
    z = z - 12

    def ellipsoid(a, b, c):
        return (x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2 < 1

    brain, skull, head = ellipsoid(66, 84, 60), ellipsoid(73, 91, 67), ellipsoid(80, 98, 74)
    if neck:
        head |= ((x / 50) ** 2 + (y / 60) ** 2 < 1) & (z < -40)
    image = np.where(brain, 1.0, np.where(skull, 0.12, np.where(head, scalp, 0.0)))
    image *= 1 + bias * y / 100
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((2, *shape)) / snr
    image = np.hypot(image + noise[0], noise[1])
    return image.astype(np.float32), brain, Grid(shape, voxel)


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize(
    'kind',
    [
        {},
        {'scalp': 3.0},
        {'bias': 0.6},
        {'bias': -0.6},
        {'snr': 8.0},
        {'voxel': (2.0, 2.0, 4.0)},
        {'neck': False},
    ],
    ids=str,
)
def test_simple_head(kind):
    image, brain, grid = simple_head(**kind)
    mask = extract_brain(image, grid)
    assert dice(mask, brain) > 0.95
    assert (brain & ~mask).sum() < 0.05 * brain.sum()  # a rim of a third of a voxel


def test_scale_of_the_image_does_not_matter():
    image, _, grid = simple_head()
    assert dice(extract_brain(image, grid), extract_brain(1000 * image, grid)) > 0.999


def test_flip_flips_the_mask():
    image, _, grid = simple_head(bias=0.3)
    flipped = extract_brain(np.ascontiguousarray(image[::-1]), grid)[::-1]
    assert dice(flipped, extract_brain(image, grid)) > 0.985


def test_cropped_top_and_tight_field_of_view():
    image, brain, grid = simple_head(neck=False)
    top = int(np.argwhere(brain).max(axis=0)[2]) - 4
    cut, truth = np.ascontiguousarray(image[..., :top]), brain[..., :top]
    mask = extract_brain(cut, Grid(cut.shape, grid.voxel_size))
    assert dice(mask, truth) > 0.93


def test_mask_is_one_piece_without_holes():
    from qsmbids.qsm import fill_holes, largest_component

    image, _, grid = simple_head()
    mask = extract_brain(image, grid)
    assert np.array_equal(mask, fill_holes(mask))
    assert np.array_equal(mask, largest_component(mask))


def test_phantom(coarse_head):
    rss = np.sqrt((coarse_head.magnitude**2).sum(axis=0))
    mask = extract_brain(rss, coarse_head.grid)
    assert dice(mask, coarse_head.brain_mask) > 0.95


@pytest.fixture(scope='module')
def coarse_head():
    from qsmbids.phantom import PhantomParameters, simulate_head

    return simulate_head(40.0, parameters=PhantomParameters(voxel_size_mm=3.0))


def test_real_scan():
    """An adult brain has 1.1 to 1.9 litres; its middle is inside, the mouth is not."""
    files = sorted((DATA / 'philips-dualecho/sub-philips/anat').glob('*mag_MEGRE.nii.gz'))
    if not files:
        pytest.skip('the real scan is not there')
    images = [nib.load(f) for f in files]
    rss = np.sqrt(sum(np.asarray(i.dataobj, np.float32) ** 2 for i in images))
    grid = Grid.from_affine(rss.shape, images[0].affine)
    mask = extract_brain(rss, grid)
    assert 1.1e6 < mask.sum() * grid.voxel_volume < 1.9e6
    assert mask[40, 40, 30]


@pytest.mark.parametrize('image', [np.zeros((20, 20, 20)), np.full((20, 20, 20), np.nan)])
def test_no_signal_is_refused(image):
    with pytest.raises(ValueError, match='empty'):
        extract_brain(image, Grid((20, 20, 20), (3.0, 3.0, 3.0)))


def test_wrong_grid_is_refused():
    with pytest.raises(ValueError, match='does not belong'):
        extract_brain(np.ones((5, 5, 5)), Grid((6, 5, 5)))


def test_larger_intensity_gives_a_smaller_mask():
    image, _, grid = simple_head(bias=0.3)
    sizes = [
        extract_brain(image, grid, parameters=BetParameters(fractional_intensity=f)).sum()
        for f in (0.4, 0.8)
    ]
    assert sizes[1] < sizes[0]
