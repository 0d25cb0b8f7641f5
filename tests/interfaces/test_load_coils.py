"""Reading echoes whose receive coils were stored one by one."""

import nibabel as nib
import numpy as np
import pytest

from qsmbids.interfaces.load import LoadGre
from qsmbids.qsm import wrap

SHAPE, N_COILS = (24, 22, 20), 3
AFFINE = np.diag([-3.0, 3.0, 3.5, 1.0])
TIMES = [0.004, 0.009, 0.014]


@pytest.fixture(scope='module')
def scan():
    """A ball with a smooth field (Hz), seen by coils with their own strength and phase."""
    rng = np.random.default_rng(5)
    x, y, z = (2 * np.indices(SHAPE).reshape(3, -1).T / (np.array(SHAPE) - 1) - 1).T.reshape(
        3, *SHAPE
    )
    ball = x**2 + y**2 + z**2 < 0.7
    field_hz = 25 * (x * y + 0.5 * z)
    signal = np.empty((len(TIMES), *SHAPE, N_COILS), complex)
    for c, (strength, offset) in enumerate(
        [(1 + 0.6 * x, 1.0 + 0.8 * y), (1 - 0.6 * x, -2.5 + 0.7 * z), (1 + 0.5 * y, 3.0 - x)]
    ):
        for e, time in enumerate(TIMES):
            decay = np.exp(-20 * time)
            signal[e, ..., c] = (
                400 * ball * strength * decay * np.exp(1j * (offset + 2 * np.pi * field_hz * time))
            )
    noise = rng.standard_normal((2, *signal.shape))
    return signal + 2 * (noise[0] + 1j * noise[1]), ball, field_hz


def write(folder, signal, form):
    """Write one file for each echo and part; return what the plan would say of them."""
    parts = {
        'polar': {'magnitude': np.abs(signal), 'phase': np.angle(signal)},
        'complex': {'real': signal.real, 'imag': signal.imag},
    }[form]
    echoes = []
    for e in range(len(TIMES)):
        echo = {'magnitude': '', 'phase': '', 'real': '', 'imag': '', 'volume': None}
        for part, values in parts.items():
            echo[part] = str(folder / f'{part}{e}.nii')
            nib.save(nib.Nifti1Image(values[e].astype(np.float32), AFFINE), echo[part])
        echoes.append(echo)
    return echoes


def load(tmp_path, monkeypatch, echoes, sign=1):
    folder = tmp_path / 'run'
    folder.mkdir()
    monkeypatch.chdir(folder)
    scaling = {'slope': 1.0, 'intercept': 0.0, 'sign': sign, 'complex': bool(echoes[0]['real'])}
    step = LoadGre(
        code_version='1', echoes=echoes, affine=AFFINE.tolist(), scaling=scaling,
        sources=[path for echo in echoes for path in echo.values() if path],
        n_coils=N_COILS, echo_times_s=TIMES,
    )  # fmt: skip
    outputs = step.run().outputs
    images = {
        key: np.asanyarray(nib.load(getattr(outputs, key)).dataobj)
        for key in ('magnitude', 'phase', 'phase_first', 'phase_last', 'rss')
    }
    return images, folder


@pytest.mark.parametrize('form', ['polar', 'complex'])
@pytest.mark.parametrize('sign', [1, -1])
def test_coils_become_one_image_with_the_phase_of_the_field(
    scan, tmp_path, monkeypatch, form, sign
):
    signal, ball, field_hz = scan
    stored = signal if sign > 0 else signal.conj()
    images, folder = load(tmp_path, monkeypatch, write(tmp_path, stored, form), sign)
    assert images['phase'].shape == images['magnitude'].shape == (*SHAPE, len(TIMES))
    for e, time in enumerate(TIMES):
        error = wrap(images['phase'][..., e] - 2 * np.pi * field_hz * time)
        # what the smoothing of the offsets leaves is the same in all echoes
        assert np.percentile(np.abs(error[ball]), 95) < 0.15
    np.testing.assert_array_equal(images['phase'][..., 0], images['phase_first'])
    np.testing.assert_array_equal(images['phase'][..., -1], images['phase_last'])
    together = np.sqrt((np.abs(signal) ** 2).sum(axis=-1))
    for e in range(len(TIMES)):
        np.testing.assert_allclose(images['magnitude'][ball, e], together[e][ball], rtol=0.03)
    rss = np.sqrt((images['magnitude'] ** 2).sum(axis=-1))
    np.testing.assert_allclose(images['rss'], rss, rtol=1e-5)
    assert not [path for path in folder.iterdir() if path.is_dir()], 'scratch is removed'


def test_coils_of_different_sign_do_not_cancel(scan, tmp_path, monkeypatch):
    """Two coils of opposite phase: their plain sum would be zero."""
    signal = scan[0].copy()
    signal[..., 1] = -signal[..., 0]
    images, _ = load(tmp_path, monkeypatch, write(tmp_path, signal, 'polar'))
    alone = np.abs(signal[0, ..., 0])[scan[1]]
    assert np.median(images['magnitude'][..., 0][scan[1]] / alone) > 1.4


def test_one_coil_is_read_as_before(scan, tmp_path, monkeypatch):
    signal = scan[0][..., 0]
    echoes = write(tmp_path, signal, 'polar')
    folder = tmp_path / 'run'
    folder.mkdir()
    monkeypatch.chdir(folder)
    outputs = LoadGre(
        code_version='1', echoes=echoes, affine=AFFINE.tolist(),
        scaling={'slope': 1.0, 'intercept': 0.0, 'sign': 1, 'complex': False},
        sources=[path for echo in echoes for path in (echo['magnitude'], echo['phase'])],
    ).run().outputs  # fmt: skip
    phase = np.asanyarray(nib.load(outputs.phase).dataobj)
    np.testing.assert_allclose(wrap(phase[..., 1] - np.angle(signal[1])), 0, atol=1e-5)
