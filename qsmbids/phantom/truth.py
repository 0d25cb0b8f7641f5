"""What is true of each region: the numbers that a reconstruction is compared with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qsmbids.atlas.geometry import Label
from qsmbids.lifespan.prior import chi_at_age
from qsmbids.phantom.anatomy import Anatomy
from qsmbids.phantom.parameters import PhantomParameters

WHOLE_BRAIN = 'WholeBrain'


@dataclass(frozen=True)
class RegionTruth:
    """True susceptibility of one region; ppm relative to cerebrospinal fluid."""

    index: int  # label, 0 = whole brain
    name: str
    abbreviation: str
    hemisphere: str  # L, R or B
    group: str
    n_voxels: int  # on the data grid
    volume_mm3: float  # on the fine grid
    chi_data_ppm: float  # mean over the region's voxels of the data grid
    chi_fine_ppm: float  # mean over the region itself, on the fine grid
    chi_curve_ppm: float  # age curve, without the subject's own deviation; NaN without curve


def data_labels(fine_labels: np.ndarray, factor: int) -> np.ndarray:
    """Give each data voxel the label that most of its fine voxels have.

    Parameters
    ----------
    fine_labels : (f*nx, f*ny, f*nz) int16
    factor : int

    Returns
    -------
    (nx, ny, nz) int16
        0 where no label or background prevails; a tie goes to the label met first.
    """
    nx, ny, nz = (n // factor for n in fine_labels.shape)
    blocks = fine_labels.reshape(nx, factor, ny, factor, nz, factor)
    touched = np.zeros((nx, ny, nz), dtype=bool)
    touched[tuple(i // factor for i in np.nonzero(fine_labels))] = True
    members = blocks.transpose(0, 2, 4, 1, 3, 5)[touched].reshape(-1, factor**3)
    votes = (members[:, :, None] == members[:, None, :]).sum(axis=2)
    labels = np.zeros((nx, ny, nz), dtype=np.int16)
    labels[touched] = members[np.arange(len(members)), votes.argmax(axis=1)]
    return labels


def region_truth(
    anatomy: Anatomy,
    chi: np.ndarray,
    labels: np.ndarray,
    brain_mask: np.ndarray,
    parameters: PhantomParameters,
) -> tuple[RegionTruth, ...]:
    """Measure every region in the truth itself.

    Parameters
    ----------
    anatomy : Anatomy
        On the fine grid.
    chi, labels, brain_mask : (nx, ny, nz) arrays
        On the data grid.
    parameters : PhantomParameters

    Returns
    -------
    tuple of RegionTruth
        The whole brain, then every label of the anatomy; NaN where a region has no voxel.
    """
    table, size = anatomy.regions.table, anatomy.regions.size
    n_data, chi_data = _means(labels, chi, size)
    n_fine, chi_fine = _means(anatomy.labels, anatomy.chi_ppm, size)
    fine_volume = float(np.prod(parameters.fine_voxel_size_mm))
    rows = [
        RegionTruth(
            0, WHOLE_BRAIN, 'WB', 'B', 'brain',
            int(brain_mask.sum()),
            float(anatomy.brain.sum()) * fine_volume,
            float(chi[brain_mask].mean(dtype=float)),
            float(anatomy.chi_ppm[anatomy.brain].mean(dtype=float)),
            float('nan'),
        )
    ]  # fmt: skip
    rows += [
        RegionTruth(
            label.index, label.name, label.abbreviation, label.hemisphere, label.group,
            int(n_data[label.index]),
            float(n_fine[label.index]) * fine_volume,
            float(chi_data[label.index]),
            float(chi_fine[label.index]),
            _curve_value(anatomy, label),
        )
        for label in table
    ]  # fmt: skip
    return tuple(rows)


def _curve_value(anatomy: Anatomy, label: Label) -> float:
    curve = anatomy.regions.curve(label)
    return float('nan') if curve is None else float(chi_at_age(curve, anatomy.age))


def _means(labels: np.ndarray, values: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Count and mean of the values under each label."""
    inside = labels > 0
    index = labels[inside]
    count = np.bincount(index, minlength=size)
    total = np.bincount(index, weights=values[inside], minlength=size)
    mean = np.divide(total, count, out=np.full(size, np.nan), where=count > 0)
    return count, mean
