"""Bringing images of somebody else's atlas into the form that this program uses.

Orientation: axes are swapped and flipped until the first runs to the right, the second to the
front, the third to the top (RAS). Every voxel keeps its value and its place in the world; the
affine follows. Nothing is resampled.

Background: susceptibility maps have negative values, so that their background may be the
minimum of the image (a "black background") instead of 0. It is recognised by being constant on
all six faces of the image. In the imported map it is 0, outside the brain mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.images import GRID_TOLERANCE_MM, read_image

SURELY_PPM = 1.0  # a 99th percentile of |chi| below this is ppm: 1 ppm is five times dentate
SURELY_PPB = 5.0  # and above this ppb: 5 ppb is less than white matter differs from grey
_TOWARDS = {
    'L': 'left', 'R': 'right', 'P': 'the back', 'A': 'the front', 'I': 'the feet', 'S': 'the top',
}  # fmt: skip
_CONSTANT_SHARE = 0.999  # of the border voxels


@dataclass(frozen=True, eq=False)
class Volume:
    """An image in RAS order.

    Parameters
    ----------
    path : Path
        The file it is from.
    array : (nx, ny, nz) float32
    affine : (4, 4) float
        Voxel indices to world millimetres.
    stored : str
        Order of the axes in the file: where they run to, e.g. ``LPI``.
    """

    path: Path
    array: np.ndarray
    affine: np.ndarray
    stored: str

    def same_grid(self, other: Volume) -> bool:
        """Whether another image has the same voxels in the same places."""
        return self.array.shape == other.array.shape and bool(
            np.allclose(self.affine, other.affine, atol=GRID_TOLERANCE_MM)
        )


def has_orientation(path: Path) -> bool:
    """Whether the header says how the image lies in space (sform or qform code above 0)."""
    try:
        header = nib.load(path).header
    except (nib.filebasedimages.ImageFileError, OSError):
        return True  # `read_ras` will say what is wrong with the file
    return bool(header.get('sform_code', 1)) or bool(header.get('qform_code', 1))


def check_orientation_word(word: str) -> str:
    """Return three letters such as RAS in upper case.

    Raises
    ------
    AtlasError
        If they are not one of each pair L/R, P/A, I/S.
    """
    letters = word.strip().upper()
    pairs = sorted({'L': 0, 'R': 0, 'P': 1, 'A': 1, 'I': 2, 'S': 2}.get(c, 9) for c in letters)
    if pairs != [0, 1, 2]:
        raise AtlasError(
            f'{word!r} is no orientation.',
            'It says where the three axes of the image run to.',
            'Give three letters, one of L/R, one of P/A, one of I/S, e.g. RAS or LPI.',
        )
    return letters


def describe_orientation(letters: str) -> str:
    """Say in words where axes run to.

    Examples
    --------
    >>> describe_orientation('LPI')
    'LPI: axes run to left, the back, the feet'
    """
    return f'{letters}: axes run to {", ".join(_TOWARDS[letter] for letter in letters)}'


def read_ras(path: Path, orientation: str = '') -> Volume:
    """Read an image and put its axes in RAS order.

    Parameters
    ----------
    path : Path
    orientation : str
        Where the axes run to, for a file whose header does not say; else ignored.

    Returns
    -------
    Volume

    Raises
    ------
    AtlasError
        As `qsmbids.atlas.images.read_image`: not three-dimensional, NaN, all zero, sheared.
    """
    array, affine = read_image(path)
    if orientation and not has_orientation(path):
        affine = _centred_affine(array.shape, np.linalg.norm(affine[:3, :3], axis=0), orientation)
    axes = nib.orientations.io_orientation(affine)
    stored = ''.join(nib.orientations.ornt2axcodes(axes))
    turned = np.ascontiguousarray(nib.orientations.apply_orientation(array, axes))
    to_old = nib.orientations.inv_ornt_aff(axes, array.shape)
    return Volume(Path(path), turned, affine @ to_old, stored)


def _centred_affine(shape: tuple[int, ...], size: np.ndarray, orientation: str) -> np.ndarray:
    """Return the affine of an image whose middle is the origin and whose axes run as told."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, letter in enumerate(orientation):
        world = next(i for i, pair in enumerate(('LR', 'PA', 'IS')) if letter in pair)
        affine[world, axis] = size[axis] * (1 if letter in 'RAS' else -1)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def background_value(array: np.ndarray) -> float | None:
    """Return the value outside the head: constant on the faces of the image, 0 or the minimum.

    Returns
    -------
    float or None
        None if the border is not constant, or constant at another value.

    Examples
    --------
    >>> image = np.full((5, 5, 5), -0.2, np.float32)
    >>> image[2, 2, 2] = 0.1
    >>> round(background_value(image), 3)
    -0.2
    """
    faces = [np.take(array, place, axis).ravel() for axis in range(3) for place in (0, -1)]
    border = np.concatenate(faces)
    values, counts = np.unique(border, return_counts=True)
    common = float(values[counts.argmax()])
    constant = counts.max() >= _CONSTANT_SHARE * border.size
    return common if constant and common in (0.0, float(array.min())) else None


def brain_from_background(array: np.ndarray, background: float) -> np.ndarray:
    """Derive a brain mask: what is not background, its largest piece, without holes.

    Parameters
    ----------
    array : (nx, ny, nz) float
    background : float

    Returns
    -------
    (nx, ny, nz) bool
        Only what is enclosed on all sides is a hole: filling slice by slice would add the
        cisterns, which lie between brain stem and temporal lobes.
    """
    pieces, count = ndimage.label(array != background)
    if count == 0:
        return np.zeros(array.shape, dtype=bool)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return ndimage.binary_fill_holes(pieces == sizes.argmax())


def guess_unit(chi: np.ndarray, brain: np.ndarray) -> tuple[str, float]:
    """Tell ppm from ppb by the size of the values in the brain.

    Returns
    -------
    unit : str
        ``ppm``, ``ppb``, or '' in between.
    p99 : float
        The 99th percentile of the absolute values.
    """
    p99 = float(np.percentile(np.abs(chi[brain]), 99))
    return 'ppm' if p99 <= SURELY_PPM else 'ppb' if p99 > SURELY_PPB else '', p99
