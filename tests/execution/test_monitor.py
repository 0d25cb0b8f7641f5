"""The record of resources: what is measured is true, cheap, and there after a kill."""

import csv
import os
import signal
import subprocess
import sys
import time
from datetime import datetime

import numpy as np
import pytest

from qsmbids.execution.monitor import SAMPLES, STEPS, Monitor
from qsmbids.execution.process_tree import Gauge, pss_gb, tree, usage
from qsmbids.execution.tally import Step

pytestmark = pytest.mark.skipif(not os.path.isdir('/proc/self'), reason='needs /proc')


def rows(path):
    with open(path, encoding='utf-8') as stream:
        return list(csv.DictReader(stream, delimiter='\t'))


def wait_for_rows(path, number):
    """Return the rows when there are enough: how often is measured depends on what it costs."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and len(rows(path)) < number:
        time.sleep(0.05)
    return rows(path)


@pytest.fixture
def children():
    """Start processes that hold memory or burn time; end them afterwards."""
    started = []

    def start(code):
        process = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE)
        started.append(process)
        process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_tree_has_children_of_children(children):
    child = children(
        'import subprocess, sys, time\n'
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print('up', flush=True)\n"
        'try:\n    time.sleep(60)\nfinally:\n    p.kill()\n'
    )
    found = tree()
    assert found[0] == os.getpid()
    assert child.pid in found
    assert len(tree(child.pid)) == 2
    child.send_signal(signal.SIGINT)
    child.wait()
    assert child.pid not in tree()


def test_memory_shared_by_forked_processes_counts_once():
    block = np.ones(25_000_000)  # 0.2 GB
    before = usage(tree())
    read, write = os.pipe()
    pids = []
    for _ in range(3):
        pid = os.fork()
        if not pid:
            os.close(write)
            os.read(read, 1)
            os._exit(0)
        pids.append(pid)
    try:
        together = usage(tree())
        shared = pss_gb(tree())
    finally:
        os.close(write)
        for pid in pids:
            os.waitpid(pid, 0)
        os.close(read)
    assert together.processes == before.processes + 3
    assert together.rss_gb > before.rss_gb + 3 * block.nbytes / 1e9
    assert block.nbytes / 1e9 < shared < before.rss_gb + 0.2


def test_time_of_ended_children_is_kept(children):
    before = usage(tree()).cpu_s
    child = children(
        "import time\nwhile time.process_time() < 0.6: pass\nprint('done', flush=True)"
    )
    child.wait()
    assert usage(tree()).cpu_s - before > 0.5


def test_samples_are_written_while_it_runs(tmp_path, children):
    with Monitor(tmp_path / 'log', 'x', limit_gb=4, n_procs=2, interval_s=0.1) as monitor:
        children('x = bytearray(150_000_000)\nprint(flush=True)\nimport time\ntime.sleep(60)')
        seen = wait_for_rows(monitor.samples, 3)
    assert len(seen) >= 3  # while it is open
    assert tuple(seen[0]) == SAMPLES
    found = rows(monitor.samples)
    assert int(found[-1]['processes']) >= 2
    assert max(float(row['rss_gb']) for row in found) > 0.15
    assert all(float(row['cpu_percent']) >= 0 for row in found)
    for row in found:
        assert datetime.fromisoformat(row['time']).tzinfo
    assert [float(r['elapsed_s']) for r in found] == sorted(float(r['elapsed_s']) for r in found)
    assert f'limit 4.0 GB. Record: {monitor.samples}' in monitor.summary()
    assert 'of 2 processors' in monitor.summary()


def test_row_of_a_step(tmp_path):
    clock = [50.0]
    record = {'seconds': 3.2, 'cpu_seconds': 6.1, 'peak_gb': 0.42, 'host': 'node7'}
    with Monitor(tmp_path, 'x', interval_s=60, now=lambda: clock[0]) as monitor:
        monitor.step(Step('run.w.a', 'sub-01', 'brain\tmask', 'done', 51.0, 54.5, record, 1.5, 2))
        monitor.step(Step('run.w.b', 'sub-01', 'field', 'FAILED', 55.0, 56.0))
        monitor.step(Step('run.w.c', 'sub-01', 'chi', 'kept', None, 57.0, record))
        found = rows(monitor.steps)
    assert tuple(found[0]) == STEPS
    first, second, third = found
    assert (first['start_s'], first['end_s'], first['seconds']) == ('1.000', '4.500', '3.500')
    assert (first['cpu_seconds'], first['peak_gb'], first['host']) == ('6.100', '0.420', 'node7')
    assert (first['mem_gb'], first['n_procs'], first['step']) == ('1.500', '2', 'brain mask')
    passed = datetime.fromisoformat(first['end']) - datetime.fromisoformat(first['start'])
    assert passed.total_seconds() == pytest.approx(3.5, abs=0.002)
    assert second['peak_gb'] == 'n/a'
    assert (third['start'], third['seconds']) == ('n/a', '3.200')


def test_killed_run_leaves_its_rows(tmp_path):
    code = (
        'import sys, time\nfrom pathlib import Path\n'
        'from qsmbids.execution.monitor import Monitor\n'
        'with Monitor(Path(sys.argv[1]), "x", interval_s=0.05):\n'
        '    print("up", flush=True)\n    time.sleep(60)\n'
    )
    environ = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, '-c', code, tmp_path], stdout=subprocess.PIPE, env=environ
    ) as process:
        assert process.stdout.readline() == b'up\n'
        wait_for_rows(tmp_path / 'resources_x_samples.tsv', 3)
        process.kill()
    text = (tmp_path / 'resources_x_samples.tsv').read_text()
    assert text.endswith('\n')
    assert len(text.splitlines()) >= 4


def test_full_disk_ends_the_record_and_not_the_run(tmp_path):
    if not os.path.exists('/dev/full'):
        pytest.skip('no /dev/full')
    monitor = Monitor(tmp_path, 'x', interval_s=60)
    os.symlink('/dev/full', monitor.samples)
    with monitor:
        monitor.sample()
    assert 'could not be written' in monitor.summary()
    assert 'No space left' in monitor.summary()


def test_asking_is_cheap():
    """Below 0.5 % of a processor, by its own budget, however much memory is held."""
    block = np.ones(15_000_000)
    gauge, spent, now = Gauge(share=0.002), 0.0, 0.0
    for _ in range(60):
        start = time.thread_time()
        pids = tree()
        usage(pids)
        if gauge.due(now):
            gauge.read(now, pids)
        spent += time.thread_time() - start
        now += 2.0
    assert block.all()
    assert spent / now < 0.005


def test_gauge_returns_its_last_value_when_asked_too_early():
    gauge = Gauge(share=1e-9)
    first = gauge.read(0.0)
    assert first > 0.01
    block = np.ones(30_000_000)
    assert gauge.read(1.0) == first
    assert block.any()
