"""The command given again: other options, jobs that cannot start, too little memory."""

import json

import pytest

from qsmbids.cli.slurm_people import last_lines
from qsmbids.config import Config
from qsmbids.execution.errors import MemoryShortError
from qsmbids.workflows.forecast import forecast

ALL = ('sub-0001', 'sub-0002', 'sub-0003')


@pytest.fixture
def submissions(tmp_path):
    path = tmp_path / 'work/slurm/submissions.json'
    return lambda: json.loads(path.read_text())['submissions']


def ended(scheduler, write_trace, code=0, job='1'):
    for element, name in enumerate(ALL, 1):
        scheduler.set(job, str(element), 'FAILED' if code else 'COMPLETED')
        write_trace(name, f'{job}_{element}', (code, False, ''))


def test_other_options_while_jobs_wait(call, submissions, tmp_path):
    call()
    before = (tmp_path / 'work/slurm/submissions.json').read_text()
    code, _, err = call('--inversion', 'tkd')
    assert (code, len(err.splitlines())) == (2, 3)
    assert 'sub-0001 and 2 more still wait or run with other options' in err
    assert (tmp_path / 'work/slurm/submissions.json').read_text() == before
    assert call('-v', '--keep-work', '--phase-sign', 'auto')[0] == 0  # the same comes out
    call('--cancel')
    assert call('--inversion', 'tkd')[0] == 0
    kinds = [(s['kind'], s['options']) for s in submissions()]
    assert kinds[-2] == ('array', '--inversion tkd --recon-only')


def test_other_output_folder_while_jobs_wait(call, tmp_path, capsys, scheduler):
    from qsmbids.cli import slurm

    call()
    words = [tmp_path / 'bids', tmp_path / 'out2', '-w', tmp_path / 'work', '--recon-only']
    assert slurm.main([*map(str, words)]) == 2
    said = capsys.readouterr().err
    assert f'(1) and write into {tmp_path}/out.' in said
    assert len(said.splitlines()) == 3


def test_what_ended_well_with_other_options_is_said(call, scheduler, write_trace):
    call()
    ended(scheduler, write_trace)
    (scheduler.home / 'refuse').write_text('no')
    call('--inversion', 'tkd')
    assert 'made with other options: --recon-only' in call('--status')[1]


def test_other_options_of_the_group_level(call, scheduler, finished, write_trace, submissions):
    call()
    finished.update(ALL)
    ended(scheduler, write_trace)
    scheduler.set('2', 'N/A', 'COMPLETED')
    write_trace('group', '2', (0, False, ''))
    assert call('--status')[0] == 0
    assert call()[1].count('\njob ') == 0
    assert 'group level' in call('--model', 'chi ~ age', '--dry-run')[1]
    assert call('--model', 'chi ~ age')[0] == 0
    assert [s['kind'] for s in submissions()] == ['array', 'group', 'group']
    assert call('--model', 'chi ~ age')[1].count('\njob ') == 0  # it waits
    call('--model', 'chi ~ sex')
    assert scheduler.jobs['3']['states'] == {'N/A': 'CANCELLED'}
    assert len(submissions()) == 4


def test_jobs_that_can_never_start(call, scheduler):
    (scheduler.home / 'reason').write_text('PartitionConfig')
    assert call('--cpus', '64')[0] == 0
    out = call('--status')[1]
    assert 'can never start: it asks for more than any node' in out
    assert 'Stop them with --cancel' in out
    code, _, err = call()
    assert (code, len(err.splitlines())) == (1, 3)
    assert 'sub-0001 and 3 more can never start' in err  # with the group level


def test_limit_of_an_account_matters_when_nothing_runs(call, scheduler):
    (scheduler.home / 'reason').write_text('AssocGrpCpuLimit')
    call()
    assert 'may never start' in call('--status')[1]
    scheduler.set('1', '1', 'RUNNING')
    assert 'may never start' not in call('--status')[1]


def test_group_level_that_can_never_start(call, scheduler, finished, write_trace):
    call()
    finished.update(ALL)
    ended(scheduler, write_trace)
    (scheduler.home / 'reason').write_text('QOSMaxMemoryPerJob')
    code, _, err = call()
    assert (code, err.startswith('group can never start')) == (1, True)


def refusal(tmp_path):
    """What the program says when its memory is too little."""
    from qsmbids.cli.participant import make_the_plan

    config = Config(tmp_path / 'bids', tmp_path / 'out', tmp_path, mem_gb=0.01, recon_only=True)
    with pytest.raises(MemoryShortError) as error:
        forecast(make_the_plan(config).acquisitions, config)
    return str(error.value)


def test_refused_for_memory(call, scheduler, write_trace, tmp_path, submissions):
    out = call('--mem', '300')[1]
    assert 'for sub-0001 and 2 others' in out
    ended(scheduler, write_trace, 2)
    for element, name in enumerate(ALL, 1):
        log = tmp_path / f'work/slurm/001/log-{element}.txt'
        log.write_text(f'--- {name}, job 1_{element} on n1\nhello\n{refusal(tmp_path)}\n')
    out = call('--status')[1]
    assert 'its memory was too little to begin (exit code 2)' in out
    assert out.count('GB, and the limit is') == 1  # of three, once
    code, _, err = call('--mem', '300')
    assert (code, len(err.splitlines())) == (2, 3)
    assert 'cannot succeed for sub-0001 and 2 others' in err
    assert len(submissions()) == 2
    code, out, _ = call()
    assert 'had too little memory to begin; it gets more: 2 processors, 1 GB' in out
    assert submissions()[2]['request']['mem_mb'] >= 1024


def test_what_an_element_said_that_never_began_is_quoted(call, scheduler, tmp_path):
    call()
    for element in '123':
        scheduler.set('1', element, 'FAILED')
    said = 'There is no apptainer on n1, so the image cannot be started.'
    log = tmp_path / 'work/slurm/001/log-2.txt'
    log.write_text(f'{said}\nwhy\nwhat\n')
    found = json.loads(call('--status', '--json')[1])['participants']
    assert found['sub-0002']['said'] == [said, 'why', 'what']
    assert found['sub-0002']['kind'] == 'failed'
    assert 'see the work folder?' in found['sub-0001']['reason']
    assert f'| {said}' in call('--status')[1]
    scheduler.forget()
    assert f'| {said}' in call('--status')[1]


def test_log_of_several_people_is_told_apart(tmp_path):
    log = tmp_path / 'log'
    log.write_text('--- sub-a, job 1_1 on n\n1\n2\n\n--- sub-b, job 1_1 on n\n3\n')
    assert last_lines(str(log), 'sub-a') == ('1', '2')
    assert last_lines(str(log), 'sub-b') == ('3',)
    assert last_lines(str(log), 'sub-c') == ()


def test_status_from_anywhere(call, capsys, tmp_path):
    from qsmbids.cli import slurm

    assert f'qsmbids-slurm --status -w {tmp_path}/work' in call()[1]
    assert slurm.main(['--status', f'-w{tmp_path}/work']) == 1
    assert 'queued              3' in capsys.readouterr().out
    assert slurm.main(['--cancel', '-w', f'{tmp_path}/work']) == 0


def test_folders_of_one_computer_are_doubted_once(call):
    assert 'not the same on every node' in call()[1]
    assert 'not the same on every node' not in call()[1]
