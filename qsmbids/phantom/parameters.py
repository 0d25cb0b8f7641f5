"""What is simulated and how it is scanned, and the grids that follow from it.

Four frames are used. *Slab* millimetres run along the array axes (x to the right, y to the
front, z to the top) with the origin in the middle of the field of view. *Head* millimetres
have the same origin; the subject lies in the slab as ``head_rotation_deg`` says. *Scanner*
millimetres are the slab turned by the oblique angle; B0 is their z axis. *Template*
millimetres (MNI152) are what the subject's warp leads to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from qsmbids.qsm.grid import Grid

GAMMA_MHZ_PER_T = 42.577478  # proton gyromagnetic ratio / 2 pi
# the slab is turned about this axis: mostly a nod, a little roll, as radiographers do
_OBLIQUE_AXIS = (0.95, math.sqrt(1 - 0.95**2), 0.0)


@dataclass(frozen=True, kw_only=True)
class PhantomParameters:
    """Scan protocol and sources of imperfection.

    Raises
    ------
    ValueError
        If a value makes no physical sense.

    Examples
    --------
    >>> PhantomParameters(voxel_size_mm=2).shape
    (96, 112, 96)
    """

    voxel_size_mm: float | tuple[float, float, float] = 1.5  # of the data
    field_of_view_mm: tuple[float, float, float] = (192.0, 224.0, 192.0)  # holds a large head
    oversampling: int = 2  # fine voxels per data voxel along each axis
    orientation: str = 'LAS'  # storage order of the first axis: LAS or RAS
    oblique_deg: float = 8.0  # angle by which the slab is turned in the scanner
    oblique_axis: tuple[float, float, float] = _OBLIQUE_AXIS  # about this axis
    # the head in the slab, turned about the slab's x, then y, then z axis
    head_rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    field_strength_t: float = 3.0
    echo_times_s: tuple[float, ...] = (0.004, 0.009, 0.014, 0.019, 0.024)
    repetition_time_s: float = 0.030
    flip_angle_deg: float = 15.0
    snr: float = 60.0  # mean brain magnitude of echo 1 / noise SD of the real part; inf = none
    phase_offset_rad: float = 4.0  # scale of the receive phase; 0 = none
    bias: float = 0.25  # relative size of the transmit and receive bias; 0 = none
    warp_mm: float = 3.0  # SD of the displacement of one control point
    # greatest displacement in the brain beyond what an affine map explains; sets the size of
    # the warp instead of warp_mm
    warp_max_mm: float | None = None
    subject_sd: float = 0.05  # relative SD of a region's chi around its age curve
    texture: float = 1.0  # 1 = mild variation within tissues, 0 = piecewise constant
    lesions: bool = False  # a calcification and a microbleed in the white matter
    seed: int = 1
    scan: int = 0  # number of this scan of the subject: another noise and receive phase

    def __post_init__(self) -> None:
        voxel = np.broadcast_to(np.asarray(self.voxel_size_mm, dtype=float), (3,))
        times = tuple(float(t) for t in self.echo_times_s)
        object.__setattr__(self, 'voxel_size_mm', tuple(float(h) for h in voxel))
        object.__setattr__(self, 'echo_times_s', times)
        _require(min(voxel) > 0, 'voxel_size_mm', voxel, 'positive')
        _require(min(self.field_of_view_mm) > 0, 'field_of_view_mm', self.field_of_view_mm,
                 'positive')  # fmt: skip
        _require(self.oversampling >= 1, 'oversampling', self.oversampling, '1 or more')
        _require(self.orientation in ('LAS', 'RAS'), 'orientation', self.orientation,
                 'LAS or RAS')  # fmt: skip
        _require(bool(times) and min(times) > 0 and max(times) < self.repetition_time_s,
                 'echo_times_s', times, 'seconds between 0 and the repetition time')  # fmt: skip
        _require(list(times) == sorted(set(times)), 'echo_times_s', times, 'ascending')
        _require(self.field_strength_t > 0, 'field_strength_t', self.field_strength_t, 'positive')
        _require(self.snr > 0, 'snr', self.snr, 'positive')
        _require(self.warp_max_mm is None or self.warp_max_mm >= 0, 'warp_max_mm',
                 self.warp_max_mm, 'not negative')  # fmt: skip
        _require(any(self.oblique_axis), 'oblique_axis', self.oblique_axis, 'not all zero')

    @property
    def imaging_frequency_mhz(self) -> float:
        """Larmor frequency, which is also the number of Hz per ppm."""
        return GAMMA_MHZ_PER_T * self.field_strength_t

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the data: the field of view, rounded up to even numbers."""
        return tuple(
            2 * math.ceil(fov / h / 2 - 1e-9)
            for fov, h in zip(self.field_of_view_mm, self.voxel_size_mm, strict=True)
        )

    @property
    def fine_voxel_size_mm(self) -> tuple[float, float, float]:
        """Voxel size of the grid on which the physics happens."""
        return tuple(h / self.oversampling for h in self.voxel_size_mm)

    @property
    def slab_to_scanner(self) -> np.ndarray:
        """Rotation (3, 3) from slab to scanner axes, by Rodrigues' formula."""
        angle = math.radians(self.oblique_deg)
        x, y, z = np.asarray(self.oblique_axis, dtype=float) / np.linalg.norm(self.oblique_axis)
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross

    @property
    def head_to_slab(self) -> np.ndarray:
        """Rotation (3, 3) from head to slab axes."""
        if not any(self.head_rotation_deg):
            return np.eye(3)
        return Rotation.from_euler('xyz', self.head_rotation_deg, degrees=True).as_matrix()

    @property
    def affine(self) -> np.ndarray:
        """Data voxel indices to scanner millimetres, (4, 4)."""
        to_slab = np.eye(4)
        for axis, centres in enumerate(self.axes_mm()):
            to_slab[axis, axis] = centres[1] - centres[0]
            to_slab[axis, 3] = centres[0]
        turn = np.eye(4)
        turn[:3, :3] = self.slab_to_scanner
        return turn @ to_slab

    @property
    def grid(self) -> Grid:
        """Grid of the data; its B0 direction follows from the affine."""
        return Grid.from_affine(self.shape, self.affine)

    def axes_mm(self, *, fine: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the voxel centres along each array axis in slab millimetres.

        Parameters
        ----------
        fine : bool
            Of the fine grid instead of the data grid. Both cover the same volume, so a
            data voxel is exactly a block of ``oversampling`` cubed fine voxels.
        """
        factor = self.oversampling if fine else 1
        axes = []
        for n, h in zip(self.shape, self.voxel_size_mm, strict=True):
            step = h / factor
            axes.append((np.arange(n * factor) - (n * factor - 1) / 2) * step)
        if self.orientation == 'LAS':
            axes[0] = -axes[0]
        return tuple(axes)


def _require(condition: bool, name: str, value: object, wanted: str) -> None:
    if not condition:
        raise ValueError(
            f'{name} is {value}.\nThe phantom cannot be simulated with it.\n'
            f'Give a value that is {wanted}.'
        )
