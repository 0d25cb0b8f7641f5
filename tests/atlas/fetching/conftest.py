"""A local server that misbehaves on demand, and a source whose atlas is tiny."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qsmbids.atlas import download as downloading
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.fetch import fetch
from qsmbids.atlas.sources import MIRROR_VARIABLE, RemoteFile, Source
from qsmbids.atlas.store import check_atlas

ROOT = Path(__file__).parents[3]
CONTENT = np.random.default_rng(1).bytes(300_000)

# what a converter is: it writes an atlas folder; the environment lets tests disturb it
CONVERTER = """
import json, os, time
from pathlib import Path
import numpy as np
from qsmbids.atlas.images import write_image

def convert(source, out):
    with open(os.environ['TOY_LOG'], 'a') as log:
        log.write(' '.join(sorted(p.name for p in source.rglob('*'))) + '\\n')
    folder = out / 'Toy' / 'tpl-Toy' / 'cohort-1'
    folder.mkdir(parents=True)
    chi = np.zeros((6, 6, 6), np.float32)
    chi[2:4, 2:4, 2:4] = 0.1
    stem = f'{folder}/tpl-Toy_cohort-1'
    write_image(f'{stem}_Chimap.nii.gz', chi, np.eye(4))
    time.sleep(float(os.environ.get('TOY_SECONDS', '0')))
    (folder / 'filler').write_bytes(bytes(int(os.environ.get('TOY_BYTES', '0'))))
    write_image(f'{stem}_desc-brain_mask.nii.gz', chi > 0, np.eye(4))
    if 'TOY_BROKEN' not in os.environ:
        write_image(f'{stem}_atlas-Toy_dseg.nii.gz', (chi > 0).astype(np.int16), np.eye(4))
    about = {'cohort': {'1': {'name': 'all', 'age': [1, 90]}}}
    (folder.parent / 'template_description.json').write_text(json.dumps(about))
    (out / 'Toy' / 'atlas-Toy_dseg.tsv').write_text('index\\tname\\n1\\tNucleus\\n')
    (out / 'Toy' / '.bidsignore').write_text('template_description.json\\n')
    return out / 'Toy'
