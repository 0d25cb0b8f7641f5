"""Archives of other people: what may come out of them, and what must not."""

import io
import stat
import tarfile
import zipfile

import pytest

from qsmbids.atlas.archives import unpack
from qsmbids.atlas.errors import AtlasError


def make_tar(path, *members, mode='w:gz'):
    """Write a tar of (name, content) or of ready TarInfo objects."""
    with tarfile.open(path, mode) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            archive.addfile(info, io.BytesIO(member[1]))
    return path


def make_zip(path, *members):
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def special(kind, name='entry', linkname=''):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, linkname
    return info


GOOD = (('atlas/a.txt', b'first'), ('atlas/deep/er/b.txt', b'second'), ('c.txt', b''))


@pytest.mark.parametrize('kind', ['zip', 'w', 'w:gz', 'w:bz2', 'w:xz'])
def test_plain_files_and_folders_come_out(tmp_path, kind):
    archive = tmp_path / 'archive'
    if kind == 'zip':
        make_zip(archive, ('atlas/', b''), *GOOD)
    else:
        make_tar(archive, special(tarfile.DIRTYPE, 'atlas'), *GOOD, mode=kind)
    folder = unpack(archive, tmp_path / 'out')
    assert folder == tmp_path / 'out'
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob('*.txt')}
    assert found == dict(GOOD)


HOSTILE_NAMES = ['/tmp/evil.txt', '../evil.txt', 'a/../../evil.txt', 'a\\..\\evil.txt', 'x' * 300]


@pytest.mark.parametrize('name', HOSTILE_NAMES)
@pytest.mark.parametrize('make', [make_zip, make_tar])
def test_names_that_lead_out_are_refused(tmp_path, make, name):
    archive = make(tmp_path / 'archive', ('good.txt', b'good'), (name, b'evil'))
    assert_refused(archive, tmp_path, 'leads out of|no file can have')


@pytest.mark.parametrize(
    ('member', 'what'),
    [
        (special(tarfile.SYMTYPE, linkname='/etc'), 'a link'),
        (special(tarfile.LNKTYPE, linkname='good.txt'), 'a link'),
        (special(tarfile.CHRTYPE), 'a device'),
        (special(tarfile.BLKTYPE), 'a device'),
        (special(tarfile.FIFOTYPE), 'a device'),
    ],
)
def test_links_and_devices_are_refused(tmp_path, member, what):
    archive = make_tar(tmp_path / 'archive', ('good.txt', b'good'), member)
    assert_refused(archive, tmp_path, f'entry is {what}')


@pytest.mark.parametrize(('kind', 'what'), [(stat.S_IFLNK, 'a link'), (stat.S_IFIFO, 'a device')])
def test_links_and_devices_in_a_zip_are_refused(tmp_path, kind, what):
    archive = tmp_path / 'archive'
    with zipfile.ZipFile(archive, 'w') as packed:
        info = zipfile.ZipInfo('entry')
        info.external_attr = (kind | 0o777) << 16
        packed.writestr(info, '/etc')
    assert_refused(archive, tmp_path, f'entry is {what}')


def test_same_name_twice_is_refused(tmp_path):
    archive = make_tar(tmp_path / 'archive', ('a', b'1'), ('a', b'2'))
    assert_refused(archive, tmp_path, 'the name a is there twice')


def test_file_that_is_also_a_folder_is_refused(tmp_path):
    archive = make_tar(tmp_path / 'archive', ('a', b'1'), ('a/b', b'2'))
    assert_refused(archive, tmp_path, 'there twice')


@pytest.mark.parametrize('make', [make_zip, make_tar])
def test_bomb_is_stopped(tmp_path, make):
    archive = make(tmp_path / 'archive', *((f'{i}.bin', bytes(2_000_000)) for i in range(5)))
    assert archive.stat().st_size < 100_000
    assert_refused(archive, tmp_path, 'unpacks to more than', max_bytes=7_000_000)
    assert unpack(archive, tmp_path / 'allowed', max_bytes=10_000_000).is_dir()


def test_size_in_the_header_is_not_believed(tmp_path):
    """A zip that says its file is small: the bytes that come out count, or it is damaged."""
    archive = make_zip(tmp_path / 'archive', ('big.bin', bytes(3_000_000)))
    content = archive.read_bytes()
    small, big = (10).to_bytes(4, 'little'), (3_000_000).to_bytes(4, 'little')
    assert content.count(big) == 2
    archive.write_bytes(content.replace(big, small))
    with pytest.raises(AtlasError):
        unpack(archive, tmp_path / 'out', max_bytes=1_000_000)
    assert not (tmp_path / 'out').exists()


def test_too_many_files_are_refused(tmp_path):
    archive = make_tar(tmp_path / 'archive', *((f'{i}', b'') for i in range(11)))
    assert_refused(archive, tmp_path, 'more than 10 entries', max_files=10)


@pytest.mark.parametrize('make', [make_zip, make_tar])
def test_damaged_archive_is_told(tmp_path, make):
    archive = make(tmp_path / 'archive', ('a.bin', bytes(range(256)) * 400))
    content = bytearray(archive.read_bytes())
    content[len(content) // 3 : len(content) // 3 + 40] = bytes(40)
    archive.write_bytes(content)
    assert_refused(archive, tmp_path, 'cannot be unpacked')


def test_anything_else_is_told(tmp_path):
    archive = tmp_path / 'archive'
    archive.write_text('this is no archive')
    assert_refused(archive, tmp_path, 'cannot be unpacked')


def assert_refused(archive, tmp_path, words, **limits):
    """Assert three lines, nothing unpacked, and nothing beside the folder."""
    before = set(tmp_path.parent.glob('*'))
    with pytest.raises(AtlasError, match=words) as caught:
        unpack(archive, tmp_path / 'out', **limits)
    assert len(str(caught.value).splitlines()) == 3
    assert set(tmp_path.iterdir()) == {archive}
    assert set(tmp_path.parent.glob('*')) == before
