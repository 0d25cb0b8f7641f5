"""The pool must turn a killed worker into the failure of one node, and end."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from nipype import Node, Workflow
from nipype.interfaces.utility import Function
from nipype.utils.filemanip import loadpkl

from qsmbids.execution.multiproc import SafeLegacyMultiProc, SafeMultiProc


def die(x):
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)
    return x


def die_once(marker):
    import os
    import pathlib
    import signal

    if not pathlib.Path(marker).exists():
        pathlib.Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return marker


def add(x):
    import time

    time.sleep(0.3)
    return x + 1


def fail(x):
    raise ValueError('no brain here.\nIt matters.\nDo this.')


def write_slowly(folder):
    import pathlib
    import time

    notes = pathlib.Path(folder) / 'notes'
    with open(notes, 'a') as stream:
        stream.write('writer begins\n')
    for n in range(20):
        with open('lines.txt', 'a') as stream:
            stream.write(f'{n}\n')
        time.sleep(0.1)
    with open(notes, 'a') as stream:
        stream.write('writer ends\n')
    return pathlib.Path('lines.txt').read_text()


def die_beside(folder):
    import os
    import pathlib
    import signal
    import time

    with open(pathlib.Path(folder) / 'notes', 'a') as stream:
        stream.write('killer begins\n')
    while 'writer begins' not in (pathlib.Path(folder) / 'notes').read_text():
        time.sleep(0.05)
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGKILL)


def node(function, name, **inputs):
    made = Node(Function(function=function, output_names=['out']), name=name)
    for key, value in inputs.items():
        setattr(made.inputs, key, value)
    return made


def run(tmp_path, nodes, connections=(), n_procs=2):
    workflow = Workflow('wf', base_dir=str(tmp_path))
    workflow.config['execution'] = {
        'poll_sleep_duration': 0.1, 'crashdump_dir': str(tmp_path), 'crashfile_format': 'txt',
        'stop_on_first_crash': 'false',  # another test in this process may have set it
    }  # fmt: skip
    workflow.add_nodes(nodes)
    for source, target in connections:
        workflow.connect(source, 'out', target, 'x')
    events = []
    plugin = SafeMultiProc(
        {
            'n_procs': n_procs,
            'memory_gb': 4,
            'status_callback': lambda node, status: events.append((node.name, status)),
        }
    )
    error = None
    try:
        workflow.run(plugin=plugin)
    except RuntimeError as raised:
        error = raised
    return plugin, events, error


@pytest.fixture(autouse=True)
def time_limit():
    """A hang is what this is about: fail instead of waiting for ever."""

    def stop(number, frame):
        raise TimeoutError('the run did not end')

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)


def test_killed_worker_fails_its_node_only(tmp_path):
    killed, after = node(die, 'killed', x=1), node(add, 'after')
    innocent, then = node(add, 'innocent', x=1), node(add, 'then')
    plugin, events, error = run(
        tmp_path, [killed, after, innocent, then], [(killed, after), (innocent, then)]
    )
    assert error is not None
    assert [f.node for f in plugin.failures] == ['wf.killed']
    assert 'out of memory' in plugin.failures[0].message
    assert os.path.isfile(plugin.failures[0].crash_file)
    assert ('innocent', 'end') in events
    assert ('then', 'end') in events
    assert ('after', 'start') not in events


def test_worker_killed_once_is_tried_again(tmp_path):
    plugin, events, error = run(
        tmp_path, [node(die_once, 'unlucky', marker=str(tmp_path / 'marker'))]
    )
    assert error is None
    assert plugin.failures == []
    assert ('unlucky', 'end') in events


def test_message_of_an_error_is_kept(tmp_path):
    plugin, _, error = run(tmp_path, [node(fail, 'bad', x=1), node(fail, 'worse', x=2)])
    assert error is not None
    assert len(plugin.failures) == 2
    assert plugin.failures[0].message == 'no brain here.\nIt matters.\nDo this.'


def test_a_node_that_writes_beside_a_killed_one_starts_anew_and_alone(tmp_path):
    writer = node(write_slowly, 'writer', folder=str(tmp_path))
    killer = node(die_beside, 'killer', folder=str(tmp_path))
    plugin, events, _ = run(tmp_path, [writer, killer])
    written = loadpkl(tmp_path / 'wf/writer/result_writer.pklz').outputs.out
    assert [f.node for f in plugin.failures] == ['wf.killer']
    assert ('writer', 'end') in events
    assert written == ''.join(f'{n}\n' for n in range(20))
    again = (tmp_path / 'notes').read_text().splitlines()[2:]
    assert again.count('writer begins') == 1
    assert again[again.index('writer begins') + 1] == 'writer ends'  # nothing beside it


def test_nodes_follow_one_another_without_a_wait(tmp_path, monkeypatch):
    monkeypatch.setattr('qsmbids.execution.multiproc._LONGEST_SLEEP_S', 60.0)
    nodes = [node(add, f'n{n}') for n in range(4)]
    nodes[0].inputs.x = 0
    chain = list(itertools.pairwise(nodes))
    beside = [node(add, f'b{n}', x=n) for n in range(2)]
    begin = time.monotonic()
    _, events, error = run(tmp_path, [*nodes, *beside], chain)
    assert error is None
    assert sum(status == 'end' for _, status in events) == 6
    run(tmp_path, [*nodes, *beside], chain)  # from the cache
    assert time.monotonic() - begin < 30


def test_longest_way_first_one_acquisition_after_the_other(tmp_path):
    """Of a, then b and c, the quick way b waits for c; the second graph waits for the first."""
    nodes = {
        f'{name}{k}': node(add, f'{name}{k}') for k in (1, 2) for name in ('a', 'b', 'c', 'd')
    }
    connections = []
    for k in (1, 2):
        a, b, c, d = (nodes[f'{name}{k}'] for name in 'abcd')
        a.inputs.x = k
        b.qsmbids_seconds, c.qsmbids_seconds, d.qsmbids_seconds = 5.0, 1.0, 60.0
        connections += [(a, b), (a, c), (c, d)]
    plugin, events, _ = run(tmp_path, list(nodes.values()), connections, n_procs=1)
    assert plugin.failures == []
    started = [name for name, status in events if status == 'start']
    assert started == ['a1', 'c1', 'd1', 'b1', 'a2', 'c2', 'd2', 'b2']


@pytest.mark.parametrize('plugin', ['MultiProc', 'LegacyMultiProc'])
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_run_even_in_a_long_call(tmp_path, plugin, number):
    program = Path(__file__).with_name('stuck_graph.py')
    process = subprocess.Popen(
        [sys.executable, program, tmp_path, plugin],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        said = next(line for line in process.stdout if line.startswith('workers'))
        workers = [int(pid) for pid in said.split()[1:]]
        process.send_signal(number)
        begin = time.monotonic()
        process.wait()
        while any(is_alive(pid) for pid in workers):
            assert time.monotonic() - begin < 5
            time.sleep(0.05)
        assert time.monotonic() - begin < 5
        assert process.returncode == (143 if number == signal.SIGTERM else -number)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def is_alive(pid):
    try:
        return Path(f'/proc/{pid}/stat').read_text().rsplit(')')[-1].split()[0] != 'Z'
    except OSError:
        return False


def deaf(started):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    started.touch()
    time.sleep(600)


def test_a_worker_of_the_older_pool_that_lost_the_signal_is_killed(tmp_path):
    plugin = SafeLegacyMultiProc({'n_procs': 1})
    (worker,) = plugin.pool._pool
    plugin.pool.apply_async(deaf, [tmp_path / 'started'])
    while not (tmp_path / 'started').exists():
        time.sleep(0.01)
    stop = threading.Thread(target=plugin.stop, daemon=True)
    stop.start()
    stop.join(30)
    assert not stop.is_alive()
    assert not worker.is_alive()
