"""Reading atlas folders, also those of other people, and refusing broken ones."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from qsmbids.atlas.builtin import cohort_bins
from qsmbids.atlas.dataset import open_atlas
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.geometry import label_table
from qsmbids.atlas.images import write_image

AFFINE = np.diag((-2.0, 2.0, 2.0, 1.0))  # left-handed: voxel x runs from right to left
AFFINE[0, 3] = 9.0


@pytest.fixture
def small(tmp_path):
    """A tiny atlas of somebody else: weeks, other label numbers, no res entity, anat folder."""
    root = tmp_path / 'mine'
    folder = root / 'tpl-Mine/cohort-4/anat'
    folder.mkdir(parents=True)
    description = {'cohort': {'4': {'name': 'babies', 'age': [52, 104], 'units': 'weeks'}}}
    (root / 'tpl-Mine/template_description.json').write_text(json.dumps(description))
    table = 'index\tname\themisphere\n301\tPutamenLeft\tL\n302\tPutamenRight\tR\n'
    (root / 'atlas-Other_dseg.tsv').write_text(table)
    dseg = np.zeros((10, 10, 10), np.int16)
    dseg[7, 5, 5], dseg[2, 5, 5] = 301, 302  # x = -5 mm and x = 5 mm
    chi = np.where(dseg > 0, 0.1, 0.01).astype(np.float32)
    write_image(folder / 'tpl-Mine_cohort-4_atlas-Other_dseg.nii', dseg, AFFINE)
    write_image(folder / 'tpl-Mine_cohort-4_Chimap.nii', chi, AFFINE)
    write_image(folder / 'tpl-Mine_cohort-4_desc-brain_mask.nii', chi > 0, AFFINE)
    return root


def test_builtin_atlas_reads_back_as_it_was_written(atlas, template):
    assert atlas.name == 'QSMLifespan'
    assert atlas.cohorts == cohort_bins()
    assert atlas.labels == label_table()
    assert template.chi.name.endswith('res-1_Chimap.nii.gz')
    assert template.t1w is not None
    assert template.t2starw is not None


@pytest.mark.parametrize('inside', [False, True])
def test_atlas_of_somebody_else(small, inside):
    atlas = open_atlas(small / 'tpl-Mine' if inside else small)
    assert atlas.name == 'Mine'
    assert [label.index for label in atlas.labels] == [301, 302]
    assert atlas.labels[0].abbreviation == 'PutamenLeft'
    (cohort,) = atlas.cohorts
    assert cohort.age_min == pytest.approx(1, abs=0.01)
    files = atlas.files('4')
    assert files.t1w is None
    assert files.dseg.name == 'tpl-Mine_cohort-4_atlas-Other_dseg.nii'


def test_optional_images_are_found_and_checked(small):
    folder = small / 'tpl-Mine/cohort-4/anat'
    chi = nib.load(folder / 'tpl-Mine_cohort-4_Chimap.nii')
    for name in ('desc-std_Chimap', 'R2starmap'):
        path = folder / f'tpl-Mine_cohort-4_{name}.nii.gz'
        write_image(path, np.asarray(chi.dataobj), AFFINE)
    files = open_atlas(small).files('4')
    assert files.chi_std.name == 'tpl-Mine_cohort-4_desc-std_Chimap.nii.gz'
    assert files.r2starmap.name == 'tpl-Mine_cohort-4_R2starmap.nii.gz'
    assert files.chi.name == 'tpl-Mine_cohort-4_Chimap.nii'
    write_image(path, np.asarray(chi.dataobj)[1:], AFFINE)
    with pytest.raises(AtlasError, match='same grid'):
        open_atlas(small).files('4')


def test_shared_space_is_what_the_description_says(small):
    content = json.loads(template_json(small).read_text())
    assert not open_atlas(small).shares_space
    template_json(small).write_text(json.dumps(content | {'CohortsShareSpace': True}))
    assert open_atlas(small).shares_space


def test_gaps_and_overlaps_are_findings_not_errors(small):
    ages = {'1': [0, 10], '2': [8, 20], '3': [30, 40]}
    content = {'cohort': {label: {'age': age} for label, age in ages.items()}}
    template_json(small).write_text(json.dumps(content))
    overlap, gap = sorted(open_atlas(small).findings, key=lambda text: 'covers' in text)
    assert '[0, 10) and [8, 20) overlap from 8 to 10' in overlap
    assert 'no age bin covers 20 to 30 years' in gap


def test_sides_and_regions_come_from_names_if_no_column_says_them(small):
    table = small / 'atlas-Other_dseg.tsv'
    table.write_text('index\tname\n301\tPutamenLeft\n302\tPutamenRight\n')
    labels = open_atlas(small).labels
    assert [(label.hemisphere, label.region) for label in labels] == [
        ('L', 'Putamen'), ('R', 'Putamen')
    ]  # fmt: skip
    open_atlas(small).files('4')
    table.write_text('index\tname\n301\tPutamenRight\n302\tPutamenLeft\n')
    with pytest.raises(AtlasError, match='wrong side'):
        open_atlas(small).files('4')


def test_sides_are_judged_from_the_middle_of_the_head_not_from_the_origin(small):
    """An atlas whose world begins at a corner of the image has all x above zero."""
    moved = AFFINE.copy()
    moved[0, 3] += 500
    for path in images(small).glob('*.nii'):
        write_image(path, np.array(nib.load(path).get_fdata(), dtype=np.float32), moved)
    open_atlas(small).files('4')
    for path in images(small).glob('*_dseg.nii'):
        write_image(path, np.array(nib.load(path).get_fdata()[::-1], dtype=np.int16), moved)
    with pytest.raises(AtlasError, match='wrong side'):
        open_atlas(small).files('4')


def test_files_saved_by_a_spreadsheet_begin_with_a_mark(small):
    for path in (template_json(small), small / 'atlas-Other_dseg.tsv'):
        path.write_text(path.read_text(), encoding='utf-8-sig')
    assert [label.index for label in open_atlas(small).labels] == [301, 302]


def template_json(root):
    return root / 'tpl-Mine/template_description.json'


def images(root):
    return root / 'tpl-Mine/cohort-4/anat'


BROKEN_FOLDERS = {
    'no tpl folder': (lambda r: shutil.rmtree(r / 'tpl-Mine'), 'holds 0 folders'),
    'two tpl folders': (lambda r: (r / 'tpl-Two').mkdir(), 'holds 2 folders'),
    'no description': (lambda r: template_json(r).unlink(), 'there is no'),
    'no json': (lambda r: template_json(r).write_text('{'), 'not readable as JSON'),
    'no cohorts': (lambda r: template_json(r).write_text('{}'), 'does not describe its cohorts'),
    'list as json': (
        lambda r: template_json(r).write_text('[1]'),
        'does not describe its cohorts',
    ),
    'turned age': (
        lambda r: template_json(r).write_text('{"cohort": {"1": {"age": [9, 3]}}}'),
        'does not describe its cohorts',
    ),
    'cohort without ages': (
        lambda r: template_json(r).write_text('{"cohort": {"7": {"name": "teens"}}}'),
        'cohort "7" has no readable age',
    ),
    'cohort in words': (
        lambda r: template_json(r).write_text('{"cohort": {"old": {"age": [60, 70]}}}'),
        'cohort "old" is not named by digits',
    ),
    'no table': (lambda r: (r / 'atlas-Other_dseg.tsv').unlink(), 'holds 0 label tables'),
    'no names': (
        lambda r: (r / 'atlas-Other_dseg.tsv').write_text('index\tcolour\n1\tred\n'),
        'is not a label table',
    ),
    'no names, said so': (
        lambda r: (r / 'atlas-Other_dseg.tsv').write_text('index\tcolour\n1\tred\n'),
        'no column name',
    ),
    'cell without end': (
        lambda r: (r / 'atlas-Other_dseg.tsv').write_text(f'index\tname\n1\t{"a" * 140_000}\n'),
        'is not a label table',
    ),
    'folder as table': (
        lambda r: [(r / 'atlas-Other_dseg.tsv').unlink(), (r / 'atlas-Other_dseg.tsv').mkdir()],
        'is not a label table',
    ),
    'folder as json': (
        lambda r: [template_json(r).unlink(), template_json(r).mkdir()],
        'not readable as JSON',
    ),
    'unknown side': (
        lambda r: (r / 'atlas-Other_dseg.tsv').write_text('index\tname\themisphere\n1\ta\tX\n'),
        'is none of L, R and B',
    ),
    'index twice': (
        lambda r: (r / 'atlas-Other_dseg.tsv').write_text('index\tname\n1\ta\n1\tb\n'),
        'is not a label table',
    ),
}


@pytest.mark.parametrize('case', BROKEN_FOLDERS)
def test_broken_folder_is_refused_in_three_lines(small, case):
    damage, message = BROKEN_FOLDERS[case]
    damage(small)
    with pytest.raises(AtlasError, match=message) as info:
        open_atlas(small)
    assert len(str(info.value).splitlines()) == 3


def rewrite(root, name, change):
    path = images(root) / f'tpl-Mine_cohort-4_{name}.nii'
    array = np.asarray(nib.load(path).dataobj)
    write_image(path, change(array), AFFINE)


BROKEN_IMAGES = {
    'no map': (
        lambda r: (images(r) / 'tpl-Mine_cohort-4_Chimap.nii').unlink(),
        'no image for chi',
    ),
    'ppb': (lambda r: rewrite(r, 'Chimap', lambda a: a * 1000), 'far above'),
    'ppb in the sidecar': (
        lambda r: (images(r) / 'tpl-Mine_cohort-4_Chimap.json').write_text('{"Units": "ppb"}'),
        'says its unit is ppb',
    ),
    'interpolated labels': (
        lambda r: rewrite(r, 'atlas-Other_dseg', lambda a: a * np.float32(0.5)),
        'not whole numbers',
    ),
    'nan': (lambda r: rewrite(r, 'Chimap', lambda a: a * np.nan), 'NaN'),
    'other grid': (lambda r: rewrite(r, 'desc-brain_mask', lambda a: a[:9]), 'same grid'),
    'unnamed label': (
        lambda r: rewrite(r, 'atlas-Other_dseg', lambda a: np.where(a, a + 1, 0)),
        'does not name',
    ),
    'sides exchanged': (lambda r: rewrite(r, 'atlas-Other_dseg', lambda a: a[::-1]), 'wrong side'),
}


@pytest.mark.parametrize('case', BROKEN_IMAGES)
def test_broken_images_are_refused_in_three_lines(small, case):
    damage, message = BROKEN_IMAGES[case]
    damage(small)
    with pytest.raises(AtlasError, match=message) as info:
        open_atlas(small).files('4')
    assert len(str(info.value).splitlines()) == 3
