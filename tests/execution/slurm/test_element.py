"""What an array element does for its people, with real processes and signals."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from qsmbids.execution.slurm import trace
from qsmbids.execution.slurm.element import oom_kills

SLEEP = (
    'import signal, sys, time, pathlib\n'
    'signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n'
    'pathlib.Path(sys.argv[1]).touch()\n'
    'time.sleep(60)\n'
)


@pytest.fixture
def element(tmp_path):
    """Start an element for people; what is left of it at the end is killed."""
    started = []

    def start(names, *command, minutes=30):
        listed = tmp_path / 'participants.txt'
        listed.write_text('nobody\n' + ' '.join(names) + '\n')
        head = [sys.executable, '-m', 'qsmbids.execution.slurm.element', listed, '2']
        options = ['--traces', tmp_path / 'trace', '--job', '7_2', '--minutes', str(minutes)]
        process = subprocess.Popen(
            [*map(str, (*head, *options)), '--', sys.executable, '-c', *command],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for(path):
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_each_person_in_turn_and_the_worst_code(element, tmp_path):
    code = 'import sys; sys.exit(int(sys.argv[1] == "sub-a") * 3)'
    process = element(['sub-a', 'sub-b'], code, '{name}')
    process.communicate(timeout=30)
    assert process.returncode == 3
    found = [trace.attempts(tmp_path / 'trace', name)[0] for name in ('sub-a', 'sub-b')]
    assert [attempt.exit_code for attempt in found] == [3, 0]
    assert found[0].end <= found[1].start
    assert found[0].job == '7_2'


@pytest.mark.parametrize(('minutes', 'stopped'), [(30, 'cancelled'), (3, 'time')])
def test_the_wish_to_stop_is_passed_on_and_noted(element, tmp_path, minutes, stopped):
    process = element(['sub-a', 'sub-b'], SLEEP, str(tmp_path / '{name}'), minutes=minutes)
    wait_for(tmp_path / 'sub-a')
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 143
    attempt = trace.attempts(tmp_path / 'trace', 'sub-a')[0]
    assert (attempt.exit_code, attempt.stopped) == (143, stopped)
    assert trace.attempts(tmp_path / 'trace', 'sub-b') == []


def test_nobody_else_may_begin_while_the_program_of_a_killed_element_lives(element, tmp_path):
    process = element(['sub-a'], SLEEP, str(tmp_path / 'begun'))
    wait_for(tmp_path / 'begun')
    process.kill()  # the program itself lives on
    process.wait()
    with pytest.raises(trace.Busy), trace.Recorder(tmp_path / 'trace', 'sub-a'):
        pass
    os.killpg(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while True:
        try:
            with trace.Recorder(tmp_path / 'trace', 'sub-a') as recorder:
                recorder.write({'event': 'start', 'job': '8_1', 'host': 'n2'})
            break
        except trace.Busy:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    first, second = trace.attempts(tmp_path / 'trace', 'sub-a')
    assert (first.end, first.exit_code) == ('', None)
    assert second.job == '8_1'


def test_half_a_line_of_a_killed_writer_spoils_nothing(tmp_path, write_trace):
    write_trace('sub-a', '7_1', work='work')
    path = tmp_path / 'work' / 'slurm' / trace.FOLDER / 'sub-a.jsonl'
    with open(path, 'a') as stream:
        stream.write('{"event": "end", "job": "7_')
    write_trace('sub-a', '8_1', (0, False, ''))
    found = trace.attempts(path.parent, 'sub-a')
    assert [(a.job, a.exit_code) for a in found] == [('7_1', None), ('8_1', 0)]


def test_only_the_own_job_is_asked_for_killed_processes(tmp_path):
    memory = tmp_path / 'sys/fs/cgroup/memory'
    step = memory / 'slurm/uid_0/job_7/step_batch'
    step.mkdir(parents=True)
    for folder, kills in ((memory, 90), (memory / 'slurm', 50), (step, 2)):
        (folder / 'memory.oom_control').write_text(f'under_oom 0\noom_kill {kills}\n')
    (tmp_path / 'proc/self').mkdir(parents=True)
    line = '5:memory:/slurm/uid_0/job_7/step_batch\n'
    (tmp_path / 'proc/self/cgroup').write_text(line)
    assert oom_kills(tmp_path) == 2


def test_a_list_that_the_node_does_not_see(tmp_path):
    done = subprocess.run(
        [sys.executable, '-m', 'qsmbids.execution.slurm.element', tmp_path / 'no', '1',
         '--traces', tmp_path, '--job', '1_1', '--minutes', '30', '--', 'true'],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 3
    assert 'every node must see' in done.stderr


def test_trace_is_plain_json(tmp_path, write_trace):
    write_trace('sub-a', '7_1', (0, False, ''))
    lines = (tmp_path / 'work/slurm/trace/sub-a.jsonl').read_text().splitlines()
    assert [json.loads(line)['event'] for line in lines] == ['start', 'end']
