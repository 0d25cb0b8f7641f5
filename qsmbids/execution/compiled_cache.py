"""Loops that were compiled before the run, as a container image brings them.

numba compiles for the processor it runs on and keeps the result in a folder that it must be
able to write to, under the name of that processor. An image is read-only and meets processors
that its builder never saw. So the loops are compiled once for a processor model that nearly
all machines can stand in for, and a run copies them (a few MB) into its work folder.

The model is fixed wherever the machine allows it, also where nothing was compiled before: the
loops that sum in parallel lanes then sum in the same order on every such machine.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Mapping, MutableMapping
from pathlib import Path

# x86-64-v3 is Haswell (2013), Zen (2017) and later; Linux shows 'lzcnt' as part of 'abm'
MODELS = {'x86_64': 'x86-64-v3'}
NEEDED = frozenset({'avx', 'avx2', 'bmi1', 'bmi2', 'f16c', 'fma', 'abm', 'movbe', 'xsave'})
KEY_FILE = 'key'  # in the folder of compiled loops: of which sources and for which processor


def installed_loops() -> Path:
    """Return the folder of the loops that came with the installation or image."""
    return Path(sys.prefix) / 'share' / 'qsmbids' / 'compiled'


def target(machine: str) -> dict[str, str]:
    """Return the environment variables that fix the processor model that numba compiles for.

    Parameters
    ----------
    machine : str
        As :func:`platform.machine` names it.

    Examples
    --------
    >>> target('x86_64')
    {'NUMBA_CPU_NAME': 'x86-64-v3', 'NUMBA_CPU_FEATURES': ''}
    >>> target('aarch64')  # no common model: numba compiles for the processor it meets
    {}
    """
    model = MODELS.get(machine)
    return {'NUMBA_CPU_NAME': model, 'NUMBA_CPU_FEATURES': ''} if model else {}


def can_run(cpuinfo: str) -> bool:
    """Return whether a processor understands code for the model.

    Parameters
    ----------
    cpuinfo : str
        Content of ``/proc/cpuinfo``.
    """
    flags = [line.split(':', 1)[1].split() for line in cpuinfo.splitlines() if _is_flags(line)]
    return bool(flags) and all(set(found) >= NEEDED for found in flags)


def _is_flags(line: str) -> bool:
    return line.partition(':')[0].strip() == 'flags'


def prepare_loops(
    cache: Path,
    environ: MutableMapping[str, str] = os.environ,
    installed: Path | None = None,
    cpuinfo: Path = Path('/proc/cpuinfo'),
) -> None:
    """Tell numba, before it is imported, what to compile for and where compiled loops are.

    Variables that are set already are left alone, and nothing is copied then.

    Parameters
    ----------
    cache : Path
        Folder for the caches of a run; made if needed.
    environ : mutable mapping
    installed : Path, optional
        Folder of compiled loops (default: :func:`installed_loops`).
    cpuinfo : Path
        Flags of the processors.
    """
    fixed = _fix_target(environ, cpuinfo)
    if 'NUMBA_CACHE_DIR' in environ:
        return
    folder = _copied(installed or installed_loops(), cache) if fixed else None
    if folder is not None:
        environ['NUMBA_CACHE_DIR'] = str(folder)
    elif not os.access(Path(__file__).parents[1], os.W_OK):
        environ['NUMBA_CACHE_DIR'] = str(cache / 'numba')


def _fix_target(environ: MutableMapping[str, str], cpuinfo: Path) -> bool:
    """Fix the model if that is possible; return whether it is fixed."""
    wanted = target(platform.machine())
    given: Mapping[str, str] = {n: environ[n] for n in wanted if n in environ}
    if given:
        return given == wanted
    try:
        text = cpuinfo.read_text(encoding='utf-8', errors='replace')
    except OSError:
        return False
    if not wanted or not can_run(text):
        return False
    environ.update(wanted)
    return True


def _copied(installed: Path, cache: Path) -> Path | None:
    """Return a writable copy of compiled loops, made if needed; None if there are none.

    Its name says of which sources: an update of the program does not mix with what an older
    one left in the work folder.
    """
    try:
        key = (installed / KEY_FILE).read_text(encoding='ascii').strip()
    except OSError:
        return None
    final = cache / f'numba-{key}'
    if final.is_dir():
        return final
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix='.numba-', dir=cache) as folder:
            copy = Path(folder) / 'loops'
            # contents, not modes: those of an image may be read-only, and numba adds files
            shutil.copytree(installed, copy, copy_function=shutil.copyfile)
            for path in (copy, *(p for p in copy.rglob('*') if p.is_dir())):
                path.chmod(0o755)
            copy.rename(final)
    except OSError:  # no space: loops are compiled instead. Or another process was faster.
        return final if final.is_dir() else None
    return final
