"""Left stays left whatever the storage order; millimetres are true."""

import nibabel as nib
import numpy as np
import pytest

from qsmbids.report.figures.images import Images, bounding_box, direction_to_ras, load_volume


@pytest.mark.parametrize('orientation', ['RAS', 'LAS', 'LPI', 'PIL', 'SRA', 'AIR'])
@pytest.mark.parametrize('tilt', [0, 17])
def test_marker_stays_on_the_left(tmp_path, make_head, store_images, orientation, tilt):
    images, affine = make_head(tilt)
    volume = load_volume(store_images(tmp_path, images, affine, orientation)['chi'])
    x, _, z = (np.argwhere(volume.data > 0.15).mean(axis=0) / volume.shape).tolist()
    assert x < 0.4  # the first axis runs from left to right
    assert z > 0.5
    rows, columns = np.nonzero(volume.plane(2, int(z * volume.shape[2])) > 0.15)
    assert columns.mean() < 0.4 * volume.shape[0]
    assert rows.size
    np.testing.assert_allclose(volume.voxel_size, (4, 4, 5), rtol=1e-5)


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
    volume = load_volume(store_images(tmp_path, images, affine, 'LPI')['chi'])
    inner = volume.crop((slice(3, 20), slice(5, 30), slice(4, 20)))
    assert inner.position(2, 0) == pytest.approx(volume.position(2, 4))
    assert volume.position(2, 0) == pytest.approx(-13.5 * 5)
    assert volume.extent(0) == (160, 140)  # mm, although the voxels are anisotropic


def test_images_of_another_grid_are_refused(tmp_path, make_head, store_images):
    images, affine = make_head()
    files = store_images(tmp_path, images, affine)
    other = store_images(tmp_path / 'other', {'chi': images['chi'][:-2]}, affine)
    with pytest.raises(ValueError, match='cannot be drawn on one another'):
        Images({**files, **other}).get('chi')


def test_four_dimensional_images_are_refused(tmp_path):
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4, 3), np.float32), np.eye(4)), tmp_path / 'x.nii')
    with pytest.raises(ValueError, match='4 dimensions'):
        load_volume(tmp_path / 'x.nii')


def test_box_of_nothing_is_everything():
    assert bounding_box(np.zeros((4, 5, 6), bool), (1, 1, 1)) == (
        slice(0, 4), slice(0, 5), slice(0, 6),
    )  # fmt: skip
