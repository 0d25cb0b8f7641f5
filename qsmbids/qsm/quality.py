"""Quality numbers: agreement with a truth, and what can be told without one.

Agreement follows the definitions of the public QSM-CI leaderboard, except that the truth is
masked before it is filtered for HFEN. All functions are pure and compute in double
precision; ``mask`` is where the score is taken.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .fft import PaddedFFT
from .grid import Grid
from .kernels import dipole_kernel, frequencies
from .region import MaskedRegion

XSIM_WINDOW = 5  # voxels
XSIM_C1, XSIM_C2 = 1e-4, 1e-6  # ppm^2, (K L)^2 with L = 1 ppm, K1 = 0.01, K2 = 0.001
HFEN_SIGMA, HFEN_TRUNCATE = 1.5, 5.0  # voxels; sigmas
RIM_VOXELS = 2.0  # width of the rim in voxels of the mean size
CONE_DIPOLE = 0.1  # |D| below it counts as the cone of zeros
STREAK_BAND = (0.2, 1.0)  # of the lowest Nyquist frequency; below, anatomy is not isotropic
STREAK_SHELLS = 8


def nrmse(reconstruction: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """Return the root-mean-square error relative to the truth, in percent, without offset.

    100 ||(r - mean r) - (t - mean t)|| / ||t - mean t|| over the mask.

    Parameters
    ----------
    reconstruction, truth : (nx, ny, nz) float
    mask : (nx, ny, nz) bool

    Returns
    -------
    float, %
        NaN for a constant truth.
    """
    r, t = _demeaned(reconstruction, truth, mask)
    return _percent(r - t, t)


def nrmse_detrended(reconstruction: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """Return :func:`nrmse` in percent after undoing the best linear scaling.

    With the least-squares line r = s t + i, the error of (r - i) / s. Dividing by s < 1
    amplifies noise, so an over-smoothed map scores worse than by :func:`nrmse`.
    """
    r, t = _demeaned(reconstruction, truth, mask)
    slope = float(r @ t) / float(t @ t) if t.any() else np.nan
    return _percent(r / slope - t, t) if slope else np.nan


def correlation(reconstruction: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """Return Pearson's correlation over the mask, NaN if one of the two is constant."""
    r, t = _demeaned(reconstruction, truth, mask)
    scale = float(np.linalg.norm(r) * np.linalg.norm(t))
    return float(r @ t) / scale if scale > 0 else np.nan


