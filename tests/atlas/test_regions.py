import math

import numpy as np
import pytest

from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.geometry import Label
from qsmbids.atlas.regions import COLUMNS, data_dictionary, region_table

LABELS = (
    Label(3, 'PutamenLeft', 'PU-L', 'L', 'deep grey', '#f28e2b', 'Putamen'),
    Label(4, 'PutamenRight', 'PU-R', 'R', 'deep grey', '#f28e2b', 'Putamen'),
    Label(302, 'CaudateRight', 'CN-R', 'R', 'deep grey', '#4e79a7', 'Caudate'),
    Label(9, 'Absent', 'AB', 'B', 'white matter', '#000000', 'Absent'),
)
VOXEL = 1.5


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 3, 4, 302], size=(12, 10, 8))
    image = rng.normal(0.02, 0.05, labels.shape).astype(np.float32)
    mask = np.ones(labels.shape, bool)
    mask[0] = False
    return image, labels, mask


def test_table_equals_what_anybody_computes_from_the_saved_images(data):
    image, labels, mask = data
    rows = region_table(image, labels, LABELS, VOXEL, mask)
    assert [row['name'] for row in rows] == ['WholeBrain', *(label.name for label in LABELS)]
    for row in rows[1:4]:
        values = image[(labels == row['index']) & mask].astype(float)
        n = values.size
        assert row['n_voxels'] == n
        assert row['coverage'] == n / (labels == row['index']).sum()
        assert [row[k] for k in ('mean', 'median', 'sd', 'p5', 'p95', 'max')] == pytest.approx(
            [values.mean(), np.median(values), values.std(ddof=1),
             np.percentile(values, 5), np.percentile(values, 95), values.max()]
        )  # fmt: skip
        assert row['volume_mm3'] == n * VOXEL
        assert row['total'] == pytest.approx(values.mean() * n * VOXEL)
    assert rows[0]['index'] == 0
    assert rows[0]['mean'] == pytest.approx(image[mask].mean(dtype=float))


def test_negative_values_and_zeros_count():
    image = np.array([[[-0.3, 0.0, 0.1, 0.0]]], np.float32)
    labels = np.array([[[3, 3, 3, 0]]])
    row = region_table(image, labels, LABELS, 1.0, np.ones(image.shape, bool))[1]
    assert row['n_voxels'] == 3
    assert row['mean'] == pytest.approx(-0.2 / 3)


def test_low_coverage_and_absent_regions_have_no_statistics(data):
    image, labels, mask = data
    mask[(labels == 4)] = False
    mask[tuple(np.argwhere(labels == 4)[0])] = True
    rows = {row['name']: row for row in region_table(image, labels, LABELS, VOXEL, mask)}
    poor, absent = rows['PutamenRight'], rows['Absent']
    assert poor['n_voxels'] == 1
    assert 0 < poor['coverage'] < 0.5
    assert absent['n_voxels'] == 0
    assert math.isnan(absent['coverage'])
    for row in (poor, absent):
        for key in ('mean', 'median', 'sd', 'p5', 'p95', 'max', 'total'):
            assert math.isnan(row[key])


def test_voxels_that_are_not_finite_are_not_reliable(data):
    image, labels, mask = data
    voxel = tuple(np.argwhere((labels == 3) & mask)[0])
    before = region_table(image, labels, LABELS, VOXEL, mask)[1]
    image[voxel] = np.nan
    after = region_table(image, labels, LABELS, VOXEL, mask)[1]
    assert after['n_voxels'] == before['n_voxels'] - 1
    assert np.isfinite(after['mean'])


def test_whole_brain_is_that_of_the_brain_mask(data):
    image, labels, mask = data
    brain = np.ones(mask.shape, bool)
    row = region_table(image, labels, LABELS, VOXEL, mask, brain_mask=brain)[0]
    assert row['n_voxels'] == mask.sum()
    assert row['coverage'] == pytest.approx(mask.mean())


def test_unreferenced_mean_gives_back_what_was_subtracted(data):
    image, labels, mask = data
    rows = region_table(image, labels, LABELS, VOXEL, mask, reference_value=0.013)
    assert rows[1]['mean_unreferenced'] - rows[1]['mean'] == pytest.approx(0.013)


def test_shapes_must_agree(data):
    image, labels, mask = data
    with pytest.raises(AtlasError, match='different shapes'):
        region_table(image, labels[1:], LABELS, VOXEL, mask)


def test_dictionary_describes_every_column_with_its_unit(data):
    image, labels, mask = data
    rows = region_table(image, labels, LABELS, VOXEL, mask, reference_value=0.0)
    content = data_dictionary('ppm', 'whole brain', unreferenced=True)
    assert set(rows[0]) == set(content) - {'Reference'}
    assert list(rows[0])[: len(COLUMNS)] == [column.name for column in COLUMNS]
    assert content['mean']['Units'] == 'ppm'
    assert content['total']['Units'] == 'ppm*mm^3'
    assert content['Reference'] == 'whole brain'
    assert 'Reference' not in data_dictionary('1/s', '')
    assert data_dictionary('1/s', '')['sd']['Units'] == '1/s'
