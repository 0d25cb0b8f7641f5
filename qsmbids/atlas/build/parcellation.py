"""The labels of a new atlas: carried in from another one, with what was drawn laid over them.

Precedence, the first one that claims a voxel wins:

1. regions drawn on the new templates (``--deep-grey``);
2. deep grey matter and thalamus of the atlas that labels are carried from;
3. its other regions.

A drawn region replaces the carried one of the same name altogether: what the carried one has
outside the drawn border is cleared. Levels 2 and 3 are brought over apart from one another, so
that a small nucleus does not lose its edge voxels to the large region around it. Each level is
interpolated once (``genericLabel``).

Because all cohorts share one space, there is one label image for all of them.

References
----------
Zhang Y, et al. NeuroImage 2018;171:176-189 (an existing parcellation, deep grey matter drawn on
the susceptibility template, merged).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from qsmbids.atlas.dataset import AtlasFiles
from qsmbids.atlas.errors import AtlasError, RegistrationError
from qsmbids.atlas.geometry import Label
from qsmbids.atlas.images import read_image, same_grid
from qsmbids.atlas.import_labels import LabelRow, read_label_table
from qsmbids.atlas.register import register_to_template
from qsmbids.atlas.sides import plain, side_of_column, sides_of_names
from qsmbids.atlas.transforms import warp

DEEP_GREY_GROUPS = ('deep grey', 'thalamus')
FINE_MM = 1.5  # an atlas of this resolution or finer is worth the slowest registration
_TABLES = ('.tsv', '.txt', '.csv')
_GREY = '#808080'


def carry_labels(
    files: dict[str, Path], source: AtlasFiles, labels: Sequence[Label], folder: Path,
    *, seed: int, threads: int = 1,
) -> tuple[np.ndarray, dict[str, float]]:  # fmt: skip
    """Bring the labels of another atlas to the common space.

    Parameters
    ----------
    files : dict of str to Path
        ``t2starw``, ``chi``, ``mask`` and perhaps ``t1w`` of one cohort in the common space.
    source : AtlasFiles
        Cohort of the other atlas, of about the same age.
    labels : sequence of Label
        Its label table.
    folder : Path
        For the transforms.
    seed, threads
        As in `qsmbids.atlas.register.register_to_template`.

    Returns
    -------
    labels : (nx, ny, nz) int32
    quality : dict of str to float
        Of the registration.

    Raises
    ------
    RegistrationError
        If the registration fails, or no label arrives.
    """
    image, affine = read_image(files['chi'])
    size = float(np.cbrt(abs(np.linalg.det(affine[:3, :3]))))
    registration = register_to_template(
        magnitude=files['t2starw'], chi=files['chi'], mask=files['mask'], template=source,
        t1w=None if source.t2starw else files.get('t1w'), out_dir=folder,
        preset='precise' if size <= FINE_MM else 'standard', seed=seed, threads=threads,
    )  # fmt: skip
    dseg, dseg_affine = read_image(source.dseg)
    deep = [label.index for label in labels if label.group in DEEP_GREY_GROUPS]
    is_deep = np.isin(np.rint(dseg).astype(int), deep)
    layers = []
    for chosen in (~is_deep, is_deep):
        layer = np.where(chosen, dseg, 0)
        moved = warp(layer, dseg_affine, image.shape, affine, registration.inverse, 'genericLabel')
        layers.append(np.rint(moved).astype(np.int32))
    merged = np.where(layers[1] > 0, layers[1], layers[0])
    if not merged.any():
        raise RegistrationError(
            f'no label of {source.dseg.name} arrived on the new templates.',
            'The registration placed that atlas outside them.',
            'Look at the templates, or carry the labels of another atlas (--labels-from).',
        )
    return merged, dict(registration.quality)


def read_drawn(path: Path, grid: Path) -> tuple[np.ndarray, tuple[LabelRow, ...]]:
    """Read regions that were drawn on the new templates.

    Parameters
    ----------
    path : Path
        Label image; a table of the same name (.tsv, .txt or .csv) says what its numbers mean,
        see `qsmbids.atlas.import_labels.read_label_table`.
    grid : Path
        Image in the common space.

    Returns
    -------
    drawn : (nx, ny, nz) int32
    rows : tuple of LabelRow

    Raises
    ------
    AtlasError
        If there is no table, a label is not named, or the image has another grid.
    """
    table = table_of(path)
    drawn = np.rint(read_image(path)[0]).astype(np.int32)
    if not same_grid(path, grid):
        raise AtlasError(
            f'{path.name} is not on the grid of the new templates.',
            'Drawn regions are taken over voxel by voxel.',
            'Draw them on a template of a first build, made with the same settings.',
        )
    rows = read_label_table(table)
    unnamed = sorted(set(np.unique(drawn).tolist()) - {0} - {row.index for row in rows})
    if unnamed:
        raise AtlasError(
            f'{path.name} holds labels that {table.name} does not name: {unnamed[:20]}.',
            'Regions are named from the table.',
            'Add the rows, or remove the labels.',
        )
    return drawn, rows


def table_of(path: Path) -> Path:
    """Return the label table that lies beside a label image.

    Raises
    ------
    AtlasError
        If there is none.
    """
    stem = path.name.split('.nii')[0]
    table = next((t for end in _TABLES if (t := path.with_name(stem + end)).is_file()), None)
    if table is None:
        raise AtlasError(
            f'there is no label table {stem}.tsv beside {path}.',
            'The drawn regions are named from it.',
            'Add a table with the columns index and name.',
        )
    return table


def merge_labels(
    carried: np.ndarray, labels: Sequence[Label], drawn: np.ndarray, rows: Sequence[LabelRow]
) -> tuple[np.ndarray, tuple[Label, ...], tuple[str, ...]]:
    """Lay drawn regions over carried ones.

    Parameters
    ----------
    carried : (nx, ny, nz) int
    labels : sequence of Label
        Table of the carried labels.
    drawn : (nx, ny, nz) int
    rows : sequence of LabelRow
        Table of the drawn ones. One with the name (or region and side) of a carried label
        takes its place and its index; another one keeps its own index if it is free, else gets
        the next free one.

    Returns
    -------
    merged : (nx, ny, nz) int32
    table : tuple of Label
        Carried rows in their order, then new ones.
    notes : tuple of str
        What was replaced, added and renumbered.

    Examples
    --------
    >>> old = Label(1, 'PutamenLeft', 'PU-L', 'L', 'deep grey', '#f28e2b', 'Putamen')
    >>> merged, table, notes = merge_labels(
    ...     np.array([[[1, 1, 0, 0]]]), [old],
    ...     np.array([[[0, 7, 7, 0]]]), [LabelRow(7, 'PutamenLeft')])
    >>> merged.tolist(), notes
    ([[[0, 1, 1, 0]]], ('PutamenLeft is the drawn one',))
    """
    known_as = {plain(label.name): label for label in labels}
    known_as |= {(plain(label.region), label.hemisphere): label for label in labels}
    table, notes = list(labels), []
    merged = carried.astype(np.int32, copy=True)
    placed = []
    sides = sides_of_names(row.name for row in rows)
    for row, (side, bare) in zip(rows, sides, strict=True):
        sided = (plain(row.region or bare), side_of_column(row.hemisphere) or side or 'B')
        known = known_as.get(plain(row.name)) or known_as.get(sided)
        if known is not None:
            merged[carried == known.index] = 0
            placed.append((row.index, known.index))
            notes.append(f'{known.name} is the drawn one')
            continue
        label = _label(row, side, bare)
        taken = {existing.index for existing in table}
        if label.index in taken:
            label = replace(label, index=max(taken) + 1)
            notes.append(f'{row.name} was number {row.index} and is {label.index}: it was taken')
        else:
            notes.append(f'{row.name} is new')
        table.append(label)
        placed.append((row.index, label.index))
    for old, new in placed:  # after all clearing
        merged[drawn == old] = new
    return merged, tuple(table), tuple(notes)


def _label(row: LabelRow, side_of_name: str, bare: str) -> Label:
    side = side_of_column(row.hemisphere)
    if side is None:
        raise AtlasError(
            f'the hemisphere "{row.hemisphere}" of {row.name} is none of L, R and B.',
            'Left and right are compared in the tables.',
            'Correct the label table of the drawn regions.',
        )
    return Label(
        row.index, row.name, row.abbreviation or row.name, side or side_of_name or 'B',
        row.group or DEEP_GREY_GROUPS[0], row.color or _GREY, row.region or bare,
    )  # fmt: skip
