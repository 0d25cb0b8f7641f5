"""Whether the placed nuclei lie on the person's own iron.

A registration can fit the outline of a brain and still miss a nucleus by its own width. The
susceptibility map shows the truth where iron is: in it a nucleus stands out from its
surroundings. For each label that the template of that age shows clearly,

* its *shell* is what lies within `SHELL_MM` of it and in no other such label;
* the *midpoint* is half way between the person's mean in the label and in the shell;
* the *overlap* is the Dice between the label and the voxels of label and shell whose
  susceptibility is above the midpoint;
* the *contrast* is the person's difference of label and shell over that of the template.

The overlap is the mean over labels, the contrast the median. A label that the person does not
show (no positive contrast) counts as overlap 0, so that a failure is not left out. Whether a
label counts is asked of the template only: where iron is not expected yet, as in a small
child, both numbers are NaN. In noise the overlap is about 0.4 and the contrast about 0.

A map whose left and right are exchanged passes: the nuclei of a brain are nearly symmetric.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from qsmbids.atlas.dataset import AtlasFiles
from qsmbids.atlas.images import read_image, read_mask, voxel_size
from qsmbids.atlas.transforms import warp

SHELL_MM = 4.0
MIN_EXPECTED_PPM = 0.03  # contrast of a label in the template; less drowns in a real map's noise
MIN_VOXELS = 20


def deep_grey_agreement(
    transform: str, chi: Path, valid: Path, template: AtlasFiles
) -> dict[str, float]:
    """Compare placed iron-rich labels with the person's susceptibility.

    Parameters
    ----------
    transform : str
        Forward composite transform: resamples the scan onto the template.
    chi : Path
        Susceptibility of the person, ppm plus any constant.
    valid : Path
        Mask on the same grid.
    template : AtlasFiles

    Returns
    -------
    dict
        ``deep_grey_overlap`` and ``deep_grey_contrast``; see the head of this module.
    """
    expected, affine = read_image(template.chi)
    labels = np.rint(read_image(template.dseg)[0]).astype(np.int32)
    brain = read_mask(template.mask)[0]
    rounds = max(1, round(SHELL_MM / voxel_size(affine).mean()))
    nuclei = _candidates(labels, expected, brain, rounds)
    if not nuclei:
        return {'deep_grey_overlap': float('nan'), 'deep_grey_contrast': float('nan')}
    iron = np.isin(labels, list(nuclei))
    around = ndimage.find_objects(iron.astype(np.uint8))[0]
    box = tuple(slice(max(0, p.start - rounds), p.stop + rounds) for p in around)
    at = affine.copy()
    at[:3, 3] += affine[:3, :3] @ [part.start for part in box]
    shape = labels[box].shape
    image, native = read_image(chi)
    found = warp(image, native, shape, at, [transform])
    seen = warp(read_mask(valid)[0], native, shape, at, [transform]) > 0.5
    overlaps, contrasts = [], []
    for index, contrast in nuclei.items():
        label = labels[box] == index
        shell = ndimage.binary_dilation(label, iterations=rounds) & ~iron[box] & seen
        label &= seen
        if min(label.sum(), shell.sum()) < MIN_VOXELS:
            continue  # outside the scan
        inside, outside = float(found[label].mean()), float(found[shell].mean())
        contrasts.append((inside - outside) / contrast)
        above = found > (inside + outside) / 2
        both = 2 * (above & label).sum()
        total = label.sum() + (above & (label | shell)).sum()
        overlaps.append(both / total if inside > outside else 0.0)
    return {
        'deep_grey_overlap': float(np.mean(overlaps)) if overlaps else float('nan'),
        'deep_grey_contrast': float(np.median(contrasts)) if contrasts else float('nan'),
    }


def _candidates(
    labels: np.ndarray, chi: np.ndarray, brain: np.ndarray, rounds: int
) -> dict[int, float]:
    """Return the labels that the template shows clearly, with their contrast in ppm."""
    count = np.bincount(labels.ravel())
    means = np.bincount(labels.ravel(), chi.ravel()) / np.maximum(count, 1)
    above = means > float(np.median(chi[brain])) + MIN_EXPECTED_PPM
    bright = [i for i in np.flatnonzero(above & (count >= MIN_VOXELS)).tolist() if i]
    iron = np.isin(labels, bright)
    places = ndimage.find_objects(labels)
    found = {}
    for index in bright:
        box = tuple(slice(max(0, p.start - rounds), p.stop + rounds) for p in places[index - 1])
        label = labels[box] == index
        shell = ndimage.binary_dilation(label, iterations=rounds) & ~iron[box] & brain[box]
        contrast = float(chi[box][label].mean() - chi[box][shell].mean()) if shell.any() else 0.0
        if contrast >= MIN_EXPECTED_PPM:
            found[index] = contrast
    return found
