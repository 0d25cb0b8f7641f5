"""Templates between two age bins."""

from itertools import pairwise

import nibabel as nib
import numpy as np
import pytest

from qsmbids.atlas.blend import age_weights, blend_templates
from qsmbids.atlas.builtin import cohort_bins
from qsmbids.atlas.cohorts import Cohort, pick_cohort
from qsmbids.atlas.dataset import AtlasFiles
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.images import write_image

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def bin_files(folder, value, affine=AFFINE, t2starw=True):
    folder.mkdir()
    shape = (4, 5, 6)
    chi = np.full(shape, value, dtype=np.float32)
    files = {
        'chi': write_image(folder / 'chi.nii', chi, affine),
        'mask': write_image(folder / 'mask.nii', np.ones(shape, np.uint8), affine),
        'dseg': write_image(folder / 'dseg.nii', np.ones(shape, np.int16), affine),
    }
    if t2starw:
        files['t2starw'] = write_image(folder / 't2starw.nii', 10 * chi, affine)
    return AtlasFiles(**files)


def test_weights_are_continuous_and_sum_to_one():
    bins = cohort_bins()
    labels = [cohort.label for cohort in bins]
    ages = np.arange(0.0, 100.0, 0.05)
    table = np.zeros((len(ages), len(bins)))
    for row, age in enumerate(ages):
        for cohort, weight in age_weights(bins, age):
            assert weight > 0
            table[row, labels.index(cohort.label)] = weight
    assert np.allclose(table.sum(axis=1), 1)
    narrowest = min(b.middle_age - a.middle_age for a, b in pairwise(bins))
    assert np.abs(np.diff(table, axis=0)).max() <= 0.05 / narrowest + 1e-9
    assert np.allclose(table @ [c.middle_age for c in bins], np.clip(ages, 2, 77.5), atol=1e-9)


def test_either_side_of_an_edge_has_nearly_the_same_template():
    bins = cohort_bins()
    before, after = pick_cohort(bins, 30.99)[0], pick_cohort(bins, 31.01)[0]
    assert before.label != after.label
    mixes = [{c.label: w for c, w in age_weights(bins, age)} for age in (30.99, 31.01)]
    assert mixes[0].keys() == mixes[1].keys() == {before.label, after.label}
    assert all(abs(mixes[0][k] - mixes[1][k]) < 0.003 for k in mixes[0])


def test_bins_that_overlap_or_leave_a_gap():
    bins = (Cohort('1', 'a', 20, 40), Cohort('2', 'b', 30, 50), Cohort('3', 'c', 60, 70))
    assert {c.label: w for c, w in age_weights(bins, 35)} == {'1': 0.5, '2': 0.5}
    assert [c.label for c, _ in age_weights(bins, 52.5)] == ['2', '3']
    assert [(c.label, w) for c, w in age_weights(bins, 90)] == [('3', 1.0)]


def test_images_are_mixed_and_labels_are_not(tmp_path):
    young, old = bin_files(tmp_path / 'a', 0.1), bin_files(tmp_path / 'b', 0.2)
    mixed = blend_templates([young, old], [0.25, 0.75], old, tmp_path / 'out')
    assert np.allclose(nib.load(mixed.chi).get_fdata(), 0.175)
    assert np.allclose(nib.load(mixed.t2starw).get_fdata(), 1)  # scales of their own
    assert np.allclose(nib.load(mixed.chi).affine, AFFINE)
    assert (mixed.mask, mixed.dseg, mixed.t1w) == (old.mask, old.dseg, None)


def test_an_image_that_one_bin_lacks_is_left_out(tmp_path):
    young = bin_files(tmp_path / 'a', 0.1, t2starw=False)
    old = bin_files(tmp_path / 'b', 0.2)
    assert blend_templates([young, old], [0.5, 0.5], old, tmp_path / 'out').t2starw is None


def test_grids_that_differ_are_refused(tmp_path):
    young = bin_files(tmp_path / 'a', 0.1, affine=np.diag([2.0, 2.0, 2.5, 1.0]))
    old = bin_files(tmp_path / 'b', 0.2)
    with pytest.raises(AtlasError, match='age-interpolation off'):
        blend_templates([young, old], [0.5, 0.5], old, tmp_path / 'out')
