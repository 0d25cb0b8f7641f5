"""Pre-flight checks of the image files: readable, on one grid, with sensible values."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from qsmbids.plan.echoes import EchoFiles
from qsmbids.plan.findings import Findings
from qsmbids.plan.images import ImageInfo
from qsmbids.plan.orientation import same_grid, voxel_size

_WHY_READABLE = 'A reconstruction needs the whole image.'
_IMAGE_FIXES = {
    'NOT_DOWNLOADED': 'Download it, for example with "datalad get" or "git annex get".',
    'EMPTY_FILE': 'Copy or convert the image again.',
    'NOT_NIFTI': 'Copy or convert the image again.',
    'TRUNCATED': 'Copy or convert the image again; a full disk is a common reason.',
    'UNSUPPORTED_TYPE': 'Save real numbers: magnitude and phase, or real and imaginary parts.',
    'BAD_DIMENSIONS': 'Use the three-dimensional images of the scan.',
}


def check_readable(images: Iterable[ImageInfo], findings: Findings) -> None:
    """Note files that cannot be used at all, by their problem (errors)."""
    by_problem: dict[str, list[ImageInfo]] = defaultdict(list)
    for image in images:
        if image.problem:
            by_problem[image.problem].append(image)
    for problem, bad in by_problem.items():
        findings.error(
            problem,
            f'{findings.listing(i.path for i in bad)} cannot be used: {bad[0].detail}.',
            _WHY_READABLE,
            _IMAGE_FIXES[problem],
            bad[0].path,
        )


def check_same_grid(images: Sequence[ImageInfo], findings: Findings) -> None:
    """Note SHAPE_MISMATCH, AFFINE_MISMATCH and BAD_AFFINE (errors)."""
    images = [image for image in images if not image.problem]
    bad = [image for image in images if not valid_affine(image.affine)]
    if bad:
        findings.error(
            'BAD_AFFINE',
            f'The header of {findings.listing(i.path for i in bad)} holds an impossible affine.',
            'Voxel size and orientation are unknown.',
            'Convert the image again.',
            bad[0].path,
        )
        return
    if not images:
        return
    usual = Counter(image.shape for image in images).most_common(1)[0][0]
    odd = [image for image in images if image.shape != usual]
    if odd:
        findings.error(
            'SHAPE_MISMATCH',
            f'{findings.listing(i.path for i in odd)}: {_size(odd[0].shape)} voxels, but '
            f'{_size(usual)} in the other images of the scan.',
            'All echoes, magnitude and phase, must lie on one grid.',
            'Convert the scan again; a slice may have been lost.',
            odd[0].path,
        )
    reference = next(image for image in images if image.shape == usual)
    moved = [
        image
        for image in images
        if image.shape == usual and not same_grid(reference, reference.affine, image.affine)
    ]
    if moved:
        findings.error(
            'AFFINE_MISMATCH',
            f'{findings.listing(i.path for i in moved)}: placed differently in space than '
            f'{findings.relative(reference.path)}.',
            'All echoes, magnitude and phase, must lie on one grid.',
            'Convert the scan again; do not register or reorient single echoes.',
            moved[0].path,
        )


def valid_affine(affine: Sequence[Sequence[float]]) -> bool:
    """Tell whether an affine maps voxels to a volume."""
    matrix = np.asarray(affine, dtype=float)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        return False
    volume = np.prod(voxel_size(matrix))
    return bool(volume > 0 and abs(np.linalg.det(matrix[:3, :3])) > 1e-3 * volume)


def check_values(
    pairs: Sequence[EchoFiles], images: Mapping[Path, ImageInfo], findings: Findings
) -> None:
    """Note MAGNITUDE_ZERO, ALL_NAN (errors), NANS and MAGNITUDE_NEGATIVE (warnings)."""
    for pair in pairs:
        for part, name in pair.parts.items():
            image = images[name.path]
            if image.problem:
                continue
            file = findings.relative(image.path)
            if image.n_not_finite == image.n_values:
                findings.error(
                    'ALL_NAN',
                    f'{file} holds no number at all, only NaN.',
                    _WHY_READABLE,
                    'Convert the image again.',
                    image.path,
                )
            elif image.n_not_finite:
                share = 100 * image.n_not_finite / image.n_values
                findings.warning(
                    'NANS',
                    f'{file} holds {image.n_not_finite} voxels that are NaN or infinite '
                    f'({share:.2g} %).',
                    'They count as zero; inside the head this leaves holes.',
                    'Find out which program wrote them.',
                    image.path,
                )
            if part in ('mag', 'real', 'imag') and image.low == image.high == 0:
                findings.error(
                    'MAGNITUDE_ZERO',
                    f'{file} is zero everywhere.',
                    'Without signal there is neither a mask nor a decay.',
                    'Convert or download the image again.',
                    image.path,
                )
            elif part == 'mag' and image.low < 0:
                findings.warning(
                    'MAGNITUDE_NEGATIVE',
                    f'{file} holds negative numbers (down to {image.low:g}).',
                    'A magnitude is never negative: the values may have overflowed, or the file '
                    'may hold something else.',
                    'Check that it is the magnitude.',
                    image.path,
                )


def _size(shape: Sequence[int]) -> str:
    return ' x '.join(str(n) for n in shape)
