"""One rule, one test: what is wrong with a scan is told by name."""

import gzip

import numpy as np
import pytest

ANAT = 'sub-01/anat/sub-01'


def drop(tree, name):
    (tree.root / f'{ANAT}_{name}_MEGRE.nii.gz').unlink()


# --- partners


def test_phase_without_magnitude(good):
    drop(good, 'echo-2_part-mag')
    issue = good.issue('MISSING_MAGNITUDE')
    assert issue.severity == 'error'
    assert issue.scope == 'sub-01'
    assert 'sub-01/anat/sub-01_echo-2_part-phase_MEGRE.nii.gz' in issue.what
    assert 'sub-01_echo-2_part-mag_MEGRE.nii.gz' in issue.fix
    assert good.errors() == ['MISSING_MAGNITUDE']


def test_all_magnitudes_missing(good):
    for n in (1, 2, 3):
        drop(good, f'echo-{n}_part-mag')
    assert good.issue('MISSING_MAGNITUDE').what.startswith('3 echoes have no magnitude')


def test_magnitude_without_phase(good):
    drop(good, 'echo-2_part-phase')
    assert good.errors() == ['MISSING_PHASE']


@pytest.mark.parametrize(
    ('part', 'code'), [('real', 'MISSING_REAL'), ('imag', 'MISSING_IMAGINARY')]
)
def test_half_of_a_complex_pair(tree, part, code):
    tree.scan(parts=('real', 'imag'))
    drop(tree, f'echo-1_part-{part}')
    assert tree.errors() == [code]


def test_echoes_in_different_forms(good):
    for part in ('mag', 'phase'):
        drop(good, f'echo-3_part-{part}')
    for part in ('real', 'imag'):
        good.image(f'{ANAT}_echo-3_part-{part}_MEGRE.nii.gz', good.phase())
    assert good.errors() == ['MIXED_FORMS']


def test_two_files_of_one_name(good):
    good.image(f'{ANAT}_echo-01_part-mag_MEGRE.nii.gz', good.magnitude())
    assert good.errors() == ['DUPLICATE_FILE']


def test_lost_echo_warns(good):
    for part in ('mag', 'phase'):
        drop(good, f'echo-2_part-{part}')
    assert good.only().usable
    assert 'echo-2' in good.issue('ECHO_LABEL_GAP').what


# --- echo times


@pytest.mark.parametrize('part', ['mag', 'phase'])
def test_missing_echo_time(good, part):
    good.edit(f'{ANAT}_echo-2_part-{part}_MEGRE.json', EchoTime=None)
    assert good.errors() == ['ECHO_TIME_MISSING']
    assert f'sub-01_echo-2_part-{part}' in good.issue('ECHO_TIME_MISSING').what


def test_missing_sidecar(good):
    (good.root / f'{ANAT}_echo-2_part-mag_MEGRE.json').unlink()
    assert good.errors() == ['ECHO_TIME_MISSING']


def test_echo_time_in_milliseconds_is_told_once(tree):
    tree.scan(times=(5.0, 10.0, 15.0))
    assert tree.errors() == ['ECHO_TIME_MS']
    issue = tree.issue('ECHO_TIME_MS')
    assert 'and 3 more' in issue.what
    assert '0.005 instead of 5' in issue.fix
    assert tree.plan().acquisitions == ()


@pytest.mark.parametrize('value', ['0.005', 0, -0.005, True, {}, float('nan'), [], [0.005]])
def test_echo_time_that_is_no_time(good, value):
    for part in ('mag', 'phase'):
        good.edit(f'{ANAT}_echo-1_part-{part}_MEGRE.json', EchoTime=value)
    assert good.errors() == ['ECHO_TIME_INVALID']


def test_equal_echo_times(tree):
    tree.scan(times=(0.005, 0.005, 0.005))
    assert tree.errors() == ['ECHO_TIME_EQUAL']


