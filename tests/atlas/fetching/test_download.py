"""Downloads from a server that misbehaves in every way, each followed by one that works."""

import gzip
import hashlib
import shutil
import socket

import pytest

from qsmbids.atlas import download as downloading
from qsmbids.atlas.fetch import fetch
from qsmbids.atlas.sources import MIRROR_VARIABLE, RemoteFile, find_source


@pytest.mark.parametrize('mode', ['redirect', '503'])
def test_redirection_and_a_server_that_is_busy_once(toy, server, mode):
    server.script = [mode]
    toy.assert_fetched_next_time()
    assert len(server.requests) == 2


def test_compressed_file_that_a_server_takes_for_a_way_of_transfer(toy, server):
    """Some servers label a .gz with Content-Encoding; unpacking it would change the checksum."""
    server.script = ['encoded'] * 10
    source = toy.source_of(toy.serve('toy.nii.gz', gzip.compress(toy.content)))
    fetch(source, toy.cache)
    toy.assert_whole()
    assert len(server.requests) == 1


# ------------------------------------------------------------------- connections are cut
def test_cut_connection_goes_on_where_it_stopped(toy, server):
    server.script = ['cut']
    toy.assert_fetched_next_time()
    ranges = [wanted for _, wanted in server.requests]
    assert ranges[0] is None
    begin = int(ranges[1].removeprefix('bytes=').removesuffix('-'))
    assert 65536 <= begin <= len(toy.content) // 2
    assert len(ranges) == 2


def test_server_that_cannot_resume_sends_all_again(toy, server):
    server.script = ['cut', 'no-range']
    toy.assert_fetched_next_time()


def test_server_that_sends_another_part(toy, server):
    server.script = ['cut', 'other-range']
    toy.assert_fetched_next_time()
    assert server.requests[-1][1] is None, 'begun again'


def test_cut_again_and_again_keeps_the_partial_file_for_the_next_time(toy, server):
    """Every attempt here begins anew, so it never ends by itself: attempts are counted."""
    server.script = ['cut-no-range'] * 20
    message = toy.assert_fails('was cut, 4 times in a row')
    assert str(toy.part) in message
    assert 0 < toy.part.stat().st_size < len(toy.content)
    server.requests.clear()
    server.script = []
    toy.assert_fetched_next_time()
    assert server.requests[0][1] is not None, 'it goes on from the partial file'


def test_slow_connection_ends_as_long_as_something_arrives(toy, server):
    """Six cuts, more than the attempts, but each brings half of the rest."""
    server.script = ['cut'] * 6
    larger = toy.source_of(toy.serve('toy.bin', toy.content * 20))
    fetch(larger, toy.cache)
    toy.assert_whole()
    assert len(server.requests) == 7


def test_stale_partial_file_is_begun_again(toy):
    toy.part.parent.mkdir(parents=True)
    toy.part.write_bytes(bytes(1000))  # not the beginning of the file
    toy.assert_fetched_next_time()


def test_partial_file_longer_than_the_file_is_begun_again(toy):
    toy.part.parent.mkdir(parents=True)
    toy.part.write_bytes(bytes(400_000))
    toy.assert_fetched_next_time()


def test_complete_partial_file_needs_no_server(toy, server):
    toy.part.parent.mkdir(parents=True)
    toy.part.write_bytes(toy.content)
    toy.fetch()
    assert server.requests == []
    toy.assert_whole()


def test_first_of_two_files_is_not_downloaded_twice(toy, server):
    both = toy.source_of(*toy.source.files, toy.file('second.bin', b'second'))
    toy.assert_fails('second.bin was answered with 404', source=both)
    toy.serve('second.bin', b'second')
    fetch(both, toy.cache)
    toy.assert_whole()
    assert [path for path, _ in server.requests].count('/toy.bin') == 1


# ---------------------------------------------------------------- it cannot be downloaded
def test_wrong_content_is_not_kept(toy, server):
    server.script = ['wrong']
    message = toy.assert_fails('expected was')
    for content in (toy.content, bytes(len(toy.content))):
        assert hashlib.sha256(content).hexdigest() in message
    assert not list((toy.cache / '.downloads').rglob('*.bin*'))
    toy.assert_fetched_next_time()


def test_missing_file(toy, server):
    server.script = ['404']
    toy.assert_fails('404 Not Found', downloading.UnreachableError)
    assert len(server.requests) == 1, 'asking again does not help'
    toy.assert_fetched_next_time()


def test_server_that_stays_busy(toy, server):
    server.script = ['503'] * 10
    toy.assert_fails('503 Service Unavailable', downloading.UnreachableError)
    assert len(server.requests) == downloading.ATTEMPTS


def test_no_network(toy):
    with socket.socket() as unused:
        unused.bind(('127.0.0.1', 0))
        port = unused.getsockname()[1]
    away = toy.source_of(RemoteFile(f'http://127.0.0.1:{port}/toy.bin', '0' * 64, 'toy.bin'))
    message = toy.assert_fails(r'cannot be reached \(.*refused\)', source=away)
    assert MIRROR_VARIABLE in message
    toy.assert_fetched_next_time()


def test_server_that_does_not_answer(toy, server, monkeypatch):
    monkeypatch.setattr(downloading, 'READ_TIMEOUT_S', 0.2)
    server.script = ['slow'] * 10
    toy.assert_fails('no answer in time')
    server.released.set()
    server.script = []
    toy.assert_fetched_next_time()


@pytest.mark.parametrize('mode', ['huge', 'endless'])
def test_download_has_a_limit(toy, server, mode):
    server.script = [mode]
    limited = toy.source_of(toy.file('toy.bin', toy.content, max_bytes=2**20))
    toy.assert_fails('more than 1 MB', source=limited)
    assert not toy.part.exists()
    toy.assert_fetched_next_time()


# ----------------------------------------------------------------------- the real files
def test_real_files_have_the_published_checksums(toy, server, allen, monkeypatch):
    """The files of the Allen atlas as they are published, through the real registry."""
    source = find_source('QSMLifespanAllen')
    image = f'/{source.name}/AllenAtlas.nii.gz'
    server.files |= {
        f'/{source.name}/{f.name}': (allen / f.name).read_bytes() for f in source.files
    }
    server.script = ['cut']
    monkeypatch.setenv(MIRROR_VARIABLE, server.address)
    for file in source.files:
        path = downloading.download(file, source.address(file), toy.cache)
        assert path.read_bytes() == (allen / file.name).read_bytes()
    shutil.rmtree(toy.cache)
    changed = bytearray(server.files[image])
    changed[5000] ^= 1
    server.files[image] = bytes(changed)
    toy.assert_fails('expected was 9bfb87ae3be25f17', source=source)
