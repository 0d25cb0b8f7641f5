"""COSMOS in the graph: what it takes, what fails with it, and what it writes."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from qsmbids.bids.cosmos import cosmos_names, cosmos_sidecars
from qsmbids.config import Config
from qsmbids.execution.failures import Failure
from qsmbids.interfaces.base import save
from qsmbids.interfaces.cosmos import AlignOrientation, CosmosInversion, require_orientations
from qsmbids.phantom import PhantomParameters, simulate_head
from qsmbids.phantom.forward import dipole_field
from qsmbids.phantom.orientations import orientation_scans, true_direction
from qsmbids.plan.cosmos import angles_deg, with_cosmos
from qsmbids.plan.models import Participant
from qsmbids.plan.planner import make_plan
from qsmbids.workflows.acquisition import init_acquisition_wf, init_run_wf
from qsmbids.workflows.atlas_choice import AtlasChoice
from qsmbids.workflows.cosmos import add_cosmos, failures_of, init_cosmos_wf
from qsmbids.workflows.cosmos_result import cosmos_result, quality_values
from qsmbids.workflows.outcome import judge

SCANS = orientation_scans(PhantomParameters(voxel_size_mm=4.0, echo_times_s=(0.01, 0.02)))


@pytest.fixture
def config(coarse_dataset, tmp_path):
    return Config(coarse_dataset, tmp_path / 'out', tmp_path / 'work', omp_nthreads=1)


@pytest.fixture
def group(coarse_dataset):
    """Three runs that are all the same scan, which is enough for a graph."""
    one = make_plan(coarse_dataset, participant_labels=('01',)).acquisitions[0]
    runs = [replace(one, entities=(('sub', '01'), ('run', str(n)))) for n in (1, 2, 3)]
    return with_cosmos(Participant('01', tuple(runs))).cosmos[0]


def run_workflow(group, config, choices=None):
    workflows = {a.key: init_acquisition_wf(a, config, None) for a in group.acquisitions}
    run = init_run_wf(list(workflows.values()), str(config.work_dir))
    names = add_cosmos(run, workflows, [group], config, choices or {})
    return run, names


def test_graph_takes_what_the_acquisitions_made(group, config):
    run, names = run_workflow(group, config)
    assert names == {'sub_01_desc_cosmos_wf': 'sub-01_desc-cosmos'}
    flat = run._create_flat_graph()
    cosmos = {n.fullname: n for n in flat.nodes if 'cosmos' in n.fullname}
    steps = {name.split('.')[-1] for name in cosmos}
    assert {'align_2', 'align_3', 'invert', 'reference', 'ds_cosmos'} <= steps
    assert 'align_1' not in steps, 'the reference stays where it is'
    align = next(n for name, n in cosmos.items() if name.endswith('align_3'))
    parents = {n.fullname.split('.', 1)[1] for n in flat.predecessors(align)}
    assert parents == {
        'sub_01_run_1_wf.load', 'sub_01_run_1_wf.brain_mask', 'sub_01_run_3_wf.load',
        'sub_01_run_3_wf.brain_mask', 'sub_01_run_3_wf.background', 'sub_01_run_3_wf.field_map',
    }  # fmt: skip


def test_no_acquisition_waits_for_cosmos(group, config):
    import networkx as nx

    run, _ = run_workflow(group, config)
    flat = run._create_flat_graph()
    for node in flat.nodes:
        if 'cosmos' not in node.fullname:
            ancestors = {n.fullname for n in nx.ancestors(flat, node)}
            assert not any('cosmos' in name for name in ancestors)


def test_reference_region_of_the_atlas_is_that_of_the_reference_scan(group, config):
    choice = AtlasChoice('A', '1', {}, (), {}, (4, 5))
    workflows = {a.key: init_acquisition_wf(a, config, None) for a in group.acquisitions}
    from nipype import Node
    from nipype.interfaces.utility import IdentityInterface

    warp = Node(IdentityInterface(['dseg']), name='warp_atlas')
    workflows[group.reference.key].add_nodes([warp])
    run = init_run_wf(list(workflows.values()), str(config.work_dir))
    add_cosmos(run, workflows, [group], config, {group.reference.key: choice})
    flat = run._create_flat_graph()
    (node,) = (n for n in flat.nodes if n.fullname.endswith('cosmos_wf.reference'))
    assert node.inputs.values == [4, 5]
    assert any(n.fullname.endswith('run_1_wf.warp_atlas') for n in flat.predecessors(node))


def test_failure_of_a_needed_step_counts(group):
    def failure(node):
        return Failure(f'run.sub_01_x_wf.{node}', node, 'no')

    failures = [
        ('sub-01_desc-cosmos', failure('invert')),
        ('sub-01_run-2', failure('field_map')),
        ('sub-01_run-2', failure('register')),
        ('sub-02_run-2', failure('field_map')),
        ('sub-01_run-3', failure('inversion')),
        ('sub-01_run-3', failure('quality')),
    ]
    counted = [f.title for f in failures_of(group, failures)]
    assert counted == ['invert', 'field_map', 'inversion']


@pytest.mark.parametrize(
    ('changes', 'run', 'expected'),
    [
        ({}, 2, {'field_map', 'inversion'}),
        ({'inversion': 'rts'}, 2, {'field_map'}),
        ({'mask': 'atlas'}, 2, {'field_map', 'inversion', 'atlas_mask'}),
        ({'reference': 'csf'}, 2, {'field_map', 'inversion'}),
        ({'reference': 'csf'}, 1, {'field_map', 'inversion', 'register', 'warp_atlas'}),
        # the registration starts from the map of the scan, so it needs that and its R2*
        ({'reference': 'csf', 'inversion': 'medi0'}, 1,
         {'field_map', 'inversion', 'relaxometry', 'register', 'warp_atlas'}),
        ({'recon_only': True, 'inversion': 'rts'}, 1, {'field_map'}),
    ],
)  # fmt: skip
def test_needed_steps_are_those_of_the_graph(group, config, changes, run, expected):
    changes = dict(changes)
    if 'inversion' in changes:
        changes['methods'] = {**config.methods, 'inversion': changes.pop('inversion')}
    steps = ('field_map', 'relaxometry', 'inversion', 'atlas_mask', 'quality', 'register',
             'warp_atlas', 'regions', 'ds_recon')  # fmt: skip
    failures = [(f'sub-01_run-{run}', Failure(f'run.x_wf.{s}', s, 'no')) for s in steps]
    found = failures_of(group, failures, replace(config, **changes))
    assert {f.title for f in found} == expected
    # without the settings, a step that may be needed counts
    known = {f.title for f in failures_of(group, failures)}
    assert expected - {'relaxometry'} <= known


def sink_of(group, config, atlas=None):
    return init_cosmos_wf(group, config, atlas).get_node('ds_cosmos').inputs


def test_record_says_what_the_local_field_was_made_with(group, config):
    settings = sink_of(group, config).settings
    stages = [step['stage'] for step in settings['steps']]
    assert stages[-3:] == ['inversion', 'background', 'cosmos']
    assert 'single-step TV' in settings['local_field_from']
    chi = cosmos_sidecars(group, settings, FACTS, str(config.bids_dir))['chi']
    assert chi['DipoleInversion'] == 'COSMOS'
    assert chi['LocalFieldFrom'] == settings['local_field_from']
    assert chi['LocalFieldInversion'] == 'single-step TV'
    assert chi['LocalFieldInversionParameters'] == config.parameters('inversion')
    assert not [path for path in chi['Sources'] if 'desc-qsm' in path]
    assert len(set(chi['Sources'])) == len(chi['Sources']) == 3 * 4


def test_record_has_no_inversion_of_the_local_field(group, config):
    methods = {**config.methods, 'inversion': 'rts'}
    choice = AtlasChoice('QSMLifespan', '4', {}, (), {}, (4, 5))
    config = replace(config, methods=methods, reference='csf')
    settings = sink_of(group, config, choice).settings
    assert 'inversion' not in [step['stage'] for step in settings['steps']]
    found = cosmos_sidecars(group, settings, FACTS, str(config.bids_dir))
    assert 'LocalFieldFrom' not in found['chi']
    assert 'bids::sub-01/anat/sub-01_run-3_desc-qsm_mask.nii.gz' in found['chi']['Sources']
    labels = 'bids::sub-01/anat/sub-01_run-1_atlas-QSMLifespan_dseg.nii.gz'
    assert found['chi']['Sources'][-1] == labels
    assert found['qsm_mask']['Sources'][0].endswith('run-1_desc-qsm_mask.nii.gz')


@pytest.fixture(scope='module')
def heads():
    return [simulate_head(40, parameters=scan) for scan in SCANS]


@pytest.fixture(scope='module')
def aligned(heads, tmp_path_factory):
    """Steps on scans whose local field is known."""
    folder = tmp_path_factory.mktemp('align')
    paths = []
    for n, head in enumerate(heads):
        rss = np.sqrt((head.magnitude**2).sum(axis=0))
        images = {
            'magnitude': rss, 'brain_mask': head.brain_mask,
            'qsm_mask': binary_erosion(head.brain_mask, iterations=1),
            'local_field': head.local_field_hz,
            'field_noise': np.where(head.brain_mask, 1 / np.maximum(rss, 1e-3), 0),
        }  # fmt: skip
        paths.append({
            k: save(v.astype(np.float32), head.affine, folder / f'{k}{n}.nii')
            for k, v in images.items()
        })  # fmt: skip
    outputs = [paths[0]]
    for n in (1, 2):
        place = folder / f'align_{n}'
        place.mkdir()
        step = AlignOrientation(
            code_version='1', seed=1, b0_direction=list(heads[n].grid.b0_direction),
            reference_magnitude=paths[0]['magnitude'],
            reference_brain_mask=paths[0]['brain_mask'], **paths[n],
        )  # fmt: skip
        outputs.append(step.compute(place))
    return folder, outputs


def test_alignment_turns_b0_and_moves_the_field(heads, aligned):
    chi = np.where(heads[0].brain_mask, heads[0].chi, 0)
    for scan, output in zip(SCANS[1:], aligned[1][1:], strict=True):
        found = json.loads(Path(output['orientation']).read_text())
        truth = true_direction(scan, SCANS[0])
        assert angles_deg([found['b0_direction'], truth])[0, 1] < 0.5
        mask = np.asarray(nib.load(output['qsm_mask']).dataobj) > 0
        inside = binary_erosion(mask, iterations=2)
        field = np.asarray(nib.load(output['local_field']).dataobj)
        expected = dipole_field(chi, heads[0].grid.voxel_size, truth)
        assert np.corrcoef(field[inside], expected[inside])[0, 1] > 0.8
        noise = np.asarray(nib.load(output['field_noise']).dataobj)
        assert (noise[mask] > 0).all()
        assert not field[~mask].any()


def inversion(aligned, heads, **changes):
    _, outputs = aligned
    lists = {
        'local_fields': [o['local_field'] for o in outputs],
        'masks': [o['qsm_mask'] for o in outputs],
        'field_noises': [o['field_noise'] for o in outputs],
        'orientations': [o['orientation'] for o in outputs[1:]],
        'imaging_frequencies_mhz': [SCANS[0].imaging_frequency_mhz] * 3,
    } | changes
    config = Config('.', '.', '.')
    return CosmosInversion(
        code_version='1', b0_direction=list(heads[0].grid.b0_direction),
        method=config.methods['cosmos'], parameters=config.parameters('cosmos'), **lists,
    )  # fmt: skip


def test_inversion_finds_the_susceptibility(heads, aligned, tmp_path):
    result = inversion(aligned, heads).compute(tmp_path)
    chi = np.asarray(nib.load(result['chi']).dataobj)
    mask = np.asarray(nib.load(result['qsm_mask']).dataobj) > 0
    inside = binary_erosion(mask, iterations=2)
    slope, _ = np.polyfit(heads[0].chi[inside], chi[inside], 1)
    assert slope == pytest.approx(1, abs=0.15)
    assert np.corrcoef(heads[0].chi[inside], chi[inside])[0, 1] > 0.9
    record = result['record']['cosmos']
    assert len(record['orientations']) == 3
    assert record['conditioning'] > 0


def test_unit_of_the_fields_is_that_of_each_scan(heads, aligned, tmp_path):
    """Twice the frequency for the same Hz is half the susceptibility."""
    doubled = [2 * SCANS[0].imaging_frequency_mhz] * 3
    for name, changes in (('one', {}), ('two', {'imaging_frequencies_mhz': doubled})):
        (tmp_path / name).mkdir()
        inversion(aligned, heads, **changes).compute(tmp_path / name)
    one, two = (np.asarray(nib.load(tmp_path / n / 'chi_raw.nii').dataobj) for n in ('one', 'two'))
    np.testing.assert_allclose(two, one / 2, atol=2e-4)


def test_scans_of_one_orientation_are_refused(heads, aligned, tmp_path):
    """The header cannot tell; the registration does."""
    same = tmp_path / 'same.json'
    turned = [0.05, *heads[0].grid.b0_direction[1:]]
    same.write_text(json.dumps({'b0_direction': turned, 'quality': {}}))
    with pytest.raises(ValueError, match='no 3 orientations') as error:
        inversion(aligned, heads, orientations=[str(same)] * 2).compute(tmp_path)
    assert len(str(error.value).splitlines()) == 3
    with pytest.raises(ValueError, match='0, 0, 0 degrees'):
        require_orientations(np.tile(heads[0].grid.b0_direction, (3, 1)))


FACTS = {
    'reference': {'region': 'whole-brain', 'value_ppm': 0.01, 'n_voxels': 5,
                  'whole_brain_mean_ppm': 0.0, 'whole_brain_sd_ppm': 0.02},
    'cosmos': {
        'orientations': [
            {'b0_direction': [0, 0, 1], 'rotation': np.eye(3).tolist(),
             'translation_mm': [0, 0, 0], 'quality': quality}
            for quality in ({}, *[{'mask_dice': 0.97, 'correlation': 0.9}] * 2)
        ],
        'angles_deg': [[0, 20, 30], [20, 0, 25], [30, 25, 0]], 'conditioning': 0.01,
    },
}  # fmt: skip
STEP = {'stage': 'cosmos', 'label': 'COSMOS', 'parameters': {'tolerance': 0.1}}


def test_names_and_sidecars(group):
    names = cosmos_names(group)
    assert names == {
        'chi': 'sub-01/anat/sub-01_desc-cosmos_Chimap.nii.gz',
        'qsm_mask': 'sub-01/anat/sub-01_desc-cosmos_mask.nii.gz',
    }
    found = cosmos_sidecars(group, {'steps': [STEP]}, FACTS, group.reference.echoes[0].magnitude)
    chi = found['chi']
    assert chi['Units'] == 'ppm'
    assert chi['SkullStripped'] is True
    assert chi['DipoleInversionParameters'] == {'tolerance': 0.1}
    assert chi['ReferenceOrientation'] == 'sub-01_run-1'
    assert chi['SusceptibilityReference'] == 'whole-brain'
    assert [o['Acquisition'] for o in chi['Orientations']] == [a.key for a in group.acquisitions]
    assert 'RegistrationMaskDice' not in chi['Orientations'][0]
    assert chi['Orientations'][2]['AngleToReferenceB0'] == 30
    assert chi['OrientationAngles'][1] == [20, 0, 25]
    assert 'bids::sub-01/fmap/sub-01_run-3_desc-local_fieldmap.nii.gz' in chi['Sources']
    assert found['qsm_mask']['Type'] == 'ROI'
    json.dumps(found)


def test_promised_outputs_decide(group, tmp_path):
    outcome = judge(group, cosmos_names(group), tmp_path)
    assert not outcome.complete
    assert len(outcome.missing) == 4
    result = cosmos_result(outcome, tmp_path, [])
    assert (result.status, result.key, result.qc) == ('failed', 'sub-01_desc-cosmos', [])


def test_quality_numbers():
    record = {'facts': FACTS, 'steps': [{'chi_sd_ppb': 20.0, 'streak_score': 3.0}]}
    found = {value.name: value for value in quality_values(record)}
    assert found['smallest_angle'].value == 20
    assert found['noise_amplification'].value == pytest.approx(np.sqrt(4 / 45 / 0.01))
    assert not found['streak_score'].plausible
    assert found['orientations'].plausible