def test_different_times_of_one_echo(good):
    good.edit(f'{ANAT}_echo-1_part-mag_MEGRE.json', EchoTime=0.004)
    assert good.errors() == ['ECHO_TIME_CONFLICT']


def test_unknown_echo_times_sort_last(good):
    good.edit(f'{ANAT}_echo-1_part-mag_MEGRE.json', EchoTime=None)
    times = good.only().echo_times_s
    assert times[:2] == (0.010, 0.015)
    assert np.isnan(times[2])


# --- files


def test_text_in_place_of_an_image(good):
    good.text(f'{ANAT}_echo-2_part-mag_MEGRE.nii.gz', 'no image')
    assert good.errors() == ['NOT_NIFTI']


def test_truncated_image(good):
    path = good.root / f'{ANAT}_echo-3_part-phase_MEGRE.nii.gz'
    path.write_bytes(path.read_bytes()[:-300])
    assert good.errors() == ['TRUNCATED']
    assert 'echo-3_part-phase' in good.issue('TRUNCATED').what


def test_empty_images_of_bids_examples(good):
    for path in good.root.glob('sub-01/anat/*.nii.gz'):
        path.write_bytes(b'')
    assert good.errors() == ['EMPTY_FILE']


def test_broken_json(good):
    good.text(f'{ANAT}_echo-2_part-mag_MEGRE.json', '{"EchoTime": 0.01')
    assert good.errors() == ['SIDECAR_BROKEN']


def test_broken_json_at_the_root_is_told_once_per_scan(good):
    good.text('MEGRE.json', '{')
    assert good.errors() == ['SIDECAR_BROKEN']


# --- grid


def test_echo_of_another_shape(good):
    good.image(f'{ANAT}_echo-2_part-phase_MEGRE.nii.gz', good.phase(shape=(8, 8, 7)))
    issue = good.issue('SHAPE_MISMATCH')
    assert '8 x 8 x 7 voxels, but 8 x 8 x 8' in issue.what
    assert good.errors() == ['SHAPE_MISMATCH']


def test_echo_in_another_place(good):
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[0, 3] = 0.5
    good.image(f'{ANAT}_echo-2_part-phase_MEGRE.nii.gz', good.phase(), affine)
    assert good.errors() == ['AFFINE_MISMATCH']


def test_rounding_of_an_affine_is_no_mismatch(good):
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[0, 3] = 0.01
    good.image(f'{ANAT}_echo-2_part-phase_MEGRE.nii.gz', good.phase(), affine)
    assert good.only().usable


def test_impossible_affine(good):
    path = good.root / f'{ANAT}_echo-1_part-mag_MEGRE.nii.gz'
    raw = bytearray(gzip.decompress(path.read_bytes()))
    raw[280:296] = bytes(16)  # first row of the sform
    path.write_bytes(gzip.compress(bytes(raw)))
    assert good.errors() == ['BAD_AFFINE']


def test_single_slice(tree):
    for part, data in (('mag', tree.magnitude), ('phase', tree.phase)):
        for n in (1, 2):
            stem = f'{ANAT}_echo-{n}_part-{part}_MEGRE'
            tree.image(f'{stem}.nii.gz', data(shape=(8, 8)))
            tree.json(
                f'{stem}.json', {'EchoTime': 0.01 * n, 'MagneticFieldStrength': 3, 'Units': 'rad'}
            )
    assert tree.errors() == ['BAD_DIMENSIONS']


# --- values


def test_zero_magnitude(good):
    good.image(f'{ANAT}_echo-2_part-mag_MEGRE.nii.gz', np.zeros((8, 8, 8), np.int16))
    assert good.errors() == ['MAGNITUDE_ZERO']


def test_a_few_nans_warn(good):
    data = good.phase()
    data[0, 0, :3] = np.nan
    good.image(f'{ANAT}_echo-2_part-phase_MEGRE.nii.gz', data)
    issue = good.issue('NANS')
    assert issue.severity == 'warning'
    assert 'holds 3 voxels' in issue.what
    assert good.only().usable


