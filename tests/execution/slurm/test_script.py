"""The batch script, run by a real bash without any environment."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from qsmbids.execution.slurm.resources import Request
from qsmbids.execution.slurm.script import Container, Site, Work, script_text

PRINT = '#!/bin/bash\nprintf \'%s\\n\' "$@"\n'


@pytest.fixture
def work(tmp_path):
    folder = tmp_path / 'a b%' / '001'
    folder.mkdir(parents=True)
    (folder / 'participants.txt').write_text('sub-01\nsub-02\n')
    return Work(
        folder, tmp_path / 'a b%' / 'trace', 'qsmbids-1', 'Two people.', sys.executable,
        [sys.executable, '-c', 'import sys, json; print(json.dumps(sys.argv[1:]))',
         '--work-dir', '/w w/{name}', 'it\'s "$HOME"', '{name}'],
        [['sub-01'], ['sub-02']], Request(4096, 90, 2), Site('long', '', '--qos=x --exclude=n7'),
        most=5, environment={'PYTHONPATH': ':'.join(filter(None, sys.path))},
    )  # fmt: skip


def run(text, *variables):
    return subprocess.run(
        ['env', '-i', 'PATH=/usr/bin:/bin', *variables, 'bash'],
        input=text, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_element_gets_its_person_and_the_words_as_they_were(work):
    done = run(script_text(work), 'SLURM_ARRAY_JOB_ID=17', 'SLURM_ARRAY_TASK_ID=2')
    assert done.returncode == 0, done.stderr
    words = json.loads(done.stdout.splitlines()[-1])
    assert words == ['--work-dir', '/w w/sub-02', 'it\'s "$HOME"', 'sub-02']
    trace = (work.traces / 'sub-02.jsonl').read_text().splitlines()
    assert [json.loads(line)['job'] for line in trace] == ['17_2', '17_2']


def test_directives(work):
    text = script_text(work)
    wanted = dict(re.findall(r'^#SBATCH --([a-z-]+)=(.*)$', text, re.MULTILINE))
    assert wanted['array'] == '1-2%5'
    assert (wanted['mem'], wanted['time'], wanted['cpus-per-task']) == ('4096M', '90', '2')
    assert wanted['signal'] == 'B:TERM@120'
    assert wanted['output'].endswith("a b%%/001/log-%a.txt'")  # a percent sign of a folder
    assert (wanted['partition'], wanted['qos']) == ('long', 'x --exclude=n7')
    assert 'account' not in wanted
    assert '\nexec ' in text


def test_job_without_elements(work):
    text = script_text(replace(work, array=False))
    assert '--array' not in text
    done = run(text, 'SLURM_JOB_ID=18')
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])[-1] == 'sub-01'


def test_everything_that_is_needed_is_bound_under_its_own_name(work, tmp_path):
    bids, out = tmp_path / 'my bids', tmp_path / 'out'
    container = Container(an_image(tmp_path), [bids], [out])
    apptainer = tmp_path / 'bin' / 'apptainer'
    apptainer.parent.mkdir()
    apptainer.write_text(PRINT)
    apptainer.chmod(0o755)
    text = script_text(replace(work, container=container, python='python'))
    done = run(
        text, f'PATH={apptainer.parent}:/usr/bin:/bin',
        'SLURM_ARRAY_JOB_ID=17', 'SLURM_ARRAY_TASK_ID=2',
    )  # fmt: skip
    words = done.stdout.splitlines()
    assert words[:3] == ['exec', '--cleanenv', '--containall']
    at = words.index(str(tmp_path / 'x.sif'))
    assert words[at - 2 : at] == [f'--bind={bids}:{bids}:ro', f'--bind={out}']
    assert words[at + 1 : at + 4] == ['python', '-m', 'qsmbids.execution.slurm.element']
    assert '17_2' in words  # the environment of the scheduler is not passed on


def test_without_apptainer_the_log_says_what_to_do(work, tmp_path):
    container = Container(tmp_path / 'x.sif', [], [])
    text = script_text(replace(work, container=container, python='python'))
    done = run(text, 'SLURM_ARRAY_JOB_ID=17', 'SLURM_ARRAY_TASK_ID=2', f'PATH={few(tmp_path)}')
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 3), done.stderr
    assert 'There is no apptainer on' in done.stderr


def test_where_the_image_cannot_be_seen_the_log_says_so(work, tmp_path):
    container = Container(tmp_path / "no t'here.sif", [], [])
    tools = few(tmp_path)
    (tools / 'apptainer').symlink_to('/bin/false')
    text = script_text(replace(work, container=container, python='python'))
    done = run(text, 'SLURM_ARRAY_JOB_ID=17', 'SLURM_ARRAY_TASK_ID=2', f'PATH={tools}')
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 3), done.stderr
    assert f"The image {tmp_path}/no t'here.sif cannot be read on" in done.stderr


@pytest.mark.parametrize('name', ['apptainer', 'singularity'])
def test_setup_makes_programs_known(work, tmp_path, name):
    tools = tmp_path / 'module'
    tools.mkdir()
    (tools / name).write_text(PRINT)
    (tools / name).chmod(0o755)
    # $UNSET: what sites provide is not written for "set -u"
    site = replace(work.site, setup=f'PATH={tools}:$PATH; : $UNSET')
    container = Container(an_image(tmp_path), [], [])
    text = script_text(replace(work, container=container, python='python', site=site))
    done = run(text, 'SLURM_ARRAY_JOB_ID=17', 'SLURM_ARRAY_TASK_ID=2', f'PATH={few(tmp_path)}')
    assert done.returncode == 0, done.stderr
    words = done.stdout.splitlines()
    assert words[words.index('--job') + 1] == '17_2'


def an_image(tmp_path):
    """Return a file that stands for an image."""
    (tmp_path / 'x.sif').touch()
    return tmp_path / 'x.sif'


def few(tmp_path):
    """Return a folder with the programs that a script needs, without apptainer."""
    folder = tmp_path / 'few'
    folder.mkdir()
    for name in ('bash', 'hostname'):
        (folder / name).symlink_to(shutil.which(name))
    return folder
