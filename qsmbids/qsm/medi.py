"""MEDI: dipole inversion that lets the map jump where the magnitude does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .edges import find_edges
from .fft import PaddedFFT, irfftn, rfftn
from .grid import Grid
from .kernels import (
    dipole_kernel,
    kernel_reach,
    kernel_spectrum,
    laplacian_spectrum,
    sphere_kernel,
)
from .misfit import misfit_level
from .region import MaskedRegion, relative_weight
from .solvers import Progress
from .spectral_cg import solve_spectrum

FIELD_3T_HZ_PER_PPM = 127.73  # if the caller does not tell: only the bound on outliers needs it
TINY = 1e-30  # a map of zeros does not change either


@dataclass(frozen=True, kw_only=True)
class MediParameters:
    """Parameters of MEDI, the one place of their defaults."""

    # mm: weight of the gradients against half the squared misfit, as a multiple of the noise
    # that is found in the field. A fixed weight fails: published ones that were best in vivo
    # are 33 times those that were best in noise-free simulation. Chosen on a head phantom,
    # where the best weight grew in proportion to the noise over a tenfold range
    regularisation: float = 0.25
    # fraction of the pairs of neighbours inside the mask that count as edges of the
    # magnitude and are not smoothed; 30 % per direction, as published
    edge_share: float = 0.3
    # ppm/mm: below it the absolute value of a gradient is rounded off; published (square
    # root of 1e-6)
    rounding: float = 1e-3
    # s: echo time at which the field is turned into a phase. Voxels that misfit by more than
    # a quarter of a turn (0.2 ppm at 3 T and 10 ms) pull no harder any more
    reference_te_s: float = 0.01
    # mm: radius of a sphere whose mean is taken off field and model (SMV), against background
    # that was left over; the field of a rim of that width is not used. 0: none
    smv_radius_mm: float = 0.0
    # multiple of the noise: voxels with a larger misfit are weighted down (MERIT). 6 as
    # published; 0: none, because bleeds and calcifications misfit most at first and, once
    # weighted down, are not fitted any more (a head phantom lost them)
    outlier_level: float = 0.0
    # relative change of the map that ends the outer (Gauss-Newton) iteration, as published,
    # and outer iterations that end it at the latest
    tolerance: float = 0.1
    iterations: int = 10
    # reduction of the residual that ends an inner iteration (conjugate gradients), and inner
    # iterations that end it at the latest
    inner_tolerance: float = 0.1
    inner_iterations: int = 20

    def __post_init__(self) -> None:
        positive = (
            self.regularisation, self.rounding, self.reference_te_s,
            self.tolerance, self.inner_tolerance,
        )  # fmt: skip
        if min(positive) <= 0:
            raise ValueError(
                'MEDI needs a positive regularisation, rounding, reference_te_s and tolerances.\n'
                'Otherwise nothing is minimised, or the iteration never ends.\n'
                f'Got {self}.'
            )
        if not 0 <= self.edge_share < 1:
            raise ValueError(
                f'The share of edges of MEDI must be at least 0 and below 1, got '
                f'{self.edge_share}.\nWere all pairs edges, nothing would be smoothed.\n'
                'Use about 0.3.'
            )
        if min(self.smv_radius_mm, self.outlier_level) < 0:
            raise ValueError(
                'The SMV radius and the outlier level of MEDI must be at least 0.\n'
                'A radius is a length, and a level a multiple of the noise.\n'
                f'Got {self.smv_radius_mm} and {self.outlier_level}; 0 turns either off.'
            )
        if min(self.iterations, self.inner_iterations) < 1:
            raise ValueError(
                'MEDI needs at least one outer and one inner iteration.\n'
                'Without one the map is zero.\n'
                f'Got {self.iterations} and {self.inner_iterations}.'
            )


def invert_medi(
    local_field_ppm: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    weight: np.ndarray | None = None,
    magnitude: np.ndarray | None = None,
    field_hz_per_ppm: float | None = None,
    parameters: MediParameters = MediParameters(),
    progress: Progress | None = None,
) -> np.ndarray:
    """Return the susceptibility whose edges are those of the magnitude.

    Morphology-enabled dipole inversion looks for the map chi with

        minimum of  || W (exp(i s D * chi) - exp(i s field)) ||^2 / (2 s^2)
                    + regularisation noise || M E chi ||_1

    D is the unit dipole, s (rad/ppm) turns a field into the phase at a reference echo time,
    E is the gradient, and M is 0 for pairs of voxels between which the magnitude jumps and 1
    elsewhere. Many maps explain the field, as D vanishes on a cone in k-space; the second
    term picks the one with the fewest edges that the anatomy does not have.

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
    magnitude : (nx, ny, nz) float, optional
        Root sum of squares over the echoes, in any unit. Without it M = 1 everywhere.
    field_hz_per_ppm : float, optional
        Hz per ppm of the scanner; 3 T if not given.
    parameters : MediParameters
        Regularisation, edges and stops.
    progress : callable, optional
        Called with (fraction, text).

    Returns
    -------
    (nx, ny, nz) float32, ppm
        Susceptibility relative to an unknown constant; zero outside the mask.

    Raises
    ------
    ValueError
        If the mask is empty, shapes differ, the field, weight or magnitude is not finite
        inside the mask, the weight is negative or zero everywhere, or no voxel is left by SMV.

    Notes
    -----
    Each outer (Gauss-Newton) iteration starts from the last map, with r = D * chi - field:

    1. noise = robust standard deviation of r; voxels beyond ``outlier_level`` times it get
       W^2 divided by the fourth power of the excess (MERIT),
    2. P = M / sqrt((E chi)^2 + rounding^2),
    3. solve [D W^2 D + regularisation noise E^T P E] d = -gradient by conjugate gradients,
       from d = 0, and add d to chi.

    The first iterations see a large misfit and smooth much, later ones less. The unknown of
    the conjugate gradients is the spectrum of d, so 1 / (D^2 + mean(P) |E|^2) can be their
    preconditioner at no cost. The outer iteration stops when d is smaller than ``tolerance``
    times the map.

    Cost per inner iteration: 4 transforms of the box around the mask, padded by 20 mm on
    either side, and 8 passes over memory; about 5 outer with 25 inner iterations in all.
    Memory about 85 bytes per padded voxel.

    References
    ----------
    .. [1] Liu J et al. NeuroImage 2012;59:2560. doi:10.1016/j.neuroimage.2011.08.082
    .. [2] Liu T et al. Magn Reson Med 2013;69:467. doi:10.1002/mrm.24272 (nonlinear, MERIT)
    """
    return invert_with_even_region(
        local_field_ppm, mask, grid, None, 0.0,
        weight=weight, magnitude=magnitude, field_hz_per_ppm=field_hz_per_ppm,
        parameters=parameters, progress=progress,
    )  # fmt: skip


def invert_with_even_region(
    local_field_ppm: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    even: np.ndarray | None,
    strength: float,
    *,
    weight: np.ndarray | None,
    magnitude: np.ndarray | None,
    field_hz_per_ppm: float | None,
    parameters: MediParameters,
    progress: Progress | None,
) -> np.ndarray:
    """Run MEDI with strength / 2 || chi - mean(chi) ||^2 over a region (none: plain MEDI).

    See :func:`invert_medi` and :func:`~qsmbids.qsm.medi0.invert_medi0`.
    """
    p = parameters
    region = MaskedRegion.of(mask, grid)
    field = region.cut(local_field_ppm, 'local field')
    weight_squared = relative_weight(weight, region)
    if magnitude is None:
        edges = np.zeros((3, *field.shape), bool)
    else:
        edges = find_edges(
            region.cut(magnitude, 'magnitude'), region.mask, grid.voxel_size, p.edge_share
        )
    fft = PaddedFFT(field.shape, grid.voxel_size)
    kernel = dipole_kernel(fft.padded_shape, grid.voxel_size, grid.b0_direction)
    if p.smv_radius_mm > 0:
        field, weight_squared = _take_off_sphere(field, weight_squared, kernel, region, fft, p)
    radians = 2 * np.pi * (field_hz_per_ppm or FIELD_3T_HZ_PER_PPM) * p.reference_te_s
    problem = _Problem(field, weight_squared, kernel, fft, grid, edges, radians, p)
    if even is not None:
        problem.hold_even(even[region.box], strength)
    chi = problem.solve(progress)
    return region.paste(chi[tuple(slice(n) for n in field.shape)])


def _take_off_sphere(
    field: np.ndarray,
    weight_squared: np.ndarray,
    kernel: np.ndarray,
    region: MaskedRegion,
    fft: PaddedFFT,
    p: MediParameters,
) -> tuple[np.ndarray, np.ndarray]:
    """Return field - S * field and the weight where the sphere fits; multiply the kernel alike.

    What is left of a harmonic field, e.g. of background, is zero.
    """
    voxel_size = region.grid.voxel_size
    sphere = sphere_kernel(max(p.smv_radius_mm, *voxel_size), voxel_size)
    inner = region.depth_mm() > kernel_reach(sphere, voxel_size)
    if not (weight_squared * inner).any():
        raise ValueError(
            f'No voxel of the mask holds the sphere of {p.smv_radius_mm:g} mm of MEDI.\n'
            'No field would be left.\n'
            'Check the mask, use a smaller smv_radius_mm, or 0 for none.'
        )
    remaining = 1 - kernel_spectrum(sphere, fft.padded_shape)
    kernel *= remaining
    return fft.inverse(fft.forward(field) * remaining), weight_squared * inner


class _Problem:
    """One inversion: its data, its buffers and the Gauss-Newton iteration."""

    def __init__(
        self,
        field: np.ndarray,
        weight_squared: np.ndarray,
        kernel: np.ndarray,
        fft: PaddedFFT,
        grid: Grid,
        edges: np.ndarray,
        radians: float,
        p: MediParameters,
    ) -> None:
        self.field, self.trusted, self.kernel, self.fft = field, weight_squared, kernel, fft
        self.edges, self.p = edges, p
        self.radians = np.float32(radians)
        self.inverse_voxel = (1 / np.asarray(grid.voxel_size)).astype(np.float32)
        self.laplacian = laplacian_spectrum(fft.padded_shape, grid.voxel_size)
        self.pairs = np.empty((3, *fft.padded_shape), np.float32)
        self.image = np.empty(fft.padded_shape, np.float32)
        self.spectrum = np.empty(kernel.shape, np.complex64)
        self.weight_squared = weight_squared
        self.even = None
        self.even_strength = np.float32(0)

    def hold_even(self, region: np.ndarray, strength: float) -> None:
        """Add strength / 2 || chi - mean(chi) ||^2 over a region of the box."""
        self.even = np.nonzero(region)
        self.even_strength = np.float32(strength)

    def solve(self, progress: Progress | None) -> np.ndarray:
        """Return the padded map."""
        p, shape = self.p, self.fft.padded_shape
        solution = np.zeros(self.kernel.shape, np.complex64)
        chi = np.zeros(shape, np.float32)
        for iteration in range(1, p.iterations + 1):
            residual = self.fft.inverse(self._times_kernel(solution))
            residual -= self.field
            strength = self._set_weights(residual, chi)
            np.multiply(residual, self.radians, out=residual)
            np.sin(residual, out=residual)
            residual *= self.weight_squared
            residual /= self.radians
            slope = self._add_smoothness(self.fft.forward(residual), chi)
            np.negative(slope, out=slope)
            step, inner = solve_spectrum(
                self._curvature,
                slope,
                self._preconditioner(),
                shape[2],
                tolerance=p.inner_tolerance,
                max_iterations=p.inner_iterations,
            )
            solution += step
            last, chi = chi, irfftn(solution, shape)
            size = float(np.linalg.norm(chi))
            change = float(np.linalg.norm(np.subtract(chi, last, out=last))) / max(size, TINY)
            if progress is not None:
                text = (
                    f'MEDI iteration {iteration} of {inner} steps, regularisation '
                    f'{strength:.1e} ppm mm, change {change:.1e}'
                )
                progress(iteration / p.iterations, text)
            if change < p.tolerance:
                break
        return chi

    def _set_weights(self, residual: np.ndarray, chi: np.ndarray) -> float:
        """Set W^2 and P for this iteration; return the weight of the gradients."""
        from .medi_kernels import pair_weights

        p = self.p
        noise = misfit_level(residual, self.trusted)
        if p.outlier_level > 0 and chi.any():  # before the first map all is misfit
            excess = np.abs(residual) * np.sqrt(self.trusted)
            excess /= np.float32(p.outlier_level * noise)
            np.maximum(excess, 1, out=excess)
            self.weight_squared = self.trusted / excess**4
        strength = p.regularisation * noise
        pair_weights(chi, self.edges, self.pairs, self.inverse_voxel, strength, p.rounding)
        return strength

    def _preconditioner(self) -> np.ndarray:
        mean = [self.pairs[a].mean() / self.inverse_voxel[a] ** 2 for a in range(3)]
        inverse = np.square(self.kernel)
        inverse -= np.float32(np.mean(mean)) * self.laplacian
        inverse[0, 0, 0] = 1  # the mean is not determined; it stays zero
        np.reciprocal(inverse, out=inverse)
        inverse[0, 0, 0] = 0
        return inverse

    def _curvature(self, spectrum: np.ndarray) -> np.ndarray:
        """Return [D W^2 D + regularisation noise E^T P E] applied to a spectrum."""
        inside = self.fft.inverse(self._times_kernel(spectrum))
        inside *= self.weight_squared
        return self._add_smoothness(
            self.fft.forward(inside), irfftn(spectrum, self.fft.padded_shape)
        )

    def _times_kernel(self, spectrum: np.ndarray) -> np.ndarray:
        from .medi_kernels import scale

        return scale(spectrum, self.kernel, self.spectrum)

    def _add_smoothness(self, data: np.ndarray, chi: np.ndarray) -> np.ndarray:
        """Return D data + the spectrum of E^T P E chi (and of what holds a region even)."""
        from .medi_kernels import scale_and_add, smoothness

        smoothness(chi, self.pairs, self.image)
        if self.even is not None:
            values = chi[self.even]
            self.image[self.even] += self.even_strength * (values - values.mean())
        return scale_and_add(data, self.kernel, rfftn(self.image))
