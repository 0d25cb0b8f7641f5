import gzip
import json
import os
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from qsmbids.atlas.cit168 import (
    IMAGE,
    MIN_PROBABILITY,
    NAME,
    NUCLEI,
    TO_CIT168,
    cit168_content,
    cit168_labels,
    decode,
    place_nuclei,
    write_cit168_atlas,
)
from qsmbids.atlas.contrast import atlas_grid
from qsmbids.atlas.dataset import open_atlas
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.geometry import label_table
from qsmbids.atlas.writer import cohort_bins, write_atlas
from qsmbids.lifespan.prior import chi_at_age, prior_curve

RGBA = np.dtype([(channel, np.uint8) for channel in 'RGBA'])
# centres (left side, MNI mm) and radii (mm) of balls that stand for some nuclei: Pu, Ca, SNc, SNr
BALLS = {
    1: ((-26, 2, 2), 7),
    3: ((-13, 12, 8), 6),
    13: ((-9, -18, -12), 3),
    17: ((-12, -18, -14), 3),
}
SHAPE = (120, 90, 80)


def source_folder():
    beside = Path(__file__).parents[2].parent / 'shared' / 'atlases'
    return Path(os.environ.get('QSMBIDS_TEST_ATLASES', beside)) / 'cit168'


def affine_of(start=(-60, -45, -40)):
    affine = np.eye(4)
    affine[:3, 3] = start
    return affine


def quads_of(labels, sigma=0.8):
    """Code a label image as the source does, with borders made soft."""
    numbers = [n for n in np.unique(labels) if n]
    soft = np.zeros((2, *labels.shape), np.float32)  # the two largest probabilities
    which = np.zeros((2, *labels.shape), np.uint8)
    for number in numbers:
        found = ndimage.gaussian_filter((labels == number).astype(np.float32), sigma)
        found[found < 0.5 / 255] = 0
        first = found > soft[0]
        second = ~first & (found > soft[1])
        soft[1], which[1] = (np.where(first, a[0], a[1]) for a in (soft, which))
        soft[0][first], which[0][first] = found[first], number
        soft[1][second], which[1][second] = found[second], number
    return np.stack([*which, *np.rint(255 * soft).astype(np.uint8)], axis=-1).astype(np.uint8)


def write_source(folder, quads, affine, as_rgba=True):
    folder.mkdir(parents=True, exist_ok=True)
    array = np.ascontiguousarray(quads).view(RGBA)[..., 0] if as_rgba else quads[:, :, :, None]
    nib.save(nib.Nifti1Image(array, affine), folder / IMAGE)


@pytest.fixture(scope='module')
def balls():
    """Labels of some ball-shaped nuclei on both sides, in the space of the source."""
    affine = affine_of()
    points = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing='ij'), -1) + affine[:3, 3]
    labels = np.zeros(SHAPE, np.uint8)
    for number, (centre, radius) in BALLS.items():
        for side in (0, 1):
            there = np.array(centre) * (1 - 2 * side, 1, 1)
            labels[np.linalg.norm(points - there, axis=-1) < radius] = number + side
    return labels, affine


@pytest.fixture(scope='module')
def made(balls, tmp_path_factory):
    folder = tmp_path_factory.mktemp('cit168')
    write_source(folder / 'source', quads_of(balls[0]), balls[1])
    content = cit168_content(folder / 'source')
    return content, write_atlas(folder / 'out', content, [cohort_bins()[5]])


def test_nuclei_have_curves_and_numbers_of_the_source():
    labels, _ = cit168_labels()
    assert len({label.index for label in labels}) == len(labels)
    assert [label.index for label in labels[:32]] == list(range(1, 33))
    for nucleus in NUCLEI:
        prior_curve(nucleus[3])
    own = {label.region: label for label in label_table()}
    for label in labels:
        if label.region in own:
            assert (label.group, label.color) == (own[label.region].group, own[label.region].color)
    assert 'SubstantiaNigra' not in {label.region for label in labels}
    assert {'Pulvinar', 'DentateNucleus', 'LateralVentricle'} <= {b.region for b in labels}


