"""Damaged steps run again, whole ones are kept; and looking for them is quick."""

import gzip
import json

import pytest

from qsmbids.execution.resume import remove_damaged_steps

IMAGE = b'\x5c\x01\x00\x00' + b'x' * 400


def finished_step(folder, name, content=IMAGE):
    step = folder / name
    step.mkdir(parents=True)
    out = step / 'out.nii'
    out.write_bytes(content)
    (step / '_0x12ab.json').write_text('[["a", "b"]]')
    (step / 'record.json').write_text(json.dumps({'files': {str(out): len(content)}}))
    (step / f'result_{name}.pklz').write_bytes(gzip.compress(b'result' * 100))
    return step


def truncate(path, keep=0.5):
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])


DAMAGE = {
    'output truncated': lambda s: truncate(s / 'out.nii', 0.9),
    'output empty': lambda s: truncate(s / 'out.nii', 0),
    'output of zeros': lambda s: (s / 'out.nii').write_bytes(bytes(len(IMAGE))),
    'output longer': lambda s: (s / 'out.nii').write_bytes(IMAGE + b'x'),
    'output deleted': lambda s: (s / 'out.nii').unlink(),
    'result truncated': lambda s: truncate(s / 'result_step.pklz'),
    'result empty': lambda s: truncate(s / 'result_step.pklz', 0),
    'result no gzip': lambda s: (s / 'result_step.pklz').write_bytes(b'no gzip'),
    'result deleted': lambda s: (s / 'result_step.pklz').unlink(),
    'record truncated': lambda s: truncate(s / 'record.json'),
    'record empty': lambda s: truncate(s / 'record.json', 0),
    'record no record': lambda s: (s / 'record.json').write_text('[]'),
    'note truncated': lambda s: truncate(s / '_0x12ab.json'),
    'note empty': lambda s: truncate(s / '_0x12ab.json', 0),
}


@pytest.mark.parametrize('damage', DAMAGE)
def test_damaged_step_is_removed_and_nothing_else(tmp_path, damage):
    run = tmp_path / 'qsmbids_0_1_wf'
    whole = [finished_step(run / 'sub_01_wf', 'load'), finished_step(run / 'sub_02_wf', 'step')]
    damaged = finished_step(run / 'sub_01_wf', 'step')
    DAMAGE[damage](damaged)
    assert remove_damaged_steps(tmp_path) == ['qsmbids_0_1_wf/sub_01_wf/step']
    assert not damaged.exists()
    assert all((step / 'out.nii').read_bytes() == IMAGE for step in whole)
    assert remove_damaged_steps(tmp_path) == []


def test_what_was_never_finished_or_is_not_ours_stays(tmp_path):
    """Nipype itself begins an unfinished step anew; a step of its own writes no record."""
    unfinished = finished_step(tmp_path, 'unfinished')
    (unfinished / '_0x12ab.json').rename(unfinished / '_0x12ab_unfinished.json')
    (unfinished / 'result_unfinished.pklz').unlink()
    merge = finished_step(tmp_path, 'merge')
    (merge / 'record.json').unlink()
    cache = tmp_path / 'cache'
    cache.mkdir()
    (cache / 'result_x.pklz').write_bytes(b'not a step')
    assert remove_damaged_steps(tmp_path) == []
    assert remove_damaged_steps(tmp_path / 'cache' / 'absent') == []


def test_links_are_not_followed(tmp_path):
    elsewhere = finished_step(tmp_path / 'elsewhere', 'step')
    truncate(elsewhere / 'out.nii')
    (tmp_path / 'work').mkdir()
    (tmp_path / 'work' / 'link').symlink_to(tmp_path / 'elsewhere')
    assert remove_damaged_steps(tmp_path / 'work') == []
    assert elsewhere.exists()
