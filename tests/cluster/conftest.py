"""A real Slurm of three nodes, people for it, and the image as a file of Apptainer.

QSMBIDS_TOOLS         the folder with slurm-up, apptainer-run and others (default: ../shared/tools
                      beside the checkout)
QSMBIDS_TEST_SIF      the image as a file of Apptainer; without it, made of the next one
QSMBIDS_TEST_IMAGE    the image (default qsmbids:dev)
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from qsmbids.phantom.dataset import write_dataset
from qsmbids.phantom.parameters import PhantomParameters

TOOLS = Path(
    os.environ.get('QSMBIDS_TOOLS', Path(__file__).resolve().parents[3] / 'shared' / 'tools')
)
PATIENCE_S = 360
START_S = 120


@dataclass
class Study:
    """A dataset, the folders of one submission, and the environment that reaches the cluster."""

    bids: Path
    out: Path
    work: Path
    environ: dict[str, str]
    options: list[str] = field(default_factory=list)

    def call(self, *options, env=None):
        """Call qsmbids-slurm; what it makes, any user may write to."""
        command = [sys.executable, '-m', 'qsmbids.cli.slurm', self.bids, self.out, '--recon-only']
        return subprocess.run(
            [*command, '-w', self.work, '--cpus', '1', *self.options, *options],
            capture_output=True, text=True, env=env or self.environ, check=False, umask=0,
        )  # fmt: skip

    def states(self):
        """Return what --status says."""
        done = self.call('--status', '--json')
        assert done.returncode in (0, 1), done.stderr
        return json.loads(done.stdout)

    def submissions(self):
        """Return the record."""
        return json.loads((self.work / 'slurm' / 'submissions.json').read_text())['submissions']

    def slurm(self, *command):
        """Call a program of Slurm; return what it says."""
        return subprocess.run(
            command, env=self.environ, capture_output=True, text=True, check=True
        ).stdout.strip()

    def wait_until_nothing_waits(self):
        """Wait until the queue is empty."""
        wait_for(self._nothing_waits)

    def _nothing_waits(self):
        try:
            return not self.slurm('squeue', '-h', '-o', '%i')
        except subprocess.CalledProcessError:  # too busy to answer
            return False

    def wait_for(self, what):
        """Wait until something is true."""
        return wait_for(what)


def wait_for(what, patience=PATIENCE_S):
    deadline = time.monotonic() + patience
    while not (found := what()):
        assert time.monotonic() < deadline, f'not within {patience} s: {what}'
        time.sleep(1)
    return found


@pytest.fixture(scope='session')
def slurm():
    """What starts three nodes that enforce memory, and yields the environment to reach them."""
    return _slurm


@contextmanager
def _slurm(home, *options):
    if not (TOOLS / 'slurm-up').is_file() or os.geteuid() != 0:
        pytest.skip('no slurm-up (set QSMBIDS_TOOLS to its folder), or not root')
    environ = {**os.environ, 'SLURM_CONF': str(home / 'slurm.conf'), 'LOGNAME': 'root'}
    try:
        _up(home, options)
        _check_memory_is_enforced(environ)
        yield environ
    finally:
        subprocess.run([TOOLS / 'slurm-down', '--clean', home], capture_output=True, check=False)


def _up(home, options):
    port = 20000 + os.getpid() % 12000  # below those that the system hands out
    try:
        up = subprocess.run(
            [TOOLS / 'slurm-up', '--cgroup', '--port', str(port), *options, home],
            capture_output=True, text=True, check=False, timeout=START_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        pytest.skip(f'slurm-up did not end within {START_S} s')
    if up.returncode:
        pytest.skip(f'slurm-up: {up.stderr[-300:]}')


def _check_memory_is_enforced(environ):
    """A job that takes more than it asked for must die, and one that does not must live."""
    for megabytes, lives in ((1, True), (300, False)):
        take = ['srun', '--mem=100M', sys.executable, '-c', f'b"x" * ({megabytes} << 20)']
        try:
            job = subprocess.run(
                take, env=environ, capture_output=True, check=False, timeout=START_S
            )
        except subprocess.TimeoutExpired:
            pytest.skip('this Slurm runs no jobs')
        if (job.returncode == 0) != lives:
            pytest.skip('this Slurm does not enforce memory, or its jobs cannot run')


@pytest.fixture(scope='module')
def cluster(slurm, tmp_path_factory):
    """Three nodes that enforce memory; yields the environment to reach them."""
    with slurm(tmp_path_factory.mktemp('cluster')) as environ:
        yield environ


@pytest.fixture(scope='module')
def head(tmp_path_factory):
    """One small person."""
    root = tmp_path_factory.mktemp('data') / 'one'
    parameters = PhantomParameters(voxel_size_mm=5.0, echo_times_s=(0.004, 0.010, 0.016))
    write_dataset(root, (30.0,), parameters=parameters)
    return root


@pytest.fixture
def study(cluster, head, tmp_path):
    """Make a study of people who share one head: who they are is not the question here."""

    def make(names):
        bids = tmp_path / 'bids'
        for name in names:
            for path in (head / 'sub-01').rglob('*.*'):
                copy = bids / str(path.relative_to(head)).replace('sub-01', name)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, copy)
        shutil.copy(head / 'dataset_description.json', bids)
        rows = ''.join(f'{name}\t{20 + n}\n' for n, name in enumerate(names))
        (bids / 'participants.tsv').write_text('participant_id\tage\n' + rows)
        return Study(bids, tmp_path / 'out', tmp_path / 'work folder', cluster)

    return make


@pytest.fixture(scope='session')
def sif():
    """The image as a file of Apptainer."""
    given = os.environ.get('QSMBIDS_TEST_SIF')
    if given and not Path(given).is_file():
        pytest.fail(f'QSMBIDS_TEST_SIF: there is no {given}')
    if given:
        return Path(given)
    tag = os.environ.get('QSMBIDS_TEST_IMAGE', 'qsmbids:dev')
    if not (TOOLS / 'apptainer-build').is_file() or os.geteuid() != 0:
        pytest.skip('no QSMBIDS_TEST_SIF, and no apptainer-build in QSMBIDS_TOOLS, or not root')
    build = subprocess.run(
        [TOOLS / 'apptainer-build', tag, 'qsmbids-test'],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if build.returncode:
        pytest.skip(f'no image for Apptainer: {build.stderr[-300:]}')
    return Path(build.stdout.split()[-1])


@pytest.fixture
def apptainer(sif, tmp_path):
    """Return the program: that of the machine, or one that calls the tools.

    The tools run Apptainer as an ordinary user, who sees the folder of the test only.
    """
    found = shutil.which('apptainer')
    if found:
        return Path(found)
    if not (TOOLS / 'apptainer-run').is_file():
        pytest.skip('no Apptainer, and no apptainer-run in QSMBIDS_TOOLS')
    program = tmp_path / 'bin' / 'apptainer'
    program.parent.mkdir()
    call = shlex.join([str(TOOLS / 'apptainer-run'), '-s', str(tmp_path), '--'])
    program.write_text(f'#!/bin/bash\nexec {call} "$@"\n')
    program.chmod(0o755)
    tmp_path.chmod(0o755)
    works = subprocess.run([program, '--version'], capture_output=True, text=True, check=False)
    if works.returncode:
        pytest.skip(f'Apptainer cannot be used here: {works.stderr[-300:]}')
    return program
