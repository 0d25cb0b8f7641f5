import math

import numpy as np
import pytest
from scipy import ndimage, stats

from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.geometry import Label
from qsmbids.atlas.region_columns import columns_of, data_dictionary
from qsmbids.atlas.region_noise import FieldNoise
from qsmbids.atlas.regions import region_table
from qsmbids.qsm.grid import Grid

LABELS = (
    Label(3, 'PutamenLeft', 'PU-L', 'L', 'deep grey', '#f28e2b', 'Putamen'),
    Label(4, 'PutamenRight', 'PU-R', 'R', 'deep grey', '#f28e2b', 'Putamen'),
    Label(302, 'CaudateRight', 'CN-R', 'R', 'deep grey', '#4e79a7', 'Caudate'),
    Label(9, 'Absent', 'AB', 'B', 'white matter', '#000000', 'Absent'),
)
VOXEL = 1.5
IDENTITY = {'index', 'name', 'abbreviation', 'hemisphere', 'group'}
ALWAYS = IDENTITY | {'n_voxels', 'volume_mm3', 'coverage', 'reference', 'reference_value'}


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 3, 4, 302], size=(12, 10, 8))
    image = rng.normal(0.02, 0.05, labels.shape).astype(np.float32)
    mask = np.ones(labels.shape, bool)
    mask[0] = False
    return image, labels, mask


def by_name(rows):
    return {row['name']: row for row in rows}


def test_table_equals_what_anybody_computes_from_the_saved_images(data):
    image, labels, mask = data
    rows = region_table(image, labels, LABELS, VOXEL, mask)
    assert [row['name'] for row in rows] == ['WholeBrain', *(label.name for label in LABELS)]
    regions = [mask, *((labels == label.index) & mask for label in LABELS[:3])]
    for row, region in zip(rows, regions, strict=False):
        values = image[region].astype(float)
        n = values.size
        vessels = math.floor(0.03 * n)
        counts, _ = np.histogram(np.clip(values, -0.2, 0.3999), np.linspace(-0.2, 0.4, 121))
        expected = {
            'n_voxels': n,
            'volume_mm3': n * VOXEL,
            'mean': values.mean(),
            'median': np.median(values),
            'trimmed_mean': np.sort(values)[: n - vessels].mean(),
            'positive_mean': values[values > 0].mean(),
            'positive_fraction': (values > 0).mean(),
            'sd': values.std(ddof=1),
            'mad': stats.median_abs_deviation(values),
            'iqr': stats.iqr(values),
            'min': values.min(),
            'p5': np.percentile(values, 5),
            'p25': np.percentile(values, 25),
            'p75': np.percentile(values, 75),
            'p95': np.percentile(values, 95),
            'max': values.max(),
            'skewness': stats.skew(values),
            'kurtosis': stats.kurtosis(values),
            'entropy': stats.entropy(counts, base=2),
            'total': values.mean() * n * VOXEL,
        }
        assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-9)
    assert rows[0]['index'] == 0
    assert rows[1]['coverage'] == regions[1].sum() / (labels == 3).sum()


def test_core_is_the_region_without_its_surface():
    labels = np.zeros((9, 9, 9), int)
    labels[1:8, 2:7, 3:8] = 3  # 7 x 5 x 5, its core 5 x 3 x 3
    labels[0:2, 0:2, 0:2] = 4  # touches the edge of the image: no core
    rng = np.random.default_rng(1)
    image = rng.normal(size=labels.shape).astype(np.float32)
    mask = np.ones(labels.shape, bool)
    mask[3, 4, 5] = False  # does not erode its neighbours
    rows = by_name(region_table(image, labels, LABELS, 1.0, mask))
    core = ndimage.binary_erosion(labels == 3) & mask
    assert core.sum() == 44
    assert rows['PutamenLeft']['core_n'] == 44
    assert rows['PutamenLeft']['core_mean'] == pytest.approx(image[core].mean(dtype=float))
    assert rows['PutamenRight']['core_n'] == 0
    assert math.isnan(rows['PutamenRight']['core_mean'])


def test_core_of_a_few_voxels_has_no_mean():
    labels = np.zeros((5, 5, 8), int)
    labels[1:4, 1:4, 1:7] = 3  # 3 x 3 x 6, its core 4 voxels
    row = region_table(np.ones(labels.shape), labels, LABELS, 1.0, labels >= 0)[1]
    assert row['core_n'] == 4
    assert math.isnan(row['core_mean'])


