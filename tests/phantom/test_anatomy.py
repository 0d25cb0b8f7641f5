"""Template head, veins, sampling and parameters."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from qsmbids.atlas.template import mni_template
from qsmbids.phantom import PhantomParameters
from qsmbids.phantom.head import template_head
from qsmbids.phantom.sampling import linear, nearest
from qsmbids.phantom.tissues import PROPERTIES, Tissue, lookup
from qsmbids.phantom.veins import Vein, vein_fraction
from qsmbids.phantom.warp import random_warp


def test_template_head():
    head, template = template_head(), mni_template()
    brain = head.codes == Tissue.BRAIN
    assert brain.sum() == template.brain_mask.sum()
    volumes_ml = np.bincount(head.codes.ravel(), minlength=len(Tissue)) / 1000
    assert all(volumes_ml[code] > 1 for code in Tissue)
    # enclosed air: the sinuses are not connected to the room, or only through nose and ears
    to_brain = ndimage.distance_transform_edt(~brain[::2, ::2, ::2]) * 2
    air = head.codes[::2, ::2, ::2] == Tissue.AIR
    assert 2 < to_brain[air].min() < 6  # close, but never touching
    # a scanner sees a dark shell between brain and scalp: bone lies on nearly every way out
    middle = head.codes[108, :, 160]
    for way in (middle[middle.argmin() :], middle):
        assert Tissue.BONE in way


def test_lookup_covers_every_tissue():
    chi = lookup('chi_ppm')
    assert len(chi) == len(Tissue)
    assert chi[Tissue.AIR] == pytest.approx(PROPERTIES[Tissue.AIR].chi_ppm)


def test_sampling_reproduces_a_linear_function():
    x, y, z = np.meshgrid(np.arange(5), np.arange(6), np.arange(7), indexing='ij')
    volume = (x + 10 * y + 100 * z).astype(np.float32)
    origin, step = np.array([-4.0, 2.0, 1.0]), 2.0
    points = np.array([[-3.0, 0.7], [5.0, 4.2], [6.5, 12.9]], dtype=np.float32)
    index = (points - origin[:, None]) / step
    np.testing.assert_allclose(
        linear(volume, points, origin, step), index[0] + 10 * index[1] + 100 * index[2], rtol=1e-5
    )
    far = np.array([[-99.0], [3.0], [2.0]], dtype=np.float32)
    assert nearest(volume, far, origin, step, outside=-1).item() == -1
    assert nearest(volume, far, origin, step).item() == volume[0, 0, 0]


def test_veins_keep_their_calibre():
    """A tube keeps its cross-section, whatever the warp and the direction of the axes."""
    warp = random_warp(40, np.random.default_rng(0), 3.0)
    axes = [np.linspace(60, -60, 161), np.linspace(-60, 60, 161), np.linspace(-60, 60, 161)]
    path = np.array([(0.0, -20.0, 0.0), (0.0, 20.0, 0.0)])
    index, fraction = vein_fraction([Vein(path, 3.0)], warp, axes)
    volume = fraction.sum() * 0.75**3
    ends = warp.inverse_at(path)
    length = np.linalg.norm(ends[1] - ends[0])
    expected = np.pi * 3**2 * length + 4 / 3 * np.pi * 3**3  # with two half balls at the ends
    assert volume == pytest.approx(expected, rel=0.06)
    assert len(np.unique(index)) == len(index)
    assert fraction.max() <= 1


@pytest.mark.parametrize('orientation', ['RAS', 'LAS'])
def test_affine_and_axes(orientation):
    parameters = PhantomParameters(
        voxel_size_mm=(2.0, 2.0, 3.0), oblique_deg=20, orientation=orientation
    )
    affine, axes = parameters.affine, parameters.axes_mm()
    voxel = np.array([5, 7, 9])
    slab = [axis[i] for axis, i in zip(axes, voxel, strict=True)]
    scanner = affine[:3, :3] @ voxel + affine[:3, 3]
    np.testing.assert_allclose(scanner, parameters.slab_to_scanner @ slab, atol=1e-9)
    assert parameters.grid.voxel_size == pytest.approx((2, 2, 3))
    assert parameters.grid.oblique_angle_deg == pytest.approx(20, abs=1e-6)
    assert np.sign(np.linalg.det(affine)) == (1 if orientation == 'RAS' else -1)
    # fine voxels tile data voxels
    fine = parameters.axes_mm(fine=True)
    np.testing.assert_allclose(fine[2].reshape(-1, 2).mean(axis=1), axes[2], atol=1e-9)


def test_common_sizes():
    assert PhantomParameters(voxel_size_mm=1).shape == (192, 224, 192)
    assert PhantomParameters(voxel_size_mm=2).shape == (96, 112, 96)


@pytest.mark.parametrize(
    'wrong',
    [
        {'voxel_size_mm': 0},
        {'echo_times_s': ()},
        {'echo_times_s': (4.0, 8.0)},  # milliseconds
        {'echo_times_s': (0.01, 0.005)},
        {'oversampling': 0},
        {'orientation': 'SAL'},
        {'snr': -1},
    ],
)
def test_refuses_nonsense(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PhantomParameters(**wrong)
