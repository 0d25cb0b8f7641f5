"""HARPERELLA: unwrapping and background removal from the Laplacian of the phase."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .grid import Grid
from .harmonic import smallest_field
from .multigrid import MaskedPoisson, surrounded
from .phase import wrap
from .region import MaskedRegion
from .solvers import Progress


@dataclass(frozen=True, kw_only=True)
class HarperellaParameters:
    """Parameters of HARPERELLA, the one place of their defaults."""

    # mm; the Laplacian of voxels nearer to the edge of the mask than this is not trusted, nor is
    # the result there. 3 mm keeps away from the air where the phase wraps within a voxel;
    # others drop about 3 voxels. 0 keeps more of the cortex if the phase is sound there
    rim_mm: float = 3.0
    # relative residual of the equations that ends the iteration
    tolerance: float = 1e-2
    # iterations that end it at the latest; about ten are needed
    max_iterations: int = 50

    def __post_init__(self) -> None:
        if not self.rim_mm >= 0:
            raise ValueError(
                f'The rim that HARPERELLA distrusts must be 0 mm or more, got {self.rim_mm}.\n'
                'Outside the mask nothing is known that could be trusted.\n'
                'Use about 3 mm.'
            )
        if self.tolerance <= 0 or self.max_iterations < 1:
            raise ValueError(
                'HARPERELLA needs a positive tolerance and at least one iteration.\n'
                'Otherwise it would never stop, or never start.\n'
                f'Got {self}.'
            )


def remove_background_harperella(
    total_field: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    parameters: HarperellaParameters = HarperellaParameters(),
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the field of the sources inside the mask, and where it is known.

    The Laplacian L of the field is known inside the mask M, and there it belongs to the
    local field alone, as the background is harmonic. Outside it is unknown. HARPERELLA gives
    it the values L_E outside that make the local field smallest inside,

        l = A^-1 (L + L_E),   L_E = argmin || M A^-1 (L + L_E) ||^2,

    with A the Laplacian (the improved form of the method, iHARPERELLA).

    Parameters
    ----------
    total_field : (nx, ny, nz) float
        Unwrapped field in any unit (Hz, ppm, rad); ignored outside the mask.
    mask : (nx, ny, nz) bool
        Where the field is reliable.
    grid : Grid
        Voxel size; the direction of B0 does not matter.
    parameters : HarperellaParameters
        Rim and stop.
    progress : callable, optional
        Called with (fraction, text).

    Returns
    -------
    local_field : (nx, ny, nz) float32
        In the unit of ``total_field``; zero outside ``mask_after``.
    mask_after : (nx, ny, nz) bool
        The voxels whose Laplacian was used.

    Raises
    ------
    ValueError
        If the mask is empty or too thin, if shapes differ, or if the field is not finite
        inside the mask.

    Notes
    -----
    To choose L_E freely is to add any function that is harmonic where the Laplacian is known.
    The problem is therefore the one of :mod:`qsmbids.qsm.harmonic` and is solved there, inside
    the mask alone and with about ten iterations of multigrid. With ``rim_mm`` 0 and from an
    unwrapped field it has the solution of PDF without a weight.

    No transforms; about 60 bytes per voxel of the box around the mask. Linear in the field
    up to the stop.

    References
    ----------
    .. [1] Li W, Avram AV, Wu B, Xiao X, Liu C. NMR Biomed 2014;27:219. doi:10.1002/nbm.3056
    """
    return _remove(total_field, mask, grid, parameters, progress, lambda difference: difference)


