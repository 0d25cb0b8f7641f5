"""Merged tables, who is missing, and the page; all from what lies in the output folder."""

import csv
import json
from html.parser import HTMLParser

import pytest

from qsmbids.group import NothingFoundError, run_group
from qsmbids.group.collect import Scan, natural
from qsmbids.group.missing import newest_status
from qsmbids.group.page import age_range, offset_of_age

COLUMNS = ('index', 'name', 'abbreviation', 'hemisphere', 'group', 'n_voxels', 'mean', 'sd')
HOSTILE = '<script>alert(1)</script>'


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding='utf-8')


def table(rows):
    return ''.join('\t'.join(map(str, row)) + '\n' for row in rows)


def add_scan(
    out, key, age=30.0, mean=0.05, *, reference='whole-brain', offset=-0.004, name='Caudate'
):
    """Write what the participant level leaves of one acquisition."""
    entities = dict(part.split('-') for part in key.split('_'))
    folder = out / f'sub-{entities["sub"]}'
    if 'ses' in entities:
        folder /= f'ses-{entities["ses"]}'
    stem = folder / 'anat' / key
    rows = [COLUMNS, (0, 'WholeBrain', 'WB', 'B', '', 9, 0.0, 0.04),
            (1, f'{name}Left', 'CN-L', 'L', 'deep grey', 500, mean, 0.02),
            (2, f'{name}Right', 'CN-R', 'R', 'deep grey', 500, 'n/a', 'n/a')]  # fmt: skip
    for suffix in ('Chimap', 'R2starmap'):
        path = stem.with_name(f'{key}_atlas-QSMLifespan_desc-regions_{suffix}')
        write(path.with_suffix('.tsv'), table(rows))
        write(path.with_suffix('.json'), {'mean': {'Description': 'Mean', 'Units': 'ppm'}})
    sidecar = {'SusceptibilityReference': reference, 'SusceptibilityReferenceValue': 0.012}
    if age is not None:
        sidecar['AgeYears'] = age
    write(stem.with_name(f'{key}_Chimap.json'), sidecar)
    write(stem.with_name(f'{key}_desc-qc_Chimap.tsv'), table([('noise_hz',), (0.5,)]))
    write(stem.with_name(f'{key}_desc-qc_Chimap.json'), {'noise_hz': {'Units': 'Hz'}})
    facts = {'atlas': {'cohort': '4', 'curve_offset_ppm': offset}}
    record = {'facts': facts, 'settings': {'software': {'qsmbids': '0.9'}}}
    write(out / f'sub-{entities["sub"]}' / 'log' / f'{key}_atlas.json', record)


def add_status(out, label, run='20260101-120000_a', **content):
    write(out / f'sub-{label}' / 'log' / run / 'status.json', content)


def rows_of(path):
    with open(path, encoding='utf-8', newline='') as stream:
        return list(csv.DictReader(stream, delimiter='\t'))


def run(out, **options):
    return run_group(out, version='1.0', **options)


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / 'out'
    add_scan(folder, 'sub-10', 61.0, 0.07)
    add_scan(folder, 'sub-9', 8.0, 0.02)
    add_scan(folder, 'sub-9_ses-b_run-2', 12.0, 0.03)
    return folder


def test_tables_are_merged_in_natural_order(out):
    result = run(out)
    rows = rows_of(out / 'group_atlas-QSMLifespan_Chimap.tsv')
    assert result.n_rows == len(rows) == 9
    assert [r['acquisition'] for r in rows[::3]] == ['sub-9', 'sub-9_ses-b_run-2', 'sub-10']
    second = rows[4]
    shown = ('participant_id', 'session_id', 'age', 'cohort', 'version')
    assert [second[k] for k in shown] == ['sub-9', 'ses-b', '12', '4', '0.9']
    assert second['name'] == 'CaudateLeft'
    assert second['mean'] == '0.03'
    assert second['reference'] == 'whole-brain'
    assert rows[5]['mean'] == 'n/a'
    assert rows[0]['session_id'] == 'n/a'
    assert len(rows_of(out / 'group_atlas-QSMLifespan_R2starmap.tsv')) == 9
    assert [r['noise_hz'] for r in rows_of(out / 'group_desc-qc_Chimap.tsv')] == ['0.5'] * 3


