"""Progress in a log: what is said of steps, acquisitions and the run, with a clock of our own."""

import io
import json
import re
import threading
from types import SimpleNamespace

import pytest
from nipype import Node, Workflow
from nipype.interfaces.utility import Function

from qsmbids.execution.multiproc import SafeMultiProc
from qsmbids.execution.progress import Progress, is_terminal

STEPS = {'load': 'reading', 'mask': 'brain mask', 'chi': 'dipole inversion'}


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class FakeNode:
    def __init__(self, folder, workflow, name):
        self.fullname = f'run.{workflow}.{name}'
        self.interface = SimpleNamespace(title=STEPS.get(name, ''))
        self.mem_gb, self.n_procs = 1.5, 1
        self.folder = folder / self.fullname

    def output_dir(self):
        return str(self.folder)

    def write(self, peak_gb):
        self.folder.mkdir(exist_ok=True)
        (self.folder / 'record.json').write_text(json.dumps({'peak_gb': peak_gb}))


class FakeGraph:
    """Acquisitions with three steps and one without a title."""

    name = 'run'

    def __init__(self, folder, *workflows):
        self.labels = {w: f'sub-{w}' for w in workflows}
        self.nodes = {
            f'{w}.{n}': FakeNode(folder, w, n) for w in workflows for n in (*STEPS, 'merge')
        }

    def list_node_names(self):
        return list(self.nodes)

    def get_node(self, name):
        return self.nodes[name]


class Scene:
    def __init__(self, folder, **options):
        self.folder, self.clock, self.stream = folder, Clock(), io.StringIO()
        self.progress = Progress(stream=self.stream, environ={}, now=self.clock, **options)

    def graph(self, *workflows):
        graph = FakeGraph(self.folder, *workflows)
        self.progress.add_graph(graph, graph.labels)
        return graph.nodes

    def do(self, node, seconds, peak_gb=0.42, status='end'):
        self.progress(node, 'start')
        self.clock.now += seconds
        if status == 'end':
            node.write(peak_gb)
        self.progress(node, status)

    @property
    def lines(self):
        return self.stream.getvalue().splitlines()


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path, limit_gb=8.0)


def test_line_of_a_step_has_time_and_memory(scene):
    nodes = scene.graph('01')
    scene.do(nodes['01.load'], 3.14)
    scene.do(nodes['01.merge'], 1.0)
    assert len(scene.lines) == 1  # what has no title is no step
    assert re.fullmatch(r'\[1/3\] sub-01 reading +3\.1 s  0\.42 GB', scene.lines[0])


def test_memory_that_is_not_known_is_left_out(scene):
    node = scene.graph('01')['01.load']
    scene.progress(node, 'start')
    scene.clock.now += 5
    scene.progress(node, 'end')
    assert scene.lines[0].endswith(' 5.0 s')


def test_acquisition_ends_with_a_line_and_can_be_asked_for(scene):
    nodes = scene.graph('01', '02')
    for name, peak in (('load', 0.4), ('mask', 1.25), ('chi', 0.9)):
        scene.do(nodes[f'01.{name}'], 20, peak)
    assert scene.lines[-1] == 'sub-01 complete   1.0 min   peak 1.25 GB   (1 of 2 acquisitions)'
    assert scene.progress.spent('sub-01').seconds == 60
    assert scene.progress.spent('sub-01').peak_gb == 1.25
    assert scene.progress.spent('sub-99').seconds == 0


def test_time_of_an_acquisition_counts_steps_side_by_side_once(scene):
    nodes = scene.graph('01')
    scene.progress(nodes['01.load'], 'start')
    scene.clock.now += 4
    scene.progress(nodes['01.mask'], 'start')
    scene.clock.now += 4
    scene.progress(nodes['01.load'], 'end')
    scene.clock.now += 4
    scene.progress(nodes['01.mask'], 'end')
    scene.clock.now += 1000
    assert scene.progress.spent('sub-01').seconds == 12


@pytest.mark.parametrize('told', [True, False])
def test_failure_closes_the_acquisition_with_what_was_left_out(scene, told):
    """Whether or not the scheduler says which steps it drops."""
    nodes = scene.graph('01')
    scene.do(nodes['01.load'], 2)
    scene.do(nodes['01.mask'], 3, status='exception')
    assert re.search(r'brain mask +3\.0 s  FAILED$', scene.lines[1])
    if told:
        scene.progress(nodes['01.chi'], 'skipped')
    scene.progress.end_graph()
    assert scene.lines[2].startswith('sub-01 FAILED at brain mask')
    assert '1 step left out' in scene.lines[2]
    assert len(scene.lines) == 3
    assert scene.progress.count == '3/3'


