"""The group level on a simulated cohort, as the command line runs it."""

import csv
import json
import shutil

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


def test_maps_of_another_reference_are_left_out_and_named(study, tmp_path, capsys):
    folder = tmp_path / 'study'
    shutil.copytree(study, folder)
    for person in ('01', '02', '03'):
        for path in folder.glob(f'derivatives/qsmbids/sub-{person}/**/sub-*_Chimap.json'):
            content = json.loads(path.read_text(encoding='utf-8'))
            if 'SusceptibilityReference' in content:
                path.write_text(json.dumps(content | {'SusceptibilityReference': 'csf'}))
    assert run(folder) == 0
    assert 'Left out of curves, norms and models: 6 maps' in capsys.readouterr().out
    assert {row['n'] for row in rows(folder, 'families')} == {'37'}
    # answers of the earlier run are gone with the questions
    assert not list(folder.glob('derivatives/qsmbids/group_atlas-*model*'))


def test_another_measure_takes_the_place_of_the_mean(study, capsys):
    assert run(study, '--measure', 'core_mean', '--fit-norms', study / 'core.json') == 0
    assert 'control (26), patient (14)' in ' '.join(capsys.readouterr().out.split())
    norms = json.loads((study / 'core.json').read_text(encoding='utf-8'))
    assert norms['map']['measure'] == 'core_mean'
    page = (study / 'derivatives' / 'qsmbids' / 'group.html').read_text(encoding='utf-8')
    assert 'core_mean (--measure)' in page


def test_norms_of_harmonised_values_are_not_made(study):
    """A norm file says what was measured: the same with and without ComBat."""
    assert run(study, *QUESTIONS, '--fit-norms', study / 'norms.json') == 0
    with_combat = (study / 'norms.json').read_bytes()
    assert run(study, '--fit-norms', study / 'norms.json') == 0
    assert (study / 'norms.json').read_bytes() == with_combat
