"""Which scans are put together, and what is said when there are too few."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from qsmbids.plan import describe
from qsmbids.plan.cosmos import angles_deg, enough_directions, slab_direction

TURNS = ((0, 0, 0), (25, 0, 0), (0, 25, 0), (-20, -15, 0))


def turned(angles, storage=(1, 1, 1)):
    """Return the affine of a slab that was turned in the scanner, stored in some direction."""
    affine = np.eye(4)
    rotation = Rotation.from_euler('xyz', angles, degrees=True).as_matrix()
    affine[:3, :3] = rotation @ np.diag(storage)
    return affine


def orientations(tree, n=3, ses='', entity='run-{}', affines=None):
    for number in range(n):
        affine = turned(TURNS[number]) if affines is None else affines[number]
        tree.scan(ses=ses, extra=entity.format(number + 1), affine=affine)


def codes(person):
    return [issue.code for issue in person.issues]


@pytest.mark.parametrize('entity', ['run-{}', 'acq-tilt{}'])
def test_scans_that_differ_in_run_or_acq_are_one_group(tree, entity):
    orientations(tree, entity=entity)
    (person,) = tree.plan(cosmos=True).participants
    (group,) = person.cosmos
    assert group.key == 'sub-01_desc-cosmos'
    assert [a.key for a in group.acquisitions] == [a.key for a in person.acquisitions]
    assert group.reference is group.acquisitions[0]
    assert group.entities == (('sub', '01'),)
    assert codes(person) == []


def test_nothing_is_looked_for_unless_asked(tree):
    orientations(tree)
    (person,) = tree.plan().participants
    assert person.cosmos == ()
    orientations(tree, n=1)
    assert tree.errors() == []


def test_each_session_is_for_itself(tree):
    orientations(tree, 3, ses='a')
    orientations(tree, 4, ses='b')
    orientations(tree, 2, ses='c')
    plan = tree.plan(cosmos=True)
    (person,) = plan.participants
    assert [(g.key, len(g.acquisitions)) for g in person.cosmos] == [
        ('sub-01_ses-a_desc-cosmos', 3),
        ('sub-01_ses-b_desc-cosmos', 4),
    ]
    (issue,) = person.issues
    assert (issue.code, issue.scope) == ('COSMOS_TOO_FEW', 'sub-01_ses-c')
    assert 'two' in issue.what


@pytest.mark.parametrize(('n', 'word'), [(1, 'one'), (2, 'two')])
def test_too_few_are_refused_and_still_processed(tree, n, word):
    orientations(tree, n)
    plan = tree.plan(cosmos=True)
    issue = tree.issue('COSMOS_TOO_FEW', cosmos=True)
    assert len(str(issue).splitlines()) == 3
    assert word in issue.what
    assert len(plan.acquisitions) == n
    assert plan.failed == ('01',), 'the exit code says that something was not made'
    assert plan.participants[0].cosmos == ()


def test_scans_that_cannot_be_used_do_not_count(tree):
    orientations(tree)
    tree.edit('sub-01/anat/sub-01_run-2_echo-1_part-mag_MEGRE.json', EchoTime=None)
    tree.scan(extra='run-4', parts=('mag',))  # no phase
    (person,) = tree.plan(cosmos=True).participants
    assert person.cosmos == ()
    assert codes(person) == ['COSMOS_TOO_FEW']


def test_other_reconstructions_of_the_same_scans_are_another_group(tree):
    for rec in ('a', 'b'):
        for number in range(3):
            tree.scan(extra=f'rec-{rec}_run-{number + 1}', affine=turned(TURNS[number]))
    (person,) = tree.plan(cosmos=True).participants
    assert [g.key for g in person.cosmos] == [
        'sub-01_rec-a_desc-cosmos', 'sub-01_rec-b_desc-cosmos',
    ]  # fmt: skip


def test_filter_chooses_the_scans(tree):
    orientations(tree, 4)
    filters = {'megre': {'run': [1, 2, 4]}}
    (person,) = tree.plan(cosmos=True, filters=filters).participants
    assert [dict(a.entities)['run'] for a in person.cosmos[0].acquisitions] == ['1', '2', '4']


def test_slabs_that_lie_alike_are_a_warning_only(tree):
    """The head may have been turned in the slab: only registration can tell."""
    orientations(tree, affines=[turned((a, 0, 0)) for a in (0, 4, 8)])
    (person,) = tree.plan(cosmos=True).participants
    assert len(person.cosmos) == 1
    issue = tree.issue('COSMOS_SLABS_ALIKE', cosmos=True)
    assert issue.severity == 'warning'
    assert '(the slabs are 4, 8, 4 degrees apart)' in issue.what


def test_other_voxel_sizes_are_a_warning(tree):
    orientations(tree, affines=[turned(t) * s for t, s in zip(TURNS, (1, 1, 2), strict=False)])
    assert tree.issue('COSMOS_VOXELS_DIFFER', cosmos=True).severity == 'warning'


def test_storage_order_does_not_matter_to_the_comparison_of_slabs(tree):
    orientations(
        tree, affines=[turned((20, 10, 0), s) for s in ((1, 1, 1), (-1, 1, 1), (-1, -1, 1))]
    )
    (person,) = tree.plan(cosmos=True).participants
    directions = [slab_direction(a) for a in person.acquisitions]
    assert angles_deg(directions).max() < 0.1
    assert codes(person) == ['COSMOS_SLABS_ALIKE']


def test_dry_run_tells_the_group(tree):
    orientations(tree)
    text = describe(tree.plan(cosmos=True))
    assert 'sub-01_desc-cosmos: susceptibility from 3 orientations (COSMOS)' in text
    assert 'reference:       sub-01_run-1' in text
    assert 'sub-01_run-2, slab at 25, 0, 35 degrees to each' in text
    assert 'COSMOS' not in describe(tree.plan())


@pytest.mark.parametrize('sign', [1, -1])
def test_three_directions_have_to_be_apart_pairwise(sign):
    def b0(angle):
        return np.array([0, np.sin(np.radians(angle)), np.cos(np.radians(angle))])

    assert enough_directions([b0(0), sign * b0(11), b0(22)])
    assert not enough_directions([b0(0), sign * b0(11), b0(19)])
    assert not enough_directions([b0(0), b0(90), b0(1), sign * b0(91)])
    assert not enough_directions([b0(0), b0(90)])
