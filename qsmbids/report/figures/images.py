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
        affine = self.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ [side.start for side in box]
        return replace(self, data=np.ascontiguousarray(self.data[box]), affine=affine)

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
        return np.take(self.data, index, axis=axis).T

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


def load_volume(path: Path) -> Volume:
    """Read a NIfTI file in closest RAS order.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Volume
        NaN and infinity are replaced by 0.

    Raises
    ------
    ValueError
        If the image is not three-dimensional.
    """
    image = nib.as_closest_canonical(nib.load(path))
    data = np.asarray(image.dataobj, dtype=np.float32)
    if data.ndim == 4 and data.shape[3] == 1:
        data = data[..., 0]
    if data.ndim != 3:
        raise ValueError(
            f'{path} has {data.ndim} dimensions.\n'
            'A figure shows three-dimensional images.\n'
            'Give one volume per file.'
        )
    np.nan_to_num(data, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    zooms = tuple(float(z) for z in image.header.get_zooms()[:3])
    return Volume(data, zooms, np.asarray(image.affine, dtype=float))


def direction_to_ras(direction: np.ndarray | tuple, affine: np.ndarray) -> np.ndarray:
    """Re-express a vector of the stored voxel axes in the axes of :func:`load_volume`.

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

    Nothing is kept: a figure holds only what it draws, so that memory stays small.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self.files = {key: Path(path) for key, path in files.items() if Path(path).is_file()}
        self._box: Box | None = None
        self._shape: tuple[int, ...] = ()

    def __contains__(self, key: str) -> bool:
        return key in self.files

    def get(self, key: str) -> Volume:
        """Load an image, cropped to the head.

        Raises
        ------
        ValueError
            If it does not lie on the grid of the other images.
        """
        volume = load_volume(self.files[key])
        if self._box is None:
            self._find_box()
        if volume.shape != self._shape:
            raise ValueError(
                f'{self.files[key].name} has shape {volume.shape}, the other images '
                f'{self._shape}.\nThey cannot be drawn on one another.\n'
                'All images of an acquisition must lie on its own grid.'
            )
        return volume.crop(self._box)

    def mask(self, *keys: str) -> np.ndarray | None:
        """Return the first of these masks that exists, as bool, or None."""
        for key in keys:
            if key in self:
                return self.get(key).data > 0
        return None

    def _find_box(self) -> None:
        key = next((k for k in ('brain_mask', 'qsm_mask', 'rss', 'chi') if k in self), None)
        volume = load_volume(self.files[key or next(iter(self.files))])
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
