"""T1-weighted images and brain masks of other programs."""

import numpy as np
import pytest

AFFINE = np.diag([1.0, 1.0, 1.0, 1.0])


def mask_data(shape=(8, 8, 8)):
    data = np.zeros(shape, np.uint8)
    data[2:6, 2:6, 2:6] = 1
    return data


@pytest.fixture
def masks(tree, tmp_path):
    """A folder of derivatives, and a function that writes a mask into it."""

    class Masks:
        root = tmp_path / 'masks'

        def write(self, name, data=None, affine=AFFINE):
            path = self.root / name
            relative = '../masks/' + name
            tree.image(relative, mask_data() if data is None else data, affine)
            return str(path)

    Masks.root.mkdir()
    return Masks()


def test_mask_on_the_grid_is_used(good, masks):
    path = masks.write('sub-01/anat/sub-01_desc-brain_mask.nii.gz')
    acquisition = good.only(derivatives={'bet': masks.root})
    assert acquisition.brain_mask == path
    assert acquisition.issues == ()


def test_without_derivatives_there_is_no_mask(good, masks):
    masks.write('sub-01/anat/sub-01_desc-brain_mask.nii.gz')
    assert good.only().brain_mask == ''


@pytest.mark.parametrize('wanted', ['bet', 'folder'])
def test_mask_derivatives_by_name_or_folder(good, masks, wanted):
    path = masks.write('sub-01/anat/sub-01_desc-brain_mask.nii.gz')
    if wanted == 'bet':
        acquisition = good.only(derivatives={'bet': masks.root}, mask_derivatives='bet')
    else:
        acquisition = good.only(mask_derivatives=masks.root)
    assert acquisition.brain_mask == path


def test_mask_that_was_asked_for_and_is_not_there(good, masks):
    assert good.only(derivatives={'x': masks.root}).issues == ()
    issues = good.only(mask_derivatives=masks.root).issues
    assert [i.code for i in issues] == ['MASK_NOT_FOUND']
    assert 'sub-01_desc-brain_mask.nii.gz' in issues[0].fix


@pytest.mark.parametrize(
    ('data', 'affine', 'code'),
    [
        (mask_data((8, 8, 7)), AFFINE, 'MASK_OTHER_GRID'),
        (mask_data(), np.diag([1.0, 1.0, 1.1, 1.0]), 'MASK_OTHER_GRID'),
        (np.zeros((8, 8, 8), np.uint8), AFFINE, 'MASK_UNUSABLE'),
    ],
)
def test_mask_that_does_not_fit(good, masks, data, affine, code):
    masks.write('sub-01/anat/sub-01_desc-brain_mask.nii.gz', data, affine)
    acquisition = good.only(derivatives={'bet': masks.root})
    assert acquisition.brain_mask == ''
    assert acquisition.usable
    assert [i.code for i in acquisition.issues] == [code]


def test_truncated_mask(good, masks):
    masks.write('sub-01/anat/sub-01_desc-brain_mask.nii.gz')
    path = masks.root / 'sub-01/anat/sub-01_desc-brain_mask.nii.gz'
    path.write_bytes(path.read_bytes()[:-20])
    acquisition = good.only(derivatives={'bet': masks.root})
    assert [i.code for i in acquisition.issues] == ['MASK_UNUSABLE']


def test_masks_of_other_scans_and_spaces_are_not_looked_at(tree, masks):
    tree.scan(ses='1', extra='run-01')
    for name in ('run-2', 'acq-x', 'space-MNI152NLin2009cAsym', 'echo-1'):
        masks.write(f'sub-01/ses-1/anat/sub-01_ses-1_{name}_desc-brain_mask.nii.gz')
    masks.write('sub-01/ses-2/anat/sub-01_ses-2_desc-brain_mask.nii.gz')
    masks.write('sub-01/anat/sub-01_desc-brain_mask.nii.gz')
    assert tree.only(derivatives={'bet': masks.root}).brain_mask == ''


def test_the_most_specific_mask_wins(tree, masks):
    tree.scan(ses='1', extra='run-01')
    masks.write('sub-01/ses-1/anat/sub-01_ses-1_desc-brain_mask.nii.gz')
    path = masks.write('sub-01/ses-1/anat/sub-01_ses-1_run-1_desc-brain_mask.nii.gz')
    assert tree.only(derivatives={'bet': masks.root}).brain_mask == path


def test_second_folder_is_tried(good, masks, tmp_path):
    (tmp_path / 'none').mkdir()
    path = masks.write('sub-01/anat/sub-01_desc-brain_mask.nii.gz')
    acquisition = good.only(derivatives={'a': tmp_path / 'none', 'b': masks.root})
    assert acquisition.brain_mask == path


def test_absent_folder_is_refused(good, tmp_path):
    with pytest.raises(ValueError, match='does not exist'):
        good.plan(derivatives={'bet': tmp_path / 'nothing'})


# --- T1w


def t1w(tree, name):
    tree.image(f'{name}.nii.gz', tree.magnitude())


def test_t1w_of_the_same_session(tree):
    for ses in ('1', '2', '3'):
        tree.scan(ses=ses)
    for ses in ('1', '2'):
        t1w(tree, f'sub-01/ses-{ses}/anat/sub-01_ses-{ses}_T1w')
    (person,) = tree.plan().participants
    found = [a.t1w.rpartition('/')[2] for a in person.acquisitions]
    assert found == ['sub-01_ses-1_T1w.nii.gz', 'sub-01_ses-2_T1w.nii.gz', '']


def test_the_plainest_t1w_is_chosen(good):
    for name in ('ce-gd', 'run-1', 'run-2', 'acq-x_run-1'):
        t1w(good, f'sub-01/anat/sub-01_{name}_T1w')
    t1w(good, 'sub-01/anat/sub-01_part-phase_T1w')
    assert good.only().t1w.endswith('sub-01_run-1_T1w.nii.gz')
    assert 'of 4' in good.issue('SEVERAL_T1W').what


def test_unusable_t1w_warns(good):
    good.text('sub-01/anat/sub-01_T1w.nii.gz', 'text')
    acquisition = good.only()
    assert acquisition.t1w == ''
    assert acquisition.usable
    assert [i.code for i in acquisition.issues] == ['T1W_UNUSABLE']


@pytest.mark.parametrize('suffix', ['T2map', 'R2map'])
def test_t2_map_on_the_grid_is_used(good, masks, suffix):
    path = masks.write(f'sub-01/anat/sub-01_{suffix}.nii.gz')
    acquisition = good.only(derivatives={'other': masks.root})
    assert acquisition.t2_map == path
    assert good.only().t2_map == ''


def test_t2_map_on_another_grid_is_not_resampled(good, masks):
    masks.write('sub-01/anat/sub-01_T2map.nii.gz', affine=np.diag([2.0, 1.0, 1.0, 1.0]))
    acquisition = good.only(derivatives={'other': masks.root})
    assert acquisition.t2_map == ''
    assert [issue.code for issue in acquisition.issues] == ['T2_MAP_UNUSABLE']
