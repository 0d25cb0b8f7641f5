"""Where the image lies in the scanner, and so the direction of the main field."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qsmbids.plan.findings import Findings
from qsmbids.plan.images import Affine, ImageInfo
from qsmbids.plan.metadata import is_number
from qsmbids.plan.models import Decision, Source
from qsmbids.plan.sidecars import Sidecar

B0_KEYS = ('B0_dir', 'B0Direction')  # BIDS has no name for it; other programs use these
B0_TOLERANCE_DEG = 5.0
SCANNER_CODE = 1  # NIfTI form code: scanner coordinates, whose z axis is the field


def scanner_affine(image: ImageInfo, findings: Findings) -> tuple[Affine, str]:
    """Choose the form of the header that maps to scanner coordinates.

    Parameters
    ----------
    image : ImageInfo
        The first image of the scan.
    findings : Findings
        Receives FORMS_DIFFER (warning).

    Returns
    -------
    affine : (4, 4) nested tuples, mm
        The sform if it has code 1, else the qform if that has code 1, else what nibabel uses.
    form : str
        ``sform`` or ``qform``; '' when neither maps to scanner coordinates.
    """
    sform = image.sform_code == SCANNER_CODE
    qform = image.qform_code == SCANNER_CODE
    if image.sform_code and image.qform_code and not same_grid(image, image.sform, image.qform):
        used = 'sform' if sform or not qform else 'qform'
        findings.warning(
            'FORMS_DIFFER',
            f'sform and qform of {findings.relative(image.path)} disagree; the {used} is used.',
            'Programs differ in which one they read, so results may appear shifted or rotated.',
            'Write the scanner coordinates into both.',
            image.path,
        )
    if sform:
        return image.sform, 'sform'
    if qform:
        return image.qform, 'qform'
    return image.affine, ''


def same_grid(image: ImageInfo, one: Affine, two: Affine, tolerance: float = 0.1) -> bool:
    """Tell whether two affines put every corner of an image in the same place.

    Parameters
    ----------
    image : ImageInfo
        Gives the shape.
    one, two : (4, 4) float, mm
        The affines.
    tolerance : float, voxels
        Largest displacement of a corner, in units of the smallest voxel edge.
    """
    a, b = np.asarray(one), np.asarray(two)
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in image.grid_shape])).reshape(3, -1)
    shift = (a - b)[:3, :3] @ corners + (a - b)[:3, 3:]
    edge = voxel_size(one).min()
    return bool(np.sqrt((shift**2).sum(axis=0)).max() <= tolerance * edge)


def voxel_size(affine: Affine) -> np.ndarray:
    """Return the (3,) edge lengths of a voxel in mm."""
    return np.sqrt((np.asarray(affine)[:3, :3] ** 2).sum(axis=0))


def b0_direction(
    image: ImageInfo,
    sidecars: Mapping[Path, Sidecar],
    b0_dir: Sequence[float] | None,
    findings: Findings,
) -> tuple[Decision | None, Affine]:
    """Decide the direction of the main field in voxel axes.

    The command line comes first, then a sidecar's ``B0_dir``, then the header. With
    R = affine[:3, :3] / voxel size it is the third row of R, because the scanner's z axis
    is the field; this holds for scanner coordinates (form code 1) only.

    Parameters
    ----------
    image : ImageInfo
        The first image of the scan.
    sidecars : mapping of Path to Sidecar
        Merged metadata per file.
    b0_dir : (3,) float or None
        Given on the command line, in voxel axes.
    findings : Findings
        Receives NO_B0_DIRECTION (error), B0_DIRECTION_INVALID, B0_DIRECTION_CONFLICT,
        SHEARED_AFFINE, FORMS_DIFFER (warnings).

    Returns
    -------
    direction : Decision or None
        (3,) unit vector.
    affine : (4, 4) nested tuples, mm
        The affine of the scan.
    """
    affine, form = scanner_affine(image, findings)
    from_header = None
    if form:
        rotation = np.asarray(affine)[:3, :3] / voxel_size(affine)
        from_header = Decision(
            header_direction(affine), Source.HEADER, f'{form} with code {SCANNER_CODE}'
        )
        if np.abs(rotation.T @ rotation - np.eye(3)).max() > 0.01:
            findings.warning(
                'SHEARED_AFFINE',
                f'The axes of {findings.relative(image.path)} are not at right angles.',
                'The field direction in voxel axes is then only approximate.',
                'Use the image as it came from the scanner, not a resampled one.',
                image.path,
            )
    if b0_dir is not None:
        return Decision(unit_vector(b0_dir), Source.COMMAND_LINE, '--b0-dir'), affine

    from_sidecar = _sidecar_direction(sidecars, findings)
    if from_sidecar and from_header:
        cosine = abs(np.dot(from_sidecar.value, from_header.value))
        angle = math.degrees(math.acos(min(1.0, cosine)))
        if angle > B0_TOLERANCE_DEG:
            findings.warning(
                'B0_DIRECTION_CONFLICT',
                f'The field direction of the sidecar is {angle:.0f} degrees away from that of '
                'the header; the sidecar is used.',
                'A wrong direction gives wrong susceptibilities.',
                'Remove the wrong one, or give --b0-dir.',
                image.path,
            )
    decided = from_sidecar or from_header
    if decided is None:
        findings.error(
            'NO_B0_DIRECTION',
            f'{findings.relative(image.path)} is not in scanner coordinates (sform code '
            f'{image.sform_code}, qform code {image.qform_code}).',
            'The direction of the main field, which every susceptibility map needs, cannot be '
            'told from such a header.',
            'Use images as the scanner gave them (form code 1), or give --b0-dir X Y Z in voxel '
            'axes.',
            image.path,
        )
    return decided, affine


def header_direction(affine: Affine) -> tuple[float, float, float]:
    """Return the z axis of an affine's coordinates, as a unit vector in voxel axes."""
    return unit_vector(np.asarray(affine)[2, :3] / voxel_size(affine))


def _sidecar_direction(sidecars: Mapping[Path, Sidecar], findings: Findings) -> Decision | None:
    for sidecar in sidecars.values():
        for key in B0_KEYS:
            value = sidecar.values.get(key)
            if value is None:
                continue
            origin = findings.relative(sidecar.origin[key])
            try:
                return Decision(unit_vector(value), Source.SIDECAR, f'{key} in {origin}')
            except ValueError:
                findings.warning(
                    'B0_DIRECTION_INVALID',
                    f'{key} in {origin} is {value!r} and is not used.',
                    'It must hold three numbers, not all zero.',
                    'Correct it.',
                    sidecar.origin[key],
                )
    return None


def unit_vector(vector: Any) -> tuple[float, float, float]:
    """Normalise a direction.

    Raises
    ------
    ValueError
        Unless it holds three numbers that are not all zero.
    """
    if (
        not isinstance(vector, list | tuple | np.ndarray)
        or len(vector) != 3
        or not all(is_number(v) for v in vector)
        or not any(vector)
    ):
        raise ValueError(f'A direction needs three numbers, not all zero; got {vector!r}.')
    norm = math.sqrt(sum(float(v) ** 2 for v in vector))
    return tuple(round(float(v) / norm, 6) + 0.0 for v in vector)
