"""The CIT168 subcortical atlas as an age-specific susceptibility atlas.

The source holds the two most probable of 32 nuclei (16, left and right) in each voxel and their
probabilities, four bytes per voxel (`decode`). It lies in MNI152NLin2009cAsym; the templates of
this program lie in the 2009a *symmetric* space. The two differ by 0.5 mm on average over the
nuclei (1.1 mm at most). `TO_CIT168` takes that up: an affine found by registering the two
T1-weighted brains (``benchmarks/atlas_overlap.py --register``), which brings the nuclei a
little nearer to those of the Allen atlas (docs/atlas-allen.md). Probabilities are interpolated
with it once, and a voxel gets the most probable nucleus if its probability is at least 0.25.

CIT168 has no thalamus, no dentate nucleus, no hippocampus and no white matter. These regions are
taken from the geometry table of the built-in atlas; where the two overlap, CIT168 wins.

References
----------
Pauli WM, Nili AN, Tyszka JM. A high-resolution probabilistic in vivo atlas of human subcortical
brain nuclei. Sci Data 2018;5:180063. https://doi.org/10.1038/sdata.2018.63 (CC BY 4.0)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from qsmbids.atlas.builtin_texts import GEOMETRY_ORIGIN
from qsmbids.atlas.contrast import Drawing, atlas_grid
from qsmbids.atlas.descriptions import Credits
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.geometry import Label, label_table
from qsmbids.atlas.images import UNREADABLE
from qsmbids.atlas.writer import AtlasContent, cohort_bins, write_atlas
from qsmbids.lifespan.prior import REGIONS

NAME = 'QSMLifespanCIT168'
VERSION = '1.0.0'
IMAGE = 'CIT168toMNI152-2009c_prob.nii.gz'
MIN_PROBABILITY = 0.25
FIRST_MIDLINE_INDEX = 101

# RAS mm of the template to RAS mm of CIT168 (MNI152NLin2009cAsym)
TO_CIT168 = np.array([
    [0.99816, -0.00615, 0.00525, -0.180],
    [0.02636, 0.99996, 0.00129, 0.084],
    [-0.00325, 0.00096, 1.00308, -0.055],
    [0, 0, 0, 1],
])  # fmt: skip

# in the order of the source, which gives each nucleus two numbers: left odd, right even.
# name, abbreviation, group, age curve, colour; None: as in the built-in atlas
NUCLEI: tuple[tuple[str, str, str, str, str | None], ...] = (
    ('Putamen', 'PU', 'deep grey', 'Putamen', None),
    ('Caudate', 'CN', 'deep grey', 'Caudate', None),
    ('NucleusAccumbens', 'NAC', 'deep grey', 'NucleusAccumbens', None),
    ('ExtendedAmygdala', 'EXA', 'limbic', 'Amygdala', '#c9b037'),
    ('GlobusPallidusExternal', 'GPe', 'deep grey', 'GlobusPallidusExternal', None),
    ('GlobusPallidusInternal', 'GPi', 'deep grey', 'GlobusPallidusInternal', None),
    ('SubstantiaNigraCompacta', 'SNc', 'deep grey', 'SubstantiaNigra', '#8e5a86'),
    ('RedNucleus', 'RN', 'deep grey', 'RedNucleus', None),
    ('SubstantiaNigraReticulata', 'SNr', 'deep grey', 'SubstantiaNigra', '#c79bc2'),
    ('ParabrachialPigmentedNucleus', 'PBP', 'deep grey', 'CorticalGreyMatter', '#a1887f'),
    ('VentralTegmentalArea', 'VTA', 'deep grey', 'CorticalGreyMatter', '#bcaaa4'),
    ('VentralPallidum', 'VeP', 'deep grey', 'GlobusPallidusExternal', '#ef8a80'),
    ('Habenula', 'HN', 'thalamus', 'ThalamusMedian', '#7cb342'),
    ('Hypothalamus', 'HTH', 'deep grey', 'CorticalGreyMatter', '#90a4ae'),
    ('MammillaryNucleus', 'MN', 'deep grey', 'CorticalGreyMatter', '#607d8b'),
    ('SubthalamicNucleus', 'STN', 'deep grey', 'SubthalamicNucleus', None),
)
_REPLACED = 'SubstantiaNigra'  # of the built-in atlas: CIT168 has its two parts
_FORMAT_RGBA = 2304  # NIfTI data type of four bytes per voxel
ORIGIN = (
    'Labels: CIT168 subcortical nuclei, Pauli WM, Nili AN, Tyszka JM; Pauli et al. 2018, doi '
    '10.1038/sdata.2018.63; CC BY 4.0. Changes made: moved from MNI152NLin2009cAsym to the '
    'template of this atlas by an affine; the most probable nucleus where its probability is at '
    f'least {MIN_PROBABILITY}; regions that CIT168 does not have (thalamus, dentate nucleus, '
    'hippocampus, amygdala, white matter, ventricle) added where CIT168 has no label. Those are '
    f'from the built-in atlas. {GEOMETRY_ORIGIN}'
)


def write_cit168_atlas(source_folder: Path, out: Path) -> Path:
    """Make the atlas QSMLifespanCIT168.

    Parameters
    ----------
    source_folder : Path
        Holds ``CIT168toMNI152-2009c_prob.nii.gz`` in the coding of `decode`.
    out : Path
        The atlas goes into ``out/QSMLifespanCIT168``.

    Returns
    -------
    Path
        ``out/QSMLifespanCIT168``.

    Raises
    ------
    AtlasError
        If the file is missing or has another coding.
    """
    return write_atlas(out, cit168_content(Path(source_folder)), cohort_bins())


def cit168_content(source_folder: Path) -> AtlasContent:
    """Convert the labels and say how they are drawn; see `write_cit168_atlas`."""
    first, second, affine = decode(source_folder / IMAGE)
    grid = atlas_grid()
    nuclei = place_nuclei(first, second, affine, grid.labels.shape, grid.affine)
    labels, added = cit168_labels()
    volume = np.zeros(grid.labels.shape, dtype=np.int16)
    for label, index in added.items():
        volume[grid.labels == label] = index
    volume = np.where((nuclei > 0) & grid.brain_mask, nuclei, volume).astype(np.int16)

    curves_of = {name: curve for name, _, _, curve, _ in NUCLEI} | {r: r for r in REGIONS}
    present = set(np.unique(volume).tolist())
    curves = {
        label.index: curves_of[label.region]
        for label in labels
        if label.group != 'ventricle' and label.index in present
    }
    from_cit168 = {name for name, *_ in NUCLEI}
    return AtlasContent(
        credits=Credits(
            name=NAME,
            version=VERSION,
            licence='CC BY 4.0',
            labels_origin=ORIGIN,
            label_authors=('Pauli WM, Nili AN, Tyszka JM (nuclei)',
                           'Allen Institute for Brain Science (other regions)'),
            label_references=('https://doi.org/10.1038/sdata.2018.63',
                              'https://doi.org/10.1002/cne.24080'),
            acknowledge='Cite CIT168 (doi 10.1038/sdata.2018.63), the Allen Human Reference Atlas '
            '(doi 10.1002/cne.24080) and the ICBM template '
            '(doi 10.1016/j.neuroimage.2010.07.033).',
        ),
        labels=tuple(label for label in labels if label.index in present),
        drawing=Drawing(volume, curves),
        first_midline=FIRST_MIDLINE_INDEX,
        sources={b.region: 'CIT168' if b.region in from_cit168 else 'built-in' for b in labels},
    )  # fmt: skip


def cit168_labels() -> tuple[tuple[Label, ...], dict[int, int]]:
    """Return all labels, and the new index of each label taken from the built-in atlas.

    Nuclei keep the numbers of CIT168 (1 to 32); regions of the built-in atlas follow.
    """
    builtin = {label.region: label for label in label_table()}
    labels = []
    for number, (name, short, group, _, color) in enumerate(NUCLEI):
        for place, (side, word) in enumerate((('L', 'Left'), ('R', 'Right'))):
            labels.append(
                Label(
                    2 * number + 1 + place, name + word, f'{short}-{side}', side, group,
                    color or builtin[name].color, name,
                )
            )  # fmt: skip
    covered = {name for name, *_ in NUCLEI} | {_REPLACED}
    added: dict[int, int] = {}
    paired, midline = 2 * len(NUCLEI), FIRST_MIDLINE_INDEX - 1
    for old in label_table():
        if old.region in covered:
            continue
        if old.hemisphere == 'B':
            index = midline = midline + 1
        else:
            index = paired = paired + 1
        added[old.index] = index
        labels.append(
            Label(
                index, old.name, old.abbreviation, old.hemisphere, old.group, old.color, old.region
            )
        )
    return tuple(labels), added


def decode(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read the quads of the source.

    Parameters
    ----------
    path : Path
        NIfTI with four bytes per voxel, as the data type RGBA or as a last axis of length
        four: number of the most probable nucleus (0: none), number of the second, probability
        of the first, probability of the second; probabilities from 0 to 255.

    Returns
    -------
    first, second : (2, nx, ny, nz) float32
        Number of the nucleus, and its probability from 0 to 1.
    affine : (4, 4) float
        Voxel indices to RAS millimetres.

    Raises
    ------
    AtlasError
        If the file cannot be read, has another coding, or numbers that are not of CIT168.
    """
    import nibabel as nib

    try:
        image = nib.load(path)
        content = np.asarray(image.dataobj)
    except UNREADABLE as error:
        raise AtlasError(
            f'{path} cannot be read as an image ({error}).',
            'It holds the nuclei of CIT168.',
            'Fetch the atlas again with `qsmbids-atlas fetch`.',
        ) from None
    if int(image.header['datatype']) == _FORMAT_RGBA:
        quads = np.stack([content[channel] for channel in 'RGBA'], axis=-1)
    else:
        quads = content
    quads = quads.reshape(*quads.shape[:3], -1) if quads.ndim > 3 else quads[..., None]
    if quads.shape[-1] != 4 or quads.dtype != np.uint8 or quads[..., :2].max() > 2 * len(NUCLEI):
        raise AtlasError(
            f'{path} is not coded as expected (type {quads.dtype}, {quads.shape[-1]} values per '
            'voxel).',
            'Four bytes per voxel are expected: two numbers of nuclei from 1 to '
            f'{2 * len(NUCLEI)}, and their probabilities.',
            'Fetch the atlas again with `qsmbids-atlas fetch`.',
        )
    numbers, probabilities = quads[..., :2].astype(np.float32), quads[..., 2:] / np.float32(255)
    first = np.stack([numbers[..., 0], probabilities[..., 0]])
    second = np.stack([numbers[..., 1], probabilities[..., 1]])
    return first, second, np.asarray(image.affine, dtype=float)


