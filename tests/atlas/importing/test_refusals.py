"""Wrong pieces give clear errors, and leave nothing behind."""

import nibabel as nib
import numpy as np
import pytest

from qsmbids.atlas.dataset import open_atlas
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.images import write_image
from qsmbids.atlas.import_bin import ImageAnswers
from qsmbids.atlas.questions import UnansweredError


# -------------------------------------------------------------------------- what it refuses
def swap_names(folder):
    table = folder / 'labels.tsv'
    text = table.read_text().replace('Left', '?').replace('Right', 'Left').replace('?', 'Right')
    table.write_text(text)


def shear(path, affine):
    affine = affine.copy()
    affine[0, 1] = 0.4
    image = nib.load(path)
    write = nib.Nifti1Image(np.asarray(image.dataobj).copy(), affine)
    write.set_sform(affine, 1)
    write.header['qform_code'] = 0
    nib.save(write, path)


CHI, LABELS = '20_30_BB_LPI.nii', '20_30_atlas_label.nii.gz'
BROKEN = {
    'no images': (lambda k, f: k.each(f, '**/*.nii*', lambda p: p.unlink()), 'no susceptibility'),
    'no ages': (
        lambda k, f: k.each(
            f,
            '**/*.nii*',
            lambda p: (
                p.unlink()
                if '20_30' not in p.name
                else p.rename(p.with_name(p.name.replace('20_30_', '')))
            ),
        ),
        'has its ages in its name',
    ),
    'no labels': (lambda k, f: (f / LABELS).unlink(), 'has no label image'),
    'two templates': (
        lambda k, f: (f / '20_30_x.nii').write_bytes((f / CHI).read_bytes()),
        '2 files could be the susceptibility template of 20_30',
    ),
    'other grid': (lambda k, f: k.rewrite(f / LABELS, lambda a: a[1:]), 'not on the same grid'),
    'unnamed label': (
        lambda k, f: k.rewrite(f / LABELS, lambda a: np.where(a == 301, 777, a)),
        r'does not name: \[777\]',
    ),
    'interpolated labels': (
        lambda k, f: k.rewrite(f / LABELS, lambda a: a * np.float32(0.5)),
        'not whole numbers',
    ),
    'four dimensions': (
        lambda k, f: k.rewrite(f / CHI, lambda a: np.stack([a, a], -1)),
        'has 4 dimensions',
    ),
    'nan': (lambda k, f: k.rewrite(f / CHI, lambda a: np.where(a > 0.05, np.nan, a)), 'NaN'),
    'all zero': (lambda k, f: k.rewrite(f / CHI, np.zeros_like), 'zero everywhere'),
    'sheared': (lambda k, f: shear(f / CHI, k.LPI), 'sheared affine'),
    'sides exchanged': (lambda k, f: swap_names(f), 'lies on the wrong side'),
    'mirrored image': (
        lambda k, f: k.each(f, '*_label*', lambda p: k.rewrite(p, lambda a: a[::-1])),
        'wrong side',
    ),
    'overlap': (
        lambda k, f: k.each(f, '**/30_40*', lambda p: p.rename(str(p).replace('30_40', '25_40'))),
        'overlap from 25 to 30',
    ),
    'not an image': (lambda k, f: (f / CHI).write_bytes(b'x' * 400), 'cannot be read as an image'),
    'unclear border': (
        lambda k, f: k.rewrite(
            f / CHI, lambda a: a + np.linspace(0, 0.1, a.size).reshape(a.shape)
        ),
        'neither 0 nor the minimum, or its border is not constant',
    ),
    'no orientation': (
        lambda k, f: k.each(f, '**/*.nii*', k.without_orientation),
        'Where do its three axes run to',
    ),
}


@pytest.mark.parametrize('case', BROKEN)
def test_wrong_pieces_are_refused_in_three_lines(kit, published, case):
    damage, match = BROKEN[case]
    damage(kit, published)
    kit.refused(match, published)


@pytest.mark.parametrize(
    ('missing', 'match', 'option'),
    [
        ('name', 'be called', '--name'),
        ('licence', 'licence or terms', '--license'),
        ('labels_table', 'the numbers in the label images mean', '--labels'),
    ],
)
def test_what_cannot_be_known_is_not_assumed(kit, published, missing, match, option):
    text = kit.refused(match, published, UnansweredError, **{missing: ''})
    assert option in text.splitlines()[2]


def test_shared_space_is_asked_for_and_refused_on_different_grids(kit, published):
    text = kit.refused('common space', published, UnansweredError, options={'shared_space': ''})
    assert 'suggest yes' in text
    for path in [*published.glob('20_30*'), *published.glob('T1w/20_30*')]:
        moved = kit.LPI.copy()
        moved[0, 3] += 1
        write_image(path, np.asarray(nib.load(path).dataobj).copy(), moved)
    kit.refused('not on one grid', published)
    assert not open_atlas(kit.run(published, options={'shared_space': ''})).shares_space


@pytest.mark.parametrize('name', ['my atlas', 'QSMLifespan', 'a-b'])
def test_names_that_cannot_be_used(kit, published, name):
    kit.refused('cannot be the name', published, name=name)


def test_rows_without_voxels_are_left_out_with_a_warning(kit, published):
    with open(published / 'labels.tsv', 'a') as stream:
        stream.write('307\tLeft unused\n')
    told = []
    atlas = open_atlas(kit.run(published, told=told))
    assert 307 not in {b.index for b in atlas.labels}
    assert any('left out: 307 Left unused' in sentence for sentence in told)


def test_orientation_is_taken_from_a_person_where_headers_are_silent(kit, published):
    kit.each(published, '**/*.nii*', kit.without_orientation)
    answers = ImageAnswers(orientation='LPI')
    files = open_atlas(kit.run(published, options={'images': answers})).files('1')
    present, _, centres = kit.measure(files.chi, files.dseg)
    place = dict(zip(present, centres, strict=True))
    assert place[301][0] < place[302][0]  # left stays left
    swapped = ImageAnswers(orientation='RPI')
    with pytest.raises(AtlasError, match='wrong side'):
        kit.run(published, name='Swapped', options={'images': swapped})
    with pytest.raises(AtlasError, match='is no orientation'):
        kit.run(published, name='Wrong', options={'images': ImageAnswers(orientation='LRS')})