def unwrap_harperella(
    phase: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    *,
    parameters: HarperellaParameters = HarperellaParameters(),
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the local phase from wrapped phase, without unwrapping it first.

    The difference of two neighbours, wrapped, is the true one wherever the phase changes by
    less than pi from voxel to voxel; six of them are the Laplacian, from which
    :func:`remove_background_harperella` goes on.

    Parameters
    ----------
    phase : (nx, ny, nz) float, rad
        Wrapped phase of one echo; ignored outside the mask.
    mask : (nx, ny, nz) bool
    grid : Grid
    parameters : HarperellaParameters
    progress : callable, optional
        Called with (fraction, text).

    Returns
    -------
    local_phase : (nx, ny, nz) float32, rad
        Phase of the sources inside the mask; zero outside ``mask_after``.
    mask_after : (nx, ny, nz) bool
        The voxels whose Laplacian was used.

    Raises
    ------
    ValueError
        See :func:`remove_background_harperella`.

    Notes
    -----
    Where the phase changes by more than pi between voxels, or is noise, the Laplacian is
    wrong and the error would spread. The wrapped differences around four neighbours then often
    do not sum to zero; the Laplacian of these voxels is not used, and they are not part of
    ``mask_after``. What this test misses is left to ``rim_mm``; ROMEO follows steeper phase.
    Cost: see :func:`remove_background_harperella`.

    References
    ----------
    .. [1] Li W, Avram AV, Wu B, Xiao X, Liu C. NMR Biomed 2014;27:219. doi:10.1002/nbm.3056
    """
    return _remove(phase, mask, grid, parameters, progress, wrap, distrust=_open_loops)


def _remove(
    total_field: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    parameters: HarperellaParameters,
    progress: Progress | None,
    of_difference: Callable[[np.ndarray], np.ndarray],
    distrust: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    region = MaskedRegion.of(mask, grid)
    field = np.pad(region.cut(total_field, 'total field'), 1)
    known = np.pad(region.mask, 1)
    inner = surrounded(known)
    if parameters.rim_mm > 0:
        inner &= np.pad(region.depth_mm() > parameters.rim_mm, 1)
    if distrust is not None:
        inner &= ~distrust(field, known)
    if not inner.any():
        raise ValueError(
            'The mask is too thin for HARPERELLA: no voxel has its six neighbours inside and '
            f'lies more than {parameters.rim_mm:g} mm from the edge.\n'
            'No Laplacian could be formed.\n'
            'Check the mask, or use a smaller rim_mm.'
        )

    def report(iteration: int, residual: float) -> None:
        if progress is not None:
            text = f'HARPERELLA iteration {iteration}, residual {residual:.1e}'
            progress(iteration / parameters.max_iterations, text)

    local = smallest_field(
        _negative_laplacian(field, grid, of_difference),
        MaskedPoisson(inner, grid.voxel_size),
        known.astype(np.float32),
        known,
        tolerance=parameters.tolerance,
        max_iterations=parameters.max_iterations,
        progress=report,
    )
    box = (slice(1, -1),) * 3
    return region.paste(local[box], inner[box]), region.paste(inner[box])


def _negative_laplacian(
    field: np.ndarray, grid: Grid, of_difference: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Return the sum of the differences to the six neighbours, over h^2 of each axis."""
    out = np.zeros_like(field)
    for axis, h in enumerate(grid.voxel_size):
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        difference = of_difference(field[high] - field[low]).astype(np.float32, copy=False)
        difference /= np.float32(h**2)
        out[low] -= difference
        out[high] += difference
    return out


def _open_loops(phase: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the voxels of loops of four whose wrapped differences do not sum to zero."""
    around = ((0, 0), (1, 0), (1, 1), (0, 1))
    found = np.zeros(phase.shape, bool)
    for a, b in ((0, 1), (0, 2), (1, 2)):

        def corner(up_a: int, up_b: int, a: int = a, b: int = b) -> tuple[slice, ...]:
            part = (slice(None, -1), slice(1, None))
            return tuple(
                part[up_a] if axis == a else part[up_b] if axis == b else slice(None)
                for axis in range(3)
            )

        corners = [corner(*up) for up in around]
        is_open = np.logical_and.reduce([known[c] for c in corners])
        turn = sum(wrap(phase[d] - phase[c]) for c, d in pairwise([*corners, corners[0]]))
        is_open &= np.abs(turn) > np.pi
        for c in corners:
            found[c] |= is_open
    return found
