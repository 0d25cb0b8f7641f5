"""Left stays left whatever the storage order; millimetres are true."""

import nibabel as nib
import numpy as np
import pytest

from qsmbids.report.figures.images import Images, Stored, bounding_box, direction_to_ras


@pytest.mark.parametrize('orientation', ['RAS', 'LAS', 'LPI', 'PIL', 'SRA', 'AIR'])
@pytest.mark.parametrize('tilt', [0, 17])
def test_marker_stays_on_the_left(tmp_path, make_head, store_images, orientation, tilt):
    images, affine = make_head(tilt)
    volume = Stored(store_images(tmp_path, images, affine, orientation)['chi']).read()
    x, _, z = (np.argwhere(volume.data > 0.15).mean(axis=0) / volume.shape).tolist()
    assert x < 0.4  # the first axis runs from left to right
    assert z > 0.5
    rows, columns = np.nonzero(volume.plane(2, int(z * volume.shape[2])) > 0.15)
    assert columns.mean() < 0.4 * volume.shape[0]
    assert rows.size
    assert volume.voxel_size == (4, 4, 5)  # exactly: boxes in mm are rounded to voxels


@pytest.mark.parametrize('orientation', ['RAS', 'LPI', 'SLA'])
def test_field_direction_is_the_same_in_any_storage_order(
    tmp_path, make_head, store_images, find_b0, orientation
):
    images, affine = make_head(17)
    path = store_images(tmp_path, {'rss': images['rss']}, affine, orientation)['rss']
    found = direction_to_ras(find_b0(path), nib.load(path).affine)
    np.testing.assert_allclose(
        found, (0, np.sin(np.deg2rad(17)), np.cos(np.deg2rad(17))), atol=1e-6
    )


def test_position_is_in_scanner_millimetres_also_after_cropping(tmp_path, make_head, store_images):
    images, affine = make_head()
    stored = Stored(store_images(tmp_path, images, affine, 'LPI')['chi'])
    volume = stored.read()
    box = (slice(3, 20), slice(5, 30), slice(4, 20))
    for inner in (volume.crop(box), stored.read(box)):
        assert inner.position(2, 0) == pytest.approx(volume.position(2, 4))
        np.testing.assert_array_equal(inner.data, volume.data[box])
    assert volume.position(2, 0) == pytest.approx(-13.5 * 5)
    assert volume.extent(0) == (160, 140)  # mm, although the voxels are anisotropic


@pytest.mark.parametrize('name', ['x.nii', 'x.nii.gz'])
def test_stored_values_are_scaled_and_what_is_not_finite_is_zero(tmp_path, name):
    image = nib.Nifti1Image(np.arange(120, dtype=np.int16).reshape(4, 5, 6), np.eye(4))
    image.header.set_slope_inter(0.5, -3.0)
    nib.save(image, tmp_path / name)
    box = (slice(1, 3), slice(0, 5), slice(2, 4))
    expected = 0.5 * np.arange(120).reshape(4, 5, 6) - 3
    data = Stored(tmp_path / name).read(box).data
    assert data.dtype == np.float32
    np.testing.assert_array_equal(data, expected[box])

    values = np.ones((4, 5, 6, 1), np.float32)
    values[1, 2, 3], values[2, 2, 3], values[3, 2, 3] = np.nan, np.inf, -np.inf
    nib.save(nib.Nifti1Image(values, np.diag([-1.0, 1, 1, 1])), tmp_path / name)
    data = Stored(tmp_path / name).read().data
    assert data.shape == (4, 5, 6)
    assert data[:, 2, 3].tolist() == [0, 0, 0, 1]  # the first axis is flipped
    assert data.sum() == 117


def test_masks_are_read_once_and_cannot_be_altered(files):
    images = Images(files)
    mask = images.mask('absent', 'brain_mask')
    assert mask is images.mask('brain_mask', 'qsm_mask')
    np.testing.assert_array_equal(mask, images.get('brain_mask').data > 0)
    with pytest.raises(ValueError, match='read-only'):
        mask[0, 0, 0] = True


def test_images_of_another_grid_are_refused(tmp_path, make_head, store_images):
    images, affine = make_head()
    files = store_images(tmp_path, images, affine)
    other = store_images(tmp_path / 'other', {'chi': images['chi'][:-2]}, affine)
    with pytest.raises(ValueError, match='cannot be drawn on one another'):
        Images({**files, **other}).get('chi')


def test_four_dimensional_images_are_refused(tmp_path):
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4, 3), np.float32), np.eye(4)), tmp_path / 'x.nii')
    with pytest.raises(ValueError, match='4 dimensions'):
        Stored(tmp_path / 'x.nii')


def test_box_of_nothing_is_everything():
    assert bounding_box(np.zeros((4, 5, 6), bool), (1, 1, 1)) == (
        slice(0, 4), slice(0, 5), slice(0, 6),
    )  # fmt: skip
