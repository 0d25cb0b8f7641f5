"""SIGTERM ends a run within seconds; a worker that is killed is replaced."""

import os
import signal
import time

import pytest

STEPS = ('found', 'reading the echoes', 'referencing')


@pytest.mark.parametrize('step', STEPS)
def test_terminated(one_person, undisturbed, new_app, step):
    app = new_app(one_person)
    process = app.start()
    app.wait_for(process, step)
    time.sleep(0.5)
    assert app.members(process)
    start = time.monotonic()
    process.send_signal(signal.SIGTERM)
    code, out, err = app.finish(process)
    assert code == 143, out + err
    assert time.monotonic() - start < 5
    assert app.members(process) == []
    assert 'Traceback' not in out + err
    app.complete()
    app.assert_like(undisturbed)


def test_worker_is_killed(one_person, undisturbed, new_app):
    app = new_app(one_person)
    process = app.start()
    app.wait_for(process, 'reading the echoes')
    time.sleep(0.5)
    workers = [pid for pid in app.members(process) if pid != process.pid]
    assert workers
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    code, out, err = app.finish(process)
    assert code == 0, out + err
    app.assert_like(undisturbed)


def test_main_process_alone_is_killed(one_person, undisturbed, new_app):
    """Its workers go with it, and so does the lock."""
    app = new_app(one_person)
    process = app.start()
    app.wait_for(process, 'reading the echoes')
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    app.complete()
    assert app.members(process) == []
    app.assert_like(undisturbed)
