"""The picture: right planes, left on the left, colours of the table."""

import json

import matplotlib.image
import numpy as np
import pytest

from qsmbids.atlas.dataset import open_atlas
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.images import write_image
from qsmbids.atlas.picture import draw_atlas, pick_cohorts
from qsmbids.atlas.picture_rows import read_rows

RED, GREEN = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
SHAPE = (30, 36, 30)
# left-handed storage: the first axis runs to the left
AFFINE = np.array([[-4, 0, 0, 58], [0, 4, 0, -70], [0, 0, 4, -58], [0, 0, 0, 1.0]])


@pytest.fixture
def atlas(tmp_path):
    """A red ball on the left, a larger green one on the right, in three age bins."""
    root = tmp_path / 'Balls'
    ages = {str(n): {'name': 'n', 'age': [10 * n, 10 * n + 10]} for n in range(1, 6)}
    (root / 'tpl-Balls').mkdir(parents=True)
    (root / 'tpl-Balls/template_description.json').write_text(json.dumps({'cohort': ages}))
    (root / 'atlas-Balls_dseg.tsv').write_text(
        'index\tname\themisphere\tgroup\tcolor\n5\tred\tL\tdeep grey\t#ff0000\n'
        '9\tgreen\tR\tdeep grey\t#00ff00\n'
    )
    voxels = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing='ij'), -1)
    world = voxels @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    brain = np.linalg.norm(world, axis=-1) < 52
    dseg = np.zeros(SHAPE, np.int16)
    dseg[np.linalg.norm(world - (-24, 8, 12), axis=-1) < 10] = 5
    dseg[np.linalg.norm(world - (24, 8, 12), axis=-1) < 16] = 9
    for label in ages:
        folder = root / f'tpl-Balls/cohort-{label}'
        folder.mkdir()
        stem = folder / f'tpl-Balls_cohort-{label}'
        chi = np.where(dseg > 0, 0.1, 0.01 * brain).astype(np.float32)
        write_image(f'{stem}_Chimap.nii.gz', chi, AFFINE)
        write_image(f'{stem}_desc-brain_mask.nii.gz', brain, AFFINE)
        write_image(f'{stem}_atlas-Balls_dseg.nii.gz', dseg, AFFINE)
        write_image(f'{stem}_T1w.nii.gz', (brain + 0.2).astype(np.float32), AFFINE)
    return open_atlas(root)


def test_planes_go_through_the_regions_in_the_world(atlas):
    (row,) = read_rows(atlas, atlas.cohorts[:1])
    assert row.position(2) == pytest.approx(12, abs=4)
    assert row.position(1) == pytest.approx(8, abs=4)
    assert row.position(0) == pytest.approx(-24, abs=4)  # sagittal: of the left ones
    axial = row.plane(row.labelled, 2)
    assert np.argwhere(axial == 5)[:, 1].mean() < np.argwhere(axial == 9)[:, 1].mean()


def test_youngest_middle_and_oldest_are_shown(atlas):
    assert [c.label for c in pick_cohorts(atlas)] == ['1', '3', '5']


def test_left_is_drawn_left_in_the_colours_of_the_table(atlas, tmp_path):
    path = draw_atlas(atlas, atlas.cohorts[:1], tmp_path / 'new' / 'picture.png')
    pixels = matplotlib.image.imread(path)[..., :3]
    assert pixels.shape[1] == 2250
    above_legend = pixels[: int(0.85 * len(pixels))]
    red = np.argwhere((above_legend - above_legend.mean(-1, keepdims=True))[..., 0] > 0.2)
    green = np.argwhere((above_legend - above_legend.mean(-1, keepdims=True))[..., 1] > 0.2)
    assert len(red) > 500
    assert len(green) > len(red) / 2
    # the first plane is axial: its red ball lies to the left of its green one
    first = 2250 / 6.6
    assert red[red[:, 1] < first][:, 1].mean() < green[green[:, 1] < first][:, 1].mean() - 50


def test_an_atlas_without_structural_image_has_half_the_planes(atlas, tmp_path):
    for path in atlas.root.rglob('*_T1w.nii.gz'):
        path.unlink()
    pixels = matplotlib.image.imread(draw_atlas(atlas, atlas.cohorts[:1], tmp_path / 'p.png'))
    right = pixels[150:-150, 1700:, :3]
    assert right.max() < 0.95  # no plane there


def test_only_png(atlas, tmp_path):
    with pytest.raises(AtlasError, match=r'does not end in \.png'):
        draw_atlas(atlas, atlas.cohorts[:1], tmp_path / 'picture.tif')
