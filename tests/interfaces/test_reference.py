"""Referencing to fluid that is told by its slow decay."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from qsmbids.interfaces.base import save
from qsmbids.interfaces.susceptibility import Reference

SHAPE = (40, 44, 38)
AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])


def ball(radius):
    grid = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in SHAPE), indexing='ij')
    return sum(x**2 for x in grid) < radius**2


@pytest.fixture
def files(tmp_path):
    brain, ventricles = ball(16), ball(4)
    chi = np.where(ventricles, 0.03, 0.0) + np.where(brain, 0.01, 0.0)
    r2star = np.where(ventricles, 1.5, 20.0) * brain
    images = {'chi': chi, 'r2star': r2star, 'mask': brain}
    return {
        name: save(np.asarray(x, np.float32), AFFINE, tmp_path / f'{name}.nii')
        for name, x in images.items()
    }


def run(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Reference(code_version='1', region='csf-r2star', **files).run().outputs


def test_fluid_becomes_zero(files, tmp_path, monkeypatch):
    outputs = run(files, tmp_path, monkeypatch)
    chi = np.asarray(nib.load(outputs.chi).dataobj)
    assert np.abs(chi[ball(3)]).max() < 1e-6
    assert chi[ball(15) & ~ball(5)].mean() == pytest.approx(-0.03, abs=1e-6)
    reference = json.loads(Path(outputs.record).read_text())['reference']
    assert reference['region'] == 'csf-r2star'
    assert reference['value_ppm'] == pytest.approx(0.04, abs=1e-6)
    assert 0 < reference['n_voxels'] <= ball(4).sum()


def test_without_r2star_it_is_refused(files, tmp_path, monkeypatch):
    del files['r2star']
    with pytest.raises(ValueError, match='too few echoes'):
        run(files, tmp_path, monkeypatch)
