"""Progress on a terminal: the lines drawn at several widths, and a run on a real one."""

import contextlib
import io
import logging
import os
import pty
import re
import select
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from rich.console import Console

from qsmbids.execution.progress import Progress
from qsmbids.execution.terminal import TerminalDisplay

TITLES = ('reading', 'background field removal', 'registration with the atlas')


class FakeGraph:
    name = 'run'

    def __init__(self, keys):
        self.labels = {f'w{n}': key for n, key in enumerate(keys)}
        self.nodes = {
            f'{w}.s{n}': SimpleNamespace(
                fullname=f'run.{w}.s{n}', interface=SimpleNamespace(title=title)
            )
            for w in self.labels
            for n, title in enumerate(TITLES)
        }

    def list_node_names(self):
        return list(self.nodes)

    def get_node(self, name):
        return self.nodes[name]


class Scene:
    """A run on a screen of any size, with a clock of our own."""

    def __init__(self, width, height, keys):
        self.now = 0.0
        self.screen = io.StringIO()
        self.console = Console(
            file=self.screen, force_terminal=True, width=width, height=height, color_system=None
        )
        self.progress = Progress(
            stream=io.StringIO(), environ={}, now=lambda: self.now, limit_gb=8.0
        )
        self.display = TerminalDisplay(io.StringIO(), self.console)
        self.progress._display = self.display
        graph = FakeGraph(keys)
        self.nodes = graph.nodes
        self.progress.add_graph(graph, graph.labels)

    def finish(self, name, seconds, status='end'):
        self.progress(self.nodes[name], 'start')
        self.now += seconds
        self.progress(self.nodes[name], status)

    def drawn(self):
        """Return the lowest lines as they are now."""
        lines = self.display._at_work(self.progress)
        with self.console.capture() as capture:
            self.console.print(self.display._draw(self.display._bar(self.progress), lines))
        return capture.get().splitlines()


@pytest.mark.parametrize('width', [60, 80, 200])
def test_lines_fit_and_say_what_matters(width):
    scene = Scene(width, 24, [f'sub-{n:02d}_ses-baseline_run-1' for n in range(12)])
    for n in range(12):
        scene.finish(f'w{n}.s0', 10)
    for n in range(9):
        scene.finish(f'w{n}.s1', 60)
    scene.finish('w8.s2', 180)
    scene.progress(scene.nodes['w0.s2'], 'start')
    scene.progress(scene.nodes['w1.s2'], 'start')
    scene.now += 95
    lines = scene.drawn()
    assert all(len(line) <= width for line in lines)
    assert len(lines) == 3
    assert lines[0].startswith('sub-00_ses-baseline_run-1  registration with')
    assert '22/36 steps' in lines[-1]
    assert re.search(r'about \d+ to \d+ min', lines[-1])
    assert ('1 of 12 acquisitions' in lines[-1]) == (width > 60)
    if width > 60:
        assert lines[0].rstrip().endswith('1.6 min')


def test_lines_are_as_many_as_the_screen_has_room_for():
    scene = Scene(80, 10, [f'sub-{n:02d}' for n in range(30)])
    for n in range(30):
        scene.progress(scene.nodes[f'w{n}.s0'], 'start')
    lines = scene.drawn()
    assert len(lines) == 8
    assert lines[-2].strip() == 'and 24 more at work'


def test_nothing_is_drawn_anew_when_nothing_changed():
    """Fast steps and idle times must not flicker."""
    scene = Scene(80, 24, ['sub-01', 'sub-02'])
    with scene.progress:
        scene.progress._stop.set()  # the test ticks itself
        scene.finish('w0.s0', 0.01)
        scene.finish('w0.s1', 0.01)
        scene.display.tick(scene.progress)
        drawn = scene.screen.getvalue()
        scene.display.tick(scene.progress)
        assert scene.screen.getvalue() == drawn
        scene.progress(scene.nodes['w1.s0'], 'start')
        scene.display.tick(scene.progress)
        assert 'sub-02  reading 0 s' in scene.screen.getvalue()[len(drawn) :]


