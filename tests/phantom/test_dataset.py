"""The simulated BIDS data set."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from qsmbids.phantom import TRUTH_FOLDER, dataset, simulate_head, write_dataset


@pytest.fixture(scope='module')
def written(tmp_path_factory, coarse):
    steps = []
    root = write_dataset(
        tmp_path_factory.mktemp('phantom') / 'bids',
        [6, 40],
        parameters=coarse,
        progress=lambda fraction, text: steps.append((fraction, text)),
    )
    return root, steps


def _table(path):
    with path.open(encoding='utf-8') as stream:
        return list(csv.DictReader(stream, delimiter='\t'))


def test_files(written):
    root, steps = written
    names = {path.name for path in (root / 'sub-01' / 'anat').iterdir()}
    assert len(names) == 5 * 2 * 2
    assert 'sub-01_echo-5_part-phase_MEGRE.nii.gz' in names
    people = _table(root / 'participants.tsv')
    assert [(row['participant_id'], row['age']) for row in people] == [
        ('sub-01', '6'),
        ('sub-02', '40'),
    ]
    fractions = [fraction for fraction, _ in steps]
    assert fractions[0] == 0
    assert fractions[-1] == 1
    assert fractions == sorted(fractions)
    assert not list(root.parent.glob('.bids-*'))  # nothing of the work folder is left


def test_images_are_what_was_simulated(written, coarse):
    root, _ = written
    head = simulate_head(40, seed=coarse.seed + 1, parameters=coarse)
    stem = root / 'sub-02' / 'anat' / 'sub-02_echo-3'
    image = nib.load(f'{stem}_part-phase_MEGRE.nii.gz')
    assert image.get_data_dtype() == np.int16
    assert (int(image.header['sform_code']), int(image.header['qform_code'])) == (1, 1)
    np.testing.assert_allclose(image.affine, head.affine, atol=1e-4)
    assert nib.aff2axcodes(image.affine) == ('L', 'A', 'S')
    values = np.asanyarray(image.dataobj)
    assert values.min() >= -4096
    assert values.max() <= 4094
    phase = values * np.pi / 4096
    difference = np.angle(np.exp(1j * (phase - head.phase[2])))
    assert np.abs(difference).max() < 1.01 * np.pi / 4096
    magnitudes = [
        nib.load(root / 'sub-02' / 'anat' / f'sub-02_echo-{e}_part-mag_MEGRE.nii.gz').get_fdata()
        for e in (1, 3)
    ]
    scale = magnitudes[0].sum() / head.magnitude[0].sum()  # one scale for all echoes
    assert np.abs(magnitudes[1] / scale - head.magnitude[2]).max() * scale < 0.6


def test_sidecars(written):
    root, _ = written
    text = (root / 'sub-01' / 'anat' / 'sub-01_echo-2_part-phase_MEGRE.json').read_text()
    sidecar = json.loads(text)
    assert sidecar['EchoTime'] == 0.009
    assert sidecar['Units'] == 'arbitrary'
    assert sidecar['MagneticFieldStrength'] == 3.0
    assert sidecar['ImagingFrequency'] == pytest.approx(127.732434)


def test_truth(written, coarse):
    root, _ = written
    truth = root / 'derivatives' / TRUTH_FOLDER / 'sub-01'
    chi = nib.load(truth / 'anat' / 'sub-01_desc-truth_Chimap.nii.gz').get_fdata()
    labels = np.asanyarray(nib.load(truth / 'anat' / 'sub-01_desc-truth_dseg.nii.gz').dataobj)
    mask = nib.load(truth / 'anat' / 'sub-01_desc-brain_mask.nii.gz').get_fdata() > 0
    rows = _table(truth / 'anat' / 'sub-01_desc-regions_Chimap.tsv')
    assert rows[0]['name'] == 'WholeBrain'
    assert float(rows[0]['chi_data_ppm']) == pytest.approx(chi[mask].mean(), abs=1e-6)
    for row in rows[1:]:
        where = labels == int(row['index'])
        assert int(row['n_voxels']) == where.sum()
        if where.any():
            assert float(row['chi_data_ppm']) == pytest.approx(chi[where].mean(), abs=1e-6)
    assert (truth / 'fmap' / 'sub-01_desc-local_fieldmap.nii.gz').exists()


def test_bids_validator_finds_no_error(written):
    root, _ = written
    validator = Path(sys.executable).with_name('bids-validator-deno')
    if not validator.exists():
        pytest.skip('bids-validator-deno is not installed')
    for folder in (root, root / 'derivatives' / TRUTH_FOLDER):
        run = subprocess.run(
            [validator, '--format', 'json', folder], capture_output=True, text=True, check=False
        )
        issues = json.loads(run.stdout)['issues']['issues']
        errors = [(i['code'], i.get('location')) for i in issues if i['severity'] == 'error']
        assert errors == []


def test_never_writes_into_a_full_folder(tmp_path, coarse):
    (tmp_path / 'note.txt').write_text('mine')
    with pytest.raises(ValueError, match='not an empty folder'):
        write_dataset(tmp_path, [40], parameters=coarse)
    assert [path.name for path in tmp_path.iterdir()] == ['note.txt']


@pytest.mark.parametrize('ages', [[], [30, -1], [float('nan')]])
def test_needs_ages(tmp_path, ages, coarse):
    with pytest.raises(ValueError, match='age'):
        write_dataset(tmp_path / 'x', ages, parameters=coarse)


def test_interruption_leaves_nothing(tmp_path, coarse, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(dataset, 'simulate_head', interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / 'x', [40], parameters=replace(coarse, seed=3))
    assert list(tmp_path.iterdir()) == []
