"""Reading and writing the images that registration and region tables work on.

ANTs reads files that are cut short, images that are all zero and masks that are empty
without a word. Everything therefore goes through `read_image`, which does not. A compressed
file that was damaged in place can still be read, with wrong values: `check_whole` compares the
checksum, at the price of one more pass. Files are written with qform and sform equal, because
ANTs and nibabel prefer different ones when they differ.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from scipy import ndimage

from qsmbids.atlas.errors import AtlasError

MAX_SHEAR = 1e-3  # cosine between two voxel axes; ITK refuses directions that are not orthogonal
GRID_TOLERANCE_MM = 1e-3
# what a file raises that is no image, is cut short, or whose compressed bytes are damaged
UNREADABLE = (ImageFileError, OSError, EOFError, ValueError, zlib.error)
_BLOCK = 2**20


def read_image(path: Path | str) -> tuple[np.ndarray, np.ndarray]:
    """Read and check a three-dimensional image.

    Parameters
    ----------
    path : Path

    Returns
    -------
    array : (nx, ny, nz) float32
    affine : (4, 4) float
        Voxel indices to world millimetres (RAS).

    Raises
    ------
    AtlasError
        If the file is absent, not an image, cut short, not three-dimensional, holds NaN
        or infinity, is zero everywhere, or has an affine that is singular or sheared.
    """
    path = Path(path)
    try:
        image = nib.load(path)
        array = np.squeeze(np.asarray(image.dataobj, dtype=np.float32))
    except FileNotFoundError:
        raise AtlasError(
            f'there is no file {path}.', 'It is needed here.', 'Check the path.'
        ) from None
    except UNREADABLE as error:
        raise _unreadable(path, error) from None
    affine = np.asarray(image.affine, dtype=float)
    if array.ndim != 3:
        raise AtlasError(
            f'{path} has {array.ndim} dimensions (shape {array.shape}).',
            'Registration works on one three-dimensional image.',
            'Give one volume.',
        )
    if not np.isfinite(array).all():
        raise AtlasError(
            f'{path} holds NaN or infinity.',
            'Registration and statistics would be NaN as well.',
            'Set these voxels to zero and leave them out of the mask.',
        )
    if not array.any():
        raise AtlasError(
            f'{path} is zero everywhere.',
            'There is nothing to register or to measure.',
            'Check the step that made it.',
        )
    _check_affine(path, affine)
    return array, affine


def check_whole(path: Path | str) -> None:
    """Check a compressed file to its end, with the checksum that stands there.

    Reading an image stops at its last voxel, before the checksum. This reads the whole file once
    more, so it is for checks and not for every use.

    Parameters
    ----------
    path : Path
        Files whose name does not end in ``.gz`` have no checksum and pass.

    Raises
    ------
    AtlasError
        If the file cannot be read, is cut short, or was changed after it was written.
    """
    path = Path(path)
    if path.suffix != '.gz':
        return
    try:
        with gzip.open(path) as stream:
            while stream.read(_BLOCK):
                pass
    except UNREADABLE as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: BaseException) -> AtlasError:
    return AtlasError(
        f'{path} cannot be read as an image ({" ".join(str(error).split())}).',
        'It is empty, cut short, damaged, or something else than NIfTI.',
        'Copy or convert it again.',
    )


def _check_affine(path: Path, affine: np.ndarray) -> None:
    size = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or size.min() <= 0:
        raise AtlasError(
            f'{path} has a singular affine.',
            'Voxels cannot be placed in space.',
            'Correct the header.',
        )
    axes = affine[:3, :3] / size
    shear = float(np.abs(axes.T @ axes - np.eye(3)).max())
    if shear > MAX_SHEAR:
        raise AtlasError(
            f'{path} has a sheared affine (voxel axes off the right angle by '
            f'{np.degrees(np.arcsin(min(shear, 1.0))):.2f} degrees).',
            'Registration needs voxel axes at right angles.',
            'Correct the sform, or resample the image.',
        )


def read_mask(path: Path | str) -> tuple[np.ndarray, np.ndarray]:
    """Read a mask; see `read_image`. Returns (bool array, affine)."""
    array, affine = read_image(path)
    return array > 0.5, affine


def same_grid(first: Path | str, second: Path | str) -> bool:
    """Whether two image files have the same shape and the same affine.

    Raises
    ------
    AtlasError
        If one of them cannot be read.
    """
    try:
        one, other = nib.load(first), nib.load(second)
    except UNREADABLE:
        for path in (first, second):
            read_image(path)  # says which, and why
        raise
    return one.shape[:3] == other.shape[:3] and bool(
        np.allclose(one.affine, other.affine, atol=GRID_TOLERANCE_MM)
    )


def write_image(path: Path | str, array: np.ndarray, affine: np.ndarray, code: int = 1) -> Path:
    """Write an image with equal qform and sform.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz``; the folder exists.
    array : (nx, ny, nz) of a type that NIfTI knows; bool becomes uint8
    affine : (4, 4) float
    code : int
        NIfTI form code: 1 scanner, 2 aligned to something, 4 MNI152.
    """
    if array.dtype == bool:
        array = array.astype(np.uint8)
    image = nib.Nifti1Image(np.ascontiguousarray(array), affine)
    image.set_qform(affine, code=code)
    image.set_sform(affine, code=code)
    image.header.set_xyzt_units('mm', 'sec')
    nib.save(image, path)
    return Path(path)


def voxel_size(affine: np.ndarray) -> np.ndarray:
    """Return the (3,) voxel size in mm."""
    return np.linalg.norm(affine[:3, :3], axis=0)


def resample_isotropic(
    array: np.ndarray, affine: np.ndarray, size_mm: float
) -> tuple[np.ndarray, np.ndarray]:
    """Resample to isotropic voxels with the axes of the image (low-pass, then linear).

    Parameters
    ----------
    array : (nx, ny, nz) float
    affine : (4, 4) float
    size_mm : float

    Returns
    -------
    array : (mx, my, mz) float32
    affine : (4, 4) float
        The corner of the field of view stays where it is.

    Notes
    -----
    A Gaussian of sigma 0.42 sqrt(new^2 - old^2) mm turns the point spread of the old voxel
    into about that of the new one (FWHM equal to the voxel size).
    """
    old = voxel_size(affine)
    sigma = 0.42 * np.sqrt(np.maximum(size_mm**2 - old**2, 0)) / old
    step = size_mm / old
    shape = np.maximum(np.ceil(np.array(array.shape) / step), 1).astype(int)
    first = (step - 1) / 2  # centre of the first new voxel, in old voxels
    resampled = ndimage.affine_transform(
        ndimage.gaussian_filter(array.astype(np.float32), sigma),
        np.diag(step), offset=first, output_shape=tuple(shape), order=1, mode='constant',
    )  # fmt: skip
    new = affine.copy()
    new[:3, :3] = affine[:3, :3] * step
    new[:3, 3] = affine[:3, 3] + affine[:3, :3] @ first
    return resampled, new


def resample_to(
    array: np.ndarray, affine: np.ndarray, shape: tuple[int, ...], target: np.ndarray,
    mode: str = 'constant',
) -> np.ndarray:  # fmt: skip
    """Sample an image on another grid of the same world, linearly; zero outside.

    With ``mode='nearest'``, the edge of the image goes on outside.
    """
    to_voxels = np.linalg.inv(affine) @ target
    return ndimage.affine_transform(
        array.astype(np.float32), to_voxels[:3, :3], to_voxels[:3, 3], shape, order=1, mode=mode
    )
