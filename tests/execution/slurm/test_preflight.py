"""What is told or refused before anything is submitted, and errors that nobody foresaw."""

import errno

import pytest

from qsmbids.cli import participant, slurm
from qsmbids.execution.slurm import state


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (('--mask', 'user'), 'without a mask of yours'),
        (('--mask', 'atlas'), 'needs the atlas'),
        (('--reference-region', 'nowhere'), '--reference-region nowhere needs the regions'),
    ],
)
def test_options_that_cannot_be_carried_out(call, scheduler, options, words):
    code, _, err = call(*options)
    assert (code, len(err.splitlines())) == (2, 3)
    assert words in err
    assert scheduler.jobs == {}


def test_region_that_the_builtin_atlas_lacks(tmp_path, people, scheduler, capsys):
    words = [people(1), tmp_path / 'out', '-w', tmp_path / 'work', '--age', '30']
    assert slurm.main([*map(str, words), '--reference-region', 'nowhere']) == 2
    assert 'no region of the atlas QSMLifespan' in capsys.readouterr().err
    assert scheduler.jobs == {}
    assert slurm.main([*map(str, words), '--reference-region', 'Caudate', '--dry-run']) == 0


def test_plugin_file_without_a_plugin(call, scheduler, tmp_path):
    path = tmp_path / 'plugin.yml'
    path.write_text('plugin_args: {n_procs: 2}')
    code, _, err = call('--use-plugin', str(path))
    assert (code, 'names no plugin' in err, scheduler.jobs) == (2, True, {})


def test_warnings_are_shown_one_kind_together_when_there_are_many(call, tmp_path, people, capsys):
    out = call('--dry-run', '--bipolar', 'on', '--phase-offset', 'none')[1]
    assert out.count('--bipolar on has no effect') == 3
    many = [people(25, 'many'), tmp_path / 'out2', '-w', tmp_path / 'w', '--recon-only']
    slurm.main([*map(str, many), '--dry-run', '--bipolar', 'on', '--phase-offset', 'none'])
    out = capsys.readouterr().out
    assert out.count('--bipolar on has no effect') == 1
    assert '25 times' in out


def test_atlas_that_only_the_image_may_have(tmp_path, people, scheduler, capsys):
    (tmp_path / 'x.sif').write_bytes(b'hsqs')
    words = [people(1), tmp_path / 'out', '-w', tmp_path / 'work', '--age', '30']
    words += ['--atlas', 'MuSus-100', '--atlas-cache', tmp_path, '--image', tmp_path / 'x.sif']
    assert slurm.main([*map(str, words)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    assert 'outside of the image' in said[1]


def test_path_that_cannot_be_bound(tmp_path, people, scheduler, capsys):
    (tmp_path / 'x.sif').write_bytes(b'hsqs')
    words = [people(1), tmp_path / 'out,1', '--image', tmp_path / 'x.sif', '--recon-only',
             '-w', tmp_path / 'work']  # fmt: skip
    assert slurm.main([*map(str, words)]) == 2
    said = capsys.readouterr().err
    assert (len(said.splitlines()), 'out,1 has a colon or a comma' in said) == (3, True)
    assert not (tmp_path / 'out,1').exists()


@pytest.mark.parametrize(
    ('error', 'code', 'words'),
    [
        (PermissionError(errno.EACCES, 'Permission denied', '/data/x'), 1, '/data/x cannot be'),
        (KeyboardInterrupt(), 130, ''),
        (KeyError('x'), 70, 'The traceback is in'),
    ],
)
def test_errors_that_are_told_without_a_traceback(call, monkeypatch, error, code, words):
    def fail(*_):
        raise error

    monkeypatch.setattr(participant, 'make_the_plan', fail)
    found, out, err = call()
    assert (found, words in err, 'Traceback' in out + err) == (code, True, False)
    assert len((err or out.partition('\n\n')[2] or out).strip().splitlines()) <= 6


def test_full_disk_where_submissions_are_noted(call, monkeypatch, scheduler):
    def full(path, text):
        raise OSError(errno.ENOSPC, 'No space left on device', str(path))

    monkeypatch.setattr(state, 'write_text', full)
    code, _, err = call()
    assert (code, len(err.splitlines())) == (1, 3)
    assert 'submissions.json' in err
    assert scheduler.jobs == {}
