"""Uncertainty of region means from the noise of the field."""

import math

import numpy as np
import pytest
from scipy import fft

from qsmbids.atlas import region_noise
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.region_noise import FieldNoise, gain_of_inversion
from qsmbids.qsm.grid import Grid

SHAPE = (30, 34, 28)
B0 = (0.1, 0.3, 0.95)


def make_noise(voxel=(3.0, 3.0, 3.0), shape=SHAPE, b0=B0):
    """A ball of field whose noise doubles from one side to the other."""
    at = [(np.arange(n) - n / 2) / n for n in shape]
    x, y, z = np.meshgrid(*at, indexing='ij')
    sd = 1e-3 * (1.5 + x) * (x**2 + y**2 + z**2 < 0.2)
    return FieldNoise(sd.astype(np.float32), Grid(shape, voxel, b0))


REGIONS = {
    'ball': lambda x, y, z: x**2 + y**2 + z**2 < 4**2,
    'off centre': lambda x, y, z: (x - 6) ** 2 + (y + 4) ** 2 + z**2 < 3**2,
    'slab': lambda x, y, z: (abs(x) < 1) & (abs(y) < 7) & (abs(z) < 6),
    'voxel': lambda x, y, z: (x == 2) & (y == 3) & (z == -1),
}


def region(name, shape=SHAPE):
    x, y, z = np.meshgrid(*(np.arange(n) - n // 2 for n in shape), indexing='ij')
    return REGIONS[name](x, y, z)


def whole(shape):
    return tuple(slice(0, n) for n in shape)


@pytest.fixture(scope='module')
def maps():
    """Susceptibility that 600 realisations of the noise become in a linear filter."""
    noise = make_noise()
    padded = tuple(n + 14 for n in SHAPE)
    gain = gain_of_inversion(padded, noise.grid.voxel_size, noise.grid.b0_direction,
                             noise.penalty_mm2)  # fmt: skip
    rng = np.random.default_rng(0)
    found = []
    for _ in range(600):
        field = rng.standard_normal(SHAPE, dtype=np.float32) * noise.sd_ppm
        chi = fft.irfftn(fft.rfftn(field, s=padded) * gain, s=padded)
        found.append(chi[whole(SHAPE)])
    return noise, np.array(found)


@pytest.mark.parametrize('name', REGIONS)
def test_prediction_is_the_spread_of_a_linear_filter(maps, name):
    noise, chi = maps
    inside = region(name)
    empirical = chi[:, inside].mean(axis=1).std(ddof=1)  # known to 3 %
    assert noise.sd_of_mean(inside, whole(SHAPE)) == pytest.approx(empirical, rel=0.1)


def test_box_of_the_region_is_as_good_as_the_whole_image():
    noise = make_noise()
    inside = region('off centre')
    box = tuple(slice(int(i.min()), int(i.max()) + 1) for i in np.nonzero(inside))
    assert noise.sd_of_mean(inside[box], box) == pytest.approx(
        noise.sd_of_mean(inside, whole(SHAPE)), rel=1e-6
    )


def test_only_noise_near_the_field_counts():
    """Air around the head changes nothing, nor where in the image the head lies."""
    noise = make_noise()
    inside = region('slab')
    sd = np.pad(noise.sd_ppm, ((9, 3), (2, 12), (5, 5)))
    wider = FieldNoise(sd, Grid(sd.shape, noise.grid.voxel_size, B0))
    moved = np.pad(inside, ((9, 3), (2, 12), (5, 5)))
    assert wider.sd_of_mean(moved, whole(sd.shape)) == pytest.approx(
        noise.sd_of_mean(inside, whole(SHAPE)), rel=1e-6
    )


def test_joined_voxels_say_nearly_the_same(monkeypatch):
    shape = (60, 68, 56)
    at = [(np.arange(n) - n / 2) / n for n in shape]
    x, y, z = np.meshgrid(*at, indexing='ij')
    sd = (2e-3 * (1.5 + x) * (x**2 + y**2 + z**2 < 0.2)).astype(np.float32)
    grid = Grid(shape, (1.2, 1.2, 1.2), B0)
    for inside in (
        (x * 60) ** 2 + (y * 68) ** 2 + (z * 56) ** 2 < 8**2,
        (x * 60) ** 2 + (y * 68) ** 2 + (z * 56) ** 2 < 3**2,
    ):
        joined = FieldNoise(sd, grid)
        assert joined._variance.shape < shape
        found = joined.sd_of_mean(inside, whole(shape))
        with monkeypatch.context() as patch:
            patch.setattr(region_noise, 'JOIN_UP_TO_MM', 0.0)
            exact = FieldNoise(sd, grid).sd_of_mean(inside, whole(shape))
        assert found == pytest.approx(exact, rel=0.12)


def test_averaging_helps_less_than_with_independent_noise():
    """The reason for all this: streaks are common to many voxels."""
    shape = (48, 48, 48)
    noise = FieldNoise(np.full(shape, 1e-3, np.float32), Grid(shape, (3.0, 3.0, 3.0), B0))
    x, y, z = np.meshgrid(*(np.arange(n) - n // 2 for n in shape), indexing='ij')
    small, large = (x**2 + y**2 + z**2 < r**2 for r in (2, 7))
    gain = noise.sd_of_mean(small, whole(shape)) / noise.sd_of_mean(large, whole(shape))
    assert 1.5 < gain < 0.75 * math.sqrt(large.sum() / small.sum())


def test_more_noise_is_more_uncertain_and_more_smoothed():
    noise = make_noise()
    louder = FieldNoise(4 * noise.sd_ppm, noise.grid)
    inside = region('ball')
    quiet, loud = (n.sd_of_mean(inside, whole(SHAPE)) for n in (noise, louder))
    assert 1.5 * quiet < loud < 4 * quiet  # the penalty follows the noise


def test_hertz_become_ppm():
    noise = make_noise()
    hz = noise.sd_ppm * 127.7
    hz[0, 0, 0], hz[0, 0, 1] = np.nan, np.inf  # outside the head
    found = FieldNoise.from_hz(hz, 127.7, noise.grid)
    assert found.penalty_mm2 == pytest.approx(noise.penalty_mm2, rel=1e-5)
    inside = region('ball')
    assert found.sd_of_mean(inside, whole(SHAPE)) == pytest.approx(
        noise.sd_of_mean(inside, whole(SHAPE)), rel=1e-5
    )
    with pytest.raises(AtlasError, match='imaging frequency'):
        FieldNoise.from_hz(hz, 0.0, noise.grid)


def test_nothing_is_said_where_no_noise_is_known():
    noise = make_noise()
    corner = np.zeros(SHAPE, bool)
    corner[0, 0, 0] = True
    assert math.isnan(noise.sd_of_mean(corner, whole(SHAPE)))
    assert math.isnan(noise.sd_of_mean(np.zeros(SHAPE, bool), whole(SHAPE)))
    silent = FieldNoise(np.zeros(SHAPE, np.float32), noise.grid)
    assert math.isnan(silent.sd_of_mean(region('ball'), whole(SHAPE)))
