"""Every form of input that is accepted, and what is left out."""

import os

import numpy as np
import pytest


def codes(issues):
    return [i.code for i in issues]


def test_canonical_scan(good):
    acquisition = good.only()
    assert acquisition.usable
    assert codes(acquisition.issues) == []
    assert acquisition.key == 'sub-01'
    assert acquisition.suffix == 'MEGRE'
    assert acquisition.echo_times_s == (0.005, 0.010, 0.015)
    assert acquisition.shape == (8, 8, 8)
    assert acquisition.voxel_size_mm == (1, 1, 1)
    assert acquisition.age_years.value == 34
    first = acquisition.echoes[0]
    assert first.magnitude == str(good.root / 'sub-01/anat/sub-01_echo-1_part-mag_MEGRE.nii.gz')
    assert first.phase.endswith('sub-01_echo-1_part-phase_MEGRE.nii.gz')
    assert acquisition.metadata == {'MagneticFieldStrength': 3.0, 'Manufacturer': 'Siemens'}


def test_real_and_imaginary(tree):
    tree.scan(parts=('real', 'imag'))
    acquisition = tree.only()
    assert acquisition.usable
    assert acquisition.phase_scaling.complex
    assert [bool(f) for f in acquisition.echoes[0].files] == [True, True]
    assert acquisition.echoes[0].real.endswith('part-real_MEGRE.nii.gz')


def test_real_and_imaginary_are_preferred(tree):
    tree.scan(parts=('mag', 'phase', 'real', 'imag'))
    acquisition = tree.only()
    assert acquisition.phase_scaling.complex
    assert acquisition.echoes[0].magnitude == ''
    assert codes(acquisition.issues) == ['COMPLEX_PREFERRED']


def test_zero_padded_echoes_and_mixed_padding(tree):
    tree.scan(parts=('mag',), echo='echo-0{}')
    tree.scan(parts=('phase',), echo='echo-{}')
    acquisition = tree.only()
    assert acquisition.usable
    assert [echo.label for echo in acquisition.echoes] == ['01', '02', '03']


def test_echoes_are_sorted_by_time_not_by_label(tree):
    tree.scan(times=tuple(0.002 * n for n in range(1, 12)))
    acquisition = tree.only()
    assert [echo.label for echo in acquisition.echoes] == [str(n) for n in range(1, 12)]
    assert codes(acquisition.issues) == []


def test_labels_against_times_warn(tree):
    tree.scan(times=(0.015, 0.010, 0.005))
    acquisition = tree.only()
    assert [echo.label for echo in acquisition.echoes] == ['3', '2', '1']
    assert codes(acquisition.issues) == ['ECHO_ORDER']


def test_inherited_sidecars(tree):
    """One JSON at the root, one per echo for magnitude and phase: as qmri_mp2rageme."""
    tree.scan(metadata={}, units=None)
    for path in tree.root.glob('sub-01/anat/*.json'):
        path.unlink()
    tree.json('MEGRE.json', {'MagneticFieldStrength': 3, 'Units': 'rad'})
    for n in (1, 2, 3):
        tree.json(f'sub-01/anat/sub-01_echo-{n}_MEGRE.json', {'EchoTime': 0.004 * n})
    acquisition = tree.only()
    assert acquisition.usable
    assert acquisition.echo_times_s == (0.004, 0.008, 0.012)
    assert acquisition.imaging_frequency_mhz.detail == 'MagneticFieldStrength in MEGRE.json (3 T)'


def test_like_qmri_megre(tree):
    """Padded echoes, no part, no field strength: magnitude only, for which R2* needs no field."""
    tree.json('MEGRE.json', {'FlipAngle': 15})
    times = tuple(0.003 * n for n in range(1, 9))
    tree.scan(times=times, parts=('',), echo='echo-0{}', metadata={})
    acquisition = tree.only()
    assert acquisition.usable
    assert acquisition.phase_scaling is None
    assert len(acquisition.echoes) == 8
    assert acquisition.metadata == {'FlipAngle': 15}
    assert acquisition.imaging_frequency_mhz.value is None
    assert codes(acquisition.issues) == ['MAGNITUDE_ONLY']


def test_like_qmri_qsm(tree):
    """Single echo as part-phase_T1w: only on request."""
    metadata = {
        'MagneticFieldStrength': 3,
        'ManufacturerModelName': 'x',
        'AcquisitionVoxelSize': ['1', '1', '1'],
    }
    tree.scan(times=(0.0081,), suffix='T1w', echo='', metadata=metadata, units='arbitrary')
    assert tree.errors() == ['NO_GRE']
    assert '"suffix": "T1w"' in tree.issue('NO_GRE').fix
    acquisition = tree.only(filters={'megre': {'suffix': 'T1w'}})
    assert acquisition.usable
    assert acquisition.suffix == 'T1w'
    assert acquisition.t1w == ''
    assert acquisition.phase_scaling.source == 'inferred'


