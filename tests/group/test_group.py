"""Merged tables, who is missing, and the page; all from what lies in the output folder."""

import csv
import json
from html.parser import HTMLParser

import pytest

from qsmbids.group.missing import newest_status
from qsmbids.group.run import NothingFoundError, run_group

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
    first = {p: p.read_bytes() for p in run(out).written}
    second = {p: p.read_bytes() for p in run(out).written}
    assert first == second
    assert {p for p in out.iterdir() if p.is_file()} == {p for p in first if p.parent == out}


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
    result = run(out, bids_dir=tmp_path)
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
    assert any(p.where == path.name and p.severity == 'error' for p in result.problems)
    assert [m.participant_id for m in result.missing] == ['sub-10']
    assert result.n_rows == 6
    assert 'cannot be read' in (out / 'group.html').read_text()


def test_age_from_participants_when_no_sidecar_has_it(out, tmp_path):
    people = tmp_path / 'participants.tsv'
    write(people, 'participant_id\tage\nsub-11\t89+\nsub-12\tn/a\n')
    add_scan(out, 'sub-11', None)
    add_scan(out, 'sub-12', None)
    run(out, bids_dir=tmp_path)
    ages = {r['participant_id']: r['age'] for r in rows_of(out / 'group_desc-qc_Chimap.tsv')}
    assert (ages['sub-11'], ages['sub-12']) == ('89', 'n/a')
    assert 'No age is known for sub-12' in (out / 'group.html').read_text()


def test_what_is_wrong_is_on_the_page_and_the_rest_is_done(out, tmp_path):
    people = tmp_path / 'participants.tsv'
    write(people, 'participant_id\tage\tsex\nsub-9\t35y\tF\nsub-9\t36\tF\nsub-70\t40\t1\n')
    add_scan(out, 'sub-11', None)
    result = run(out, bids_dir=tmp_path)
    said = (
        'The age in participants.tsv is not a number: sub-9',
        'Rows that differ have the same name in participants.tsv: sub-9',
        'Not in participants.tsv, but with tables: sub-10, sub-11.',
        'The sex in participants.tsv is not one of F, M, O',
        'No age is known for sub-11',
    )
    html = (out / 'group.html').read_text(encoding='utf-8')
    lines = [row['what'] for row in rows_of(out / 'group_problems.tsv')]
    for sentence in said:
        assert any(sentence in str(problem) for problem in result.problems), sentence
        assert any(line.startswith(sentence) for line in lines), sentence
        assert sentence in html
    assert 'sub-70: the participant level has not been run' in map(str, result.missing)
    assert result.n_rows == 12


class Resources(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.loaded, self.links = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
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
    assert HOSTILE not in html
    assert not any(link.startswith(('http', '//', 'javascript')) for link in found.links)
    for link in found.links:
        if not link.startswith(('#', 'sub-')):
            assert (out / link).is_file()
