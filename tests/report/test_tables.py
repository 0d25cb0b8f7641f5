"""Reading tables, and numbers as a person reads them."""

import pytest

from qsmbids.report.tables import read_table
from qsmbids.report.values import duration, fixed, significant


def test_read_table(tmp_path):
    path = tmp_path / 'x.tsv'
    path.write_bytes(b'\xef\xbb\xbfindex\tname\n1\tn/a\n2\n3\ta\textra\n')
    assert read_table(path) == [
        {'index': '1', 'name': 'n/a'}, {'index': '2', 'name': ''}, {'index': '3', 'name': 'a'},
    ]  # fmt: skip


@pytest.mark.parametrize('content', [b'', b'\xff\xfe\x00\x01\t\n\x80'])
def test_broken_table_is_explained(tmp_path, content):
    path = tmp_path / 'x.tsv'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'x\.tsv') as error:
        read_table(path)
    assert len(str(error.value).splitlines()) == 3


def test_zero_has_no_sign():
    assert fixed(-0.0001) == '0.000'
    assert fixed(0.0001, sign=True) == '0.000'


def test_large_numbers_do_not_break_at_the_end_of_a_line():
    assert ' ' not in significant(1234567)
    assert significant(-1234567).startswith('−1')


def test_minutes_carry():
    assert duration(119.7) == '2 min 0 s'
