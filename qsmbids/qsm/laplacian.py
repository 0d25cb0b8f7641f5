"""Laplacian unwrapping: the smoothest phase with the Laplacian that the data show.

The difference of two neighbouring voxels, wrapped, is the true difference wherever the
phase changes by less than pi from voxel to voxel. Laplacian unwrapping looks for the phase
whose differences are closest to these, which is Poisson's equation. Nothing has to be
decided voxel by voxel, but the result is no longer a whole number of turns from the data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.fft import dctn, idctn
from scipy.ndimage import label

from .echoes import bounding_box, check_echoes
from .fft import PaddedFFT, get_workers
from .grid import Grid
from .kernels import laplacian_spectrum
from .phase import TWO_PI, wrap

BOUNDARIES = ('neumann', 'zero_padded')


@dataclass(frozen=True, kw_only=True)
class LaplacianParameters:
    """Parameters of :func:`unwrap_laplacian`."""

    # 'neumann': nothing flows through the rim of the mask, which keeps the background field.
    # 'zero_padded': no phase beyond the rim, solved in one step by a Fourier transform, as
    # most programs do; it takes part of the background field away.
    boundary: str = 'neumann'
    # The solver for 'neumann' stops when the residual has fallen to this fraction of its start.
    tolerance: float = 1e-4
    # ... or after this many iterations. About five are needed for a head.
    max_iterations: int = 20

    def __post_init__(self) -> None:
        if self.boundary not in BOUNDARIES:
            raise ValueError(
                f'boundary is {self.boundary!r}.\n'
                'It says what is assumed of the phase beyond the mask.\n'
                f'Give one of: {", ".join(BOUNDARIES)}.'
            )
        if not (self.tolerance > 0 and self.max_iterations >= 1):
            raise ValueError(
                f'tolerance is {self.tolerance} and max_iterations {self.max_iterations}.\n'
                'The solver stops at one or the other.\n'
                'Give a positive tolerance and at least one iteration.'
            )


def unwrap_laplacian(
    phase: np.ndarray,
    magnitude: np.ndarray,
    echo_times_s: Sequence[float],
    mask: np.ndarray,
    grid: Grid,
    *,
    parameters: LaplacianParameters = LaplacianParameters(),
) -> np.ndarray:
    """Unwrap each echo by solving Poisson's equation inside the mask.

    Parameters
    ----------
    phase : (n_echo, nx, ny, nz) float, rad
        Wrapped phase, free of the phase offset if there are several echoes.
    magnitude : (n_echo, nx, ny, nz) float
        Not needed by the method except to find voxels without data; all unwrapping
        functions are called alike.
    echo_times_s : (n_echo,) float, s
    mask : (nx, ny, nz) bool
    grid : Grid
    parameters : LaplacianParameters

    Returns
    -------
    (n_echo, nx, ny, nz) float32, rad
        Unwrapped phase inside the mask, 0 outside.

    Raises
    ------
    ValueError
        If shapes, mask or echo times are unusable.

    Notes
    -----
    The sum over neighbours of (difference of the result - wrapped difference of the data)^2
    / h^2 is made smallest, with h the distance of the neighbours and only pairs with both
    voxels inside the mask. This is the Laplacian of the wrapped phase [1]_ with the
    condition that nothing flows through the rim of the mask (Neumann). It is solved with
    conjugate gradients, preconditioned by the exact solution on the whole box, which a
    discrete cosine transform gives [2]_; what lies outside the mask has no influence.

    With ``boundary='zero_padded'`` the same wrapped differences are put into a box padded
    with zeros, where all other differences count as zero, and Poisson's equation is solved by
    one pair of Fourier transforms. Phase that varies slowly over the whole mask then comes
    out too small, as a field is inside a magnetised body: a ball keeps a third of a uniform
    slope. Local fields are kept. This form is quick, but a background field removed after it
    is not the one that was there.

    The equation leaves one constant per component of the mask open. It is taken from the
    data (circular mean of data minus result), with the number of turns that fits the first
    echo best.

    Limits: where the phase changes by more than pi between voxels (next to air, in veins at
    late echoes) and in noise, the error is not confined to the place: fields come out too
    small for a long way around. The result is not congruent with the data, so no weighting
    of echoes can undo this. Prefer ROMEO; this method is for phase that ROMEO cannot
    follow, such as open-ended fringes.

    Cost: about 6 pairs of cosine transforms per echo on the box around the mask, or one pair
    of Fourier transforms on the padded box. Peak memory 40 bytes per voxel of the box (12 per
    padded voxel) besides input and result.

    References
    ----------
    .. [1] Schofield MA, Zhu Y. Opt Lett 2003;28:1194. doi:10.1364/OL.28.001194
    .. [2] Ghiglia DC, Romero LA. J Opt Soc Am A 1994;11:107. doi:10.1364/JOSAA.11.000107
    """
    phase, _, times, mask = check_echoes(phase, magnitude, echo_times_s, mask)
    box = bounding_box(mask)
    inside = mask[box]
    component, _ = label(inside)
    laplacian = _MaskedLaplacian(inside, grid.voxel_size)
    if parameters.boundary == 'zero_padded':
        solve = _padded_solver(inside.shape, grid.voxel_size)
    else:
        solve = partial(laplacian.solve, parameters=parameters)

    unwrapped = np.zeros(phase.shape, np.float32)
    first_mean = None
    for echo, time in enumerate(times):
        wrapped = wrap(phase[echo][box]) * inside
        smooth = solve(laplacian.apply(wrapped, wrap))
        miss = np.exp(1j * (wrapped - smooth)[inside])
        member = component[inside]
        constant = np.angle(_sums(miss.real, member) + 1j * _sums(miss.imag, member))

        mean = _sums(smooth[inside], member) / np.maximum(_sums(1.0, member), 1) + constant
        expected = 0.0 if first_mean is None else first_mean * (time / times[0])
        turns = TWO_PI * np.rint((expected - mean) / TWO_PI)
        if first_mean is None:
            first_mean = mean + turns
        smooth += (constant + turns)[component].astype(np.float32)
        unwrapped[echo][box] = smooth * inside
    return unwrapped


def _sums(values: np.ndarray | float, member: np.ndarray) -> np.ndarray:
    """Return the sum over each component; index 0 is not used."""
    return np.bincount(member, np.broadcast_to(values, member.shape))


def _padded_solver(
    shape: tuple[int, int, int], voxel_size: Sequence[float]
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the inverse of the negative Laplacian with zeros all around the box."""
    fft = PaddedFFT(shape, voxel_size)
    eigenvalue = -laplacian_spectrum(fft.padded_shape, voxel_size)
    eigenvalue[0, 0, 0] = np.inf  # the mean is left at zero

    def solve(right: np.ndarray) -> np.ndarray:
        spectrum = fft.forward(right)
        spectrum /= eigenvalue
        return fft.inverse(spectrum)

    return solve


