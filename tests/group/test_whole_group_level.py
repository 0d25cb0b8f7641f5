"""The group level on a simulated cohort, as the command line runs it."""

import csv
import json

import pytest

from qsmbids.cli.main import main
from qsmbids.phantom.cohort_tables import write_cohort_tables

MODEL = 'chi ~ diagnosis + age + sex'


@pytest.fixture(scope='module')
def study(tmp_path_factory):
    """Forty people at two sites, a third of them patients, twice each; with all questions."""
    folder = tmp_path_factory.mktemp('study')
    write_cohort_tables(folder, 40, seed=5, sessions=2, patients=0.35, sites=2)
    assert run(folder, *QUESTIONS, '--fit-norms', folder / 'norms.json') == 0
    return folder


QUESTIONS = (
    '--model', MODEL, '--scores', 'score', '--roc', 'diagnosis=patient/control',
    '--harmonize', 'site', '--norms', 'prior', '--iron',
)  # fmt: skip


def run(folder, *options):
    out = folder / 'derivatives' / 'qsmbids'
    arguments = [folder / 'bids', out, 'group', '-w', folder / 'work', *options]
    return main([str(argument) for argument in arguments])


def contents(folder):
    out = folder / 'derivatives' / 'qsmbids'
    return {p.relative_to(out): p.read_bytes() for p in [*out.glob('group*'),
                                                         *out.glob('figures/*')]}  # fmt: skip


def rows(folder, name):
    path = folder / 'derivatives' / 'qsmbids' / f'group_atlas-QSMLifespan_desc-{name}_Chimap.tsv'
    with open(path, encoding='utf-8', newline='') as stream:
        return list(csv.DictReader(stream, delimiter='\t'))


def test_every_answer_has_its_table(study):
    for name in ('families', 'curves', 'centiles', 'zscores', 'model1', 'model1terms', 'scores',
                 'model1total', 'roc1', 'sites', 'change', 'iron'):  # fmt: skip
        assert rows(study, name), name


def test_every_column_is_explained(study):
    for path in (study / 'derivatives' / 'qsmbids').glob('group*.tsv'):
        header = path.read_text(encoding='utf-8').splitlines()[0].split('\t')
        told = json.loads(path.with_suffix('.json').read_text(encoding='utf-8'))
        assert set(header) <= set(told), path.name
        assert all(told[name]['Description'] for name in header), path.name


def test_the_disease_is_where_it_was_put(study):
    found = {
        row['region']: float(row['q'])
        for row in rows(study, 'model1terms')
        if row['term'] == 'diagnosis' and row['q'] != 'n/a'  # the reference region has no test
    }
    assert min(found, key=found.get) == 'SubstantiaNigra'
    assert found['SubstantiaNigra'] < 0.01


def test_a_second_run_gives_the_same_bytes(study):
    before = contents(study)
    assert run(study, *QUESTIONS, '--fit-norms', study / 'norms.json') == 0
    after = contents(study)
    assert before.keys() == after.keys()
    assert [name for name in before if before[name] != after[name]] == []


def test_norms_of_the_cohort_can_be_applied_to_it(study):
    norms = json.loads((study / 'norms.json').read_text(encoding='utf-8'))
    assert norms
    assert run(study, '--norms', study / 'norms.json') == 0
    z = [float(row['z']) for row in rows(study, 'zscores') if row['z'] != 'n/a']
    assert abs(sum(z) / len(z)) < 0.3


def test_what_cannot_be_answered_is_said_and_the_rest_done(study, capsys):
    assert run(study, '--model', 'chi ~ nothing + age', '--model', MODEL) == 1
    told = capsys.readouterr().out
    assert 'There is no column nothing' in told
    assert rows(study, 'model2')


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (('--model', 'chi ~ __import__("os")'), '__import__'),
        (('--roc', 'diagnosis'), 'diagnosis'),
        (('--norms', 'nowhere.json'), 'nowhere.json'),
        (('--iron-slope', '1000'), '1000'),
        (('--repeatability', '0'), '--repeatability'),
    ],
)
def test_slips_of_the_pen_are_told_before_anything_runs(study, options, words, capsys):
    with pytest.raises(SystemExit) as stop:
        run(study, *options)
    assert stop.value.code == 2
    assert words in capsys.readouterr().err
