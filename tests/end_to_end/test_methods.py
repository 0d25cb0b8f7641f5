"""Methods other than the default ones, from raw data to validated outputs."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from qsmbids.cli.main import main

pytestmark = pytest.mark.slow


def image(path):
    return np.asarray(nib.load(path).dataobj)


@pytest.fixture(scope='module')
def everything(coarse_dataset, tmp_path_factory):
    """One person with all extras, an expression as mask, and two passes of another inversion."""
    folder = tmp_path_factory.mktemp('methods')
    code = main([
        str(coarse_dataset), str(folder / 'out'), 'participant', '--participant-label', '01',
        '-w', str(folder / 'work'), '--recon-only', '--mask', 'fill(largest(bet & quality))',
        '--unwrapping', 'bestpath', '--field-map', 'nonlinear', '--background-removal', 'pdf',
        '--inversion', 'tv', '--two-pass', '--relaxometry', 'nonlinear',
        '--contrast', 'swi', 'clear-swi', 'tswi', 'smwi', '--separation', 'chisep',
    ])  # fmt: skip
    assert code == 0
    return folder / 'out'


def test_separated_maps_have_their_signs(everything):
    anat = everything / 'sub-01' / 'anat'
    mask = image(anat / 'sub-01_desc-qsm_mask.nii.gz') > 0
    positive = image(anat / 'sub-01_desc-paramagnetic_Chimap.nii.gz')
    negative = image(anat / 'sub-01_desc-diamagnetic_Chimap.nii.gz')
    assert positive.min() >= 0 >= negative.max()
    assert positive[mask].mean() > 0.005
    assert negative[mask].mean() < -0.005
    sidecar = json.loads((anat / 'sub-01_desc-paramagnetic_Chimap.json').read_text())
    assert sidecar['SourceSeparation'].startswith('chi-separation')


@pytest.mark.parametrize('desc', ['', '_desc-clearswi', '_desc-tswi', '_desc-smwi'])
def test_weighted_images_and_their_projections(everything, desc):
    anat = everything / 'sub-01' / 'anat'
    weighted = image(anat / f'sub-01{desc}_swi.nii.gz')
    projection = image(anat / f'sub-01{desc}_minIP.nii.gz')
    inside = image(anat / 'sub-01_desc-brain_mask.nii.gz') > 0
    assert weighted[inside].min() >= 0
    assert np.median(projection[inside]) < np.median(weighted[inside])
    assert (anat / f'sub-01{desc}_swi.json').is_file()


def test_what_was_done_is_written_down(everything):
    sidecar = json.loads((everything / 'sub-01/anat/sub-01_Chimap.json').read_text())
    assert sidecar['PhaseUnwrapping'] == 'best path'
    assert sidecar['EchoCombination'] == 'nonlinear complex fit'
    assert sidecar['DipoleInversion'] == 'TV'
    page = (everything / 'sub-01.html').read_text(encoding='utf-8')
    assert 'fill(largest(bet &amp; quality))' in page or 'fill(largest(bet & quality))' in page
    assert 'done twice' in page


def test_validator_has_nothing_to_say(everything):
    validator = Path(sys.executable).with_name('bids-validator-deno')
    done = subprocess.run(
        [validator, '--format', 'json', everything],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    issues = json.loads(done.stdout)['issues']['issues']
    assert [i for i in issues if i['severity'] == 'error'] == []


def test_single_step_from_the_total_field_by_tgv(coarse_dataset, tmp_path):
    code = main([
        str(coarse_dataset), str(tmp_path / 'out'), 'participant', '--participant-label', '02',
        '-w', str(tmp_path / 'work'), '--recon-only', '--inversion', 'tgv',
        '--param', 'inversion.iterations=60',
    ])  # fmt: skip
    assert code == 0
    anat = tmp_path / 'out' / 'sub-02' / 'anat'
    chi = image(anat / 'sub-02_Chimap.nii.gz')
    assert 0.005 < chi[image(anat / 'sub-02_desc-qsm_mask.nii.gz') > 0].std() < 0.2
    assert (tmp_path / 'out/sub-02/fmap/sub-02_desc-local_fieldmap.nii.gz').is_file()


def test_stages_on_single_images_lead_to_the_same_map(coarse_dataset, tmp_path):
    """The last stage of the app, called by itself on the files that the app has written."""
    code = main([
        str(coarse_dataset), str(tmp_path / 'out'), 'participant', '--participant-label', '01',
        '-w', str(tmp_path / 'work'), '--recon-only', '--inversion', 'tkd',
        '--reference-region', 'none',
    ])  # fmt: skip
    assert code == 0
    fmap, anat = (tmp_path / 'out/sub-01' / d for d in ('fmap', 'anat'))
    chi = tmp_path / 'chi.nii.gz'
    subprocess.run(
        [sys.executable, '-m', 'qsmbids.cli.step', 'invert', 'tkd',
         '--field', str(fmap / 'sub-01_desc-local_fieldmap.nii.gz'),
         '--mask', str(anat / 'sub-01_desc-qsm_mask.nii.gz'), '--out', str(chi)],
        check=True,
    )  # fmt: skip
    expected = image(anat / 'sub-01_Chimap.nii.gz')
    np.testing.assert_allclose(image(chi), expected, atol=1e-4 * np.abs(expected).max())
