"""``qsmbids-slurm`` with a scheduler that only keeps books."""

import json
from dataclasses import replace

import pytest

from qsmbids.cli import participant, slurm, slurm_plan
from qsmbids.cli.slurm_arguments import read


def submissions(tmp_path):
    return json.loads((tmp_path / 'work/slurm/submissions.json').read_text())['submissions']


def test_array_then_group(call, scheduler, tmp_path):
    code, _, err = call('--max-running', '2')
    assert (code, err) == (0, '')
    array, group = submissions(tmp_path)
    assert array['elements'] == [['sub-0001'], ['sub-0002'], ['sub-0003']]
    assert (array['job_id'], group['job_id'], group['kind']) == ('1', '2', 'group')
    sent = [words for words in scheduler.calls if words[0] == 'sbatch']
    assert '--dependency=afterany:1' in sent[1]
    assert '--kill-on-invalid-dep=yes' in sent[1]
    script = ' '.join((tmp_path / 'work/slurm/001/job.sh').read_text().replace('\\', '').split())
    assert '--array=1-3%2' in script
    assert '--participant-label {name}' in script
    assert f'--work-dir {tmp_path}/work/{{name}} --recon-only' in script
    assert ' participant ' in script
    assert ' group ' in (tmp_path / 'work/slurm/002/job.sh').read_text()


def test_what_waits_is_not_submitted_again(call, scheduler, tmp_path):
    call()
    code, out, _ = call()
    assert code == 0
    assert '0 to be submitted' in out
    assert len(submissions(tmp_path)) == 2


def test_only_what_is_missing_with_more_of_what_it_died_of(
    call, scheduler, finished, write_trace, tmp_path
):
    call('--time', '40')
    finished.add('sub-0001')
    for element, state in (('1', 'COMPLETED'), ('2', 'OUT_OF_MEMORY'), ('3', 'FAILED')):
        scheduler.set('1', element, state)
    write_trace('sub-0002', '1_2')
    write_trace('sub-0003', '1_3', (143, False, 'time'))
    code, out, _ = call('--time', '40')
    assert code == 0
    assert 'sub-0002 ran out of memory' in out
    found = submissions(tmp_path)
    assert [s['elements'] for s in found[2:4]] == [[['sub-0003']], [['sub-0002']]]
    before = found[0]['request']
    assert found[3]['request'] == {**before, 'mem_mb': before['mem_mb'] * 1.5}
    assert found[2]['request'] == {**before, 'minutes': 60}
    # the group job that waited for the first array alone has given way
    assert scheduler.jobs['2']['states'] == {'N/A': 'CANCELLED'}
    assert found[4]['kind'] == 'group'
    assert '--dependency=afterany:3:4' in scheduler.calls[-1]


def test_all_done(call, scheduler, finished, write_trace):
    call()
    finished.update(('sub-0001', 'sub-0002', 'sub-0003'))
    for element in '123':
        scheduler.set('1', element, 'COMPLETED')
    code, out, _ = call('--status')
    assert code == 1  # the group level is still to come
    assert out.startswith('done                3\n')
    scheduler.set('2', 'N/A', 'COMPLETED')
    write_trace('group', '2', (0, False, ''))
    scheduler.forget()
    assert call('--status')[0] == 0
    code, out, _ = call()
    assert (code, '0 to be submitted' in out, '\njob' in out) == (0, True, False)


def test_submission_that_was_interrupted_before_the_group(call, scheduler, tmp_path):
    call('--no-group')
    record = tmp_path / 'work/slurm/submissions.json'
    content = json.loads(record.read_text())
    content['submissions'][0]['job_id'] = ''
    record.write_text(json.dumps(content))
    code, out, _ = call()
    assert (code, '0 to be submitted' in out) == (0, True)
    assert [(s['kind'], s['job_id']) for s in submissions(tmp_path)] == [
        ('array', '1'), ('group', '2'),
    ]  # fmt: skip


def test_refused(call, scheduler, tmp_path):
    (scheduler.home / 'refuse').write_text('sbatch: error: Invalid account')
    code, _, err = call()
    assert code == 1
    assert 'Invalid account' in err
    assert len(err.splitlines()) == 3
    assert submissions(tmp_path) == []
    (scheduler.home / 'refuse').unlink()
    assert call()[0] == 0
    assert len(submissions(tmp_path)) == 2


def test_scheduler_that_does_not_answer_submits_nothing(call, scheduler):
    (scheduler.home / 'down').touch()
    code, _, err = call()
    assert (code, len(err.splitlines())) == (2, 3)
    assert 'Unable to contact' in err
    assert scheduler.jobs == {}


def test_no_scheduler(call, scheduler, monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))
    code, _, err = call()
    assert (code, len(err.splitlines())) == (2, 3)
    assert 'no sbatch' in err


