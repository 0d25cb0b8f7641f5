"""The Nipype shell of the lesion and vein tables."""

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from qsmbids.interfaces.lesions import Markings, load_marking

SHAPE = (30, 28, 26)
AFFINE = np.array([[-1, 0, 0, 15], [0, 1.1, 0, -20], [0, 0, 1.2, -9], [0, 0, 0, 1]], float)
LABELS = [{'index': 3, 'name': 'PutamenLeft'}, {'index': 4, 'name': 'PutamenRight'}]


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A map with two lesions and a vein, and a run in its own folder."""
    chi = np.random.default_rng(0).normal(0, 0.004, SHAPE)
    lesion, vein = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.int16)
    lesion[6:10, 6:10, 6:10] = 1
    lesion[20:23, 6:9, 6:9] = 1
    vein[6:26, 20:25, 18:22] = 12
    chi[lesion > 0] = 0.4
    chi[20:23, 6:9, 6:9] = -0.3
    chi[vein > 0] = 0.44
    images = {
        'chi': chi.astype(np.float32), 'lesion': lesion, 'vein': vein,
        'mask': np.ones(SHAPE, np.uint8), 'dseg': np.full(SHAPE, 3, np.int16),
    }  # fmt: skip
    paths = {}
    for name, data in images.items():
        paths[name] = str(tmp_path / f'{name}.nii')
        nib.save(nib.Nifti1Image(data, AFFINE), paths[name])
    folder = tmp_path / 'run'
    folder.mkdir()
    monkeypatch.chdir(folder)
    return paths


def run(files, **more):
    markings = [
        {'path': files['lesion'], 'label': 'lesion', 'kind': 'lesions', 'discrete': False},
        {'path': files['vein'], 'label': 'vein', 'kind': 'veins', 'discrete': True},
    ]
    step = Markings(
        code_version='1', chi=files['chi'], qsm_mask=files['mask'], markings=markings,
        sources=[m['path'] for m in markings], region='whole-brain', haematocrit=0.4, **more,
    )  # fmt: skip
    return step.run().outputs


def read(path):
    with open(path, newline='') as stream:
        return list(csv.DictReader(stream, delimiter='\t'))


def test_one_table_for_each_marking(files):
    outputs = run(files, dseg=files['dseg'], labels=LABELS, atlas='Mine')
    names = [path.rpartition('/')[2] for path in outputs.tables]
    assert names == ['lesions_lesion.tsv', 'veins_vein.tsv']
    lesions, veins = (read(path) for path in outputs.tables)
    assert [row['sign'] for row in lesions] == ['paramagnetic', 'diamagnetic']
    assert [row['region'] for row in lesions] == ['PutamenLeft'] * 2
    assert float(lesions[0]['volume_mm3']) == pytest.approx(64 * 1.32)
    assert [row['label'] for row in veins] == ['12']
    assert float(veins[0]['oxygen_saturation']) == pytest.approx(0.65, abs=0.01)


def test_dictionaries_explain_every_column(files):
    for path in run(files).tables:
        sidecar = json.loads(Path(path).with_suffix('.json').read_text())
        assert set(read(path)[0]) <= set(sidecar)
        assert sidecar['Reference'] == 'whole-brain'
        assert sidecar['Sources'][0] in (files['lesion'], files['vein'])
        assert 'no diagnosis' in sidecar['Disclaimer']
    assert sidecar['Haematocrit'] == 0.4
    assert sidecar['DeoxygenationSusceptibility'] == 3.43


def test_without_an_atlas_the_region_is_not_known(files):
    assert {row['region'] for row in read(run(files).tables[0])} == {'n/a'}


def test_the_record_counts_and_lists_what_was_written(files):
    outputs = run(files)
    record = json.loads(Path(outputs.record).read_text())
    assert record['markings'] == {'lesion': 2, 'vein': 1}
    assert set(outputs.tables) <= set(record['files'])


def test_changed_content_of_a_marking_is_another_input(files):
    def inputs():
        return Markings(code_version='1', sources=[files['lesion']], region='none').inputs

    before = inputs().get_hashval(hash_method='content')[1]
    nib.save(nib.Nifti1Image(np.ones(SHAPE, np.uint8), AFFINE), files['lesion'])
    assert inputs().get_hashval(hash_method='content')[1] != before


def test_soft_edges_and_negative_values(tmp_path):
    values = np.array([[[0.0, 0.4, 0.5, 1.0, -3.0]]], np.float32)[..., None]
    for scale in (1, 255):
        nib.save(nib.Nifti1Image(scale * values, AFFINE), tmp_path / 'x.nii')
        mask = load_marking(str(tmp_path / 'x.nii'), discrete=False)
        assert mask.tolist() == [[[0, 0, 1, 1, 0]]]
    labels = np.array([[[0.0, 0.9, 2.0, -3.0]]], np.float32)[..., None]
    nib.save(nib.Nifti1Image(labels, AFFINE), tmp_path / 'x.nii')
    assert load_marking(str(tmp_path / 'x.nii'), discrete=True).tolist() == [[[0, 1, 2, 0]]]
