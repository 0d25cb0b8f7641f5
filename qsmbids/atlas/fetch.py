"""Fetch an atlas: download its files, make the atlas of them, and only then give it its name.

Everything happens in a private folder of the cache. When the atlas in it has been opened and
every cohort checked, the folder is renamed, which a file system does in one step. A checksum
that is wrong, a connection that is cut, a disk that is full or a process that is killed
therefore leave no half-made atlas. Two processes that fetch the same atlas wait for each
other: one makes it, the other finds it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from qsmbids import __version__
from qsmbids.atlas.archives import unpack
from qsmbids.atlas.download import Progress, download
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.sources import Source
from qsmbids.atlas.store import CACHE_VARIABLE, SOURCE_FILE, check_atlas, kind_of, read_source
from qsmbids.bids.write import write_json, write_text

BEFORE = 'before'  # in the private folder: the atlas that a new one replaces
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


class CacheError(AtlasError):
    """A cache folder that cannot be used."""


def fetch(
    source: Source,
    cache: Path,
    *,
    force: bool = False,
    tell: Callable[[str], None] = lambda text: None,
    progress: Progress | None = None,
) -> Path:
    """Fetch an atlas into the cache, unless it is there.

    Parameters
    ----------
    source : Source
    cache : Path
        See `qsmbids.atlas.store.cache_folder`; made if it does not exist.
    force : bool
        Make it again even if it is there.
    tell : callable
        Called with a line of text at every step.
    progress : callable, optional
        See `qsmbids.atlas.download.download`.

    Returns
    -------
    Path
        ``cache/<name>``, an atlas folder that has been checked, with a ``source.json`` that
        says where it is from.

    Raises
    ------
    CacheError
        If the cache folder cannot be written to.
    AtlasError
        If a file could not be downloaded (see `download`) or unpacked, the disk is full, or a
        folder of this name is there that cannot be used or was not fetched. In all cases the
        cache holds what it held before, and perhaps a partial download.
    """
    folder = Path(cache) / source.name
    if not force and _is_there(source, folder, tell):
        return folder
    with _storage_errors(Path(cache)):
        os.makedirs(cache, exist_ok=True)
        with _lock(Path(cache) / f'.lock-{source.name}', source.name, tell) as locked:
            if locked:  # nobody is at work: these are of processes that were killed
                _clear_left_overs(Path(cache), folder)
            if not force and _is_there(source, folder, tell):  # made while waiting
                return folder
            _refuse_to_replace(source, folder)
            _make(source, Path(cache), tell, progress)
    return folder


def _is_there(source: Source, folder: Path, tell: Callable[[str], None]) -> bool:
    """Whether the atlas is there and whole; raises AtlasError if it is there and not."""
    if not folder.exists():
        return False
    try:
        check_atlas(folder, source.name, images=False)
    except (AtlasError, OSError) as error:
        fetched = kind_of(folder) == 'fetched'
        raise AtlasError(
            f'{folder} is there, but cannot be used: {str(error).splitlines()[0]}',
            'It may have been changed or copied in part.',
            f'Run `qsmbids-atlas fetch --force {source.name} --atlas-cache {folder.parent}`.'
            if fetched
            else 'It was not fetched by this program, so remove or rename it yourself.',
        ) from None
    version = read_source(folder).get('QsmbidsVersion', 'unknown')
    tell(f'{source.name} is there already, made by qsmbids {version}: {folder}')
    return True


def _refuse_to_replace(source: Source, folder: Path) -> None:
    """Raise AtlasError if the place is taken by something that was not fetched."""
    if folder.exists() and kind_of(folder) != 'fetched':
        raise AtlasError(
            f'{folder} is there and was not fetched by this program.',
            'It may be an atlas of your own, which would be lost.',
            'Rename or remove it, or fetch to another place with --atlas-cache.',
        )


def _make(
    source: Source, cache: Path, tell: Callable[[str], None], progress: Progress | None
) -> None:
    downloads = cache / '.downloads' / source.name
    addresses = [source.address(file) for file in source.files]
    for file, address in zip(source.files, addresses, strict=True):
        tell(f'Downloading {address}')
        download(file, address, downloads, progress)
    private = tempfile.TemporaryDirectory(
        prefix=f'.fetch-{source.name}.', dir=cache, ignore_cleanup_errors=True
    )
    with private as place:
        given, out = Path(place) / 'source', Path(place) / 'atlas'
        given.mkdir()
        out.mkdir()
        for file in source.files:
            if file.unpack:
                unpack(downloads / file.name, given / file.name.split('.')[0])
            else:
                shutil.copyfile(downloads / file.name, given / file.name)
        tell(f'Making {source.name} of them')
        made = source.load_converter()(given, out)
        tell('Checking every cohort')
        check_atlas(made, source.name, images=True)
        _write_source(source, addresses, made)
        _put_in_place(made, cache / source.name, Path(place) / BEFORE)
    shutil.rmtree(downloads, ignore_errors=True)


def _write_source(source: Source, addresses: list[str], folder: Path) -> None:
    """Note where the atlas is from, in a file that the BIDS validator is told to pass over."""
    files = [
        {'Name': file.name, 'URL': file.url, 'RetrievedFrom': address, 'SHA256': file.sha256}
        for file, address in zip(source.files, addresses, strict=True)
    ]
    content = {
        'Name': source.name,
        'Files': files,
        'License': source.licence,
        'HowToAcknowledge': f'{source.citation}. https://doi.org/{source.doi}',
        'Changes': f'Made from the files by {source.converter} of qsmbids; see README.md and '
        'the sidecars.',
        'Date': datetime.now(UTC).isoformat(timespec='seconds'),
        'QsmbidsVersion': __version__,
    }
    write_json(folder / SOURCE_FILE, content)
    ignore = folder / '.bidsignore'
    lines = ignore.read_text(encoding='utf-8').splitlines() if ignore.is_file() else []
    if SOURCE_FILE not in lines:
        write_text(ignore, '\n'.join([*lines, SOURCE_FILE]) + '\n')


def _put_in_place(made: Path, folder: Path, before: Path) -> None:
    """Rename the new atlas to its name; an earlier one gives way, and returns if that fails."""
    try:
        if folder.exists():
            os.replace(folder, before)  # removed together with the private folder
        os.replace(made, folder)
    except BaseException:  # an interrupt as well
        if before.exists() and not folder.exists():
            os.replace(before, folder)
        raise


def _clear_left_overs(cache: Path, folder: Path) -> None:
    """Remove what killed processes left; an earlier atlas that had given way comes back."""
    for left_over in cache.glob(f'.fetch-{folder.name}.*'):
        if (left_over / BEFORE).exists() and not folder.exists():
            os.replace(left_over / BEFORE, folder)
        shutil.rmtree(left_over, ignore_errors=True)


@contextlib.contextmanager
def _lock(path: Path, name: str, tell: Callable[[str], None]) -> Iterator[bool]:
    """Hold the lock of an atlas; yield False where the file system has none.

    Without a lock everything still is private until it is renamed; only a partial download
    may be written by two at once, and then its checksum is wrong.
    """
    with open(path, 'a') as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = True
        except BlockingIOError:
            tell(f'Another process is fetching {name}: waiting for it')
            fcntl.flock(handle, fcntl.LOCK_EX)
            held = True
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            tell(f'The file system of {path.parent} has no locks: fetch {name} once at a time')
            held = False
        yield held  # closing the file gives the lock back


@contextlib.contextmanager
def _storage_errors(cache: Path) -> Iterator[None]:
    """Turn what the file system refuses into words."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise AtlasError(
                f'{cache} has no space left ({error.strerror}).',
                'The atlas was not made, and its half-made files were removed.',
                f'Free some space, or name another folder with --atlas-cache or {CACHE_VARIABLE}.',
            ) from None
        if error.errno in _DENIED or not cache.is_dir():
            raise CacheError(
                f'{cache} cannot be written to: {error.strerror}.',
                'Fetched atlases are kept there for later runs.',
                f'Name a folder of your own with --atlas-cache or {CACHE_VARIABLE}.',
            ) from None
        raise
