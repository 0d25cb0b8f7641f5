"""Lesions drawn into arrays whose numbers are known without a reconstruction."""

import itertools
import math

import numpy as np
import pytest
from scipy import ndimage

from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.lesions import LESION_COLUMNS, lesion_table
from qsmbids.atlas.lesions.components import (
    find_components,
    free_voxels,
    local_background,
    longest_axis,
    place,
    signed_distance,
)

SHAPE = (40, 40, 40)
EYE = np.eye(4)


def radius_map(centre=(20, 20, 20), voxel=(1, 1, 1), shape=SHAPE):
    """Distance of each voxel from a centre, mm."""
    grid = np.indices(shape).reshape(3, -1) - np.reshape(centre, (3, 1))
    return np.sqrt(((grid * np.reshape(voxel, (3, 1))) ** 2).sum(0)).reshape(shape)


def blurred(chi, sigma=0.6):
    """What a map shows of it: a point spread, without noise."""
    return ndimage.gaussian_filter(np.asarray(chi, dtype=float), sigma)


def noisy(chi, sd=0.005, seed=0):
    return chi + np.random.default_rng(seed).normal(0, sd, chi.shape)


def table(chi, labels, affine=EYE, **more):
    more.setdefault('reliable', np.ones(chi.shape, bool))
    return lesion_table(chi, labels, affine=affine, **more)


def only(chi, labels, **more):
    (row,) = table(chi, labels, **more)
    return row


def shell_lesion(rim_chi, core_chi, thickness=1.5, radius=6, centre=(20, 20, 20)):
    r = radius_map(centre)
    chi = np.where(r < radius, rim_chi, 0.0)
    chi[r < radius - thickness] = core_chi
    return blurred(chi), (r < radius).astype(int)


# --- pieces and distances


def test_pieces_touch_by_corners_and_are_sorted():
    labels = np.zeros((12, 12, 12), int)
    labels[1, 1, 1] = labels[2, 2, 2] = 1  # joined by a corner
    labels[6:9, 6, 6] = 1
    labels[2, 2, 3] = 7  # another value beside it is another lesion
    found = find_components(labels, (1, 1, 1))
    assert [(c.value, c.n_voxels) for c in found] == [(1, 3), (1, 2), (7, 1)]
    assert sorted(map(tuple, found[1].indices())) == [(1, 1, 1), (2, 2, 2)]
    assert [c.n_voxels for c in find_components(labels, (1, 1, 1), connected=False)] == [5, 1]


def test_large_values_and_edges_of_the_image():
    labels = np.zeros((6, 6, 6), int)
    labels[0, 0, 0] = 2_000_000_000
    labels[5, 5, 5] = 3
    labels[3, 3, 3] = -1  # below zero is nothing
    found = find_components(labels, (1, 1, 1))
    assert [(c.value, tuple(c.indices()[0])) for c in found] == [
        (3, (5, 5, 5)), (2_000_000_000, (0, 0, 0)),
    ]  # fmt: skip


def test_signed_distance_of_a_ball():
    r = radius_map()
    distance = signed_distance(r < 8, (1, 1, 1))
    assert ((distance < 0) == (r < 8)).all()
    far = np.abs(r - 8) > 2
    assert np.abs(distance - (r - 8))[far].max() < 0.9
    assert distance[r < 8].max() == -0.5


def test_signed_distance_in_millimetres():
    inside = np.zeros((21, 21, 21), bool)
    inside[5:16, 5:16, 5:16] = True
    distance = signed_distance(inside, (0.5, 0.5, 2.0))
    assert distance[10, 10, 16] == pytest.approx(1.0)  # half a thick slice
    assert distance[16, 10, 10] == pytest.approx(0.25)
    assert distance[10, 10, 19] == pytest.approx(7.0)


