"""Compile all loops of the reconstruction ahead of time: ``python -m qsmbids.cli.warm_cache``.

For images and shared installations: a run then copies what was compiled instead of compiling
it, see :mod:`qsmbids.execution.compiled_cache`.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import os
import platform
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from qsmbids.cli import exit_codes
from qsmbids.execution.compiled_cache import KEY_FILE, installed_loops, target

LOOPS = '*kernels.py'  # the modules of qsmbids.qsm in which all compiled loops live


def main(argv: Sequence[str] | None = None) -> int:
    """Compile everything into a folder and return the exit code."""
    parser = argparse.ArgumentParser(
        prog='python -m qsmbids.cli.warm_cache',
        description='Compile all loops of the reconstruction ahead of time.',
    )
    parser.add_argument(
        'folder', type=Path, nargs='?', default=installed_loops(),
        help='where compiled loops go (default: %(default)s, where the program looks)',
    )  # fmt: skip
    folder = parser.parse_args(argv).folder.absolute()
    fixed = target(platform.machine())
    if not fixed:
        print(f'Nothing was compiled: {platform.machine()} has no common processor model.')
        return exit_codes.OK
    begin = time.monotonic()
    if folder.exists():
        shutil.rmtree(folder)  # loops of an older version would only be copied around
    folder.mkdir(parents=True)
    os.environ.update(fixed)
    os.environ['NUMBA_CACHE_DIR'] = str(folder)
    compile_all()
    (folder / KEY_FILE).write_text(_key(fixed) + '\n', encoding='ascii')
    files = [path for path in folder.rglob('*.nb*') if path.is_file()]
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    seconds = time.monotonic() - begin
    print(f'{len(files)} files, {megabytes:.1f} MB, in {seconds:.0f} s, in {folder}')
    return exit_codes.OK


def loop_modules() -> list[str]:
    """Return the names of the modules that hold compiled loops."""
    import qsmbids.qsm

    folder = Path(qsmbids.qsm.__file__).parent
    return sorted(f'qsmbids.qsm.{path.stem}' for path in folder.glob(LOOPS))


def compile_all() -> None:
    """Import what holds compiled loops: their types are given, so importing compiles them."""
    for name in loop_modules():
        importlib.import_module(name)


def _key(fixed: dict[str, str]) -> str:
    """Return a short text that differs when other sources or tools were compiled."""
    import numba

    import qsmbids.qsm

    content = hashlib.sha256(f'{numba.__version__} {sys.version} {fixed}'.encode())
    for path in sorted(Path(qsmbids.qsm.__file__).parent.glob('*.py')):
        content.update(path.name.encode() + path.read_bytes())
    return content.hexdigest()[:12]


if __name__ == '__main__':
    sys.exit(main())
