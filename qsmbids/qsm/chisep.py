"""Chi-separation: paramagnetic (iron) and diamagnetic (myelin, calcium) sources apart.

Both kinds of source shift the mean frequency of a voxel, in opposite directions, and both
spread the frequencies in it, which shortens the signal by R2' = R2* - R2:

    chi = chi_positive + chi_negative,        chi_positive >= 0 >= chi_negative
    R2' = Dr (chi_positive - chi_negative)

Two equations for two unknowns per voxel. Dr, in 1/s per ppm, is proportional to B0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .fft import PaddedFFT, irfftn, rfftn
from .field_noise import field_noise
from .grid import Grid
from .kernels import dipole_kernel, laplacian_spectrum
from .phase import GAMMA_MHZ_PER_T
from .region import MaskedRegion, relative_weight
from .solvers import Progress
from .splitting import FIELD_PENALTY

TINY = 1e-30  # a map of zeros does not change either


@dataclass(frozen=True, kw_only=True)
class ChiSeparationParameters:
    """Parameters of chi-separation, the one place of their defaults."""

    # 1/(s ppm) at 3 T, for positive and negative sources alike: 137 as published (Shin 2021);
    # chi-sepnet uses 114 (doi:10.1002/hbm.70136). It scales with B0
    relaxivity_3t: float = 137.0
    # experimental: R2' as a part of R2* where no R2 is given. With T2 of 70 ms, R2' is about
    # a third of R2* in white matter and more than half in the globus pallidus; no one value
    # is right, and what does not come from sources (R2 of water) is counted as sources
    r2prime_share: float = 0.4
    # the rest is for the joint solution only. mm: weight of the total variation against half
    # the squared misfit of the field, as a multiple of the noise of the field, as for TV
    regularisation: float = 0.08
    # without unit: weight of half the square of what |chi| exceeds R2' / Dr by (ppm^2)
    # against half the squared misfit. About
    # half the mean of the squared dipole kernel: where the field determines chi it counts
    # more, near the cone R2' does
    coupling: float = 0.05
    # 1/(ppm/mm): penalty of the splittings as a multiple of the regularisation; changes the
    # path and not the solution
    penalty: float = 400.0
    # relative change of the map that ends the iteration, and iterations that end it at the
    # latest
    tolerance: float = 5e-3
    iterations: int = 60

    def __post_init__(self) -> None:
        if not 0 < self.relaxivity_3t < np.inf or not 0 < self.r2prime_share <= 1:
            raise ValueError(
                'Chi-separation needs a positive relaxivity and a share of R2* above 0 and at '
                'most 1.\nOtherwise R2* says nothing about susceptibility.\n'
                f'Got {self}.'
            )
        positive = (self.regularisation, self.coupling, self.penalty, self.tolerance)
        if min(positive) <= 0 or self.iterations < 1:
            raise ValueError(
                'Chi-separation needs a positive regularisation, coupling, penalty, tolerance '
                'and iterations.\nOtherwise nothing is minimised.\n'
                f'Got {self}.'
            )


def separate_chi(
    chi_ppm: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    field_hz_per_ppm: float,
    r2prime: np.ndarray | None = None,
    r2star: np.ndarray | None = None,
    parameters: ChiSeparationParameters = ChiSeparationParameters(),
) -> tuple[np.ndarray, np.ndarray]:
    """Return the positive and negative part of a finished susceptibility map, in closed form.

        chi_positive = max( (chi + R2'/Dr) / 2, 0 ),   chi_negative = min( (chi - R2'/Dr) / 2, 0 )

    which is the least-squares solution of both equations under the signs, if chi and R2'/Dr
    are trusted alike.

    Parameters
    ----------
    chi_ppm : (nx, ny, nz) float, ppm
        Susceptibility; its reference counts as free of sources, so the map should be
        referenced to CSF or to the whole brain.
    mask : (nx, ny, nz) bool
    grid : Grid
        Only its shape is used.
    field_hz_per_ppm : float, Hz/ppm
        Imaging frequency in MHz; tells B0, with which Dr scales.
    r2prime : (nx, ny, nz) float, 1/s, optional
        R2* - R2; negative values count as zero.
    r2star : (nx, ny, nz) float, 1/s, optional
        Experimental: without ``r2prime``, R2' = ``r2prime_share`` R2*.
    parameters : ChiSeparationParameters
        Relaxivity and share.

    Returns
    -------
    chi_positive, chi_negative : (nx, ny, nz) float32, ppm
        At least and at most 0; zero outside the mask.

    Raises
    ------
    ValueError
        If neither or both of the rates are given, the mask is empty, shapes differ, or
        values are not finite inside the mask.

    Notes
    -----
    No transform; four floats per voxel of the box around the mask.

    References
    ----------
    .. [1] Shin HG et al. NeuroImage 2021;240:118371. doi:10.1016/j.neuroimage.2021.118371

    Examples
    --------
    >>> chi, rate = np.full((1, 1, 1), 0.02), np.full((1, 1, 1), 13.7)
    >>> plus, minus = separate_chi(
    ...     chi, np.ones((1, 1, 1)), Grid((1, 1, 1)), field_hz_per_ppm=127.732434, r2prime=rate)
    >>> round(float(plus[0, 0, 0]), 3), round(float(minus[0, 0, 0]), 3)
    (0.06, -0.04)
    """
    region = MaskedRegion.of(mask, grid)
    chi = region.cut(chi_ppm, 'susceptibility')
    total = _source_strength(region, r2prime, r2star, field_hz_per_ppm, parameters)
    positive, negative = np.maximum(chi + total, 0) / 2, np.minimum(chi - total, 0) / 2
    return region.paste(positive), region.paste(negative)


def separate_chi_jointly(
    local_field_ppm: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    field_hz_per_ppm: float,
    r2prime: np.ndarray | None = None,
    r2star: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    parameters: ChiSeparationParameters = ChiSeparationParameters(),
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the positive and negative sources that explain the field and R2' together.

        argmin  1/2 || W (D * chi - field) ||^2 + regularisation || E chi ||_1
                + coupling / 2 || chi_positive - chi_negative - R2'/Dr ||^2
        with    chi = chi_positive + chi_negative,   chi_positive >= 0 >= chi_negative

    D is the dipole kernel, E the gradient, W zero outside the mask.

    Parameters
    ----------
    local_field_ppm : (nx, ny, nz) float, ppm
        Field of the sources inside the brain; ignored outside the mask.
    mask : (nx, ny, nz) bool
        Where the field is known.
    grid : Grid
        Voxel size and direction of B0.
    field_hz_per_ppm : float, Hz/ppm
        Imaging frequency in MHz; tells B0, with which Dr scales.
    r2prime : (nx, ny, nz) float, 1/s, optional
        R2* - R2; negative values count as zero.
    r2star : (nx, ny, nz) float, 1/s, optional
        Experimental: without ``r2prime``, R2' = ``r2prime_share`` R2*.
    weight : (nx, ny, nz) float, optional
        Confidence in the field per voxel, at least 0 and in any unit: inverse noise. Takes
        the place of W^2, in units of its median and limited to twice that.
    parameters : ChiSeparationParameters
        Relaxivity, regularisation and stop.
    progress : callable, optional
        Called with (fraction, text).

    Returns
    -------
    chi_positive, chi_negative : (nx, ny, nz) float32, ppm
        At least and at most 0; zero outside the mask. Their reference is absolute: a voxel
        without R2' has no sources.

    Raises
    ------
    ValueError
        If neither or both of the rates are given, the mask is empty, shapes differ, values
        are not finite inside the mask, or the weight is negative or zero everywhere.

    Notes
    -----
    The strength d = chi_positive - chi_negative enters one term only and must be at least
    |chi|. The best one is max(|chi|, R2'/Dr), so that what is left is an inversion for chi
    with the penalty coupling / 2 (|chi| - R2'/Dr)^2 where |chi| exceeds R2'/Dr: R2' bounds
    what the field may be explained with. That tames streaks, too, and sets the constant that
    a field alone leaves open.

    Solved by ADMM like :func:`~qsmbids.qsm.tv.invert_tv` with one more splitting. Stops when
    chi changes by less than ``tolerance`` per iteration.

    Cost per iteration: 4 transforms of the box around the mask, padded by 20 mm on either
    side; about 65 bytes per padded voxel. The published method regularises with edges of the
    magnitude instead of the total variation.

    References
    ----------
    .. [1] Shin HG et al. NeuroImage 2021;240:118371. doi:10.1016/j.neuroimage.2021.118371
    .. [2] Dimov AV et al. Tomography 2022;8:1544. doi:10.3390/tomography8030127 (R2* only)
    """
    from .rts_kernels import add_gradient, gradient_adjoint_of_split

    region = MaskedRegion.of(mask, grid)
    field = region.cut(local_field_ppm, 'local field')
    total = _source_strength(region, r2prime, r2star, field_hz_per_ppm, parameters)
    share = relative_weight(weight, region)
    share /= share + np.float32(FIELD_PENALTY)
    fft = PaddedFFT(field.shape, grid.voxel_size)
    shape, box = fft.padded_shape, tuple(slice(n) for n in field.shape)
    kernel = dipole_kernel(shape, grid.voxel_size, grid.b0_direction)
    regularisation = parameters.regularisation * field_noise(field, region)
    # penalties of the splittings z = E chi and a = chi against that of f = D chi
    ratio = np.float32(parameters.penalty * regularisation / FIELD_PENALTY)
    bound = ratio
    inverse = kernel**2
    inverse -= ratio * laplacian_spectrum(shape, grid.voxel_size)
    inverse += bound
    np.divide(1, inverse, out=inverse)
    coupling = parameters.coupling / FIELD_PENALTY
    cut = np.float32(coupling / (coupling + bound))

    inverse_voxel = (1 / np.asarray(grid.voxel_size)).astype(np.float32)
    limit = np.float32(1 / parameters.penalty)
    split = np.zeros((3, *shape), np.float32)
    dual, excess, pull = (np.zeros_like(field) for _ in range(3))
    buffer = np.zeros(shape, np.float32)
    chi = np.zeros(shape, np.float32)
    buffer[box] = 2 * share * field
    spectrum = rfftn(buffer)
    for iteration in range(1, parameters.iterations + 1):
        spectrum *= kernel
        gradient_adjoint_of_split(buffer, split, inverse_voxel, limit)
        buffer *= ratio
        buffer += bound * chi  # what is within the bound, and all outside the mask, stays
        buffer[box] += bound * pull
        spectrum += rfftn(buffer)
        spectrum *= inverse
        last, chi = chi, irfftn(spectrum, shape)
        size = float(np.linalg.norm(chi))
        change = float(np.linalg.norm(np.subtract(chi, last, out=last))) / max(size, TINY)
        if progress is not None:
            text = f'chi-separation iteration {iteration}, change {change:.1e}'
            progress(iteration / parameters.iterations, text)
        if change < parameters.tolerance:
            break
        add_gradient(chi, split, inverse_voxel, limit)
        spectrum *= kernel
        predicted = irfftn(spectrum, shape)
        inside = predicted[box]
        inside += dual
        np.multiply(share, inside - field, out=dual)
        inside -= 2 * dual
        spectrum = rfftn(predicted)

        # a = v - u with v = chi + u: the dual u is the part of the excess over R2' / Dr that
        # the coupling takes away, and a - u the next target of chi
        np.add(chi[box], excess, out=pull)
        np.copyto(pull, 0, where=~region.mask)
        last_excess = excess
        excess = cut * (pull - np.clip(pull, -total, total))
        np.subtract(last_excess, 2 * excess, out=pull)
    chi = chi[box]
    strength = np.maximum(np.abs(chi), total)
    return region.paste((chi + strength) / 2), region.paste((chi - strength) / 2)


