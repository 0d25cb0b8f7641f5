"""R2* and S0 from the squared magnitude, with the noise floor as part of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .decay import best_amplitude, check_decay, check_largest_r2star, unit_scale
from .loglinear import log_slope
from .noise import noise_of_magnitude

# Without noise the weights of the squares have no scale; this part of the largest signal,
# far below any scanner's noise, then stands for it.
SMALLEST_NOISE = 1e-4


@dataclass(frozen=True, kw_only=True)
class NonlinearR2starParameters:
    """Parameters of :func:`fit_r2star_nonlinear`."""

    # Standard deviation of the noise of the real (and imaginary) part, in the unit of the
    # magnitude. None estimates it from the images.
    noise_sd: float | None = None
    # Number of coils of a root-sum-of-squares image: each adds its noise to the floor. 1 for
    # all images that were combined with their phase.
    n_coil: int = 1
    # Largest R2* that is reported, 1/s; see ArloParameters.
    largest_r2star: float = 500.0
    # A voxel is done when a step changes its signal by less than this part of S0: a tenth of
    # the noise of good images.
    tolerance: float = 1e-4
    # Most steps of a voxel; one whose fit has converged takes no more.
    max_iterations: int = 30

    def __post_init__(self) -> None:
        check_largest_r2star(self.largest_r2star)
        if self.noise_sd is not None and not self.noise_sd > 0:
            raise ValueError(
                f'noise_sd is {self.noise_sd}.\n'
                'It is the noise floor that is taken off the magnitude.\n'
                'Give a positive number in the unit of the magnitude, or none to estimate it.'
            )
        if self.n_coil < 1 or self.max_iterations < 1 or not self.tolerance > 0:
            raise ValueError(
                f'n_coil is {self.n_coil}, max_iterations {self.max_iterations} and tolerance '
                f'{self.tolerance}.\n'
                'There is no fit without a coil, an iteration and an end.\n'
                'Give 1 or more for the first two and a positive tolerance.'
            )


def fit_r2star_nonlinear(
    magnitude: np.ndarray,
    echo_times_s: Sequence[float],
    mask: np.ndarray,
    *,
    parameters: NonlinearR2starParameters = NonlinearR2starParameters(),
) -> tuple[np.ndarray, np.ndarray]:
    """Fit magnitude^2 = S0^2 exp(-2 R2* TE) + noise floor in every voxel.

    Parameters
    ----------
    magnitude : (n_echo, nx, ny, nz) float
        Two or more echoes.
    echo_times_s : (n_echo,) float, s
        Any spacing.
    mask : (nx, ny, nz) bool
    parameters : NonlinearR2starParameters

    Returns
    -------
    r2star : (nx, ny, nz) float32, 1/s
        Between 0 and ``parameters.largest_r2star``; 0 outside the mask, where values are
        not finite and where there is no signal. Values on the limits are not measurements.
    s0 : (nx, ny, nz) float32, unit of the magnitude
        Signal at echo time zero.

    Raises
    ------
    ValueError
        If there is a single echo, or shapes or echo times do not fit.

    Notes
    -----
    The magnitude of a signal S with noise sigma in real and imaginary part is larger than S
    on average, the more so the less signal there is; after a fast decay it levels off. Its
    square has a mean and a variance that are exact at any signal-to-noise ratio [1]_:

        E[m^2] = S^2 + 2 L sigma^2,   Var[m^2] = 4 sigma^2 (S^2 + L sigma^2),

    for the root sum of squares of L coils (``n_coil``). The fit looks for S0 and R2* with

        sum_e (m_e^2 - S_e^2 - 2 L sigma^2) / Var_e * d(S_e^2)/d(S0, R2*) = 0,

    which needs no more than this mean and variance (quasi-likelihood [2]_). It takes damped
    Gauss-Newton steps (Levenberg-Marquardt), each with the weights 1/Var of the curve at
    hand, and starts at the weighted straight line of
    :func:`~qsmbids.qsm.fit_r2star_loglinear`.

    Unless it is given, sigma is the smallest value that
    :func:`~qsmbids.qsm.noise.noise_of_magnitude` finds in an echo: anatomy makes it larger in
    some. If it comes out too small all the same (interpolated images, echoes without signal),
    the floor is corrected too little, and the result lies between the right one and that of
    the other methods.

    Cost: n_echo exponentials for each step and each trial of a step. Peak memory
    4 n_echo + 32 bytes per voxel of the mask besides input and result.

    References
    ----------
    .. [1] Gudbjartsson H, Patz S. Magn Reson Med 1995;34:910. doi:10.1002/mrm.1910340618
    .. [2] Wedderburn RWM. Biometrika 1974;61:439. doi:10.1093/biomet/61.3.439

    Examples
    --------
    >>> times = np.array([0.005, 0.010, 0.025])
    >>> decay = 100 * np.exp(-30 * times).reshape(3, 1, 1, 1)
    >>> r2star, s0 = fit_r2star_nonlinear(decay, times, np.ones((1, 1, 1), bool))
    >>> round(float(r2star[0, 0, 0]), 1), round(float(s0[0, 0, 0]))
    (30.0, 100)
    """
    from .compiled import over_slabs
    from .decay_kernels import decay_fit

    signal, times, mask = check_decay(magnitude, echo_times_s, mask)
    scale = unit_scale(signal)
    noise = parameters.noise_sd
    if noise is None:
        noise = _noise(magnitude, mask)
    variance = max(float(noise * scale), SMALLEST_NOISE) ** 2

    rate = np.clip(log_slope(signal, times), 0, parameters.largest_r2star)
    amplitude = best_amplitude(signal, times, rate)

    def loop(start: int, stop: int) -> int:
        return decay_fit(
            signal, times, scale, variance, parameters.n_coil, parameters.largest_r2star,
            parameters.max_iterations, parameters.tolerance, rate, amplitude, start, stop,
        )  # fmt: skip

    over_slabs(loop, signal.shape[1])
    r2star, s0 = (np.zeros(mask.shape, np.float32) for _ in range(2))
    r2star[mask] = rate
    s0[mask] = amplitude
    return r2star, s0


def _noise(magnitude: np.ndarray, mask: np.ndarray) -> float:
    """Estimate sigma in the unit of the magnitude; 0 for a mask without a whole block."""
    return min(noise_of_magnitude(np.where(mask, echo, 0), mask) for echo in magnitude)
