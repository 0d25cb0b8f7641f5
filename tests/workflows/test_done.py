"""What is finished is recognised, and nothing else: neither too much nor too little."""

import json
import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest

from qsmbids.bids.cosmos import cosmos_names
from qsmbids.bids.names import record_path, with_sidecars
from qsmbids.config import Config
from qsmbids.execution.failures import Failure
from qsmbids.lifespan.norms import Norm, NormSet
from qsmbids.plan.cosmos import CosmosGroup
from qsmbids.plan.models import Decision, RegionMask, Source
from qsmbids.plan.planner import make_plan
from qsmbids.workflows import ingredients
from qsmbids.workflows.done import fingerprint, forget, is_done, mark_done, stamp_path
from qsmbids.workflows.outcome import Outcome, promised_names

COHORT = '4'


@pytest.fixture
def config(dataset, tmp_path):
    return Config(dataset, tmp_path / 'out', tmp_path / 'work')


@pytest.fixture
def acquisition(dataset):
    return make_plan(dataset).acquisitions[0]


def complete(acquisition, config, names=None):
    """An outcome with all its files, which say nothing."""
    names = names or promised_names(acquisition, config, COHORT)
    for n, name in enumerate(with_sidecars(names.values())):
        path = config.output_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'x' * (n + 1))
    figure = f'sub-{acquisition.participant}/figures/chi.svg'
    record = record_path(acquisition.participant, acquisition.key, 'recon')
    for name, text in (
        (figure, '<svg/>'),
        (record, json.dumps({'names': {}, 'figures': [{'path': figure}]})),
    ):
        path = config.output_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Outcome(acquisition, names, (), ())


def test_every_setting_is_classed():
    """A new setting must be put into one of the classes, or results of another run are kept."""
    classes = (
        ingredients.DECIDING, ingredients.DECIDING_WITH_ATLAS, ingredients.IN_THE_PLAN,
        ingredients.WITHOUT_INFLUENCE,
    )  # fmt: skip
    named = [name for some in classes for name in some]
    assert sorted(named) == sorted(field.name for field in fields(Config))


NORMS = NormSet((Norm('Putamen', 'B', (20, 80), (0.04, 0.08), (0.01, 0.01)),), 'n', 'a', 'r', 3.0)
OTHER = {
    'mask': 'threshold', 'methods': {'inversion': 'tkd'}, 'bipolar': 'on', 'two_pass': True,
    'params': {'background': {'threshold': '0.06'}}, 'contrasts': ('swi',), 'reference': 'csf',
    'haematocrit': 0.45, 'norms': NORMS, 'recon_only': True, 'random_seed': 7, 'cohort': '5',
    'age_interpolation': 'off', 'registration': 'precise',
}  # fmt: skip


def changed(config, name):
    value = OTHER[name]
    return replace(config, **{name: {**config.methods, **value} if name == 'methods' else value})


def test_each_deciding_setting_changes_the_fingerprint(acquisition, config):
    seen = {fingerprint(acquisition, config, COHORT)}
    for name in OTHER:
        seen.add(fingerprint(acquisition, changed(config, name), COHORT))
    assert len(seen) == len(OTHER) + 1
    # through the plan (strict_age: a refusal) or the files of the atlas, tested by itself
    elsewhere = {'strict_age', 'atlas', 'atlas_cache'}
    tested = {*ingredients.DECIDING, *ingredients.DECIDING_WITH_ATLAS} - elsewhere
    assert tested == set(OTHER)


def test_settings_of_the_comparison_decide_nothing_without_it(acquisition, config):
    without = replace(config, recon_only=True)
    for name in ('cohort', 'age_interpolation', 'registration'):
        assert fingerprint(acquisition, changed(without, name), '') == fingerprint(
            acquisition, without, ''
        )


def test_parameters_of_methods_that_are_not_used_decide_nothing(acquisition, config):
    other = replace(config, params={'cosmos': {'tolerance': '0.5'}, 'contrast': {}})
    assert fingerprint(acquisition, other, COHORT) == fingerprint(acquisition, config, COHORT)


def test_where_and_how_decide_nothing(acquisition, config, tmp_path):
    other = replace(
        config, work_dir=tmp_path / 'other', nprocs=8, omp_nthreads=4, mem_gb=1.0, verbose=3,
        participant_labels=('01',), run_id='x', command='y', cluster='slurm', keep_work=True,
    )  # fmt: skip
    assert fingerprint(acquisition, other, COHORT) == fingerprint(acquisition, config, COHORT)


def test_dataset_may_lie_elsewhere(dataset, config, tmp_path):
    before = [fingerprint(a, config, COHORT) for a in make_plan(dataset).acquisitions]
    moved = tmp_path / 'mount' / 'data'
    moved.parent.mkdir()
    dataset.rename(moved)
    config = replace(config, bids_dir=moved)
    assert [fingerprint(a, config, COHORT) for a in make_plan(moved).acquisitions] == before


