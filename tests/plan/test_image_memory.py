import os

import nibabel as nib
import numpy as np
import pytest

from qsmbids.bids.write import write_json
from qsmbids.plan import image_memory
from qsmbids.plan.image_memory import ImageMemory
from qsmbids.plan.images import inspect_image


@pytest.fixture
def looked(monkeypatch):
    """The images that were really opened."""
    found = []

    def look(path):
        found.append(path.name)
        return inspect_image(path)

    monkeypatch.setattr(image_memory, 'inspect_image', look)
    return found


@pytest.fixture
def memory(tmp_path):
    return lambda write=write_json: ImageMemory(lambda label: tmp_path / f'{label}.json', write)


def test_second_plan_opens_no_image_and_is_the_same(good, memory, looked):
    first = good.plan(memory=memory())
    assert len(looked) == 6
    looked.clear()
    assert good.plan(memory=memory()) == first == good.plan()
    assert looked == []


def test_a_changed_image_is_looked_at_again(good, memory, looked):
    good.plan(memory=memory())
    looked.clear()
    name = 'sub-01_echo-2_part-phase_MEGRE.nii.gz'
    path = good.image(f'sub-01/anat/{name}', good.phase(-1, 1))
    assert [i.code for i in good.only(memory=memory()).issues] == [
        i.code for i in good.only().issues
    ]
    assert looked == [name]
    # the same size and time of change, but other content: the system's own time tells
    kept = os.stat(path)
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(bytes(raw))
    os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    looked.clear()
    assert not good.only(memory=memory()).usable
    assert looked == [name]


def test_problems_are_not_remembered(good, memory, looked):
    name = 'sub-01_echo-1_part-mag_MEGRE.nii.gz'
    path = good.root / 'sub-01/anat' / name
    whole = path.read_bytes()
    path.write_bytes(whole[:200])
    assert not good.only(memory=memory()).usable
    looked.clear()
    assert not good.only(memory=memory()).usable
    assert looked == [name]
    path.write_bytes(whole)
    assert good.only(memory=memory()).usable


def test_constant_and_nan_images_come_back_as_they_were(tree, memory):
    path = tree.image('x.nii.gz', np.full((4, 4, 4), np.nan, np.float32))
    first, second = memory(), memory()
    first.recall('x')
    told = first.inspect(path)
    first.keep('x')
    second.recall('x')
    assert repr(second.inspect(path)) == repr(told)


@pytest.mark.parametrize('text', ['', '[]', '{"format": 0, "images": {}}', '{"format": 1}', '{"f'])
def test_a_damaged_memory_is_no_memory(good, memory, looked, tmp_path, text):
    (tmp_path / '01.json').write_text(text)
    assert good.only(memory=memory()).usable
    assert len(looked) == 6
    good.plan(memory=memory())
    assert len(looked) == 6


def test_records_of_another_kind_are_ignored(good, memory, looked, tmp_path):
    good.plan(memory=memory())
    file = tmp_path / '01.json'
    file.write_text(file.read_text().replace('"dtype"', '"kind"'))
    good.plan(memory=memory())
    assert len(looked) == 12


def test_nothing_is_written_without_leave_and_a_full_disk_is_no_error(good, memory, tmp_path):
    good.plan(memory=memory(None))
    assert not (tmp_path / '01.json').exists()

    def full(path, content):
        raise OSError(28, 'No space left on device')

    assert good.only(memory=memory(full)).usable


@pytest.mark.parametrize('bad', [np.inf, np.nan])
def test_numbers_that_json_has_not_are_not_remembered(good, memory, looked, bad):
    name = 'sub-01_echo-1_part-mag_MEGRE.nii.gz'
    path = good.root / 'sub-01/anat' / name
    image = nib.load(path)
    header = image.header.copy()
    header['srow_x'][0] = bad
    nib.Nifti1Image(np.asarray(image.dataobj), None, header).to_filename(path)
    first = good.plan(memory=memory())
    looked.clear()
    assert good.plan(memory=memory()) == first
    assert looked == [name]


def test_what_is_not_looked_at_stays_known(good, memory, looked):
    good.plan(memory=memory())
    good.plan(memory=memory(), filters={'megre': {'echo': '1'}})
    looked.clear()
    good.plan(memory=memory())
    assert looked == []
