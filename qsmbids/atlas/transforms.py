"""Applying registrations: labels and maps from the template to the scan and back.

Every function interpolates once, whatever the number of transforms. Images are handed to
ANTs as arrays with the geometry that nibabel read, so the form codes of a file do not
matter. World coordinates are RAS; ITK's are LPS (x and y change sign), which stays inside
`to_ants`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qsmbids.atlas.errors import RegistrationError
from qsmbids.atlas.images import read_image, read_mask, voxel_size, write_image

if TYPE_CHECKING:
    import ants

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])
_SCANNER, _MNI = 1, 4  # NIfTI form codes


def to_ants(array: np.ndarray, affine: np.ndarray) -> ants.ANTsImage:
    """Make an ANTs image of an array and its affine (RAS mm)."""
    from qsmbids.atlas.light_ants import ants

    size = voxel_size(affine)
    return ants.from_numpy(
        array.astype(np.float32),
        origin=(RAS_TO_LPS @ affine[:3, 3]).tolist(),
        spacing=size.tolist(),
        direction=RAS_TO_LPS @ (affine[:3, :3] / size),
    )


def warp(
    array: np.ndarray,
    affine: np.ndarray,
    shape: tuple[int, ...],
    target: np.ndarray,
    transforms: Sequence[str],
    interpolator: str = 'linear',
) -> np.ndarray:
    """Resample an array through transforms onto another grid.

    Parameters
    ----------
    array : (nx, ny, nz) float
    affine : (4, 4) float
        Of ``array``, RAS mm.
    shape, target
        Shape and affine of the grid wanted.
    transforms : sequence of str
        Files in ANTs' order: the last one is the nearest to the image that is moved. None
        is inverted.
    interpolator : str
        ``linear`` for maps, ``genericLabel`` for labels.

    Returns
    -------
    (mx, my, mz) float32
        Zero where the target grid reaches beyond the image.
    """
    from qsmbids.atlas.light_ants import ants

    missing = [path for path in transforms if not Path(path).is_file()]
    if missing:
        raise RegistrationError(
            f'there is no transform file {missing[0]}.',
            'Nothing can be brought to or from the template without it.',
            'Run the registration again.',
        )
    moved = ants.apply_transforms(
        fixed=to_ants(np.zeros(shape, dtype=np.float32), target),
        moving=to_ants(array, affine),
        transformlist=list(transforms),
        interpolator=interpolator,
        whichtoinvert=[False] * len(transforms),
    )
    return moved.numpy().astype(np.float32)


def labels_to_native(inverse: Sequence[str], dseg: Path, reference: Path, out: Path) -> Path:
    """Bring the labels of a template into the space of a scan.

    Parameters
    ----------
    inverse : sequence of str
        ``Registration.inverse``.
    dseg : Path
        Label image of the template.
    reference : Path
        Image of the scan, whose grid is taken.
    out : Path
        File to write, int16.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    RegistrationError
        If no label arrives, or a transform is missing.

    Notes
    -----
    Each label is interpolated linearly as a fraction and the largest fraction wins
    (``genericLabel``), which keeps small nuclei better than nearest neighbours.
    """
    labels, affine = read_image(dseg)
    grid, target = read_image(reference)
    moved = warp(labels, affine, grid.shape, target, inverse, 'genericLabel')
    native = np.rint(moved).astype(np.int16)
    if not native.any():
        raise RegistrationError(
            f'no label of {Path(dseg).name} lies inside {Path(reference).name}.',
            'The registration placed the atlas outside the scan.',
            'Look at the registration in the report.',
        )
    return write_image(out, native, target, _SCANNER)


def map_to_native(
    inverse: Sequence[str], image: Path, reference: Path, out: Path, *, mask: Path | None = None
) -> Path:
    """Bring a map of a template, e.g. its susceptibility, into the space of a scan.

    Parameters
    ----------
    inverse, reference, out
        As in `labels_to_native`; float32.
    image : Path
        Map on the template's grid.
    mask : Path, optional
        On the grid of ``reference``; zero is written outside.
    """
    array, affine = read_image(image)
    grid, target = read_image(reference)
    moved = warp(array, affine, grid.shape, target, inverse)
    if mask is not None:
        moved = np.where(read_mask(mask)[0], moved, 0)
    return write_image(out, moved, target, _SCANNER)


def map_to_template(forward: Sequence[str], image: Path, reference: Path, out: Path) -> Path:
    """Bring a map of a scan into template space.

    Parameters
    ----------
    forward : sequence of str
        ``Registration.forward``.
    image : Path
        Map of the scan.
    reference : Path
        Image of the template, whose grid is taken.
    out : Path
        File to write, float32.
    """
    array, affine = read_image(image)
    grid, target = read_image(reference)
    return write_image(out, warp(array, affine, grid.shape, target, forward), target, _MNI)
