"""The Allen Human Reference Atlas 3D as an age-specific susceptibility atlas.

The source is a label map of 141 structures at 0.5 mm in the space of the ICBM 2009b symmetric
template, which lies voxel for voxel on the 2009a symmetric template of nilearn. The steps:

1. Structures are merged into regions by their acronym (`qsmbids.atlas.allen_regions`) and told
   apart by the sign of x. The plane x = 0 belongs to neither side of a paired region.
2. A voxel of 1 mm gets the label that fills most of it (`qsmbids.atlas.majority`).
3. Corpus callosum and internal capsule are divided by stated rules.
4. Cortex and unspecific white matter are cut down to voxels that are at least half grey or
   white matter in the template; nothing outside the brain mask is kept.
5. Contrast: every region that has an age curve is drawn with it over the tissue of the template
   (`qsmbids.atlas.contrast`). Cortex, ventricles, cerebellum and brain stem are named only.

In the published file the value named FP (frontal pole) covers the paracingulate, the rostral and
the frontomarginal gyrus as well (PaCG, RoG, FMG have no voxel). The four identifiers of the
original fall on one number when stored in single precision, so they cannot be told apart.

References
----------
Ding SL, Royall JJ, Sunkin SM, et al. Comprehensive cellular-resolution atlas of the adult
human brain. J Comp Neurol 2016;524:3127-3481. https://doi.org/10.1002/cne.24080
(RRID SCR_017764, CC BY 4.0)
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qsmbids.atlas.allen_regions import (
    FIRST_MIDLINE_INDEX,
    allen_labels,
    allen_regions,
    divide,
    indices_of,
    region_of_acronym,
)
from qsmbids.atlas.contrast import Drawing, atlas_grid
from qsmbids.atlas.descriptions import Credits
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.images import read_image
from qsmbids.atlas.majority import majority
from qsmbids.atlas.writer import AtlasContent, cohort_bins, write_atlas

NAME = 'QSMLifespanAllen'
VERSION = '1.0.0'
IMAGE, NAMES = 'AllenAtlas.nii.gz', 'AllenAtlas.json'
ON_MIDLINE_MM = 1e-3
MIN_TISSUE = 0.5  # probability of grey or white matter below which cortex or white is cut
ORIGIN = (
    'Labels: Allen Human Reference Atlas 3D 2020, (c) Allen Institute for Brain Science, CC BY '
    '4.0, RRID SCR_017764; Ding SL, Royall JJ, Sunkin SM, Facer BAC, Lesnar P, Bernard A, Ng L, '
    'Lein ES; Ding et al. 2016, doi 10.1002/cne.24080. Changes made: structures merged into '
    'regions; split into left and right; resampled from 0.5 to 1 mm by majority; corpus callosum '
    'divided at y = 19 and y = -26 mm; internal capsule taken out of the forebrain white matter '
    'by its distance to the nuclei; cortex, cerebellum and unspecific white matter cut down to '
    'grey or white matter of the template; nothing kept outside its brain mask.'
)


@dataclass(frozen=True, eq=False)
class Conversion:
    """The source on the grid of the atlas.

    Parameters
    ----------
    labels : (nx, ny, nz) int16
        Indices of `qsmbids.atlas.allen_regions.allen_labels`.
    dropped_mm3 : dict of str to dict of str to int
        By reason, then by region: volume that the source names and the atlas does not.
    """

    labels: np.ndarray
    dropped_mm3: dict[str, dict[str, int]]


def write_allen_atlas(source_folder: Path, out: Path) -> Path:
    """Make the atlas QSMLifespanAllen.

    Parameters
    ----------
    source_folder : Path
        Holds ``AllenAtlas.nii.gz`` and ``AllenAtlas.json`` as published.
    out : Path
        The atlas goes into ``out/QSMLifespanAllen``.

    Returns
    -------
    Path
        ``out/QSMLifespanAllen``.

    Raises
    ------
    AtlasError
        If a file is missing, is not what it should be, or lies on another grid.

    Notes
    -----
    About 5 s for the labels and 2 s for each of the ten age bins.
    """
    return write_atlas(out, allen_content(source_folder), cohort_bins())


def allen_content(source_folder: Path) -> AtlasContent:
    """Convert the labels and say how they are drawn; see `write_allen_atlas`."""
    conversion = convert_labels(Path(source_folder))
    curves = {
        index: region.curve
        for region in allen_regions()
        if region.curve is not None
        for index in indices_of(region.name).values()
    }
    present = set(np.unique(conversion.labels).tolist())
    return AtlasContent(
        credits=Credits(
            name=NAME,
            version=VERSION,
            licence='CC BY 4.0',
            labels_origin=ORIGIN,
            label_authors=('Allen Institute for Brain Science (labels)',),
            label_references=('https://doi.org/10.1002/cne.24080',),
            acknowledge='Cite the Allen Human Reference Atlas (doi 10.1002/cne.24080, RRID '
            'SCR_017764) and the ICBM template (doi 10.1016/j.neuroimage.2010.07.033).',
            rrid='RRID:SCR_017764',
            facts={'NotLabelledCubicMillimetres': conversion.dropped_mm3},
        ),
        # a region of which nothing is left would be an empty row in every table
        labels=tuple(label for label in allen_labels() if label.index in present),
        drawing=Drawing(conversion.labels, {i: c for i, c in curves.items() if i in present}),
        first_midline=FIRST_MIDLINE_INDEX,
        sources={region.name: ' '.join(region.acronyms) for region in allen_regions()},
    )


def convert_labels(source_folder: Path) -> Conversion:
    """Bring the source to the grid of the atlas, in regions with sides.

    Raises
    ------
    AtlasError
        As `write_allen_atlas`.
    """
    values, affine = _read_source(source_folder / IMAGE)
    names = _read_names(source_folder / NAMES)
    grid = atlas_grid()
    fine = _regions_with_sides(values, affine, names, source_folder)
    labels = divide(majority(fine, affine, grid.labels.shape, grid.affine), grid.affine)

    dropped = {'in the plane x = 0, on neither side': _without_side(values, affine, names)}
    outside = ~grid.brain_mask & (labels > 0)
    dropped['outside the brain mask of the template'] = _volumes(labels, outside)
    labels[outside] = 0
    for tissue, probability in (('grey', grid.gm), ('white', grid.wm)):
        cut = [
            i for r in allen_regions() if r.tissue == tissue for i in indices_of(r.name).values()
        ]
        cut_away = np.isin(labels, cut) & (probability < MIN_TISSUE)
        dropped[f'less than half {tissue} matter in the template'] = _volumes(labels, cut_away)
        labels[cut_away] = 0
    return Conversion(labels, dropped)


def _without_side(values: np.ndarray, affine: np.ndarray, names: list[str]) -> dict[str, int]:
    """Measure what paired regions of the source have in the plane between the sides."""
    x = affine[0, 0] * np.arange(values.shape[0]) + affine[0, 3]
    area_mm2 = abs(float(affine[1, 1] * affine[2, 2]))  # the plane of the atlas is 1 mm thick
    counts = np.bincount(values[np.abs(x) <= ON_MIDLINE_MM].ravel(), minlength=len(names))
    volumes: dict[str, float] = {}
    for value in np.flatnonzero(counts):
        region = region_of_acronym().get(names[value])  # none: the background
        if region is not None and not region.midline:
            volumes[region.name] = volumes.get(region.name, 0) + counts[value] * area_mm2
    return {name: round(volume) for name, volume in volumes.items()}


def _volumes(labels: np.ndarray, where: np.ndarray) -> dict[str, int]:
    """Count the voxels (of 1 mm3) of each region in a part of the grid."""
    counts = np.bincount(labels[where], minlength=1)
    volumes: dict[str, int] = {}
    for label in allen_labels():
        if label.index < len(counts) and counts[label.index]:
            volumes[label.region] = volumes.get(label.region, 0) + int(counts[label.index])
    return volumes


def _read_source(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the label image with axes in the order and direction of RAS."""
    import nibabel as nib

    values, affine = read_image(path)
    image = nib.as_closest_canonical(nib.Nifti1Image(values.astype(np.uint8), affine))
    if np.abs(values - np.rint(values)).max() > 0 or values.max() > 255 or values.min() < 0:
        raise AtlasError(
            f'{path} does not hold whole numbers from 0 to 255.',
            'Each number stands for a structure of the Allen atlas.',
            'Fetch the atlas again with `qsmbids-atlas fetch`.',
        )
    return np.asarray(image.dataobj), np.asarray(image.affine)


