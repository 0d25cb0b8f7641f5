"""Real runs of the program on a head of 6 mm, and what is disturbed in them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from qsmbids.phantom.dataset import write_dataset
from qsmbids.phantom.parameters import PhantomParameters

TIMEOUT_S = 300


def pytest_collection_modifyitems(items):
    for item in items:
        if 'faults' in item.path.parts:
            item.add_marker(pytest.mark.slow)


@dataclass
class App:
    """One place to run in: output and work folder of its own."""

    bids: Path
    folder: Path
    options: tuple = ()
    processes: list = field(default_factory=list)

    @property
    def out(self):
        return self.folder / 'out'

    @property
    def work(self):
        return self.folder / 'work'

    def start(self, *options):
        """Start the program as the leader of a process group."""
        command = [
            sys.executable, '-m', 'qsmbids', self.bids, self.out, 'participant', '-w', self.work,
            '--recon-only', '--nprocs', '1', *self.options, *options,
        ]  # fmt: skip
        process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def finish(self, process):
        """Wait for the end; return exit code, standard output and standard error."""
        out, err = process.communicate(timeout=TIMEOUT_S)
        return process.returncode, out, err

    def run(self, *options):
        return self.finish(self.start(*options))

    def complete(self, *options):
        """Run to a good end; return what was said."""
        code, out, err = self.run(*options)
        assert code == 0, out + err
        assert 'Traceback' not in out + err
        return out

    def wait_for(self, process, text):
        """Read on until a line with the text was printed."""
        for line in process.stdout:
            if text in line:
                return line
        raise AssertionError(f'{text!r} never came: {process.stderr.read()}')

    def kill(self, process):
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def results(self):
        """Everything that counts, by path: images, tables, sidecars and figures."""
        kinds = ('*.nii.gz', '*.tsv', 'sub-*/**/*.json', '*.webp')
        found = sorted({path for kind in kinds for path in self.out.rglob(kind)})
        return {
            str(path.relative_to(self.out)): path.read_bytes()
            for path in found
            if 'log' not in path.parts
        }

    def unfinished(self):
        """Temporary files anywhere below the output folder."""
        return [str(path) for path in self.out.rglob('.*') if path.name != '.bidsignore']

    def assert_like(self, other):
        """The end state is that of another run, byte by byte, and nothing else is there."""
        mine, theirs = self.results(), other.results()
        assert mine.keys() == theirs.keys()
        assert [name for name in mine if mine[name] != theirs[name]] == []
        assert self.unfinished() == []
        for record in self.out.glob('sub-*/log/*.json'):
            json.loads(record.read_text())

    def members(self, process):
        """Processes of the run that live, by the session they are in."""
        found = []
        for stat in Path('/proc').glob('[0-9]*/stat'):
            try:
                state, _, _, session = stat.read_text().rpartition(')')[2].split()[:4]
            except (OSError, ValueError):
                continue
            if int(session) == process.pid and state != 'Z':
                found.append(int(stat.parent.name))
        return found


def phantom(folder, ages):
    parameters = PhantomParameters(
        voxel_size_mm=6.0, echo_times_s=(0.004, 0.010, 0.016), snr=100.0
    )
    return write_dataset(folder, ages, parameters=parameters)


@pytest.fixture(scope='session')
def one_person(tmp_path_factory):
    return phantom(tmp_path_factory.mktemp('one') / 'bids', (30.0,))


@pytest.fixture(scope='session')
def two_people(tmp_path_factory):
    return phantom(tmp_path_factory.mktemp('two') / 'bids', (30.0, 60.0))


@pytest.fixture(scope='session')
def undisturbed(one_person, tmp_path_factory):
    """A run of one person without disturbance, and how long it took."""
    app = App(one_person, tmp_path_factory.mktemp('undisturbed'))
    app.complete()  # compiles, the first time
    shutil.rmtree(app.out)
    start = time.monotonic()
    app.complete()
    app.seconds = time.monotonic() - start
    return app


@pytest.fixture(scope='session')
def undisturbed_two(two_people, tmp_path_factory):
    app = App(two_people, tmp_path_factory.mktemp('undisturbed_two'))
    app.complete()
    return app


@pytest.fixture
def new_app(tmp_path):
    """Make places to run in; whatever still runs at the end of the test is killed."""
    made = []

    def make(bids, *options, name='run'):
        made.append(App(bids, tmp_path / name, options))
        made[-1].folder.mkdir(exist_ok=True)
        return made[-1]

    yield make
    for app in made:
        for process in app.processes:
            if process.poll() is None:
                app.kill(process)
            for pipe in (process.stdout, process.stderr):
                pipe.close()


@pytest.fixture
def killed_and_restarted(one_person, undisturbed, new_app):
    """Kill a run at a part of the time it takes, start it again, compare the end."""

    def check(part):
        app = new_app(one_person, name=f'at-{part:.3f}')
        process = app.start()
        try:
            process.wait(timeout=part * undisturbed.seconds)
        except subprocess.TimeoutExpired:
            app.kill(process)
        hit = process.returncode == -signal.SIGKILL
        process.communicate()
        app.complete()
        app.assert_like(undisturbed)
        steps = list(app.work.glob('qsmbids_*_wf/*'))
        assert steps == [], 'what is finished leaves nothing in the work folder'
        return hit

    return check


@pytest.fixture
def small_disk(tmp_path):
    """Mount file systems of a given size, and make them larger."""
    places = []

    def mount(folder, size):
        folder.mkdir(parents=True, exist_ok=True)
        again = folder in places
        options = f'remount,size={size}' if again else f'size={size}'
        command = ['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', str(folder)]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            pytest.skip(f'file systems cannot be mounted here: {made.stderr.strip()}')
        if not again:
            places.append(folder)

    if shutil.which('mount') is None or os.geteuid() != 0:
        pytest.skip('only root may mount file systems')
    yield mount
    for folder in places:
        subprocess.run(['umount', '-l', str(folder)], check=False)
