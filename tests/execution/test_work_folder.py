"""Locks of dead runs are recognised, damaged steps run again."""

import gzip
import json
import os
import socket

import pytest

from qsmbids.execution.lock import WorkFolderBusyError, WorkLock
from qsmbids.execution.resume import remove_damaged_steps


def test_lock_is_exclusive_and_released(tmp_path):
    with WorkLock(tmp_path):
        with pytest.raises(WorkFolderBusyError, match=str(os.getpid())), WorkLock(tmp_path):
            pass
        assert (tmp_path / 'lock.json').exists()
    assert not (tmp_path / 'lock.json').exists()
    with WorkLock(tmp_path):
        pass


@pytest.mark.parametrize('pid', [os.getpid(), 2**22 + 1])
def test_lock_of_a_dead_process_is_taken_over(tmp_path, pid):
    """The number alone is not enough: another process may have it by now."""
    stale = {'host': socket.gethostname(), 'pid': pid, 'start': '1'}
    (tmp_path / 'lock.json').write_text(json.dumps(stale))
    with WorkLock(tmp_path):
        assert json.loads((tmp_path / 'lock.json').read_text())['pid'] == os.getpid()


def test_lock_of_another_host_is_respected(tmp_path):
    other = {'host': 'another', 'pid': 1, 'start': '1'}
    (tmp_path / 'lock.json').write_text(json.dumps(other))
    with pytest.raises(WorkFolderBusyError, match='another'), WorkLock(tmp_path):
        pass


def finished_step(folder, name, size=10):
    step = folder / name
    step.mkdir(parents=True)
    out = step / 'out.nii'
    out.write_bytes(b'x' * size)
    (step / 'record.json').write_text(json.dumps({'files': {str(out): size}}))
    with gzip.open(step / f'result_{name}.pklz', 'wb') as stream:
        stream.write(b'result')
    return step


def test_only_damaged_steps_are_removed(tmp_path):
    whole = finished_step(tmp_path, 'whole')
    truncated = finished_step(tmp_path, 'truncated')
    (truncated / 'out.nii').write_bytes(b'x')
    deleted = finished_step(tmp_path, 'deleted')
    (deleted / 'out.nii').unlink()
    broken = finished_step(tmp_path, 'broken')
    (broken / 'result_broken.pklz').write_bytes(b'no gzip')
    assert remove_damaged_steps(tmp_path) == ['broken', 'deleted', 'truncated']
    assert whole.exists()
    assert not any(step.exists() for step in (truncated, deleted, broken))