def test_high_iron_part_of_a_hand_made_region():
    image = np.array([[[0.02, 0.10, 0.12, 0.14, -0.3, np.nan]]])
    labels = np.full(image.shape, 3)
    rows = by_name(region_table(image, labels, LABELS, 2.0, image == image, thresholds={3: 0.1}))
    row = rows['PutamenLeft']
    assert row['high_threshold'] == 0.1
    assert row['high_n'] == 2  # above, not at the threshold
    assert row['high_fraction'] == pytest.approx(0.4)
    assert row['high_mean'] == pytest.approx(0.13)
    assert row['high_volume_mm3'] == 4.0
    assert row['high_total'] == pytest.approx(0.52)
    assert math.isnan(rows['WholeBrain']['high_n'])


def test_nothing_above_the_threshold_is_a_finding_not_a_gap():
    image = np.full((2, 2, 2), 0.05)
    row = region_table(image, np.full((2, 2, 2), 3), LABELS, 1.0, image > 0, thresholds={3: 1})[1]
    assert (row['high_n'], row['high_fraction'], row['high_total']) == (0, 0, 0)
    assert math.isnan(row['high_mean'])


def test_left_and_right_are_compared_in_both_rows():
    image = np.array([[[10.0, 10.0, 30.0, 7.0]]])
    labels = np.array([[[3, 3, 4, 302]]])
    rows = by_name(region_table(image, labels, LABELS, 1.0, image > 0, kind='r2star'))
    for side in ('PutamenLeft', 'PutamenRight'):
        assert rows[side]['right_minus_left'] == 20
        assert rows[side]['asymmetry_index'] == 1
        assert rows[side]['volume_asymmetry'] == pytest.approx(-2 / 3)
    for other in ('CaudateRight', 'WholeBrain'):  # no left caudate
        assert math.isnan(rows[other]['right_minus_left'])
    chi = by_name(region_table(image, labels, LABELS, 1.0, image > 0))
    assert chi['PutamenLeft']['right_minus_left'] == 20
    assert 'asymmetry_index' not in chi['PutamenLeft']  # its zero is arbitrary


def test_no_comparison_with_a_side_that_is_hardly_covered():
    image, labels = np.ones((1, 1, 5)), np.array([[[3, 3, 4, 4, 4]]])
    mask = np.array([[[True, True, True, False, False]]])
    rows = by_name(region_table(image, labels, LABELS, 1.0, mask))
    for name in ('right_minus_left', 'volume_asymmetry'):
        assert math.isnan(rows['PutamenLeft'][name])


def test_negative_values_and_zeros_count():
    image = np.array([[[-0.3, 0.0, 0.1, 0.0]]], np.float32)
    labels = np.array([[[3, 3, 3, 0]]])
    row = region_table(image, labels, LABELS, 1.0, np.ones(image.shape, bool))[1]
    assert row['n_voxels'] == 3
    assert row['mean'] == pytest.approx(-0.2 / 3)
    assert row['positive_fraction'] == pytest.approx(1 / 3)


def test_low_coverage_and_absent_regions_have_no_statistics(data):
    image, labels, mask = data
    mask[(labels == 4)] = False
    mask[tuple(np.argwhere(labels == 4)[0])] = True
    rows = by_name(region_table(image, labels, LABELS, VOXEL, mask, reference='csf'))
    poor, absent = rows['PutamenRight'], rows['Absent']
    assert poor['n_voxels'] == 1
    assert 0 < poor['coverage'] < 0.5
    assert absent['n_voxels'] == 0
    assert math.isnan(absent['coverage'])
    for row in (poor, absent):
        assert all(math.isnan(value) for name, value in row.items() if name not in ALWAYS)
        assert row['reference'] == 'csf'


def test_half_of_a_region_is_enough():
    image, labels = np.ones((1, 1, 4)), np.full((1, 1, 4), 3)
    mask = np.array([[[True, True, False, False]]])
    assert region_table(image, labels, LABELS, 1.0, mask)[1]['mean'] == 1


def test_one_voxel_has_a_mean_but_no_spread():
    image = np.array([[[0.07, 0.0]]])
    row = region_table(image, np.array([[[3, 0]]]), LABELS, 1.0, image >= 0)[1]
    assert row['mean'] == row['median'] == row['p5'] == row['max'] == row['trimmed_mean'] == 0.07
    assert row['mad'] == row['iqr'] == row['entropy'] == 0
    for name in ('sd', 'skewness', 'kurtosis', 'core_mean'):
        assert math.isnan(row[name])


def test_equal_values_have_no_shape():
    image = np.full((4, 4, 4), 0.1, np.float32)
    row = region_table(image, np.full((4, 4, 4), 3), LABELS, 1.0, image > 0)[1]
    assert row['sd'] == pytest.approx(0, abs=1e-12)
    assert math.isnan(row['skewness'])
    assert math.isnan(row['kurtosis'])