def test_centre_is_in_scanner_millimetres():
    affine = np.array([[-1, 0, 0, 90], [0, 2, 0, -100], [0, 0, 3, -50], [0, 0, 0, 1]], float)
    labels = np.zeros(SHAPE, int)
    labels[10:13, 20:23, 5:8] = 1
    row = only(np.zeros(SHAPE), labels, affine=affine)
    assert (row['x_mm'], row['y_mm'], row['z_mm']) == (79.0, -58.0, -32.0)
    assert (row['i'], row['j'], row['k']) == (11, 21, 6)
    assert row['volume_mm3'] == pytest.approx(27 * 6)


def test_the_voxel_of_a_hollow_lesion_lies_in_it():
    r = radius_map()
    (component,) = find_components(((r < 6) & (r > 4)).astype(int), (1, 1, 1))
    where = place(component, EYE)
    assert 4 < r[where['i'], where['j'], where['k']] < 6


def test_longest_axis_of_an_oblique_rod():
    labels = np.zeros(SHAPE, int)
    for i in range(20):
        labels[10 + i, 10 + i, 15] = 1
    (component,) = find_components(labels, (1, 1, 1))
    assert longest_axis(component, (1, 1, 1)) == pytest.approx(19 * math.sqrt(2) + 1, rel=0.01)


# --- values


def test_every_column_is_explained_and_filled():
    rows = table(*shell_lesion(0.1, 0.0))
    assert list(rows[0]) != []
    assert {name for name, _, _ in LESION_COLUMNS} == set(rows[0])
    assert len({name for name, _, _ in LESION_COLUMNS}) == len(LESION_COLUMNS)


def test_contrasts_do_not_depend_on_the_reference():
    chi, labels = shell_lesion(0.3, 0.3)
    one, two = only(chi, labels), only(chi - 0.05, labels)
    assert two['mean'] == pytest.approx(one['mean'] - 0.05)
    assert two['background'] == pytest.approx(one['background'] - 0.05)
    for name in ('contrast', 'total_susceptibility', 'half_max_volume_mm3', 'rim_minus_core'):
        assert two[name] == pytest.approx(one[name])


def test_background_is_the_ring_without_other_lesions():
    chi = np.full(SHAPE, 0.02)
    labels = (radius_map((14, 20, 20)) < 3).astype(int)
    neighbour = radius_map((21, 20, 20)) < 3.5
    chi[neighbour] = 2.0
    chi[labels > 0] = 0.5
    blind = only(chi, labels)
    seeing = only(chi, labels, marked=neighbour)
    assert seeing['background'] == pytest.approx(0.02)
    assert seeing['background_sd'] == pytest.approx(0.001)  # the floor
    assert blind['total_susceptibility_wide'] >= seeing['total_susceptibility_wide']
    (component,) = find_components(labels, (1, 1, 1))
    free = free_voxels(component, np.ones(SHAPE, bool), neighbour | (labels > 0))
    assert not (free & neighbour[component.window]).any()
    distance = signed_distance(component.inside, (1, 1, 1))
    ring = local_background(chi[component.window], distance, free, 1.0)
    assert ring.n_voxels > 100


def test_total_survives_blurring_and_a_generous_or_sparing_drawing():
    r = radius_map()
    chi = blurred(np.where(r < 3, 0.8, 0), 0.8)
    truth = 0.8 * (r < 3).sum()
    for drawn in (2, 3, 4):
        row = only(chi, (r < drawn).astype(int))
        assert row['total_susceptibility_wide'] == pytest.approx(truth, rel=0.1)
    assert only(chi, (r < 2).astype(int))['total_susceptibility'] < 0.5 * truth


@pytest.mark.parametrize('drawn', [3, 4, 5])
@pytest.mark.parametrize('sign', [1, -1])
def test_volume_at_half_maximum_does_not_follow_the_drawing(drawn, sign):
    r = radius_map()
    chi = noisy(blurred(np.where(r < 4, sign * 0.5, 0), 0.8))
    row = only(chi, (r < drawn).astype(int))
    radius = (3 * row['half_max_volume_mm3'] / (4 * math.pi)) ** (1 / 3)
    assert radius == pytest.approx(4, abs=0.5)


