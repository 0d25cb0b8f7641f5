"""What the image is: small, labelled, compiled, with atlases, quick to start."""

import json
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.container

MAX_BYTES = 1.3e9
MAX_IMPORT_S = 3.0  # on a machine with nothing else to do; measured in processor time here

IMPORT = """
import resource
import matplotlib.pyplot, nilearn.datasets, nipype, numba, skimage.restoration
import qsmbids.atlas.light_ants
import qsmbids.cli.participant, qsmbids.group.run, qsmbids.workflows.finish, qsmbids.workflows.run
usage = resource.getrusage(resource.RUSAGE_SELF)
print(usage.ru_utime + usage.ru_stime)
"""

LOOPS = """
import importlib, json, pathlib, time
from qsmbids.execution.environment import prepare_environment
prepare_environment(pathlib.Path('/tmp/work'), 1)
import numba
from numba.core.dispatcher import Dispatcher
from qsmbids.cli.warm_cache import loop_modules
folder = pathlib.Path(numba.config.CACHE_DIR)
before = sorted((str(p), p.stat().st_mtime_ns) for p in folder.rglob('*'))
begin = time.process_time()
modules = [importlib.import_module(name) for name in loop_modules()]
seconds = time.process_time() - begin
found = {id(o): o for m in modules for o in vars(m).values() if isinstance(o, Dispatcher)}
# the others are parts of these, a line or two that numba keeps no files of
loops = {key: o for key, o in found.items() if o.stats.cache_path}
hits = sum(sum(o.stats.cache_hits.values()) for o in loops.values())
misses = sum(sum(o.stats.cache_misses.values()) for o in loops.values())
after = sorted((str(p), p.stat().st_mtime_ns) for p in folder.rglob('*'))
print(json.dumps({'hits': hits, 'misses': misses, 'same': before == after, 's': seconds}))
"""


def test_size(image):
    size = image.inspect()['Size']
    print(f'{size / 1e6:.0f} MB')
    assert size < MAX_BYTES


def test_labels(image):
    labels = image.inspect()['Config']['Labels']
    wanted = ('title', 'description', 'version', 'licenses', 'source', 'documentation')
    for name in (*wanted, 'revision', 'created'):
        assert f'org.opencontainers.image.{name}' in labels
    assert labels['org.opencontainers.image.title'] == 'qsmbids'


def test_runs_as_an_ordinary_user_by_number(image):
    assert image.inspect()['Config']['User'] == '1000:1000'


def test_atlases_are_in_it(image):
    run = image.run('list', entrypoint='qsmbids-atlas')
    assert run.returncode == 0
    assert 'QSMLifespanAllen' in run.stdout.split('can be fetched')[0], run.stdout


def test_start_is_quick(image):
    begin = time.monotonic()
    assert image.run('--help').returncode == 0
    print(f'--help: {time.monotonic() - begin:.1f} s')
    assert time.monotonic() - begin < 10


def test_everything_is_imported_quickly(image):
    seconds = []
    for _ in range(5):  # the least: other programs on the machine only add
        run = image.run(
            '-', entrypoint='python', stdin=IMPORT, environ={'MPLCONFIGDIR': '/tmp/matplotlib'}
        )
        assert run.returncode == 0, run.stderr
        seconds.append(float(run.stdout))
    print('import, processor seconds:', *(f'{s:.2f}' for s in seconds))
    assert min(seconds) < 2 * MAX_IMPORT_S


def test_nothing_is_compiled_at_run_time(image):
    run = image.run('-', entrypoint='python', stdin=LOOPS)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    print(found)
    if not found['hits'] and 'avx2' not in Path('/proc/cpuinfo').read_text():
        pytest.skip('this processor is older than the model that the loops are compiled for')
    assert found['hits'] > 40
    assert found['misses'] == 0
    assert found['same']


def test_every_module_has_its_bytecode(image):
    script = (
        'import pathlib, sys, sysconfig\n'
        'root = pathlib.Path(sysconfig.get_path("purelib"))\n'
        'tag = sys.implementation.cache_tag\n'
        'found = [p for p in root.rglob("*.py") if p.parent.name != "__pycache__"]\n'
        'lack = [p for p in found if not (p.parent / "__pycache__" / f"{p.stem}.{tag}.pyc")'
        '.exists()]\n'
        'print(len(found), len(lack), *lack[:20])\n'
    )
    run = image.run('-', entrypoint='python', stdin=script)
    total, lacking = map(int, run.stdout.split()[:2])
    assert total > 1000
    assert lacking < 0.01 * total, run.stdout  # templates and the like are no Python
