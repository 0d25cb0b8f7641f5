import csv
import json
import math
from dataclasses import asdict

import nibabel as nib
import numpy as np
import pytest

from qsmbids.atlas.geometry import label_table, label_volume
from qsmbids.atlas.high_iron import high_iron_thresholds
from qsmbids.interfaces.regions import Regions

AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
AFFINE[:3, 3] = (-90, -126, -72)
SHAPE = (46, 54, 46)


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    labels = label_volume(SHAPE, AFFINE)
    brain = np.zeros(SHAPE, np.uint8)
    brain[4:-4, 4:-4, 2:-2] = 1
    images = {
        'chi': rng.normal(0.03, 0.04, SHAPE).astype(np.float32),
        'r2star': rng.normal(25, 4, SHAPE).astype(np.float32),
        'dseg': labels.astype(np.int16),
        'brain_mask': brain,
        'qsm_mask': brain,
        'field_noise': (0.1 * brain * rng.uniform(0.8, 1.2, SHAPE)).astype(np.float32),
    }
    paths = {}
    for name, data in images.items():
        paths[name] = str(tmp_path / f'{name}.nii')
        nib.save(nib.Nifti1Image(data, AFFINE), paths[name])
    return images, paths


def run(tmp_path, paths, **inputs):
    step = Regions(
        code_version='1', labels=[asdict(label) for label in label_table()], region='whole-brain',
        **paths, **inputs,
    )  # fmt: skip
    outputs = step.run(cwd=str(tmp_path)).outputs
    return outputs


def read(path):
    with open(path, encoding='utf-8', newline='') as stream:
        return {row['name']: row for row in csv.DictReader(stream, delimiter='\t')}


def test_tables_say_what_the_saved_images_say(files, tmp_path):
    images, paths = files
    about = {
        'reference_value': 0.011, 'hz_per_ppm': 127.7, 'b0_direction': [0.0, 0.0, 1.0],
        'age': 40.0, 'curve_offset_ppm': -0.01,
    }  # fmt: skip
    outputs = run(tmp_path, paths, **about)
    chi, r2star = read(outputs.regions_chi), read(outputs.regions_r2star)
    inside = images['brain_mask'] > 0
    thresholds = high_iron_thresholds(40.0, label_table(), -0.01)
    for label in label_table():
        values = images['chi'][(images['dseg'] == label.index) & inside].astype(float)
        row = chi[label.name]
        assert float(row['mean']) == pytest.approx(values.mean(), rel=1e-5)
        assert float(row['total']) == pytest.approx(values.sum() * 64, rel=1e-5)
        assert float(row['mean_unreferenced']) == pytest.approx(values.mean() + 0.011, rel=1e-5)
        assert float(row['mean_uncertainty']) > 0
        assert row['reference'] == 'whole-brain'
        assert row['reference_value'] == '0.011'
        if label.index in thresholds:
            high = values > thresholds[label.index]
            assert int(row['high_n']) == high.sum()
        else:
            assert row['high_threshold'] == 'n/a'
        relaxation = images['r2star'][(images['dseg'] == label.index) & inside].astype(float)
        assert float(r2star[label.name]['median']) == pytest.approx(np.median(relaxation), 1e-5)
    assert 'reference' not in r2star['CaudateLeft']
    assert float(r2star['CaudateLeft']['asymmetry_index']) == pytest.approx(0, abs=0.1)
    dictionary = json.loads((tmp_path / 'regions_chi.json').read_text(encoding='utf-8'))
    assert dictionary.pop('Reference') == 'whole-brain'
    assert list(dictionary) == list(chi['WholeBrain'])


def test_what_is_not_known_is_not_available(files, tmp_path):
    _, paths = files
    del paths['field_noise'], paths['r2star']
    outputs = run(tmp_path, paths)
    row = read(outputs.regions_chi)['PutamenLeft']
    for name in ('weighted_mean', 'mean_uncertainty', 'high_n', 'mean_unreferenced'):
        assert row[name] == 'n/a'
    assert not math.isnan(float(row['mean']))


def test_noise_in_hertz_needs_the_frequency(files, tmp_path):
    _, paths = files
    with pytest.raises(ValueError, match='hz_per_ppm'):
        run(tmp_path, paths)
