"""TV: dipole inversion by total variation with the field fitted inside the mask only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .fft import PaddedFFT, irfftn, rfftn
from .grid import Grid
from .kernels import dipole_kernel, laplacian_spectrum
from .region import MaskedRegion, relative_weight
from .solvers import Progress

TINY = 1e-30  # a map of zeros does not change either


@dataclass(frozen=True, kw_only=True)
class TvParameters:
    """Parameters of total-variation inversion, the one place of their defaults."""

    # mm: weight of the total variation (ppm/mm) against half the squared misfit of the field
    # (ppm^2). 3e-4 was best in vivo (2016 challenge data), ten times what was best in
    # noise-free simulations (3e-5)
    regularisation: float = 3e-4
    # penalty of the splitting of the gradient as a multiple of the regularisation, 1/ppm;
    # changes the path and not the solution
    penalty: float = 100.0
    # relative change of the map that ends the iteration, and iterations that end it at the
    # latest
    tolerance: float = 1e-2
    iterations: int = 40

    def __post_init__(self) -> None:
        if min(self.regularisation, self.penalty, self.tolerance) <= 0 or self.iterations < 1:
            raise ValueError(
                'TV needs a positive regularisation, penalty, tolerance and iterations.\n'
                'Otherwise nothing is minimised.\n'
                f'Got {self}.'
            )


def invert_tv(
    local_field_ppm: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    weight: np.ndarray | None = None,
    parameters: TvParameters = TvParameters(),
    progress: Progress | None = None,
) -> np.ndarray:
    """Return the map of least total variation that explains the field inside the mask.

        chi = argmin 1/2 || W (D * chi - field) ||^2 + regularisation || E chi ||_1

    with D the dipole kernel, E the gradient, and W zero outside the mask: the field there is
    unknown, not zero, and sources may lie in the rim that background removal has lost.

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
    parameters : TvParameters
        Regularisation and stop.
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
        mask, or the weight is negative or zero everywhere.

    Notes
    -----
    ADMM with the splittings z = E chi and f = D * chi, whose duals are u and s. One
    iteration is

        chi = [ p E^T (z - u) + D * (f - s) ] / [ p |E|^2 + D^2 ]      in k-space
        z, u from E chi by soft thresholding (see ``rts_kernels``)
        f = (W^2 field + D * chi + s) / (W^2 + 1),   s = D * chi + s - f,

    with p = penalty * regularisation. Cost: 4 transforms of the box around the mask, padded
    by 20 mm on either side, per iteration, at most 40 iterations; about 55 bytes per padded
    voxel. Not linear: a field of twice the size is smoothed half as much.

    References
    ----------
    .. [1] Bilgic B et al. Magn Reson Med 2014;72:1444. doi:10.1002/mrm.25029
    .. [2] Milovic C et al. Magn Reson Med 2018;80:814. doi:10.1002/mrm.27073 (splitting)
    """
    from .rts_kernels import add_gradient, gradient_adjoint_of_split

    region = MaskedRegion.of(mask, grid)
    field = region.cut(local_field_ppm, 'local field')
    share = relative_weight(weight, region)
    share /= share + 1  # of the misfit that the dual variable takes over
    fft = PaddedFFT(field.shape, grid.voxel_size)
    shape, box = fft.padded_shape, tuple(slice(n) for n in field.shape)
    kernel = dipole_kernel(shape, grid.voxel_size, grid.b0_direction)
    penalty = np.float32(parameters.penalty * parameters.regularisation)
    inverse = kernel**2
    inverse -= penalty * laplacian_spectrum(shape, grid.voxel_size)
    inverse[0, 0, 0] = 1  # the mean is not determined; D makes it zero
    np.divide(1, inverse, out=inverse)

    inverse_voxel = (1 / np.asarray(grid.voxel_size)).astype(np.float32)
    limit = np.float32(1 / parameters.penalty)
    split = np.zeros((3, *shape), np.float32)
    dual = np.zeros_like(field)
    buffer = np.zeros(shape, np.float32)
    chi = np.zeros(shape, np.float32)
    buffer[box] = 2 * share * field  # f - s of the first iteration
    spectrum = rfftn(buffer)
    for iteration in range(1, parameters.iterations + 1):
        spectrum *= kernel
        gradient_adjoint_of_split(buffer, split, inverse_voxel, limit)
        sparse = rfftn(buffer)
        sparse *= penalty
        spectrum += sparse
        spectrum *= inverse
        last, chi = chi, irfftn(spectrum, shape)
        size = float(np.linalg.norm(chi))
        change = float(np.linalg.norm(np.subtract(chi, last, out=last))) / max(size, TINY)
        if progress is not None:
            text = f'TV iteration {iteration}, change {change:.1e}'
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
    return region.paste(chi[box])
