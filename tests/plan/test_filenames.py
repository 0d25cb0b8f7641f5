import pytest

from qsmbids.plan.filenames import BidsName


def test_entities_are_found_in_any_order():
    name = BidsName.parse('/d/sub-01/anat/sub-01_part-mag_run-02_echo-03_MEGRE.nii.gz')
    assert name.part == 'mag'
    assert (name.get('run'), name.get('echo')) == ('2', '3')
    assert name.in_order().name == 'sub-01_run-02_echo-03_part-mag_MEGRE.nii.gz'


def test_scan_entities_are_without_echo_and_part():
    name = BidsName.parse('sub-01_ses-a_acq-x_run-01_echo-1_part-mag_MEGRE.nii.gz')
    assert name.scan() == (('sub', '01'), ('ses', 'a'), ('acq', 'x'), ('run', '1'))


@pytest.mark.parametrize(
    ('file', 'suffix', 'extension'),
    [
        ('sub-01_MEGRE.nii', 'MEGRE', '.nii'),
        ('sub-01_acq-0.8mm_MEGRE.nii.gz', 'MEGRE', '.nii.gz'),
        ('MEGRE.json', 'MEGRE', '.json'),
        ('sub-01_echo-1.nii.gz', '', '.nii.gz'),
    ],
)
def test_suffix_and_extension(file, suffix, extension):
    name = BidsName.parse(file)
    assert (name.suffix, name.extension) == (suffix, extension)


def test_unknown_entities_are_told():
    assert BidsName.parse('sub-01_foo-1_odd_MEGRE.nii').unknown() == ('foo', 'odd')
