"""Download one file: verified, resumed after a cut, tried again, never larger than expected.

`pooch.HTTPDownloader` does the transfer. It knows nothing of transfers that were cut, so the
bytes go through `_Part`: a file beside the final one whose name ends in ``.part``. When it is
there already, the server is asked for the rest only (``Range: bytes=N-``). A server may answer
with the rest (206) or with everything (200); the answer decides whether the partial file is
continued or begun again. The final name appears only when the checksum of the whole is right.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.sources import MIRROR_VARIABLE, RemoteFile

if TYPE_CHECKING:
    import requests

CONNECT_TIMEOUT_S = 15.0
READ_TIMEOUT_S = 60.0  # of silence in the middle of a transfer
ATTEMPTS = 4  # in a row that bring nothing new
PAUSE_S = 1.0  # before the second attempt, twice that before the third, ...

_CHUNK = 2**16
_TRY_AGAIN = {408, 416, 425, 429, 500, 502, 503, 504}

Progress = Callable[[str, int, int | None], None]  # file name, bytes so far, bytes in all


class UnreachableError(AtlasError):
    """A server that does not answer, or not with the file."""


def download(file: RemoteFile, url: str, folder: Path, progress: Progress | None = None) -> Path:
    """Download a file, or go on with it, or find that it is there.

    Parameters
    ----------
    file : RemoteFile
    url : str
        Where it is read from.
    folder : Path
        ``folder/<name>`` is the result; ``folder/<name>.part`` what has arrived so far.
    progress : callable, optional
        Called with the name of the file, the bytes so far and the bytes in all (or None).

    Returns
    -------
    Path
        The file, whose checksum is right.

    Raises
    ------
    UnreachableError
        If the server cannot be reached or does not have the file.
    AtlasError
        If the connection was cut again and again (the partial file is kept), the file is too
        large, or it has another checksum (it is not kept).
    OSError
        If the disk is full (the partial file is removed, to give the space back) or the
        folder cannot be written to.
    """
    import pooch

    target = folder / file.name
    part = folder / f'{file.name}.part'
    if target.is_file() and pooch.file_hash(target) == file.sha256:
        return target
    folder.mkdir(parents=True, exist_ok=True)
    resumed = _size(part) > 0
    if not resumed or pooch.file_hash(part) != file.sha256:
        _transfer(file, url, part, progress)
    found = pooch.file_hash(part)
    if found != file.sha256 and resumed:  # the beginning may be of another time or place
        part.unlink()
        _transfer(file, url, part, progress)
        found = pooch.file_hash(part)
    if found != file.sha256:
        size = _size(part)
        part.unlink()
        raise AtlasError(
            f'{url} has the SHA-256 {found} ({size} bytes); expected was {file.sha256}.',
            'It is not the file that the atlas is made from, and it was not kept.',
            'Try again. If it stays like this, a proxy or mirror may answer with a page of its '
            f'own (see {MIRROR_VARIABLE}), or the published file was changed: please report it.',
        )
    os.replace(part, target)
    return target


def _transfer(file: RemoteFile, url: str, part: Path, progress: Progress | None) -> None:
    """Fill the partial file, in as many attempts as bring something new."""
    import requests

    best, failures = _size(part), 0
    while True:
        stream = _Part(file, url, part, progress)
        try:
            with stream:
                stream.receive()
            return
        except requests.HTTPError as error:
            if error.response.status_code not in _TRY_AGAIN or failures + 1 >= ATTEMPTS:
                raise _no_file(url, error.response) from None
        except requests.RequestException as error:
            if _size(part) > best:
                best, failures = _size(part), 0
            if failures + 1 >= ATTEMPTS:
                raise _stopped(url, part, error) from None
        except OSError:  # of this machine: RequestException is an OSError too and came before
            part.unlink(missing_ok=True)
            raise
        failures += 1
        time.sleep(PAUSE_S * failures)


class _Part:
    """The partial file, as the stream that `pooch.HTTPDownloader` writes to."""

    def __init__(self, file: RemoteFile, url: str, path: Path, progress: Progress | None) -> None:
        self._file, self._url, self._path, self._progress = file, url, path, progress
        self._stream = open(path, 'ab')  # noqa: SIM115  (closed by __exit__)
        self._begin = self._done = self._stream.tell()
        self._total: int | None = None
        self._response: requests.Response | None = None

    def __enter__(self) -> _Part:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if self._response is not None:
            self._response.close()
        self._stream.close()  # last: on a full disk it fails
        if kind is not None and not self._done:
            self._path.unlink(missing_ok=True)

    def receive(self) -> None:
        """Ask for what is missing and write it."""
        import pooch
        import requests

        # 'identity': a length and a range mean bytes of the file, not of a compressed transfer
        headers = {'Accept-Encoding': 'identity'}
        if self._begin:
            headers['Range'] = f'bytes={self._begin}-'
        pooch.HTTPDownloader(
            chunk_size=_CHUNK,
            timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
            headers=headers,
            hooks={'response': self._on_response},
        )(self._url, self, None)
        if self._total is not None and self._done < self._total:  # older urllib3 does not tell
            raise requests.ConnectionError('the connection was closed early')

    def _on_response(self, response: requests.Response, **_: Any) -> None:
        """Look at the header of the answer, before its content is read."""
        import requests

        if response.is_redirect:
            return
        self._response = response
        status, length = response.status_code, response.headers.get('Content-Length', '')
        if status == 206:
            span = re.match(r'bytes (\d+)-', response.headers.get('Content-Range', ''))
            if not span or int(span[1]) != self._begin:
                self._begin_again()
                raise requests.ConnectionError('the server sent another part of the file')
        elif status in (200, 416):  # all of it; or the partial file is longer than the file
            self._begin_again()
        if status not in (200, 206):
            return  # raise_for_status follows
        # a web server may take the .gz of a name for a way of transfer; the file is the .gz
        response.raw.headers.pop('Content-Encoding', None)
        self._total = self._done + int(length) if length.isdigit() else None
        self._check_size(self._total or 0)

    def write(self, chunk: bytes) -> None:
        self._check_size(self._done + len(chunk))
        self._stream.write(chunk)
        self._done += len(chunk)
        if self._progress:
            self._progress(self._file.name, self._done, self._total)

    def flush(self) -> None:
        self._stream.flush()

    def _begin_again(self) -> None:
        self._stream.truncate(0)
        self._begin = self._done = 0

    def _check_size(self, size: int) -> None:
        if size > self._file.max_bytes:
            self._begin_again()
            raise AtlasError(
                f'{self._url} has more than {self._file.max_bytes / 2**20:g} MB.',
                'The published file is smaller, so this is another one; it was not kept.',
                f'Try again. If it stays like this, look at {MIRROR_VARIABLE} and your proxy.',
            )


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _no_file(url: str, response: requests.Response) -> UnreachableError:
    return UnreachableError(
        f'{url} was answered with {response.status_code} {response.reason}.',
        'The atlas is made from this file.',
        f'Try later; if it stays like this, look at {MIRROR_VARIABLE}, or update qsmbids.',
    )


def _stopped(url: str, part: Path, error: Exception) -> AtlasError:
    """Return the error for a server that cannot be reached, at first or in the middle."""
    if not _size(part):
        return UnreachableError(
            f'{url} cannot be reached ({_reason(error)}).',
            'The atlas is made from this file, which is downloaded once.',
            'Fetch on a machine with network and copy the cache folder, name a proxy in '
            f'HTTPS_PROXY, or a server of your site in {MIRROR_VARIABLE}.',
        )
    return AtlasError(
        f'the connection to {url} was cut, {ATTEMPTS} times in a row ({_reason(error)}).',
        f'The {_size(part)} bytes that arrived are kept in {part}.',
        'Give the same command again: it goes on from there.',
    )


def _reason(error: Exception) -> str:
    """Return the innermost words of an error: the outer ones are those of the library."""
    import requests

    if isinstance(error, requests.Timeout):
        return 'no answer in time'
    if isinstance(error, requests.exceptions.SSLError):
        return 'its certificate was not accepted'
    if isinstance(error, requests.exceptions.ProxyError):
        return 'the proxy refused'
    inner: object = error
    while isinstance(inner, Exception):
        error, inner = inner, getattr(inner, 'reason', None) or (inner.args or (None,))[-1]
    return str(error).rsplit(': ', maxsplit=1)[-1].rstrip('.') or type(error).__name__
