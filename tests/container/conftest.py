"""The image under test, the engine that runs it, and one small run that several tests look at.

QSMBIDS_TEST_IMAGE    the image (default qsmbids:dev)
QSMBIDS_TEST_ENGINE   docker or podman, as a command (default: what container-setup of
                      ../shared/tools beside the checkout offers, else podman, else docker)
QSMBIDS_TEST_SIF      the same image as a file of Apptainer; made of the image where that folder
                      has the tools for it
"""

import json
import os
import shutil
import subprocess
import time
import uuid
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
TOOLS = CHECKOUT.parent / 'shared' / 'tools'
STRANGER = '12345:12345'  # a user that the image does not know
QUICK = ('--registration', 'fast', '--random-seed', '7')


def exports(setup: Path) -> dict[str, str]:
    """Return the environment that a line of ``export`` statements sets."""
    script = f'eval "$({setup} --env)" && env -0'
    run = subprocess.run(['bash', '-c', script], capture_output=True, check=False)
    if run.returncode:
        return dict(os.environ)
    return dict(line.split('=', 1) for line in run.stdout.decode().split('\0') if '=' in line)


class Image:
    """The image, run as strictly as a careful user would.

    Parameters
    ----------
    engine : str
        docker or podman.
    environ : dict
        Its environment.
    tag : str
        Of the image.
    """

    def __init__(self, engine: str, environ: dict[str, str], tag: str):
        self.engine = engine
        self.environ = environ
        self.tag = tag

    def call(self, *arguments: object, **options) -> subprocess.CompletedProcess:
        """Call the engine."""
        command = [self.engine, *map(str, arguments)]
        return subprocess.run(
            command, env=self.environ, capture_output=True, text=True, check=False, **options
        )

    def inspect(self) -> dict:
        """Return what the engine knows of the image."""
        return json.loads(self.call('image', 'inspect', self.tag).stdout)[0]

    def options(
        self,
        *,
        bids: Path | None = None,
        out: Path | None = None,
        tmp: str = '1g',
        memory: str = '6g',
        entrypoint: str = '',
        environ: dict[str, str] | None = None,
    ) -> list[str]:
        """Return options of a strict run; nothing but /out (and /tmp unless '') is writable."""
        found = ['--network', 'none', '--user', STRANGER, '--cap-drop', 'all', '--read-only']
        found += ['--security-opt', 'no-new-privileges', '--memory', memory]
        if 'podman' in Path(self.engine).name:
            found.append('--read-only-tmpfs=false')
        if tmp:
            found += ['--tmpfs', f'/tmp:rw,mode=1777,size={tmp}']
        if bids is not None:
            found += ['--volume', f'{bids}:/data:ro']
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            out.chmod(0o777)
            found += ['--volume', f'{out}:/out']
        if entrypoint:
            found += ['--entrypoint', entrypoint]
        for name, value in (environ or {}).items():
            found += ['--env', f'{name}={value}']
        return found

    def run(self, *arguments: object, timeout: float = 600, stdin: str | None = None, **options):
        """Run the image to its end."""
        keep = [] if stdin is None else ['--interactive']
        strict = self.options(**options)
        return self.call(
            'run', '--rm', *keep, *strict, self.tag, *arguments, timeout=timeout, input=stdin
        )

    def start(self, *arguments: object, **options) -> str:
        """Start the image and return the name of the container, which somebody must remove."""
        name = f'qsmbids-test-{uuid.uuid4().hex[:8]}'
        strict = self.options(**options)
        run = self.call('run', '--detach', '--name', name, *strict, self.tag, *arguments)
        assert run.returncode == 0, run.stderr
        return name

    def wait_for(self, name: str, text: str, timeout: float = 120) -> None:
        """Wait until a container has printed a text."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            logs = self.call('logs', name)
            if text in logs.stdout + logs.stderr:
                return
            time.sleep(0.1)
        raise AssertionError(f'{text!r} was not printed in {timeout} s: {logs.stdout}')


@pytest.fixture(scope='session')
def image() -> Image:
    """The image under test."""
    environ = dict(os.environ)
    engine = environ.get('QSMBIDS_TEST_ENGINE')
    if not engine:
        if (TOOLS / 'container-setup').is_file() and os.geteuid() == 0:
            environ = exports(TOOLS / 'container-setup')
        engine = shutil.which('podman') or shutil.which('docker')
    if not engine:
        pytest.skip('neither podman nor docker is here, and QSMBIDS_TEST_ENGINE names none')
    found = Image(engine, environ, environ.get('QSMBIDS_TEST_IMAGE', 'qsmbids:dev'))
    if found.call('image', 'inspect', found.tag).returncode:
        say = pytest.fail if 'QSMBIDS_TEST_IMAGE' in os.environ else pytest.skip
        say(f'{engine} has no image {found.tag}; build it, or name it: QSMBIDS_TEST_IMAGE')
    return found


@pytest.fixture(scope='session')
def readable_dataset(coarse_dataset) -> Path:
    """The small dataset, readable for every user, as far up as pytest made folders."""
    for path in (coarse_dataset, *coarse_dataset.rglob('*')):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return coarse_dataset


@pytest.fixture(scope='session')
def strict_run(image, readable_dataset, tmp_path_factory):
    """Output folder and output text of both levels of the small dataset."""
    out = tmp_path_factory.mktemp('strict') / 'out'
    run = image.run(
        '/data', '/out', 'participant', 'group', '-w', '/tmp/work', *QUICK,
        bids=readable_dataset, out=out,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    return out, run.stdout
