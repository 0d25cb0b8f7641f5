"""The image as a file of Apptainer gives what it gives elsewhere, whatever the host leaks in."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.container

TOOLS = Path(__file__).parents[2].parent / 'shared' / 'tools'
QUICK = ('--registration', 'fast', '--random-seed', '7')
BOTH = ('/data', '/out', 'participant', 'group', '-w', '/out/work', *QUICK)


class Apptainer:
    """Apptainer, called directly or as an ordinary user by ../shared/tools."""

    def __init__(self, sif: str, tool: Path | None):
        self.sif = sif
        self.tool = tool

    def run(self, *options, folder, arguments, environ=None, verb='run'):
        """Run the image with /data and /out below a folder."""
        (folder / 'out').mkdir(exist_ok=True)
        (folder / 'out').chmod(0o777)
        inside = ['-B', f'{folder}/bids:/data:ro', '-B', f'{folder}/out:/out']
        rest = [verb, *options, *inside, self.sif, *arguments]
        environ = environ or {}
        if self.tool:
            leaks = [word for n, v in environ.items() for word in ('-e', f'{n}={v}')]
            command = [self.tool, '-s', folder, *leaks, '--', *rest]
        else:
            command = ['apptainer', *rest]
        return subprocess.run(
            list(map(str, command)), capture_output=True, text=True, check=False, timeout=900,
            env={**os.environ, **environ},
        )  # fmt: skip


@pytest.fixture(scope='session')
def apptainer(image) -> Apptainer:
    """Apptainer with the image under test."""
    sif = os.environ.get('QSMBIDS_TEST_SIF')
    tool = TOOLS / 'apptainer-run'
    if shutil.which('apptainer') and sif:
        return Apptainer(sif, None)
    if not tool.is_file() or os.geteuid():
        pytest.skip('no Apptainer with QSMBIDS_TEST_SIF, and no tools beside the checkout')
    if not sif:
        build = subprocess.run(
            [TOOLS / 'apptainer-build', image.tag, 'qsmbids-test'],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if build.returncode:
            pytest.skip(f'Apptainer cannot be used here: {build.stderr[-300:]}')
        sif = build.stdout.split()[-1]
    return Apptainer(sif, tool)


@pytest.fixture
def shared(readable_dataset, tmp_path) -> Path:
    """A folder that every user may enter, with the dataset in it."""
    shutil.copytree(readable_dataset, tmp_path / 'bids')
    tmp_path.chmod(0o755)
    return tmp_path


def contents(out: Path) -> dict[str, bytes]:
    """Return the maps and tables below an output folder."""
    files = [p for kind in ('*.nii.gz', '*.tsv') for p in out.rglob(kind)]
    return {
        str(p.relative_to(out)): p.read_bytes()
        for p in files
        if 'work' not in p.relative_to(out).parts
    }


def differences(one: Path, other: Path) -> list[str]:
    """Return the names of files that differ or are in one folder only."""
    first, second = contents(one), contents(other)
    assert any(name.endswith('_Chimap.nii.gz') for name in first)
    return sorted(n for n in first.keys() | second.keys() if first.get(n) != second.get(n))


def poison(folder: Path) -> None:
    """Write a package that nobody may import."""
    (folder / 'nibabel').mkdir(parents=True)
    (folder / 'nibabel' / '__init__.py').write_text("raise RuntimeError('the poisoned nibabel')\n")


def test_contained_without_network_it_gives_the_same(apptainer, shared, strict_run):
    options = ('--containall', '--net', '--network', 'none')
    run = apptainer.run(*options, folder=shared, arguments=BOTH)
    assert run.returncode == 0, run.stdout + run.stderr
    assert (shared / 'out' / 'group.html').is_file()
    assert differences(strict_run[0], shared / 'out') == []


def test_with_a_poisoned_home_and_environment_it_gives_the_same(apptainer, shared, strict_run):
    poison(shared / 'home' / '.local' / 'lib' / 'python3.11' / 'site-packages')
    poison(shared / 'path')
    environ = {'PYTHONPATH': f'{shared}/path', 'PYTHONSTARTUP': '/nowhere', 'OMP_NUM_THREADS': '5'}
    options = ('--home', f'{shared}/home:/home/hpc', '-B', f'{shared}/path')
    # the poison works: a Python that is told to look there dies of it
    script = f'import sys; sys.path.insert(0, {str(shared / "path")!r}); import nibabel'
    dies = apptainer.run(
        *options, folder=shared, arguments=('python', '-c', script), environ=environ, verb='exec'
    )
    assert 'the poisoned nibabel' in dies.stderr
    run = apptainer.run(*options, folder=shared, arguments=BOTH, environ=environ)
    assert run.returncode == 0, run.stdout + run.stderr
    assert differences(strict_run[0], shared / 'out') == []
    left = [str(p.relative_to(shared / 'home')) for p in (shared / 'home').rglob('*')]
    assert all(p.startswith('.local') for p in left), left