@pytest.mark.parametrize('echo', ['', 'echo-1'])
def test_single_echo_t2starw(tree, echo):
    tree.scan(times=(0.02,), suffix='T2starw', echo=echo)
    acquisition = tree.only()
    assert acquisition.usable
    assert acquisition.echoes[0].label == echo.removeprefix('echo-')
    assert codes(acquisition.issues) == ['SINGLE_ECHO']


def test_sessions_runs_and_acquisitions(tree):
    tree.scan(ses='1', extra='acq-x_run-01')
    tree.scan(ses='1', extra='acq-x_run-02')
    tree.scan(ses='2')
    (person,) = tree.plan().participants
    assert [a.key for a in person.acquisitions] == [
        'sub-01_ses-1_acq-x_run-01',
        'sub-01_ses-1_acq-x_run-02',
        'sub-01_ses-2',
    ]
    assert all(a.usable for a in person.acquisitions)
    (person,) = tree.plan(session_labels=['ses-2']).participants
    assert [a.session for a in person.acquisitions] == ['2']


def test_flip_and_mt_do_not_mix(tree):
    for extra in ('flip-1_mt-off', 'flip-1_mt-on', 'flip-2_mt-off'):
        tree.scan(times=(0.005, 0.01), extra=extra, echo='echo-{}')
    (person,) = tree.plan().participants
    assert [len(a.echoes) for a in person.acquisitions] == [2, 2, 2]
    # echo stands before flip in BIDS
    assert all('ENTITY_ORDER' in codes(a.issues) for a in person.acquisitions)


def test_megre_without_echo_warns(tree):
    tree.scan(times=(0.02,), echo='')
    acquisition = tree.only()
    assert acquisition.usable
    assert codes(acquisition.issues) == ['NO_ECHO_ENTITY', 'SINGLE_ECHO']


def test_wrong_entity_order_warns(tree):
    for n, time in ((1, 0.005), (2, 0.01)):
        for part, data in (('mag', tree.magnitude()), ('phase', tree.phase())):
            stem = f'sub-01/anat/sub-01_part-{part}_echo-{n}_MEGRE'
            tree.image(f'{stem}.nii.gz', data)
            tree.json(
                f'{stem}.json', {'EchoTime': time, 'MagneticFieldStrength': 3, 'Units': 'rad'}
            )
    acquisition = tree.only()
    assert acquisition.usable
    assert codes(acquisition.issues) == ['ENTITY_ORDER', 'PHASE_SIGN_ASSUMED']
    assert 'sub-01_echo-1_part-mag_MEGRE.nii.gz' in tree.issue('ENTITY_ORDER').fix


def test_legacy_suffix_warns(tree):
    tree.scan(suffix='GRE')
    acquisition = tree.only()
    assert acquisition.usable
    assert codes(acquisition.issues) == ['LEGACY_SUFFIX']


def test_magnitude_only_gives_r2star(tree):
    tree.scan(parts=('mag',), codes=(0, 2))
    acquisition = tree.only()
    assert acquisition.usable
    assert acquisition.b0_direction.value == (0, 0, 1)
    assert acquisition.b0_direction.source == 'inferred'
    assert acquisition.phase_scaling is None
    assert codes(acquisition.issues) == ['MAGNITUDE_ONLY']


def test_four_dimensional_with_list_of_times(tree):
    times = [0.005, 0.010, 0.015]
    for part, data in (('mag', tree.magnitude), ('phase', tree.phase)):
        stem = f'sub-01/anat/sub-01_part-{part}_MEGRE'
        tree.image(f'{stem}.nii.gz', data(shape=(8, 8, 8, 3)))
        tree.json(f'{stem}.json', {'EchoTime': times, 'MagneticFieldStrength': 3, 'Units': 'rad'})
    acquisition = tree.only()
    assert acquisition.usable
    assert acquisition.shape == (8, 8, 8)
    assert acquisition.echo_times_s == tuple(times)
    assert [echo.volume for echo in acquisition.echoes] == [0, 1, 2]
    assert 'FOUR_D' in codes(acquisition.issues)


@pytest.mark.parametrize('times', [[0.005, 0.010], 0.005])
def test_four_dimensional_with_another_number_of_times(tree, times):
    stem = 'sub-01/anat/sub-01_part-mag_MEGRE'
    tree.image(f'{stem}.nii.gz', tree.magnitude(shape=(8, 8, 8, 3)))
    tree.json(f'{stem}.json', {'EchoTime': times, 'MagneticFieldStrength': 3})
    assert tree.errors() == ['FOUR_D_MISMATCH']
    assert '3 volume' in tree.issue('FOUR_D_MISMATCH').what


def test_annexed_file_that_was_not_fetched(good):
    path = good.root / 'sub-01/anat/sub-01_echo-2_part-phase_MEGRE.nii.gz'
    path.unlink()
    path.symlink_to(good.root / '.git/annex/objects/x')
    assert good.errors() == ['NOT_DOWNLOADED']
    assert 'datalad get' in good.issue('NOT_DOWNLOADED').fix


