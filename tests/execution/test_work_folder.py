"""Locks of dead runs are recognised, damaged steps run again."""

import gzip
import json
import os
import subprocess
import sys

import pytest

from qsmbids.execution.lock import WorkFolderBusyError, WorkLock
from qsmbids.execution.resume import remove_damaged_steps


@pytest.fixture(autouse=True)
def short_grace(monkeypatch):
    monkeypatch.setattr('qsmbids.execution.lock.GRACE_S', 0.3)


def test_lock_is_exclusive_and_released(tmp_path):
    with WorkLock(tmp_path):
        with pytest.raises(WorkFolderBusyError, match=str(os.getpid())), WorkLock(tmp_path):
            pass
        assert json.loads((tmp_path / 'lock.json').read_text())['pid'] == os.getpid()
    with WorkLock(tmp_path):
        pass


def test_lock_ends_with_its_process(tmp_path):
    """A killed run leaves no lock behind, whatever the file says."""
    code = (
        'import sys, time\n'
        'from pathlib import Path\n'
        'from qsmbids.execution.lock import WorkLock\n'
        'with WorkLock(Path(sys.argv[1])):\n'
        "    print('held', flush=True)\n"
        '    time.sleep(60)\n'
    )
    other = subprocess.Popen([sys.executable, '-c', code, tmp_path], stdout=subprocess.PIPE)
    with other:
        assert other.stdout.readline() == b'held\n'
        with pytest.raises(WorkFolderBusyError, match=str(other.pid)), WorkLock(tmp_path):
            pass
        other.kill()
        other.wait()
    with WorkLock(tmp_path):
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
