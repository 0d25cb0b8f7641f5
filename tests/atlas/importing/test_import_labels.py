"""Label tables in the forms in which people pass them on."""

import pytest

from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.import_labels import LabelRow, read_label_table

FORMS = {
    'tabs': 'index\tname\n301\tLeft Putamen\n302\tRight Putamen\n',
    'commas': '\ufeffIndex,Name\n301,Left Putamen\n302,Right Putamen\n',
    'semicolons': 'Label;Structure\n301;Left Putamen\n302;Right Putamen\n',
    'label is the name': 'id,label\n301,Left Putamen\n302,Right Putamen\n',
    'region is the name': 'value\tregion\n301\tLeft Putamen\n302\tRight Putamen\n',
    'lines': '# a remark\n\n301 Left Putamen\n302   Right Putamen\n',
    'lines with signs': '301, Left Putamen\n302: Right Putamen\n',
    'inner spaces': '301 Left  Putamen\n302\tRight   Putamen\n',
    'marked heading': '# remark\n# index\tname\themi\n'
    '301\tLeft Putamen\tL\n302\tRight Putamen\tR\n',
    'remark like a heading': '# index, name\n301 Left Putamen\n302 Right Putamen\n',
    'numbered list': '301. Left Putamen\n302) Right Putamen\r\n',
    'ITK-SNAP': '# ITK-SnAP Label Description File\n'
    '    0     0    0    0        0  0  0    "Clear Label"\n'
    '  301   255    0    0        1  1  1    "Left Putamen"\n'
    '  302     0  255    0      0.5  1  1    "Right Putamen"\n',
}


@pytest.mark.parametrize('form', FORMS)
def test_all_forms_say_the_same(tmp_path, form):
    path = tmp_path / 'table.txt'
    path.write_text(FORMS[form], encoding='utf-8')
    rows = read_label_table(path)
    assert [(row.index, row.name) for row in rows] == [
        (301, 'Left Putamen'), (302, 'Right Putamen')
    ]  # fmt: skip


def test_colours_and_columns_are_kept(tmp_path):
    path = tmp_path / 'table'
    path.write_text(FORMS['ITK-SNAP'])
    assert [row.color for row in read_label_table(path)] == ['#ff0000', '#00ff00']
    path.write_text('301 Left-Putamen 236 13 176 0\n')  # FreeSurfer
    assert read_label_table(path) == (LabelRow(301, 'Left-Putamen', color='#ec0db0'),)
    path.write_text('301 Left-Putamen 236 13 176\n')  # without transparency
    assert read_label_table(path) == (LabelRow(301, 'Left-Putamen', color='#ec0db0'),)
    path.write_text('#index\tname\themi\n301\tPUT\tL\n')
    assert read_label_table(path) == (LabelRow(301, 'PUT', 'L'),)
    path.write_text('index,name,hemi,region,group,R,G,B\n7,PUT,L,Putamen,n/a,1,2,3\n')
    assert read_label_table(path) == (
        LabelRow(7, 'PUT', 'L', 'Putamen', '', '', '#010203'),
    )  # fmt: skip


BROKEN = {
    'word': (b'PK\x03\x04 and so on', 'Word or Excel'),
    'old word': (b'\xd0\xcf\x11\xe0 and so on', 'Word or Excel'),
    'pdf': (b'%PDF-1.7', 'PDF'),
    'utf-16': ('1 Räder'.encode('utf-16'), 'UTF-8'),
    'no name column': (b'index\tcolour\n1\tred\n', 'no column name'),
    'no index column': (b'name\tcolour\nPutamen\tred\n', 'no column index'),
    'twice': (b'301 Left Putamen\n301 Right Putamen\n', '301 twice: Left Putamen, Right Putamen'),
    'no number': (b'index\tname\nleft\tPutamen\n', "index 'left'"),
    'no name': (b'index\tname\n3\t\n', 'no name'),
    'text': (b'Dear colleague,\n', 'no label'),
    'three columns': (b'301\tPutamen\tL\n302\tPutamen\tR\n', 'a line that is no label'),
    'empty': (b'\n', 'names no label'),
}


@pytest.mark.parametrize('case', BROKEN)
def test_what_cannot_be_read_is_refused_in_three_lines(tmp_path, case):
    content, match = BROKEN[case]
    path = tmp_path / 'table.docx'
    path.write_bytes(content)
    with pytest.raises(AtlasError, match=match) as info:
        read_label_table(path)
    assert len(str(info.value).splitlines()) == 3


def test_absent_table(tmp_path):
    with pytest.raises(AtlasError, match='cannot be read'):
        read_label_table(tmp_path / 'none')
