import pytest

from qsmbids.plan.filenames import BidsName
from qsmbids.plan.filters import matches, read_filters

NAME = BidsName.parse('/d/sub-01/anat/sub-01_acq-hi_run-02_echo-1_part-mag_MEGRE.nii.gz')


@pytest.mark.parametrize(
    ('conditions', 'expected'),
    [
        ({}, True),
        ({'acquisition': 'hi'}, True),
        ({'acq': 'lo'}, False),
        ({'acq': ['lo', 'hi']}, True),
        ({'acq': None}, False),
        ({'ceagent': None}, True),
        ({'acq': '*'}, True),
        ({'ce': '*'}, False),
        ({'run': 2}, True),
        ({'run': '02'}, True),
        ({'run': [1, 3]}, False),
        ({'subject': 'sub-01'}, True),
        ({'suffix': 'MEGRE', 'datatype': 'anat', 'extension': 'nii.gz'}, True),
        ({'extension': ['.nii']}, False),
    ],
)
def test_conditions(conditions, expected):
    assert matches(NAME, read_filters({'megre': conditions})['megre']) is expected


@pytest.mark.parametrize(
    ('filters', 'word'),
    [
        ({'bold': {}}, 'megre'),
        ({'megre': {'acquisitoin': 'x'}}, 'acquisition'),
        ({'megre': ['x']}, 'object'),
        (['megre'], 'object'),
    ],
)
def test_mistakes_are_refused_with_what_is_allowed(filters, word):
    with pytest.raises(ValueError, match=word):
        read_filters(filters)


def test_filter_chooses_scans(tree):
    for acq in ('acq-hi', 'acq-lo'):
        tree.scan(extra=acq)
    assert tree.only(filters={'megre': {'acquisition': 'lo'}}).key == 'sub-01_acq-lo'


def test_filter_can_drop_an_echo(tree):
    tree.scan()
    (tree.root / 'sub-01/anat/sub-01_echo-2_part-mag_MEGRE.nii.gz').unlink()
    acquisition = tree.only(filters={'megre': {'echo': [1, 3]}})
    assert acquisition.usable
    assert acquisition.echo_times_s == (0.005, 0.015)


def test_filter_that_leaves_nothing(tree):
    tree.scan()
    issue = tree.issue('NO_GRE', filters={'megre': {'acq': 'x'}})
    assert 'filter' in issue.fix


def test_filter_chooses_the_t1w(tree):
    tree.scan()
    tree.image('sub-01/anat/sub-01_acq-a_T1w.nii.gz', tree.magnitude())
    tree.image('sub-01/anat/sub-01_acq-b_T1w.nii.gz', tree.magnitude())
    assert tree.only().t1w.endswith('acq-a_T1w.nii.gz')
    assert tree.only(filters={'t1w': {'acq': 'b'}}).t1w.endswith('acq-b_T1w.nii.gz')