def test_volume_at_half_maximum_fills_a_rim():
    row = only(*shell_lesion(0.1, 0.0))
    radius = (3 * row['half_max_volume_mm3'] / (4 * math.pi)) ** (1 / 3)
    assert radius == pytest.approx(6, abs=0.5)


@pytest.mark.parametrize(
    ('values', 'sign'),
    [
        ((0.4, 0.4), 'paramagnetic'), ((-0.4, -0.4), 'diamagnetic'), ((0.4, -0.3), 'mixed'),
        ((0.4, -0.05), 'paramagnetic'), ((0.03, -0.4), 'diamagnetic'),
        ((0.0, 0.0), 'indeterminate'),
    ],
)  # fmt: skip
def test_sign_follows_from_the_lobes(values, sign):
    r = radius_map()
    left = np.indices(SHAPE)[0] < 20
    chi = noisy(np.where(r < 4, np.where(left, *values), 0.0))
    row = only(chi, (r < 4).astype(int))
    assert row['sign'] == sign
    total = row['positive_total'] + row['negative_total']
    if sign != 'indeterminate':
        assert total == pytest.approx(row['total_susceptibility'], abs=0.02 * (r < 4).sum())
        assert row['positive_volume_mm3'] + row['negative_volume_mm3'] <= row['volume_mm3']


def test_tiny_lesions_are_kept_and_said():
    labels = np.zeros(SHAPE, int)
    labels[20, 20, 20] = 1
    chi = noisy(np.where(labels > 0, 0.4, 0.0))
    row = only(chi, labels)
    assert (row['size'], row['n_voxels'], row['rim_flag']) == ('tiny', 1, 'n/a')
    assert math.isnan(row['sd'])
    assert row['sign'] == 'paramagnetic'


def test_outside_the_map_there_are_no_numbers():
    chi, labels = shell_lesion(0.1, 0.0)
    reliable = np.indices(SHAPE)[0] < 18
    row = only(chi, labels, reliable=reliable)
    assert row['coverage'] < 0.5
    assert math.isnan(row['mean'])
    assert (row['sign'], row['rim_flag']) == ('n/a', 'n/a')
    assert {name for name, _, _ in LESION_COLUMNS} == set(row)
    row = only(np.where(reliable, chi, np.nan), labels)  # not finite is not reliable
    assert row['coverage'] < 0.5


def test_without_surroundings_there_is_no_contrast():
    r = radius_map()
    labels = (r < 4).astype(int)
    row = only(np.where(r < 4, 0.3, 0.0), labels, reliable=r < 4)
    assert row['mean'] == pytest.approx(0.3)
    assert math.isnan(row['contrast'])
    assert (row['sign'], row['rim_flag']) == ('n/a', 'n/a')
    assert {name for name, _, _ in LESION_COLUMNS} == set(row)


def test_region_is_that_of_the_centre():
    chi, labels = shell_lesion(0.1, 0.0)
    regions = np.where(np.indices(SHAPE)[2] < 25, 5, 0)
    row = only(chi, labels, regions=regions, region_names={5: 'PutamenLeft'})
    assert row['region'] == 'PutamenLeft'
    assert only(chi, labels)['region'] == 'n/a'
    assert only(chi, labels, regions=np.zeros(SHAPE, int), region_names={})['region'] == 'n/a'


def test_nothing_marked_gives_no_row():
    assert table(np.zeros(SHAPE), np.zeros(SHAPE, int)) == []


def test_different_grids_are_refused():
    with pytest.raises(AtlasError, match='different shapes'):
        table(np.zeros(SHAPE), np.zeros((4, 4, 4), int))


# --- rims


