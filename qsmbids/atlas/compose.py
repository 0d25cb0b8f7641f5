"""Joining the pieces of a registration into one transform file for each direction.

A point of the template goes through the displacement fields, the last refinement first, and
then through the affine map into the scan. The way back takes the inverse pieces in the
opposite order. Both are written as one composite file, so that an image is interpolated once
whatever the number of pieces; a field of a small box keeps its fine grid without making the
whole file large.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qsmbids.atlas.errors import RegistrationError


@dataclass(frozen=True)
class Pieces:
    """What antsRegistration writes without ``--write-composite-transform``."""

    affine: Path
    warp: Path
    inverse_warp: Path


def pieces_of(prefix: Path) -> Pieces:
    """Find the files of a run that has linear stages (or a start) and SyN.

    Raises
    ------
    RegistrationError
        If one of them is missing.
    """
    names = ('0GenericAffine.mat', '1Warp.nii.gz', '1InverseWarp.nii.gz')
    found = [Path(f'{prefix}{name}') for name in names]
    if not all(path.is_file() for path in found):
        raise RegistrationError(
            f'registration left no transform in {prefix.parent}.',
            'Nothing can be brought to or from the template.',
            'Look for messages of ANTs in the log, and for a full disk.',
        )
    return Pieces(*found)


def join(
    affine: Path, fields: Sequence[tuple[Path, Path]], forward: Path, inverse: Path
) -> tuple[str, str]:
    """Write the two composite transforms of a registration.

    Parameters
    ----------
    affine : Path
        Maps points of the template to points of the scan.
    fields : sequence of (warp, inverse warp)
        On grids of the template, in the order in which they were found: the first is the
        nearest to the scan.
    forward, inverse : Path
        Files to write, ``.h5``: ``forward`` resamples the scan onto the template.

    Returns
    -------
    forward, inverse : str
    """
    from qsmbids.atlas.light_ants import ants

    def field(path: Path) -> ants.ANTsTransform:
        return ants.transform_from_displacement_field(ants.image_read(str(path)))

    linear = ants.read_transform(str(affine))
    # ants.compose_ants_transforms: the first of the list is applied to a point first
    there = [*(field(warp) for warp, _ in reversed(fields)), linear]
    back = [linear.invert(), *(field(warp) for _, warp in fields)]
    for transforms, path in ((there, forward), (back, inverse)):
        ants.write_transform(ants.compose_ants_transforms(transforms), str(path))
    return str(forward), str(inverse)
