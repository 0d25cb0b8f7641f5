"""Labels: drawn ones win, then carried deep grey matter, then the rest."""

import numpy as np
import pytest

from qsmbids.atlas.build.parcellation import carry_labels, merge_labels, read_drawn
from qsmbids.atlas.dataset import open_atlas
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.geometry import Label
from qsmbids.atlas.images import read_image, write_image
from qsmbids.atlas.import_labels import LabelRow

TABLE = (
    Label(1, 'PutamenLeft', 'PU-L', 'L', 'deep grey', '#f28e2b', 'Putamen'),
    Label(2, 'PutamenRight', 'PU-R', 'R', 'deep grey', '#f28e2b', 'Putamen'),
    Label(9, 'Splenium', 'CCs', 'B', 'white matter', '#7a6f6a', 'Splenium'),
)


def line(*values):
    return np.array(values)[:, None, None]


def test_a_drawn_region_replaces_the_carried_one_altogether():
    carried = line(1, 1, 1, 9, 9, 2)
    drawn = line(0, 0, 5, 5, 0, 0)
    merged, table, notes = merge_labels(carried, TABLE, drawn, [LabelRow(5, 'PutamenLeft')])
    # cleared outside the drawn border, and over the splenium inside it
    assert merged.ravel().tolist() == [0, 0, 1, 1, 9, 2]
    assert table == TABLE
    assert notes == ('PutamenLeft is the drawn one',)


@pytest.mark.parametrize(
    'row', [LabelRow(5, 'Left Putamen'), LabelRow(5, 'P.', hemisphere='L', region='putamen')]
)
def test_the_same_region_is_known_by_other_spellings(row):
    merged, table, _ = merge_labels(line(1, 0, 2), TABLE, line(0, 5, 0), [row])
    assert merged.ravel().tolist() == [0, 1, 2]
    assert table == TABLE


def test_new_regions_keep_their_number_unless_it_is_taken():
    rows = [LabelRow(1, 'Left Rim', group='lesion'), LabelRow(40, 'Right Rim', color='#112233')]
    merged, table, notes = merge_labels(line(1, 9, 9), TABLE, line(0, 1, 40), rows)
    assert merged.ravel().tolist() == [1, 10, 40]
    assert [(b.index, b.name, b.hemisphere, b.group, b.region) for b in table[3:]] == [
        (10, 'Left Rim', 'L', 'lesion', 'Rim'), (40, 'Right Rim', 'R', 'deep grey', 'Rim'),
    ]  # fmt: skip
    assert notes[0] == 'Left Rim was number 1 and is 10: it was taken'


def test_drawn_regions_exchange_places_without_erasing_one_another():
    rows = [LabelRow(1, 'PutamenRight'), LabelRow(2, 'PutamenLeft')]
    merged, _, _ = merge_labels(line(1, 2), TABLE, line(1, 2), rows)
    assert merged.ravel().tolist() == [2, 1]


def test_drawn_labels_are_read_with_the_table_beside_them(tmp_path):
    dseg = np.zeros((4, 4, 4), np.int16)
    dseg[1, 1, 1] = 3
    path = write_image(tmp_path / 'drawn_dseg.nii.gz', dseg, np.eye(4))
    grid = write_image(tmp_path / 'grid.nii', np.ones((4, 4, 4), np.float32), np.eye(4))
    with pytest.raises(AtlasError, match=r'no label table drawn_dseg\.tsv'):
        read_drawn(path, grid)
    (tmp_path / 'drawn_dseg.tsv').write_text('index\tname\n4\tOther\n')
    with pytest.raises(AtlasError, match='does not name'):
        read_drawn(path, grid)
    (tmp_path / 'drawn_dseg.tsv').write_text('index\tname\n3\tRedNucleusLeft\n')
    drawn, rows = read_drawn(path, grid)
    assert drawn.sum() == 3
    assert rows[0].name == 'RedNucleusLeft'
    other = write_image(tmp_path / 'other.nii', np.ones((4, 4, 5), np.float32), np.eye(4))
    with pytest.raises(AtlasError, match='not on the grid'):
        read_drawn(path, other)


@pytest.mark.slow
def test_labels_are_carried_to_a_template_that_is_another_shape(scan, atlas, template, tmp_path):
    files = {'t2starw': scan.magnitude, 'chi': scan.chi, 'mask': scan.mask}
    found, quality = carry_labels(files, template, atlas.labels, tmp_path, seed=7)
    assert found.shape == read_image(scan.chi)[0].shape
    assert quality['mask_dice'] > 0.9
    deep = [label.index for label in atlas.labels if label.group == 'deep grey']
    scores = [2 * ((found == i) & (scan.labels == i)).sum()
              / ((found == i).sum() + (scan.labels == i).sum()) for i in deep]  # fmt: skip
    assert np.mean(scores) > 0.8
    assert open_atlas(atlas.root).name == atlas.name
