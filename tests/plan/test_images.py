import gzip

import nibabel as nib
import numpy as np
import pytest

from qsmbids.plan import images
from qsmbids.plan.images import inspect_image


def save(path, data, affine=None):
    nib.save(nib.Nifti1Image(data, np.eye(4) if affine is None else affine), path)
    return path


@pytest.mark.parametrize('extension', ['.nii', '.nii.gz'])
@pytest.mark.parametrize('dtype', ['int16', 'uint8', '>f4', 'float64'])
def test_extremes_are_those_of_the_data(tmp_path, monkeypatch, extension, dtype):
    monkeypatch.setattr(images, 'CHUNK_BYTES', 1000)  # several pieces, the last one shorter
    data = np.random.default_rng(0).uniform(0, 200, (7, 8, 9)).astype(dtype)
    info = inspect_image(save(tmp_path / f'x{extension}', data))
    assert info.problem == ''
    assert (info.low, info.high) == (data.min(), data.max())
    assert info.shape == (7, 8, 9)


def test_header_slope_is_applied(tree):
    path = tree.image(
        'x.nii.gz', np.arange(512, dtype=np.int16).reshape(8, 8, 8), slope=-2, inter=5
    )
    info = inspect_image(path)
    assert (info.stored_low, info.stored_high) == (0, 511)
    assert (info.low, info.high) == (-1017, 5)
    assert (info.slope, info.intercept) == (-2, 5)


def test_not_finite_values_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(images, 'CHUNK_BYTES', 1024)
    data = np.ones((8, 8, 8), np.float32)
    data[0] = np.nan  # the first pieces hold nothing else
    data[5, 5, 5], data[6, 6, 6], data[7, 7, 7] = np.inf, -np.inf, 3
    info = inspect_image(save(tmp_path / 'x.nii', data))
    assert info.n_not_finite == 66
    assert (info.low, info.high) == (1, 3)


@pytest.mark.parametrize('keep', [0.2, 0.7, 0.99])
def test_truncated_compressed(good, keep):
    path = good.root / 'sub-01/anat/sub-01_echo-2_part-mag_MEGRE.nii.gz'
    raw = path.read_bytes()
    path.write_bytes(raw[: int(keep * len(raw))])
    assert inspect_image(path).problem == 'TRUNCATED'


def test_truncated_in_the_header(good):
    path = good.root / 'sub-01/anat/sub-01_echo-2_part-mag_MEGRE.nii.gz'
    path.write_bytes(path.read_bytes()[:60])
    assert inspect_image(path).problem == 'TRUNCATED'


def test_truncated_uncompressed(tmp_path):
    path = save(tmp_path / 'x.nii', np.ones((8, 8, 8), np.float32))
    path.write_bytes(path.read_bytes()[:-100])
    info = inspect_image(path)
    assert info.problem == 'TRUNCATED'
    assert '95 %' in info.detail or '0 %' in info.detail


def test_flipped_bit_fails_the_checksum(tmp_path):
    save(tmp_path / 'x.nii', np.ones((8, 8, 8), np.float32))
    raw = bytearray(gzip.compress((tmp_path / 'x.nii').read_bytes(), compresslevel=0))
    raw[1000] ^= 1
    path = tmp_path / 'x.nii.gz'
    path.write_bytes(raw)
    assert inspect_image(path).problem == 'TRUNCATED'


@pytest.mark.parametrize('name', ['x.nii', 'x.nii.gz'])
def test_text_in_place_of_an_image(tmp_path, name):
    path = tmp_path / name
    path.write_text('this is no image\n' * 100)
    assert inspect_image(path).problem == 'NOT_NIFTI'


def test_text_compressed(tmp_path):
    path = tmp_path / 'x.nii.gz'
    path.write_bytes(gzip.compress(b'this is no image\n' * 100))
    assert inspect_image(path).problem == 'NOT_NIFTI'


def test_empty_file(tmp_path):
    path = tmp_path / 'x.nii.gz'
    path.touch()
    assert inspect_image(path).problem == 'EMPTY_FILE'


@pytest.mark.parametrize('text', ['/annex/objects/MD5E-s1--2.nii.gz\n', 'version https://git-lfs'])
def test_pointer_file(tmp_path, text):
    path = tmp_path / 'x.nii.gz'
    path.write_text(text)
    assert inspect_image(path).problem == 'NOT_DOWNLOADED'


def test_dangling_link(tmp_path):
    path = tmp_path / 'x.nii.gz'
    path.symlink_to(tmp_path / '.git/annex/objects/x')
    assert inspect_image(path).problem == 'NOT_DOWNLOADED'


def test_complex_numbers_are_not_supported(tmp_path):
    info = inspect_image(save(tmp_path / 'x.nii', np.ones((8, 8, 8), np.complex64)))
    assert info.problem == 'UNSUPPORTED_TYPE'
    assert 'complex64' in info.detail


@pytest.mark.parametrize('shape', [(8, 8), (8, 8, 1), (8, 8, 8, 2, 2)])
def test_images_that_are_no_volume(tmp_path, shape):
    assert inspect_image(save(tmp_path / 'x.nii', np.ones(shape))).problem == 'BAD_DIMENSIONS'


def test_impossible_quaternion_counts_as_no_qform(tree):
    path = tree.image('x.nii.gz', tree.magnitude())
    raw = bytearray(gzip.decompress(path.read_bytes()))
    raw[256:268] = np.array([2, 2, 2], '<f4').tobytes()
    path.write_bytes(gzip.compress(bytes(raw)))
    info = inspect_image(path)
    assert (info.problem, info.qform_code, info.sform_code) == ('', 0, 1)


def test_nifti_2(tmp_path):
    path = tmp_path / 'x.nii.gz'
    nib.save(nib.Nifti2Image(np.ones((8, 8, 8), np.float32), np.eye(4)), path)
    assert inspect_image(path).shape == (8, 8, 8)


def test_folder_in_place_of_an_image(tmp_path):
    path = tmp_path / 'x.nii'
    path.mkdir()
    assert inspect_image(path).problem == 'NOT_NIFTI'
