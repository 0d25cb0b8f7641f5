"""NDI: nonlinear dipole inversion by accelerated gradient descent that stops early."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .fansi import phase_scale
from .fft import PaddedFFT
from .field_noise import field_noise
from .grid import Grid
from .kernels import dipole_kernel
from .region import LARGEST_WEIGHT, MaskedRegion, relative_weight
from .solvers import Progress
from .splitting import TINY

# the largest curvature of the misfit: W^2 of at most LARGEST_WEIGHT times D^2 of at most 4/9
STEP = 1 / (LARGEST_WEIGHT * 4 / 9)


@dataclass(frozen=True, kw_only=True)
class NdiParameters:
    """Parameters of nonlinear dipole inversion, the one place of their defaults."""

    # the descent ends when the mean size of the residual has come down to so many times that
    # of the noise of the field: it then explains what is known, and would go on with noise
    residual: float = 0.5
    # steps that end it at the latest. n accelerated steps regularise like n^2 / 4 plain ones
    iterations: int = 40
    # Tikhonov weight against half the squared misfit, 1e-5 as in the published code; keeps
    # the map where no field is known from drifting
    damping: float = 1e-5
    # s: the echo time at which the phase is compared, as in FANSI
    reference_te_s: float = 0.02

    def __post_init__(self) -> None:
        if min(self.residual, self.damping) < 0 or self.reference_te_s <= 0:
            raise ValueError(
                'NDI needs a residual and a damping of at least 0 and a positive echo time.\n'
                'It would climb instead of descend, or compare no phase.\n'
                f'Got {self}.'
            )
        if self.iterations < 1:
            raise ValueError(
                f'NDI needs at least one iteration, got {self.iterations}.\n'
                'Without one the map is zero.\n'
                'Use 20 to 100.'
            )


def invert_ndi(
    local_field_ppm: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    weight: np.ndarray | None = None,
    field_hz_per_ppm: float | None = None,
    parameters: NdiParameters = NdiParameters(),
    progress: Progress | None = None,
) -> np.ndarray:
    """Return the susceptibility after a few steps of descent on the misfit of the phase.

        misfit(chi) = 1/2 || W (e^(i s D * chi) - e^(i s field)) / s ||^2

        gradient    = D * [ W^2 sin(s (D * chi - field)) / s ] + damping chi

    with s = 2 pi TE hz_per_ppm (rad/ppm) at a reference echo time. There is no penalty of
    roughness: a step changes each frequency of chi in proportion to D^2, so the first steps
    find what is well determined, and noise and streaks near the cone D = 0 only come later.
    To stop early is to regularise.

    Parameters
    ----------
    local_field_ppm : (nx, ny, nz) float, ppm
        Field of the sources inside the brain; ignored outside the mask.
    mask : (nx, ny, nz) bool
        Where the field is known.
    grid : Grid
        Voxel size and direction of B0.
    weight : (nx, ny, nz) float, optional
        Confidence per voxel, at least 0 and in any unit: inverse noise or reliability. It
        takes the place of W^2, in units of its median and limited to twice that.
    field_hz_per_ppm : float, optional, Hz/ppm
        Imaging frequency in MHz; 127.73 (3 T) when not given.
    parameters : NdiParameters
        Stop, damping and echo time.
    progress : callable, optional
        Called with (fraction, text).

    Returns
    -------
    (nx, ny, nz) float32, ppm
        Susceptibility relative to an unknown constant; zero outside the mask.

    Raises
    ------
    ValueError
        If the mask is empty, shapes differ, the field or the weight is not finite inside the
        mask, the weight is negative or zero everywhere, or the frequency is not positive.

    Notes
    -----
    Nesterov's acceleration with the step 1 / (2 (2/3)^2), W^2 being at most 2. The unknown
    is kept in k-space, so a step takes 2 transforms of the box around the mask, padded by
    20 mm on either side, and four passes over memory. It stops when the mean of W | residual |
    is that of normal noise of the size that the field shows on the cone (``field_noise``),
    or after ``iterations``. About 40 bytes per padded voxel.

    References
    ----------
    .. [1] Polak D et al. NMR Biomed 2020;33:e4271. doi:10.1002/nbm.4271
    .. [2] Nesterov Y. Sov Math Dokl 1983;27:372.
    """
    from .compiled import over_slabs
    from .ndi_kernels import phase_residual, step_spectrum

    p = parameters
    scale = phase_scale(p.reference_te_s, field_hz_per_ppm)
    region = MaskedRegion.of(mask, grid)
    field = region.cut(local_field_ppm, 'local field')
    weight_squared = relative_weight(weight, region)
    total = max(float(weight_squared.sum(dtype=np.float64)), TINY)
    enough = p.residual * np.sqrt(2 / np.pi) * field_noise(field, region)
    fft = PaddedFFT(field.shape, grid.voxel_size)
    kernel = dipole_kernel(fft.padded_shape, grid.voxel_size, grid.b0_direction)
    current = np.zeros(kernel.shape, np.complex64)
    ahead = np.zeros_like(current)  # the point at which the gradient is taken
    field_of_map = np.zeros_like(field)
    residual = np.empty_like(field)
    momentum = 1.0
    for iteration in range(1, p.iterations + 1):
        arrays = (residual, field_of_map, field, weight_squared, scale)
        mean = sum(over_slabs(lambda a, b, x=arrays: phase_residual(a, b, *x), len(field))) / total
        if progress is not None:
            text = f'NDI iteration {iteration}, residual {1e3 * mean:.2f} ppb'
            progress(iteration / p.iterations, text)
        if mean <= enough:
            break
        gradient = fft.forward(residual)
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        factor = np.float32((momentum - 1) / following)
        momentum = following
        steps = (np.float32(STEP), np.float32(p.damping), factor)
        arrays = (current, ahead, gradient, kernel, *steps)
        over_slabs(lambda a, b, x=arrays: step_spectrum(a, b, *x), len(kernel))
        field_of_map = np.ascontiguousarray(fft.inverse(gradient))
    return region.paste(np.ascontiguousarray(fft.inverse(current)))
