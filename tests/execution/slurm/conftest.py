"""A scheduler that only keeps books, and a dataset of tiny images."""

import json
import os
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from qsmbids.cli import slurm, slurm_people
from qsmbids.execution.slurm import trace

PROGRAM = r"""#!{python}
import json, re, sys
from pathlib import Path
name, home = Path(sys.argv[0]).name, Path({home!r})
book = home / 'jobs.json'
jobs = json.loads(book.read_text()) if book.exists() else {{}}
with open(home / 'calls', 'a') as stream:
    stream.write(json.dumps([name, *sys.argv[1:]]) + '\n')
if name == 'sbatch':
    if (home / 'refuse').exists():
        sys.exit((home / 'refuse').read_text())
    text = Path(sys.argv[-1]).read_text()
    array = re.search(r'--array=1-(\d+)', text)
    number = str(1 + max(map(int, jobs), default=0))
    elements = [str(n) for n in range(1, int(array[1]) + 1)] if array else ['N/A']
    jobs[number] = {{'name': re.search(r'--job-name=(\S+)', text)[1],
                    'states': dict.fromkeys(elements, 'PENDING')}}
    print(number)
elif name == 'squeue':
    if (home / 'down').exists():
        sys.exit('Unable to contact slurm controller')
    why = home / 'reason'
    why = why.read_text() if why.exists() else 'None'
    for number, job in jobs.items():
        for element, state in job['states'].items():
            print(f'{{number}}|{{element}}|{{job["name"]}}|{{state}}|{{why}}')
elif name == 'scancel':
    for number in sys.argv[1:]:
        job = jobs[number]['states']
        job.update({{e: 'CANCELLED' for e, s in job.items() if s in ('PENDING', 'RUNNING')}})
elif name == 'scontrol':
    print('MaxArraySize            = 11')
elif name == 'sacct' and (home / 'accounts').exists():
    print((home / 'accounts').read_text())
book.write_text(json.dumps(jobs))
"""


class Scheduler:
    """The test's hand on the books."""

    def __init__(self, home: Path):
        self.home = home
        self._book = home / 'jobs.json'

    @property
    def jobs(self):
        return json.loads(self._book.read_text()) if self._book.exists() else {}

    @property
    def calls(self):
        return [json.loads(line) for line in (self.home / 'calls').read_text().splitlines()]

    def set(self, job, element, state):
        jobs = self.jobs
        jobs[job]['states'][element] = state
        self._book.write_text(json.dumps(jobs))

    def forget(self):
        self._book.write_text('{}')


@pytest.fixture
def scheduler(tmp_path, monkeypatch):
    home = tmp_path / 'fake'
    home.mkdir()
    for name in ('sbatch', 'squeue', 'scancel', 'scontrol', 'sacct'):
        path = home / name
        path.write_text(PROGRAM.format(python=sys.executable, home=str(home)))
        path.chmod(0o755)
    monkeypatch.setenv('PATH', f'{home}:/usr/bin:/bin')
    monkeypatch.delenv('QSMBIDS_ATLAS_CACHE', raising=False)
    return Scheduler(home)


@pytest.fixture
def write_trace(tmp_path):
    """Write events of one person: job, and None or (exit code, memory, stopped)."""

    def write(name, job, end=None, work='work'):
        with trace.Recorder(tmp_path / work / 'slurm' / trace.FOLDER, name) as recorder:
            recorder.write({'event': 'start', 'job': job, 'host': 'n1'})
            if end:
                code, memory, stopped = end
                recorder.write(
                    {'event': 'end', 'job': job, 'exit_code': code, 'memory': memory,
                     'stopped': stopped}
                )  # fmt: skip

    return write


@pytest.fixture
def people(tmp_path):
    """Make a dataset of so many people with tiny images."""

    def make(count, folder='bids'):
        root = tmp_path / folder
        root.mkdir()
        description = {'Name': 'tiny', 'BIDSVersion': '1.10.0'}
        (root / 'dataset_description.json').write_text(json.dumps(description))
        rng = np.random.default_rng(1)
        affine = np.diag([2.0, 2.0, 2.0, 1.0])
        first = root / 'sub-0001' / 'anat'
        first.mkdir(parents=True)
        for echo, seconds in enumerate((0.005, 0.010, 0.015), 1):
            for part in ('mag', 'phase'):
                data = rng.uniform(-np.pi, np.pi, (16, 16, 16)).astype(np.float32)
                data = data if part == 'phase' else 100 * (data + 4)
                stem = first / f'sub-0001_echo-{echo}_part-{part}_MEGRE'
                image = nib.Nifti1Image(data, affine)
                image.set_sform(affine, 1)
                nib.save(image, f'{stem}.nii.gz')
                sidecar = {'EchoTime': seconds, 'MagneticFieldStrength': 3.0}
                Path(f'{stem}.json').write_text(json.dumps(sidecar))
        for n in range(2, count + 1):
            copy = root / f'sub-{n:04d}' / 'anat'
            copy.mkdir(parents=True)
            for path in first.iterdir():
                os.link(path, copy / path.name.replace('sub-0001', f'sub-{n:04d}'))
        return root

    return make


@pytest.fixture
def call(tmp_path, scheduler, people, capsys):
    """Call the program for three people; returns exit code, output and errors."""
    bids = people(3)

    def run(*options):
        base = [bids, tmp_path / 'out', '-w', tmp_path / 'work', '--recon-only']
        code = slurm.main([*map(str, base), *options])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def finished(monkeypatch):
    """Names of people whose outputs are there."""
    names = set()
    monkeypatch.setattr(slurm_people, 'is_done', lambda name, *_: name in names)
    return names