def test_swi_is_left_out_in_words(good):
    good.image('sub-01/swi/sub-01_swi.nii.gz', good.magnitude())
    good.image('sub-01/swi/sub-01_minIP.nii.gz', good.magnitude())
    (person,) = good.plan().participants
    assert len(person.usable) == 1
    assert codes(person.issues) == ['SWI_LEFT_OUT']
    assert 'sub-01/swi/sub-01_minIP.nii.gz' in person.issues[0].what


def test_single_magnitude_is_left_out(good):
    good.scan(times=(0.02,), extra='acq-clinical', suffix='T2starw', parts=('',), echo='')
    plan = good.plan()
    (person,) = plan.participants
    assert [a.key for a in person.acquisitions] == ['sub-01']
    assert codes(person.issues) == ['SINGLE_MAGNITUDE_LEFT_OUT']
    assert plan.failed == ()


def test_only_a_single_magnitude(tree):
    tree.scan(times=(0.02,), suffix='T2starw', parts=('',), echo='')
    assert tree.errors() == ['NO_GRE']


def test_combined_echo_beside_echoes_is_left_out(good):
    good.image('sub-01/anat/sub-01_part-mag_MEGRE.nii.gz', good.magnitude())
    acquisition = good.only()
    assert acquisition.usable
    assert len(acquisition.echoes) == 3
    assert codes(acquisition.issues) == ['EXTRA_IMAGE']


def test_unnamed_part_beside_magnitude_is_left_out(good):
    good.image('sub-01/anat/sub-01_echo-1_MEGRE.nii.gz', good.magnitude())
    acquisition = good.only()
    assert acquisition.echoes[0].magnitude.endswith('part-mag_MEGRE.nii.gz')
    assert codes(acquisition.issues) == ['EXTRA_IMAGE']


def test_unnamed_part_is_the_magnitude(tree):
    tree.scan(parts=('', 'phase'))
    acquisition = tree.only()
    assert acquisition.usable
    assert acquisition.echoes[0].magnitude.endswith('sub-01_echo-1_MEGRE.nii.gz')


def test_other_suffix_with_the_same_entities_is_left_out(good):
    good.scan(times=(0.02,), suffix='T2starw', echo='')
    assert good.only().suffix == 'MEGRE'
    issue = good.issue('OTHER_SUFFIX_LEFT_OUT')
    assert issue.severity == 'warning'
    assert 'T2starw' in issue.fix
    assert good.only(filters={'megre': {'suffix': 'T2starw'}}).suffix == 'T2starw'


@pytest.mark.parametrize(
    ('name', 'code'),
    [
        ('sub-01_coil-01_echo-1_part-mag_MEGRE', 'UNCOMBINED_COILS'),
        ('sub-01_foo-1_echo-1_part-mag_MEGRE', 'UNKNOWN_ENTITY'),
        ('sub-01_echo-1_part-pha_MEGRE', 'UNKNOWN_PART'),
        ('sub-02_echo-1_part-mag_MEGRE', 'MISPLACED_FILE'),
        ('sub-01_ses-1_echo-1_part-mag_MEGRE', 'MISPLACED_FILE'),
    ],
)
def test_files_that_are_left_out_with_a_warning(good, name, code):
    good.image(f'sub-01/anat/{name}.nii.gz', good.magnitude())
    (person,) = good.plan().participants
    assert codes(person.issues) == [code]
    assert person.usable
    assert good.issue(code).severity == 'warning'


@pytest.mark.parametrize('how', ['relative', 'dots', 'link', 'slash'])
def test_the_dataset_may_be_given_in_any_way(good, monkeypatch, tmp_path, how):
    good.json('MEGRE.json', {'FlipAngle': 15})
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'link').symlink_to(good.root)
    given = {'relative': 'data', 'dots': 'data/../data', 'link': 'link', 'slash': 'data/'}[how]
    from qsmbids.plan import make_plan

    (acquisition,) = make_plan(given).acquisitions
    assert acquisition.metadata['FlipAngle'] == 15
    assert os.path.isabs(acquisition.echoes[0].magnitude)


def test_a_layout_that_is_broken_elsewhere_does_not_matter(good):
    good.text('dataset_description.json', '[1, 2')
    good.text('sub-02/anat/sub-02_T1w.json', 'no json')
    good.image('sub-01/func/sub-01_task-x_bold.nii.gz', np.ones((4, 4, 4, 2), np.float32))
    good.text('sub-01/func/sub-01_task-x_bold.json', '')
    assert good.only(participant_labels=['01']).usable


def test_uncompressed_images(tree):
    tree.scan()
    import nibabel as nib

    for path in list(tree.root.glob('sub-01/anat/*.nii.gz')):
        nib.save(nib.load(path), str(path).removesuffix('.gz'))
        path.unlink()
    assert tree.only().usable
