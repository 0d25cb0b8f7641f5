"""Geometry of warping: every value stays at its place in the world, on any grid."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from qsmbids.atlas.errors import AtlasError, RegistrationError
from qsmbids.atlas.images import read_image, write_image
from qsmbids.atlas.transforms import (
    RAS_TO_LPS,
    labels_to_native,
    map_to_native,
    map_to_template,
    to_ants,
    warp,
)


def grid(shape, voxel, angles, centre):
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler('xyz', angles, degrees=True).as_matrix() @ np.diag(voxel)
    affine[:3, 3] = np.array(centre) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return shape, affine


def world(shape, affine):
    voxels = np.stack(np.meshgrid(*map(np.arange, shape), indexing='ij'), axis=-1)
    return voxels @ affine[:3, :3].T + affine[:3, 3]


TEMPLATE = grid((40, 44, 36), (2.0, 2.0, 2.0), (0, 0, 0), (0, -10, 5))
GRIDS = {
    'straight': grid((20, 22, 18), (2.0, 2.0, 2.0), (0, 0, 0), (0, -10, 5)),
    'left-handed': grid((20, 22, 18), (-2.0, 2.0, 2.0), (0, 0, 0), (0, -10, 5)),
    'oblique anisotropic flipped': grid(
        (18, 22, 12), (-1.5, 1.0, -3.0), (20, 10, -15), (3, -8, 2)
    ),
    'axes exchanged': grid((16, 20, 18), (2.0, 2.0, 2.0), (90, 0, 90), (0, -10, 5)),
}
# a known movement in RAS: native point -> template point is x + SHIFT rotated about z
MOTION = np.eye(4)
MOTION[:3, :3] = Rotation.from_euler('z', 12, degrees=True).as_matrix()
MOTION[:3, 3] = (4.0, -3.0, 2.0)


@pytest.fixture(scope='module')
def transform_file(tmp_path_factory):
    """A file with MOTION as ITK has it: maps points of the target grid to the moved image."""
    import ants

    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    lps = flip @ MOTION @ flip
    transform = ants.create_ants_transform(
        transform_type='AffineTransform', matrix=lps[:3, :3], translation=lps[:3, 3]
    )
    path = tmp_path_factory.mktemp('xfm') / 'motion.mat'
    ants.write_transform(transform, str(path))
    return str(path)


@pytest.mark.parametrize('name', GRIDS)
def test_image_geometry_reaches_ants(name):
    shape, affine = GRIDS[name]
    image = to_ants(np.zeros(shape), affine)
    for voxel in ((0, 0, 0), (3, 5, 7)):
        expected = RAS_TO_LPS @ (affine @ (*voxel, 1))[:3]
        direction, spacing = np.array(image.direction), np.array(image.spacing)
        found = direction @ (np.array(voxel) * spacing) + np.array(image.origin)
        assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize('name', GRIDS)
def test_a_known_movement_brings_every_value_to_its_place(name, transform_file):
    shape, affine = GRIDS[name]
    direction = np.array((1.0, -2.0, 0.5))
    ramp = world(*TEMPLATE) @ direction + 500  # linear in mm: interpolation is exact
    moved = warp(ramp, TEMPLATE[1], shape, affine, [transform_file])
    points = world(shape, affine) @ MOTION[:3, :3].T + MOTION[:3, 3]
    inside = moved > 0
    assert inside.mean() > 0.5
    core = inside & (np.abs(points - (0, -10, 5)) < (38, 42, 34)).all(axis=-1)
    assert np.allclose(moved[core], (points @ direction + 500)[core], atol=0.05)


def two_labels():
    shape, affine = TEMPLATE
    points = world(shape, affine)
    labels = np.zeros(shape, np.int16)
    labels[np.linalg.norm(points - (-15, -10, 5), axis=-1) < 6] = 301
    labels[np.linalg.norm(points - (15, -10, 5), axis=-1) < 6] = 302
    return labels, affine


def test_labels_keep_their_values_sides_and_volumes(tmp_path, transform_file):
    labels, affine = two_labels()
    shape, native = grid((40, 40, 30), (-1.5, 1.4, 2.0), (20, 0, 10), (0, -10, 5))
    dseg = write_image(tmp_path / 'dseg.nii.gz', labels, affine)
    reference = write_image(tmp_path / 'ref.nii', np.ones(shape, np.float32), native)
    out, found = read_image(
        labels_to_native([transform_file], dseg, reference, tmp_path / 'out.nii.gz')
    )
    assert np.allclose(found, native, atol=1e-3)
    assert set(np.unique(out)) == {0, 301, 302}
    for label, centre in ((301, (-15, -10, 5)), (302, (15, -10, 5))):
        inside = out == label
        assert inside.sum() * 4.2 == pytest.approx((labels == label).sum() * 8, rel=0.1)
        # MOTION maps a native point to the template
        expected = np.linalg.inv(MOTION) @ (*centre, 1)
        assert world(shape, native)[inside].mean(axis=0) == pytest.approx(expected[:3], abs=0.3)


def test_maps_go_both_ways_and_respect_the_mask(tmp_path, transform_file):
    shape, affine = TEMPLATE
    ramp = (world(shape, affine) @ (0.001, 0.0, 0.0)).astype(np.float32)
    chi = write_image(tmp_path / 'chi.nii', ramp, affine)
    native = grid((20, 22, 18), (2.0, 2.0, 2.0), (0, 0, 0), (0, -10, 5))
    mask = np.zeros(native[0], bool)
    mask[5:15, 5:15, 5:15] = True
    reference = write_image(tmp_path / 'mask.nii', mask, native[1])
    out = read_image(
        map_to_native([transform_file], chi, reference, tmp_path / 'o.nii', mask=reference)
    )[0]
    assert not out[~mask].any()
    points = world(*native) @ MOTION[:3, :3].T + MOTION[:3, 3]
    assert np.allclose(out[mask], 0.001 * points[mask][:, 0], atol=1e-4)
    moved, at = read_image(map_to_template([transform_file], reference, chi, tmp_path / 'p.nii'))
    assert moved.shape == shape
    assert np.allclose(at, affine)


def test_atlas_outside_the_scan_and_missing_transforms_are_refused(tmp_path, transform_file):
    labels, affine = two_labels()
    dseg = write_image(tmp_path / 'dseg.nii', labels, affine)
    shape, far = grid((8, 8, 8), (2.0, 2.0, 2.0), (0, 0, 0), (400, 0, 0))
    reference = write_image(tmp_path / 'ref.nii', np.ones(shape, np.float32), far)
    with pytest.raises(RegistrationError, match='no label'):
        labels_to_native([transform_file], dseg, reference, tmp_path / 'out.nii')
    with pytest.raises(RegistrationError, match='no transform file'):
        labels_to_native([str(tmp_path / 'no.h5')], dseg, reference, tmp_path / 'out.nii')
    with pytest.raises(AtlasError, match='no file'):
        map_to_native([transform_file], tmp_path / 'no.nii', reference, tmp_path / 'out.nii')
