"""A node that fails while people are computed on it."""

import pytest

from qsmbids.execution.slurm.trace import attempts

pytestmark = pytest.mark.cluster
PEOPLE = [f'sub-{n:02d}' for n in range(1, 4)]


@pytest.fixture
def three(study):
    return study(PEOPLE)


def fail_node_of_first(three, *options):
    """Submit everybody; take the node away on which the first person is computed."""
    done = three.call('--no-group', *options)
    assert done.returncode == 0, done.stderr
    log = three.work / 'slurm' / '001' / 'log-1.txt'
    three.wait_for(lambda: log.is_file() and '[1/' in log.read_text())
    job = three.submissions()[0]['job_id']
    node = three.slurm('squeue', '-h', '-j', f'{job}_1', '-o', '%N')
    three.slurm('scontrol', 'update', f'nodename={node}', 'state=down', 'reason=test')


def kinds(three):
    return {name: person['kind'] for name, person in three.states()['participants'].items()}


def check_order(three, expected):
    """Nobody ran twice at once, and each as often as expected."""
    for name, number in zip(PEOPLE, expected, strict=True):
        tries = attempts(three.work / 'slurm' / 'trace', name)
        assert len(tries) == number, tries
        ends = [attempt.end or attempt.start for attempt in tries]
        assert all(end <= later.start for end, later in zip(ends, tries[1:], strict=False))


def test_slurm_starts_the_element_anew_elsewhere(three):
    fail_node_of_first(three)
    assert kinds(three)['sub-01'] == 'queued'
    three.wait_until_nothing_waits()
    assert set(kinds(three).values()) == {'done'}
    check_order(three, (2, 1, 1))


def test_where_slurm_does_not_the_same_command_does(three):
    fail_node_of_first(three, '--sbatch-args=--no-requeue')
    three.wait_until_nothing_waits()
    first = three.states()['participants']['sub-01']
    assert first['kind'] == 'failed'
    assert 'the node failed' in first['reason'], first['reason']
    again = three.call('--no-group', '--sbatch-args=--no-requeue')
    assert '1 to be submitted' in again.stdout, again.stdout + again.stderr
    three.wait_until_nothing_waits()
    assert set(kinds(three).values()) == {'done'}
    check_order(three, (2, 1, 1))
