"""What the tests of the splitting inversions share: a small head, its field, and checks."""

from types import SimpleNamespace

import numpy as np
import pytest

from qsmbids.qsm.fft import PaddedFFT
from qsmbids.qsm.grid import Grid
from qsmbids.qsm.kernels import dipole_kernel

OBLIQUE = (0.5, 0.0, 0.8660254)  # 30 degrees
ODD = Grid((37, 35, 29), (1.5, 1.6, 2.1), OBLIQUE)
SMALL = Grid((32, 32, 32), (2.0, 2.0, 2.0), (0.36, 0.48, 0.8))


def axes_mm(grid):
    pairs = zip(grid.shape, grid.voxel_size, strict=True)
    return np.meshgrid(*((np.arange(n) - n // 2) * h for n, h in pairs), indexing='ij')


def ball(grid, centre, radius):
    """Partial volume by smoothing the edge over one voxel."""
    distance = np.sqrt(sum((a - c) ** 2 for a, c in zip(axes_mm(grid), centre, strict=True)))
    return np.clip((radius - distance) / grid.voxel_volume ** (1 / 3) + 0.5, 0, 1)


def head(grid):
    """Nuclei of -0.06 to 0.15 ppm in an ellipsoid; returns chi and the mask."""
    size = min(n * h for n, h in zip(grid.shape, grid.voxel_size, strict=True)) / 2
    chi = np.zeros(grid.shape, np.float32)
    for centre, radius, value in [
        ((0.3, 0.1, 0.0), 0.24, 0.10), ((-0.35, 0.1, 0.1), 0.22, 0.05),
        ((0.0, -0.4, -0.2), 0.20, 0.15), ((-0.1, 0.35, 0.35), 0.20, -0.06),
    ]:  # fmt: skip
        blob = ball(grid, [c * size for c in centre], radius * size)
        chi = np.where(blob > 0, blob * value, chi)
    return chi.astype(np.float32), ball(grid, (0, 0, 0), 0.85 * size) > 0.5


def forward(chi, grid):
    fft = PaddedFFT(grid.shape, grid.voxel_size, 60.0)
    kernel = dipole_kernel(fft.padded_shape, grid.voxel_size, grid.b0_direction)
    return fft.inverse(fft.forward(chi.astype(np.float32)) * kernel)


def noisy_head(grid, noise_ppm=0.002, seed=0):
    """Return chi, its mask and its noisy field."""
    chi, mask = head(grid)
    noise = noise_ppm * np.random.default_rng(seed).standard_normal(grid.shape)
    return chi, mask, forward(chi, grid) + noise.astype(np.float32)


def check_invariance(invert):
    """Flips with B0, permuted axes, NaN outside the mask and the type of the result."""
    _, mask, field = noisy_head(ODD)
    mask[:15, :12] = False
    chi = invert(field, mask, ODD)
    assert chi.dtype == np.float32
    assert not chi[~mask].any()
    assert np.array_equal(invert(np.where(mask, field, np.nan), mask, ODD), chi)
    order = (2, 0, 1)
    shape, voxel, b0 = (
        tuple(np.array(v)[list(order)]) for v in (ODD.shape, ODD.voxel_size, ODD.b0_direction)
    )
    turned_grid = Grid(shape, voxel, (-b0[0], b0[1], b0[2]))
    turned = invert(field.transpose(order)[::-1], mask.transpose(order)[::-1], turned_grid)
    difference = turned - chi.transpose(order)[::-1]
    assert np.linalg.norm(difference) < 0.02 * np.linalg.norm(chi)


def check_odd_input(invert):
    """One voxel, a flat field, a single slice, and input that must be refused."""
    grid = Grid((9, 8, 7))
    mask = np.zeros(grid.shape, bool)
    with pytest.raises(ValueError, match='mask is empty'):
        invert(np.zeros(grid.shape), mask, grid)
    mask[4, 4, 3] = True
    assert np.isfinite(invert(np.ones(grid.shape), mask, grid)).all()
    whole = np.ones(grid.shape, bool)
    assert not invert(np.zeros(grid.shape), whole, grid).any()
    for weight in (np.zeros(grid.shape), np.full(grid.shape, -1.0)):
        with pytest.raises(ValueError, match='weight'):
            invert(np.zeros(grid.shape), whole, grid, weight=weight)
    with pytest.raises(ValueError, match='not a number in 1 voxels'):
        invert(np.where(mask, np.nan, 0), whole, grid)
    slab = Grid((20, 21, 1), (1, 1, 4))
    field = np.random.default_rng(0).standard_normal(slab.shape)
    assert np.isfinite(invert(field, np.ones(slab.shape, bool), slab)).all()


def check_progress(invert):
    """The fraction rises to at most 1, with a text."""
    _, mask, field = noisy_head(Grid((20, 20, 20), (3.0, 3.0, 3.0)))
    calls = []
    grid = Grid((20, 20, 20), (3.0, 3.0, 3.0))
    invert(field, mask, grid, progress=lambda f, text: calls.append((f, text)))
    fractions = [f for f, _ in calls]
    assert fractions == sorted(fractions)
    assert 0 < fractions[-1] <= 1
    assert all(isinstance(text, str) for _, text in calls)


@pytest.fixture
def cases():
    """The helpers above, as tests are not importable from each other."""
    names = ('ODD', 'SMALL', 'ball', 'head', 'forward', 'noisy_head')
    checks = ('check_invariance', 'check_odd_input', 'check_progress')
    return SimpleNamespace(**{name: globals()[name] for name in (*names, *checks)})
