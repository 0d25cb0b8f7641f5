"""Whatever happens to files and memory inside a step arrives as three lines that name it."""

import errno
import os

import nibabel as nib
import numpy as np
import pytest

from qsmbids.execution.failures import last_message
from qsmbids.execution.io_errors import explain, explain_text
from qsmbids.interfaces.base import Step, load
from qsmbids.interfaces.io_errors import in_words


@pytest.fixture
def image(tmp_path):
    path = tmp_path / 'in.nii.gz'
    data = np.random.default_rng(1).normal(size=(20, 20, 20)).astype(np.float32)
    nib.save(nib.Nifti1Image(data, np.eye(4)), path)
    return path


def said(error, inputs=None, folder='/work/step'):
    with pytest.raises(ValueError, match='\n') as caught, in_words(inputs or {}, folder):
        raise error
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert caught.value.__cause__ is error
    return lines


@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_named(number):
    text = os.strerror(number)
    assert 'the disk of /work/step is full' in said(OSError(number, text))[0]
    assert 'the disk of /out/anat is full' in said(OSError(number, text, '/out/anat/x.nii'))[0]


def test_of_a_copy_the_place_without_room_is_named():
    error = OSError(errno.ENOSPC, 'No space left on device', '/work/a', None, '/out/b')
    assert 'the disk of /out is full' in said(error)[0]


@pytest.mark.parametrize(
    'number', [errno.ENOENT, errno.EIO, errno.EACCES, errno.EROFS, errno.ESTALE, errno.EMFILE]
)
def test_file_is_named(number):
    first = said(OSError(number, os.strerror(number), '/data/x.nii'))[0]
    assert first.startswith('/data/x.nii ')


def test_memory():
    assert '3 GiB' in said(MemoryError('Unable to allocate 3 GiB'))[0]
    assert said(MemoryError())[0].endswith('memory.')


@pytest.mark.parametrize('keep', [0, 10, 200, 0.5, 0.999])
def test_cut_image_is_named(image, keep):
    content = image.read_bytes()
    image.write_bytes(content[: int(keep * len(content)) if keep < 1 else keep])
    with pytest.raises(ValueError, match='\n') as caught, in_words({'a': [{'b': str(image)}]}, ''):
        load(str(image))
    assert str(caught.value).startswith(f'{image} cannot be read to its end')
    assert len(str(caught.value).splitlines()) == 3


def test_cut_work_file_is_named(tmp_path, image):
    plain = tmp_path / 'in.nii'
    nib.save(nib.load(image), plain)
    os.truncate(plain, 1000)
    match = 'ends after 1000 of 32352 bytes'
    with pytest.raises(ValueError, match=match), in_words({'a': str(plain)}, ''):
        load(str(plain))


def test_half_written_record_is_named(tmp_path):
    (tmp_path / 'record.json').write_text('{"name": ')
    lines = said(KeyError('name'), {'records': [str(tmp_path / 'record.json')]})
    assert 'record.json' in lines[0]


@pytest.mark.parametrize(
    'error', [ValueError('what\nwhy\nwhat to do'), ValueError('one line'), KeyError('x')]
)
def test_other_errors_pass_unchanged(image, error):
    with pytest.raises(type(error)) as caught, in_words({'a': str(image)}, ''):
        raise error
    assert caught.value is error


def test_text_of_a_traceback_says_the_same():
    error = OSError(errno.ENOENT, 'No such file or directory', '/data/x.nii')
    assert explain_text('FileNotFoundError', str(error)) == explain(error)
    assert explain_text('OSError', '[Errno 28] No space left on device').count('\n') == 2
    assert explain_text('MemoryError', '').count('\n') == 2
    assert explain_text('KeyError', 'x') == ''


def test_a_step_says_it(tmp_path, image):
    """Through the class that all steps share, to the words that stand at the end of a run."""

    class Fails(Step):
        title = 'failing'

        def compute(self, folder):
            raise OSError(errno.ENOSPC, 'No space left on device')

    with pytest.raises(ValueError, match='is full') as caught:
        Fails(code_version='1').run(cwd=str(tmp_path))
    text = last_message(f'ValueError: {caught.value}')
    assert len(text.splitlines()) == 3
    assert str(tmp_path) in text
