"""The whole dataset: who is processed, and what arguments are refused."""

import pickle

import pytest

from qsmbids.plan import make_plan


def test_all_participants_in_order(tree):
    for sub in ('02', '10', '01'):
        tree.scan(sub=sub)
    assert [p.label for p in tree.plan().participants] == ['01', '02', '10']


@pytest.mark.parametrize('labels', [['02'], ['sub-02'], ['02', 'sub-02']])
def test_chosen_participants(tree, labels):
    for sub in ('01', '02'):
        tree.scan(sub=sub)
    assert [p.label for p in tree.plan(participant_labels=labels).participants] == ['02']


def test_unknown_participants_are_refused_with_the_known(tree):
    for sub in ('01', '02'):
        tree.scan(sub=sub)
    with pytest.raises(ValueError, match='03') as error:
        tree.plan(participant_labels=['01', '03'])
    assert '01, 02' in str(error.value)


def test_chosen_sessions(tree):
    tree.scan(sub='01', ses='a')
    tree.scan(sub='01', ses='b')
    tree.scan(sub='02', ses='a')
    plan = tree.plan(session_labels=['b'])
    assert [a.key for a in plan.acquisitions] == ['sub-01_ses-b']
    assert [p.label for p in plan.participants] == ['01']
    assert [(i.code, i.severity) for i in plan.issues] == [('SESSION_NOT_FOUND', 'note')]
    with pytest.raises(ValueError, match='a, b'):
        tree.plan(session_labels=['c'])


def test_no_participants(tree):
    plan = tree.plan()
    assert plan.participants == ()
    assert [(i.code, i.severity) for i in plan.issues] == [('NO_PARTICIPANTS', 'error')]


def test_folder_of_a_participant_given_instead_of_the_dataset(good):
    plan = make_plan(good.root / 'sub-01')
    issue = next(i for i in plan.issues if i.code == 'NO_PARTICIPANTS')
    assert 'above' in issue.fix


def test_folder_names_that_are_no_labels(good):
    good.path('sub-01_old/anat/x').touch()
    plan = good.plan()
    assert [p.label for p in plan.participants] == ['01']
    assert [i.code for i in plan.issues] == ['BAD_LABEL']


@pytest.mark.parametrize(
    ('content', 'code'),
    [
        (None, 'DESCRIPTION_MISSING'),
        ('{', 'DESCRIPTION_BROKEN'),
        ('[]', 'DESCRIPTION_BROKEN'),
        ('{"Name": "x"}', 'DESCRIPTION_INCOMPLETE'),
    ],
)
def test_bad_dataset_description_is_only_a_warning(good, content, code):
    path = good.root / 'dataset_description.json'
    path.unlink() if content is None else path.write_text(content)
    plan = good.plan()
    assert [(i.code, i.severity) for i in plan.issues] == [(code, 'warning')]
    assert len(plan.acquisitions) == 1


@pytest.mark.parametrize(
    'wishes',
    [
        {'field_strength': 3000},
        {'field_strength': 0},
        {'b0_dir': (0, 0, 0)},
        {'b0_dir': (0, 1)},
        {'phase_sign': 'minus'},
        {'filters': {'bold': {}}},
    ],
)
def test_impossible_arguments(good, wishes):
    with pytest.raises(ValueError, match=r'must|three numbers|Unknown'):
        good.plan(**wishes)


def test_dataset_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match='not a folder'):
        make_plan(tmp_path / 'nothing')


def test_progress_is_told(tree):
    for sub in ('01', '02'):
        tree.scan(sub=sub)
    told = []
    tree.plan(progress=lambda fraction, text: told.append((fraction, text)))
    assert [fraction for fraction, _ in told] == [0, 0.5, 1]
    assert 'sub-02' in told[1][1]


def test_plan_travels_between_processes(good):
    plan = good.plan()
    assert pickle.loads(pickle.dumps(plan)) == plan


def test_only_the_chosen_participant_is_read(tree):
    """A file of somebody else that cannot even be opened does not matter."""
    tree.scan(sub='01')
    tree.text('sub-02/anat/sub-02_echo-1_part-mag_MEGRE.nii.gz', 'no image')
    assert tree.errors(participant_labels=['01']) == []
