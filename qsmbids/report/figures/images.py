"""Images as the figures need them: in RAS order, cropped to the head, in millimetres.

Files may be stored in any orientation (LPI, sagittal, flipped). Each is brought to the
closest RAS order first, by swapping and flipping axes only, so that "left" on a figure is
the subject's left whatever the storage order was, and no value is interpolated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np

CROP_MARGIN_MM = 8.0
_HEAD_FRACTION = 0.1  # of the 99th percentile: what counts as head when there is no mask

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Volume:
    """An image whose axes run to the right, to the front and upwards.

    Parameters
    ----------
    data : (nx, ny, nz) float32
    voxel_size : (3,) float, mm
    affine : (4, 4) float
        Voxel indices to millimetres.
    """

    data: np.ndarray
    voxel_size: tuple[float, float, float]
    affine: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along each axis."""
        return self.data.shape

    def crop(self, box: Box) -> Volume:
        """Return the part inside a box of voxels."""
        return replace(self, data=self.data[box], affine=_moved(self.affine, box))

    def plane(self, axis: int, index: int) -> np.ndarray:
        """Return one slice with its first row at the bottom.

        Parameters
        ----------
        axis : int
            0 sagittal (front to the right), 1 coronal, 2 axial (right to the right).

        Returns
        -------
        (rows, columns) float32
        """
        return plane_of(self.data, axis, index)

    def extent(self, axis: int) -> tuple[float, float]:
        """Return width and height of such a slice in mm."""
        across, up = (i for i in range(3) if i != axis)
        return (
            self.shape[across] * self.voxel_size[across],
            self.shape[up] * self.voxel_size[up],
        )

    def position(self, axis: int, index: int) -> float:
        """Return where the centre of a slice lies along its axis, in mm."""
        centre = [(n - 1) / 2 for n in self.shape]
        centre[axis] = index
        return float((self.affine @ [*centre, 1.0])[axis])


