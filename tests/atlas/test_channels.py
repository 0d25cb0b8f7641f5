import numpy as np
import pytest

from qsmbids.atlas.channels import CHI_OFFSET_PPM, CHI_WINDOW_PPM, chi_channel, structural_channel

SHAPE = (40, 44, 36)
AFFINE = np.diag((3.0, 3.0, 3.0, 1.0))


@pytest.fixture(scope='module')
def brain():
    axes = np.meshgrid(*(np.linspace(-1.2, 1.2, n) for n in SHAPE), indexing='ij')
    return sum(a**2 for a in axes) < 1


def test_zero_mean_chi_becomes_positive_in_the_brain_and_zero_outside(brain):
    chi = np.random.default_rng(0).normal(0, 0.05, SHAPE)
    chi = np.where(brain, chi - chi[brain].mean(), 0)
    channel = chi_channel(chi, brain, brain)
    assert channel[brain].min() >= CHI_OFFSET_PPM + CHI_WINDOW_PPM[0] > 0
    assert not channel[~brain].any()
    assert channel.sum() > 0.5 * CHI_OFFSET_PPM * brain.sum()  # a centre of mass exists


def test_reference_of_chi_does_not_matter_and_veins_are_clipped(brain):
    chi = np.where(brain, np.random.default_rng(0).normal(0, 0.02, SHAPE), 0)
    chi[20, 22, 18] = 3.0
    one, other = (chi_channel(chi + shift, brain, brain) for shift in (0, 0.3))
    assert np.allclose(one, other, atol=1e-6)
    assert one.max() == pytest.approx(CHI_WINDOW_PPM[1] + CHI_OFFSET_PPM)


def test_an_eroded_reconstruction_shows_no_edge(brain):
    valid = brain.copy()
    valid[:20] = False
    chi = np.where(valid, 0.07, 0)  # uniform, so the only edge would be that of the mask
    channel = chi_channel(chi, brain, valid)
    assert np.unique(channel[brain]).size == 1


def test_empty_reconstruction_is_uniform(brain):
    channel = chi_channel(np.zeros(SHAPE), brain, np.zeros(SHAPE, bool))
    assert np.unique(channel[brain]).tolist() == [pytest.approx(CHI_OFFSET_PPM)]


def test_intensity_bias_is_removed_and_tissue_contrast_kept(brain):
    rng = np.random.default_rng(0)
    tissue = np.where(rng.random(SHAPE) > 0.5, 1.0, 0.7)
    ramp = np.linspace(0.5, 2.0, SHAPE[0])[:, None, None]
    channel = structural_channel(tissue * ramp * 500, brain, AFFINE)
    inner = brain.copy()
    inner[:8], inner[-8:] = False, False
    white, grey = (channel[inner & (tissue == value)] for value in (1.0, 0.7))
    assert white.mean() - grey.mean() > 1.5 * np.sqrt(white.var() + grey.var())
    assert channel.min() == 0
    assert channel.max() == 1
    assert not channel[~brain].any()


def test_scale_of_the_image_does_not_matter(brain):
    image = np.random.default_rng(0).random(SHAPE)
    assert np.allclose(
        structural_channel(image, brain, AFFINE), structural_channel(image * 4096, brain, AFFINE),
        atol=1e-4,
    )  # fmt: skip
