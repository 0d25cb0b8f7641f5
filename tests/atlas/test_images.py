import gzip
import pickle
import zlib

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from qsmbids.atlas.errors import AtlasError, RegistrationError
from qsmbids.atlas.images import (
    check_whole,
    read_image,
    read_mask,
    resample_isotropic,
    resample_to,
    same_grid,
    voxel_size,
    write_image,
)

SHAPE = (12, 10, 8)


def oblique_affine(voxel=(-1.5, 2.0, 3.0)):
    affine = np.eye(4)
    rotation = Rotation.from_euler('xyz', (20, 10, -5), degrees=True).as_matrix()
    affine[:3, :3] = rotation @ np.diag(voxel)
    affine[:3, 3] = (10, -20, 300)
    return affine


def world(shape, affine):
    voxels = np.stack(np.meshgrid(*map(np.arange, shape), indexing='ij'), axis=-1)
    return voxels @ affine[:3, :3].T + affine[:3, 3]


def test_write_and_read_keep_values_and_both_forms(tmp_path):
    affine = oblique_affine()
    values = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    path = write_image(tmp_path / 'a.nii.gz', values, affine, code=4)
    array, read = read_image(path)
    assert np.array_equal(array, values)
    assert np.allclose(read, affine, atol=1e-4)
    image = nib.load(path)
    assert np.allclose(image.get_qform(), image.get_sform(), atol=1e-4)
    assert read_mask(path)[0].sum() == values.size - 1


def save(path, array, affine=None):
    nib.save(nib.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
    return path


def truncated(path):
    save(path, np.random.default_rng(0).random((20, 20, 20)).astype(np.float32))
    path.write_bytes(path.read_bytes()[:2000])
    return path


def sheared():
    affine = np.eye(4)
    affine[0, 1] = 0.1
    return affine


ONES = np.ones(SHAPE, np.float32)
BAD = {
    'absent': (lambda p: p, 'no file'),
    'truncated': (truncated, 'cannot be read'),
    'text': (lambda p: p.write_text('hello') and p, 'cannot be read'),
    'empty': (lambda p: p.touch() or p, 'cannot be read'),
    '4-D': (lambda p: save(p, np.ones((4, 4, 4, 2), np.float32)), '4 dimensions'),
    'NaN': (lambda p: save(p, ONES * np.nan), 'NaN'),
    'infinite': (lambda p: save(p, ONES * np.inf), 'NaN or infinity'),
    'zero': (lambda p: save(p, ONES * 0), 'zero everywhere'),
    'sheared': (lambda p: save(p, ONES, sheared()), 'sheared'),
}


@pytest.mark.parametrize('case', BAD)
@pytest.mark.parametrize('ending', ['nii', 'nii.gz'])
def test_bad_files_are_refused_in_three_lines(tmp_path, case, ending):
    make, message = BAD[case]
    with pytest.raises(AtlasError, match=message) as info:
        read_image(make(tmp_path / f'x.{ending}'))
    assert len(str(info.value).splitlines()) == 3


def test_a_trailing_axis_of_length_one_is_no_fourth_dimension(tmp_path):
    assert read_image(save(tmp_path / 'a.nii', ONES[..., None]))[0].shape == SHAPE


def test_same_grid(tmp_path):
    one = save(tmp_path / 'a.nii', ONES)
    assert same_grid(one, save(tmp_path / 'b.nii', ONES * 2))
    assert not same_grid(one, save(tmp_path / 'c.nii', ONES[:-1]))
    assert not same_grid(one, save(tmp_path / 'd.nii', ONES, np.diag((1, 1, 1.01, 1))))


@pytest.mark.parametrize('size', [1.0, 2.5, 4.0])
def test_resampling_keeps_every_value_at_its_place_in_the_world(size):
    shape, affine = (40, 36, 24), oblique_affine()
    ramp = world(shape, affine) @ (1.0, -2.0, 0.5)  # linear in mm, so any place can be checked
    new, new_affine = resample_isotropic(ramp, affine, size)
    assert voxel_size(new_affine) == pytest.approx([size] * 3)
    expected = world(new.shape, new_affine) @ (1.0, -2.0, 0.5)
    inner = tuple(slice(n // 4, -n // 4) for n in new.shape)
    assert np.allclose(new[inner], expected[inner], atol=1e-2)
    # the field of view keeps its corner
    old_corner, new_corner = (
        a[:3, :3] @ (-0.5, -0.5, -0.5) + a[:3, 3] for a in (affine, new_affine)
    )
    assert old_corner == pytest.approx(new_corner)


def test_resample_to_another_grid():
    affine, other = oblique_affine(), oblique_affine((2.0, 2.0, -2.0))
    ramp = world((40, 36, 24), affine) @ (1.0, -2.0, 0.5)
    other[:3, 3] = affine[:3, :3] @ (20, 18, 12) + affine[:3, 3]
    moved = resample_to(ramp, affine, (3, 3, 3), other)
    assert np.allclose(moved, world((3, 3, 3), other) @ (1.0, -2.0, 0.5), atol=1e-2)


@pytest.mark.parametrize('kind', [AtlasError, RegistrationError])
def test_errors_survive_the_way_between_processes(kind):
    error = pickle.loads(pickle.dumps(kind('what.', 'why.', 'do.')))
    assert isinstance(error, kind)
    assert str(error) == 'what.\nwhy.\ndo.'


def test_grid_of_a_file_that_is_cut_short_is_a_clear_error(tmp_path):
    whole = write_image(tmp_path / 'whole.nii.gz', np.ones((4, 4, 4), np.float32), np.eye(4))
    cut = tmp_path / 'cut.nii.gz'
    cut.write_bytes(whole.read_bytes()[:40])
    with pytest.raises(AtlasError, match='cut short'):
        same_grid(whole, cut)


def gzipped_noise(path):
    noise = np.random.default_rng(0).integers(0, 9, (20, 20, 20)).astype(np.int16)
    return write_image(path, noise, np.eye(4))


def test_a_changed_file_that_can_be_read_is_found_by_its_checksum(tmp_path):
    path = gzipped_noise(tmp_path / 'a.nii.gz')
    check_whole(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:])
    read_image(path)  # stops before the checksum
    with pytest.raises(AtlasError, match='cannot be read') as info:
        check_whole(path)
    assert len(str(info.value).splitlines()) == 3
    path.write_bytes(whole[:-6])
    with pytest.raises(AtlasError, match='cannot be read'):
        check_whole(path)


@pytest.mark.parametrize('where', ['header', 'voxels'])
def test_damaged_compression_is_a_clear_error(tmp_path, where):
    path, good = (gzipped_noise(tmp_path / f'{name}.nii.gz') for name in 'ab')
    raw, packer = gzip.decompress(path.read_bytes()), zlib.compressobj(wbits=31)
    kept = packer.compress(raw[: 12_000 if where == 'voxels' else 100])
    path.write_bytes(kept + packer.flush(zlib.Z_FULL_FLUSH) + b'\xff' * 5000)  # no such block
    for use in (read_image, check_whole):
        with pytest.raises(AtlasError, match='cannot be read'):
            use(path)
    if where == 'header':
        with pytest.raises(AtlasError, match='cannot be read'):
            same_grid(good, path)
