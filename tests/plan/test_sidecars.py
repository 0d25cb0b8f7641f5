import pytest

from qsmbids.plan.filenames import BidsName
from qsmbids.plan.findings import Findings
from qsmbids.plan.sidecars import SidecarReader

IMAGE = 'sub-01/ses-1/anat/sub-01_ses-1_echo-02_part-phase_MEGRE.nii.gz'


@pytest.fixture
def read(tree):
    def _read(image=IMAGE):
        findings = Findings(tree.root)
        name = BidsName.parse(tree.path(image))
        return SidecarReader(tree.root).read(name, findings), findings.issues

    return _read


def test_inheritance_from_root_to_image(tree, read):
    tree.json('MEGRE.json', {'a': 'root', 'b': 'root', 'c': 'root', 'd': 'root'})
    tree.json('sub-01/sub-01_MEGRE.json', {'b': 'subject', 'c': 'subject', 'd': 'subject'})
    # shared by magnitude and phase, with another zero padding
    tree.json('sub-01/ses-1/anat/sub-01_ses-1_echo-2_MEGRE.json', {'c': 'shared', 'd': 'shared'})
    own = tree.json(IMAGE.replace('.nii.gz', '.json'), {'d': 'own'})
    sidecar, issues = read()
    assert sidecar.values == {'a': 'root', 'b': 'subject', 'c': 'shared', 'd': 'own'}
    assert sidecar.origin['d'] == own
    assert issues == ()


@pytest.mark.parametrize(
    'name',
    [
        'sub-02_MEGRE.json',
        'T1w.json',
        'sub-01/ses-1/anat/sub-01_ses-1_echo-1_MEGRE.json',
        'sub-01/ses-1/anat/sub-01_ses-1_echo-2_part-mag_MEGRE.json',
        'sub-01/ses-1/anat/sub-01_ses-1_run-1_MEGRE.json',
        'sub-01/ses-2/anat/sub-01_ses-1_MEGRE.json',
    ],
)
def test_other_sidecars_do_not_apply(tree, read, name):
    tree.json(name, {'a': 1})
    assert read()[0].values == {}


@pytest.mark.parametrize(
    ('content', 'word'),
    [
        (b'{"EchoTime": 0.005,}', 'line 1'),
        (b'', 'empty'),
        (b' \n', 'empty'),
        (b'[{"EchoTime": 0.005}]', 'a list'),
        (b'"text"', 'a text'),
        ('{"a": 1}'.encode('utf-16'), 'not JSON'),
    ],
)
def test_broken_file_is_an_issue_not_an_exception(tree, read, content, word):
    tree.path('MEGRE.json').write_bytes(content)
    sidecar, (issue,) = read()
    assert sidecar.values == {}
    assert sidecar.broken == (tree.root / 'MEGRE.json',)
    assert (issue.code, issue.severity) == ('SIDECAR_BROKEN', 'error')
    assert issue.what.startswith('MEGRE.json')
    assert word in issue.what


@pytest.mark.parametrize(
    'content', ['{"name": "Müller"}'.encode('latin-1'), b'\xef\xbb\xbf{"name": "M\xc3\xbcller"}']
)
def test_odd_encoding_is_read_with_a_warning(tree, read, content):
    tree.path('MEGRE.json').write_bytes(content)
    sidecar, (issue,) = read()
    assert sidecar.values == {'name': 'Müller'}
    assert (issue.code, issue.severity) == ('SIDECAR_ENCODING', 'warning')


def test_dangling_link_is_reported(tree, read):
    tree.path('MEGRE.json').symlink_to(tree.root / 'annex')
    _, (issue,) = read()
    assert 'not downloaded' in issue.what


def test_nan_in_json_is_read(tree, read):
    tree.text('MEGRE.json', '{"a": NaN}')
    assert read()[0].values['a'] != read()[0].values['a']