def test_rim_with_an_empty_core():
    row = only(*shell_lesion(0.08, 0.0))
    assert row['rim_flag'] == 'yes'
    assert row['rim_shell'] == 'in1'
    assert row['rim_completeness'] == 1.0
    assert row['rim_minus_core'] == pytest.approx(0.05, abs=0.02)
    assert row['shell_in1'] > row['shell_in3'] > -0.01
    assert abs(row['shell_out3']) < 0.002


@pytest.mark.parametrize(
    ('rim', 'core'),
    [(0.08, 0.08), (-0.08, -0.08), (0.5, 0.5), (-1.0, -1.0), (0.06, 0.08), (-0.02, -0.3),
     (-0.08, 0.0)],
)  # fmt: skip
def test_no_rim_in_solid_lesions_of_either_sign(rim, core):
    chi, labels = shell_lesion(rim, core)
    for seed, grow in itertools.product(range(3), (0, 1)):
        drawn = ndimage.binary_dilation(labels > 0, iterations=grow) if grow else labels > 0
        row = only(noisy(chi, seed=seed), drawn.astype(int))
        assert row['rim_flag'] == 'no'


@pytest.mark.parametrize(('peak', 'halo'), [(-1.0, 0.05), (0.8, -0.06)])
def test_overshoot_of_an_inversion_is_no_rim(peak, halo):
    r = radius_map()
    chi = np.where(r < 5, peak, 0.0) + np.where((r >= 5) & (r < 6.5), halo, 0.0)
    if peak > 0:  # a dent in the middle as well
        chi[r < 3] -= 0.05
    row = only(noisy(blurred(chi, 0.4)), (r < 5).astype(int))
    assert row['rim_flag'] == 'no'
    assert row['rim_ratio'] < 0.2


def test_half_a_rim_is_none_and_most_of_one_is():
    r = radius_map()
    x, y, _ = np.indices(SHAPE) - 20
    angle = np.arctan2(y, x) % (2 * np.pi)
    flags = []
    for share in (0.5, 0.85):
        chi = np.where((r < 6) & (r > 4.2) & (angle < 2 * np.pi * share), 0.08, 0.0)
        row = only(noisy(blurred(chi)), (r < 6).astype(int))
        flags.append(row['rim_flag'])
        assert row['rim_completeness'] == pytest.approx(share, abs=0.17)
    assert flags == ['no', 'yes']


def test_too_small_is_not_no():
    r = radius_map()
    chi = blurred(np.where((r < 3) & (r > 2), 0.1, 0))
    row = only(chi, (r < 3).astype(int))
    assert row['rim_flag'] == 'n/a'
    assert math.isnan(row['rim_z'])
    assert row['shell_in1'] > 0  # the profile is there all the same


def test_noise_makes_no_rims():
    """Correlated noise of a map in lesions that do not differ from what surrounds them."""
    flags = []
    labels = (radius_map() < 5).astype(int)
    for seed in range(60):
        noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), 0.7)
        flags.append(only(noise / noise.std() * 0.01, labels)['rim_flag'])
    assert flags == ['no'] * 60


def test_rim_in_anisotropic_voxels():
    voxel = (1.0, 1.0, 2.0)
    fine = radius_map((40, 40, 40), (0.5, 0.5, 0.5), (80, 80, 80))
    chi = np.where((fine < 7) & (fine > 5), 0.09, 0.0)
    share = (fine < 7).astype(float)
    chi, share = (
        ndimage.gaussian_filter(a, 1).reshape(40, 2, 40, 2, 20, 4).mean((1, 3, 5))
        for a in (chi, share)
    )
    row = only(noisy(chi), (share > 0.5).astype(int), affine=np.diag([*voxel, 1]))
    assert row['rim_flag'] == 'yes'
    assert row['volume_mm3'] == pytest.approx(4 / 3 * math.pi * 7**3, rel=0.1)
    solid = only(noisy(0.08 * share), (share > 0.5).astype(int), affine=np.diag([*voxel, 1]))
    assert solid['rim_flag'] == 'no'