def test_every_column_is_in_the_dictionary(out):
    for path in run(out).written:
        assert path.is_file()
        if path.suffix == '.tsv':
            with open(path, encoding='utf-8') as stream:
                names = stream.readline().rstrip('\n').split('\t')
            assert names == list(json.loads(path.with_suffix('.json').read_text()))
    dictionary = json.loads((out / 'group_atlas-QSMLifespan_Chimap.json').read_text())
    assert dictionary['mean'] == {'Description': 'Mean', 'Units': 'ppm'}
    assert dictionary['age']['Units'] == 'year'


def test_second_run_gives_the_same_bytes(out):
    first = {p.name: p.read_bytes() for p in run(out).written}
    second = {p.name: p.read_bytes() for p in run(out).written}
    assert first == second
    assert {p.name for p in out.iterdir() if p.is_file()} == set(first)


def test_nothing_found(tmp_path):
    with pytest.raises(NothingFoundError, match='participant level first') as error:
        run(tmp_path)
    assert len(str(error.value).splitlines()) == 3
    assert list(tmp_path.iterdir()) == []


def test_labels_restrict_the_rows(out):
    run(out, participant_labels=['sub-10'])
    assert {r['participant_id'] for r in rows_of(out / 'group_atlas-QSMLifespan_Chimap.tsv')} == {
        'sub-10'
    }
    with pytest.raises(NothingFoundError, match='of 77'):
        run(out, participant_labels=['77'])


def test_who_is_missing_and_why(out, tmp_path):
    people = tmp_path / 'participants.tsv'
    write(people, 'participant_id\tage\tsex\nsub-9\t8\tF\nsub-50\t20\tM\n')
    add_status(out, '9', acquisitions={'sub-9': {'status': 'complete', 'message': ''}})
    add_status(
        out, '20', acquisitions={'sub-20': {'status': 'failed', 'message': 'unwrapping:\nbad'}}
    )
    add_status(
        out,
        '21',
        acquisitions={},
        issues=[{'severity': 'warning', 'what': 'odd'}, {'severity': 'error', 'what': 'no TE'}],
    )
    add_status(out, '22', acquisitions={'sub-22': {'status': 'complete'}})
    (out / 'sub-23').mkdir()
    result = run(out, participants_tsv=people)
    assert [str(m) for m in result.missing] == [
        'sub-20: unwrapping: bad',
        'sub-21: no TE',
        'sub-22: finished without regions (no phase, or reconstruction only)',
        'sub-23: no table of regions and no record of a run',
        'sub-50: the participant level has not been run',
    ]
    rows = rows_of(out / 'group_missing.tsv')
    assert [r['participant_id'] for r in rows] == [
        'sub-20',
        'sub-21',
        'sub-22',
        'sub-23',
        'sub-50',
    ]
    assert rows[1]['acquisition'] == 'n/a'
    assert rows_of(out / 'group_atlas-QSMLifespan_Chimap.tsv')[0]['sex'] == 'F'
    assert 'the participant level has not been run' in (out / 'group.html').read_text()


def test_expected_labels_replace_what_was_found(out):
    result = run(out, expected=['9', 'sub-3'])
    assert [m.participant_id for m in result.missing] == ['sub-3']


def test_newest_run_counts(out):
    add_status(out, '10', '20250101-000000_z', acquisitions={'sub-10': {'status': 'complete'}})
    assert run(out).missing == ()
    add_status(
        out,
        '10',
        '20260101-000000_a',
        acquisitions={'sub-10': {'status': 'failed', 'message': 'no space'}},
    )
    (missing,) = run(out).missing
    assert missing.reason == 'the last run failed, values are of an earlier one: no space'
    write(out / 'sub-10/log/20270101-000000_a/status.json', '{"acq')
    assert newest_status(out / 'sub-10')['acquisitions']['sub-10']['status'] == 'failed'


