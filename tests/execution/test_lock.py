"""A work folder has one owner at a time, also where the file system knows no locks."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from qsmbids.execution import lock_file
from qsmbids.execution.lock import WorkFolderBusyError, WorkFolderError, WorkLock
from qsmbids.execution.lock_file import LockFile

HOLD = """
import errno, fcntl, sys, time
from pathlib import Path
from qsmbids.execution import lock_file
from qsmbids.execution.lock import WorkLock
def refuse(*_):
    raise OSError(errno.ENOLCK, 'No locks available')
if sys.argv[2] == 'file':
    fcntl.flock = refuse
lock_file.HEARTBEAT_S = 0.1
with WorkLock(Path(sys.argv[1])):
    print('held', flush=True)
    time.sleep(float(sys.argv[3]))
"""


@pytest.fixture(autouse=True)
def short_times(monkeypatch):
    monkeypatch.setattr('qsmbids.execution.lock.GRACE_S', 0.3)
    monkeypatch.setattr(lock_file, 'HEARTBEAT_S', 0.1)


@pytest.fixture(params=['flock', 'file'])
def kind(request, monkeypatch):
    """Both forms of the lock."""
    if request.param == 'file':
        no_locks(monkeypatch)
    return request.param


def no_locks(monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, 'No locks available')

    monkeypatch.setattr(fcntl, 'flock', refuse)


def owner(folder, kind, seconds=60):
    command = [sys.executable, '-c', HOLD, folder, kind, str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b'held\n'
    return process


def end(process):
    process.kill()
    process.communicate()


def is_free(folder):
    try:
        with WorkLock(folder):
            return True
    except WorkFolderBusyError:
        return False


def test_busy_folder_names_its_owner_in_three_lines(tmp_path, kind):
    other = owner(tmp_path, kind)
    try:
        with pytest.raises(WorkFolderBusyError) as caught, WorkLock(tmp_path):
            pass
    finally:
        end(other)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert str(tmp_path) in lines[0]
    assert f'process {other.pid} on ' in lines[0]
    assert 'since 20' in lines[0]


def test_released_at_the_end_and_after_an_error(tmp_path, kind):
    with WorkLock(tmp_path) as lock:
        assert lock.supported == (kind == 'flock')
        assert not is_free(tmp_path)
    assert is_free(tmp_path)
    with pytest.raises(KeyError), WorkLock(tmp_path):
        raise KeyError
    assert is_free(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ['lock.json']


def test_killed_owner_leaves_no_lock(tmp_path, kind):
    other = owner(tmp_path, kind)
    assert not is_free(tmp_path)
    end(other)
    assert is_free(tmp_path)


def test_second_run_waits_when_asked(tmp_path, kind):
    other = owner(tmp_path, kind, seconds=2)
    said = []
    start = time.monotonic()
    with WorkLock(tmp_path, wait_s=30, say=said.append):
        assert 0.5 < time.monotonic() - start < 20
    assert len(said) == 1
    assert str(other.pid) in said[0]
    assert other.wait() == 0
    end(other)


def held_elsewhere(folder, age_s=0.0, **content):
    """The lock file of a run on another machine, whose processes cannot be seen from here."""
    path = folder / 'lock.held'
    content = {
        'host': 'node7', 'pid': 1, 'since': '2026-01-01T00:00:00', 'token': 'theirs',
        'system': 'other boot', 'process': 1, 'started': '5',
    } | content  # fmt: skip
    path.write_text(json.dumps(content))
    now = path.stat().st_mtime
    os.utime(path, (now - age_s, now - age_s))
    return path


def test_silent_for_long_is_stale_and_for_short_is_not(tmp_path, monkeypatch):
    no_locks(monkeypatch)
    held_elsewhere(tmp_path, lock_file.STALE_S - 20)
    with pytest.raises(WorkFolderBusyError, match='process 1 on node7'), WorkLock(tmp_path):
        pass
    held_elsewhere(tmp_path, lock_file.STALE_S + 20)
    assert is_free(tmp_path)


@pytest.mark.parametrize('hours', [-3, 3])
def test_clock_of_this_machine_does_not_count(tmp_path, monkeypatch, hours):
    """Two machines may differ by hours: only times of the file system are compared."""
    no_locks(monkeypatch)
    here = time.time
    monkeypatch.setattr(time, 'time', lambda: here() + 3600 * hours)
    held_elsewhere(tmp_path)
    assert not is_free(tmp_path)


def test_clock_set_back_dead_owner(tmp_path, monkeypatch):
    """Heartbeats from the future say nothing; the file is watched, and it is still."""
    no_locks(monkeypatch)
    held_elsewhere(tmp_path, -86400)
    assert is_free(tmp_path)


def test_clock_set_back_living_owner(tmp_path, monkeypatch):
    no_locks(monkeypatch)
    path = held_elsewhere(tmp_path, -86400)
    stop = threading.Event()

    def beat():
        n = 0
        while not stop.wait(0.05):
            n += 1
            later = time.time() + 86400 + n
            os.utime(path, (later, later))

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        first = LockFile(path)
        for _ in range(20):
            assert not first.acquire({})
            time.sleep(0.05)
    finally:
        stop.set()
        thread.join()


def test_reused_process_number_is_another_process(tmp_path, monkeypatch):
    no_locks(monkeypatch)
    mine = lock_file._this_process()
    held_elsewhere(tmp_path, **mine)
    assert not is_free(tmp_path)
    held_elsewhere(tmp_path, **{**mine, 'started': '5'})
    assert is_free(tmp_path)


@pytest.mark.parametrize('text', ['', '{', '[]', '{"process": "x", "system": null}'])
def test_unreadable_file_counts_by_its_age(tmp_path, monkeypatch, text):
    no_locks(monkeypatch)
    path = tmp_path / 'lock.held'
    path.write_text(text)
    with pytest.raises(WorkFolderBusyError, match='just starting'), WorkLock(tmp_path):
        pass
    old = time.time() - lock_file.STALE_S - 60
    os.utime(path, (old, old))
    assert is_free(tmp_path)


def test_one_of_many_takes_over(tmp_path):
    """Ten runs find the same stale file at once: one of them gets it."""
    path = held_elsewhere(tmp_path, lock_file.STALE_S + 60)
    locks = [LockFile(path) for _ in range(10)]
    gate, got = threading.Barrier(len(locks)), []

    def take(lock):
        gate.wait()
        if lock.acquire({}):
            got.append(lock)

    threads = [threading.Thread(target=take, args=(lock,)) for lock in locks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1
    got[0].release()
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_lost_its_lock_ends(tmp_path):
    """A machine that slept finds its folder in other hands and keeps its own off."""
    other = owner(tmp_path, 'file')
    (tmp_path / 'lock.held').unlink()
    held_elsewhere(tmp_path)
    _, said = other.communicate(timeout=20)
    assert other.returncode == -signal.SIGTERM
    assert len(said.decode().splitlines()) == 3
    assert json.loads((tmp_path / 'lock.held').read_text())['token'] == 'theirs'


def test_folder_that_cannot_be_locked_is_told_in_three_lines(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr('qsmbids.execution.lock.os.open', full)
    with pytest.raises(WorkFolderError) as caught, WorkLock(tmp_path):
        pass
    assert len(str(caught.value).splitlines()) == 3
    assert 'No space left' in str(caught.value)
