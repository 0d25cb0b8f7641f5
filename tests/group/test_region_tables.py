"""Region tables as arrays: reading, tables that differ, sides joined."""

import json

import numpy as np
import pandas as pd
import pytest

from qsmbids.group.files import find_files, natural
from qsmbids.group.region_reader import read_regions
from qsmbids.group.region_table import RegionTable, without_side

PLACE = ('QSMLifespan', 'Chimap')
NAME = '{key}_atlas-QSMLifespan_desc-regions_Chimap.tsv'
IDENTITY = ('index', 'name', 'abbreviation', 'hemisphere', 'group')
REGIONS = [
    (0, 'WholeBrain', 'WB', 'B', 'n/a'),
    (1, 'CaudateLeft', 'CN-L', 'L', 'deep grey'),
    (2, 'CaudateRight', 'CN-R', 'R', 'deep grey'),
]


def table(columns, values, regions=REGIONS):
    rows = [(*IDENTITY, *columns)]
    rows += [(*region, *cells) for region, cells in zip(regions, values, strict=True)]
    return ''.join('\t'.join(map(str, row)) + '\n' for row in rows)


def add(out, key, text, unit='ppm'):
    path = out / key / 'anat' / NAME.format(key=key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    entry = {'Description': 'Mean', 'Units': unit}
    path.with_suffix('.json').write_text(json.dumps({'mean': entry, 'Reference': 'x'}))
    return path


def read(out):
    files = find_files(out)
    found, problems = read_regions(files, PLACE)
    return found, [p.what for p in problems], files


def test_numbers_are_those_of_the_tables(tmp_path):
    rng = np.random.default_rng(3)
    truth = rng.normal(size=(130, 3, 2))  # more tables than are parsed at once
    for i, values in enumerate(truth):
        add(tmp_path, f'sub-{i}', table(('mean', 'sd'), values))
    found, said, _ = read(tmp_path)
    assert said == []
    assert found.values['mean'].dtype == np.float32
    np.testing.assert_allclose(found.values['mean'], truth[:, :, 0], rtol=1e-6)
    np.testing.assert_allclose(found.values['sd'], truth[:, :, 1], rtol=1e-6)
    assert list(found.regions['region']) == ['WholeBrain', 'Caudate', 'Caudate']
    assert list(found.regions['index']) == [0, 1, 2]
    assert found.regions['group'][0] == ''
    assert found.dictionary == {'mean': {'Description': 'Mean', 'Units': 'ppm'}}


def test_text_columns_and_missing_cells(tmp_path):
    cells = [('n/a', 'csf', ''), (0.25, 'csf', 'n/a'), (-1e-3, 'csf', 7)]
    add(tmp_path, 'sub-1', table(('mean', 'reference', 'empty'), cells))
    found, said, _ = read(tmp_path)
    assert said == []
    assert sorted(found.values) == ['empty', 'mean']
    np.testing.assert_allclose(found.values['mean'][0], [np.nan, 0.25, -1e-3], rtol=1e-6)
    np.testing.assert_allclose(found.values['empty'][0], [np.nan, np.nan, 7])


def test_line_ends_marks_and_quotes(tmp_path):
    text = table(('mean',), [(1,), (2,), (3,)])
    add(tmp_path, 'sub-1', b'\xef\xbb\xbf' + text.replace('\n', '\r\n').encode())
    add(tmp_path, 'sub-2', text.replace('deep grey', '"deep grey"').rstrip('\n') + '\n\n')
    found, said, _ = read(tmp_path)
    assert said == []
    np.testing.assert_allclose(found.values['mean'], [[1, 2, 3]] * 2)


def test_tables_with_other_columns_or_regions_are_joined_with_nan(tmp_path):
    for label in (1, 2):
        add(tmp_path, f'sub-{label}', table(('mean', 'sd'), [(0, 1), (2, 3), (4, 5)]))
    add(tmp_path, 'sub-3', table(('sd', 'max'), [(7, 8), (9, 10)], REGIONS[:0:-1]))
    found, said, _ = read(tmp_path)
    assert said == [
        'The Chimap tables of QSMLifespan of sub-3 have other columns or regions than the rest.'
    ]
    assert list(found.regions['name']) == ['WholeBrain', 'CaudateLeft', 'CaudateRight']
    np.testing.assert_allclose(found.values['mean'][2], [np.nan] * 3)
    np.testing.assert_allclose(found.values['sd'], [[1, 3, 5], [1, 3, 5], [np.nan, 9, 7]])
    np.testing.assert_allclose(found.values['max'][2], [np.nan, 10, 8])


def test_rows_that_stand_twice_count_once(tmp_path):
    doubled = [*REGIONS, REGIONS[1]]
    add(tmp_path, 'sub-1', table(('mean',), [(1,), (2,), (3,), (4,)], doubled))
    found, said, _ = read(tmp_path)
    assert said == ['The Chimap tables of QSMLifespan hold several rows for CaudateLeft: sub-1.']
    np.testing.assert_allclose(found.values['mean'], [[1, 2, 3]])


def test_text_where_numbers_belong_is_said_and_the_rest_is_read(tmp_path):
    add(tmp_path, 'sub-1', table(('mean', 'sd'), [(1, 1), (2, 1), (3, 1)]))
    add(tmp_path, 'sub-2', table(('mean', 'sd'), [(4, 1), ('high', 1), (6, 1)]))
    found, said, _ = read(tmp_path)
    assert said == ['The column mean of 1 Chimap tables of QSMLifespan holds text.']
    np.testing.assert_allclose(found.values['mean'], [[1, 2, 3], [4, np.nan, 6]])
    np.testing.assert_allclose(found.values['sd'], 1)


def test_lines_that_are_too_short_or_too_long(tmp_path):
    text = table(('mean', 'sd'), [(1, 2), (3, 4), (5, 6)])
    add(tmp_path, 'sub-1', text)
    add(tmp_path, 'sub-2', text.replace('\t4\n', '\n').replace('\t6\n', '\t6\textra\n'))
    found, said, _ = read(tmp_path)
    assert said == []
    np.testing.assert_allclose(found.values['sd'], [[2, 4, 6], [2, np.nan, 6]])


@pytest.mark.parametrize('content', [b'', b'\xff\xfe\x80', b'a\x00b\n'])
def test_broken_tables_are_left_out_and_named(tmp_path, content):
    add(tmp_path, 'sub-1', table(('mean',), [(1,), (2,), (3,)]))
    path = add(tmp_path, 'sub-2', content)
    found, said, files = read(tmp_path)
    assert len(said) == 1
    assert path.name in said[0]
    assert 'cannot be read' in said[0]
    assert [one.has_chi for one in files] == [True, False]
    np.testing.assert_allclose(found.values['mean'], [[1, 2, 3], [np.nan] * 3])


def test_different_units_are_an_error(tmp_path):
    for label, unit in (('1', 'ppm'), ('2', 'ppb')):
        add(tmp_path, f'sub-{label}', table(('mean',), [(1,), (2,), (3,)]), unit)
    _, said, _ = read(tmp_path)
    assert said == [
        'The Chimap tables of QSMLifespan have different units (ppb: sub-2; ppm: sub-1).'
    ]


def regions(rows):
    frame = pd.DataFrame(rows, columns=IDENTITY)
    frame['region'] = [without_side(r[1], r[3]) for r in rows]
    return frame


def test_sides_are_averaged_or_summed():
    nan = np.nan
    values = {
        'mean': [[1, 2, 4], [1, nan, 4], [1, nan, nan]],
        'total': [[1, 2, 4], [1, nan, 4], [1, nan, nan]],
        'high_n': [[nan, 2, 0]] * 3,
        'mean_uncertainty': [[1, 3, 4], [1, nan, 4], [1, 3, nan]],
        'min': [[0, -2, 1]] * 3,
        'max': [[0, -2, 1]] * 3,
    }
    arrays = {name: np.array(rows, np.float32) for name, rows in values.items()}
    joined = RegionTable(*PLACE, regions(REGIONS), arrays).averaged()
    assert list(joined.regions['name']) == ['WholeBrain', 'Caudate']
    assert list(joined.regions['abbreviation']) == ['WB', 'CN']
    assert set(joined.regions['hemisphere']) == {'B'}
    np.testing.assert_allclose(joined.values['mean'], [[1, 3], [1, 4], [1, nan]])
    np.testing.assert_allclose(joined.values['total'], [[1, 6], [1, nan], [1, nan]])
    np.testing.assert_allclose(joined.values['high_n'][:, 1], 2)
    np.testing.assert_allclose(joined.values['mean_uncertainty'][:, 1], [2.5, 4, 3])
    assert joined.values['min'][0, 1] == -2
    assert joined.values['max'][0, 1] == 1
    assert all(array.dtype == np.float32 for array in joined.values.values())


def test_regions_without_a_partner_stay():
    rows = [(3, 'Pons', 'P', 'B', 's'), (4, 'RedNucleusRight', 'RN-R', 'R', 's')]
    arrays = {'volume_mm3': np.array([[5, 6]], np.float32)}
    joined = RegionTable(*PLACE, regions(rows), arrays).averaged()
    assert list(joined.regions['name']) == ['Pons', 'RedNucleusRight']
    np.testing.assert_allclose(joined.values['volume_mm3'], [[5, 6]])


def test_some_scans_and_some_regions():
    arrays = {'mean': np.arange(9, dtype=np.float32).reshape(3, 3)}
    whole = RegionTable(*PLACE, regions(REGIONS), arrays)
    some = whole.select(pd.Series([True, False, True]), [2, 1])
    np.testing.assert_allclose(some.values['mean'], [[2, 1], [8, 7]])
    assert list(some.regions['name']) == ['CaudateRight', 'CaudateLeft']


@pytest.mark.parametrize(
    ('name', 'hemisphere', 'region'),
    [
        ('CaudateLeft', 'L', 'Caudate'),
        ('Left-Caudate', 'L', 'Caudate'),
        ('caudate_right', 'R', 'caudate'),
        ('ctx-rh', 'R', 'ctx'),
        ('CaudateLeft', 'B', 'CaudateLeft'),
        ('Cleft', 'L', 'Cleft'),
        ('Bright', 'R', 'Bright'),
        ('CaudateLeft', 'R', 'CaudateLeft'),
    ],
)
def test_names_without_sides(name, hemisphere, region):
    assert without_side(name, hemisphere) == region


def test_natural_order():
    keys = ['sub-A2', 'sub-10', 'sub-2', 'sub-A10', 'sub-02']
    assert sorted(keys, key=natural) == ['sub-02', 'sub-2', 'sub-10', 'sub-A2', 'sub-A10']
