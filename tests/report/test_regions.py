"""The region table of a page: long ones are folded."""

import re
from dataclasses import replace

import pytest

from qsmbids.plan.models import Participant
from qsmbids.report.models import AcquisitionResult
from qsmbids.report.page import write_participant_page
from qsmbids.report.regions import FOLD_FROM, fold_regions, regions_view


def row(group, name='X', mean='0.01'):
    return {'name': name, 'hemisphere': 'B', 'group': group, 'mean': mean, 'coverage': '1'}


@pytest.fixture
def result(regions):
    return AcquisitionResult('sub-01', regions=regions, atlas={'name': 'QSMLifespan'})


@pytest.fixture
def many(result):
    """230 rows as of an atlas of the whole brain, cortex first."""
    rows = [row('whole brain', 'WholeBrain')]
    for group, n in (('cortex', 150), ('Deep grey', 30), ('white matter', 49)):
        rows += [row(group, f'{group.title().replace(" ", "")}{i}') for i in range(n)]
    return replace(result, regions=rows)


def test_deep_grey_comes_first_and_is_the_only_one_open(many):
    parts = fold_regions(regions_view(many, 40.0))
    assert [part['title'] for part in parts] == ['', 'Deep grey', 'Cortex', 'White matter']
    assert [part['open'] for part in parts] == [True, True, False, False]
    assert [len(part['rows']) for part in parts] == [1, 30, 150, 49]


def test_without_deep_grey_the_first_group_is_open():
    parts = fold_regions([{'group': g} for g in ['cortex'] * 40 + [''] * 40])
    assert [(part['title'], part['open']) for part in parts] == [
        ('Cortex', True), ('Without a group', False),
    ]  # fmt: skip


def test_a_short_table_stays_in_one_piece():
    assert fold_regions([]) == []
    rows = [{'group': str(i % 3)} for i in range(FOLD_FROM - 1)]
    (part,) = fold_regions(rows)
    assert part['rows'] == rows
    assert part['title'] == ''


def test_page_holds_every_row_once(tmp_path, many):
    path = tmp_path / 'x.html'
    write_participant_page(path, participant=Participant('01'), results=[many], command='x',
                           version='1', run_id='r')  # fmt: skip
    html = path.read_text(encoding='utf-8')
    section = html[html.index('All regions') :]
    section = section[: section.index('</section>')]
    names = re.findall(r'<tr><td>([^<]*)</td>', section)
    assert len(names) == len(set(names)) == 230
    assert re.findall(r'<details( open)?><summary>([^<]*)</summary>', section) == [
        (' open', 'Deep grey: 30 regions'), ('', 'Cortex: 150 regions'),
        ('', 'White matter: 49 regions'),
    ]  # fmt: skip
