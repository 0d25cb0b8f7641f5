import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from qsmbids.atlas.geometry import label_table, label_volume, load_regions

SHAPE = (180, 220, 180)
AFFINE = np.array([[1, 0, 0, -90], [0, 1, 0, -130], [0, 0, 1, -80], [0, 0, 0, 1]], dtype=float)


@pytest.fixture(scope='module')
def labels():
    return label_volume(SHAPE, AFFINE)


def index_of(name):
    return next(label.index for label in label_table() if label.name == name)


def test_there_are_21_regions_and_39_labels():
    assert len(load_regions()) == 21
    assert len(label_table()) == 18 * 2 + 3


def test_indices_are_stable():
    # other people's tables and scripts rely on them: never change, only add
    known = {
        'CaudateLeft': 1, 'CaudateRight': 2, 'PutamenLeft': 3, 'GlobusPallidusExternalLeft': 7,
        'GlobusPallidusInternalRight': 10, 'SubstantiaNigraLeft': 21, 'RedNucleusRight': 24,
        'DentateNucleusLeft': 25, 'CerebralPeduncleRight': 36, 'CorpusCallosumGenu': 101,
        'CorpusCallosumSplenium': 103,
    }  # fmt: skip
    assert {name: index_of(name) for name in known} == known


def test_label_table_is_consistent():
    table = label_table()
    for key in ('index', 'name', 'abbreviation', 'color'):
        values = [getattr(label, key) for label in table]
        if key != 'color':  # both sides share a colour
            assert len(set(values)) == len(values)
    assert all(
        label.index % 2 == (label.hemisphere == 'L') for label in table if label.index < 100
    )
    groups = {'deep grey', 'thalamus', 'limbic', 'white matter', 'ventricle'}
    assert {label.group for label in table} == groups


@pytest.mark.parametrize('region', load_regions(), ids=lambda r: r.name)
def test_weights_add_up_and_volume_is_that_of_the_labels(region):
    assert region.weights.sum() == pytest.approx(1, abs=1e-3)
    alone = label_volume(SHAPE, AFFINE, [region])
    side = index_of(region.name + ('' if region.midline else 'Left'))
    assert (alone == side).sum() == pytest.approx(region.volume_mm3, rel=0.03)


def test_volumes_after_overlaps_are_resolved(labels):
    for label in label_table():
        region = next(r for r in load_regions() if r.name == label.region)
        assert (labels == label.index).sum() == pytest.approx(region.volume_mm3, rel=0.07)


def test_left_is_where_x_is_negative_and_right_is_its_mirror_image(labels):
    for label in label_table():
        x = (AFFINE @ np.append(np.argwhere(labels == label.index).mean(axis=0), 1))[0]
        assert {'L': x < -3, 'R': x > 3, 'B': abs(x) < 1.5}[label.hemisphere], label.name
    # grid index i is x = i - 90, so the mirror image of i is 180 - i
    mirrored = labels[1:][::-1]
    left, right = index_of('PutamenLeft'), index_of('PutamenRight')
    assert np.array_equal(mirrored == left, labels[1:] == right)


def test_nuclei_lie_where_anatomy_has_them(labels):
    centre = {
        label.name: (AFFINE @ np.append(np.argwhere(labels == label.index).mean(axis=0), 1))[:3]
        for label in label_table()
    }
    assert abs(centre['GlobusPallidusInternalLeft'][0]) < abs(centre['PutamenLeft'][0])
    assert centre['CaudateLeft'][1] > centre['PulvinarLeft'][1]  # anterior
    assert centre['RedNucleusLeft'][2] > centre['DentateNucleusLeft'][2]  # superior
    assert centre['CorpusCallosumGenu'][1] > centre['CorpusCallosumSplenium'][1]


def test_an_oblique_anisotropic_flipped_grid_shows_the_same_regions(labels):
    rotation = Rotation.from_euler('xyz', (20, 10, -15), degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag((-1.5, 1.0, 2.0))
    shape = (120, 200, 90)
    affine[:3, 3] = (0, -15, 0) - affine[:3, :3] @ (np.array(shape) - 1) / 2
    oblique = label_volume(shape, affine)
    for label in label_table():
        volume = (oblique == label.index).sum() * 3.0
        assert volume == pytest.approx((labels == label.index).sum(), rel=0.12), label.name
    # voxel by voxel: the label at a point is the one of the nearest 1 mm voxel, bar borders
    voxels = np.argwhere(oblique > 0)
    nearest = np.rint((voxels @ affine[:3, :3].T + affine[:3, 3]) - AFFINE[:3, 3]).astype(int)
    assert (labels[tuple(nearest.T)] == oblique[tuple(voxels.T)]).mean() > 0.85


def test_overlap_goes_to_the_region_that_exceeds_its_threshold_by_more():
    external, internal = (r for r in load_regions() if r.name.startswith('GlobusPallidus'))
    points = np.array([[-19.0, -4.0, -2.0], [-18.0, -3.0, 0.0], [-21.0, -2.0, 1.0]])
    affine = np.eye(4)
    for point in points:
        affine[:3, 3] = point
        excess = [r.log_density(point) - r.threshold for r in (external, internal)]
        expected = 0
        if max(excess) > 0:
            expected = index_of(('GlobusPallidusExternal', 'GlobusPallidusInternal')[
                int(np.argmax(excess))] + 'Left')  # fmt: skip
        assert label_volume((1, 1, 1), affine, (external, internal))[0, 0, 0] == expected


def test_density_integrates_to_one():
    region = next(r for r in load_regions() if r.name == 'RedNucleus')
    lower, upper = region.bounding_box()
    axes = [np.arange(a - 8, b + 8, 0.5) for a, b in zip(lower, upper, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing='ij'), axis=-1)
    total = np.exp(region.log_density(points)).sum() * 0.5**3
    assert total == pytest.approx(1, abs=0.01)


def test_nothing_is_drawn_outside_the_brain():
    affine = AFFINE.copy()
    affine[:3, 3] = 500
    assert not label_volume((20, 20, 20), affine).any()
