import gzip

import nibabel as nib
import numpy as np
import pytest

from qsmbids.interfaces.load import LoadGre

SHAPE, N = (16, 16, 16), 6


@pytest.fixture
def stack(tmp_path):
    """Six echoes in one compressed file of magnitude and one of phase."""
    rng = np.random.default_rng(3)
    images = {
        'magnitude': rng.uniform(1, 9, (*SHAPE, N)).astype(np.float32),
        'phase': rng.uniform(-3, 3, (*SHAPE, N)).astype(np.float32),
    }
    images['magnitude'][0, 0, 0, 0] = np.nan
    for name, data in images.items():
        nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / f'{name}.nii.gz')
    return tmp_path, images


def load(folder):
    paths = {name: str(folder / f'{name}.nii.gz') for name in ('magnitude', 'phase')}
    step = LoadGre(
        code_version='1',
        echoes=[{**paths, 'real': '', 'imag': '', 'volume': v} for v in range(N)],
        affine=np.eye(4).tolist(),
        scaling={'slope': 1.0, 'intercept': 0.0, 'complex': False, 'sign': 1},
        echo_times_s=[0.005 * (v + 1) for v in range(N)],
        sources=list(paths.values()),
    )
    return step.compute(folder)


def test_echoes_of_one_file_are_what_is_stored(stack):
    folder, images = stack
    outputs = load(folder)
    magnitude = np.asarray(nib.load(outputs['magnitude']).dataobj)
    assert np.array_equal(magnitude, np.nan_to_num(images['magnitude']))
    assert np.allclose(np.asarray(nib.load(outputs['phase']).dataobj), images['phase'], atol=1e-5)


def test_a_compressed_file_is_unpacked_in_one_pass(stack, monkeypatch):
    """Not anew for each echo, which would unpack everything before it again."""
    started = []
    start = gzip._GzipReader.__init__
    monkeypatch.setattr(
        gzip._GzipReader, '__init__', lambda self, file: started.append(file) or start(self, file)
    )
    load(stack[0])
    assert 0 < len(started) < 2 * N


def test_intermediate_images_are_not_compressed(stack):
    outputs = load(stack[0])
    assert all(path.endswith('.nii') for path in outputs.values())
