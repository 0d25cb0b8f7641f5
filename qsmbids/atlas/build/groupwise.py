"""One round of group-wise registration: from the maps of all people to the next average.

The average begins with linear maps only, and then takes turns with the deformable
registrations (`pairwise`): images are averaged through the maps of the round, and the average
is moved to the mean shape at once. Every image is interpolated once, from its own grid,
through all of its maps together. People whose registration failed are left out of the round.

References
----------
Avants BB, Yushkevich P, Pluta J, et al. NeuroImage 2010;49:2457-2466.
https://doi.org/10.1016/j.neuroimage.2009.09.062
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from qsmbids.atlas.build.average import RunningMoments, known_mean
from qsmbids.atlas.build.fields import displacement, write_displacement
from qsmbids.atlas.build.shape import (
    mean_stretch,
    shape_displacement,
    shape_update,
    unbiased_start,
)
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.images import read_image, read_mask, write_image
from qsmbids.atlas.transforms import warp


@dataclass(frozen=True)
class Member:
    """What a member of a group brings to an average: a person, or the average of a group."""

    label: str
    hybrid: Path
    brain: Path


@dataclass(frozen=True)
class Average:
    """An average image, its brain, and how it was moved to the mean shape.

    Parameters
    ----------
    hybrid, brain : Path
        The brain is where at least half of the members have theirs.
    update, inverse : Path or None
        Displacement fields: the first brings images from before the move to after it, and the
        other one back. None after the linear round.
    """

    hybrid: Path
    brain: Path
    update: Path | None = None
    inverse: Path | None = None


def check_enough(labels: Sequence[str], least: int, name: str) -> None:
    """Raise AtlasError if too few members are left.

    Parameters
    ----------
    labels : sequence of str
        Of the members whose registration worked.
    least : int
    name : str
        Of the group, for the message.
    """
    if len(labels) < least:
        raise AtlasError(
            f'only {len(labels)} registrations worked in {name}, of at least {least}.',
            'An average of fewer would not stand for its ages.',
            'Look at the people named above: magnitude, map and brain mask.',
        )


def linear_average(
    members: Sequence[Member], matrices: Mapping[str, np.ndarray], reference: Path,
    reference_brain: Path, folder: Path,
) -> tuple[Average, dict[str, np.ndarray]]:  # fmt: skip
    """Average the members through linear maps, in their mean size.

    Parameters
    ----------
    members : sequence of Member
        Those whose linear registration worked.
    matrices : mapping of str to (4, 4) float
        From the reference to each member, by label (RAS mm).
    reference, reference_brain : Path
        What they were registered to; its grid is taken.
    folder : Path
        For the images; it exists.

    Returns
    -------
    average : Average
    starts : dict of str to (4, 4) float
        From the average to each member.
    """
    brain, affine = read_mask(reference_brain)
    centre = affine[:3, :3] @ ndimage.center_of_mass(brain) + affine[:3, 3]
    stretch = mean_stretch([matrices[m.label] for m in members])
    starts = {m.label: unbiased_start(matrices[m.label], stretch, centre) for m in members}
    moments = RunningMoments(brain.shape)
    for member in members:
        image, at = read_image(member.hybrid)
        to_voxels = np.linalg.inv(at) @ starts[member.label] @ affine

        def moved(array: np.ndarray, to_voxels: np.ndarray = to_voxels) -> np.ndarray:
            return ndimage.affine_transform(
                array.astype(np.float32), to_voxels[:3, :3], to_voxels[:3, 3], brain.shape, order=1
            )

        moments.add(*known_mean(moved(image), moved(read_mask(member.brain)[0])))
    return _write(moments, len(members), affine, folder), starts


def next_average(
    members: Sequence[Member], forward: Mapping[str, Path], average: Average, folder: Path,
    step: float = 1.0,
) -> Average:  # fmt: skip
    """Average the members through the maps of a round and move the average to the mean shape.

    Parameters
    ----------
    members : sequence of Member
        Those whose registration worked.
    forward : mapping of str to Path
        Transform that brings images of each member to ``average``.
    average : Average
        What they were registered to.
    folder : Path
        For the images and fields; it exists.
    step : float, 0..1
        Of the move, see `qsmbids.atlas.build.shape.shape_update`.
    """
    brain, affine = read_mask(average.brain)
    shapes = (
        shape_displacement(
            displacement([str(forward[m.label])], brain.shape, affine), brain, affine
        )
        for m in members
    )
    update, inverse = shape_update(shapes, affine, step)
    update_file = write_displacement(folder / 'update.nii.gz', update, affine)
    inverse_file = write_displacement(folder / 'inverse.nii.gz', inverse, affine)
    moments = RunningMoments(brain.shape)
    for member in members:
        chain = [str(update_file), str(forward[member.label])]
        image, at = read_image(member.hybrid)
        native = read_mask(member.brain)[0]
        moments.add(
            *known_mean(*(warp(a, at, brain.shape, affine, chain) for a in (image, native)))
        )
    written = _write(moments, len(members), affine, folder)
    return Average(written.hybrid, written.brain, update_file, inverse_file)


def _write(moments: RunningMoments, n: int, affine: np.ndarray, folder: Path) -> Average:
    """Write the mean image within the majority of the brains."""
    brain = majority_mask(moments.n, n)
    hybrid = np.where(brain, moments.mean, 0).astype(np.float32)
    return Average(
        write_image(folder / 'average.nii', hybrid, affine),
        write_image(folder / 'average_brain.nii', brain.astype(np.float32), affine),
    )


def majority_mask(counts: np.ndarray, n: int) -> np.ndarray:
    """Return where at least half of n brains are, in one piece and without holes.

    Parameters
    ----------
    counts : (nx, ny, nz) int
    n : int
    """
    most = 2 * counts >= max(n, 1)
    pieces, number = ndimage.label(most)
    if number > 1:
        sizes = np.bincount(pieces.ravel())[1:]
        most = pieces == 1 + int(np.argmax(sizes))
    return ndimage.binary_fill_holes(most)
