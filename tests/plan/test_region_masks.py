"""Lesions and veins that somebody has marked: found, refused with a reason, never lost."""

import numpy as np
import pytest

from qsmbids.plan.describe import describe
from qsmbids.plan.region_masks import kind_of

AFFINE = np.diag([1.0, 1.0, 1.0, 1.0])


def data(shape=(8, 8, 8)):
    found = np.zeros(shape, np.uint8)
    found[2:4, 2:4, 2:4] = 1
    return found


@pytest.fixture
def marks(tree, tmp_path):
    """A folder of derivatives, and a function that writes a marking into it."""

    class Marks:
        root = tmp_path / 'lesions'

        def write(self, name, values=None, affine=AFFINE):
            tree.image(f'../lesions/{name}', data() if values is None else values, affine)
            return str(self.root / name)

    Marks.root.mkdir()
    return Marks()


def plan(tree, marks, **more):
    return tree.only(derivatives={'drawn': marks.root}, **more)


@pytest.mark.parametrize(
    ('label', 'kind'),
    [
        ('lesion', 'lesions'), ('rimLesions', 'lesions'), ('L', 'lesions'), ('CMB', 'lesions'),
        ('microbleed', 'lesions'), ('Calcification', 'lesions'), ('cavernoma', 'lesions'),
        ('vein', 'veins'), ('StraightSinusVein', 'veins'), ('vessels', 'veins'),
        ('WM', ''), ('brain', ''), ('left', ''), ('', ''),
    ],
)  # fmt: skip
def test_what_a_label_means(label, kind):
    assert kind_of(label) == kind


def test_markings_on_the_grid_are_found(good, marks):
    lesion = marks.write('sub-01/anat/sub-01_label-lesion_mask.nii.gz')
    vein = marks.write('sub-01/anat/sub-01_label-vein_desc-manual_dseg.nii.gz')
    acquisition = plan(good, marks)
    found = [(m.kind, m.label, m.path, m.discrete) for m in acquisition.region_masks]
    assert found == [('lesions', 'lesion', lesion, False), ('veins', 'vein', vein, True)]
    assert acquisition.issues == ()
    assert good.only().region_masks == ()


def test_dry_run_names_them(good, marks):
    path = marks.write('sub-01/anat/sub-01_label-microbleed_mask.nii.gz')
    text = ' '.join(describe(good.plan(derivatives={'drawn': marks.root})).split())
    assert f'lesions: label-microbleed, {path}' in text


@pytest.mark.parametrize(
    ('name', 'values', 'affine', 'code'),
    [
        ('label-lesion_mask', data((8, 8, 7)), AFFINE, 'REGION_MASK_OTHER_GRID'),
        ('label-lesion_mask', data(), np.diag([1, 1, 1.1, 1]), 'REGION_MASK_OTHER_GRID'),
        ('label-lesion_mask', np.ones((8, 8, 8), np.uint8), AFFINE, 'REGION_MASK_UNUSABLE'),
        ('label-lesion_mask', np.full((8, 8, 8), np.nan, np.float32), AFFINE,
         'REGION_MASK_UNUSABLE'),
        ('label-lesion_mask', data((8, 8, 8, 2)), AFFINE, 'REGION_MASK_UNUSABLE'),
        ('space-MNI152NLin6Asym_label-lesion_mask', data(), AFFINE, 'REGION_MASK_OTHER_SPACE'),
        ('label-my.lesion_mask', data(), AFFINE, 'REGION_MASK_UNUSABLE'),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said(good, marks, name, values, affine, code):
    marks.write(f'sub-01/anat/sub-01_{name}.nii.gz', values, affine)
    acquisition = plan(good, marks)
    assert acquisition.region_masks == ()
    assert acquisition.usable
    (issue,) = acquisition.issues
    assert (issue.code, issue.severity) == (code, 'warning')
    assert name in issue.what
    assert issue.why
    assert issue.fix


def test_truncated_marking(good, marks):
    path = marks.write('sub-01/anat/sub-01_label-lesion_mask.nii.gz')
    with open(path, 'r+b') as stream:
        stream.truncate(60)
    assert [i.code for i in plan(good, marks).issues] == ['REGION_MASK_UNUSABLE']


def test_an_empty_marking_says_that_there_is_none(good, marks):
    marks.write('sub-01/anat/sub-01_label-lesion_mask.nii.gz', np.zeros((8, 8, 8), np.uint8))
    acquisition = plan(good, marks)
    assert [m.label for m in acquisition.region_masks] == ['lesion']
    assert [(i.code, i.severity) for i in acquisition.issues] == [('REGION_MASK_EMPTY', 'note')]


def test_other_labels_are_noted(good, marks):
    for label in ('WM', 'GM'):
        marks.write(f'sub-01/anat/sub-01_label-{label}_mask.nii.gz')
    acquisition = plan(good, marks)
    assert acquisition.region_masks == ()
    (issue,) = acquisition.issues
    assert (issue.code, issue.severity) == ('REGION_MASKS_LEFT_OUT', 'note')
    assert 'GM, WM' in issue.what


def test_one_table_for_each_label(good, marks):
    first = marks.write('sub-01/anat/sub-01_label-lesion_mask.nii.gz')
    marks.write('sub-01/anat/sub-01_label-Lesion_desc-auto_mask.nii.gz')
    marks.write('sub-01/anat/sub-01_label-lesion_dseg.nii.gz')
    acquisition = plan(good, marks)
    labels = [m.label.lower() for m in acquisition.region_masks]
    assert labels == ['lesion']
    assert {i.code for i in acquisition.issues} == {'REGION_MASK_TWICE'}
    assert len(acquisition.issues) == 2
    assert first.endswith('label-lesion_mask.nii.gz')


def test_a_good_file_replaces_one_that_cannot_be_used(good, marks):
    marks.write('sub-01/anat/sub-01_label-lesion_mask.nii.gz', data((4, 8, 8)))
    path = marks.write('sub-01/anat/sub-01_label-lesion_dseg.nii.gz')
    acquisition = plan(good, marks)
    assert [m.path for m in acquisition.region_masks] == [path]
    assert [i.code for i in acquisition.issues] == ['REGION_MASK_OTHER_GRID']


def test_markings_belong_to_their_scan(tree, marks):
    for run in ('1', '2'):
        tree.scan(ses='1', extra=f'run-{run}')
    both = marks.write('sub-01/ses-1/anat/sub-01_ses-1_label-lesion_mask.nii.gz')
    own = marks.write('sub-01/ses-1/anat/sub-01_ses-1_run-02_label-lesion_mask.nii.gz')
    marks.write('sub-01/ses-2/anat/sub-01_ses-2_label-lesion_mask.nii.gz')
    (person,) = tree.plan(derivatives={'drawn': marks.root}).participants
    assert [[m.path for m in a.region_masks] for a in person.acquisitions] == [[both], [own]]


def test_without_phase_nothing_is_promised(tree, marks):
    tree.scan(parts=('mag',))
    marks.write('sub-01/anat/sub-01_label-lesion_mask.nii.gz')
    acquisition = plan(tree, marks)
    assert acquisition.region_masks == ()
    assert 'REGION_MASK_NO_PHASE' in [i.code for i in acquisition.issues]