def test_voxels_that_are_not_finite_are_not_reliable(data):
    image, labels, mask = data
    first, second = (tuple(v) for v in np.argwhere((labels == 3) & mask)[:2])
    before = region_table(image, labels, LABELS, VOXEL, mask)[1]
    image[first], image[second] = np.nan, np.inf
    after = region_table(image, labels, LABELS, VOXEL, mask)[1]
    assert after['n_voxels'] == before['n_voxels'] - 2
    assert np.isfinite([after['mean'], after['max'], after['kurtosis']]).all()


def test_whole_brain_is_that_of_the_brain_mask(data):
    image, labels, mask = data
    brain = np.ones(mask.shape, bool)
    row = region_table(image, labels, LABELS, VOXEL, mask, brain_mask=brain)[0]
    assert row['n_voxels'] == mask.sum()
    assert row['coverage'] == pytest.approx(mask.mean())


def test_empty_masks_and_labels_give_rows_without_numbers():
    image = np.zeros((3, 3, 3))
    rows = region_table(image, image.astype(int), LABELS, 1.0, image > 0)
    assert len(rows) == 1 + len(LABELS)
    assert all(math.isnan(row['mean']) for row in rows)
    assert all(row['n_voxels'] == 0 for row in rows)


def test_reference_stands_in_every_row(data):
    image, labels, mask = data
    rows = region_table(
        image, labels, LABELS, VOXEL, mask, reference='whole-brain', reference_value=0.013
    )
    assert {row['reference'] for row in rows} == {'whole-brain'}
    assert {row['reference_value'] for row in rows} == {0.013}
    assert rows[1]['mean_unreferenced'] - rows[1]['mean'] == pytest.approx(0.013)


def test_noise_map_gives_weights_and_uncertainty(data):
    image, labels, mask = data
    rng = np.random.default_rng(2)
    sd = np.where(mask, rng.uniform(1e-3, 4e-3, mask.shape), 0).astype(np.float32)
    noise = FieldNoise(sd, Grid(mask.shape, (1.0, 1.0, 1.5), (0.0, 0.0, 1.0)))
    rows = by_name(region_table(image, labels, LABELS, VOXEL, mask, noise=noise))
    region = (labels == 3) & mask
    expected = np.average(image[region].astype(float), weights=sd[region].astype(float) ** -2)
    assert rows['PutamenLeft']['weighted_mean'] == pytest.approx(expected, rel=1e-6)
    assert rows['PutamenLeft']['mean_uncertainty'] > 0
    assert math.isnan(rows['WholeBrain']['mean_uncertainty'])
    assert math.isnan(rows['Absent']['mean_uncertainty'])
    without = region_table(image, labels, LABELS, VOXEL, mask)[1]
    assert math.isnan(without['weighted_mean'])
    assert math.isnan(without['mean_uncertainty'])


def test_shapes_must_agree(data):
    image, labels, mask = data
    with pytest.raises(AtlasError, match='different shapes'):
        region_table(image, labels[1:], LABELS, VOXEL, mask)
    other = FieldNoise(np.ones((2, 2, 2), np.float32), Grid((2, 2, 2), (1, 1, 1), (0, 0, 1)))
    with pytest.raises(AtlasError, match='different shapes'):
        region_table(image, labels, LABELS, VOXEL, mask, noise=other)


@pytest.mark.parametrize(('kind', 'unit'), [('chi', 'ppm'), ('r2star', '1/s')])
def test_dictionary_describes_every_column_in_its_order(data, kind, unit):
    image, labels, mask = data
    rows = region_table(image, labels, LABELS, VOXEL, mask, kind=kind)
    content = data_dictionary(kind, unit)
    assert [list(row) for row in rows] == [list(content)] * len(rows)
    assert [column.name for column in columns_of(kind)] == list(content)
    assert content['mean']['Units'] == unit
    assert content['total']['Units'] == f'{unit}*mm^3'
    assert all(entry['Description'] for entry in content.values())


def test_dictionary_says_the_reference():
    assert data_dictionary('chi', 'ppm', 'whole brain')['Reference'] == 'whole brain'
    assert 'Reference' not in data_dictionary('r2star', '1/s')


def test_relaxation_has_no_columns_of_susceptibility():
    names = {column.name for column in columns_of('r2star')}
    for name in ('reference', 'mean_unreferenced', 'positive_mean', 'entropy', 'high_mean',
                 'weighted_mean', 'mean_uncertainty'):  # fmt: skip
        assert name not in names
