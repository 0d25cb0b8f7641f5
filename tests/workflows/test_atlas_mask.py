"""The mask "atlas" in the graph, and runs that cannot have it."""

from dataclasses import replace

import pytest

from qsmbids.config import Config
from qsmbids.plan.planner import make_plan
from qsmbids.workflows.acquisition import init_acquisition_wf
from qsmbids.workflows.atlas_choice import choose_atlas
from qsmbids.workflows.atlas_mask import check_atlas_mask
from qsmbids.workflows.settings import steps_of


@pytest.fixture
def config(coarse_dataset, tmp_path):
    return Config(
        coarse_dataset, tmp_path / 'out', tmp_path / 'work', omp_nthreads=1,
        mask='atlas & threshold',
    )  # fmt: skip


@pytest.fixture
def acquisition(coarse_dataset):
    return make_plan(coarse_dataset, participant_labels=('01',)).acquisitions[0]


def test_the_mask_has_its_node(acquisition, config):
    check_atlas_mask([acquisition], config)
    atlas = choose_atlas([acquisition], config)[acquisition.key]
    workflow = init_acquisition_wf(acquisition, config, atlas)
    node, mask = workflow.get_node('atlas_mask'), workflow.get_node('brain_mask')
    assert node.inputs.template['mask'].endswith('desc-brain_mask.nii.gz')
    assert node.inputs.seed == config.random_seed
    edge = workflow._graph.get_edge_data(node, mask)
    assert edge['connect'] == [('atlas_mask', 'atlas_mask')]
    records = workflow._graph.get_edge_data(node, workflow.get_node('records_recon'))
    assert records['connect'][0][0] == 'record'


def test_other_masks_have_no_such_node(acquisition, config):
    config = replace(config, mask='bet')
    atlas = choose_atlas([acquisition], config)[acquisition.key]
    assert 'atlas_mask' not in init_acquisition_wf(acquisition, config, atlas).list_node_names()


def test_memory_is_estimated_without_an_atlas(acquisition, config):
    assert 'atlas_mask' not in init_acquisition_wf(acquisition, config, None).list_node_names()


@pytest.mark.parametrize(
    ('change', 'wish', 'words'),
    [
        ({}, {'recon_only': True}, '--recon-only'),
        ({'phase_scaling': None}, {}, 'sub-01 is without phase'),
        ({'age_years': None}, {}, 'sub-01 is without an age'),
    ],
)
def test_refused_in_three_lines(acquisition, config, change, wish, words):
    with pytest.raises(ValueError, match=words) as refused:
        check_atlas_mask([replace(acquisition, **change)], replace(config, **wish))
    assert str(refused.value).count('\n') == 2
    check_atlas_mask([replace(acquisition, **change)], replace(config, mask='bet', **wish))


def test_a_given_cohort_needs_no_age(acquisition, config):
    check_atlas_mask([replace(acquisition, age_years=None)], replace(config, cohort='6'))


def test_refused_before_the_run(coarse_dataset, tmp_path, capsys):
    from qsmbids.cli.main import main

    out = tmp_path / 'out'
    code = main([
        str(coarse_dataset), str(out), 'participant', '--mask', 'bet | atlas', '--recon-only',
    ])  # fmt: skip
    assert code == 2
    assert 'With --recon-only there is none.' in capsys.readouterr().err
    assert not list(out.glob('**/sub-*'))


def test_combined_coils_need_no_offset_removal(acquisition, config):
    config = replace(config, mask='bet')
    coils = replace(acquisition, n_coils=8)
    assert 'offset' in dict(steps_of(acquisition, config))
    assert 'offset' not in dict(steps_of(coils, config))
    one, eight = (
        init_acquisition_wf(a, config, None).get_node('load') for a in (acquisition, coils)
    )
    assert (one.inputs.n_coils, eight.inputs.n_coils) == (1, 8)
    assert eight.mem_gb > one.mem_gb
