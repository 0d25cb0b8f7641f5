"""A brain that is made of any label image."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from qsmbids.atlas.geometry import Label, label_table
from qsmbids.lifespan.prior import chi_at_age
from qsmbids.phantom import simulate_head
from qsmbids.phantom.label_anatomy import LabelAnatomy, builtin_anatomy, read_label_anatomy

STEP = 2.0
ORIGIN = np.array([-40.0, -40.0, -40.0])


def box_labels():
    """A block of 'nucleus' on the left and of a region without a curve on the right."""
    labels = np.zeros((41, 41, 41), np.int16)
    labels[5:15, 15:25, 25:35] = 7  # x -30 to -11, y -10 to 9, z 10 to 29
    labels[26:36, 15:25, 25:35] = 9
    return labels


TABLE = (
    Label(7, 'BoxLeft', 'BOX-L', 'L', 'deep grey', '#ffffff', 'Box'),
    Label(9, 'GyrusRight', 'GY-R', 'R', 'other', '#000000', 'Gyrus'),
)
BOX = LabelAnatomy(box_labels(), ORIGIN, STEP, TABLE, {'Box': 'GlobusPallidusInternal'})


@pytest.fixture(scope='module')
def boxed(coarse):
    plain = replace(coarse, texture=0.0, subject_sd=0.0, warp_mm=0.0, snr=np.inf)
    return simulate_head(40, parameters=plain, regions=BOX)


def test_region_has_the_value_of_its_curve(boxed):
    row = next(r for r in boxed.regions if r.name == 'BoxLeft')
    expected = chi_at_age('GlobusPallidusInternal', 40)
    assert row.chi_curve_ppm == expected
    assert row.chi_fine_ppm == pytest.approx(expected, abs=1e-6)
    # a cube of 20 mm, in a head that is smaller than the template
    assert 0.7 * 8000 < row.volume_mm3 < 8000


def test_region_without_curve_is_named_but_filled_with_general_tissue(boxed):
    row = next(r for r in boxed.regions if r.name == 'GyrusRight')
    assert np.isnan(row.chi_curve_ppm)
    assert row.n_voxels > 80
    assert -0.013 < row.chi_fine_ppm < 0.012  # between white and grey matter
    assert row.group == 'other'
    assert boxed.label_table == TABLE


def test_no_region_of_the_builtin_atlas_is_left(boxed):
    assert set(np.unique(boxed.labels)) == {0, 7, 9}
    usual = simulate_head(40, parameters=boxed.parameters)
    names = ('DentateNucleusLeft', 'DentateNucleusRight', 'RedNucleusLeft', 'RedNucleusRight')
    nuclei = np.isin(usual.labels, [b.index for b in usual.label_table if b.name in names])
    assert usual.chi[nuclei].mean() > 0.05
    assert boxed.chi[nuclei].mean() < 0.01


def test_builtin_regions_are_the_default(coarse):
    explicit = simulate_head(40, parameters=coarse, regions=builtin_anatomy())
    default = simulate_head(40, parameters=coarse)
    np.testing.assert_array_equal(explicit.magnitude, default.magnitude)
    assert default.label_table == label_table()


@pytest.mark.parametrize('flip', [False, True])
def test_read_from_files_in_either_orientation(tmp_path, flip):
    affine = np.diag([STEP, STEP, STEP, 1.0])
    affine[:3, 3] = ORIGIN
    array = box_labels()
    if flip:  # stored from right to left
        array, affine = array[::-1], affine.copy()
        affine[0, 0], affine[0, 3] = -STEP, ORIGIN[0] + 40 * STEP
    nib.save(nib.Nifti1Image(array, affine), tmp_path / 'labels.nii.gz')
    (tmp_path / 'labels.tsv').write_text(
        'index\tname\themisphere\tregion\n0\tnothing\tB\tnothing\n'
        '7\tCaudateLeft\tL\tCaudate\n9\tGyrus\tR\tGyrus\n'
    )
    read = read_label_anatomy(tmp_path / 'labels.nii.gz', tmp_path / 'labels.tsv')
    points = np.array([[-20.0, 0, 20], [20, 0, 20], [0, 0, 0], [500, 0, 0]]).T
    assert read.at(points).tolist() == [7, 9, 0, 0]
    assert read.curves == {'Caudate': 'Caudate'}


def test_oblique_label_image_is_refused(tmp_path):
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[0, 1] = 0.3
    nib.save(nib.Nifti1Image(box_labels(), affine), tmp_path / 'labels.nii.gz')
    (tmp_path / 'labels.tsv').write_text('index\tname\n7\ta\n9\tb\n')
    with pytest.raises(ValueError, match='oblique or not cubic'):
        read_label_anatomy(tmp_path / 'labels.nii.gz', tmp_path / 'labels.tsv')


def test_label_that_is_not_in_the_table_is_refused():
    with pytest.raises(ValueError, match=r'holds \[9\]'):
        LabelAnatomy(box_labels(), ORIGIN, STEP, TABLE[:1], {})


def test_curve_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match='no age curve for Nowhere'):
        LabelAnatomy(box_labels(), ORIGIN, STEP, TABLE, {'Box': 'Nowhere'})


def test_head_of_a_seed_is_the_one_of_always(adult):
    """Numbers of version 0.1: a change here changes every demo and every measured figure."""
    rows = {row.name: row for row in adult.regions}
    found = [rows[name].chi_data_ppm for name in ('CaudateLeft', 'RedNucleusLeft', 'WholeBrain')]
    np.testing.assert_allclose(found, [0.04843105, 0.07411711, 0.00034474], atol=2e-7)
    assert rows['CaudateLeft'].volume_mm3 == 4352
    assert adult.noise_sd == pytest.approx(0.00133348578, rel=1e-5)
    assert adult.magnitude.mean(dtype=float) == pytest.approx(0.0205405212, rel=1e-5)
