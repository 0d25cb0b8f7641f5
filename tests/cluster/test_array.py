"""Twelve people as a job array on a real Slurm of three nodes, through everything that happens.

One element is killed for memory, the submitting process is killed before it can note the
number of its array, one element is cancelled, one node drained. After the same command again
everybody is done, the group level has seen all of them, and nobody ran twice at once.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qsmbids.execution.slurm.trace import attempts
from qsmbids.phantom.dataset import write_dataset
from qsmbids.phantom.parameters import PhantomParameters

pytestmark = pytest.mark.cluster
TOOLS = Path(
    os.environ.get('QSMBIDS_TOOLS', Path(__file__).resolve().parents[3] / 'shared' / 'tools')
)
PEOPLE = [f'sub-{n:02d}' for n in range(1, 13)]
PATIENCE_S = 360
# stands before the real one: after the first submission it kills who asked for it
KILLER = """#!/bin/bash
{sbatch} "$@"
if mkdir {flag} 2>/dev/null; then kill -9 $PPID; fi
"""


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    if not (TOOLS / 'slurm-up').is_file() or os.geteuid() != 0:
        pytest.skip('no slurm-up (set QSMBIDS_TOOLS to its folder), or not root')
    home = tmp_path_factory.mktemp('cluster')
    up = [TOOLS / 'slurm-up', '--cgroup', '--port', '17817', home]
    started = subprocess.run(up, capture_output=True, text=True, check=False)
    if started.returncode:
        pytest.skip(f'slurm-up: {started.stderr[-300:]}')
    try:
        yield {**os.environ, 'SLURM_CONF': str(home / 'slurm.conf'), 'LOGNAME': 'root'}
    finally:
        subprocess.run([TOOLS / 'slurm-down', '--clean', home], capture_output=True, check=False)


@pytest.fixture(scope='module')
def bids(tmp_path_factory):
    """Twelve people who share one head: who they are is not the question here."""
    root = tmp_path_factory.mktemp('data') / 'one'
    parameters = PhantomParameters(voxel_size_mm=5.0, echo_times_s=(0.004, 0.010, 0.016))
    write_dataset(root, (30.0,), parameters=parameters)
    many = root.with_name('twelve')
    for name in PEOPLE:
        for path in (root / 'sub-01').rglob('*.*'):
            copy = many / str(path.relative_to(root)).replace('sub-01', name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    shutil.copy(root / 'dataset_description.json', many)
    rows = ''.join(f'{name}\t{20 + n}\n' for n, name in enumerate(PEOPLE))
    (many / 'participants.tsv').write_text('participant_id\tage\n' + rows)
    return many


def wait_for(what, patience=PATIENCE_S):
    deadline = time.monotonic() + patience
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(1)
    return found


def test_accidents(cluster, bids, tmp_path):
    work, out = tmp_path / 'work folder', tmp_path / 'out'

    def call(*options, env=cluster):
        command = [sys.executable, '-m', 'qsmbids.cli.slurm', bids, out, '--recon-only']
        return subprocess.run(
            [*command, '-w', work, '--cpus', '1', *options],
            capture_output=True, text=True, env=env, check=False,
        )  # fmt: skip

    def states():
        done = call('--status', '--json')
        assert done.returncode in (0, 1), done.stderr
        return json.loads(done.stdout)

    def nothing_waits():
        now = subprocess.run(
            ['squeue', '-h', '-o', '%i'], env=cluster, capture_output=True, text=True, check=True
        )
        return not now.stdout.strip()

    def scontrol(*words):
        subprocess.run(['scontrol', *words], env=cluster, check=True)

    # one person is given far too little memory
    first = call('--participant-label', '05', '--mem', '30M', '--no-group')
    assert first.returncode == 0, first.stderr
    wait_for(nothing_waits)
    short = states()['participants']['sub-05']
    assert (short['kind'], short['memory']) == ('failed', True), short

    # everybody; the submitting process dies before it hears the number of the job
    killer = tmp_path / 'bin' / 'sbatch'
    killer.parent.mkdir()
    killer.write_text(KILLER.format(sbatch=shutil.which('sbatch'), flag=tmp_path / 'killed'))
    killer.chmod(0o755)
    env = {**cluster, 'PATH': f'{killer.parent}:{cluster["PATH"]}'}
    assert call(env=env).returncode == -9
    record = work / 'slurm' / 'submissions.json'
    assert json.loads(record.read_text())['submissions'][-1]['job_id'] == ''

    # again: the array is found, nobody is submitted twice, the group level is still to come
    again = call()
    assert again.returncode == 0, again.stderr
    assert '0 to be submitted' in again.stdout
    submissions = json.loads(record.read_text())['submissions']
    assert [s['kind'] for s in submissions] == ['array', 'array', 'group']
    array = submissions[1]['job_id']
    waiting = states()
    assert waiting['group']['kind'] == 'queued'

    # one of those that run is cancelled, a node takes no more work
    wait_for(lambda: attempts(work / 'slurm' / 'trace', 'sub-02'))
    subprocess.run(['scancel', f'{array}_2'], env=cluster, check=True)
    scontrol('update', 'nodename=n3', 'state=drain', 'reason=test')
    wait_for(nothing_waits)
    after = states()
    kinds = {name: person['kind'] for name, person in after['participants'].items()}
    assert kinds == {name: 'failed' if name == 'sub-02' else 'done' for name in PEOPLE}
    assert 'cancelled' in after['participants']['sub-02']['reason']
    assert Path(after['participants']['sub-02']['log']).is_file()

    # the same command again submits the one that is missing, and the group level after it
    last = call()
    assert last.returncode == 0, last.stderr
    assert '1 to be submitted' in last.stdout
    wait_for(nothing_waits)
    final = call('--status')
    assert final.returncode == 0, final.stdout
    assert (out / 'group.html').is_file()
    assert all((out / f'{name}.html').is_file() for name in PEOPLE)

    # whoever was undisturbed ran once; nobody ran twice at once
    for name in PEOPLE:
        tries = attempts(work / 'slurm' / 'trace', name)
        assert len(tries) == (2 if name in ('sub-02', 'sub-05') else 1), tries
        ends = [attempt.end or attempt.start for attempt in tries]
        assert all(end <= later.start for end, later in zip(ends, tries[1:], strict=False))
