"""Unpacking an archive that somebody else made.

A name in an archive may lead out of the folder (``/etc/passwd``, ``../../.bashrc``), an entry
may be a link through which the next entry is written elsewhere, or a device; a few kilobytes
may unpack to terabytes. Python's own safeguards differ between versions and between zip and
tar. Here only plain files and folders are taken, each name is checked, and the bytes are
counted as they come out, whatever the header of the archive says.
"""

from __future__ import annotations

import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from qsmbids.atlas.errors import AtlasError

MAX_FILES = 10_000
MAX_BYTES = 4 * 2**30

_CHUNK = 2**16
_UNREADABLE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # raised by zipfile for a compression that it cannot read
    RuntimeError,  # zipfile, about a password
)


class _Entry(NamedTuple):
    name: str
    kind: str  # 'file', 'folder' or what else it is, in words
    open: Callable[[], BinaryIO]


def unpack(
    archive: Path, folder: Path, *, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES
) -> Path:
    """Unpack a zip or tar archive (gz, bz2, xz too) into a new folder.

    Parameters
    ----------
    archive : Path
    folder : Path
        Made here; it must not exist.
    max_files : int
        Most entries, folders included.
    max_bytes : int
        Most bytes of all files together, unpacked.

    Returns
    -------
    Path
        ``folder``. If anything is wrong with the archive there is none.

    Raises
    ------
    AtlasError
        If the archive is damaged or neither zip nor tar, holds an absolute name, one with
        ``..``, a link, a device, the same name twice, or more than the limits.
    """
    folder.mkdir(parents=True)
    try:
        _unpack(archive, folder, max_files, max_bytes)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, (FileExistsError, NotADirectoryError)):
            name = Path(error.filename).name
            raise _refused(archive, f'the name {name} is there twice') from None
        # gzip and bz2 tell of damage with an OSError that has no number
        if isinstance(error, _UNREADABLE) or (isinstance(error, OSError) and not error.errno):
            raise AtlasError(
                f'{archive.name} cannot be unpacked: {error}.',
                'It should be a zip or tar archive.',
                'Download it again, or unpack it yourself and give the folder.',
            ) from None
        raise
    return folder


def _unpack(archive: Path, folder: Path, max_files: int, max_bytes: int) -> None:
    left = max_bytes
    for number, entry in enumerate(_entries(archive), 1):
        if number > max_files:
            raise _refused(archive, f'it holds more than {max_files} entries')
        target = folder / _checked_name(archive, entry)
        if entry.kind == 'folder':
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with entry.open() as stream, open(target, 'xb') as out:
            left -= _copy(stream, out, left)
        if left < 0:
            raise _refused(archive, f'it unpacks to more than {max_bytes / 2**20:g} MB')


def _copy(stream: BinaryIO, out: BinaryIO, limit: int) -> int:
    """Copy up to the first chunk beyond the limit; return the number of bytes."""
    count = 0
    while count <= limit and (chunk := stream.read(_CHUNK)):
        out.write(chunk)
        count += len(chunk)
    return count


def _checked_name(archive: Path, entry: _Entry) -> PurePosixPath:
    name = PurePosixPath(entry.name)
    if entry.kind not in ('file', 'folder'):
        raise _refused(archive, f'{entry.name} is {entry.kind}')
    if name.is_absolute() or '..' in name.parts or '\\' in entry.name:
        raise _refused(archive, f'the name {entry.name} leads out of the folder')
    if '\0' in entry.name or any(len(part.encode(errors='replace')) > 255 for part in name.parts):
        raise _refused(archive, 'it holds a name that no file can have')
    return name


def _refused(archive: Path, why: str) -> AtlasError:
    return AtlasError(
        f'{archive.name} was not unpacked: {why}.',
        'Such an archive could write outside its folder or fill the disk.',
        'Do not use it; ask the people who gave it to you.',
    )


def _entries(archive: Path) -> Iterator[_Entry]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            for info in packed.infolist():
                yield _Entry(info.filename, _zip_kind(info), lambda i=info: packed.open(i))
    else:
        with tarfile.open(archive, 'r:*') as packed:
            for member in packed:
                yield _Entry(
                    member.name, _tar_kind(member), lambda m=member: packed.extractfile(m)
                )
            for _ in range(MAX_BYTES // _CHUNK):  # to the end, where gzip keeps its checksum
                if not packed.fileobj.read(_CHUNK):
                    break


def _zip_kind(info: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(info.external_attr >> 16)  # zero when made on a system without modes
    if kind == stat.S_IFLNK:
        return 'a link'
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return 'a device'
    return 'folder' if info.is_dir() else 'file'


def _tar_kind(member: tarfile.TarInfo) -> str:
    if member.isreg():
        return 'file'
    if member.isdir():
        return 'folder'
    return 'a link' if member.issym() or member.islnk() else 'a device'