def _source_strength(
    region: MaskedRegion,
    r2prime: np.ndarray | None,
    r2star: np.ndarray | None,
    field_hz_per_ppm: float,
    parameters: ChiSeparationParameters,
) -> np.ndarray:
    """Return R2' / Dr, the sum of the sources without their signs, in ppm."""
    if (r2prime is None) == (r2star is None):
        raise ValueError(
            "Chi-separation needs either R2' or, experimentally, R2*.\n"
            'Without a rate, or with two, the sources are not determined.\n'
            "Give R2' = R2* - R2 if there is a map of R2 or T2."
        )
    if not 0 < field_hz_per_ppm < np.inf:
        raise ValueError(
            f'The field in Hz per ppm must be positive, got {field_hz_per_ppm}.\n'
            'The relaxivity depends on the field strength.\n'
            'Give the imaging frequency in MHz, e.g. 127.7 at 3 T.'
        )
    if r2prime is not None:
        rate = region.cut(r2prime, "R2'")
    else:
        rate = region.cut(r2star, 'R2*') * np.float32(parameters.r2prime_share)
    relaxivity = parameters.relaxivity_3t * field_hz_per_ppm / (3 * GAMMA_MHZ_PER_T)
    return np.maximum(rate, 0) / np.float32(relaxivity)