@pytest.mark.parametrize('as_rgba', [True, False])
def test_both_ways_to_store_four_bytes_are_read(balls, tmp_path, as_rgba):
    quads = quads_of(balls[0])
    write_source(tmp_path, quads, balls[1], as_rgba)
    first, second, affine = decode(tmp_path / IMAGE)
    assert np.array_equal(first[0], quads[..., 0])
    assert np.array_equal(second[0], quads[..., 1])
    assert np.allclose(first[1], quads[..., 2] / 255)
    assert np.allclose(second[1], quads[..., 3] / 255)
    assert np.array_equal(affine, balls[1])
    assert second[1].max() > 0.1  # where two nuclei touch


def test_winner_takes_all_above_a_quarter():
    first, second = np.zeros((2, 4, 1, 1), np.float32), np.zeros((2, 4, 1, 1), np.float32)
    first[0, :, 0, 0], second[0, :, 0, 0] = (3, 3, 7, 0), (9, 9, 3, 0)
    first[1, :, 0, 0], second[1, :, 0, 0] = (0.6, 0.24, 0.5, 0), (0.3, 0.2, 0.4, 0)
    placed = place_nuclei(first, second, np.eye(4), (4, 1, 1), np.eye(4), np.eye(4))
    assert placed[:, 0, 0].tolist() == [3, 0, 7, 0]
    first[1, 1] = MIN_PROBABILITY
    placed = place_nuclei(first, second, np.eye(4), (4, 1, 1), np.eye(4), np.eye(4))
    assert placed[1, 0, 0] == 3


def test_nuclei_move_by_the_affine_and_keep_their_volume(balls):
    quads = quads_of(balls[0])
    first = np.stack([quads[..., 0], quads[..., 2] / 255]).astype(np.float32)
    second = np.stack([quads[..., 1], quads[..., 3] / 255]).astype(np.float32)
    grid = atlas_grid()
    shift = np.eye(4)
    shift[:3, 3] = (1.5, -2, 3)
    placed = place_nuclei(first, second, balls[1], grid.labels.shape, grid.affine, shift)
    for number, (centre, radius) in BALLS.items():
        for side in (0, 1):
            voxels = np.argwhere(placed == number + side)
            there = voxels.mean(axis=0) + grid.affine[:3, 3] + shift[:3, 3]
            if number < 10:  # the two parts of the nigra overlap
                assert np.allclose(there, np.array(centre) * (1 - 2 * side, 1, 1), atol=0.1)
                # a quarter, not a half: larger than the ball by a fraction of a voxel
                assert 1 < len(voxels) / (4 / 3 * np.pi * radius**3) < (1 + 0.8 / radius) ** 3


def test_the_two_spaces_differ_by_less_than_a_millimetre_in_the_deep_grey():
    corners = np.array([(x, y, z) for x in (-30, 30) for y in (-25, 20) for z in (-18, 20)])
    moved = corners @ TO_CIT168[:3, :3].T + TO_CIT168[:3, 3]
    distance = np.linalg.norm(moved - corners, axis=1)
    assert 0.2 < distance.max() < 1.3
    assert np.linalg.det(TO_CIT168[:3, :3]) == pytest.approx(1, abs=0.01)


def test_cit168_wins_over_the_regions_that_are_added(made):
    content = made[0]
    grid = atlas_grid()
    by_name = {label.name: label.index for label in content.labels}
    nucleus = content.drawing.labels == by_name['CaudateLeft']
    assert nucleus.any()
    # the ball that stands for the caudate reaches into the ventricle of the built-in atlas
    ventricle = next(b.index for b in label_table() if b.name == 'LateralVentricleLeft')
    assert np.any(nucleus & (grid.labels == ventricle))
    dentate = next(b.index for b in label_table() if b.name == 'DentateNucleusRight')
    assert np.array_equal(
        content.drawing.labels == by_name['DentateNucleusRight'], grid.labels == dentate
    )
    # of a nucleus that CIT168 has, nothing comes from the built-in atlas
    assert 'RedNucleusLeft' not in by_name
    assert content.sources['Caudate'] == 'CIT168'
    assert content.sources['DentateNucleus'] == 'built-in'


