"""What steps need: every node has its cost, the forecast follows, and measurement agrees."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from qsmbids import methods
from qsmbids.config import Config
from qsmbids.execution.errors import MemoryShortError
from qsmbids.phantom.dataset import write_dataset
from qsmbids.phantom.parameters import PhantomParameters
from qsmbids.plan.cosmos import CosmosGroup
from qsmbids.plan.models import RegionMask
from qsmbids.plan.planner import make_plan
from qsmbids.workflows.acquisition import init_acquisition_wf
from qsmbids.workflows.atlas_choice import AtlasChoice
from qsmbids.workflows.cosmos import init_cosmos_wf
from qsmbids.workflows.forecast import forecast, memory_issues, needs_of
from qsmbids.workflows.memory import (
    BUILTIN_MEGAVOXELS,
    atlas_megavoxels,
    cosmos_needs,
    step_needs,
)
from qsmbids.workflows.workflow_names import workflow_name


@pytest.fixture
def config(coarse_dataset, tmp_path):
    return Config(
        coarse_dataset, tmp_path / 'out', tmp_path / 'work', mem_gb=8.0, nprocs=2, omp_nthreads=1
    )


@pytest.fixture
def acquisition(coarse_dataset):
    return make_plan(coarse_dataset, participant_labels=('01',)).acquisitions[0]


@pytest.fixture
def choice():
    """A mixed template without files: enough to know the steps of a graph."""
    return AtlasChoice('QSMLifespan', '5', {}, (), {}, (), [({}, 0.5), ({}, 0.5)], '')


def large(acquisition, key='sub-02'):
    entities = (('sub', key.removeprefix('sub-')), *acquisition.entities[1:])
    return replace(acquisition, entities=entities, shape=(320, 320, 256))


VARIANTS = {
    'default': {},
    'recon only': {'recon_only': True},
    'extras': {'recon_only': True, 'contrasts': ('swi', 'clear-swi'), 'mask': 'quality | bet'},
    'two passes': {'recon_only': True, 'two_pass': True},
    'mask of the atlas': {'mask': 'bet & atlas'},
}


@pytest.mark.parametrize('variant', VARIANTS)
def test_every_node_has_a_cost_and_every_cost_a_node(variant, acquisition, config, choice):
    config = replace(config, **VARIANTS[variant])
    if variant == 'extras':
        config = replace(config, methods={**config.methods, 'separation': 'chisep'})
        marked = RegionMask(acquisition.echoes[0].magnitude, 'x', 'lesions')
        acquisition = replace(acquisition, region_masks=(marked,))
    atlas = None if config.recon_only else choice
    workflow = init_acquisition_wf(acquisition, config, atlas)
    nodes = {n for n in workflow.list_node_names() if not n.startswith('records_')}
    needs = step_needs(acquisition, config, BUILTIN_MEGAVOXELS if atlas else 0.0)
    assert nodes == set(needs)
    for name in nodes:
        node = workflow.get_node(name)
        assert (node.mem_gb, node.qsmbids_seconds) == (needs[name].gb, needs[name].seconds)
        assert node.qsmbids_seconds > 0


def test_registration_keeps_to_one_processor(acquisition, config, choice):
    config = replace(config, omp_nthreads=4)
    workflow = init_acquisition_wf(acquisition, config, choice)
    assert workflow.get_node('inversion').n_procs == 4
    for name in ('register', 'warp_atlas', 'maps_to_atlas'):
        assert workflow.get_node(name).n_procs == 1  # two side by side beat one with two threads


def test_orientations_put_together(acquisition, config):
    group = CosmosGroup('sub-01_desc-cosmos', (acquisition,) * 4)
    workflow = init_cosmos_wf(group, config, None)
    names = workflow.list_node_names()
    nodes = {n for n in names if hasattr(workflow.get_node(n), 'qsmbids_seconds')}
    assert nodes == set(cosmos_needs(group, config))
    assert [need.key for need in needs_of([acquisition, group], config)][1] == group.key


def test_magnitude_only(acquisition, config):
    needs = step_needs(replace(acquisition, phase_scaling=None), config, BUILTIN_MEGAVOXELS)
    assert set(needs) == {'load', 'brain_mask', 'relaxometry', 'figures_recon', 'ds_recon'}


def test_needs_grow_with_voxels_echoes_and_coils(acquisition, config):
    def load(**changes):
        return step_needs(replace(acquisition, **changes), config, 0.0)['load'].gb

    shape = (256, 256, 160)
    assert load() < load(shape=shape) < load(shape=shape, n_coils=8)
    assert load(shape=shape) < load(shape=shape, echoes=acquisition.echoes * 2)


def test_each_method_states_what_it_costs():
    for method in methods.CATALOGUE:
        assert 5 <= method.bytes_per_voxel <= 200, method.name
        assert 0 < method.seconds_per_megavoxel < 50, method.name


def test_forecast_of_one_and_of_many(acquisition, config):
    one = forecast([acquisition], config)
    assert one.side_by_side == 1
    assert one.needs[0].peak_step == 'registration to the atlas'
    assert 'registration to the atlas' in one.text()
    many = forecast([replace(acquisition)] * 8, config)
    assert many.side_by_side == 2
    assert 'side by side' in many.text()
    # four times as many on each processor, but the first waits for nothing
    assert 2 * one.low_s < many.low_s < 5 * one.low_s


def test_largest_step_is_named_in_words(acquisition, config):
    config = replace(config, recon_only=True)
    (need,) = needs_of([large(acquisition)], config)
    assert need.peak_step == 'dipole inversion'
    coils = replace(large(acquisition), n_coils=32)
    assert needs_of([coils], config)[0].peak_step == 'reading the echoes'


def test_little_memory_means_fewer_side_by_side_and_longer(acquisition, config):
    config = replace(config, nprocs=8)
    peak = needs_of([acquisition], config)[0].peak_gb
    roomy, tight = (
        forecast([acquisition] * 8, replace(config, mem_gb=gb)) for gb in (8 * peak, 2.1 * peak)
    )
    assert (roomy.side_by_side, tight.side_by_side) == (8, 2)
    assert roomy.workers == 8
    assert 2 <= tight.workers <= 4  # those that wait hold memory as well
    assert tight.high_s > roomy.high_s


def test_too_little_memory_for_all_is_said_before_the_start(acquisition, config):
    with pytest.raises(MemoryShortError) as caught:
        forecast([acquisition], replace(config, mem_gb=0.5), 'limit of the container')
    text = str(caught.value)
    assert 'registration to the atlas' in text
    assert '0.5 GB (limit of the container)' in text
    assert '--recon-only' in text
    assert len(text.splitlines()) == 3


def test_too_little_memory_for_some_is_a_warning_of_theirs(acquisition, config):
    config = replace(config, mem_gb=2.0, recon_only=True)
    found = forecast([acquisition, large(acquisition)], config)
    (issue,) = memory_issues(found, config)
    assert (issue.code, issue.scope) == ('WILL_FAIL', large(acquisition).key)
    assert '2.0 GB' in issue.what
    assert not memory_issues(forecast([acquisition], config), config)


def test_presets_of_the_registration_differ(acquisition, config):
    fast, standard, precise = (
        forecast([acquisition], replace(config, registration=preset)).needs[0].seconds
        for preset in ('fast', 'standard', 'precise')
    )
    assert fast < standard / 2
    assert standard < precise


def test_no_workflow_engine_is_needed():
    code = "import sys, qsmbids.workflows.forecast; print('nipype' in sys.modules)"
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == 'False'


@pytest.mark.slow
def test_prediction_agrees_with_measurement(tmp_path):
    parameters = PhantomParameters(voxel_size_mm=2.0)
    bids = write_dataset(tmp_path / 'bids', [35.0], parameters=parameters)
    work = tmp_path / 'work'
    subprocess.run(
        [
            sys.executable, '-m', 'qsmbids', str(bids), str(tmp_path / 'out'), 'participant',
            '-w', str(work), '--nprocs', '1', '--registration', 'fast', '--keep-work',
        ],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    config = Config(bids, tmp_path / 'out', work, registration='fast')
    acquisition = make_plan(bids).acquisitions[0]
    template = next(work.glob('atlases/*/*/cohort-*/*_Chimap.nii.gz'))
    assert atlas_megavoxels({'chi': str(template)}) == pytest.approx(BUILTIN_MEGAVOXELS, rel=0.01)
    needs = step_needs(acquisition, config, BUILTIN_MEGAVOXELS)
    for name, need in needs.items():
        (path,) = work.glob(f'qsmbids_*/{workflow_name(acquisition.key)}/{name}/record.json')
        measured = json.loads(path.read_text(encoding='utf-8'))['peak_gb']
        # 0.25 GB: libraries that a worker holds or not, by what it has done before
        assert measured <= need.gb <= 2 * measured + 0.25, name
