import numpy as np
import pytest
from scipy import ndimage

from qsmbids.phantom.forward import dipole_field
from qsmbids.qsm.cosmos import CosmosParameters, conditioning, invert_cosmos
from qsmbids.qsm.grid import Grid
from qsmbids.qsm.quality import nrmse
from qsmbids.qsm.tv import invert_tv

GRID = Grid((35, 38, 31), (1.5, 1.6, 2.0))
OBLIQUE = (0.2, 0.3, 0.933)


def turned(about, degrees, b0=OBLIQUE):
    """B0 after a rotation about the first or second axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrices = {'x': [[1, 0, 0], [0, c, -s], [0, s, c]], 'y': [[c, 0, s], [0, 1, 0], [-s, 0, c]]}
    return np.array(matrices[about]) @ (np.asarray(b0) / np.linalg.norm(b0))


FOUR = np.array([turned('x', 0), turned('x', 20), turned('y', 20), turned('x', -20)])


def brain(grid, seed=0):
    """Blobs and a strong small source in an ellipsoid; returns chi and mask."""
    axes = [np.linspace(-1.15, 1.15, n) for n in grid.shape]
    radius = np.sqrt(sum(a**2 for a in np.meshgrid(*axes, indexing='ij')))
    chi = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(grid.shape), 1.5)
    chi[12:15, 20:23, 10:12] = 0.6
    return np.where(radius < 1, chi, 0).astype(np.float32), radius < 1


def measure(chi, grid, directions, noise=0.002):
    rng = np.random.default_rng(1)
    fields = [dipole_field(chi, grid.voxel_size, b0) for b0 in directions]
    return np.stack([f + noise * rng.standard_normal(grid.shape) for f in fields])


def test_four_orientations_need_no_prior():
    truth, mask = brain(GRID)
    fields = measure(truth, GRID, FOUR)
    calls = []
    chi, inside = invert_cosmos(
        fields, [mask] * 4, GRID, FOUR, progress=lambda f, text: calls.append((f, text))
    )
    assert chi.dtype == np.float32
    assert np.array_equal(inside, mask)
    assert not chi[~mask].any()
    joint = nrmse(chi, truth, mask)
    assert joint < 14  # measured: 11
    one = invert_tv(fields[0], mask, Grid(GRID.shape, GRID.voxel_size, OBLIQUE))
    assert joint < 0.6 * nrmse(one, truth, mask)
    wrong, _ = invert_cosmos(fields, [mask] * 4, GRID, FOUR[[0, 1, 3, 2]])
    assert nrmse(wrong, truth, mask) > 2 * joint
    fractions = [f for f, _ in calls]
    assert fractions == sorted(fractions)
    assert 0 < fractions[-1] <= 1


def test_field_outside_the_masks_is_unknown():
    # masks of different scans differ, and all have lost their rim but not its sources
    truth, mask = brain(GRID)
    masks = np.stack([ndimage.binary_erosion(mask, iterations=2)] * 4)
    masks[1, :, :12] = False
    masks[2, 20:] = False
    fields = np.where(masks, measure(truth, GRID, FOUR), np.nan)
    chi, inside = invert_cosmos(fields, masks, GRID, FOUR)
    assert np.array_equal(inside, 2 * masks.sum(axis=0) >= 4)
    assert np.isfinite(chi).all()
    deep = ndimage.binary_erosion(masks.all(axis=0), iterations=2)
    assert nrmse(chi, truth, deep) < 20
    none, _ = invert_cosmos(fields, masks, GRID, FOUR, parameters=CosmosParameters(rim_mm=0))
    assert nrmse(none, truth, deep) > 1.2 * nrmse(chi, truth, deep)


def test_weights_protect_from_bad_scans():
    truth, mask = brain(GRID)
    fields = measure(truth, GRID, FOUR)
    rng = np.random.default_rng(3)
    bad = (rng.random(fields.shape) < 0.02) & mask
    fields[bad] += 0.3 * rng.standard_normal(bad.sum())
    weights = np.where(bad, 0.01, 1.0)
    plain, _ = invert_cosmos(fields, [mask] * 4, GRID, FOUR)
    weighted, _ = invert_cosmos(fields, [mask] * 4, GRID, FOUR, weights=weights)
    assert nrmse(weighted, truth, mask) < 0.5 * nrmse(plain, truth, mask)
    again, _ = invert_cosmos(fields, [mask] * 4, GRID, FOUR, weights=50 * weights)
    assert np.allclose(again, weighted, atol=1e-4)


def test_linear_and_independent_of_order_flips_and_signs_of_directions():
    truth, mask = brain(GRID)
    fields = measure(truth, GRID, FOUR)
    chi, _ = invert_cosmos(fields, [mask] * 4, GRID, FOUR)
    order = [2, 0, 3, 1]
    other, _ = invert_cosmos(-3 * fields[order], [mask] * 4, GRID, -2 * FOUR[order])
    scale = np.abs(chi).max()
    assert np.abs(other + 3 * chi).max() < 0.02 * scale
    axes = (1, 2, 0)
    grid = Grid(
        tuple(np.array(GRID.shape)[list(axes)]), tuple(np.array(GRID.voxel_size)[list(axes)])
    )
    directions = FOUR[:, axes] * [-1, 1, 1]
    moved = [f.transpose(axes)[::-1] for f in fields]
    again, _ = invert_cosmos(moved, [mask.transpose(axes)[::-1]] * 4, grid, directions)
    assert np.abs(again - chi.transpose(axes)[::-1]).max() < 0.02 * scale


def test_conditioning_tells_good_orientations_from_bad_ones():
    assert conditioning(FOUR[:1]) < 1e-6
    assert conditioning(FOUR[:2]) < 2e-4  # the two cones meet in lines
    assert conditioning(np.stack([turned('x', a) for a in (0, 3, -3)])) < 2e-4
    assert 0.005 < conditioning(FOUR) < 4 / 45
    # all directions alike: the mean of D^2 is 4/45 at every frequency
    every = np.random.default_rng(0).standard_normal((20000, 3))
    every /= np.linalg.norm(every, axis=1, keepdims=True)
    assert conditioning(every[:4000]) == pytest.approx(4 / 45, rel=0.1)


def test_too_few_or_parallel_orientations_are_refused():
    truth, mask = brain(GRID)
    fields = measure(truth, GRID, FOUR)
    with pytest.raises(ValueError, match='at least three') as error:
        invert_cosmos(fields[:2], [mask] * 2, GRID, FOUR[:2])
    assert len(str(error.value).splitlines()) == 3
    with pytest.raises(ValueError, match='1 head orientation and'):
        invert_cosmos(fields[:1], [mask], GRID, FOUR[:1])
    alike = np.stack([turned('x', a) for a in (0, 2, -2)])
    with pytest.raises(ValueError, match='too alike') as error:
        invert_cosmos(fields[:3], [mask] * 3, GRID, alike)
    assert len(str(error.value).splitlines()) == 3
    with pytest.raises(ValueError, match='too alike'):
        invert_cosmos(fields[:3], [mask] * 3, GRID, [FOUR[0], -FOUR[0], 2 * FOUR[0]])


def test_bad_input_is_explained():
    grid = Grid((9, 8, 7))
    fields, masks = np.zeros((3, 9, 8, 7)), np.ones((3, 9, 8, 7), bool)
    directions = FOUR[:3]
    chi, _ = invert_cosmos(fields, masks, grid, directions)
    assert not chi.any()
    one = np.zeros_like(masks)
    one[:, 4, 4, 3] = True
    assert np.isfinite(invert_cosmos(fields + 1, one, grid, directions)[0]).all()
    with pytest.raises(ValueError, match='shape'):
        invert_cosmos(fields, masks[:2], grid, directions)
    with pytest.raises(ValueError, match='direction'):
        invert_cosmos(fields, masks, grid, directions[:2])
    with pytest.raises(ValueError, match='direction'):
        invert_cosmos(fields, masks, grid, [*directions[:2], (0, 0, 0)])
    fields[1, 4, 4, 4] = np.inf
    with pytest.raises(ValueError, match='scan 2 is not a number'):
        invert_cosmos(fields, masks, grid, directions)
    masks[2] = False
    with pytest.raises(ValueError, match='mask of scan 3 is empty'):
        invert_cosmos(fields, masks, grid, directions)


@pytest.mark.parametrize(
    'values',
    [{'regularisation': -1}, {'rim_mm': -1}, {'tolerance': 0}, {'iterations': 0},
     {'least_conditioning': 0}, {'least_conditioning': 1}],
)  # fmt: skip
def test_impossible_parameters_are_refused(values):
    with pytest.raises(ValueError, match='COSMOS'):
        CosmosParameters(**values)
