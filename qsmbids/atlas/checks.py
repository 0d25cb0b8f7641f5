"""Whether the images of an atlas fit together, and to the label table.

Left and right are told from the world coordinates of the labels. The origin of an atlas need
not lie in the middle of the head (some begin at a corner of the image), so the mid-plane is
found first: a pair of labels has it in the middle between its two centres. Where several pairs
share a region, every left label has to lie to the left of the right ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.geometry import Label
from qsmbids.atlas.images import read_image, same_grid

if TYPE_CHECKING:
    from qsmbids.atlas.dataset import AtlasFiles

MAX_CHI_PPM = 5.0  # a 99th percentile above this means ppb, not ppm
# the centre of the brain mask is the mid-plane only to within this, mm
MIDLINE_TOLERANCE_MM = 3.0


def check_images(files: AtlasFiles, labels: Sequence[Label]) -> None:
    """Check the images of one cohort.

    Parameters
    ----------
    files : AtlasFiles
    labels : sequence of Label

    Raises
    ------
    AtlasError
        If an image cannot be used (see `qsmbids.atlas.images.read_image`), grids differ,
        labels are not in the table or lie on the wrong side, or susceptibility is not in ppm.
    """
    for path in vars(files).values():
        if path is not None and not same_grid(path, files.chi):
            raise AtlasError(
                f'{path.name} and {files.chi.name} are not on the same grid.',
                'All images of a cohort are used voxel by voxel.',
                'Resample one of them.',
            )
    for path in (files.t1w, files.t2starw, files.chi_std, files.r2starmap):
        if path is not None:
            read_image(path)
    check_ppm(files.chi, read_image(files.chi)[0])
    mask, affine = read_image(files.mask)
    labelled = whole_numbers(files.dseg, read_image(files.dseg)[0])
    check_named(files.dseg, labelled, labels)
    wrong = on_wrong_side(label_centres(labelled, affine), labels, mask_centre_x(mask > 0, affine))
    if wrong:
        refuse_sides(files.dseg, wrong)


def check_ppm(path: Path, chi: np.ndarray) -> None:
    """Refuse a susceptibility map whose values, or whose sidecar, say another unit than ppm."""
    unit = _stated_unit(path)
    if np.percentile(np.abs(chi[chi != 0]), 99) > MAX_CHI_PPM or unit not in ('', 'ppm'):
        raise AtlasError(
            f'{path} says its unit is {unit}.'
            if unit not in ('', 'ppm')
            else f'{path} has values far above {MAX_CHI_PPM:g} ppm.',
            'Susceptibility is expected in ppm; these look like ppb.',
            'Divide the map by 1000 (and write "Units": "ppm" in its sidecar).',
        )


def _stated_unit(path: Path) -> str:
    try:
        sidecar = path.with_name(path.name.split('.nii')[0] + '.json').read_text(encoding='utf-8')
        return str(json.loads(sidecar).get('Units', '')).strip()
    except (OSError, ValueError, AttributeError):
        return ''  # no sidecar, or one that says nothing


def whole_numbers(path: Path, array: np.ndarray) -> np.ndarray:
    """Return a label image as int32; refuse one that was interpolated."""
    labels = np.rint(array)
    if np.abs(array - labels).max() > 1e-3:
        raise AtlasError(
            f'{path} holds values that are not whole numbers.',
            'Labels are names, not quantities; interpolation has mixed them.',
            'Give the original label image, or resample it with nearest neighbours.',
        )
    return labels.astype(np.int32)


def check_named(path: Path, labelled: np.ndarray, labels: Sequence[Label]) -> None:
    """Refuse a label image with values that the table does not name."""
    unnamed = sorted(set(np.unique(labelled).tolist()) - {0} - {label.index for label in labels})
    if unnamed:
        more = f' and {len(unnamed) - 20} more' if len(unnamed) > 20 else ''
        raise AtlasError(
            f'{path} holds labels that the table does not name: {unnamed[:20]}{more}.',
            'Regions are named from the table.',
            'Add the rows, or remove the labels.',
        )


def label_centres(labelled: np.ndarray, affine: np.ndarray) -> dict[int, np.ndarray]:
    """Return the centre of every label that is present, (3,) RAS mm."""
    present = [int(value) for value in np.unique(labelled) if value]
    centres = ndimage.center_of_mass(labelled > 0, labelled, present)
    return {
        index: affine[:3, :3] @ np.asarray(centre) + affine[:3, 3]
        for index, centre in zip(present, centres, strict=True)
    }


def mask_centre_x(mask: np.ndarray, affine: np.ndarray) -> float:
    """Return the x of the centre of a mask, mm: roughly the mid-plane of a brain."""
    centre = ndimage.center_of_mass(mask)
    return float(affine[0, :3] @ np.asarray(centre) + affine[0, 3])


def on_wrong_side(
    centres: Mapping[int, np.ndarray], labels: Sequence[Label], mask_x: float
) -> list[tuple[str, float]]:
    """Find labels of the left side that lie on the right, and the other way round.

    Parameters
    ----------
    centres : mapping of int to (3,) float, mm
        As `label_centres` gives them.
    labels : sequence of Label
    mask_x : float, mm
        Centre of the brain, for labels without a partner on the other side.

    Returns
    -------
    list of (name, x in mm from the mid-plane)
        The furthest first. A pair counts as exchanged when its left one lies to the right of
        its right one. If a region has several labels on the other side, a label is compared
        with their mean, and with the one of the same height and depth, its mirror image.

    Examples
    --------
    >>> left = Label(1, 'CaudateLeft', 'CN-L', 'L', '', '', 'Caudate')
    >>> on_wrong_side({1: np.array((12.0, 0.0, 0.0))}, [left], mask_x=0.0)
    [('CaudateLeft', 12.0)]
    """
    sided = [
        label for label in labels if label.hemisphere in ('L', 'R') and label.index in centres
    ]
    places: dict[tuple[str, str], list[np.ndarray]] = {}
    for label in sided:
        place = np.asarray(centres[label.index], float)
        places.setdefault((label.region, label.hemisphere), []).append(place)
    wrong = []
    for label in sided:
        own = np.asarray(centres[label.index], float)
        outward = -1 if label.hemisphere == 'L' else 1
        partners = places.get((label.region, 'R' if label.hemisphere == 'L' else 'L'))
        if partners is None:
            middles, tolerance = [mask_x], MIDLINE_TOLERANCE_MM
        else:
            # the mean alone would miss an exchanged pair near the middle beside one far from it
            mirror = min(partners, key=lambda place: np.linalg.norm((place - own)[1:]))
            opposite = (np.mean(partners, axis=0), mirror)
            middles, tolerance = [float(own[0] + place[0]) / 2 for place in opposite], 0.0
        inward = [float(own[0]) - m for m in middles if (m - own[0]) * outward > tolerance]
        if inward:
            wrong.append((label.name, inward[0]))
    return sorted(wrong, key=lambda found: -abs(found[1]))


def refuse_sides(path: Path, wrong: Sequence[tuple[str, float]]) -> None:
    """Raise AtlasError for the labels that `on_wrong_side` found."""
    name, x = wrong[0]
    more = f' and {len(wrong) - 1} more' if len(wrong) > 1 else ''
    raise AtlasError(
        f'the label {name}{more} lies on the wrong side in {path} '
        f'({abs(x):.0f} mm to the {"right" if x > 0 else "left"} of the middle).',
        'Left and right would be exchanged in every table.',
        'Correct the affine of the image, or the sides in the label table.',
    )
