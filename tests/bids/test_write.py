"""Writing is all or nothing, and repeatable to the byte."""

import gzip
import json
import os

import pytest

from qsmbids.bids.dataset import other_version, prepare_dataset, to_tsv, write_table
from qsmbids.bids.write import copy, write_atomically, write_json


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


def test_copy_compresses_to_the_same_bytes(tmp_path):
    source = tmp_path / 'a.nii'
    source.write_bytes(b'image' * 1000)
    copy(source, tmp_path / 'one.nii.gz')
    os.utime(source, (1, 1))
    copy(source, tmp_path / 'two.nii.gz')
    one, two = ((tmp_path / n).read_bytes() for n in ('one.nii.gz', 'two.nii.gz'))
    assert one == two
    assert gzip.decompress(one) == source.read_bytes()


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
