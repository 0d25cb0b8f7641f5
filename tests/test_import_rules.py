"""The architecture as a test: a room imports only rooms below it.

Imports are read from the source, so those inside functions count as well.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import qsmbids

PACKAGE = Path(qsmbids.__file__).parent

# From the ground up: a room may import those that stand before it, never one that follows.
ORDER = (
    'qsm',  # arrays to arrays
    'lifespan',  # age curves
    'methods',  # the catalogue: names the functions of qsm by path
    'plan',  # what will be done
    'bids',  # names and sidecars of what is written
    'atlas',  # templates, registration, regions
    'phantom',  # heads that can be simulated
    'config',  # what a run was asked to do
    'report',  # figures and pages
    'group',  # tables over participants
    'execution',  # running a graph, limits, locks
    'interfaces',  # thin Nipype shells
    'workflows',  # graphs of interfaces
    'cli',  # command lines
    '__main__',
)
DATA_ONLY = {'data'}

# Rooms that know nothing of the others.
ALONE = {'qsm', 'execution'}
# Nipype stays at the edge.
NIPYPE_ROOMS = {'interfaces', 'workflows', 'execution'}
# The reconstruction never sees the phantom it is tested with.
PHANTOM_ROOMS = {'cli'}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix('').parts[0]


def imported_modules(path: Path) -> set[str]:
    """Return the absolute names of everything a file imports."""
    package = ('qsmbids', *path.relative_to(PACKAGE).parent.parts)
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = '.'.join(package[: len(package) - node.level + 1]) if node.level else ''
            module = '.'.join(part for part in (base, node.module) if part)
            found |= {f'{module}.{alias.name}' for alias in node.names}
    return found


def imported_rooms(path: Path) -> set[str]:
    """Return the rooms of the package that a file imports from, its own left out."""
    rooms = {name.split('.')[1] for name in imported_modules(path) if name.startswith('qsmbids.')}
    return (rooms & set(ORDER)) - {room_of(path)}


FILES = sorted(path for path in PACKAGE.rglob('*.py') if path != PACKAGE / '__init__.py')


def file_id(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def test_every_room_has_its_place():
    assert {room_of(path) for path in FILES} - DATA_ONLY == set(ORDER)


def test_imports_of_all_forms_are_seen(tmp_path, monkeypatch):
    (tmp_path / 'atlas').mkdir()
    path = tmp_path / 'atlas' / 'x.py'
    path.write_text(
        'import qsmbids.cli.main\n'
        'from qsmbids import plan, __version__\n'
        'from ..qsm import grid\n'
        'from . import labels\n'
        'def f():\n'
        '    from qsmbids.workflows.run import process\n'
    )
    monkeypatch.setitem(globals(), 'PACKAGE', tmp_path)
    assert imported_rooms(path) == {'cli', 'plan', 'qsm', 'workflows'}


@pytest.mark.parametrize('path', FILES, ids=file_id)
def test_only_rooms_below_are_imported(path):
    room = room_of(path)
    rooms = imported_rooms(path)
    if room in ALONE:
        assert not rooms, f'{room} imports nothing of the package but itself'
    if room in DATA_ONLY:
        assert not rooms, 'a data folder holds no program'
        return
    below = set(ORDER[: ORDER.index(room)])
    assert rooms <= below, f'{room} stands below {sorted(rooms - below)}'
    if room not in PHANTOM_ROOMS:
        assert 'phantom' not in rooms


@pytest.mark.parametrize('path', FILES, ids=file_id)
def test_nipype_stays_at_the_edge(path):
    if room_of(path) not in NIPYPE_ROOMS:
        assert not {name for name in imported_modules(path) if name.split('.')[0] == 'nipype'}


def test_lower_rooms_do_not_load_nipype_by_way_of_others():
    lower = {'qsm', 'lifespan', 'methods', 'plan', 'bids', 'atlas', 'phantom'}
    modules = [
        '.'.join(('qsmbids', *path.relative_to(PACKAGE).with_suffix('').parts))
        for path in FILES
        if room_of(path) in lower and path.name != '__init__.py'
    ]
    program = (
        'import importlib, sys\n'
        f'for name in {modules!r}:\n'
        '    importlib.import_module(name)\n'
        'sys.exit("nipype" in sys.modules)\n'
    )
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('path', FILES, ids=file_id)
def test_ants_is_imported_without_what_it_does_not_need(path):
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
        if isinstance(node, ast.FunctionDef)
    ]
    inside = [node for f in functions for node in ast.walk(f) if isinstance(node, ast.Import)]
    assert not {a.name for node in inside for a in node.names} & {'ants'}, 'light_ants has it'
