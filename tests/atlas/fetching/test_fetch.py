"""Making an atlas of what was downloaded; nothing half-made may ever be seen."""

import errno
import hashlib
import io
import json
import os
import signal
import tarfile
import time

import pytest

from qsmbids import __version__
from qsmbids.atlas import download as downloading
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.fetch import CacheError, fetch
from qsmbids.atlas.sources import MIRROR_VARIABLE, find_source
from qsmbids.atlas.store import check_atlas, list_atlases


# ---------------------------------------------------------------------------- it works
def test_fetched_atlas_says_where_it_is_from(toy, server):
    said, seen = [], []
    folder = toy.fetch(tell=said.append, progress=lambda *what: seen.append(what))
    assert folder == toy.cache / 'Toy'
    toy.assert_whole()
    noted = json.loads((folder / 'source.json').read_text())
    assert noted['License'] == 'CC0'
    assert noted['QsmbidsVersion'] == __version__
    assert noted['HowToAcknowledge'] == 'Nobody. https://doi.org/10.1/x'
    assert noted['Files'] == [
        {
            'Name': 'toy.bin',
            'URL': f'{server.address}/toy.bin',
            'RetrievedFrom': f'{server.address}/toy.bin',
            'SHA256': hashlib.sha256(toy.content).hexdigest(),
        }
    ]
    assert (folder / '.bidsignore').read_text().split() == [
        'template_description.json',
        'source.json',
    ]
    assert seen[-1] == ('toy.bin', len(toy.content), len(toy.content))
    assert any('Downloading' in line for line in said)
    entry = list_atlases(toy.cache)[1]
    assert (entry.name, entry.kind, entry.problem) == ('Toy', 'fetched', '')
    assert oct(folder.stat().st_mode & 0o055) == '0o55', 'others may read it'


def test_second_fetch_needs_no_server_and_no_writing(toy, server):
    toy.fetch()
    (toy.cache / '.lock-Toy').unlink()
    server.requests.clear()
    said = []
    assert toy.fetch(tell=said.append) == toy.cache / 'Toy'
    assert server.requests == []
    assert not (toy.cache / '.lock-Toy').exists()
    assert 'there already' in said[0]


def test_force_makes_it_again(toy, server):
    folder = toy.fetch()
    (folder / 'old').touch()
    assert toy.fetch(force=True) == folder
    assert not (folder / 'old').exists()
    toy.assert_whole()
    assert len(server.requests) == 2


def test_failed_force_keeps_the_old_one(toy, server):
    folder = toy.fetch()
    (folder / 'old').touch()
    server.script = ['404']
    with pytest.raises(AtlasError, match='404'):
        toy.fetch(force=True)
    assert (folder / 'old').exists()
    toy.assert_whole()


def test_own_atlas_is_never_replaced(toy):
    folder = toy.fetch()
    (folder / 'source.json').unlink()  # as if it had been imported
    with pytest.raises(AtlasError, match='was not fetched by this program'):
        toy.fetch(force=True)
    assert toy.fetch() == folder


def test_damaged_atlas_is_told_and_mended_by_force(toy):
    folder = toy.fetch()
    next(folder.rglob('*_Chimap.nii.gz')).unlink()
    with pytest.raises(AtlasError, match=f'fetch --force Toy --atlas-cache {toy.cache}`'):
        toy.fetch()
    toy.fetch(force=True)
    toy.assert_whole()


def test_mirror_of_a_site(toy, server, monkeypatch):
    monkeypatch.setenv(MIRROR_VARIABLE, f'{server.address}/mirror/')
    server.files = {'/mirror/Toy/toy.bin': toy.content}
    toy.assert_fetched_next_time()
    noted = json.loads((toy.cache / 'Toy/source.json').read_text())['Files'][0]
    assert noted['URL'] == f'{server.address}/toy.bin'
    assert noted['RetrievedFrom'] == f'{server.address}/mirror/Toy/toy.bin'


def test_archive_is_unpacked_for_the_converter(toy):
    packed = tarred(('data/one.txt', b'1'), ('data/two.txt', b'2'))
    file = toy.serve('toy.tar.gz', packed, unpack=True)
    fetch(toy.source_of(*toy.source.files, file), toy.cache)
    toy.assert_whole()
    assert toy.log.read_text() == 'data one.txt toy toy.bin two.txt\n'


# --------------------------------------------------------------- it cannot be made or kept
@pytest.mark.parametrize('members', [[('../evil', b'')], [('/etc/evil', b'')]])
def test_hostile_archive(toy, tmp_path, members):
    file = toy.serve('toy.tar.gz', tarred(*members), unpack=True)
    toy.assert_fails('leads out of the folder', source=toy.source_of(file))
    assert not list(tmp_path.rglob('evil'))
    toy.assert_fetched_next_time()


def test_broken_result_of_a_converter(toy, monkeypatch):
    monkeypatch.setenv('TOY_BROKEN', '1')
    toy.assert_fails('dseg')
    monkeypatch.delenv('TOY_BROKEN')
    toy.assert_fetched_next_time()