def test_unreadable_table_is_named_and_left_out(out):
    path = out / 'sub-10/anat/sub-10_atlas-QSMLifespan_desc-regions_Chimap.tsv'
    path.write_bytes(b'\xff\xfe\x80')
    result = run(out)
    assert path.name in result.unreadable[0]
    assert [m.participant_id for m in result.missing] == ['sub-10']
    assert result.n_rows == 6
    assert 'cannot be read' in (out / 'group.html').read_text()


def test_age_from_participants_when_no_sidecar_has_it(out, tmp_path):
    people = tmp_path / 'participants.tsv'
    write(people, 'participant_id\tage\nsub-11\t89+\nsub-12\tn/a\n')
    add_scan(out, 'sub-11', None)
    add_scan(out, 'sub-12', None)
    run(out, participants_tsv=people)
    ages = {r['participant_id']: r['age'] for r in rows_of(out / 'group_desc-qc_Chimap.tsv')}
    assert (ages['sub-11'], ages['sub-12']) == ('89', 'n/a')
    assert 'No age is known for sub-12' in (out / 'group.html').read_text()


def test_page_shows_each_region_with_n_reference_and_what_the_curve_is(out):
    run(out)
    html = (out / 'group.html').read_text(encoding='utf-8')
    assert html.count('χ (ppm) relative to whole-brain · n = 3</text>') == 2
    assert 'engineering prior, not published norms</text>' in html
    assert 'adult average at every age' in html
    assert '<a href="sub-10.html"><path class="left"' in html
    assert 'sub-9_ses-b_run-2, left: 0.030 ppm at 12 y' in html
    assert 'Nobody is missing' in html


def test_mixed_references_are_said_on_page_and_pictures(out):
    add_scan(out, 'sub-11', reference='csf', offset=0.0)
    run(out)
    html = (out / 'group.html').read_text(encoding='utf-8')
    assert 'The maps have different references: csf, whole-brain.' in html
    assert 'relative to different references · n = 4' in html


def test_curve_that_was_not_moved_is_said(tmp_path):
    add_scan(tmp_path, 'sub-1', offset=None)
    run(tmp_path)
    assert 'not norms; not re-referenced</text>' in (tmp_path / 'group.html').read_text()


def test_offset_between_ages_is_interpolated():
    scans = [
        Scan('sub-1', age=10, curve_offset=-0.002),
        Scan('sub-2', age=30, curve_offset=-0.006),
        Scan('sub-3', age=50),
        Scan('sub-4', age=30, curve_offset=-0.008),
    ]
    offset = offset_of_age(scans)
    assert offset(20) == pytest.approx(-0.0045)
    assert offset(80) == pytest.approx(-0.007)
    assert offset_of_age(scans[2:3]) is None


def test_age_axis_in_full_decades():
    assert age_range([Scan('sub-1', age=22.0), Scan('sub-2', age=68.0)]) == (10.0, 80.0)
    assert age_range([Scan('sub-1')]) == (0.0, 90.0)


class Resources(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.loaded, self.links, self.scripts = [], [], 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.scripts += tag == 'script'
        self.loaded += [values[k] for k in ('src', 'srcset') if k in values]
        if tag == 'link':
            self.loaded.append(values.get('href'))
        if tag == 'a':
            self.links.append(values['href'])


def test_page_is_self_contained_and_escapes_hostile_names(out):
    add_scan(out, 'sub-11', name=HOSTILE, reference=HOSTILE)
    add_status(out, '12', acquisitions={HOSTILE: {'status': 'failed', 'message': HOSTILE}})
    run(out)
    html = (out / 'group.html').read_text(encoding='utf-8')
    found = Resources(html)
    assert found.loaded == []
    assert found.scripts == 1
    assert HOSTILE not in html
    assert not any(link.startswith(('http', '//', 'javascript')) for link in found.links)
    for link in found.links:
        if not link.startswith(('#', 'sub-')):
            assert (out / link).is_file()


def test_natural_order():
    keys = ['sub-A2', 'sub-10', 'sub-2', 'sub-A10', 'sub-02']
    assert sorted(keys, key=natural) == ['sub-02', 'sub-2', 'sub-10', 'sub-A2', 'sub-A10']
