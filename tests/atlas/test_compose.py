import ants
import numpy as np
import pytest

from qsmbids.atlas.compose import join, pieces_of
from qsmbids.atlas.errors import RegistrationError
from qsmbids.atlas.images import write_image
from qsmbids.atlas.initial_pose import write_matrix
from qsmbids.atlas.refine import deep_box
from qsmbids.atlas.transforms import to_ants, warp

SHAPE = (20, 22, 24)
AFFINE = np.diag((2.0, 2.0, 2.0, 1.0))


def field(path, shift):
    """A displacement field that moves every point by the same shift (LPS mm)."""
    like = to_ants(np.zeros(SHAPE), AFFINE)
    values = np.broadcast_to(np.float32(shift), (*SHAPE, 3)).copy()
    image = ants.from_numpy(values, like.origin, like.spacing, like.direction, has_components=True)
    ants.image_write(image, str(path))
    return path


def test_pieces_are_applied_in_order_and_the_inverse_undoes_them(tmp_path):
    matrix = np.diag((1.2, 1.2, 1.2, 1.0))
    matrix[:3, 3] = (10, 0, 0)
    affine = write_matrix(matrix, tmp_path / 'affine.mat')
    fields = [
        (field(tmp_path / f'{n}.nii.gz', s), field(tmp_path / f'i{n}.nii.gz', -np.array(s)))
        for n, s in (('whole', (1.0, 0, 0)), ('box', (0, 2.0, 0)))
    ]
    forward, inverse = join(affine, fields, tmp_path / 'f.h5', tmp_path / 'i.h5')
    there, back = ants.read_transform(forward), ants.read_transform(inverse)
    point = [-20.0, -20.0, 20.0]
    moved = there.apply_to_point(point)
    shifted = np.add(point, (1, 2, 0))
    assert np.allclose(moved, 1.2 * shifted - (10, 0, 0), atol=1e-3)
    assert np.allclose(back.apply_to_point(moved), point, atol=1e-3)
    warped = warp(np.ones(SHAPE), AFFINE, SHAPE, AFFINE, [forward])  # one file is enough
    assert warped.max() == pytest.approx(1, abs=1e-5)


def test_a_missing_piece_is_said(tmp_path):
    with pytest.raises(RegistrationError, match='left no transform') as info:
        pieces_of(tmp_path / 'stages_')
    assert len(str(info.value).splitlines()) == 3


@pytest.mark.parametrize('signs', [(1, 1, 1), (-1, 1, -1)])
def test_the_box_is_the_same_place_in_every_orientation(tmp_path, signs):
    brain = np.zeros((100, 120, 90), bool)
    brain[10:90, 10:110, 10:80] = True
    image = write_image(tmp_path / 'b.nii', brain, np.diag((*signs, 1.0)))
    box = deep_box(brain, np.diag((*signs, 1.0)))
    centres = [(part.start + part.stop) / 2 * sign for part, sign in zip(box, signs, strict=True)]
    expected = [np.mean(edges) for edges in ((10, 90), (10, 110), (10, 80))]
    assert image.is_file()
    # the box lies in front of the middle by no more than its rounding, and below it
    assert abs(abs(centres[0]) - expected[0]) <= 1
    height = (centres[2] - signs[2] * expected[2]) / 70
    assert height == pytest.approx(np.mean((0.16, 0.69)) - 0.5, abs=0.02)
