"""Field strength and field direction."""

import numpy as np
import pytest

from qsmbids.plan.orientation import unit_vector

GAMMA = 42.577478


def frequency(tree, metadata, **wishes):
    tree.scan(metadata=metadata)
    return tree.only(**wishes).imaging_frequency_mhz


def test_imaging_frequency_comes_first(tree):
    decided = frequency(tree, {'ImagingFrequency': 123.25, 'MagneticFieldStrength': 3})
    assert (decided.value, decided.source) == (123.25, 'sidecar')


def test_field_strength_in_the_sidecar(tree):
    decided = frequency(tree, {'MagneticFieldStrength': 7})
    assert decided.value == pytest.approx(7 * GAMMA)
    assert tree.only().field_strength_t == pytest.approx(7)


def test_command_line_fills_in(tree):
    decided = frequency(tree, {}, field_strength=1.5)
    assert decided.value == pytest.approx(1.5 * GAMMA)
    assert decided.source == 'command line'


def test_no_field_strength(tree):
    tree.scan(metadata={})
    assert tree.errors() == ['NO_FIELD_STRENGTH']
    assert '--field-strength' in tree.issue('NO_FIELD_STRENGTH').fix
    assert np.isnan(tree.only().field_strength_t)


def test_sidecar_wins_over_the_command_line(tree):
    decided = frequency(tree, {'MagneticFieldStrength': 3}, field_strength=7)
    assert decided.value == pytest.approx(3 * GAMMA)
    assert tree.issue('FIELD_STRENGTH_NOT_USED', field_strength=7).severity == 'warning'


def test_contradiction_is_settled_by_the_command_line_only(tree):
    decided = frequency(tree, {'ImagingFrequency': 63.9, 'MagneticFieldStrength': 3})
    assert decided.value is None
    assert tree.errors() == ['FIELD_STRENGTH_CONFLICT']
    assert tree.only(field_strength=3).usable


@pytest.mark.parametrize('bad', [127748512, '127.7', 0, -3, float('nan')])
def test_impossible_frequency_is_not_used(tree, bad):
    decided = frequency(tree, {'ImagingFrequency': bad, 'MagneticFieldStrength': 3})
    assert decided.value == pytest.approx(3 * GAMMA)
    assert tree.issue('FIELD_STRENGTH_INVALID').severity == 'warning'


def test_field_strength_in_gauss(tree):
    tree.scan(metadata={'MagneticFieldStrength': 30000})
    assert tree.errors() == ['NO_FIELD_STRENGTH']


def test_field_strength_that_differs_between_echoes(good):
    good.edit('sub-01/anat/sub-01_echo-1_part-mag_MEGRE.json', MagneticFieldStrength=7)
    assert good.errors() == ['NO_FIELD_STRENGTH']


# --- direction


def rotation_about_x(degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def affine_of(rotation, zooms=(1, 1, 1)):
    affine = np.eye(4)
    affine[:3, :3] = rotation * np.asarray(zooms)
    return affine


@pytest.mark.parametrize(
    ('rotation', 'expected'),
    [
        (np.eye(3), (0, 0, 1)),
        (np.diag([-1, -1, 1]), (0, 0, 1)),
        (np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]]), (0, 1, 0)),  # sagittal
        (rotation_about_x(30), (0, 0.5, np.sqrt(3) / 2)),
    ],
)
def test_direction_is_the_third_row(tree, rotation, expected):
    tree.scan(affine=affine_of(rotation, (0.5, 1.0, 2.0)))
    decided = tree.only().b0_direction
    np.testing.assert_allclose(decided.value, expected, atol=1e-5)
    assert decided.source == 'header'
    assert tree.only().voxel_size_mm == pytest.approx((0.5, 1.0, 2.0), abs=1e-5)


def test_rotated_image_sees_the_field_where_the_scanner_has_it(tree):
    affine = affine_of(rotation_about_x(20), (0.5, 1.0, 2.0))
    tree.scan(affine=affine)
    direction = np.array(tree.only().b0_direction.value)
    rotation = affine[:3, :3] / np.array([0.5, 1.0, 2.0])
    np.testing.assert_allclose(rotation @ direction, (0, 0, 1), atol=1e-5)


def test_oblique_slab_is_noted(tree):
    tree.scan(affine=affine_of(rotation_about_x(25)))
    issue = tree.issue('OBLIQUE')
    assert issue.severity == 'note'
    assert '25 degrees' in issue.what


@pytest.mark.parametrize('codes', [(0, 0), (2, 2), (0, 4), (2, 0)])
def test_other_codes_need_the_direction(tree, codes):
    tree.scan(codes=codes)
    assert tree.errors() == ['NO_B0_DIRECTION']
    assert '--b0-dir' in tree.issue('NO_B0_DIRECTION').fix
    assert tree.only().b0_direction.value is None
    acquisition = tree.only(b0_dir=(0, 0, 2))
    assert acquisition.usable
    assert acquisition.b0_direction.value == (0, 0, 1)
    assert acquisition.b0_direction.source == 'command line'


@pytest.mark.parametrize(('codes', 'form'), [((1, 0), 'qform'), ((0, 1), 'sform')])
def test_one_scanner_form_is_enough(tree, codes, form):
    tree.scan(codes=codes)
    assert tree.only().usable
    assert form in tree.only().b0_direction.detail


@pytest.mark.parametrize('key', ['B0_dir', 'B0Direction'])
def test_direction_in_the_sidecar(tree, key):
    tree.scan(codes=(2, 2))
    tree.json('MEGRE.json', {key: [0, 3, 4]})
    decided = tree.only().b0_direction
    assert decided.value == (0, 0.6, 0.8)
    assert decided.detail == f'{key} in MEGRE.json'


def test_sidecar_against_header_warns(good):
    good.json('MEGRE.json', {'B0_dir': [0, 3, 4]})
    assert good.only().b0_direction.value == (0, 0.6, 0.8)
    assert '37 degrees' in good.issue('B0_DIRECTION_CONFLICT').what


@pytest.mark.parametrize('value', [[0, 0], [0, 0, 0], 'z', ['0', '0', '1']])
def test_impossible_direction_in_the_sidecar(good, value):
    good.json('MEGRE.json', {'B0_dir': value})
    assert good.only().b0_direction.source == 'header'
    assert good.issue('B0_DIRECTION_INVALID').severity == 'warning'


def test_forms_that_disagree(tree):
    """A qform in scanner coordinates beside an sform that was aligned to something."""
    import nibabel as nib

    tree.scan(times=(0.005, 0.01))
    for path in tree.root.glob('sub-01/anat/*.nii.gz'):
        image = nib.load(path)
        data = np.asarray(image.dataobj)
        moved = nib.Nifti1Image(data, None)
        moved.set_qform(affine_of(rotation_about_x(30)), 1)
        moved.set_sform(np.eye(4), 2)
        path.unlink()
        nib.save(moved, path)
    np.testing.assert_allclose(tree.only().b0_direction.value, (0, 0.5, np.sqrt(3) / 2), atol=1e-5)
    assert 'the qform is used' in tree.issue('FORMS_DIFFER').what


def test_sheared_axes_warn(tree):
    shear = np.eye(4)
    shear[0, 2] = 0.2
    tree.scan(affine=shear, codes=(0, 1))
    assert tree.issue('SHEARED_AFFINE').severity == 'warning'


@pytest.mark.parametrize('bad', [(0, 0, 0), (1, 2), 'xyz', (1, 2, float('nan'))])
def test_impossible_vectors(bad):
    with pytest.raises(ValueError, match='three numbers'):
        unit_vector(bad)