def test_values_are_those_of_the_curves_and_the_mean_is_zero(made):
    content, root = made
    chi = nib.load(next(root.rglob('*_Chimap.nii.gz'))).get_fdata()
    mask = np.asarray(nib.load(next(root.rglob('*brain_mask.nii.gz'))).dataobj) > 0
    subtracted = json.loads(next(root.rglob('*_Chimap.json')).read_text('utf-8'))[
        'SusceptibilityReferenceValue'
    ]
    assert chi[mask].mean() == pytest.approx(0, abs=1e-6)
    index = {label.name: label.index for label in content.labels}
    for name, curve in (('PutamenRight', 'Putamen'), ('PulvinarLeft', 'Pulvinar')):
        core = ndimage.binary_erosion(content.drawing.labels == index[name], iterations=2)
        assert chi[core].mean() == pytest.approx(chi_at_age(curve, 36) - subtracted, abs=0.001)


def test_the_program_opens_the_atlas(made):
    atlas = open_atlas(made[1])
    assert atlas.name == NAME
    assert atlas.shares_space
    assert atlas.labels == made[0].labels
    assert atlas.files('6').chi.exists()
    for name in ('README.md', 'dataset_description.json', f'atlas-{NAME}_description.json'):
        text = (made[1] / name).read_text('utf-8')
        for words in ('10.1038/sdata.2018.63', 'Pauli', 'CC BY 4.0', 'Changes made',
                      '10.1002/cne.24080'):  # fmt: skip
            assert words in text, (name, words)


def test_errors_say_what_to_do(balls, tmp_path):
    with pytest.raises(AtlasError, match='cannot be read'):
        write_cit168_atlas(tmp_path, tmp_path / 'out')
    nib.save(nib.Nifti1Image(balls[0], balls[1]), tmp_path / IMAGE)  # labels, not quads
    with pytest.raises(AtlasError, match='not coded as expected') as info:
        write_cit168_atlas(tmp_path, tmp_path / 'out')
    assert len(str(info.value).split('\n')) == 3
    raw, packer = gzip.decompress((tmp_path / IMAGE).read_bytes()), zlib.compressobj(wbits=31)
    kept = packer.compress(raw[: len(raw) // 2]) + packer.flush(zlib.Z_FULL_FLUSH)
    (tmp_path / IMAGE).write_bytes(kept + b'\xff' * 5000)  # no such block
    with pytest.raises(AtlasError, match='cannot be read'):
        decode(tmp_path / IMAGE)
    quads = quads_of(balls[0])
    quads[0, 0, 0] = (33, 0, 200, 0)
    write_source(tmp_path, quads, balls[1])
    with pytest.raises(AtlasError, match='not coded as expected'):
        write_cit168_atlas(tmp_path, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_real_labels_coded_like_the_source_come_out_again(tmp_path):
    found = sorted(source_folder().glob('*_dseg.nii.gz'))
    if not found:
        pytest.skip('CIT168 was not found; set QSMBIDS_TEST_ATLASES to the folder above it')
    image = nib.load(found[0])
    labels = np.asarray(image.dataobj)
    write_source(tmp_path, quads_of(labels, sigma=0.5), image.affine)
    content = cit168_content(tmp_path)
    names = (source_folder() / 'CIT168.tsv').read_text('utf-8').splitlines()[1:]
    sides = {int(line.split('\t')[0]): line.split('\t')[1][0] for line in names}
    table = {label.index: label for label in content.labels}
    x = atlas_grid().affine[0, 0] * np.arange(atlas_grid().labels.shape[0])
    x += atlas_grid().affine[0, 3]
    for number, side in sides.items():
        assert table[number].hemisphere == side
        inside = content.drawing.labels == number
        assert np.sign(x[np.argwhere(inside)[:, 0]].mean()) == (-1 if side == 'L' else 1)
        # a border that is made soft moves out by part of a voxel, as a quarter is enough
        large = np.sum(labels == number) > 5000
        assert inside.sum() == pytest.approx(np.sum(labels == number), rel=0.15 if large else 0.35)
    assert names[12].endswith('Substantia Nigra pars compacta')
    assert table[13].region == 'SubstantiaNigraCompacta'
    assert table[31].region == 'SubthalamicNucleus'


@pytest.mark.slow
def test_all_ages_are_written(balls, tmp_path):
    write_source(tmp_path / 'source', quads_of(balls[0]), balls[1])
    folder = write_cit168_atlas(tmp_path / 'source', tmp_path / 'out')
    assert len(list(folder.rglob('*_Chimap.nii.gz'))) == len(cohort_bins())
