"""Scans of a turned head are brought together, and B0 is turned the right way.

The heads are simulated: field and image of each scan come from the physics in its own slab, so
a wrong sign or a transposed rotation cannot cancel out.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from qsmbids.atlas.errors import RegistrationError
from qsmbids.atlas.images import write_image
from qsmbids.atlas.realign import Realigner, direction_in_reference
from qsmbids.atlas.rigid import anatomical_axes, register_rigid
from qsmbids.phantom import PhantomParameters, simulate_head
from qsmbids.phantom.forward import dipole_field
from qsmbids.phantom.orientations import orientation_scans, true_direction

FIRST = PhantomParameters(voxel_size_mm=4.0, echo_times_s=(0.01, 0.02))
SCANS = [
    *orientation_scans(FIRST),
    # stored the other way round, other voxels, a large rotation
    replace(
        FIRST, voxel_size_mm=(4.0, 3.5, 5.0), orientation='RAS', oblique_deg=35.0,
        oblique_axis=(1.0, -0.4, 0.2), head_rotation_deg=(-8.0, 0.0, 6.0), scan=3,
    ),
]  # fmt: skip
TURNED = (1, 2, 3)


@pytest.fixture(scope='module')
def heads():
    return [simulate_head(40, parameters=scan) for scan in SCANS]


@pytest.fixture(scope='module')
def files(heads, tmp_path_factory):
    folder = tmp_path_factory.mktemp('scans')
    for n, head in enumerate(heads):
        rss = np.sqrt((head.magnitude**2).sum(axis=0))
        write_image(folder / f'magnitude{n}.nii', rss, head.affine)
        write_image(folder / f'mask{n}.nii', head.brain_mask, head.affine)
    return folder


def register(files, fixed, moving, seed=1):
    return register_rigid(
        fixed_magnitude=files / f'magnitude{fixed}.nii', fixed_mask=files / f'mask{fixed}.nii',
        moving_magnitude=files / f'magnitude{moving}.nii', moving_mask=files / f'mask{moving}.nii',
        folder=files / f'rigid_{fixed}_{moving}', seed=seed,
    )  # fmt: skip


def true_motion(fixed, moving):
    """The head turns about the origin of the scanner."""
    motion = np.eye(4)
    here, there = (SCANS[n].slab_to_scanner @ SCANS[n].head_to_slab for n in (fixed, moving))
    motion[:3, :3] = there @ here.T
    return motion


def turn_deg(matrix):
    return np.degrees(Rotation.from_matrix(matrix).magnitude())


@pytest.mark.parametrize('n', TURNED)
def test_known_rotation_is_found(files, n):
    motion, truth = register(files, 0, n).matrix, true_motion(0, n)
    assert turn_deg(truth[:3, :3]) > 20
    assert turn_deg(motion[:3, :3] @ truth[:3, :3].T) < 0.5
    assert np.abs(motion[:3, 3]).max() < 1.0, 'a quarter of a voxel'
    np.testing.assert_allclose(motion[:3, :3] @ motion[:3, :3].T, np.eye(3), atol=1e-12)
    b0 = direction_in_reference(
        SCANS[n].grid.b0_direction, SCANS[n].affine, motion, SCANS[0].affine
    )
    apart = np.degrees(np.arccos(np.clip(b0 @ true_direction(SCANS[n], SCANS[0]), -1, 1)))
    assert apart < 0.5


def test_equal_seeds_give_equal_results(files):
    one, two = (register(files, 0, 1, seed=3).matrix for _ in range(2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize('n', TURNED)
def test_field_of_the_turned_head_is_that_of_the_turned_direction(heads, n):
    """What the scan measured is what the head in the reference gives with B0 turned."""
    reference, other, motion = heads[0], heads[n], true_motion(0, n)
    realigner = Realigner(
        other.brain_mask, other.affine, motion, reference.grid.shape, reference.affine
    )
    measured = realigner.map(other.local_field_hz, order=3)
    chi = np.where(reference.brain_mask, reference.chi, 0)
    inside = ndimage.binary_erosion(realigner.mask & reference.brain_mask, iterations=3)

    def likeness(direction):
        field = dipole_field(chi, reference.grid.voxel_size, direction)
        return np.corrcoef(field[inside], measured[inside])[0, 1]

    def direction(matrix):
        return direction_in_reference(
            other.grid.b0_direction, other.affine, matrix, reference.affine
        )

    right = likeness(direction(motion))
    assert right > 0.8
    assert likeness(direction(np.linalg.inv(motion))) < right - 0.2, 'transposed'
    assert likeness(direction(np.eye(4))) < right - 0.05, 'head taken as fixed in the scanner'
    assert likeness(reference.grid.b0_direction) < right - 0.05, 'not turned at all'


def test_direction_does_not_depend_on_storage():
    rotation = Rotation.from_euler('xyz', (20, -10, 5), degrees=True).as_matrix()
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_euler('xyz', (-25, 5, 10), degrees=True).as_matrix()

    def in_world(flips, reference_flips):
        affine, reference = np.eye(4), np.eye(4)
        affine[:3, :3] = rotation @ np.diag(flips) * 2.0
        reference[:3, :3] = np.diag(reference_flips)
        b0 = affine[2, :3] / 2.0
        found = direction_in_reference(b0, affine, motion, reference)
        return np.diag(reference_flips) @ found

    expected = motion[:3, :3].T @ (0, 0, 1)
    for flips in ((1, 1, 1), (-1, 1, 1), (-1, -1, 1)):
        for reference_flips in ((1, 1, 1), (-1, 1, 1), (1, 1, -1)):
            np.testing.assert_allclose(in_world(flips, reference_flips), expected, atol=1e-12)


def test_axes_of_a_slab_are_sorted_anatomically():
    rotation = Rotation.from_euler('xyz', (20, -10, 5), degrees=True).as_matrix()
    order = np.array([[0, 0, -1], [1, 0, 0], [0, -1, 0]])  # a sagittal scan
    affine = np.eye(4)
    affine[:3, :3] = rotation @ order * 1.5
    np.testing.assert_allclose(anatomical_axes(affine), rotation, atol=1e-12)


def test_zeros_outside_the_mask_do_not_leak_in():
    mask = np.zeros((20, 22, 18), bool)
    mask[4:15, 5:17, 3:14] = True
    values = np.where(mask, np.float32(7), 0)
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_euler('xyz', (9, -7, 13), degrees=True).as_matrix()
    motion[:3, 3] = (0.3, -0.4, 0.2)
    realigner = Realigner(mask, np.eye(4), motion, mask.shape, np.eye(4))
    for order in (1, 3):
        moved = realigner.map(values, order=order)
        np.testing.assert_allclose(moved[realigner.mask], 7, atol=1e-4)
        assert not moved[~realigner.mask].any()
    assert 0.5 * mask.sum() < realigner.mask.sum() < mask.sum()


def test_without_motion_nothing_changes():
    rng = np.random.default_rng(0)
    mask = rng.random((9, 10, 11)) > 0.3
    values = rng.normal(size=mask.shape).astype(np.float32)
    realigner = Realigner(mask, np.eye(4), np.eye(4), mask.shape, np.eye(4))
    np.testing.assert_array_equal(realigner.mask, mask)
    moved = realigner.map(values, order=3)
    np.testing.assert_allclose(moved[mask], values[mask], atol=1e-5)


def test_empty_mask_is_refused():
    with pytest.raises(ValueError, match='empty'):
        Realigner(np.zeros((4, 4, 4), bool), np.eye(4), np.eye(4), (4, 4, 4), np.eye(4))


def test_another_head_does_not_fit(files, heads, tmp_path):
    rng = np.random.default_rng(0)
    shape = heads[1].grid.shape
    place = np.indices(shape) - np.array(shape).reshape(3, 1, 1, 1) / 2
    ball = (place**2).sum(axis=0) < 12**2
    write_image(tmp_path / 'noise.nii', rng.random(shape).astype('f4'), heads[1].affine)
    write_image(tmp_path / 'ball.nii', ball, heads[1].affine)
    with pytest.raises(RegistrationError, match='does not fit') as error:
        register_rigid(
            fixed_magnitude=files / 'magnitude0.nii', fixed_mask=files / 'mask0.nii',
            moving_magnitude=tmp_path / 'noise.nii', moving_mask=tmp_path / 'ball.nii',
            folder=tmp_path / 'work', seed=1,
        )  # fmt: skip
    assert len(str(error.value).splitlines()) == 3