def test_nothing_but_nans(good):
    data = np.full((8, 8, 8), np.nan, np.float32)
    good.image(f'{ANAT}_echo-2_part-mag_MEGRE.nii.gz', data)
    assert good.errors() == ['ALL_NAN']


def test_negative_magnitude_warns(good):
    good.image(f'{ANAT}_echo-2_part-mag_MEGRE.nii.gz', good.magnitude() - np.int16(500))
    assert good.issue('MAGNITUDE_NEGATIVE').severity == 'warning'


# --- what the sequence tells


def test_filtered_phase_is_refused(good):
    good.edit(f'{ANAT}_echo-1_part-phase_MEGRE.json', ImageType=['DERIVED', 'P', 'SWI'])
    assert good.errors() == ['FILTERED_PHASE']


def test_magnitude_named_phase_warns(good):
    good.edit(f'{ANAT}_echo-1_part-phase_MEGRE.json', ImageType=['ORIGINAL', 'PRIMARY', 'M'])
    assert good.issue('PART_MISMATCH').severity == 'warning'


def test_shared_image_type_is_no_mismatch(good):
    good.json('MEGRE.json', {'ImageType': ['ORIGINAL', 'PRIMARY', 'M']})
    assert good.only().issues == ()


@pytest.mark.parametrize(
    ('metadata', 'code', 'severity'),
    [
        ({'CoilCombinationMethod': 'Sum of Squares'}, 'COIL_COMBINATION', 'warning'),
        ({'CoilCombinationMethod': 'rSoS'}, 'COIL_COMBINATION', 'warning'),
        ({'NonlinearGradientCorrection': True}, 'GRADIENT_CORRECTION', 'note'),
        ({'ProtocolName': 'gre_5echo_bipolar'}, 'BIPOLAR', 'warning'),
        ({'SliceThickness': 0.8}, 'SLICE_GAP', 'warning'),
    ],
)
def test_sequence_warnings(good, metadata, code, severity):
    good.json('MEGRE.json', metadata)
    assert good.issue(code).severity == severity
    assert good.only().usable


@pytest.mark.parametrize(
    'metadata',
    [
        {'CoilCombinationMethod': 'Adaptive Combine'},
        {'NonlinearGradientCorrection': False},
        {'ProtocolName': 'gre_monopolar'},
        {'SliceThickness': 1},
        {'SliceThickness': 2},  # overlapping slices
        {'SliceThickness': '0.8'},
    ],
)
def test_sequences_without_warnings(good, metadata):
    good.json('MEGRE.json', metadata)
    assert good.only().issues == ()


def test_bipolar_with_two_echoes(tree):
    tree.scan(times=(0.005, 0.01))
    tree.json('MEGRE.json', {'BipolarReadout': True})
    why = tree.issue('BIPOLAR').why
    assert 'Neither is corrected: with two echoes' in why


def test_bipolar_with_three_echoes_is_corrected(good):
    good.json('MEGRE.json', {'BipolarReadout': True})
    why = good.issue('BIPOLAR').why
    assert 'The phase is corrected, unless --bipolar off' in why


# --- one bad scan does not harm the others


def test_good_scan_of_the_same_person_stays_usable(good):
    good.scan(extra='run-2', times=(5.0, 10.0))
    plan = good.plan()
    (person,) = plan.participants
    assert [a.key for a in person.usable] == ['sub-01']
    assert {i.scope for i in person.all_issues} == {'sub-01_run-2'}
    assert plan.failed == ('01',)


def test_other_participants_stay_usable(good):
    good.scan(sub='02')
    good.text('sub-02/anat/sub-02_echo-1_part-mag_MEGRE.nii.gz', 'no image')
    good.path('sub-03/anat/x').touch()
    plan = good.plan()
    assert [a.key for a in plan.acquisitions] == ['sub-01']
    assert plan.failed == ('02', '03')
    assert [i.code for i in plan.participants[2].issues] == ['NO_GRE']
    assert plan.participants[2].issues[0].scope == 'sub-03'
