"""CLEAR-SWI: susceptibility-weighted imaging from the unwrapped phase of several echoes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .echoes import check_echoes
from .grid import Grid
from .lowpass import gaussian
from .projection import ProjectionParameters, slice_axis_of
from .region import MaskedRegion


@dataclass(frozen=True, kw_only=True)
class ClearSwiParameters(ProjectionParameters):
    """Parameters of :func:`make_clear_swi`, the one place of their defaults."""

    # mm, width of the Gaussian that is taken off the phase within slices; other programs take
    # 4 voxels whatever their size, which is this at 1 mm
    sigma_mm: float = 4.0
    # a larger one darkens weaker phase; 4 as in MriResearchTools
    strength: float = 4.0
    # mm, width of the Gaussian that estimates the sensitivity of the coils; much wider than
    # nuclei, so that these keep their contrast, and narrower than the head
    sensitivity_mm: float = 25.0

    def __post_init__(self) -> None:
        super().__post_init__()
        widths = (self.sigma_mm, self.sensitivity_mm)
        if not (np.isfinite(widths).all() and min(widths) > 0):
            raise ValueError(
                f'The widths of the filters of CLEAR-SWI must be positive, got {widths} mm.\n'
                'They part structures from background.\n'
                'Use about 4 mm for the phase and 25 mm for the sensitivity.'
            )
        if not (np.isfinite(self.strength) and self.strength > 0):
            raise ValueError(
                f'The strength of CLEAR-SWI must be positive, got {self.strength}.\n'
                'Without it the phase has no influence.\n'
                'Use about 4.'
            )


def make_clear_swi(
    magnitude: np.ndarray,
    unwrapped: np.ndarray,
    echo_times_s: Sequence[float],
    mask: np.ndarray,
    grid: Grid,
    *,
    parameters: ClearSwiParameters = ClearSwiParameters(),
) -> np.ndarray:
    """Darken an even, combined magnitude by the high-passed phase of all echoes.

    The unwrapped phase of each echo loses its smooth part, and one frequency is fitted to
    what remains, with G the mean over a Gaussian within the slice and the mask:

        phi_e = theta_e - G theta_e
        phi = sum_e m_e^2 TE_e phi_e / sum_e m_e^2 TE_e^2.

    A smooth step makes the phase mask, scaled by the spread of the scan itself, so that
    neither field strength nor echo time has to be known:

        P = (1 + tanh(1 - phi / s)) / 2,    s = 10 / strength * median(phi where phi > 0).

    The magnitude is the mean of the echoes with weights TE, which keeps the contrast of the
    late ones, divided by its own smooth part to even out the sensitivity of the coils.

    Parameters
    ----------
    magnitude : (n_echo, nx, ny, nz) float
    unwrapped : (n_echo, nx, ny, nz) float, rad
        Unwrapped phase, paramagnetic sources positive, with or without phase offset.
    echo_times_s : (n_echo,) float, s
    mask : (nx, ny, nz) bool
        The brain; nothing outside it is looked at.
    grid : Grid
        Voxel size, and the direction of B0 for the default slice axis.
    parameters : ClearSwiParameters

    Returns
    -------
    (nx, ny, nz) float32
        About as bright on the average as the magnitude; zero outside the mask. Its projection
        is made by :func:`~qsmbids.qsm.projection.project_minimum` with the same parameters.

    Raises
    ------
    ValueError
        If shapes, echo times or mask do not fit together.

    Notes
    -----
    Unlike :func:`~qsmbids.qsm.swi.make_swi` the phase may exceed pi, and all echoes share one
    phase mask. Like there it depends on the angle of a vein to B0. A region that was
    unwrapped into another cycle than its neighbour gets a dark or bright edge.

    From [1]_ come the order of the steps and the phase mask. The weights of the echoes above
    are those of least noise, the sensitivity is a plain Gaussian mean, and its compression
    of bright magnitude is left out.

    Two transforms of the box around the mask per echo, two for the share of the mask and four
    for the sensitivity, whose wide margin sets the peak: about 20 bytes per voxel of the box
    padded by 3 sensitivity_mm.

    References
    ----------
    .. [1] Eckstein K et al. NeuroImage 2021;237:118175. doi:10.1016/j.neuroimage.2021.118175
    """
    unwrapped, magnitude, times, mask = check_echoes(unwrapped, magnitude, echo_times_s, mask)
    region = MaskedRegion.of(mask, grid)
    inside = region.mask
    smooth = gaussian(region.grid, parameters.sigma_mm, slice_axis_of(grid, parameters))
    share = smooth(inside.astype(np.float32))
    combined = np.zeros(inside.shape, np.float32)
    frequency, weights = np.zeros_like(combined), np.zeros_like(combined)
    for m, theta, time in zip(magnitude, unwrapped, times, strict=True):
        m, theta = region.cut(m, 'magnitude'), region.cut(theta, 'unwrapped phase')
        combined += np.float32(time / times.sum()) * m
        theta[inside] -= smooth(theta)[inside] / share[inside]
        weight = m**2 * np.float32(time)
        frequency += weight * theta
        weights += weight * np.float32(time)
    np.divide(frequency, weights, out=frequency, where=weights > 0)
    image = _evened_out(combined, inside, region.grid, parameters.sensitivity_mm)
    return region.paste(image * _phase_mask(frequency, inside, parameters.strength))


def _phase_mask(frequency: np.ndarray, inside: np.ndarray, strength: float) -> np.ndarray:
    """Return the smooth step, close to 1 for negative and to 0 for large positive values."""
    positive = frequency[inside & (frequency > 0)]
    if positive.size == 0:  # no phase at all: the step at zero
        return np.full(frequency.shape, (1 + np.tanh(1.0)) / 2, np.float32)
    scale = np.float32(10 / strength) * np.median(positive)
    return (1 + np.tanh(1 - frequency / scale)) / 2


def _evened_out(image: np.ndarray, inside: np.ndarray, grid: Grid, sigma_mm: float) -> np.ndarray:
    """Divide an image by its Gaussian mean over the mask, and keep its average brightness."""
    smooth = gaussian(grid, sigma_mm)
    mean, share = smooth(image), smooth(inside.astype(np.float32))
    lit = inside & (mean > 0)
    even = np.zeros_like(image)
    even[lit] = image[lit] / mean[lit] * share[lit] * image[inside].mean(dtype=float)
    return even