class Stored:
    """An image file in closest RAS order, of which only what is asked for gets read.

    Parameters
    ----------
    path : Path
        NIfTI file.

    Raises
    ------
    ValueError
        If the image is not three-dimensional.
    """

    def __init__(self, path: Path) -> None:
        image = nib.load(path)
        # a view of the file; only of a compressed one everything is read
        values = image.dataobj.get_unscaled()
        if values.ndim == 4 and values.shape[3] == 1:
            values = values[..., 0]
        if values.ndim != 3:
            raise ValueError(
                f'{path} has {values.ndim} dimensions.\n'
                'A figure shows three-dimensional images.\n'
                'Give one volume per file.'
            )
        turn = nib.orientations.io_orientation(image.affine)
        self._affine = image.affine @ nib.orientations.inv_ornt_aff(turn, values.shape)
        self._values = nib.orientations.apply_orientation(values, turn)
        self._scaling = float(image.dataobj.slope), float(image.dataobj.inter)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along each axis, in RAS order."""
        return self._values.shape

    def read(self, box: Box = (slice(None),) * 3) -> Volume:
        """Read the part inside a box of voxels.

        Parameters
        ----------
        box : Box
            In RAS order; everything if absent.

        Returns
        -------
        Volume
            NaN and infinity are replaced by 0.
        """
        # a copy, in the order of the file: other orders jump through it
        data = np.array(self._values[box], dtype=np.float32, order='K')
        slope, inter = self._scaling
        if (slope, inter) != (1.0, 0.0):
            data = data * slope + inter
        known = np.isfinite(data)
        if not known.all():
            data[~known] = 0.0
        # a tilted affine is off by 1e-8, which would move boxes in mm by a whole voxel
        sizes = nib.affines.voxel_sizes(self._affine).round(5)
        return Volume(data, tuple(sizes.tolist()), _moved(self._affine, box))


def plane_of(data: np.ndarray, axis: int, index: int) -> np.ndarray:
    """Return one slice with its first row at the bottom.

    Parameters
    ----------
    data : (nx, ny, nz) array
    axis, index : int
        Which slice; axis 0 sagittal, 1 coronal, 2 axial.

    Returns
    -------
    (rows, columns) array
        A copy, so that the volume need not be kept.
    """
    return data[(slice(None),) * axis + (index,)].T.copy()


def direction_to_ras(direction: np.ndarray | tuple, affine: np.ndarray) -> np.ndarray:
    """Re-express a vector of the stored voxel axes in the axes of :class:`Stored`.

    Examples
    --------
    >>> direction_to_ras((0, 0, 1), np.diag([1.0, 1.0, -2.0, 1.0])).tolist()
    [0.0, 0.0, -1.0]
    """
    result = np.zeros(3)
    for value, (axis, flip) in zip(
        direction, nib.orientations.io_orientation(affine), strict=True
    ):
        result[int(axis)] = value * flip
    return result + 0.0  # no -0.0


class Images:
    """The files of one acquisition, loaded when asked for, all cropped to the same box.

    Only masks are kept, as every picture asks for them again and they take a byte a voxel; of
    the images a figure holds only what it draws, so that memory stays small.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self.files = {key: Path(path) for key, path in files.items() if Path(path).is_file()}
        self._box: Box | None = None
        self._shape: tuple[int, ...] = ()
        self._masks: dict[str, np.ndarray] = {}

    def __contains__(self, key: str) -> bool:
        return key in self.files

    def get(self, key: str) -> Volume:
        """Load an image, cropped to the head.

        Raises
        ------
        ValueError
            If it does not lie on the grid of the other images.
        """
        stored = Stored(self.files[key])
        if self._box is None:
            self._find_box()
        if stored.shape != self._shape:
            raise ValueError(
                f'{self.files[key].name} has shape {stored.shape}, the other images '
                f'{self._shape}.\nThey cannot be drawn on one another.\n'
                'All images of an acquisition must lie on its own grid.'
            )
        return stored.read(self._box)

    def mask(self, *keys: str) -> np.ndarray | None:
        """Return the first of these masks that exists, as bool, or None."""
        for key in keys:
            if key in self:
                if key not in self._masks:
                    self._masks[key] = self.get(key).data > 0
                    self._masks[key].setflags(write=False)  # shared by all pictures
                return self._masks[key]
        return None

    def _find_box(self) -> None:
        key = next((k for k in ('brain_mask', 'qsm_mask', 'rss', 'chi') if k in self), None)
        volume = Stored(self.files[key or next(iter(self.files))]).read()
        inside = volume.data > 0
        if key not in ('brain_mask', 'qsm_mask'):
            strength = np.abs(volume.data)
            inside = strength > _HEAD_FRACTION * np.percentile(strength, 99)
        self._shape = volume.shape
        self._box = bounding_box(inside, volume.voxel_size)


def bounding_box(
    inside: np.ndarray, voxel_size: tuple[float, float, float], margin_mm: float = CROP_MARGIN_MM
) -> Box:
    """Return the box of all true voxels with a margin; the whole image if there are none."""
    box = []
    for axis in range(3):
        hit = np.flatnonzero(inside.any(axis=tuple(i for i in range(3) if i != axis)))
        first, last = (hit[0], hit[-1]) if hit.size else (0, inside.shape[axis] - 1)
        margin = round(margin_mm / voxel_size[axis])
        box.append(slice(max(int(first) - margin, 0), min(int(last) + margin + 1,
                                                          inside.shape[axis])))  # fmt: skip
    return tuple(box)


def _moved(affine: np.ndarray, box: Box) -> np.ndarray:
    """Return the affine (4, 4) of the part of an image inside a box."""
    affine = np.array(affine, dtype=float)
    affine[:3, 3] += affine[:3, :3] @ [side.start or 0 for side in box]
    return affine