@pytest.mark.parametrize(
    ('limit', 'made'), [(100_000, 0), (400_000, 1_000_000)], ids=['downloading', 'making']
)
def test_full_disk(toy, monkeypatch, limit, made):
    """The kernel refuses to let files grow, while downloading and while making the atlas."""
    monkeypatch.setenv('TOY_BYTES', str(made))
    _, said = toy.start(largest_file=limit).communicate(timeout=60)
    words = said.splitlines()
    assert words[0] == f'{toy.cache} has no space left (File too large).', said
    assert len(words) == 3
    assert toy.visible == []
    assert not list(toy.cache.glob('.fetch-*'))
    assert not toy.part.exists(), 'the space is given back'
    toy.assert_fetched_next_time()


def test_no_space_left_on_device(toy, server, monkeypatch):
    def write(self, chunk):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(downloading._Part, 'write', write)
        toy.assert_fails('No space left on device')
    assert len(server.requests) == 1, 'asking again does not help'
    assert not toy.part.exists()
    toy.assert_fetched_next_time()


def test_folder_that_cannot_be_written_to(toy, tmp_path):
    (tmp_path / 'file').touch()
    for cache in (tmp_path / 'file', tmp_path / 'file' / 'cache'):
        with pytest.raises(CacheError, match='cannot be written to') as caught:
            fetch(toy.source, cache)
        assert '--atlas-cache or QSMBIDS_ATLAS_CACHE' in str(caught.value).splitlines()[2]


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write everywhere')
def test_folder_without_permission(toy):
    toy.cache.mkdir(mode=0o555)
    with pytest.raises(CacheError, match='Permission denied'):
        toy.fetch()


def test_file_system_that_is_read_only(toy, monkeypatch):
    def makedirs(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr(os, 'makedirs', makedirs)
        toy.assert_fails('Read-only file system', CacheError)


# --------------------------------------------------------------------- several processes
def test_two_at_once_make_it_once(toy, monkeypatch):
    monkeypatch.setenv('TOY_SECONDS', '1')
    both = [toy.start() for _ in range(2)]
    said = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    toy.assert_whole()
    assert len(toy.log.read_text().splitlines()) == 1, 'one made it'
    assert sum('there already' in out for out, _ in said) == 1, 'the other found it'


def test_killed_process_leaves_nothing_visible(toy, monkeypatch):
    monkeypatch.setenv('TOY_SECONDS', '60')
    process = toy.start()
    try:
        deadline = time.monotonic() + 60
        while not list(toy.cache.glob('.fetch-Toy.*/atlas/Toy')) and time.monotonic() < deadline:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        assert list(toy.cache.glob('.fetch-Toy.*/atlas/Toy')), 'it was at work'
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)
    assert toy.visible == []
    monkeypatch.delenv('TOY_SECONDS')
    toy.assert_fetched_next_time()


@pytest.mark.parametrize('after', [1, 2], ids=['before given way', 'given way'])
def test_interrupt_between_the_two_renames_keeps_the_old_one(toy, monkeypatch, after):
    folder = toy.fetch()
    (folder / 'old').touch()
    rename, calls = os.replace, []

    def replace(source, target):
        if folder in (source, target):
            calls.append(target)
            if len(calls) == after:
                if after == 1:
                    rename(source, target)
                raise KeyboardInterrupt
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, 'replace', replace)
        with pytest.raises(KeyboardInterrupt):
            toy.fetch(force=True)
    assert (folder / 'old').exists()
    assert toy.visible == ['Toy']


def test_old_atlas_comes_back_after_a_kill_between_the_two_renames(toy, server):
    folder = toy.fetch()
    (folder / 'old').touch()
    private = toy.cache / '.fetch-Toy.killed'
    private.mkdir()
    folder.rename(private / 'before')
    server.script = ['404']
    assert toy.fetch() == folder
    assert (folder / 'old').exists()
    toy.assert_whole()


def test_file_system_without_locks(toy, monkeypatch):
    from qsmbids.atlas import fetch as fetching

    def flock(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fetching.fcntl, 'flock', flock)
    said = []
    toy.fetch(tell=said.append)
    toy.assert_whole()
    assert any('has no locks' in line for line in said)


# ------------------------------------------------------------------------ the real atlas
@pytest.mark.slow
def test_real_allen_atlas_is_made(tmp_path, server, allen, monkeypatch):
    pytest.importorskip('qsmbids.atlas.allen')
    source, cache = find_source('QSMLifespanAllen'), tmp_path / 'cache'
    server.files = {
        f'/{source.name}/{f.name}': (allen / f.name).read_bytes() for f in source.files
    }
    monkeypatch.setenv(MIRROR_VARIABLE, server.address)
    folder = fetch(source, cache)
    atlas = check_atlas(folder, source.name, images=False)
    assert [p.name for p in cache.glob('[!.]*')] == [source.name]
    assert len(atlas.labels) > 100
    assert 'CC BY 4.0' in atlas.description['License']
    assert list_atlases(cache)[1].problem == ''


def tarred(*members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode='w:gz') as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()