@pytest.mark.parametrize(
    'change',
    [
        {'age_years': Decision(33.0, Source.TABLE)},
        {'brain_mask': 'mask.nii.gz'},
        {'t1w': 't1w.nii.gz'},
        {'t2_map': 't2.nii.gz'},
        {'region_masks': (RegionMask('veins.nii.gz', 'x', 'veins'),)},
        {'metadata': {'Manufacturer': 'other'}},
        {'b0_direction': Decision((0.0, 1.0, 0.0), Source.COMMAND_LINE)},
        {'n_coils': 2},
    ],
)
def test_what_the_plan_found_decides(acquisition, config, change):
    other = replace(acquisition, **change)
    assert fingerprint(other, config, COHORT) != fingerprint(acquisition, config, COHORT)


def test_a_changed_input_file_decides(acquisition, config):
    before = fingerprint(acquisition, config, COHORT)
    os.utime(acquisition.echoes[1].phase, (1e9, 1e9))
    assert fingerprint(acquisition, config, COHORT) != before


def test_the_files_of_an_atlas_decide(acquisition, config, tmp_path):
    template = tmp_path / 'My' / 'tpl-My'
    template.mkdir(parents=True)
    (template / 'template_description.json').write_text('{}')
    seen = {fingerprint(acquisition, config, COHORT)}
    for text in ('{ }', '{  }'):
        (template / 'template_description.json').write_text(text)
        own = replace(config, atlas=str(tmp_path / 'My'))
        seen.add(fingerprint(acquisition, own, COHORT))
    assert len(seen) == 3
    (tmp_path / 'My').rename(tmp_path / 'elsewhere')
    (tmp_path / 'place').mkdir()
    (tmp_path / 'elsewhere').rename(tmp_path / 'place' / 'My')
    moved = replace(config, atlas=str(tmp_path / 'place' / 'My'))
    assert fingerprint(acquisition, moved, COHORT) in seen


def test_done_until_a_file_is_not_as_it_was(acquisition, config):
    assert not is_done(acquisition, config, COHORT)
    outcome = complete(acquisition, config)
    assert mark_done(outcome, config, COHORT)
    assert is_done(acquisition, config, COHORT)
    assert not is_done(acquisition, config, '5')
    stamp = json.loads(stamp_path(acquisition, config).read_text())
    assert 'sub-01/figures/chi.svg' in stamp['files']
    assert stamp['ingredients']['settings']['random_seed'] == config.random_seed
    for name in stamp['files']:
        path = config.output_dir / name
        content = path.read_bytes()
        path.write_bytes(content[:-1])
        assert not is_done(acquisition, config, COHORT), name
        path.unlink()
        assert not is_done(acquisition, config, COHORT), name
        path.write_bytes(content)
        assert is_done(acquisition, config, COHORT)


@pytest.mark.parametrize('text', ['', '{', '[]', 'null', '{"format": 1}', '{"files": 3}'])
def test_a_broken_stamp_is_none(acquisition, config, text):
    mark_done(complete(acquisition, config), config, COHORT)
    stamp_path(acquisition, config).write_text(text)
    assert not is_done(acquisition, config, COHORT)


def test_what_failed_is_not_done_and_loses_its_stamp(acquisition, config):
    outcome = complete(acquisition, config)
    mark_done(outcome, config, COHORT)
    failed = replace(outcome, failures=(Failure('n', 't', 'm'),))
    assert not mark_done(failed, config, COHORT)
    assert not is_done(acquisition, config, COHORT)
    mark_done(outcome, config, COHORT)
    forget(acquisition, config)
    assert not is_done(acquisition, config, COHORT)
    forget(acquisition, config)


def test_input_that_changes_during_the_run_is_not_done(acquisition, config):
    assert not is_done(acquisition, config, COHORT)
    outcome = complete(acquisition, config)
    os.utime(acquisition.echoes[0].magnitude, (1e9, 1e9))
    assert not mark_done(outcome, config, COHORT)
    assert not is_done(acquisition, config, COHORT)
    assert mark_done(outcome, config, COHORT), 'the next run has made it from the new state'


def test_the_same_of_what_is_repeated_although_it_was_done(acquisition, config):
    outcome = complete(acquisition, config)
    assert mark_done(outcome, config, COHORT)
    assert is_done(acquisition, config, COHORT)
    os.utime(acquisition.echoes[0].magnitude, (1e9, 1e9))
    assert not mark_done(outcome, config, COHORT)


def test_orientations_of_a_group(dataset, config):
    first, second = make_plan(dataset).acquisitions
    group = CosmosGroup('sub-01_desc-cosmos', (first, second, second))
    config = replace(config, recon_only=True)
    assert not is_done(group, config, '')
    assert mark_done(complete(group, config, cosmos_names(group)), config, '')
    assert is_done(group, config, '')
    os.utime(second.echoes[0].magnitude, (1e9, 1e9))
    assert not is_done(group, config, '')


def test_asking_imports_no_heavy_libraries(dataset, tmp_path):
    code = (
        'import sys\n'
        'from pathlib import Path\n'
        'from qsmbids.config import Config\n'
        'from qsmbids.plan.planner import make_plan\n'
        'from qsmbids.workflows.done import is_done\n'
        'plan = make_plan(Path(sys.argv[1]))\n'
        'config = Config(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[2]))\n'
        'is_done(plan.acquisitions[0], config, "4")\n'
        'heavy = {"nipype", "ants", "pandas", "matplotlib", "networkx"}\n'
        'assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n'
    )
    subprocess.run([sys.executable, '-c', code, dataset, tmp_path / 'out'], check=True)
    assert not Path(tmp_path / 'out').exists(), 'asking writes nothing'