def place_nuclei(
    first: np.ndarray,
    second: np.ndarray,
    source_affine: np.ndarray,
    shape: tuple[int, ...],
    affine: np.ndarray,
    to_source: np.ndarray = TO_CIT168,
) -> np.ndarray:
    """Bring the nuclei to another grid.

    Parameters
    ----------
    first, second : (2, nx, ny, nz) float32
        As `decode` returns them.
    source_affine : (4, 4) float
    shape : (3,) int
    affine : (4, 4) float
        Grid of the result, in the space of the template.
    to_source : (4, 4) float
        Template millimetres to those of CIT168.

    Returns
    -------
    (mx, my, mz) int16
        Number of the most probable nucleus where its probability, interpolated linearly, is at
        least 0.25; otherwise 0.
    """
    to_voxels = np.linalg.inv(source_affine) @ to_source @ affine
    result = np.zeros(shape, dtype=np.int16)
    best = np.full(shape, np.nextafter(np.float32(MIN_PROBABILITY), np.float32(0)), np.float32)
    for number in range(1, 2 * len(NUCLEI) + 1):
        probability = np.where(first[0] == number, first[1], 0)
        probability += np.where(second[0] == number, second[1], 0)
        if not probability.any():
            continue
        box = _box_around(probability, to_voxels, shape)
        offset = to_voxels[:3, :3] @ [s.start for s in box] + to_voxels[:3, 3]
        size = tuple(s.stop - s.start for s in box)
        placed = ndimage.affine_transform(probability, to_voxels[:3, :3], offset, size, order=1)
        wins = placed > best[box]
        result[box][wins] = number
        best[box][wins] = placed[wins]
    return result


def _box_around(
    probability: np.ndarray, to_voxels: np.ndarray, shape: tuple[int, ...]
) -> tuple[slice, ...]:
    """Return the part of the target grid that a nucleus can reach."""
    found = ndimage.find_objects((probability > 0).astype(np.uint8))[0]
    limits = [(s.start - 1, s.stop) for s in found]
    corners = np.stack(np.meshgrid(*limits), axis=-1).reshape(-1, 3) - to_voxels[:3, 3]
    corners = corners @ np.linalg.inv(to_voxels[:3, :3]).T
    low = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, shape)
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 1, low, shape)
    return tuple(slice(a, b) for a, b in zip(low, high, strict=True))
