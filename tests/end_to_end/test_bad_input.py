"""Bad input: the right exit code, three lines, no traceback, and nothing lost of the others."""

import gzip
import json
import shutil
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest


def qsmbids(*arguments):
    command = [sys.executable, '-m', 'qsmbids', *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)


def images(folder, label, part):
    return sorted((folder / f'sub-{label}' / 'anat').glob(f'*part-{part}_MEGRE.nii.gz'))


def edit_json(folder, label, change):
    for path in (folder / f'sub-{label}' / 'anat').glob('*.json'):
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))


def rewrite(path, change):
    image = nib.load(path)
    data = change(np.asarray(image.dataobj.get_unscaled()))
    nib.save(nib.Nifti1Image(data, image.affine), path)


def phase_without_magnitude(folder, label):
    for path in images(folder, label, 'mag'):
        path.unlink()


def echo_of_another_shape(folder, label):
    rewrite(images(folder, label, 'mag')[1], lambda data: data[:-2])


def missing_echo_time(folder, label):
    edit_json(folder, label, lambda content: content.pop('EchoTime'))


def truncated_nifti(folder, label):
    path = images(folder, label, 'phase')[0]
    path.write_bytes(path.read_bytes()[:5000])


def text_in_place_of_nifti(folder, label):
    images(folder, label, 'mag')[0].write_bytes(gzip.compress(b'this is no image\n'))


def no_field_strength(folder, label):
    def change(content):
        for key in ('MagneticFieldStrength', 'ImagingFrequency'):
            content.pop(key, None)

    edit_json(folder, label, change)


def all_zero_magnitude(folder, label):
    for path in images(folder, label, 'mag'):
        rewrite(path, np.zeros_like)


def echo_time_in_milliseconds(folder, label):
    edit_json(folder, label, lambda c: c.update(EchoTime=1000 * c['EchoTime']))


def broken_json(folder, label):
    path = images(folder, label, 'mag')[0]
    path.with_name(path.name.replace('.nii.gz', '.json')).write_text('{"EchoTime": 0.004,')


FAULTS = {
    fault.__name__: fault
    for fault in (
        phase_without_magnitude, echo_of_another_shape, missing_echo_time, truncated_nifti,
        text_in_place_of_nifti, no_field_strength, all_zero_magnitude,
        echo_time_in_milliseconds, broken_json,
    )
}  # fmt: skip


@pytest.mark.parametrize('fault', FAULTS)
def test_nothing_usable(dataset, tmp_path, fault):
    shutil.rmtree(dataset / 'sub-02')
    FAULTS[fault](dataset, '01')
    run = qsmbids(
        dataset, tmp_path / 'out', 'participant', '-w', tmp_path / 'work', '--registration', 'fast'
    )
    text = run.stdout + run.stderr
    assert run.returncode == 65, text
    assert 'Traceback' not in text
    message = next(block for block in run.stdout.split('\n\n') if block.startswith('ERROR'))
    assert len(message.strip().splitlines()) == 3, message
    assert 'sub-01' in message
    page = (tmp_path / 'out' / 'sub-01.html').read_text()
    assert message.strip().splitlines()[1][:40] in page.replace('&#39;', "'")


def add_participant(dataset, source, label):
    shutil.copytree(dataset / f'sub-{source}', dataset / f'sub-{label}')
    for path in (dataset / f'sub-{label}' / 'anat').iterdir():
        path.rename(path.with_name(path.name.replace(f'sub-{source}', f'sub-{label}')))


@pytest.mark.slow
def test_good_participant_completes_among_bad_ones(dataset, tmp_path):
    for number, fault in enumerate(FAULTS.values(), start=10):
        add_participant(dataset, '01', str(number))
        fault(dataset, str(number))
    out = tmp_path / 'out'
    run = qsmbids(dataset, out, 'participant', '--recon-only', '-w', tmp_path / 'work')
    text = run.stdout + run.stderr
    assert run.returncode == 1, text
    assert 'Traceback' not in text
    for label in ('01', '02'):
        assert (out / f'sub-{label}' / 'anat' / f'sub-{label}_Chimap.nii.gz').is_file()
    for number in range(10, 10 + len(FAULTS)):
        assert f'sub-{number}' in run.stdout
        assert (out / f'sub-{number}.html').is_file()
        assert not list((out / f'sub-{number}').rglob('*.nii.gz'))
