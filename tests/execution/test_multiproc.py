"""The pool must turn a killed worker into the failure of one node, and end."""

import os
import signal

import pytest
from nipype import Node, Workflow
from nipype.interfaces.utility import Function

from qsmbids.execution.multiproc import SafeMultiProc


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


def node(function, name, **inputs):
    made = Node(Function(function=function, output_names=['out']), name=name)
    for key, value in inputs.items():
        setattr(made.inputs, key, value)
    return made


def run(tmp_path, nodes, connections=()):
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
            'n_procs': 2,
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