def _read_names(path: Path) -> list[str]:
    """Return the acronym of each value of the image."""
    try:
        names = json.loads(path.read_text(encoding='utf-8'))['labels']
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError('labels is not a list of names')
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise AtlasError(
            f'{path} does not hold the names of the labels ({type(error).__name__}: {error}).',
            'The values of the image mean nothing without them.',
            'Fetch the atlas again with `qsmbids-atlas fetch`.',
        ) from None
    return names


def _regions_with_sides(
    values: np.ndarray, affine: np.ndarray, names: list[str], folder: Path
) -> np.ndarray:
    """Replace the values of the source by label indices; x = 0 has no side."""
    known = region_of_acronym()
    present = [int(value) for value in np.flatnonzero(np.bincount(values.ravel())) if value]
    unknown = [str(v) if v >= len(names) else names[v] for v in present
               if v >= len(names) or names[v] not in known]  # fmt: skip
    if unknown:
        raise AtlasError(
            f'{folder / IMAGE} holds structures that are not those of the Allen atlas: '
            f'{", ".join(unknown[:10])}.',
            'Every voxel has to end in a known region.',
            'Fetch the atlas again with `qsmbids-atlas fetch`.',
        )
    lookup = {side: np.zeros(256, dtype=np.int16) for side in 'LBR'}
    for value in present:
        for side, index in indices_of(known[names[value]].name).items():
            for place in 'LBR' if side == 'B' else side:
                lookup[place][value] = index
    x = affine[0, 0] * np.arange(values.shape[0]) + affine[0, 3]
    labelled = np.empty(values.shape, dtype=np.int16)
    for place, where in (
        ('L', x < -ON_MIDLINE_MM),
        ('B', np.abs(x) <= ON_MIDLINE_MM),
        ('R', x > ON_MIDLINE_MM),
    ):
        labelled[where] = lookup[place][values[where]]
    return labelled
