"""Total variation inversion by variable splitting: what TV, FANSI and HD-QSM share.

All minimise, over the map chi on the padded box,

    F(D * chi) + regularisation || E chi ||_1

with D the dipole kernel, E the gradient and F the misfit of the field inside the mask, in
which alone they differ. ADMM replaces it by three easy problems with two splittings,
f = D * chi and z = E chi, whose scaled duals are s and u. One iteration is

    chi = [ q D (f - s) + p E^T (z - u) ] / [ q D^2 + p |E|^2 ]    in k-space
    f   = argmin F(f) + q / 2 || f - D chi - s ||^2                voxel by voxel
    z   = soft thresholding of E chi + u at 1 / penalty            voxel by voxel
    s  += D chi - f,     u += E chi - z

with q = field_penalty and p = penalty * regularisation. Outside the mask F does not depend
on f, so f = D chi and s = 0 there: the field is unknown and follows the map.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .fft import PaddedFFT, irfftn, rfftn
from .grid import Grid
from .kernels import dipole_kernel, laplacian_spectrum

TINY = 1e-30  # a map of zeros does not change either

# of W^2 = 1: penalty of the splitting of the field. It changes the path and not the solution:
# the heavier it is the more slowly the unknown field outside the mask follows the map, and
# lighter ones let the field inside it go at first
FIELD_PENALTY = 0.2

# (start, stop, predicted, dual): the step of f and s on these planes of the box. In:
# predicted = D chi and dual = s. Out: predicted = f - s and the new s
Fit = Callable[[int, int, np.ndarray, np.ndarray], None]

# (data, sparse, ratio): the quadratic step in place. In: spectra of f - s and of E^T (z - u),
# and penalty * regularisation / field_penalty. Out: spectra of the field and of chi
Solve = Callable[[np.ndarray, np.ndarray, np.float32], None]


class GradientSplitting:
    """The state of one inversion: a map, its field, and the two splittings.

    Parameters
    ----------
    grid : Grid
        Grid of the box around the mask.

    Attributes
    ----------
    kernel : (px, py, pz // 2 + 1) float32
        Spectrum of the dipole on the padded box.
    chi : (px, py, pz) float32, ppm
        The map on the padded box; the data lie in the corner at index 0.
    predicted : (px, py, pz) float32, ppm
        Its field D * chi.

    Notes
    -----
    An iteration takes four transforms, one pass over the padded box for the gradient, its
    thresholding, its adjoint and the stop together, one for k-space, and one over the box
    for the field. In bytes per padded voxel: the splitting of the gradient 12, two real
    images 8, two spectra 8, two kernels 4, and what the transform works with.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        fft = PaddedFFT(grid.shape, grid.voxel_size)
        self.padded_shape = fft.padded_shape
        self.box = tuple(slice(n) for n in grid.shape)
        self.kernel = dipole_kernel(self.padded_shape, grid.voxel_size, grid.b0_direction)
        self._inverse_voxel = (1 / np.asarray(grid.voxel_size)).astype(np.float32)
        self._split = np.zeros((3, *self.padded_shape), np.float32)
        self._last = np.zeros(self.padded_shape, np.float32)
        self._dual = np.zeros(grid.shape, np.float32)
        self.chi = np.zeros(self.padded_shape, np.float32)
        self.predicted = np.zeros(self.padded_shape, np.float32)

    def run(
        self,
        fit: Fit,
        *,
        regularisation: float,
        penalty: float,
        field_penalty: float = FIELD_PENALTY,
        tolerance: float,
        iterations: int,
        solve: Solve | None = None,
        progress: Callable[[int, float], None] | None = None,
    ) -> int:
        """Minimise from the present map on, with the duals at zero.

        Parameters
        ----------
        fit : callable
            Proximal step of F; see :data:`Fit`.
        regularisation : float
            Weight of the total variation, in units of F per ppm/mm.
        penalty : float, 1/(ppm/mm)
            Of the splitting of the gradient, as a multiple of the regularisation.
        field_penalty : float
            Of the splitting of the field, in units of F per ppm^2.
        tolerance, iterations : float, int
            Stop when the map changes relatively by less per iteration, or after so many.
        solve : callable, optional
            Another quadratic step than that of D and E alone; see :data:`Solve`.
        progress : callable, optional
            Called with (iteration, change).

        Returns
        -------
        int
            Iterations done.
        """
        from .compiled import over_slabs

        ratio = np.float32(penalty * regularisation / field_penalty)
        if solve is None:
            solve = self._solver(ratio)
        limit = np.float32(1 / penalty)
        self._split[:] = 0
        self._dual[:] = 0
        shape = self.padded_shape
        self._shrink(limit)
        for iteration in range(1, iterations + 1):
            over_slabs(lambda a, b: fit(a, b, self.predicted, self._dual), self.grid.shape[0])
            data, sparse = rfftn(self.predicted), rfftn(self._last)
            solve(data, sparse, ratio)
            self._last = self.chi
            self.chi, self.predicted = irfftn(sparse, shape), irfftn(data, shape)
            change = self._shrink(limit)
            if progress is not None:
                progress(iteration, change)
            if change < tolerance:
                break
        return iteration

    def _solver(self, ratio: np.float32) -> Solve:
        """Return the quadratic step for field and gradient.

        The mean of chi is not determined and becomes 0.
        """
        from .compiled import over_slabs
        from .splitting_kernels import solve_spectrum

        inverse = laplacian_spectrum(self.padded_shape, self.grid.voxel_size)
        inverse *= -ratio
        inverse += self.kernel**2
        inverse[0, 0, 0] = 1
        np.divide(1, inverse, out=inverse)

        def solve(data: np.ndarray, sparse: np.ndarray, ratio: np.float32) -> None:
            kernels = (self.kernel, inverse, ratio)
            over_slabs(
                lambda a, b: solve_spectrum(a, b, data, sparse, *kernels), self.padded_shape[0]
            )

        return solve

    def _shrink(self, limit: np.float32) -> float:
        """Step z and u, leave E^T (z - u) in ``_last``, return the relative change of chi."""
        from .compiled import over_slabs
        from .splitting_kernels import join_slabs, shrink_gradient

        starts = []
        images = (self.chi, self._last, self._split)

        def loop(start: int, stop: int) -> tuple[float, float]:
            starts.append(start)
            return shrink_gradient(start, stop, *images, self._inverse_voxel, limit)

        moved, size = np.sum(over_slabs(loop, self.padded_shape[0]), axis=0)
        for start in starts:
            join_slabs(start, self._last, self._split, self._inverse_voxel[0], limit)
        return float(np.sqrt(moved) / max(np.sqrt(size), TINY))
