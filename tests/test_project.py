"""The project around the program: version, file sizes, start-up, scripts and settings."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import qsmbids

ROOT = Path(__file__).parents[1]
PACKAGE = Path(qsmbids.__file__).parent
MAX_LINES = 400
# what takes long to import and nobody needs who only asks for help
HEAVY = {'ants', 'matplotlib', 'nilearn', 'nipype', 'numba', 'pandas'}
SOURCES = [
    path
    for folder in ('qsmbids', 'tests', 'benchmarks')
    for path in sorted((ROOT / folder).rglob('*.py'))
]


def project_files() -> list[Path]:
    """Return the text files of the project, without what tools leave behind."""
    kinds = ('.py', '.md', '.toml', '.yml', '.yaml', '.sh', '.cff', '.tsv', '.json', '.html')
    named = [ROOT / name for name in ('Dockerfile', '.dockerignore', '.ci/run', 'LICENSE')]
    top = [path for path in ROOT.iterdir() if path.suffix in kinds and path.is_file()]
    inner = [
        path
        for folder in ('qsmbids', 'tests', 'docs', 'examples', 'benchmarks', '.github')
        for path in (ROOT / folder).rglob('*')
        if path.suffix in kinds
    ]
    return sorted([path for path in named if path.exists()] + top + inner)


def shell_scripts() -> list[Path]:
    checks = ROOT / '.ci' / 'run'  # not in a source distribution
    return [*([checks] if checks.exists() else []), *sorted((ROOT / 'examples').rglob('*.sh'))]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# ------------------------------------------------------------------------------- version
def test_version_is_written_in_one_place():
    assert re.fullmatch(r'\d+\.\d+\.\d+([a-z.]+\d+)?', qsmbids.__version__)
    settings = tomllib.loads((ROOT / 'pyproject.toml').read_text())
    assert settings['project']['dynamic'] == ['version']
    assert settings['tool']['hatch']['version']['path'] == 'qsmbids/__init__.py'
    assigned = [path for path in PACKAGE.rglob('*.py') if '__version__ = ' in path.read_text()]
    assert assigned == [PACKAGE / '__init__.py']


def test_version_of_the_installed_package():
    try:
        installed = importlib.metadata.version('qsmbids')
    except importlib.metadata.PackageNotFoundError:
        pytest.skip('run from a source folder, nothing is installed')
    assert installed == qsmbids.__version__


def test_python_m_prints_the_version():
    done = subprocess.run(
        [sys.executable, '-m', 'qsmbids', '--version'], capture_output=True, text=True, check=True
    )
    assert done.stdout == f'qsmbids {qsmbids.__version__}\n'
    assert done.stderr == ''


# ------------------------------------------------------------------------------ start-up
@pytest.mark.parametrize('module', ['qsmbids.cli.main', 'qsmbids.cli.demo'])
def test_help_is_quick_to_load(module):
    program = (
        'import sys\n'
        f'from {module} import main\n'
        'try:\n'
        '    main(["--help"])\n'
        'except SystemExit as end:\n'
        '    assert not end.code, end.code\n'
        f'print("heavy:", *sorted({HEAVY!r} & set(sys.modules)))\n'
    )
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'usage: ' in done.stdout
    assert done.stdout.endswith('heavy:\n'), done.stdout.splitlines()[-1]


# --------------------------------------------------------------------------------- files
@pytest.mark.parametrize('path', SOURCES, ids=relative)
def test_files_are_short(path):
    lines = len(path.read_text(encoding='utf-8').splitlines())
    assert lines <= MAX_LINES, f'{lines} lines: split the file by concept'


def test_nothing_leads_out_of_the_project():
    """Where packages come from is the installer's business; files come with the project."""
    registries = r'pypi\.org|pythonhosted\.org|https?://\S+/simple\b|--(extra-)?index-url'
    found = [
        f'{relative(path)}: {match[0]}'
        for path in project_files()
        if path != Path(__file__)
        for match in re.finditer(registries, path.read_text(encoding='utf-8'))
    ]
    assert not found


def test_links_between_pages_lead_somewhere():
    pages = [path for path in project_files() if path.suffix == '.md']
    assert len(pages) >= 5
    links = [
        (page, target)
        for page in pages
        for target in re.findall(r'\]\(([^)#\s]+)', page.read_text(encoding='utf-8'))
        if '://' not in target and not target.startswith('mailto:')
    ]
    broken = [f'{relative(p)}: {t}' for p, t in links if not (p.parent / t).exists()]
    assert not broken


def test_every_page_is_in_the_list_of_pages():
    index = (ROOT / 'docs' / 'index.md').read_text(encoding='utf-8')
    pages = {path.name for path in (ROOT / 'docs').glob('*.md')} - {'index.md'}
    assert {name for name in pages if f']({name})' not in index} == set()


def test_settings_files_are_valid_yaml():
    if not (ROOT / '.github').exists():
        pytest.skip('a source distribution')
    paths = [p for p in ROOT.rglob('*') if p.suffix in ('.yml', '.yaml', '.cff') and p.is_file()]
    paths = [p for p in paths if p.is_relative_to(ROOT / '.github') or p.parent == ROOT]
    assert len(paths) >= 7
    for path in paths:
        assert isinstance(yaml.safe_load(path.read_text(encoding='utf-8')), dict), relative(path)


@pytest.mark.parametrize('path', shell_scripts(), ids=relative)
def test_shell_scripts_are_valid(path):
    subprocess.run(['bash', '-n', str(path)], check=True)


@pytest.mark.parametrize('path', sorted((ROOT / 'examples/hpc').glob('*.sh')), ids=relative)
def test_job_scripts_name_options_that_exist(path):
    """The options in the call of the program, which is the last command of a script."""
    from qsmbids.cli.parser import build_parser

    command = path.read_text(encoding='utf-8').split('\nexec ')[-1].split('"$IMAGE"')[-1]
    options = set(re.findall(r'(?<!\S)--[a-z][a-z-]+', command))
    assert '--participant-label' in options
    known = {name for action in build_parser()._actions for name in action.option_strings}
    assert options <= known
