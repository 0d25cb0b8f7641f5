"""A function in a process of its own: what it returns, raises, and how it ends."""

import os
import signal
import subprocess
import sys
import time

import pytest

from qsmbids.execution.child import in_child


def double(number):
    return 2 * number, os.getpid()


def fail(text):
    raise ValueError(text)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def test_result_and_error_come_back():
    result, pid = in_child(double, 21)
    assert result == 42
    assert pid != os.getpid()
    with pytest.raises(ValueError, match='no such region'):
        in_child(fail, 'no such region')


def test_a_killed_child_is_a_lack_of_memory():
    with pytest.raises(MemoryError):
        in_child(die)


def test_a_signal_does_not_wait_for_the_child():
    code = (
        'import signal, sys, time\n'
        'from qsmbids.execution.child import in_child\n'
        'def stop(*_):\n'
        '    raise SystemExit(143)\n'
        'signal.signal(signal.SIGTERM, stop)\n'
        'print("ready", flush=True)\n'
        'in_child(time.sleep, 60)\n'
    )
    process = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    time.sleep(1)
    process.terminate()
    assert process.wait(timeout=20) == 143
    process.stdout.close()
