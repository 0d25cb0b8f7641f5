"""Which region a point of the template belongs to: the labels that a simulated brain is built on.

By default these are the regions of the built-in atlas. To test registration, a person must not
be made of the very shapes that the atlas is made of; then any other label image in MNI152
millimetres takes their place. Only regions with an age curve get properties of their own; the
others (the cortex by gyrus, for instance) are named in the truth, and filled with tissue by
the tissue maps of the template.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from qsmbids.atlas.geometry import Label, label_table, label_volume, load_regions
from qsmbids.lifespan.prior import REGIONS
from qsmbids.phantom.sampling import nearest

_BUILTIN_STEP_MM = 0.75  # resolution of the built-in regions before they are warped


@dataclass(frozen=True, eq=False)
class LabelAnatomy:
    """Labelled regions in template space.

    Parameters
    ----------
    labels : (nx, ny, nz) int16
        Label index, 0 for none. Axes run to the right, the front and the top.
    origin_mm : (3,) float
        Centre of the first voxel, MNI152.
    step_mm : float
        Voxel size, the same along all axes.
    table : tuple of Label
        One row per label.
    curves : mapping of str to str
        Region (without hemisphere) to the age curve it follows, a name of
        ``lifespan.prior.REGIONS``. A region that is not in it has no curve.
    source : str
        Where the labels are from, as the end of a sentence: ``with the regions of ...``.
    licence : str
        Under which images that are made of the labels may be passed on.
    """

    labels: np.ndarray
    origin_mm: np.ndarray
    step_mm: float
    table: tuple[Label, ...]
    curves: Mapping[str, str]
    source: str = 'labelled regions of unknown origin'
    licence: str = 'unknown; that of the label image'

    def __post_init__(self) -> None:
        unknown = sorted(set(self.curves.values()) - set(REGIONS))
        if unknown:
            raise ValueError(
                f'there is no age curve for {", ".join(unknown)}.\n'
                'The curves set the susceptibility of a region at an age.\n'
                f'Use names of: {", ".join(REGIONS)}.'
            )
        known = {label.index for label in self.table}
        missing = sorted(set(np.unique(self.labels).tolist()) - known - {0})
        if missing:
            raise ValueError(
                f'the label image holds {missing[:5]}, which the label table does not name.\n'
                'A simulated person needs to know what every label is.\n'
                'Add these labels to the table, or remove them from the image.'
            )

    @property
    def size(self) -> int:
        """Length of a table that is indexed by label."""
        return max(label.index for label in self.table) + 1

    def at(self, points: np.ndarray) -> np.ndarray:
        """Return the label of each point, (3, n) mm to (n,) int16; 0 beyond the volume."""
        return nearest(self.labels, points, self.origin_mm, self.step_mm, outside=0)

    def curve(self, label: Label) -> str | None:
        """Return the age curve of a label, or None."""
        return self.curves.get(label.region)

    def kind(self, label: Label) -> str | None:
        """Return what kind of tissue a label is (the group of its curve), or None."""
        curve = self.curve(label)
        return None if curve is None else curve_kinds()[curve]


@cache
def builtin_anatomy() -> LabelAnatomy:
    """Draw the regions of the built-in atlas in the box that holds them."""
    lower, upper = np.array([region.bounding_box() for region in load_regions()]).swapaxes(0, 1)
    reach = max(-lower[:, 0].min(), upper[:, 0].max())  # the table holds the left side only
    start = np.floor([-reach, *lower[:, 1:].min(axis=0)])
    stop = np.ceil([reach, *upper[:, 1:].max(axis=0)])
    affine = np.diag([_BUILTIN_STEP_MM] * 3 + [1.0])
    affine[:3, 3] = start
    shape = tuple(int(n) + 1 for n in np.ceil((stop - start) / _BUILTIN_STEP_MM))
    own_curves = {region.name: region.name for region in load_regions()}
    return LabelAnatomy(
        label_volume(shape, affine), start, _BUILTIN_STEP_MM, label_table(), own_curves,
        source='the regions of the QSMLifespan atlas', licence='CC0',
    )  # fmt: skip


def read_label_anatomy(
    image: str | os.PathLike[str],
    table: str | os.PathLike[str],
    curves: Mapping[str, str] | None = None,
) -> LabelAnatomy:
    """Read a label image in MNI152 millimetres and its table.

    Parameters
    ----------
    image : path
        NIfTI with integers; any orientation along the axes, cubic voxels.
    table : path
        TSV with ``index`` and ``name``, and optionally ``region`` (name without hemisphere),
        ``abbreviation``, ``hemisphere`` (L, R or B), ``group`` and ``color``.
    curves : mapping of str to str, optional
        Region to age curve; by default each region that is named like a curve has it.

    Returns
    -------
    LabelAnatomy

    Raises
    ------
    ValueError
        If the voxels are oblique or not cubic, or image and table do not fit.
    """
    array, affine = read_canonical(Path(image))
    with open(table, encoding='utf-8', newline='') as stream:
        rows = list(csv.DictReader(stream, delimiter='\t'))
    labels = tuple(_label(row) for row in rows if int(row['index']) != 0)
    if curves is None:
        curves = {label.region: label.region for label in labels if label.region in REGIONS}
    return LabelAnatomy(
        np.ascontiguousarray(array.astype(np.int16)), affine[:3, 3], float(affine[0, 0]),
        labels, curves, source=f'the regions of {Path(image).name}',
    )  # fmt: skip


def read_canonical(image: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a label image with its axes to the right, the front and the top.

    Returns
    -------
    labels : (nx, ny, nz) array of the stored type
    affine : (4, 4) float
        Diagonal, with one voxel size.

    Raises
    ------
    ValueError
        If the voxels are oblique or not cubic.
    """
    import nibabel as nib

    loaded = nib.as_closest_canonical(nib.load(image))
    step = float(loaded.affine[0, 0])
    if not np.allclose(loaded.affine[:3, :3], step * np.eye(3), atol=1e-4):
        raise ValueError(
            f'{image} has voxels that are oblique or not cubic.\n'
            'Labels of a simulated person are read along the axes of the template.\n'
            'Resample the image to cubic voxels along these axes.'
        )
    return np.asanyarray(loaded.dataobj), np.asarray(loaded.affine, dtype=float)


def _label(row: Mapping[str, str]) -> Label:
    name = row['name']
    return Label(
        index=int(row['index']),
        name=name,
        abbreviation=row.get('abbreviation') or name,
        hemisphere=row.get('hemisphere') or 'B',
        group=row.get('group') or 'other',
        color=row.get('color') or '#808080',
        region=row.get('region') or name,
    )


@cache
def curve_kinds() -> dict[str, str]:
    """Return the kind of tissue of each age curve: deep grey, white matter and so on."""
    return {region.name: region.group for region in load_regions()}