def test_dry_run_and_cancel(call, scheduler, tmp_path):
    code, out, _ = call('--dry-run')
    assert code == 0
    assert 'would submit: 3 elements' in out
    assert not (tmp_path / 'work').exists()
    call()
    assert 'cancelled: 2, 1' in call('--cancel')[1]
    states = {s for job in scheduler.jobs.values() for s in job['states'].values()}
    assert states == {'CANCELLED'}


def test_status_before_anything_was_submitted(call):
    code, _, err = call('--status')
    assert (code, len(err.splitlines())) == (2, 3)


def test_status_for_programs(call, scheduler):
    call()
    scheduler.set('1', '2', 'RUNNING')
    found = json.loads(call('--status', '--json')[1])
    assert found['counts']['running'] == 1
    assert found['participants']['sub-0002']['job'] == '1_2'
    assert found['group']['kind'] == 'queued'


def test_person_without_anything_usable_is_left_out(call, scheduler, tmp_path):
    for path in (tmp_path / 'bids/sub-0002/anat').glob('*part-mag*'):
        path.unlink()
    code, out, _ = call()
    assert code == 0
    assert 'left out: sub-0002' in out
    assert submissions(tmp_path)[0]['elements'] == [['sub-0001'], ['sub-0003']]


def test_options_of_qsmbids_are_checked_and_made_absolute(tmp_path, people, monkeypatch, capsys):
    bids = people(1)
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'masks').mkdir()
    (tmp_path / 'f.json').write_text('{}')
    argv = [
        'bids', 'out', '--bids-filter-file', 'f.json', '-d', 'm=masks', '--sbatch-args', '--qos=x',
        '--cpus', '4', '--participant-label', '0001', '--b0-dir', '0', '-1', '0', '-vv',
        '--build-atlas', 'Mine', '--atlas-license', 'CC0', '-w', 'work',
    ]  # fmt: skip
    own, passed = read(argv)
    assert (own.sbatch_args, own.cpus) == ('--qos=x', 4)
    assert passed.config.work_dir == tmp_path / 'work'
    assert passed.config.bids_dir == bids
    assert passed.participant == (
        '--bids-filter-file', f'{tmp_path}/f.json', '-d', f'm={tmp_path}/masks',
        '--b0-dir', '0', '-1', '0', '-v', '-v',
    )  # fmt: skip
    assert passed.group[-6:] == (
        '--build-atlas', 'Mine', '--atlas-license', 'CC0', '--participant-label', '0001',
    )  # fmt: skip
    with pytest.raises(SystemExit):
        read(['bids', 'out', '--inversion', 'nonsense'])
    assert 'nonsense' in capsys.readouterr().err


def test_two_thousand_people(tmp_path, scheduler, people, monkeypatch, capsys):
    """More than the site allows elements: several go into each."""
    plan = participant.make_the_plan(read([str(people(1)), str(tmp_path / 'out')])[1].config)
    one = plan.participants[0]
    many = [
        _renamed(one, f'{n:04d}') for n in range(1, 2001)
    ]  # fmt: skip
    monkeypatch.setattr(
        participant,
        'make_the_plan',
        lambda config, write=None, threads=0: type(plan)(plan.bids_dir, tuple(many)),
    )
    base = [tmp_path / 'bids', tmp_path / 'out', '-w', tmp_path / 'work', '--recon-only']
    # the checksums of 'finished' are not part of it; every run pays for those
    monkeypatch.setattr(slurm_plan, 'fingerprint', lambda part, *_: part.key)
    assert slurm.main([*map(str, base)]) == 0
    array = submissions(tmp_path)[0]
    assert len(array['elements']) == 10  # MaxArraySize of the fake is 11
    assert sum(map(len, array['elements'])) == 2000
    capsys.readouterr()


def _renamed(person, label):
    acquisitions = tuple(
        replace(a, entities=(('sub', label), *a.entities[1:])) for a in person.acquisitions
    )
    return replace(person, label=label, acquisitions=acquisitions)


def test_stamp_of_other_settings_is_not_done(tmp_path):
    out = tmp_path / 'out'
    (out / 'sub-01/log').mkdir(parents=True)
    (out / 'sub-01.html').touch()
    (out / 'map').write_text('1234')
    stamp = {'format': 1, 'fingerprint': 'a', 'files': {'map': 4}}
    (out / 'sub-01/log/sub-01_done.json').write_text(json.dumps(stamp))
    known = {'acquisitions': {'sub-01': 'a'}, 'left_out': ''}
    assert slurm_plan.is_done('sub-01', known, out, False)
    other = {'acquisitions': {'sub-01': 'b'}, 'left_out': ''}
    assert not slurm_plan.is_done('sub-01', other, out, False)
    assert slurm_plan.is_done('sub-01', other, out, True)  # an image of another version
    (out / 'map').write_text('123')
    assert not slurm_plan.is_done('sub-01', known, out, False)
