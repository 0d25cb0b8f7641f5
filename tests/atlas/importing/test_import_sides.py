"""Left and right of labels, by where they lie."""

from pathlib import Path

import numpy as np
import pytest

from qsmbids.atlas.checks import on_wrong_side
from qsmbids.atlas.geometry import Label
from qsmbids.atlas.import_labels import LabelRow
from qsmbids.atlas.import_regions import LabelPlaces, make_labels


def label(index, name, side):
    return Label(index, name, '', side, '', '', 'Thalamus')


@pytest.mark.parametrize('origin', [0.0, 90.0])
@pytest.mark.parametrize(
    ('near', 'far', 'wrong'),
    [
        (3, 30, set()),
        (-3, 30, {'near left', 'near right'}),  # exchanged
        (3, -30, {'far left', 'far right'}),
        (-12, 14, {'near left', 'near right'}),
    ],
)
@pytest.mark.parametrize('turn', [1, -1])
def test_every_pair_of_a_region_is_checked(origin, near, far, wrong, turn):
    labels = [label(1, 'near left', 'L'), label(2, 'near right', 'R'),
              label(3, 'far left', 'L'), label(4, 'far right', 'R')][::turn]  # fmt: skip
    x = {1: -near, 2: near, 3: -far, 4: far}
    y = {1: 0, 2: 1, 3: 12, 4: 11}
    centres = {index: np.array((origin + x[index], y[index], 0.0)) for index in x}
    found = [name for name, _ in on_wrong_side(centres, labels, mask_x=origin)]
    assert wrong <= set(found)
    assert bool(found) == bool(wrong)
    assert not wrong or found[0] in wrong


def test_more_labels_on_one_side_than_on_the_other():
    labels = [label(1, 'a', 'L'), label(2, 'b', 'L'), label(3, 'c', 'R')]
    centres = {1: np.array((-5.0, 0, 0)), 2: np.array((-40.0, 0, 0)), 3: np.array((4.0, 0, 0))}
    assert on_wrong_side(centres, labels, mask_x=0.0) == []


def sides_at(rows, ranges, mask_x):
    centres = {i: np.array((sum(r) / 2, 0.0, 0.0)) for i, r in ranges.items()}
    labels, told = make_labels(
        [LabelRow(*row) for row in rows],
        [LabelPlaces(Path('labels.nii'), centres, ranges, mask_x)],
        sides='from-position',
    )
    return {b.index: b.hemisphere for b in labels}, told


def test_label_in_the_middle_gets_no_side_from_the_centre_of_the_mask():
    rows = [(1, 'Vermis'), (2, 'Insula A'), (3, 'Fornix')]
    ranges = {1: (-1.5, 1.5), 2: (-40.0, -30.0), 3: (-4.0, 4.0)}
    sides, told = sides_at(rows, ranges, mask_x=2.0)
    assert sides == {1: 'B', 2: 'L', 3: 'B'}
    assert any('left without a side' in s and '1 Vermis, 3 Fornix' in s for s in told)


@pytest.mark.parametrize('names', [('Left Putamen', 'Right Putamen'), ('Putamen', 'Putamen')])
def test_middle_of_pairs_is_better_than_that_of_the_mask(names):
    rows = [(1, names[0]), (2, names[1]), (3, 'Habenula'), (4, 'Vermis')]
    ranges = {1: (-30.0, -18.0), 2: (18.0, 30.0), 3: (1.0, 4.0), 4: (-1.5, 1.5)}
    sides, _ = sides_at(rows, ranges, mask_x=2.0)
    assert sides == {1: 'L', 2: 'R', 3: 'R', 4: 'B'}
