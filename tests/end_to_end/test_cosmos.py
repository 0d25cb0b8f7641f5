"""Three orientations of a head that was turned, from raw data to one map."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from qsmbids.cli.main import main
from qsmbids.phantom.orientations import orientation_scans, true_direction, write_orientations
from qsmbids.phantom.parameters import PhantomParameters
from qsmbids.phantom.truth_dataset import TRUTH_FOLDER
from qsmbids.plan.cosmos import angles_deg

pytestmark = pytest.mark.slow

SCANS = orientation_scans(
    PhantomParameters(voxel_size_mm=3.0, echo_times_s=(0.004, 0.010, 0.016, 0.022), snr=100.0)
)


def run(dataset, folder, *options):
    return main(
        [str(dataset), str(folder / 'out'), 'participant', '-w', str(folder / 'work'),
         '--recon-only', '--cosmos', '--keep-work', *options]
    )  # fmt: skip


def image(path):
    return np.asarray(nib.load(path).dataobj)


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    return write_orientations(tmp_path_factory.mktemp('turned') / 'bids', 35.0, SCANS)


@pytest.fixture(scope='module')
def done(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp('done')
    assert run(dataset, folder) == 0
    return folder


def test_directions_are_those_of_the_turned_head(done):
    sidecar = json.loads((done / 'out/sub-01/anat/sub-01_desc-cosmos_Chimap.json').read_text())
    found = [o['B0Direction'] for o in sidecar['Orientations']]
    truth = [true_direction(scan, SCANS[0]) for scan in SCANS]
    for one, expected in zip(found, truth, strict=True):
        assert angles_deg([one, expected])[0, 1] < 0.7
    np.testing.assert_allclose(sidecar['OrientationAngles'], angles_deg(truth), atol=1.0)
    # the header of the second scan says nothing of the turn
    assert angles_deg([SCANS[0].grid.b0_direction, SCANS[1].grid.b0_direction])[0, 1] < 0.1
    assert sidecar['OrientationAngles'][0][1] > 20


def test_map_is_near_the_truth(done, dataset):
    truth = dataset / 'derivatives' / TRUTH_FOLDER / 'sub-01' / 'anat'
    chi = image(truth / 'sub-01_desc-truth_Chimap.nii.gz')
    labels = image(truth / 'sub-01_desc-truth_dseg.nii.gz')
    anat = done / 'out/sub-01/anat'
    mask = image(anat / 'sub-01_desc-cosmos_mask.nii.gz') > 0
    found = image(anat / 'sub-01_desc-cosmos_Chimap.nii.gz')
    assert not found[~mask].any()
    assert abs(found[mask].mean()) < 1e-5, 'whole-brain reference'
    core = binary_erosion(mask, iterations=2)
    assert np.corrcoef(found[core], chi[core])[0, 1] > 0.8
    inside = [mask & (labels == index) for index in np.unique(labels[mask]) if index > 0]
    means = [(chi[m].mean(), found[m].mean()) for m in inside if m.sum() > 8]
    slope, _ = np.polyfit(*np.transpose(means), 1)
    assert 0.85 < slope < 1.15
    assert np.corrcoef(np.transpose(means))[0, 1] > 0.97


def test_single_maps_and_page_are_there(done):
    anat = done / 'out/sub-01/anat'
    for number in (1, 2, 3):
        assert (anat / f'sub-01_run-{number}_Chimap.nii.gz').is_file()
    page = (done / 'out/sub-01.html').read_text()
    assert 'sub-01_desc-cosmos' in page
    assert '3 acquisitions and 1 COSMOS map finished' in page


def test_validator_finds_no_error(done):
    validator = Path(sys.executable).with_name('bids-validator-deno')
    result = subprocess.run(
        [validator, '--format', 'json', done / 'out'], capture_output=True, text=True, check=False
    )
    issues = json.loads(result.stdout)['issues']['issues']
    assert [i for i in issues if i.get('severity') == 'error'] == []


def test_deleted_map_is_written_again_and_nothing_else_runs(done, dataset, capsys):
    path = done / 'out/sub-01/anat/sub-01_desc-cosmos_Chimap.nii.gz'
    before = path.read_bytes()
    path.unlink()
    assert run(dataset, done) == 0
    assert path.read_bytes() == before
    text = capsys.readouterr().out
    ran = [
        line for line in text.splitlines()
        if line.startswith('[') and 'kept from an earlier run' not in line
    ]  # fmt: skip
    assert [line for line in ran if 'alignment' in line or 'inversion' in line] == []


def test_missing_map_is_a_failure_of_reports_only(done, dataset, tmp_path, capsys):
    shutil.copytree(done / 'out', tmp_path / 'out')
    assert run(dataset, tmp_path, '--reports-only') == 0
    (tmp_path / 'out/sub-01/anat/sub-01_desc-cosmos_mask.nii.gz').unlink()
    assert run(dataset, tmp_path, '--reports-only') == 1
    assert 'sub-01_desc-cosmos_mask.nii.gz' in capsys.readouterr().out


def test_two_orientations_are_refused_and_mapped_one_by_one(dataset, tmp_path, capsys):
    choice = tmp_path / 'filter.json'
    choice.write_text(json.dumps({'megre': {'run': [1, 3]}}))
    assert run(dataset, tmp_path, '--bids-filter-file', str(choice)) == 1
    text = capsys.readouterr().out
    assert 'There will be no COSMOS map: there are only two usable scans' in text
    anat = tmp_path / 'out/sub-01/anat'
    assert sorted(p.name for p in anat.glob('*_Chimap.nii.gz')) == [
        'sub-01_run-1_Chimap.nii.gz', 'sub-01_run-3_Chimap.nii.gz',
    ]  # fmt: skip


def test_repetitions_are_refused_after_registration(dataset, tmp_path, capsys):
    """Three scans of which two are the same orientation."""
    bids = tmp_path / 'bids'
    shutil.copytree(dataset, bids)
    anat = bids / 'sub-01/anat'
    for path in sorted(anat.glob('*_run-2_*')):
        path.unlink()
    for path in sorted(anat.glob('*_run-1_*')):
        shutil.copy(path, anat / path.name.replace('run-1', 'run-2'))
    assert run(bids, tmp_path) == 1
    text = capsys.readouterr().out
    assert 'COSMOS inversion: The 3 scans hold no 3 orientations' in text
    assert 'Traceback' not in text
    assert not list((tmp_path / 'out').rglob('*cosmos_Chimap*'))
    assert len(list((tmp_path / 'out/sub-01/anat').glob('*_Chimap.nii.gz'))) == 3
