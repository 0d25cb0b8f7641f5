"""The hybrid image of a person, and the grid that averages begin on."""

import numpy as np
import pytest

from qsmbids.atlas.build.groups import Person
from qsmbids.atlas.build.prepare import MARGIN_MM, write_hybrid, write_reference
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.images import read_image, read_mask, voxel_size, write_image


@pytest.fixture
def person(scan):
    return Person('sub-01', 65.0, scan.chi, scan.magnitude, scan.mask, scan.mask)


def test_without_t1w_the_magnitude_has_its_place(person, tmp_path):
    files = write_hybrid(person, tmp_path, seed=1)
    assert set(files) == {'hybrid', 'brain'}
    hybrid, affine = read_image(files['hybrid'])
    assert np.allclose(affine, read_image(person.chi)[1], atol=1e-3)
    brain, chi = read_mask(files['brain'])[0], read_image(person.chi)[0]
    iron = brain & (chi > 0.08)
    assert hybrid[iron].mean() < np.percentile(hybrid[brain], 20)


def test_a_t1w_image_leads_and_keeps_its_own_grid(person, scan, tmp_path):
    files = write_hybrid(Person(**(vars(person) | {'t1w': scan.t1w})), tmp_path, seed=1)
    t1w, affine = read_image(files['t1w'])
    assert t1w.shape == read_image(scan.t1w)[0].shape
    # its header was moved to where the map lies
    corners = affine @ np.array([(0, 0, 0, 1), (71, 0, 55, 1), (0, 79, 0, 1)]).T
    true = np.linalg.inv(scan.t1w_motion) @ read_image(scan.t1w)[1]
    error = corners - true @ np.array([(0, 0, 0, 1), (71, 0, 55, 1), (0, 79, 0, 1)]).T
    assert np.linalg.norm(error[:3], axis=0).max() < 1.5
    with_t1w = read_image(files['hybrid'])[0]
    (tmp_path / 'other').mkdir()
    without = read_image(write_hybrid(person, tmp_path / 'other', seed=1)['hybrid'])[0]
    brain = read_mask(files['brain'])[0]
    assert np.abs(with_t1w - without)[brain].mean() > 20  # another contrast, of 255


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda chi, mask: 1000 * chi, 'no values in ppm'),
        (lambda chi, mask: chi[:-1], 'same grid'),
    ],
)
def test_maps_that_cannot_be_averaged_are_refused(person, scan, tmp_path, change, message):
    chi, affine = read_image(scan.chi)
    path = write_image(tmp_path / 'chi.nii', change(chi, scan.mask), affine)
    with pytest.raises(AtlasError, match=message) as info:
        write_hybrid(Person(**(vars(person) | {'chi': path})), tmp_path, seed=1)
    assert len(str(info.value).splitlines()) == 3


@pytest.mark.parametrize('size', [4.0, 2.5])
def test_the_grid_of_averages_has_room_around_the_brain(template, tmp_path, size):
    files = write_reference(template, tmp_path, size, t1w=False)
    brain, affine = read_mask(files['brain'])
    assert np.allclose(voxel_size(affine), size)
    for axis in range(3):
        filled = np.flatnonzero(brain.any(axis=tuple(a for a in range(3) if a != axis)))
        assert filled[0] * size >= MARGIN_MM
        assert (brain.shape[axis] - 1 - filled[-1]) * size >= MARGIN_MM
    hybrid = read_image(files['hybrid'])[0]
    assert hybrid[brain].min() > 0
    # the brain is where the template has it
    fine, fine_affine = read_mask(template.mask)
    centres = [
        a[:3, :3] @ np.mean(np.nonzero(m), axis=1) + a[:3, 3]
        for m, a in ((brain, affine), (fine, fine_affine))
    ]
    assert np.allclose(*centres, atol=0.3)