def test_ended_acquisitions_scroll_by():
    scene = Scene(80, 24, ['sub-01', 'sub-02', 'sub-03'])
    with scene.progress:
        for n in range(3):
            scene.finish(f'w0.s{n}', 20)
        scene.finish('w1.s0', 5)
        scene.finish('w1.s1', 5, 'exception')
        scene.progress(scene.nodes['w1.s2'], 'skipped')
        for n in range(3):
            scene.progress(scene.nodes[f'w2.s{n}'], 'cached')
    text = scene.screen.getvalue()
    assert 'sub-01 complete   1.0 min\n' in text
    assert 'sub-02 background field removal FAILED after 5.0 s\n' in text
    assert 'sub-02 FAILED at background field removal   10 s   1 step left out\n' in text
    assert 'sub-03' not in text.replace('sub-03  ', '')  # nothing was done for it
    assert text.rstrip().endswith(
        '9/9 steps in 1.2 min, 3 of 3 acquisitions; 3 steps kept from an earlier run'
    )


PROGRAM = """
import logging, os, sys, time
from types import SimpleNamespace
sys.path.insert(0, sys.argv[1])
handler = logging.StreamHandler(sys.stdout)
logging.getLogger('early').addHandler(handler)
from qsmbids.execution.progress import Progress
node = SimpleNamespace(fullname='run.w.a', interface=SimpleNamespace(title='reading'))
graph = SimpleNamespace(
    name='run', list_node_names=lambda: ['w.a'], get_node=lambda name: node
)
try:
    with Progress() as progress:
        progress.add_graph(graph, {'w': 'sub-01'})
        progress(node, 'start')
        time.sleep(0.6)
        print('from print')
        logging.getLogger('early').warning('from a logger')
        if os.fork() == 0:
            print('from a worker', flush=True)
            os.system('echo from a library')
            os._exit(0)
        os.wait()
        time.sleep(0.6)
        if sys.argv[2] == 'stop':
            raise KeyboardInterrupt
        progress(node, 'end')
except KeyboardInterrupt:
    print('stopped')
print('the end', sys.stdout.isatty())
"""


def on_a_terminal(how):
    """Run the program on a terminal of its own; return all that it sent there."""
    master, slave = pty.openpty()
    environ = {k: v for k, v in os.environ.items() if k not in ('CI', 'NO_COLOR')}
    process = subprocess.Popen(
        [sys.executable, '-c', PROGRAM, os.getcwd(), how],
        stdin=subprocess.DEVNULL, stdout=slave, stderr=slave,
        env={**environ, 'TERM': 'xterm', 'COLUMNS': '80', 'LINES': '20'},
    )  # fmt: skip
    os.close(slave)
    sent, deadline = b'', time.monotonic() + 60
    with contextlib.suppress(OSError):  # the other end was closed
        while time.monotonic() < deadline:
            if select.select([master], [], [], 1)[0]:
                sent += os.read(master, 65536)
    os.close(master)
    assert process.wait(10) == 0, sent.decode()
    return sent.decode()


@pytest.mark.parametrize('how', ['end', 'stop'])
def test_real_terminal_is_left_as_it_was_and_nothing_is_lost(how):
    sent = on_a_terminal(how)
    assert 'sub-01  reading 0 s' in sent
    for text in ('from print', 'from a logger', 'from a worker', 'from a library'):
        # each on a line of its own: the display was taken away before
        assert re.search(rf'(?:^|[\n\r]|\x1b\[2K|\x1b\[0m){text}\r\n', sent), text
        assert sent.count(text) == 1
    assert sent.rfind('\x1b[?25h') > sent.rfind('\x1b[?25l') >= 0  # the cursor is back
    assert sent.endswith('the end True\r\n')
    assert ('stopped' in sent) == (how == 'stop')


def test_a_handler_that_follows_stderr_by_itself_is_left_alone():
    logger = logging.getLogger('qsmbids.test.last_resort')
    logger.addHandler(logging.lastResort)
    try:
        with Scene(80, 24, ['sub-01']).progress:
            pass
    finally:
        logger.removeHandler(logging.lastResort)
