"""Templates in the common space: each voxel the mean of the people who have a value there."""

import numpy as np
import pytest

from qsmbids.atlas.build.common_space import Bridge, cohort_maps, common_reference
from qsmbids.atlas.build.fields import displacement
from qsmbids.atlas.build.groups import Person
from qsmbids.atlas.build.pairwise import write_matrix
from qsmbids.atlas.images import read_image, read_mask, write_image

SHAPE = (20, 22, 18)
AFFINE = np.diag((2.0, 2, 2, 1))
AFFINE[:3, 3] = (-19, -21, -17)
CORE = (slice(7, 13), slice(8, 14), slice(6, 12))


def shift(path, by):
    matrix = np.eye(4)
    matrix[:3, 3] = by
    return str(write_matrix(matrix, path))


@pytest.fixture
def people(tmp_path):
    """Three constant maps in brains that lie apart by whole voxels; one without R2*."""
    found, chains = [], {}
    for number, (value, voxels) in enumerate(((0.1, 0), (0.2, 1), (0.6, -1)), start=1):
        brain = np.zeros(SHAPE, bool)
        brain[3 + voxels : 17 + voxels, 3:19, 3:15] = True
        known = brain.copy()
        known[:, :, 3] = False  # the lowest plane was not reconstructed
        files = {
            'chi': np.where(known, value, 0).astype(np.float32),
            'magnitude': np.where(brain, 100.0 * number, 5).astype(np.float32)
            + np.arange(SHAPE[1], dtype=np.float32)[None, :, None],
            'brain_mask': brain,
            'qsm_mask': known,
        }
        if number < 3:
            files['r2star'] = np.where(brain, 10.0 * number, 0).astype(np.float32)
        label = f'sub-{number}'
        paths = {
            key: write_image(tmp_path / f'{label}_{key}.nii', array, AFFINE)
            for key, array in files.items()
        }
        found.append(Person(label, 30.0, reference='whole-brain', **paths))
        # points of the group lie 2 mm per voxel further on in the person
        chains[label] = [shift(tmp_path / f'{label}.mat', (2.0 * voxels, 0, 0))]
    return found, chains, write_image(tmp_path / 'grid.nii', np.ones(SHAPE, np.float32), AFFINE)


def average(people, folder, bridge=Bridge(), *, rereference=False):  # noqa: B008
    found, chains, grid = people
    folder.mkdir()
    return cohort_maps(found, chains, {}, bridge, grid, folder, rereference=rereference)


def test_mean_spread_and_number_of_people(people, tmp_path):
    maps = average(people, tmp_path / 'out')
    images = {key: read_image(path)[0] for key, path in maps.files.items()}
    assert images['chi'][CORE] == pytest.approx(0.3, abs=1e-5)
    assert images['chi_sd'][CORE] == pytest.approx(np.std([0.1, 0.2, 0.6], ddof=1), abs=1e-5)
    assert (images['chi_n'][CORE] == 3).all()
    assert images['r2star'][CORE] == pytest.approx(15, abs=1e-3)
    assert maps.facts == {'n': 3, 'n_r2star': 2}
    mask = read_mask(maps.files['mask'])[0]
    assert mask.sum() == 14 * 16 * 12  # the brains lie on one another
    assert (images['chi_n'][mask].reshape(-1) > 0).mean() == pytest.approx(11 / 12)
    assert not images['chi'][~mask].any()
    # up to the border of what is known the mean is not diluted
    assert images['chi'][3:17, 3:19, 4:15] == pytest.approx(0.3, abs=1e-4)
    assert 'group_chi' not in maps.files
    assert 'to_common' not in maps.files


def test_maps_of_different_references_get_the_whole_brain_as_zero(people, tmp_path):
    maps = average(people, tmp_path / 'out', rereference=True)
    with pytest.raises(ValueError, match='zero everywhere'):
        read_image(maps.files['chi'])  # constant maps have nothing left
    assert common_reference(people[0]) == 'whole-brain'
    other = [Person('a', 1.0, *[None] * 4, reference=r) for r in ('whole-brain', 'csf')]
    assert common_reference(other) == ''
    assert common_reference(other[:1] * 2) == 'whole-brain'
    assert common_reference([Person('a', 1.0, *[None] * 4, reference='none')]) == ''


def test_the_bridge_to_the_common_space_is_kept_both_ways(people, tmp_path):
    bridge = Bridge(
        (shift(tmp_path / 'a.mat', (0, 4.0, 0)),), (shift(tmp_path / 'b.mat', (0, -4.0, 0)),)
    )
    maps = average(people, tmp_path / 'out', bridge)
    common, group = (read_image(maps.files[key])[0] for key in ('chi', 'group_chi'))
    # a point of the common space lies 4 mm = 2 voxels further on in the group
    assert np.allclose(common[:, :-2], np.where(read_mask(maps.files['mask'])[0],
                       np.roll(group, -2, axis=1), 0)[:, :-2], atol=1e-5)  # fmt: skip
    for key, way in (('to_common', (0, 4, 0)), ('to_group', (0, -4, 0))):
        field = displacement([str(maps.files[key])], SHAPE, AFFINE)
        assert np.allclose(field[CORE], way, atol=1e-4)
