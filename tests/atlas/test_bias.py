import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from qsmbids.atlas.bias import remove_bias

SHAPE = (36, 40, 34)
AFFINE = np.diag((4.0, 4.0, 4.0, 1.0))


@pytest.fixture(scope='module')
def head():
    axes = np.meshgrid(*(np.linspace(-1.2, 1.2, n) for n in SHAPE), indexing='ij')
    brain = sum(a**2 for a in axes) < 1
    rough = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(SHAPE), 1.2)
    tissue = np.where(rough > 0, 1.0, 0.7)
    return brain, tissue, np.exp(0.5 * axes[0] + 0.3 * axes[2] ** 2)


def spread(image, tissue, brain):
    """Coefficient of variation within the brighter tissue."""
    values = image[brain & (tissue == 1)]
    return values.std() / values.mean()


def test_n4_takes_a_smooth_bias_away(head):
    brain, tissue, bias = head
    noise = 0.01 * np.random.default_rng(1).standard_normal(SHAPE)
    image = 800 * (tissue * bias + noise)
    corrected = remove_bias(image, brain, AFFINE)
    assert spread(corrected, tissue, brain) < 0.4 * spread(image, tissue, brain)
    contrast = corrected[brain & (tissue == 1)].mean() / corrected[brain & (tissue < 1)].mean()
    assert contrast == pytest.approx(1 / 0.7, rel=0.1)
    assert not corrected[~brain].any()


@pytest.mark.parametrize('turn_deg', [0, 8])
@pytest.mark.parametrize('size', [1.5, 2.0, 3.0])
def test_nothing_blows_up_at_the_edge_of_the_mask_or_of_the_image(head, turn_deg, size):
    brain, tissue, bias = head
    cut = slice(6, None)  # the image ends within the brain
    brain = brain.copy()
    brain[18, 20, :] = True  # too thin for the coarse grid of the estimate
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler('xz', [turn_deg, turn_deg], degrees=True).as_matrix()
    affine = turn @ np.diag((size, size, size, 1))
    corrected = remove_bias((tissue * bias)[cut], brain[cut], affine)
    flat = corrected[brain[cut]] / tissue[cut][brain[cut]]
    flat /= np.median(flat)
    assert flat.min() > 0.6
    assert flat.max() < 1.6


def test_the_same_bits_every_time(head):
    brain, tissue, bias = head
    assert np.array_equal(*(remove_bias(tissue * bias, brain, AFFINE) for _ in range(2)))


def test_zeros_in_the_mask_do_no_harm(head):
    brain, tissue, bias = head
    image = np.where(np.random.default_rng(2).random(SHAPE) < 0.02, 0, tissue * bias)
    assert np.isfinite(remove_bias(image, brain, AFFINE)).all()


def test_a_tiny_mask_leaves_the_image_alone(head):
    brain, tissue, bias = head
    tiny = np.zeros_like(brain)
    tiny[15:19, 15:19, 15:19] = True
    assert np.allclose(remove_bias(tissue * bias, tiny, AFFINE)[tiny], (tissue * bias)[tiny])
