"""``qsmbids-atlas``: what it prints, where atlases end up, and its exit codes."""

import functools
import hashlib
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from qsmbids.atlas import download, sources
from qsmbids.atlas.sources import MIRROR_VARIABLE, RemoteFile, Source
from qsmbids.atlas.store import CACHE_VARIABLE
from qsmbids.cli import exit_codes
from qsmbids.cli.atlas import main

# two cohorts of 6 x 6 x 6 voxels; a wrong atlas when its file says so
CONVERTER = """
import json
import numpy as np
from qsmbids.atlas.images import write_image

def convert(source, out):
    if (source / 'toy.txt').read_text() == 'fault':
        raise KeyError('a fault\\nof the converter')
    template = out / 'Toy' / 'tpl-Toy'
    chi = np.zeros((6, 6, 6), np.float32)
    chi[2:4, 2:4, 2:4] = 0.1
    cohorts = {'1': {'name': 'young', 'age': [5, 20]}, '2': {'name': 'old', 'age': [20, 90]}}
    for label in cohorts:
        (template / f'cohort-{label}').mkdir(parents=True)
        stem = f'{template}/cohort-{label}/tpl-Toy_cohort-{label}'
        write_image(f'{stem}_Chimap.nii.gz', chi, np.eye(4))
        write_image(f'{stem}_desc-brain_mask.nii.gz', chi > 0, np.eye(4))
        write_image(f'{stem}_atlas-Toy_dseg.nii.gz', (chi > 0).astype(np.int16), np.eye(4))
    about = {'License': 'CC0 (https://example.org)', 'cohort': cohorts}
    (template / 'template_description.json').write_text(json.dumps(about))
    table = 'index\\tname\\tgroup\\n1\\tNucleus\\tdeep grey\\n'
    (out / 'Toy' / 'atlas-Toy_dseg.tsv').write_text(table)
    return out / 'Toy'
"""


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and an installation without atlases."""
    monkeypatch.setattr(sys, 'prefix', str(tmp_path / 'installation'))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / 'cache'))
    return tmp_path / 'cache'


@pytest.fixture
def mirror(tmp_path, monkeypatch, cache):
    """A mirror with the one file of the one source, ``Toy``; returns its folder."""
    (tmp_path / 'toy_command_converter.py').write_text(CONVERTER)
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / 'mirror'
    (folder / 'Toy').mkdir(parents=True)
    (folder / 'Toy/toy.txt').write_text('toy')
    monkeypatch.setattr(sources, 'SOURCES', {'Toy': toy_source('Toy', 'toy')})
    monkeypatch.setattr(download, 'PAUSE_S', 0.0)
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        monkeypatch.setenv(MIRROR_VARIABLE, f'http://127.0.0.1:{server.server_port}')
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield folder
        server.shutdown()
        thread.join()
    sys.modules.pop('toy_command_converter', None)


def toy_source(name, content):
    file = RemoteFile(
        'https://example.org/toy.txt', hashlib.sha256(content.encode()).hexdigest(), 'toy.txt'
    )
    return Source(
        name, 'A toy', 'all ages', 'one nucleus', 'CC0 (https://example.org)', 'Nobody 2000',
        '10.1/x', (file,), 'toy_command_converter:convert',
    )  # fmt: skip


def three_lines(capsys):
    text = capsys.readouterr().err
    assert len(text.splitlines()) == 3, text
    return text


# ---------------------------------------------------------------------------------- help
@pytest.mark.parametrize('command', ['', 'list', 'info', 'fetch', 'import', 'show', 'build'])
def test_help(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([*command.split(), '--help'])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f'usage: qsmbids-atlas {command}'.rstrip())
    assert 'example' in text or command == 'list'


@pytest.mark.parametrize(
    'line', ['', 'nonsense', 'fetch', 'fetch --all Toy', 'info', 'list extra', 'fetch --al']
)
def test_wrong_command_lines(line, capsys, cache):
    with pytest.raises(SystemExit) as end:
        main(line.split())
    assert end.value.code == exit_codes.USAGE
    assert 'usage: ' in capsys.readouterr().err
    assert not cache.exists()


# --------------------------------------------------------------------------------- fetch
def test_fetch_tells_licence_and_citation_and_where(mirror, cache, capsys):
    assert main(['fetch', 'Toy']) == exit_codes.OK
    text = capsys.readouterr().out
    assert 'licence: CC0 (https://example.org)' in text
    assert 'please cite: Nobody 2000. https://doi.org/10.1/x' in text
    after = text.partition(f'ready: {cache / "Toy"}')[2]
    assert 'please cite: Nobody 2000. https://doi.org/10.1/x' in after
    assert '--atlas Toy\n' in text
    assert (cache / 'Toy/source.json').is_file()
    assert main(['fetch', 'Toy']) == exit_codes.OK
    assert 'there already' in capsys.readouterr().out


def test_fetch_all_into_a_folder_of_choice(mirror, cache, tmp_path, capsys):
    assert main(['fetch', '--all', '--atlas-cache', str(tmp_path / 'mine')]) == exit_codes.OK
    assert (tmp_path / 'mine/Toy/tpl-Toy').is_dir()
    assert not cache.exists()
    assert f'--atlas Toy --atlas-cache {tmp_path / "mine"}' in capsys.readouterr().out


def test_unknown_name(mirror, cache, capsys):
    assert main(['fetch', 'Toy', 'Toi']) == exit_codes.USAGE
    assert 'Choose from: Toy.' in three_lines(capsys)
    assert not cache.exists(), 'names are looked at before anything is downloaded'


def test_wrong_file_on_the_mirror(mirror, cache, capsys):
    (mirror / 'Toy/toy.txt').write_text('changed')
    assert main(['fetch', 'Toy']) == exit_codes.NOTHING_USABLE
    assert 'expected was' in three_lines(capsys)
    assert not (cache / 'Toy').exists()


def test_one_that_fails_does_not_stop_the_others(mirror, cache, monkeypatch, capsys):
    both = {'Absent': toy_source('Absent', 'toy'), 'Toy': sources.SOURCES['Toy']}
    monkeypatch.setattr(sources, 'SOURCES', both)
    assert main(['fetch', '--all']) == exit_codes.SOME_FAILED
    assert '404' in three_lines(capsys)
    assert (cache / 'Toy').is_dir()
    assert main(['fetch', 'Absent']) == exit_codes.NOTHING_USABLE


def test_all_that_fail_in_different_ways_are_no_partial_success(mirror, monkeypatch):
    from qsmbids.atlas import fetch
    from qsmbids.atlas.errors import AtlasError

    errors = [fetch.CacheError('a.', 'b.', 'c.'), AtlasError('a.', 'b.', 'c.')]

    def fail(*_, **__):
        raise errors.pop()

    both = {'Absent': toy_source('Absent', 'toy'), 'Toy': sources.SOURCES['Toy']}
    monkeypatch.setattr(sources, 'SOURCES', both)
    monkeypatch.setattr(fetch, 'fetch', fail)
    assert main(['fetch', '--all']) == exit_codes.NOTHING_USABLE


def test_cache_that_cannot_be_written_to(mirror, tmp_path, capsys):
    (tmp_path / 'file').touch()
    code = main(['fetch', 'Toy', '--atlas-cache', str(tmp_path / 'file/cache')])
    assert code == exit_codes.USAGE
    assert '--atlas-cache or QSMBIDS_ATLAS_CACHE' in three_lines(capsys)


def test_fault_of_the_program_is_told_without_a_traceback(mirror, cache, monkeypatch, capsys):
    (mirror / 'Toy/toy.txt').write_text('fault')
    monkeypatch.setattr(sources, 'SOURCES', {'Toy': toy_source('Toy', 'fault')})
    assert main(['fetch', 'Toy']) == exit_codes.INTERNAL
    assert 'KeyError' in three_lines(capsys)
    assert [p.name for p in cache.glob('[!.]*')] == []


@pytest.mark.parametrize(
    ('number', 'code'),
    [(signal.SIGTERM, exit_codes.TERMINATED), (signal.SIGINT, exit_codes.INTERRUPTED)],
)
def test_interruption_leaves_nothing_visible(cache, number, code):
    with socket.create_server(('127.0.0.1', 0)) as silent:  # it accepts and never answers
        program = subprocess.Popen(
            [sys.executable, '-m', 'qsmbids.cli.atlas', 'fetch', 'QSMLifespanCIT168'],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[2],
            env=os.environ
            | {MIRROR_VARIABLE: f'http://127.0.0.1:{silent.getsockname()[1]}',
               'NO_PROXY': '127.0.0.1'},
        )  # fmt: skip
        try:
            while 'Downloading' not in (line := program.stdout.readline()):
                assert line, program.stderr.read()
            program.send_signal(number)
            _, said = program.communicate(timeout=20)
        finally:
            program.kill()
            program.communicate()
    assert program.returncode == code
    assert 'Traceback' not in said
    assert [p.name for p in cache.glob('[!.]*')] == []


# -------------------------------------------------------------------------- list and info
def test_list_before_and_after(mirror, cache, capsys):
    assert main(['list']) == exit_codes.OK
    before = capsys.readouterr().out
    assert 'QSMLifespan' in before
    assert '  Toy: A toy; CC0\n' in before
    main(['fetch', 'Toy'])
    (cache / 'Broken').mkdir()
    capsys.readouterr()
    assert main(['list']) == exit_codes.OK
    after = capsys.readouterr().out
    row = next(line for line in after.splitlines() if line.startswith('Toy'))
    assert row.split() == [
        'Toy', 'fetched', '5-90', 'years,', '2', 'cohorts', '1', 'CC0', str(cache / 'Toy')
    ]  # fmt: skip
    assert 'can be fetched' not in after
    assert 'Broken cannot be used: ' in after


def test_info_of_the_builtin_atlas(cache, capsys):
    assert main(['info', 'QSMLifespan']) == exit_codes.OK
    text = capsys.readouterr().out
    assert 'CC BY 4.0' in text
    assert '10.1002/cne.24080' in text
    assert '10 cohorts' in text
    assert 'not checked: its images are made when they are needed' in text
    assert not cache.exists()


def test_info_before_and_after_fetching(mirror, cache, capsys):
    assert main(['info', 'Toy']) == exit_codes.OK
    text = capsys.readouterr().out
    assert 'not fetched yet' in text
    assert sources.SOURCES['Toy'].files[0].sha256 in text
    main(['fetch', 'Toy'])
    capsys.readouterr()
    assert main(['info', 'Toy']) == exit_codes.OK
    text = capsys.readouterr().out
    for words in (
        str(cache / 'Toy'), 'CC0', 'Nobody 2000', '[5, 20)', '1 deep grey',
        'https://example.org/toy.txt', 'fetched:', 'images of all 2 cohorts fit',
    ):  # fmt: skip
        assert words in text


def test_info_of_a_broken_atlas(mirror, cache, capsys):
    main(['fetch', 'Toy'])
    next(cache.rglob('*cohort-2_desc-brain_mask.nii.gz')).unlink()
    capsys.readouterr()
    assert main(['info', 'Toy']) == exit_codes.NOTHING_USABLE
    assert 'mask' in three_lines(capsys)


def test_info_of_an_image_that_was_damaged_and_can_be_read(mirror, cache, capsys):
    main(['fetch', 'Toy'])
    path = next(cache.rglob('*cohort-2_Chimap.nii.gz'))
    whole = path.read_bytes()
    path.write_bytes(whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:])
    capsys.readouterr()
    assert main(['info', 'Toy']) == exit_codes.NOTHING_USABLE
    assert path.name in three_lines(capsys)


def test_words_of_the_atlas_itself_come_before_those_noted(mirror, cache, capsys):
    main(['fetch', 'Toy'])
    path = cache / 'Toy/tpl-Toy/template_description.json'
    content = json.loads(path.read_text()) | {'HowToAcknowledge': 'Cite both.'}
    path.write_text(json.dumps(content))
    capsys.readouterr()
    assert main(['info', 'Toy']) == exit_codes.OK
    assert 'please cite: Cite both.\n' in capsys.readouterr().out


def test_what_the_file_system_refuses_is_no_fault_of_the_program(mirror, cache, capsys):
    assert main(['info', 'x' * 5000]) == exit_codes.USAGE
    text = three_lines(capsys)
    assert 'cannot be read or written: File name too long.' in text
    assert 'report' not in text
    main(['fetch', 'Toy'])
    (cache.parent / 'folder.png').mkdir()
    capsys.readouterr()
    assert main(['show', 'Toy', '-o', str(cache.parent / 'folder.png')]) == exit_codes.USAGE
    assert f'{cache.parent / "folder.png"} cannot be read or written' in three_lines(capsys)


def test_show_leaves_home_alone(mirror, cache, tmp_path):
    main(['fetch', 'Toy'])
    home = tmp_path / 'home'
    home.mkdir()
    hidden = ('MPLCONFIGDIR', 'XDG_CACHE_HOME', 'XDG_CONFIG_HOME')
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    subprocess.run(
        [sys.executable, '-m', 'qsmbids.cli.atlas', 'show', str(cache / 'Toy'),
         '-o', str(tmp_path / 'toy.png')],
        check=True, cwd=Path(__file__).parents[2], env=environment | {'HOME': str(home)},
    )  # fmt: skip
    assert (tmp_path / 'toy.png').is_file()
    assert list(home.rglob('*')) == []


def test_info_of_an_unknown_atlas(mirror, capsys):
    assert main(['info', 'Toyota']) == exit_codes.USAGE
    assert 'Did you mean Toy?' in three_lines(capsys)
