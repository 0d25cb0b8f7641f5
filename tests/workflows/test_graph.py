"""The graph: one node per step, versions in the cache key, honest memory estimates."""

from dataclasses import replace

import pytest

from qsmbids.config import Config
from qsmbids.plan.planner import make_plan
from qsmbids.workflows.acquisition import init_acquisition_wf
from qsmbids.workflows.atlas_choice import choose_atlas
from qsmbids.workflows.outcome import atlas_label, judge, promised_names
from qsmbids.workflows.settings import steps_of
from qsmbids.workflows.workflow_names import workflow_name


@pytest.fixture
def config(coarse_dataset, tmp_path):
    return Config(coarse_dataset, tmp_path / 'out', tmp_path / 'work', omp_nthreads=1)


@pytest.fixture
def acquisition(coarse_dataset):
    return make_plan(coarse_dataset, participant_labels=('01',)).acquisitions[0]


def steps(workflow):
    return {name for name in workflow.list_node_names() if not name.startswith('records_')}


RECON = {
    'load', 'brain_mask', 'relaxometry', 'field_map', 'background', 'inversion', 'quality',
    'reference', 'figures_recon', 'ds_recon',
}  # fmt: skip
ATLAS = {
    'age_template', 'register', 'warp_atlas', 'regions', 'maps_to_atlas', 'figures_atlas',
    'ds_atlas',
}  # fmt: skip


def test_one_node_per_step(acquisition, config):
    atlas = choose_atlas([acquisition], config)[acquisition.key]
    assert steps(init_acquisition_wf(acquisition, config, atlas)) == RECON | ATLAS
    assert steps(init_acquisition_wf(acquisition, config, None)) == RECON


def test_failing_extras_leave_the_reconstruction(acquisition, config):
    import networkx as nx

    methods = {**config.methods, 'separation': 'chisep'}
    config = replace(config, methods=methods, contrasts=('swi', 'clear-swi'))
    workflow = init_acquisition_wf(acquisition, config, None)
    extras = {'separation', 'contrast_swi', 'contrast_clearswi', 'ds_extras'}
    assert steps(workflow) == RECON | extras
    graph = workflow._graph
    ancestors = {node.name for node in nx.ancestors(graph, node_of(graph, 'ds_recon'))}
    assert not ancestors & extras
    parts = [promised_names(acquisition, config, '', part) for part in ('recon', 'extras')]
    assert set(parts[1]) == {
        'chi_positive', 'chi_negative', 'swi', 'swi_minip', 'clearswi', 'clearswi_minip',
    }  # fmt: skip
    assert set(parts[0]) | set(parts[1]) | {'qc'} == set(promised_names(acquisition, config, ''))


def test_single_step_comes_before_the_local_field(acquisition, config):
    import networkx as nx

    def before(method, first, then):
        chosen = replace(config, methods={**config.methods, 'inversion': method})
        graph = init_acquisition_wf(acquisition, chosen, None)._graph
        return nx.has_path(graph, node_of(graph, first), node_of(graph, then))

    assert before('sstv', 'inversion', 'background')
    assert before('rts', 'background', 'inversion')


def test_bipolar_correction_needs_the_offset_removed(acquisition, config):
    on = replace(config, bipolar='on')
    assert ('bipolar', 'bipolar') in steps_of(acquisition, on)
    without = replace(on, methods={**config.methods, 'offset': ''})
    assert ('bipolar', 'bipolar') not in steps_of(acquisition, without)


def test_magnitude_only_has_relaxometry_only(acquisition, config):
    magnitude = replace(acquisition, phase_scaling=None)
    assert steps(init_acquisition_wf(magnitude, config, None)) == {
        'load', 'brain_mask', 'relaxometry', 'figures_recon', 'ds_recon',
    }  # fmt: skip


def test_failing_registration_leaves_the_reconstruction(acquisition, config):
    """Nothing that is written by ds_recon may wait for the atlas."""
    import networkx as nx

    atlas = choose_atlas([acquisition], config)[acquisition.key]
    graph = init_acquisition_wf(acquisition, config, atlas)._graph
    ancestors = {node.name for node in nx.ancestors(graph, node_of(graph, 'ds_recon'))}
    assert not ancestors & ATLAS


def test_csf_reference_waits_for_the_labels(acquisition, config):
    import networkx as nx

    config = replace(config, reference='csf')
    atlas = choose_atlas([acquisition], config)[acquisition.key]
    assert len(atlas.reference_values) == 2
    graph = init_acquisition_wf(acquisition, config, atlas)._graph
    ancestors = {node.name for node in nx.ancestors(graph, node_of(graph, 'reference'))}
    assert 'warp_atlas' in ancestors


def node_of(graph, name):
    return next(node for node in graph.nodes if node.name == name)


def test_another_version_of_a_method_is_another_cache_key(acquisition, config, monkeypatch):
    from qsmbids import methods

    def version():
        return init_acquisition_wf(acquisition, config, None).get_node('inversion').inputs

    before = version().code_version
    changed = tuple(
        replace(m, version=m.version + 1) if m.stage == 'inversion' else m
        for m in methods.CATALOGUE
    )
    monkeypatch.setattr(methods, 'CATALOGUE', changed)
    assert version().code_version != before


def test_every_parameter_is_part_of_the_cache_key(acquisition, config):
    one = init_acquisition_wf(acquisition, config, None).get_node('inversion')
    changed = replace(config, params={'inversion': {'regularisation': '0.17'}})
    two = init_acquisition_wf(acquisition, changed, None).get_node('inversion')
    assert one.inputs.get_hashval()[1] != two.inputs.get_hashval()[1]


def test_memory_grows_with_the_matrix(acquisition, config):
    large = replace(acquisition, shape=(256, 256, 160))
    small, big = (
        init_acquisition_wf(a, config, None).get_node('inversion').mem_gb
        for a in (acquisition, large)
    )
    assert small < 0.5 < big < 4


def test_unknown_reference_region_names_the_known_ones(acquisition, config):
    with pytest.raises(ValueError, match='GlobusPallidusInternal'):
        choose_atlas([acquisition], replace(config, reference='Nowhere'))


def test_age_outside_the_atlas(acquisition, config):
    old = replace(acquisition, age_years=replace(acquisition.age_years, value=99.0))
    choice = choose_atlas([old], config)[old.key]
    assert 'outside' in choice.facts['note']
    with pytest.raises(ValueError, match='99'):
        choose_atlas([old], replace(config, strict_age=True))


def test_promised_outputs_decide(acquisition, config):
    names = promised_names(acquisition, config, '3')
    outcome = judge(acquisition, names, config.output_dir)
    assert not outcome.complete
    assert len(outcome.missing) == 2 * len(names)
    halves = [promised_names(acquisition, config, '3', part) for part in ('recon', 'atlas')]
    assert set(halves[0]) | set(halves[1]) | {'qc'} == set(names)
    assert not set(halves[0]) & set(halves[1])


def test_label_of_an_atlas(tmp_path):
    (tmp_path / 'somewhere' / 'tpl-Mine').mkdir(parents=True)
    assert atlas_label('QSMLifespan') == 'QSMLifespan'
    assert atlas_label(str(tmp_path / 'somewhere')) == 'Mine'
    assert atlas_label(str(tmp_path / 'somewhere' / 'tpl-Mine')) == 'Mine'


@pytest.mark.parametrize('key', ['sub-01_acq-a+b', 'sub-01_ses-x'])
def test_workflow_names_are_identifiers(key):
    assert workflow_name(key).isidentifier()
