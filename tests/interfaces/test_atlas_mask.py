"""The Nipype shell of the brain mask of the atlas."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from qsmbids.atlas.brain_mask import PropagatedMask
from qsmbids.atlas.errors import RegistrationError
from qsmbids.interfaces.atlas_mask import AtlasMask

AFFINE = np.diag([-4.0, 4.0, 4.0, 1.0])


@pytest.fixture
def step(tmp_path, monkeypatch):
    """A ball in air, in a folder of its own."""
    x, y, z = np.indices((48, 48, 48)) - 23.5
    ball = x**2 + y**2 + z**2 < 18**2
    rss = 100 * ball + np.random.default_rng(0).rayleigh(1, ball.shape)
    nib.save(nib.Nifti1Image(rss.astype(np.float32), AFFINE), tmp_path / 'rss.nii')
    monkeypatch.chdir(tmp_path)
    template = {key: str(tmp_path / f'{key}.nii') for key in ('chi', 'mask', 'dseg', 't2starw')}
    return AtlasMask(code_version='1', rss=str(tmp_path / 'rss.nii'), template=template, seed=7)


def test_result_of_bet_says_where_to_look(step, tmp_path, monkeypatch):
    seen = {}

    def propagate(**arguments):
        seen.update(arguments)
        mask = nib.load(arguments['rough_mask'])
        nib.save(mask, arguments['out'])
        return PropagatedMask(arguments['out'], {'structure_match': 0.7})

    monkeypatch.setattr('qsmbids.atlas.brain_mask.propagate_brain_mask', propagate)
    outputs = step.run().outputs
    assert Path(outputs.atlas_mask).name == 'atlas_mask.nii'
    assert (seen['seed'], seen['threads']) == (7, 1)
    assert seen['magnitude'] == tmp_path / 'rss.nii'
    assert seen['template'].t1w is None
    rough = nib.load(seen['rough_mask'])
    assert np.allclose(rough.affine, AFFINE)
    assert np.asanyarray(rough.dataobj).any()
    record = json.loads(Path(outputs.record).read_text())
    assert record['atlas_mask'] == {'structure_match': 0.7}


def test_failed_registration_is_passed_on(step, monkeypatch):
    def propagate(**arguments):
        raise RegistrationError('it failed.', 'there is no mask.', 'use another one.')

    monkeypatch.setattr('qsmbids.atlas.brain_mask.propagate_brain_mask', propagate)
    with pytest.raises(RegistrationError, match='use another one'):
        step.run()
