import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.images import write_image
from qsmbids.atlas.import_images import (
    background_value,
    brain_from_background,
    check_orientation_word,
    guess_unit,
    has_orientation,
    read_ras,
)

SHAPE = (5, 6, 7)


def oblique(letters):
    """Axes that run to the letters, tilted by some degrees, with voxels of 1 x 2 x 3 mm."""
    affine = np.zeros((4, 4))
    for axis, letter in enumerate(letters):
        world = next(i for i, pair in enumerate(('LR', 'PA', 'IS')) if letter in pair)
        affine[world, axis] = (1 + axis) * (1 if letter in 'RAS' else -1)
    affine[:3, :3] = (
        Rotation.from_euler('xyz', (8, 5, -6), degrees=True).as_matrix() @ affine[:3, :3]
    )
    affine[:3, 3], affine[3, 3] = (7, -3, 11), 1
    return affine


@pytest.mark.parametrize('letters', ['RAS', 'LPI', 'RPI', 'LAS', 'PSR', 'IRP', 'SAL'])
def test_every_voxel_keeps_value_and_place(tmp_path, letters):
    values = np.arange(1, 1 + np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    affine = oblique(letters)
    volume = read_ras(write_image(tmp_path / 'image.nii', values, affine))
    assert volume.stored == letters
    assert nib.aff2axcodes(volume.affine) == ('R', 'A', 'S')
    for value in (1, 57, values.size):
        old = affine @ (*np.argwhere(values == value)[0], 1)
        new = volume.affine @ (*np.argwhere(volume.array == value)[0], 1)
        np.testing.assert_allclose(new, old, atol=1e-4)


def test_silent_header_is_recognised_and_answered(tmp_path):
    image = nib.Nifti1Image(
        np.arange(1, 1 + np.prod(SHAPE), dtype=np.float32).reshape(SHAPE), None
    )
    image.header['qform_code'] = image.header['sform_code'] = 0
    path = tmp_path / 'image.nii'
    nib.save(image, path)
    assert not has_orientation(path)
    volume = read_ras(path, 'LPS')
    assert volume.stored == 'LPS'
    assert volume.array[-1, -1, 0] == 1
    spoken = write_image(tmp_path / 'other.nii', np.ones(SHAPE, np.float32), oblique('RAS'))
    assert has_orientation(spoken)
    assert read_ras(spoken, 'LPS').stored == 'RAS'  # the header is believed


@pytest.mark.parametrize('word', ['RAR', 'RA', 'XYZ', 'RAST', ''])
def test_words_that_are_no_orientation(word):
    with pytest.raises(AtlasError, match='no orientation'):
        check_orientation_word(word)
    assert check_orientation_word(' lpi') == 'LPI'


def ball(outside):
    points = np.stack(np.meshgrid(*3 * [np.arange(21) - 10], indexing='ij'), -1)
    radius = np.linalg.norm(points, axis=-1)
    return radius, np.where(radius < 8, 0.05, outside).astype(np.float32)


def test_background_is_zero_or_the_minimum_or_not_known():
    assert background_value(ball(0.0)[1]) == 0
    assert background_value(ball(-0.25)[1]) == -0.25
    assert background_value(ball(0.25)[1]) is None  # the maximum: not a black background
    noisy = ball(0.0)[1]
    noisy[0] = np.random.default_rng(1).random((21, 21))
    assert background_value(noisy) is None


def test_mask_is_the_largest_piece_without_holes():
    radius, image = ball(-0.25)
    image[radius < 3] = -0.25  # a ventricle as dark as the outside
    image[1, 1, 1] = 0.1  # a speck
    assert np.array_equal(brain_from_background(image, -0.25), radius < 8)


def test_unit_is_told_from_the_size_of_the_values():
    brain = np.ones((10, 10, 10), bool)
    chi = np.random.default_rng(1).normal(0, 0.05, brain.shape)
    assert guess_unit(chi, brain)[0] == 'ppm'
    assert guess_unit(1000 * chi, brain)[0] == 'ppb'
    assert guess_unit(20 * chi, brain)[0] == ''
