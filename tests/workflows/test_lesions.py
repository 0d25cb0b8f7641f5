"""Marked lesions and veins through the whole program."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import networkx as nx
import nibabel as nib
import numpy as np
import pytest

from qsmbids.bids.names import output_names, with_sidecars
from qsmbids.cli.main import main
from qsmbids.config import Config
from qsmbids.plan.models import Participant, RegionMask
from qsmbids.plan.planner import make_plan
from qsmbids.report.lesions import marking_view
from qsmbids.report.models import AcquisitionResult
from qsmbids.report.page import write_participant_page
from qsmbids.report.tables import read_table
from qsmbids.workflows.acquisition import init_acquisition_wf
from qsmbids.workflows.atlas_choice import choose_atlas
from qsmbids.workflows.outcome import promised_names


@pytest.fixture
def config(coarse_dataset, tmp_path):
    return Config(coarse_dataset, tmp_path / 'out', tmp_path / 'work', omp_nthreads=1)


@pytest.fixture
def acquisition(coarse_dataset, tmp_path):
    found = make_plan(coarse_dataset, participant_labels=('01',)).acquisitions[0]
    paths = []
    for label in ('lesion', 'vein'):
        paths.append(tmp_path / f'{label}.nii.gz')
        data = np.zeros(found.shape, np.uint8)
        nib.save(nib.Nifti1Image(data, np.array(found.affine)), paths[-1])
    masks = (RegionMask(str(paths[0]), 'lesion', 'lesions'),
             RegionMask(str(paths[1]), 'vein', 'veins', True))  # fmt: skip
    return replace(found, region_masks=masks)


def node_of(graph, name):
    return next(node for node in graph.nodes if node.name == name)


def test_names_are_promised_and_belong_to_a_part_of_their_own(acquisition, config):
    parts = {p: promised_names(acquisition, config, '3', p)
             for p in ('recon', 'extras', 'markings', 'atlas')}  # fmt: skip
    assert list(parts['markings'].values()) == [
        'sub-01/anat/sub-01_label-lesion_desc-lesions_Chimap.tsv',
        'sub-01/anat/sub-01_label-vein_desc-veins_Chimap.tsv',
    ]
    everything = promised_names(acquisition, config, '3')
    assert sum(len(p) for p in parts.values()) + 1 == len(everything)  # the table of quality
    assert promised_names(replace(acquisition, region_masks=()), config, '', 'markings') == {}
    without_phase = output_names(acquisition.entities, phase=False, markings=[('veins', 'v')])
    assert not [key for key in without_phase if ':' in key]


@pytest.mark.parametrize('with_atlas', [False, True])
def test_nothing_waits_for_the_markings(acquisition, config, with_atlas):
    atlas = choose_atlas([acquisition], config)[acquisition.key] if with_atlas else None
    graph = init_acquisition_wf(acquisition, config, atlas)._graph
    node = node_of(graph, 'markings')
    assert {n.name for n in nx.descendants(graph, node)} == {'records_markings', 'ds_markings'}
    assert node.inputs.haematocrit == 0.4
    assert 'lesions-' in node.inputs.code_version
    ancestors = {n.name for n in nx.ancestors(graph, node)}
    assert ('warp_atlas' in ancestors) is with_atlas
    without = init_acquisition_wf(replace(acquisition, region_masks=()), config, atlas)
    assert not {'markings', 'ds_markings'} & set(without.list_node_names())


def test_haematocrit_is_part_of_the_cache_key(acquisition, config):
    one, two = (
        init_acquisition_wf(acquisition, c, None).get_node('markings').inputs.get_hashval()[1]
        for c in (config, replace(config, haematocrit=0.45))
    )
    assert one != two


def test_view_for_the_page():
    row = {
        'id': '1', 'region': 'n/a', 'volume_mm3': '64', 'mean': '0.4', 'sign': 'paramagnetic',
        'rim_flag': 'yes', 'size': 'tiny', 'x_mm': '-3.2', 'y_mm': '4', 'z_mm': '5.7',
    }  # fmt: skip
    view = marking_view({'kind': 'lesions', 'label': 'x', 'source': '/a/b.nii', 'path': 'c/t.tsv',
                         'rows': [row], 'haematocrit': 0.4})  # fmt: skip
    assert view['title'] == 'label-x: 1 lesion'
    assert '1 with a paramagnetic rim' in view['caption']
    texts = [cell['text'] for cell in view['rows'][0]['cells']]
    assert len(texts) == len(view['headings'])
    assert texts[-1] == '−3, 4, 6'
    assert view['rows'][0]['faint']


def test_page_shows_tables_and_says_when_nothing_is_marked(acquisition, tmp_path):
    rows = [{'id': '1', 'label': '7', 'oxygen_saturation': '0.6512', 'remark': 'ok'}]
    common = {'source': '/a/b_label-x_mask.nii.gz', 'path': 'c/t.tsv', 'haematocrit': 0.4}
    markings = [
        {'kind': 'veins', 'label': 'vein', 'rows': rows, **common},
        {'kind': 'lesions', 'label': 'lesion', 'rows': [], **common},
    ]
    write_participant_page(
        tmp_path / 'page.html', participant=Participant('01', (acquisition,)),
        results=[AcquisitionResult(acquisition.key, acquisition, markings=markings)],
        command='', version='', run_id='',
    )  # fmt: skip
    page = (tmp_path / 'page.html').read_text()
    assert 'label-vein: 1 vein' in page
    assert '>65.1<' in page
    assert 'haematocrit of 0.4' in page
    assert 'Nothing is marked in <code>b_label-x_mask.nii.gz</code>' in page
    assert 'no diagnosis is' in page
    assert 'a1-markings' in page


@pytest.mark.slow
def test_from_raw_data_to_tables(dataset, tmp_path, capfd):
    """Two markings, one of them unusable: its warning, a valid dataset, a second run for free."""
    (acquisition,) = make_plan(dataset, participant_labels=('01',)).acquisitions
    folder = tmp_path / 'drawn' / 'sub-01' / 'anat'
    folder.mkdir(parents=True)
    centre = np.array(acquisition.shape) // 2
    marks = {name: np.zeros(acquisition.shape, np.int16) for name in ('lesion', 'vein')}
    x, y, z = centre
    marks['lesion'][x - 4 : x - 2, y : y + 2, z : z + 2] = 2
    marks['lesion'][x + 3, y, z] = 2
    marks['vein'][x, y + 3 : y + 9, z : z + 2] = 1
    for name, data in marks.items():
        image = nib.Nifti1Image(data, np.array(acquisition.affine))
        nib.save(image, folder / f'sub-01_label-{name}_dseg.nii.gz')
    nib.save(nib.Nifti1Image(marks['vein'][1:], np.eye(4)),
             folder / 'sub-01_label-wrongVein_mask.nii.gz')  # fmt: skip
    out = tmp_path / 'out'
    arguments = [str(dataset), str(out), 'participant', '-w', str(tmp_path / 'work'),
                 '--participant-label', '01', '--recon-only', '-d',
                 f'drawn={tmp_path / "drawn"}', '--keep-work']  # fmt: skip
    assert main([*arguments, '--haematocrit', '0.45']) == 0
    anat = out / 'sub-01' / 'anat'
    tables = {p.name: read_table(p) for p in anat.glob('*_label-*.tsv')}
    lesions = tables.pop('sub-01_label-lesion_desc-lesions_Chimap.tsv')
    (vein,) = tables.pop('sub-01_label-vein_desc-veins_Chimap.tsv')
    assert tables == {}
    assert [(r['label'], r['n_voxels'], r['size']) for r in lesions] == [
        ('2', '8', 'ok'), ('2', '1', 'tiny'),
    ]  # fmt: skip
    chi = nib.load(anat / 'sub-01_Chimap.nii.gz').get_fdata()
    assert float(vein['mean']) == pytest.approx(chi[marks['vein'] > 0].mean(), abs=1e-5)
    sidecar = json.loads((anat / 'sub-01_label-vein_desc-veins_Chimap.json').read_text())
    assert sidecar['Haematocrit'] == 0.45
    page = (out / 'sub-01.html').read_text()
    assert 'Lesions and veins' in page
    assert 'label-lesion: 2 lesions' in page
    assert 'wrongVein' in page
    names = [p.relative_to(out).as_posix() for p in anat.iterdir()]
    assert set(with_sidecars(n for n in names if n.endswith('.tsv'))) <= set(names)

    validator = Path(sys.executable).with_name('bids-validator-deno')
    done = subprocess.run([validator, '--format', 'json', out], capture_output=True, text=True,
                          check=False)  # fmt: skip
    issues = json.loads(done.stdout)['issues']['issues']
    assert [i for i in issues if i.get('severity') == 'error'] == []

    # another haematocrit measures again and reconstructs nothing
    capfd.readouterr()
    assert main([*arguments, '--haematocrit', '0.40']) == 0
    sidecar = json.loads((anat / 'sub-01_label-vein_desc-veins_Chimap.json').read_text())
    assert sidecar['Haematocrit'] == 0.40
    text = ''.join(capfd.readouterr())
    steps = [line for line in text.splitlines() if line.startswith('[')]
    assert any('lesions and veins' in line for line in steps)
    assert not any('dipole inversion' in line for line in steps)
    assert any('kept from an earlier run' in line for line in steps)
