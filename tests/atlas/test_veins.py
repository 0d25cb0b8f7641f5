"""Veins drawn as tubes: saturation, diameter, and what cannot be told."""

import math

import numpy as np
import pytest
from scipy import ndimage

from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.lesions import VEIN_COLUMNS, oxygen_saturation, vein_table
from qsmbids.atlas.lesions.veins import inscribed_diameter

SHAPE = (36, 36, 36)
EYE = np.eye(4)
FINE = 4


def tube(diameter, axis=(0, 0, 1), shift=(0.0, 0.0, 0.0)):
    """Share of each voxel that is vein; drawn on a fourfold grid."""
    u = np.asarray(axis, float) / np.linalg.norm(axis)
    grids = [
        (np.arange(n * FINE) + 0.5) / FINE - n / 2 - s for n, s in zip(SHAPE, shift, strict=True)
    ]
    x, y, z = np.meshgrid(*grids, indexing='ij', sparse=True)
    along = x * u[0] + y * u[1] + z * u[2]
    across = np.sqrt(np.maximum(x**2 + y**2 + z**2 - along**2, 0))
    inside = (across < diameter / 2) & (np.abs(along) < 11)
    nx, ny, nz = SHAPE
    return inside.reshape(nx, FINE, ny, FINE, nz, FINE).mean((1, 3, 5))


def measure(chi, labels, **more):
    more = {'haematocrit': 0.4, 'affine': EYE, 'reliable': np.ones(SHAPE, bool)} | more
    return vein_table(chi, labels, **more)


def blood(saturation, haematocrit=0.4):
    return haematocrit * (-0.10 + 3.43 * (1 - saturation))


def noise(sd=0.01):
    return np.random.default_rng(0).normal(0, sd, SHAPE)


@pytest.mark.parametrize('haematocrit', [0.3, 0.4, 0.5])
@pytest.mark.parametrize('saturation', [0.0, 0.45, 0.65, 1.0])
def test_formula_turns_the_model_round(saturation, haematocrit):
    chi = blood(saturation, haematocrit)
    assert oxygen_saturation(chi, haematocrit) == pytest.approx(saturation)


def test_older_constant_can_be_given():
    chi = 0.4 * 4 * math.pi * 0.18 * 0.35
    found = oxygen_saturation(chi, 0.4, chi_deoxy_ppm=4 * math.pi * 0.18, chi_oxy_ppm=0.0)
    assert found == pytest.approx(0.65)


@pytest.mark.parametrize('axis', [(0, 0, 1), (1, 0, 0), (1, 1, 0), (0.4, 1, 0.7)])
@pytest.mark.parametrize('diameter', [4, 5, 6])
def test_saturation_in_any_direction(axis, diameter):
    share = tube(diameter, axis, (0.2, 0.3, -0.1))
    chi = 0.03 + blood(0.62) * ndimage.gaussian_filter(share, 0.5) + noise()
    (row,) = measure(chi, (share >= 0.5).astype(int))
    assert row['oxygen_saturation'] == pytest.approx(0.62, abs=0.03)
    assert row['tissue'] == pytest.approx(0.03, abs=0.003)
    assert row['inner_mean'] > row['mean']
    assert row['oxygen_saturation_top'] == pytest.approx(0.62, abs=0.05)
    assert row['diameter_voxels'] == pytest.approx(diameter, abs=0.7)


def test_noise_lifts_the_highest_voxels_but_not_the_inner_ones():
    share = tube(5)
    chi = blood(0.62) * share + noise(0.08)
    (row,) = measure(chi, (share >= 0.5).astype(int))
    assert row['oxygen_saturation'] == pytest.approx(0.62, abs=0.03)
    assert row['oxygen_saturation_top'] < 0.59


def test_haematocrit_matters():
    share = tube(5)
    chi = blood(0.6, 0.45) * share
    rows = [measure(chi, (share >= 0.5).astype(int), haematocrit=h)[0] for h in (0.45, 0.40)]
    assert rows[0]['oxygen_saturation'] == pytest.approx(0.6, abs=0.01)
    assert rows[1]['oxygen_saturation'] < 0.57


@pytest.mark.parametrize('diameter', [2, 3, 4, 5, 6])
def test_diameter(diameter):
    found = [
        inscribed_diameter(tube(diameter, axis, shift) >= 0.5, (1, 1, 1))[0]
        for axis in ((0, 0, 1), (1, 1, 0), (1, 0.5, 0.3))
        for shift in ((0, 0, 0), (0.5, 0.5, 0.5))
    ]
    assert np.mean(found) == pytest.approx(diameter, abs=0.4)
    assert np.abs(np.array(found) - diameter).max() < 0.9


def test_diameter_is_in_millimetres():
    inside = np.zeros((40, 40, 20), bool)
    inside[16:24, 16:24, 2:18] = True  # 4 mm wide
    assert inscribed_diameter(inside, (0.5, 0.5, 1.0))[0] == pytest.approx(4, abs=0.5)


def test_thin_veins():
    line = np.zeros(SHAPE, int)
    line[18, 18, 8:28] = 1
    (row,) = measure(0.4 * line, line)
    assert row['remark'] == 'too thin'
    assert math.isnan(row['oxygen_saturation'])
    assert row['difference'] == pytest.approx(0.4)
    share = tube(3)
    (row,) = measure(blood(0.65) * share, (share >= 0.5).astype(int))
    assert row['remark'] == 'thin'
    assert row['oxygen_saturation'] > 0


def test_susceptibility_that_fits_no_blood_is_said():
    share = tube(5)
    (row,) = measure(-0.3 * share, (share >= 0.5).astype(int))
    assert row['remark'] == 'fits no blood'
    assert row['oxygen_saturation'] > 1


def test_pieces_or_values():
    one, two = tube(4, shift=(-9, 0, 0)), tube(4, shift=(9, 0, 0))
    labels = np.where((one >= 0.5) | (two >= 0.5), 3, 0)
    chi = blood(0.6) * one + blood(0.75) * two
    pieces = measure(chi, labels)
    assert sorted(r['oxygen_saturation'] for r in pieces) == pytest.approx([0.6, 0.75], abs=0.03)
    (whole,) = measure(chi, labels, connected=False)
    assert whole['n_voxels'] == sum(r['n_voxels'] for r in pieces)
    assert whole['label'] == 3


def test_a_lesion_beside_a_vein_is_no_tissue():
    share = tube(5)
    labels = (share >= 0.5).astype(int)
    lesion = np.zeros(SHAPE, bool)
    lesion[22:32] = True
    chi = blood(0.6) * share + np.where(lesion & (labels == 0), 0.3, 0)
    (row,) = measure(chi, labels, marked=lesion)
    assert row['tissue'] == pytest.approx(0, abs=0.005)
    assert row['oxygen_saturation'] == pytest.approx(0.6, abs=0.02)


def test_outside_the_map_and_without_tissue():
    share = tube(5)
    labels = (share >= 0.5).astype(int)
    (row,) = measure(share, labels, reliable=np.indices(SHAPE)[2] > 25)
    assert row['remark'] == 'outside the map'
    assert math.isnan(row['mean'])
    names = {name for name, _, _ in VEIN_COLUMNS}
    assert names == set(row)
    (row,) = measure(share, labels, reliable=labels > 0)
    assert row['remark'] == 'no tissue around'
    assert names == set(row)
    (row,) = measure(blood(0.6) * share, labels)
    assert names == set(row)


def test_different_grids_are_refused():
    with pytest.raises(AtlasError, match='different shapes'):
        measure(np.zeros(SHAPE), np.zeros((3, 3, 3), int))
