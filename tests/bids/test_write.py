"""Writing is all or nothing, and repeatable to the byte."""

import contextlib
import errno
import fcntl
import gzip
import json
import os
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

from qsmbids.bids.dataset import other_version, prepare_dataset, to_tsv, write_table
from qsmbids.bids.write import (
    Packed,
    copy,
    remove_leftovers,
    write_atomically,
    write_json,
    write_text,
)


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / 'x.txt'
    path.write_text('old')

    def half(stream):
        stream.write(b'half')
        raise OSError('disk full')

    with pytest.raises(OSError, match='disk full'):
        write_atomically(path, half)
    assert path.read_text() == 'old'
    assert os.listdir(tmp_path) == ['x.txt']


def test_full_disk_names_the_file(tmp_path):
    def full(stream):
        raise OSError(errno.ENOSPC, 'No space left on device')

    with pytest.raises(OSError, match='No space left') as caught:
        write_atomically(tmp_path / 'map.nii.gz', full)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(tmp_path / 'map.nii.gz')
    assert os.listdir(tmp_path) == []


def test_content_is_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    seen = []
    replace, sync = os.replace, os.fsync
    monkeypatch.setattr(os, 'fsync', lambda handle: seen.append('sync') or sync(handle))
    monkeypatch.setattr(os, 'replace', lambda *names: seen.append('rename') or replace(*names))
    write_text(tmp_path / 'x.txt', 'x')
    assert seen == ['sync', 'rename']


WRITE = """
import sys, time
from pathlib import Path
from qsmbids.bids.write import write_atomically
def write(stream):
    stream.write(b'half')
    stream.flush()
    print('writing', flush=True)
    time.sleep(60)
write_atomically(Path(sys.argv[1]), write)
"""


@pytest.mark.parametrize('locks', [True, False])
def test_leftovers_of_killed_runs_only(tmp_path, monkeypatch, locks):
    """The temporary file of a run that still writes stays; without locks any young one does."""
    if not locks:

        def refuse(*_):
            raise OSError(errno.ENOLCK, 'No locks available')

        monkeypatch.setattr(fcntl, 'flock', refuse)
    anat = tmp_path / 'sub-01' / 'anat'
    for name in ('sub-01_Chimap.nii.gz', '.hidden', '.part-file', '.bidsignore'):
        write_text(anat / name, 'x')
    command = [sys.executable, '-c', WRITE, anat / 'sub-01_T2starmap.nii.gz']
    writer = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert writer.stdout.readline() == b'writing\n'
    assert remove_leftovers(tmp_path) == []
    writer.kill()
    writer.communicate()
    assert remove_leftovers(tmp_path, older_than_s=60) == []
    if not locks:
        assert remove_leftovers(tmp_path) == []
        (left,) = anat.glob('.sub*')
        os.utime(left, (1e9, 1e9))
    (left,) = remove_leftovers(tmp_path)
    assert left.name.startswith('.sub-01_T2starmap')
    assert len(list(anat.iterdir())) == 4


def test_copy_compresses_to_the_same_bytes(tmp_path):
    source = tmp_path / 'a.nii'
    source.write_bytes(b'image' * 1000)
    copy(source, tmp_path / 'one.nii.gz')
    os.utime(source, (1, 1))
    copy(source, tmp_path / 'two.nii.gz')
    one, two = ((tmp_path / n).read_bytes() for n in ('one.nii.gz', 'two.nii.gz'))
    assert one == two
    assert gzip.decompress(one) == source.read_bytes()


def test_packed_image_is_read_by_others(tmp_path):
    noise = np.random.default_rng(0).normal(size=(30, 20, 10)).astype(np.float32)
    noise[:15] = 0
    path = tmp_path / 'x.nii.gz'
    with path.open('wb') as stream:
        with Packed(stream) as packed:
            nib.Nifti1Image(noise, np.eye(4)).to_stream(packed)
        assert not stream.closed
    np.testing.assert_array_equal(nib.load(path).get_fdata(dtype=np.float32), noise)
    assert path.stat().st_size < 0.6 * noise.nbytes
    assert subprocess.run(['gzip', '--test', path], check=False).returncode == 0


def test_closing_makes_it_whole(tmp_path):
    with (tmp_path / 'x.gz').open('wb') as stream:
        packed = Packed(stream)
        packed.write(b'all of it')
        packed.close()
        packed.close()
        with pytest.raises(ValueError, match='closed'):
            packed.write(b'more')
    assert gzip.decompress((tmp_path / 'x.gz').read_bytes()) == b'all of it'


def test_a_failed_pack_is_no_whole_file(tmp_path):
    path = tmp_path / 'x.gz'
    with path.open('wb') as stream, contextlib.suppress(OSError), Packed(stream) as packed:
        packed.write(bytes(1_000_000))
        raise OSError('disk full')
    with pytest.raises(EOFError):
        gzip.decompress(path.read_bytes())


def test_json_refuses_nan(tmp_path):
    with pytest.raises(ValueError, match='JSON'):
        write_json(tmp_path / 'x.json', {'value': float('nan')})
    assert not list(tmp_path.iterdir())


def test_table_and_dictionary_agree(tmp_path):
    columns = [('name', '', 'Name of the region'), ('mean', 'ppm', 'Mean')]
    rows = [{'name': 'GPi', 'mean': 0.1234567891}, {'name': 'GPe', 'mean': float('nan')}]
    write_table(tmp_path / 't.tsv', rows, columns)
    assert (tmp_path / 't.tsv').read_text() == 'name\tmean\nGPi\t0.123457\nGPe\tn/a\n'
    dictionary = json.loads((tmp_path / 't.json').read_text())
    assert dictionary['mean'] == {'Description': 'Mean', 'Units': 'ppm'}


def test_tsv_keeps_zero_and_marks_missing():
    assert to_tsv([{'a': 0, 'b': None}], ['a', 'b', 'c']) == 'a\tb\tc\n0\tn/a\tn/a\n'


def test_dataset_files_are_written_once(tmp_path):
    raw, out = tmp_path / 'raw', tmp_path / 'out'
    raw.mkdir()
    (raw / 'dataset_description.json').write_text('{"Name": "Study", "License": "CC0"}')
    prepare_dataset(out, raw)
    description = json.loads((out / 'dataset_description.json').read_text())
    assert description['License'] == 'CC0'
    assert description['DatasetType'] == 'derivative'
    assert description['GeneratedBy'][0]['Name'] == 'qsmbids'
    before = {p.name: p.stat().st_mtime_ns for p in out.iterdir()}
    prepare_dataset(out, raw)
    assert before == {p.name: p.stat().st_mtime_ns for p in out.iterdir()}
    assert other_version(out) == ''


def test_broken_raw_description_is_survived(tmp_path):
    (tmp_path / 'dataset_description.json').write_text('[not an object')
    prepare_dataset(tmp_path / 'out', tmp_path)
    assert (tmp_path / 'out' / 'dataset_description.json').is_file()


def test_another_version_is_noticed(tmp_path):
    write_json(
        tmp_path / 'dataset_description.json',
        {'GeneratedBy': [{'Name': 'qsmbids', 'Version': '0.0.0'}]},
    )
    assert other_version(tmp_path) == '0.0.0'