def xsim(reconstruction: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """Return the structural similarity with constants meant for susceptibility.

    Parameters
    ----------
    reconstruction, truth : (nx, ny, nz) float, ppm
        Zero outside the mask; the constants are in ppm^2.
    mask : (nx, ny, nz) bool

    Returns
    -------
    float
        Mean over the mask of (2 m_r m_t + c1)(2 cov + c2) / ((m_r^2 + m_t^2 + c1)(v_r + v_t
        + c2)) in windows of 5 x 5 x 5 voxels that are cut at the edge of the array.

    References
    ----------
    .. [1] Milovic C et al. Magn Reson Med 2025. doi:10.1002/mrm.30271
    """
    inside = _checked(mask, reconstruction, truth)
    r, t = (np.where(inside, x, 0).astype(np.float64) for x in (reconstruction, truth))
    share = _window_mean(np.ones_like(r))  # of the window that lies in the array

    def mean(x: np.ndarray) -> np.ndarray:
        return _window_mean(x) / share

    mean_r, mean_t = mean(r), mean(t)
    variances = mean(r * r) - mean_r**2 + mean(t * t) - mean_t**2
    covariance = mean(r * t) - mean_r * mean_t
    similarity = (2 * mean_r * mean_t + XSIM_C1) * (2 * covariance + XSIM_C2)
    similarity /= (mean_r**2 + mean_t**2 + XSIM_C1) * (variances + XSIM_C2)
    return float(similarity[inside].mean())


def hfen(reconstruction: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """Return the high-frequency error norm in percent.

    100 ||LoG r - LoG t|| / ||LoG t|| over the mask, with the Laplacian of a Gaussian of 1.5
    voxels. Both maps are set to zero outside the mask first, so that the edge of the mask
    does not decide the score.
    """
    inside = _checked(mask, reconstruction, truth)
    r, t = (
        ndimage.gaussian_laplace(
            np.where(inside, x, 0).astype(np.float64), HFEN_SIGMA, truncate=HFEN_TRUNCATE
        )[inside]
        for x in (reconstruction, truth)
    )
    return _percent(r - t, t)


def residual_wrap_fraction(unwrapped: np.ndarray, mask: np.ndarray) -> float:
    """Return the fraction of neighbouring voxels whose unwrapped phase differs by over pi.

    Parameters
    ----------
    unwrapped : (nx, ny, nz) float, rad
    mask : (nx, ny, nz) bool
        Pairs with both voxels inside count.

    Returns
    -------
    float
        0 for a smooth phase; NaN if no two voxels of the mask touch.
    """
    inside = _checked(mask, unwrapped)
    phase = np.where(inside, unwrapped, 0)
    n_pairs = n_jumps = 0
    for axis in range(3):
        a, b = np.moveaxis(phase, axis, 0)[:-1], np.moveaxis(phase, axis, 0)[1:]
        both = np.moveaxis(inside, axis, 0)[:-1] & np.moveaxis(inside, axis, 0)[1:]
        n_pairs += int(both.sum())
        n_jumps += int((both & (np.abs(b - a) > np.pi)).sum())
    return n_jumps / n_pairs if n_pairs else np.nan


def rim_sd(values: np.ndarray, mask: np.ndarray, grid: Grid) -> float:
    """Return the standard deviation in the rim, the outer two voxels of the mask.

    Background removal leaves its errors there.
    """
    rim, _ = _rim_and_core(values, mask, grid)
    return float(rim.std()) if rim.size else np.nan


def rim_sd_ratio(values: np.ndarray, mask: np.ndarray, grid: Grid) -> float:
    """Return the standard deviation in the rim relative to that in the core of the mask.

    Parameters
    ----------
    values : (nx, ny, nz) float
        Local field or susceptibility.
    mask : (nx, ny, nz) bool
    grid : Grid
        Voxel size.

    Returns
    -------
    float
        About 1 where nothing is wrong; NaN if the mask has no core or it is constant.
    """
    rim, core = _rim_and_core(values, mask, grid)
    sd = float(core.std()) if core.size else 0.0
    return float(rim.std()) / sd if sd > 0 and rim.size else np.nan


def field_snr(field: np.ndarray, noise: np.ndarray, mask: np.ndarray) -> float:
    """Return the spread of the local field relative to its noise.

    Parameters
    ----------
    field : (nx, ny, nz) float
        Local field.
    noise : (nx, ny, nz) float
        Standard deviation of the field per voxel, in the same unit.
    mask : (nx, ny, nz) bool

    Returns
    -------
    float
        Standard deviation of the field over the median noise; NaN if that is zero.
    """
    inside = _checked(mask, field, noise)
    level = float(np.median(noise[inside]))
    return float(field[inside].std(dtype=np.float64)) / level if level > 0 else np.nan


def streak_score(chi: np.ndarray, mask: np.ndarray, grid: Grid) -> float:
    """Return how much power sits in the cone of zeros of the dipole kernel.

    Noise that the inversion amplifies appears as streaks, which in k-space lie where the
    kernel vanishes, at 54.7 degrees from B0. The score compares the power there with the
    power elsewhere, in shells of equal |k| so that the decay of the spectrum does not
    matter.

    Parameters
    ----------
    chi : (nx, ny, nz) float, ppm
    mask : (nx, ny, nz) bool
    grid : Grid
        Voxel size and direction of B0.

    Returns
    -------
    float
        Geometric mean over shells of mean power in the cone (|D| < 0.1) / mean power outside.
        1 for an isotropic map, above with streaks, below where the cone was left empty; NaN
        for a constant map.
    """
    region = MaskedRegion.of(mask, grid)
    values = region.cut(chi, 'susceptibility map')
    values[region.mask] -= values[region.mask].mean(dtype=np.float64)
    fft = PaddedFFT(values.shape, grid.voxel_size)
    power = np.abs(fft.forward(values)) ** 2
    kernel = dipole_kernel(fft.padded_shape, grid.voxel_size, grid.b0_direction)
    cone = np.abs(kernel) < CONE_DIPOLE
    distance = np.sqrt(sum(k**2 for k in frequencies(fft.padded_shape, grid.voxel_size)))
    edges = np.linspace(*STREAK_BAND, STREAK_SHELLS + 1) * 0.5 / max(grid.voxel_size)
    shell = np.digitize(distance, edges)
    ratios = []
    for i in range(1, STREAK_SHELLS + 1):
        inside, outside = power[(shell == i) & cone], power[(shell == i) & ~cone]
        if inside.size and outside.size and outside.any():
            ratios.append(inside.mean(dtype=np.float64) / outside.mean(dtype=np.float64))
    return float(np.exp(np.mean(np.log(ratios)))) if ratios and min(ratios) > 0 else np.nan


def _checked(mask: np.ndarray, *images: np.ndarray) -> np.ndarray:
    """Return the mask as bool if it fits the images and is not empty."""
    inside = np.asarray(mask, dtype=bool)
    shapes = {np.shape(image) for image in images}
    if shapes != {inside.shape}:
        raise ValueError(
            f'Images of the shapes {sorted(shapes)} do not fit a mask of {inside.shape}.\n'
            'Voxels would be mixed up.\n'
            'Give images of one grid.'
        )
    if not inside.any():
        raise ValueError(
            'The mask is empty.\n'
            'There is no voxel to take a score from.\n'
            'Check that the reconstruction and the mask belong together.'
        )
    return inside


def _demeaned(
    reconstruction: np.ndarray, truth: np.ndarray, mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    inside = _checked(mask, reconstruction, truth)
    r, t = (np.asarray(x)[inside].astype(np.float64) for x in (reconstruction, truth))
    return r - r.mean(), t - t.mean()


def _percent(error: np.ndarray, truth: np.ndarray) -> float:
    size = float(np.linalg.norm(truth))
    return 100 * float(np.linalg.norm(error)) / size if size > 0 else np.nan


def _window_mean(x: np.ndarray) -> np.ndarray:
    return ndimage.uniform_filter(x, XSIM_WINDOW, mode='constant')


def _rim_and_core(
    values: np.ndarray, mask: np.ndarray, grid: Grid
) -> tuple[np.ndarray, np.ndarray]:
    region = MaskedRegion.of(mask, grid)
    cropped = region.cut(values, 'map').astype(np.float64)
    depth = region.depth_mm()
    deep = depth > (RIM_VOXELS + 0.5) * grid.voxel_volume ** (1 / 3)
    return cropped[region.mask & ~deep], cropped[deep]
