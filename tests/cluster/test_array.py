"""Twelve people as a job array on a real Slurm of three nodes, through everything that happens.

One element is killed for memory, the submitting process is killed before it can note the
number of its array, one element is cancelled, one node drained. After the same command again
everybody is done, the group level has seen all of them, and nobody ran twice at once.
"""

import shutil
from pathlib import Path

import pytest

from qsmbids.execution.slurm.trace import attempts

pytestmark = pytest.mark.cluster
PEOPLE = [f'sub-{n:02d}' for n in range(1, 13)]
# stands before the real one: after the first submission it kills who asked for it
KILLER = """#!/bin/bash
{sbatch} "$@"
if mkdir {flag} 2>/dev/null; then kill -9 $PPID; fi
"""


def test_accidents(study, tmp_path):
    many = study(PEOPLE)
    call, states, nothing_waits = many.call, many.states, many.wait_until_nothing_waits
    work, out = many.work, many.out

    # one person is given far too little memory
    first = call('--participant-label', '05', '--mem', '30M', '--no-group')
    assert first.returncode == 0, first.stderr
    nothing_waits()
    short = states()['participants']['sub-05']
    assert (short['kind'], short['memory']) == ('failed', True), short

    # everybody; the submitting process dies before it hears the number of the job
    killer = tmp_path / 'bin' / 'sbatch'
    killer.parent.mkdir()
    killer.write_text(KILLER.format(sbatch=shutil.which('sbatch'), flag=tmp_path / 'killed'))
    killer.chmod(0o755)
    env = {**many.environ, 'PATH': f'{killer.parent}:{many.environ["PATH"]}'}
    assert call(env=env).returncode == -9
    assert many.submissions()[-1]['job_id'] == ''

    # again: the array is found, nobody is submitted twice, the group level is still to come
    again = call()
    assert again.returncode == 0, again.stderr
    assert '0 to be submitted' in again.stdout
    submissions = many.submissions()
    assert [s['kind'] for s in submissions] == ['array', 'array', 'group']
    array = submissions[1]['job_id']
    waiting = states()
    assert waiting['group']['kind'] == 'queued'

    # one of those that run is cancelled, a node takes no more work
    many.wait_for(lambda: attempts(work / 'slurm' / 'trace', 'sub-02'))
    many.slurm('scancel', f'{array}_2')
    many.slurm('scontrol', 'update', 'nodename=n3', 'state=drain', 'reason=test')
    nothing_waits()
    after = states()
    kinds = {name: person['kind'] for name, person in after['participants'].items()}
    assert kinds == {name: 'failed' if name == 'sub-02' else 'done' for name in PEOPLE}
    assert 'cancelled' in after['participants']['sub-02']['reason']
    assert Path(after['participants']['sub-02']['log']).is_file()

    # the same command again submits the one that is missing, and the group level after it
    last = call()
    assert last.returncode == 0, last.stderr
    assert '1 to be submitted' in last.stdout
    nothing_waits()
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
