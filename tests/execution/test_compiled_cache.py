"""Loops that were compiled ahead of time are found, copied and used."""

import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

import qsmbids.qsm
from qsmbids.cli import warm_cache
from qsmbids.execution import compiled_cache
from qsmbids.execution.compiled_cache import NEEDED, prepare_loops

NEW = f'processor\t: 0\nflags\t\t: fpu sse2 {" ".join(sorted(NEEDED))}\n'
FIXED = {'NUMBA_CPU_NAME': 'x86-64-v3', 'NUMBA_CPU_FEATURES': ''}


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with loops in an installation that was made read-only."""
    monkeypatch.setattr(platform, 'machine', lambda: 'x86_64')
    installed = tmp_path / 'installed'
    (installed / 'qsm').mkdir(parents=True)
    (installed / 'qsm' / 'a.nbi').write_bytes(b'index')
    (installed / 'key').write_text('abc\n')
    for path in (installed / 'qsm' / 'a.nbi', installed / 'qsm', installed):
        path.chmod(0o555 if path.is_dir() else 0o444)
    cpuinfo = tmp_path / 'cpuinfo'
    cpuinfo.write_text(NEW)
    yield tmp_path
    for path in (installed, installed / 'qsm'):
        path.chmod(0o755)


def prepared(folder, **environ):
    prepare_loops(folder / 'cache', environ, folder / 'installed', folder / 'cpuinfo')
    return environ


def test_loops_are_copied_once_to_where_numba_may_write(machine):
    environ = prepared(machine)
    copy = machine / 'cache' / 'numba-abc'
    assert environ == {**FIXED, 'NUMBA_CACHE_DIR': str(copy)}
    assert (copy / 'qsm' / 'a.nbi').read_bytes() == b'index'
    assert copy.stat().st_mode & 0o200
    assert (copy / 'qsm').stat().st_mode & 0o200
    assert (copy / 'qsm' / 'a.nbi').stat().st_mode & 0o200
    (copy / 'qsm' / 'a.nbi').write_bytes(b'numba added to it')
    assert prepared(machine) == environ
    assert (copy / 'qsm' / 'a.nbi').read_bytes() == b'numba added to it'
    assert [p.name for p in (machine / 'cache').iterdir()] == ['numba-abc']


def test_a_processor_without_the_model_compiles_for_itself(machine):
    (machine / 'cpuinfo').write_text(NEW.replace('avx2', ''))
    environ = prepared(machine)
    assert 'NUMBA_CPU_NAME' not in environ
    assert not (machine / 'cache').exists()
    (machine / 'cpuinfo').unlink()
    assert 'NUMBA_CPU_NAME' not in prepared(machine)


def test_another_kind_of_machine_compiles_for_itself(machine, monkeypatch):
    monkeypatch.setattr(platform, 'machine', lambda: 'aarch64')
    assert 'NUMBA_CPU_NAME' not in prepared(machine)
    assert not (machine / 'cache').exists()


def test_what_was_set_by_hand_stays(machine):
    mine = prepared(machine, NUMBA_CACHE_DIR='/mine')
    assert mine == {**FIXED, 'NUMBA_CACHE_DIR': '/mine'}
    mine = prepared(machine, NUMBA_CPU_NAME='generic')
    assert mine['NUMBA_CPU_NAME'] == 'generic'
    assert not (machine / 'cache').exists()


def test_without_space_the_run_goes_on(machine, monkeypatch):
    def full(*_, **__):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(compiled_cache.shutil, 'copytree', full)
    environ = prepared(machine)
    assert not list((machine / 'cache').iterdir())
    assert environ.get('NUMBA_CACHE_DIR', '') in ('', str(machine / 'cache' / 'numba'))


def test_all_loops_are_compiled_when_their_module_is_imported():
    """Warming imports modules: so loops live in these, and their types are given."""
    folder = Path(qsmbids.qsm.__file__).parent
    known = {name.rsplit('.', 1)[1] for name in warm_cache.loop_modules()}
    for path in folder.glob('*.py'):
        text = path.read_text(encoding='utf-8')
        if re.search(r'^@compiled\(', text, re.MULTILINE):
            assert path.stem in known, path.name
            assert not re.search(r'^@compiled\(\s*(\)|\w+=)', text, re.MULTILINE), path.name


SECOND = """
import json, pathlib, sys
from qsmbids.execution.compiled_cache import prepare_loops
prepare_loops(pathlib.Path(sys.argv[1]), installed=pathlib.Path(sys.argv[2]))
import numpy as np
from qsmbids.qsm.whqsm_kernels import *
from qsmbids.qsm import whqsm_kernels
from numba.core.dispatcher import Dispatcher
loops = [o for o in vars(whqsm_kernels).values() if isinstance(o, Dispatcher)]
print(json.dumps([sum(sum(getattr(o.stats, k).values()) for o in loops)
                  for k in ('cache_hits', 'cache_misses')]))
"""


@pytest.mark.skipif(
    platform.machine() != 'x86_64' or not compiled_cache.can_run(
        Path('/proc/cpuinfo').read_text() if Path('/proc/cpuinfo').exists() else ''
    ),
    reason='this processor is not of the model that loops are compiled for',
)  # fmt: skip
def test_a_second_process_compiles_nothing(tmp_path):
    first = (
        'import sys; from qsmbids.cli import warm_cache; '
        'warm_cache.LOOPS = "whqsm_kernels.py"; sys.exit(warm_cache.main(sys.argv[1:]))'
    )
    environ = {n: v for n, v in os.environ.items() if not n.startswith('NUMBA_')}

    def python(*arguments):
        run = subprocess.run(
            [sys.executable, '-c', *map(str, arguments)],
            capture_output=True, text=True, check=False, env=environ,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        return run.stdout

    assert 'files' in python(first, tmp_path / 'installed')
    hits, misses = json.loads(python(SECOND, tmp_path / 'cache', tmp_path / 'installed'))
    assert hits > 0
    assert misses == 0
