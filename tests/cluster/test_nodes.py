"""Steps as jobs of a real Slurm: what becomes of them when jobs are refused or killed."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qsmbids.execution.environment import TEMPORARY

GRAPH = Path(__file__).with_name('small_graph.py')

pytestmark = pytest.mark.cluster


@pytest.fixture(scope='module')
def cluster(slurm, tmp_path_factory):
    """Three small nodes that enforce memory; yields the environment to reach them."""
    with slurm(tmp_path_factory.mktemp('cluster'), '--mem', '3000') as environ:
        del environ['LOGNAME']  # as in containers; the run must not need it
        yield environ


@pytest.fixture
def start(cluster, tmp_path):
    """Start the graph of the test; what is still there at its end is killed."""
    started = []

    def begin(steps, options='', env=None):
        process = subprocess.Popen(
            [sys.executable, GRAPH, tmp_path, options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env=env or cluster, cwd=tmp_path,
        )  # fmt: skip
        started.append(process)
        process.stdin.write(json.dumps(steps))
        process.stdin.close()
        process.stdin = None
        return process

    yield begin
    (tmp_path / 'release').touch()
    for process in started:
        process.kill()
        process.communicate()
    subprocess.run(['scancel', '--user=root'], env=cluster, check=False)


def ended(process, limit=200):
    out, err = process.communicate(timeout=limit)
    assert process.returncode == 0, err[-2000:]
    return json.loads(out.splitlines()[-1])


def queue(cluster, form='%i %T'):
    command = ['squeue', '-h', '-o', form]
    return subprocess.run(
        command, env=cluster, check=True, capture_output=True, text=True
    ).stdout.split('\n')[:-1]


def until(condition, limit=100):
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, 'it did not happen'
        time.sleep(0.1)


def began(tmp_path):
    notes = tmp_path / 'notes'
    return notes.read_text().count('begin') if notes.exists() else 0


def test_steps_get_what_they_asked_for_and_the_same_surroundings(cluster, start, tmp_path):
    said = ended(
        start([['a', 'add', '', 0.2], ['b', 'add', 'a', 0.7], ['s', 'surroundings', '', 0.2]])
    )
    assert said['failures'] == {}
    assert said['results']['b'] == 3
    assert said['results']['s'] == [sys.executable, f'{tmp_path}/{TEMPORARY}', '7', '1', '1']
    assert queue(cluster) == []
    assert not any((tmp_path / 'slurm_jobs').iterdir())
    assert not any((tmp_path / 'wf' / 'batch').iterdir())  # thousands of files otherwise


def test_surroundings_reach_jobs_where_the_site_does_not_hand_them_on(start, tmp_path):
    said = ended(start([['s', 'surroundings', '', 0.2]], options='--export=NONE'))
    assert said['results']['s'] == [sys.executable, f'{tmp_path}/{TEMPORARY}', '7', '1', '1']


def test_killed_cancelled_refused_and_failing_steps_fail_alone(cluster, start, tmp_path):
    process = start(
        [
            ['hungry', 'eat', '', 0.2], ['after', 'add', 'hungry', 0.2],
            ['huge', 'add', '', 500.0], ['bad', 'fail', '', 0.2],
            ['victim', 'wait', '', 0.2], ['good', 'add', '', 0.2], ['then', 'add', 'good', 0.2],
        ]
    )  # fmt: skip
    until(lambda: began(tmp_path))
    victim = next(row.split()[0] for row in queue(cluster, '%i %o') if row.endswith('_victim.sh'))
    subprocess.run(['scancel', victim], env=cluster, check=True)
    said = ended(process)
    assert said['failures'].keys() == {'wf.hungry', 'wf.huge', 'wf.bad', 'wf.victim'}
    assert 'more than the memory' in said['failures']['wf.hungry']
    assert 'CANCELLED' in said['failures']['wf.victim']
    assert 'refused' in said['failures']['wf.huge']
    assert '500.0 GB' in said['failures']['wf.huge']
    assert said['failures']['wf.bad'] == 'no brain here.\nIt matters.\nDo this.'
    for message in said['failures'].values():
        assert len(message.splitlines()) == 3
    assert ['then', 'end'] in said['events']
    assert ['after', 'start'] not in said['events']


def test_no_job_is_left_after_sigterm(cluster, start, tmp_path):
    process = start([['a', 'wait', '', 0.2], ['b', 'wait', '', 0.2], ['c', 'wait', '', 2.9]])
    until(lambda: began(tmp_path) == 3)
    process.send_signal(signal.SIGTERM)
    begin = time.monotonic()
    process.communicate(timeout=20)
    assert process.returncode == 143
    assert time.monotonic() - begin < 5
    assert queue(cluster) == []


def test_jobs_of_a_killed_run_are_gone_before_the_next_starts(cluster, start, tmp_path):
    steps = [['a', 'add', '', 0.2], ['b', 'wait', 'a', 0.2], ['c', 'wait', '', 0.2]]
    process = start(steps)
    until(lambda: began(tmp_path) == 2)
    process.kill()
    process.communicate()
    assert len(queue(cluster)) == 2  # nobody could cancel them
    again = start(steps)
    until(lambda: began(tmp_path) == 4)
    assert len(queue(cluster)) == 2
    (tmp_path / 'release').touch()
    said = ended(again)
    assert said['leftovers'] == 2
    assert said['failures'] == {}
    assert said['results']['b'] == 3
    notes = (tmp_path / 'notes').read_text().splitlines()
    assert sum(note.startswith('end') for note in notes) == 2  # the first two never ended


def test_leftover_jobs_without_slurm_are_a_three_line_error(cluster, start, tmp_path):
    (tmp_path / 'slurm_jobs').mkdir()
    (tmp_path / 'slurm_jobs' / 'qsmbids-1234').touch()
    process = start([['a', 'add', '', 0.2]], env={**cluster, 'PATH': '/nowhere'})
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert len(err.strip().splitlines()) == 3
    assert 'scancel --name=qsmbids-1234' in err


def test_participants_with_a_job_for_each_step(cluster, dataset, tmp_path):
    command = [sys.executable, '-m', 'qsmbids', dataset, tmp_path / 'out', 'participant']
    command += ['-w', tmp_path / 'work', '--cluster', 'slurm', '--recon-only']
    done = subprocess.run(command, env=cluster, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert len(list((tmp_path / 'out').glob('sub-*/**/*_Chimap.nii.gz'))) == 2
    assert queue(cluster) == []
