"""What a picture of an atlas shows: the images of an age bin and the planes worth seeing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from qsmbids.atlas.cohorts import Cohort
from qsmbids.atlas.dataset import Atlas
from qsmbids.atlas.geometry import Label
from qsmbids.atlas.import_images import read_ras

PLANES = (2, 1, 0)  # axial, coronal, sagittal
_MARGIN_MM = 6.0


@dataclass(frozen=True, eq=False)
class Row:
    """Images of one age bin in RAS order, cut to the brain."""

    cohort: Cohort
    chi: np.ndarray
    structural: np.ndarray | None
    structural_name: str
    labelled: np.ndarray
    mask: np.ndarray
    affine: np.ndarray
    slices: dict[int, int]  # axis to voxel

    def extent(self, axis: int) -> tuple[float, float]:
        """Return width and height of a plane in mm."""
        size = np.linalg.norm(self.affine[:3, :3], axis=0) * self.chi.shape
        across, up = [i for i in range(3) if i != axis]
        return float(size[across]), float(size[up])

    def position(self, axis: int) -> float:
        """Return the place of a plane along its axis in mm."""
        voxel = (np.array(self.chi.shape) - 1) / 2
        voxel[axis] = self.slices[axis]
        return float(self.affine[axis, :3] @ voxel + self.affine[axis, 3])

    def plane(self, volume: np.ndarray, axis: int) -> np.ndarray:
        """Cut a plane, first index upwards."""
        return np.take(volume, self.slices[axis], axis=axis).T


def read_rows(atlas: Atlas, cohorts: Sequence[Cohort]) -> list[Row]:
    """Read the images of age bins, cut them to the brain and choose the planes.

    Raises
    ------
    AtlasError
        If an image cannot be used.
    """
    rows = [_read_row(atlas, cohort) for cohort in cohorts]
    # iron is highest in the oldest: what is deep grey there is looked for at every age
    wanted = _deep_grey(atlas.labels, rows[-1].chi, rows[-1].labelled)
    return [replace(row, slices=_slices(row.labelled, wanted, atlas.labels)) for row in rows]


def _read_row(atlas: Atlas, cohort: Cohort) -> Row:
    files = atlas.files(cohort.label)
    mask = read_ras(files.mask)
    labelled = np.rint(read_ras(files.dseg).array).astype(np.int32)
    structural = files.t1w or files.t2starw
    brain = mask.array > 0.5
    margin = np.ceil(_MARGIN_MM / np.linalg.norm(mask.affine[:3, :3], axis=0)).astype(int)
    where = np.nonzero(brain | (labelled > 0))
    low = np.maximum([w.min() for w in where] - margin, 0)
    high = np.minimum([w.max() for w in where] + margin + 1, brain.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    affine = mask.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ low
    chi = read_ras(files.chi).array[box]
    return Row(
        cohort, chi, read_ras(structural).array[box] if structural else None,
        'T1w' if files.t1w else 'GRE magnitude', labelled[box], brain[box], affine,
        slices={},
    )  # fmt: skip


def _deep_grey(labels: Sequence[Label], chi: np.ndarray, labelled: np.ndarray) -> list[int]:
    """Return the deep grey labels; if no group says so, the quarter with the highest means."""
    present = set(np.unique(labelled).tolist())
    named = [b.index for b in labels if b.group == 'deep grey' and b.index in present]
    if named:
        return named
    known = [label.index for label in labels if label.index in present]
    counts = np.bincount(labelled.ravel(), minlength=max(known, default=0) + 1)
    sums = np.bincount(labelled.ravel(), chi.ravel(), minlength=len(counts))
    return sorted(known, key=lambda i: -sums[i] / counts[i])[: max(2, len(known) // 4)]


def _slices(
    labelled: np.ndarray, wanted: Sequence[int], labels: Sequence[Label]
) -> dict[int, int]:
    """Choose the slice in each direction that shows most of the regions wanted.

    A region counts by its area there, relative to its largest area in any slice, so that small
    nuclei count as much as large ones.
    """
    left = {label.index for label in labels if label.hemisphere == 'L'}
    chosen = {}
    for axis in range(3):
        some = [i for i in wanted if i in left] if axis == 0 else wanted
        along = np.moveaxis(labelled, axis, 0).reshape(labelled.shape[axis], -1)
        shown = np.zeros(len(along))
        for index in some or wanted:
            area = np.count_nonzero(along == index, axis=1)
            shown += area / max(area.max(), 1)
        chosen[axis] = int(shown.argmax()) if shown.any() else len(along) // 2
    return chosen