"""

FETCH = """
import json, os, resource, sys
from pathlib import Path
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.fetch import fetch
from qsmbids.atlas.sources import RemoteFile, Source
url, sha256, cache, limit = sys.argv[1:]
file = RemoteFile(url, sha256, 'toy.bin')
source = Source('Toy', '', '', '', 'CC0', 'Nobody', '10.1/x', (file,), 'toy_converter:convert')
if int(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
try:
    fetch(source, Path(cache), tell=lambda text: print(text, flush=True))
except AtlasError as error:
    sys.exit(str(error))
"""


class Handler(BaseHTTPRequestHandler):
    """Serve ``files``; the next word of ``script`` says what goes wrong this time."""

    def do_GET(self):
        server = self.server
        wanted = self.headers.get('Range')
        server.requests.append((self.path, wanted))
        mode = server.script.pop(0) if server.script else 'normal'
        content = server.files.get(self.path)
        if content is None or mode in ('404', '503'):
            self.send_error(int(mode) if mode.isdigit() else 404)
            return
        if mode == 'redirect':
            self.send_response(302)
            self.send_header('Location', self.path)
            self.send_header('Content-Length', '0')
            self.end_headers()
            return
        if mode == 'slow':
            server.released.wait(5)
        if mode == 'wrong':
            content = bytes(len(content))
        begin = int(wanted[6:-1]) if wanted and mode not in ('no-range', 'cut-no-range') else 0
        if begin >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if begin else 200)
        if begin:
            begin += mode == 'other-range'
            span = f'bytes {begin}-{len(content) - 1}/{len(content)}'
            self.send_header('Content-Range', span)
        if mode == 'encoded':
            self.send_header('Content-Encoding', 'x-gzip')
        if mode == 'huge':
            self.send_header('Content-Length', str(10**12))
        elif mode != 'endless':
            self.send_header('Content-Length', str(len(content) - begin))
        self.end_headers()
        body = content[begin:]
        self.wfile.write(body[: len(body) // 2] if mode.startswith(('cut', 'huge')) else body)
        for _ in range(100 if mode == 'endless' else 0):
            self.wfile.write(body)

    def handle(self):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the client left
            super().handle()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    """A local server; quick attempts, no proxy, no mirror."""
    web = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    web.files, web.script, web.requests = {}, [], []
    web.released = threading.Event()
    web.address = f'http://127.0.0.1:{web.server_port}'
    thread = threading.Thread(target=web.serve_forever, args=(0.02,))
    thread.start()
    monkeypatch.setattr(downloading, 'PAUSE_S', 0.0)
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')
    monkeypatch.delenv(MIRROR_VARIABLE, raising=False)
    yield web
    web.released.set()
    web.shutdown()
    thread.join()
    web.server_close()


@dataclass(frozen=True)
class Toy:
    """A source of one file, ``toy.bin``, and the cache that it is fetched into."""

    server: Any
    cache: Path
    program: Path
    log: Path  # one line for every time that the converter was called
    source: Source
    content: bytes = CONTENT

    def source_of(self, *files: RemoteFile) -> Source:
        return Source(
            'Toy', 'A toy', 'all', 'one', 'CC0', 'Nobody', '10.1/x', files, 'toy_converter:convert'
        )

    def file(self, name: str, content: bytes, **options: Any) -> RemoteFile:
        """Return a file of the server; it is served when it stands in ``server.files``."""
        digest = hashlib.sha256(content).hexdigest()
        return RemoteFile(f'{self.server.address}/{name}', digest, name, **options)

    def serve(self, name: str, content: bytes, **options: Any) -> RemoteFile:
        self.server.files[f'/{name}'] = content
        return self.file(name, content, **options)

    @property
    def part(self) -> Path:
        return self.cache / '.downloads/Toy/toy.bin.part'

    @property
    def visible(self) -> list[str]:
        """What is in the cache for people: names that do not begin with a dot."""
        return sorted(p.name for p in self.cache.glob('*') if not p.name.startswith('.'))

    def fetch(self, **options: Any) -> Path:
        return fetch(self.source, self.cache, **options)

    def start(self, largest_file: int = 0) -> subprocess.Popen:
        """Start a process that fetches; its files may grow to ``largest_file`` bytes."""
        file = self.source.files[0]
        words = [file.url, file.sha256, str(self.cache), str(largest_file)]
        return subprocess.Popen(
            [sys.executable, str(self.program), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {'PYTHONPATH': f'{self.program.parent}:{ROOT}'},
        )

    def assert_whole(self) -> None:
        """Assert an atlas that can be used, and that nothing else was left behind."""
        assert self.visible == ['Toy']
        assert check_atlas(self.cache / 'Toy', 'Toy', images=True).labels[0].name == 'Nucleus'
        assert not list(self.cache.glob('.fetch-*'))
        assert not list((self.cache / '.downloads').rglob('*.bin*'))

    def assert_fails(
        self, words: str, error: type = AtlasError, source: Source | None = None
    ) -> str:
        """Assert three lines and a cache without the atlas; return the message."""
        with pytest.raises(error, match=words) as caught:
            fetch(source or self.source, self.cache)
        assert len(str(caught.value).splitlines()) == 3
        assert self.visible == []
        assert not list(self.cache.glob('.fetch-*'))
        return str(caught.value)

    def assert_fetched_next_time(self) -> None:
        self.fetch()
        self.assert_whole()


@pytest.fixture
def toy(server, tmp_path, monkeypatch):
    (tmp_path / 'toy_converter.py').write_text(CONVERTER)
    (tmp_path / 'program.py').write_text(FETCH)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv('TOY_LOG', str(tmp_path / 'log'))
    made = Toy(server, tmp_path / 'cache', tmp_path / 'program.py', tmp_path / 'log', None)
    source = made.source_of(made.serve('toy.bin', CONTENT))
    yield replace(made, source=source)
    sys.modules.pop('toy_converter', None)


@pytest.fixture
def allen() -> Path:
    """The folder with the files of the Allen atlas as they are published."""
    given = os.environ.get('QSMBIDS_TEST_ATLASES', ROOT.parent / 'shared/atlases')
    folder = Path(given) / 'allen'
    if not folder.is_dir():
        pytest.skip('no copy of the Allen label map here')
    return folder
