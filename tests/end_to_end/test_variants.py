"""Other forms of input and other settings, from raw data to files."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from qsmbids.cli.main import main

pytestmark = pytest.mark.slow


def run(dataset, tmp_path, *options):
    return main(
        [str(dataset), str(tmp_path / 'out'), 'participant', '-w', str(tmp_path / 'work'),
         '--participant-label', '01', '--registration', 'fast', *options]
    )  # fmt: skip


def chi(tmp_path, name='sub-01_Chimap.nii.gz'):
    return np.asarray(nib.load(tmp_path / 'out' / 'sub-01' / 'anat' / name).dataobj)


def test_real_and_imaginary_parts_give_the_same_map(dataset, tmp_path):
    assert run(dataset, tmp_path, '--recon-only') == 0
    expected = chi(tmp_path)
    shutil.rmtree(tmp_path / 'out')
    for path in sorted((dataset / 'sub-01' / 'anat').glob('*part-mag_MEGRE.nii.gz')):
        other = path.with_name(path.name.replace('part-mag', 'part-phase'))
        image, numbers = nib.load(path), np.asarray(nib.load(other).dataobj)
        # the phantom's phase files hold -4096...4094 for -pi...pi
        signal = np.asarray(image.dataobj) * np.exp(1j * np.pi * numbers / 4096)
        for part, values in (('real', signal.real), ('imag', signal.imag)):
            name = path.name.replace('part-mag', f'part-{part}')
            written = nib.Nifti1Image(values.astype(np.float32), image.affine)
            written.set_sform(image.affine, code=1)
            nib.save(written, path.parent / name)
            sidecar = json.loads(path.with_name(path.name.replace('.nii.gz', '.json')).read_text())
            sidecar.pop('ImageType', None)
            (path.parent / name.replace('.nii.gz', '.json')).write_text(json.dumps(sidecar))
        for old in (path, other):
            old.unlink()
            old.with_name(old.name.replace('.nii.gz', '.json')).unlink()
    assert run(dataset, tmp_path, '--recon-only') == 0
    assert np.corrcoef(chi(tmp_path).ravel(), expected.ravel())[0, 1] > 0.999


def test_magnitude_only_gives_relaxation(dataset, tmp_path):
    for path in (dataset / 'sub-01' / 'anat').glob('*part-phase*'):
        path.unlink()
    assert run(dataset, tmp_path) == 0
    anat = tmp_path / 'out' / 'sub-01' / 'anat'
    assert (anat / 'sub-01_R2starmap.nii.gz').is_file()
    assert not list(anat.glob('*Chimap*'))
    assert 'R2*' in (tmp_path / 'out' / 'sub-01.html').read_text()


def test_single_echo_and_another_chain(dataset, tmp_path):
    anat = dataset / 'sub-01' / 'anat'
    for path in list(anat.iterdir()):
        if 'echo-4' in path.name:
            path.rename(anat / path.name.replace('echo-4_', '').replace('MEGRE', 'T2starw'))
        else:
            path.unlink()
    options = ('--unwrapping', 'laplacian', '--background-removal', 'resharp',
               '--inversion', 'tkd', '--param', 'inversion.threshold=0.25')  # fmt: skip
    assert run(dataset, tmp_path, '--recon-only', *options) == 0
    sidecar = json.loads((tmp_path / 'out/sub-01/anat/sub-01_Chimap.json').read_text())
    assert sidecar['BackgroundFieldRemoval'] == 'RESHARP'
    assert sidecar['DipoleInversionParameters']['threshold'] == 0.25
    assert isinstance(sidecar['EchoTime'], float)
    assert not (tmp_path / 'out/sub-01/anat/sub-01_R2starmap.nii.gz').exists()


def test_csf_reference_and_reports_again(dataset, tmp_path):
    options = ('--reference-region', 'csf')
    assert run(dataset, tmp_path, *options) == 0
    sidecar = json.loads((tmp_path / 'out/sub-01/anat/sub-01_Chimap.json').read_text())
    assert sidecar['SusceptibilityReference'] == 'csf'
    labels = chi(tmp_path, 'sub-01_atlas-QSMLifespan_dseg.nii.gz')
    table = (tmp_path / 'out/atlas-QSMLifespan_dseg.tsv').read_text().splitlines()[1:]
    ventricles = [int(r.split('\t')[0]) for r in table if 'LateralVentricle' in r]
    mask = chi(tmp_path, 'sub-01_desc-qsm_mask.nii.gz') > 0
    inside = np.isin(labels, ventricles) & mask
    assert abs(chi(tmp_path)[inside].mean()) < 1e-4
    page = tmp_path / 'out' / 'sub-01.html'
    page.unlink()
    assert run(dataset, tmp_path, *options, '--reports-only') == 0
    assert 'csf' in page.read_text()


def test_broken_atlas_is_told_before_anything_runs(dataset, tmp_path, capsys):
    (tmp_path / 'atlas').mkdir()
    assert run(dataset, tmp_path, '--atlas', str(tmp_path / 'atlas')) == 2
    text = capsys.readouterr().err
    assert 'tpl-' in text
    assert 'Traceback' not in text