def test_interruption_calls_nothing_failed(scene):
    def run():
        with scene.progress:
            scene.do(scene.graph('01')['01.load'], 2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert 'FAILED' not in scene.stream.getvalue()


def test_kept_steps_are_one_line(scene):
    """MultiProc reports them with 'end' only, cluster plugins with 'start' and at once 'end'."""
    nodes = scene.graph('01', '02', '03')
    for name in STEPS:
        scene.progress(nodes[f'01.{name}'], 'end')
        nodes[f'02.{name}'].write(0.1)
        scene.progress(nodes[f'02.{name}'], 'start')
        scene.clock.now += 0.01
        scene.progress(nodes[f'02.{name}'], 'end')
    scene.progress(nodes['03.load'], 'cached')
    scene.do(nodes['03.mask'], 5)
    assert len(scene.lines) == 2
    assert scene.lines[0] == '[8/9] 7 steps kept from an earlier run'
    assert scene.progress.tally.works['sub-01'].state == 'kept'
    assert scene.progress.tally.works['sub-03'].state == 'complete'


def test_step_that_is_quickly_done_anew_is_not_taken_for_kept(scene):
    node = scene.graph('01')['01.load']
    node.write(0.1)
    scene.progress(node, 'start')
    (node.folder / 'record.json').unlink()
    node.write(0.25)
    scene.clock.now += 0.3
    scene.progress(node, 'end')
    assert '0.25 GB' in scene.lines[0]


def test_several_graphs_count_as_one_run(tmp_path):
    scene = Scene(tmp_path, acquisitions={f'sub-0{n}': 30.0 for n in range(1, 5)}, workers=1)
    nodes = scene.graph('01', '02')
    for node in nodes.values():
        scene.do(node, 60)
    assert scene.lines[0].startswith('[1/~12]')
    assert scene.lines[-1].endswith('(2 of 4 acquisitions)')
    # six steps of a minute are to come, and the forecast said 30 s for three
    low, high = re.search(r'about (\d+) to (\d+) min left', scene.progress.time_left()).groups()
    assert int(low) <= 6 <= int(high)
    more = scene.graph('03', '04')
    scene.do(more['03.load'], 60)
    assert scene.lines[-1].startswith('[7/12]')


def test_heartbeat_each_minute(scene):
    nodes = scene.graph('01', '02')
    scene.progress(nodes['01.load'], 'start')
    ticks = []
    for _ in range(150):
        scene.clock.now += 1
        scene.progress._show('tick', scene.progress)
        ticks.append(len(scene.lines))
    assert ticks[58:60] == [0, 1]
    assert ticks[-1] == 2
    assert re.fullmatch(
        r'\.\.\. after 1\.0 min at work: sub-01 reading \(1\.0 min\); memory \d\.\d of 8\.0 GB',
        scene.lines[0],
    )


def test_graph_whose_nodes_have_names_of_their_own(scene):
    """As that of an atlas: there are no acquisitions, and none are counted."""
    graph = FakeGraph(scene.folder, '01')
    scene.progress.add_graph(graph, {name: f'adults, {name}' for name in STEPS})
    for name in STEPS:
        scene.do(graph.nodes[f'01.{name}'], 10)
    assert [line.split()[0] for line in scene.lines] == ['[1/3]', '[2/3]', '[3/3]']
    assert 'adults, mask brain mask' in scene.lines[1]
    assert scene.progress.acquisitions == (0, 0)


def test_run_goes_on_when_the_log_is_gone(scene):
    nodes = scene.graph('01')
    scene.stream.close()
    for node in nodes.values():
        scene.do(node, 1)
    assert scene.progress.count == '3/3'


def test_log_has_no_escape_codes_and_a_terminal_is_recognised():
    class Screen(io.StringIO):
        def isatty(self):
            return True

    assert is_terminal(Screen(), {'TERM': 'xterm'})
    for environ in ({}, {'TERM': 'dumb'}, {'TERM': 'xterm', 'NO_COLOR': '1'},
                    {'TERM': 'xterm', 'CI': 'true'}):  # fmt: skip
        assert not is_terminal(Screen(), environ)
    assert not is_terminal(io.StringIO(), {'TERM': 'xterm'})


def test_calls_from_several_threads(scene):
    names = [f'{n:02d}' for n in range(40)]
    nodes = scene.graph(*names)

    def work(own):
        for name in own:
            for step in STEPS:
                scene.progress(nodes[f'{name}.{step}'], 'start')
                nodes[f'{name}.{step}'].write(0.1)
                scene.progress(nodes[f'{name}.{step}'], 'end')

    threads = [threading.Thread(target=work, args=(names[n::4],)) for n in range(4)]
    with scene.progress:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert scene.progress.count == '120/120'
    assert len(scene.lines) == 160


def add(x, fail):
    if fail:
        raise ValueError('no brain')
    return x + 1


def test_with_the_real_scheduler(tmp_path):
    """Names, kept steps and failures are those that Nipype reports."""

    def run(fail):
        inner = Workflow('sub_01_wf')
        first, second, third = (
            Node(Function(function=add, output_names=['out']), name=name) for name in 'abc'
        )
        first.inputs.x = 1
        for node in (first, second, third):
            node.inputs.fail = fail and node is second
            node.interface.title = f'step {node.name}'
        inner.connect([(first, second, [('out', 'x')]), (second, third, [('out', 'x')])])
        outer = Workflow('run', base_dir=str(tmp_path))
        outer.config['execution'] = {
            'poll_sleep_duration': 0.1, 'crashdump_dir': str(tmp_path),
            'crashfile_format': 'txt', 'stop_on_first_crash': 'false',
        }  # fmt: skip
        outer.add_nodes([inner])
        stream = io.StringIO()
        with Progress(stream=stream, environ={}) as progress:
            progress.add_graph(outer, {'sub_01_wf': 'sub-01'})
            plugin = SafeMultiProc(
                {'n_procs': 1, 'memory_gb': 4, 'status_callback': progress}
            )  # fmt: skip
            try:
                outer.run(plugin=plugin)
            except RuntimeError:
                assert fail
        return stream.getvalue().splitlines()

    failed = run(fail=True)
    assert [line[:5] for line in failed[:2]] == ['[1/3]', '[2/3]']
    assert failed[2].startswith('sub-01 FAILED at step b')
    mended = run(fail=False)
    assert any('1 step kept from an earlier run' in line for line in mended)
    assert any(line.startswith('sub-01 complete') for line in mended)