class _MaskedLaplacian:
    """The negative Laplacian of the pairs of neighbours inside a mask, and its inverse."""

    def __init__(self, mask: np.ndarray, voxel_size: Sequence[float]) -> None:
        self.mask = mask
        self.pairs = []  # (lower voxels, upper voxels, weight of the pair) per axis
        eigenvalue = np.zeros((1, 1, 1))
        for axis, (n, h) in enumerate(zip(mask.shape, voxel_size, strict=True)):
            low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
            high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
            weight = (mask[low] & mask[high]) * np.float32(1 / h**2)
            self.pairs.append((low, high, weight))
            along = (2 - 2 * np.cos(np.pi * np.arange(n) / n)) / h**2
            eigenvalue = eigenvalue + along.reshape([-1 if a == axis else 1 for a in range(3)])
        eigenvalue[0, 0, 0] = np.inf  # the mean is left at zero
        self.inverse_eigenvalue = (1 / eigenvalue).astype(np.float32)

    def apply(self, x: np.ndarray, of_difference=None) -> np.ndarray:
        """Return -div(weight * grad x), with a function applied to the differences."""
        out = np.zeros_like(x)
        for low, high, weight in self.pairs:
            difference = x[high] - x[low]
            if of_difference is not None:
                difference = of_difference(difference)
            flow = weight * difference
            out[low] -= flow
            out[high] += flow
        return out

    def precondition(self, x: np.ndarray) -> np.ndarray:
        """Return the exact solution on the whole box, as if all of it were mask."""
        workers = get_workers()
        return idctn(dctn(x, workers=workers) * self.inverse_eigenvalue, workers=workers)

    def solve(self, right: np.ndarray, parameters: LaplacianParameters) -> np.ndarray:
        """Return x with apply(x) = right by preconditioned conjugate gradients."""
        x = np.zeros_like(right)
        residual = right.copy()
        direction = self.precondition(residual)
        product = start = _dot(residual, direction)
        for _ in range(parameters.max_iterations):
            if product <= parameters.tolerance**2 * start:
                break
            image = self.apply(direction)
            step = product / _dot(direction, image)
            x += np.float32(step) * direction
            residual -= np.float32(step) * image
            conditioned = self.precondition(residual)
            previous, product = product, _dot(residual, conditioned)
            direction = conditioned + np.float32(product / previous) * direction
        return x


def _dot(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sum(a * b, dtype=np.float64))
