"""LBV: background removal by the Laplacian boundary value problem."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .grid import Grid
from .multigrid import MaskedPoisson, surrounded
from .region import MaskedRegion
from .solvers import Progress


@dataclass(frozen=True, kw_only=True)
class LbvParameters:
    """Parameters of LBV, the one place of their defaults."""

    # layers of voxels taken off the mask first. The field of the outermost layer becomes the
    # boundary value, and voxels that are partly something else would spread their error
    # inwards; other programs take off 2, which costs more cortex
    peel_layers: int = 1
    # residual of the Laplacian relative to its size that ends the iteration
    tolerance: float = 1e-4
    # multigrid cycles that end it at the latest; each takes the residual down about fivefold
    max_cycles: int = 30

    def __post_init__(self) -> None:
        if self.peel_layers < 0 or self.peel_layers != int(self.peel_layers):
            raise ValueError(
                f'LBV takes off 0, 1, 2 ... layers of the mask, got {self.peel_layers}.\n'
                'A part of a layer, or a layer more than the mask has, cannot be computed.\n'
                'Use 1.'
            )
        if self.tolerance <= 0 or self.max_cycles < 1:
            raise ValueError(
                'LBV needs a positive tolerance and at least one cycle.\n'
                'Otherwise it would never stop, or never start.\n'
                f'Got {self}.'
            )


def remove_background_lbv(
    total_field: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    parameters: LbvParameters = LbvParameters(),
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the field of the sources inside the mask, and where it is known.

    The background b has no sources inside the mask, so it obeys Laplace's equation there
    and is fixed by its values on the edge of the mask. LBV assumes that the local field is
    small on the edge, b = f. The local field l = f - b then obeys

        Laplacian(l) = Laplacian(f) inside,   l = 0 on the outermost layer of voxels.

    Parameters
    ----------
    total_field : (nx, ny, nz) float
        Unwrapped field in any unit (Hz, ppm, rad); ignored outside the mask.
    mask : (nx, ny, nz) bool
        Where the field is reliable.
    grid : Grid
        Voxel size; the direction of B0 does not matter.
    parameters : LbvParameters
        Layers to take off and stop.
    progress : callable, optional
        Called with (fraction, text).

    Returns
    -------
    local_field : (nx, ny, nz) float32
        In the unit of ``total_field``; zero outside ``mask_after``.
    mask_after : (nx, ny, nz) bool
        The mask without the peeled layers and without the layer of the boundary values.

    Raises
    ------
    ValueError
        If the mask is empty or too thin, if shapes differ, or if the field is not finite
        inside the mask.

    Notes
    -----
    The 7-point Laplacian and multigrid (:mod:`qsmbids.qsm.multigrid`) until the residual
    falls to ``tolerance``. No transforms; about 20 passes over the box around the mask per
    cycle and about six cycles; about 45 bytes per voxel of that box. Linear up to the stop.

    No parameter trades noise for accuracy, and the field of the edge is taken as it is:
    where it is wrong the error reaches as far inwards as it extends along the edge. Use it
    with a mask whose rim is reliable.

    References
    ----------
    .. [1] Zhou D et al. NMR Biomed 2014;27:312. doi:10.1002/nbm.3064

    Examples
    --------
    The field of a far source is nearly linear and disappears:

    >>> x, y, z = np.indices((16, 16, 16)) - 7.5
    >>> mask = x**2 + y**2 + z**2 < 7**2
    >>> local, inside = remove_background_lbv(0.1 * z, mask, Grid(mask.shape))
    >>> bool(abs(local).max() < 1e-4), bool((inside <= mask).all())
    (True, True)
    """
    region = MaskedRegion.of(mask, grid)
    field = region.cut(total_field, 'total field')
    inner = region.mask
    for _ in range(int(parameters.peel_layers)):
        inner = surrounded(inner)
    inner = surrounded(inner)
    if not inner.any():
        raise ValueError(
            'The mask is too thin for LBV: no voxel is left inside the boundary layer and '
            f'{parameters.peel_layers} peeled layers.\n'
            'No field would be left.\n'
            'Check the mask, or use fewer peel_layers.'
        )

    def report(cycle: int, residual: float) -> None:
        if progress is not None:
            fraction = min(1.0, np.log(residual + 1e-30) / np.log(min(parameters.tolerance, 0.5)))
            progress(max(0.0, fraction), f'LBV cycle {cycle}, residual {residual:.1e}')

    field -= np.float32(field[region.mask].mean(dtype=np.float64))  # a constant is harmonic
    field *= region.mask
    poisson = MaskedPoisson(inner, grid.voxel_size)
    local = poisson.solve(
        poisson.apply(field, np.zeros_like(field)),
        tolerance=parameters.tolerance,
        max_cycles=parameters.max_cycles,
        progress=report,
    )
    return region.paste(local, inner), region.paste(inner)
