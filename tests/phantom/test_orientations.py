"""A head that is turned: the same head, and B0 where it should be."""

from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import affine_transform, binary_erosion

from qsmbids.phantom import PhantomParameters, simulate_head
from qsmbids.phantom.orientations import orientation_scans, true_direction, write_orientations
from qsmbids.phantom.pose import PosedWarp, pose
from qsmbids.phantom.warp import random_warp
from qsmbids.plan import make_plan

SCANS = orientation_scans(PhantomParameters(voxel_size_mm=4.0, echo_times_s=(0.01, 0.02)))


@pytest.fixture(scope='module')
def heads():
    return [simulate_head(40, parameters=scan) for scan in SCANS]


def head_to_scanner(scan):
    return scan.slab_to_scanner @ scan.head_to_slab


def test_turned_warp_is_the_warp_of_turned_points():
    axes = SCANS[1].axes_mm()
    warp = random_warp(40, np.random.default_rng(1), 3.0)
    posed = pose(warp, SCANS[1].head_to_slab, axes)
    points = np.stack(np.meshgrid(*axes, indexing='ij'), axis=-1).reshape(-1, 3)[::97]
    expected = warp.at(points @ SCANS[1].head_to_slab)  # R' x
    np.testing.assert_allclose(posed.at(points), expected, atol=1e-9)
    on_grid = posed.on_axes(axes).reshape(3, -1).T[::97]
    assert np.linalg.norm(on_grid - expected, axis=1).max() < 0.05
    np.testing.assert_allclose(posed.inverse_at(expected), points, atol=2e-3)


def test_head_that_is_not_turned_keeps_its_warp():
    warp = random_warp(40, np.random.default_rng(1), 3.0)
    assert pose(warp, SCANS[0].head_to_slab, SCANS[0].axes_mm()) is warp
    assert isinstance(pose(warp, SCANS[2].head_to_slab, SCANS[2].axes_mm()), PosedWarp)


@pytest.mark.parametrize('n', [1, 2])
def test_it_is_the_same_head(heads, n):
    """Resampled with the known motion, the turned head is the first one."""
    reference, other = heads[0], heads[n]
    motion = np.eye(4)
    motion[:3, :3] = head_to_scanner(SCANS[n]) @ head_to_scanner(SCANS[0]).T
    to_voxels = np.linalg.inv(other.affine) @ motion @ reference.affine
    chi = affine_transform(np.where(other.brain_mask, other.chi, 0), to_voxels, order=1)
    inside = binary_erosion(reference.brain_mask, iterations=2)
    moved = np.corrcoef(chi[inside], reference.chi[inside])[0, 1]
    unmoved = np.corrcoef(other.chi[inside], reference.chi[inside])[0, 1]
    assert moved > 0.9
    assert unmoved < 0.7


def test_scans_have_noise_of_their_own(heads):
    again = simulate_head(40, parameters=replace(SCANS[0], scan=5))
    np.testing.assert_array_equal(again.chi, heads[0].chi)
    assert np.abs(again.magnitude - heads[0].magnitude).max() > heads[0].noise_sd


def test_true_directions():
    """A slab turned alone changes the header and not where B0 points in the head."""
    first = SCANS[0]
    np.testing.assert_allclose(true_direction(first, first), first.grid.b0_direction, atol=1e-7)
    straight = PhantomParameters(oblique_deg=0.0, orientation='RAS')
    # slab nods by 20 degrees, the head in it by -20: the head did not move in the scanner
    slab_only = replace(
        straight, oblique_deg=20.0, oblique_axis=(1, 0, 0), head_rotation_deg=(-20, 0, 0)
    )
    np.testing.assert_allclose(true_direction(slab_only, straight), (0, 0, 1), atol=1e-9)
    assert slab_only.grid.oblique_angle_deg == pytest.approx(20)


def test_dataset(tmp_path):
    small = [replace(scan, voxel_size_mm=8.0, oversampling=1) for scan in SCANS]
    root = write_orientations(tmp_path / 'bids', 40, small)
    plan = make_plan(root, cosmos=True)
    (group,) = plan.participants[0].cosmos
    assert [a.key for a in group.acquisitions] == ['sub-01_run-1', 'sub-01_run-2', 'sub-01_run-3']
    truth = root / 'derivatives/phantom-truth/sub-01/anat/sub-01_desc-truth_Chimap.nii.gz'
    np.testing.assert_allclose(nib.load(truth).affine, small[0].affine, atol=1e-5)
    with pytest.raises(ValueError, match='exists'):
        write_orientations(root, 40, small)
    with pytest.raises(ValueError, match='seed'):
        write_orientations(tmp_path / 'other', 40, [small[0], replace(small[1], seed=2)])
