"""A field map from the complex signal of all echoes: Gauss-Newton steps in each voxel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .combine import noise_of_field, run_planes, unit_scale
from .echoes import check_echoes
from .noise import noise_of_magnitude, noise_of_residual


@dataclass(frozen=True, kw_only=True)
class NonlinearFieldParameters:
    """Parameters of :func:`fit_field_nonlinear`."""

    # Whether the phase at echo time 0 is fitted as well (Liu 2013). It takes what is left of
    # a phase offset out of the field, but costs noise: about twice that of the weighted mean
    # at typical echo times. False is for phase whose offset has been removed.
    fit_offset: bool = True
    # A voxel is done when a step changes the phase of its last echo by less than this, in
    # rad: far below the noise of any voxel.
    tolerance_rad: float = 1e-4
    # Most steps of a voxel; one whose fit has converged takes no more.
    max_iterations: int = 30

    def __post_init__(self) -> None:
        if not self.tolerance_rad > 0:
            raise ValueError(
                f'tolerance_rad is {self.tolerance_rad}.\n'
                'The steps in a voxel end when they are smaller than this.\n'
                'Give a positive number of radians, for example 1e-4.'
            )
        if self.max_iterations < 1:
            raise ValueError(
                f'max_iterations is {self.max_iterations}.\n'
                'Without a step there is no fit.\n'
                'Give 1 or more, for example 30.'
            )


def fit_field_nonlinear(
    unwrapped: np.ndarray,
    magnitude: np.ndarray,
    echo_times_s: Sequence[float],
    mask: np.ndarray,
    *,
    parameters: NonlinearFieldParameters = NonlinearFieldParameters(),
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit exp(i (p0 + 2 pi f TE)) to the complex signal of each voxel.

    Parameters
    ----------
    unwrapped : (n_echo, nx, ny, nz) float, rad
        Unwrapped phase; one or more echoes, or two or more if the offset is fitted. Only
        the start of the fit depends on the whole turns in it.
    magnitude : (n_echo, nx, ny, nz) float
    echo_times_s : (n_echo,) float, s
        Any spacing.
    mask : (nx, ny, nz) bool
    parameters : NonlinearFieldParameters

    Returns
    -------
    field_hz : (nx, ny, nz) float32, Hz
    noise_hz : (nx, ny, nz) float32, Hz
        Standard deviation of the field from the covariance of the fit; positive in the mask.
    reliability : (nx, ny, nz) float32, 0...1
        sum(m^2 cos(phase - fit)) / sum(m^2), not below 0, as
        :func:`~qsmbids.qsm.combine_echoes` gives it.

    All three are 0 outside the mask.

    Raises
    ------
    ValueError
        If shapes, mask or echo times are unusable, or there is a single echo to find both an
        offset and a field from.

    Notes
    -----
    The noise of a complex signal S_e is the same normal distribution in every echo, which
    the noise of a phase is not when there is little signal. The most likely p0 and f make

        sum_e | S_e - |S_e| exp(i (p0 + 2 pi f TE_e)) |^2

    smallest [1]_. With d_e = phase_e - p0 - 2 pi f TE_e and the rows a_e = (1, 2 pi TE_e), a
    Gauss-Newton step is

        (p0, f) += (A^T W A)^-1 A^T W sin(d),   W = diag(|S_e|^2).

    The matrix does not change from step to step. An echo that is a whole turn off pulls in
    no direction, and one that is half a turn off hardly: unlike a straight line through
    unwrapped phase, the fit does not mind unwrapping errors of single echoes if it starts
    close enough. It starts at the weighted mean field of
    :func:`~qsmbids.qsm.combine_echoes`. Where the steps end in a worse fit than the start
    (noise), the start is kept.

    SD(f) = sigma sqrt([(A^T W A)^-1]_ff), with sigma from the residual over the mask, for
    two echoes from the magnitude. It does not rise above that of a random phase,
    1/(2 sqrt(3) (TE_2 - TE_1)).

    Cost: one pass over the echoes for the start, one for the fit with n_echo sines for each
    step of a voxel. Peak memory 16 bytes per voxel and 9 per voxel of the mask.

    References
    ----------
    .. [1] Liu T et al. Magn Reson Med 2013;69:467. doi:10.1002/mrm.24272
    """
    from .field_kernels import complex_fit, weighted_fit

    unwrapped, magnitude, times, mask = check_echoes(unwrapped, magnitude, echo_times_s, mask)
    n_fitted = 2 if parameters.fit_offset else 1
    if len(times) < n_fitted:
        raise ValueError(
            'A single echo does not tell the field from the phase offset.\n'
            'The nonlinear fit looks for both.\n'
            'Use the weighted field map, or fit_offset=False if the offset was removed.'
        )
    scale = unit_scale(magnitude, mask)
    field, precision, reliability, left = (np.zeros(mask.shape, np.float32) for _ in range(4))
    echoes = (unwrapped, magnitude, times, mask, scale)
    run_planes(weighted_fit, *echoes, field, precision, reliability)
    run_planes(
        complex_fit,
        *echoes,
        parameters.fit_offset,
        parameters.max_iterations,
        parameters.tolerance_rad,
        field,
        precision,
        reliability,
        left,
    )
    seen = mask & (reliability > 0)
    if len(times) > n_fitted and seen.any():
        sigma = noise_of_residual(left[seen], len(times) - n_fitted)
    else:
        sigma = noise_of_magnitude(magnitude[0], seen) * scale
    spacing = times[1] - times[0] if parameters.fit_offset else times[0]
    largest = 1 / (2 * np.sqrt(3) * spacing)
    return field, noise_of_field(precision, sigma, largest, mask), reliability
