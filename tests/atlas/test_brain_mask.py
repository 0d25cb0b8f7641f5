"""The template's brain becomes the brain mask of a simulated head with skull."""

import nibabel as nib
import numpy as np
import pytest

from qsmbids.atlas import ants_run, brain_mask
from qsmbids.atlas.brain_mask import propagate_brain_mask
from qsmbids.atlas.errors import AtlasError, RegistrationError
from qsmbids.atlas.images import write_image
from qsmbids.phantom import PhantomParameters, simulate_head
from qsmbids.qsm.bet import extract_brain
from qsmbids.qsm.masks import erode

SPOILT_MM = 6.0


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


@pytest.mark.slow
def test_spoilt_rough_mask_does_not_spoil_the_result(template, tmp_path):
    """One side of the rough mask is eroded by two voxels."""
    head = simulate_head(
        34.0, parameters=PhantomParameters(voxel_size_mm=3.0, echo_times_s=(0.006, 0.018), seed=4)
    )
    rss = np.sqrt((head.magnitude**2).sum(axis=0))
    rough = extract_brain(rss, head.grid)
    side = slice(rss.shape[0] // 2)
    rough[side] = erode(rough, SPOILT_MM, head.grid)[side]
    assert dice(rough, head.brain_mask) < 0.93
    magnitude = write_image(tmp_path / 'magnitude.nii', rss, head.affine)
    result = propagate_brain_mask(
        magnitude=magnitude, rough_mask=write_image(tmp_path / 'rough.nii', rough, head.affine),
        template=template, out=tmp_path / 'ants' / 'mask.nii', seed=1,
    )  # fmt: skip
    image = nib.load(result.mask)
    assert np.allclose(image.affine, head.affine, atol=1e-3)
    found = np.asanyarray(image.dataobj) > 0
    assert dice(found, head.brain_mask) > 0.96
    assert found.sum() == pytest.approx(head.brain_mask.sum(), rel=0.05)
    assert result.quality['structure_match'] > 0.5
    assert result.quality['dice_with_rough'] == pytest.approx(dice(found, rough))


@pytest.fixture
def noise(scan, tmp_path):
    """The rough mask of a scan whose magnitude shows nothing."""
    image = nib.load(scan.magnitude)
    values = np.random.default_rng(0).rayleigh(10, image.shape).astype(np.float32)
    return write_image(tmp_path / 'noise.nii', values, image.affine)


def test_noise_is_refused(noise, scan, template, tmp_path, monkeypatch):
    monkeypatch.setattr(brain_mask, 'LINEAR_ITERATIONS', (20, 5))
    with pytest.raises(RegistrationError) as refused:
        propagate_brain_mask(
            magnitude=noise, rough_mask=scan.mask, template=template, out=tmp_path / 'mask.nii',
            seed=1,
        )  # fmt: skip
    assert str(refused.value).count('\n') == 2
    assert 'another --mask' in str(refused.value)
    assert not (tmp_path / 'mask.nii').exists()


def test_failure_of_ants_is_told_in_three_lines(scan, template, tmp_path, monkeypatch):
    monkeypatch.setattr(ants_run, 'run', lambda arguments, threads: None)
    with pytest.raises(RegistrationError, match='left no transform') as refused:
        propagate_brain_mask(
            magnitude=scan.magnitude, rough_mask=scan.mask, template=template,
            out=tmp_path / 'mask.nii',
        )  # fmt: skip
    assert str(refused.value).count('\n') == 2


def test_masks_on_another_grid_are_refused(scan, template, tmp_path):
    other = write_image(tmp_path / 'other.nii', np.ones((9, 9, 9), bool), np.eye(4))
    with pytest.raises(AtlasError, match='same grid'):
        propagate_brain_mask(
            magnitude=scan.magnitude, rough_mask=other, template=template,
            out=tmp_path / 'mask.nii',
        )  # fmt: skip
