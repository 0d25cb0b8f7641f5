"""PDF: background removal by projection onto the fields of dipoles outside the mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .grid import Grid
from .harmonic import smallest_field, touching
from .multigrid import MaskedPoisson, surrounded
from .region import MaskedRegion, relative_weight
from .solvers import Progress

# of a weight in units of its median: a voxel of the mask always counts a little, because its
# local field would be unbounded otherwise
SMALLEST_WEIGHT = 0.05


@dataclass(frozen=True, kw_only=True)
class PdfParameters:
    """Parameters of PDF, the one place of their defaults."""

    # relative residual of the equations that ends the iteration
    tolerance: float = 1e-2
    # iterations that end it at the latest; about ten are needed
    max_iterations: int = 50

    def __post_init__(self) -> None:
        if self.tolerance <= 0 or self.max_iterations < 1:
            raise ValueError(
                'PDF needs a positive tolerance and at least one iteration.\n'
                'Otherwise it would never stop, or never start.\n'
                f'Got {self}.'
            )


def remove_background_pdf(
    total_field: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    weight: np.ndarray | None = None,
    parameters: PdfParameters = PdfParameters(),
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the field of the sources inside the mask, and where it is known.

    The background is what dipoles outside the mask can explain,

        b = D * x  with the sources x outside that minimise  || W (f - D * x) ||^2,

    where D is the dipole field and f the total field; l = f - b is the local field. The fields
    of sources inside are nearly orthogonal to those of sources outside, which is why the
    projection takes little of them.

    Parameters
    ----------
    total_field : (nx, ny, nz) float
        Unwrapped field in any unit (Hz, ppm, rad); ignored outside the mask.
    mask : (nx, ny, nz) bool
        Where the field is reliable.
    grid : Grid
        Voxel size. The direction of B0 does not matter, see the notes.
    weight : (nx, ny, nz) float, optional
        Confidence per voxel, at least 0 and in any unit: inverse noise or reliability. It
        takes the place of W^2, in units of its median and limited to 0.05 to 2.
    parameters : PdfParameters
        Stop.
    progress : callable, optional
        Called with (fraction, text).

    Returns
    -------
    local_field : (nx, ny, nz) float32
        In the unit of ``total_field``; zero outside ``mask_after``.
    mask_after : (nx, ny, nz) bool
        The mask without voxels that hang on it by less than a layer; the rim is kept.

    Raises
    ------
    ValueError
        If the mask is empty or too thin, if shapes differ, if the field or the weight is not
        finite inside the mask, or the weight is negative or zero everywhere.

    Notes
    -----
    The fields of all dipoles outside are all fields that are harmonic inside: each of them is
    harmonic, and together they come as close as one likes to any harmonic function (Runge's
    theorem; B0 may point anywhere). The projection is therefore computed among the harmonic
    functions (:mod:`qsmbids.qsm.harmonic`), and equals that onto dipoles up to how a grid
    represents either. The sources themselves, which are not unique, never
    appear, nor does a field of view that has to hold them, and about ten iterations reach the
    end that an iteration over sources approaches slowly.

    W^2 is the inverse noise and not its square, because f - b holds the local field besides
    the noise, which is the larger part and the same everywhere.

    No transforms; two cycles of multigrid and six passes over the box around the mask per
    iteration, about 60 bytes per voxel of that box. Linear in the field up to the stop.

    References
    ----------
    .. [1] Liu T et al. NMR Biomed 2011;24:1129. doi:10.1002/nbm.1670
    """
    region = MaskedRegion.of(mask, grid)
    field = np.pad(region.cut(total_field, 'total field'), 1)
    known = np.pad(region.mask, 1)
    weight_squared = np.pad(relative_weight(weight, region), 1)
    np.maximum(weight_squared, SMALLEST_WEIGHT, out=weight_squared, where=known)
    inner = surrounded(known)
    if not inner.any():
        raise ValueError(
            'The mask is too thin for PDF: no voxel has its six neighbours inside.\n'
            'Every field would count as background.\n'
            'Check the mask.'
        )

    def report(iteration: int, residual: float) -> None:
        if progress is not None:
            text = f'PDF iteration {iteration}, residual {residual:.1e}'
            progress(iteration / parameters.max_iterations, text)

    field[known] -= field[known].mean(dtype=np.float64)  # a constant is harmonic
    poisson = MaskedPoisson(inner, grid.voxel_size)
    local = smallest_field(
        poisson.apply(field, np.zeros_like(field)),
        poisson,
        weight_squared,
        known,
        tolerance=parameters.tolerance,
        max_iterations=parameters.max_iterations,
        progress=report,
    )
    box = (slice(1, -1),) * 3
    after = touching(inner)[box]
    return region.paste(local[box], after), region.paste(after)
