"""Registering one head to an average: the linear start, and each deformable round.

Both images are hybrid images of the same contrast (`qsmbids.atlas.hybrid`), zero outside the
brain, so a deformable round compares them by local correlation. On two simulated heads at
2.5 mm it brought the deep grey nuclei to a Dice of 0.77, where mutual information stopped at
0.57 and the squared difference at 0.48. The linear start goes to another atlas, whose contrast
may differ, and uses mutual information.

A registration is judged before it is used: overlap of the brains, correlation of the images
inside, folding and change of volume. One that fails raises `RegistrationError`; the caller
leaves that person out and goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from qsmbids.atlas import ants_run
from qsmbids.atlas.coregister import read_matrix
from qsmbids.atlas.errors import RegistrationError
from qsmbids.atlas.images import read_image, read_mask, voxel_size, write_image
from qsmbids.atlas.registration_quality import MAX_FOLDED, VOLUME_RATIO, jacobian
from qsmbids.atlas.transforms import RAS_TO_LPS, warp

# far below what a working registration gives (benchmarks/build_atlas.py: 0.98 and 0.75)
MIN_DICE = 0.75
MIN_CORRELATION = 0.35
MARGIN_MM = 5.0  # around the average brain: where images are compared
RIM_MM = 5.0  # left out of the correlation: the edge of two masks looks alike
SYN_STEP = 0.2  # gradient step of SyN, voxels
SAMPLING = 0.25  # fraction of voxels that linear stages look at
LINEAR_ITERATIONS, LINEAR_LEVELS_MM = (200, 100), (8, 5)
REFINE_ITERATIONS, REFINE_LEVELS_MM = (50, 30), (6, 4)
# coarse to fine; a level is left out if it is finer than the atlas
SYN_ITERATIONS, SYN_LEVELS_MM = (50, 30, 8, 5), (8.0, 4.0, 2.0, 1.0)


@dataclass(frozen=True)
class Pair:
    """Transforms between an average and a person.

    Parameters
    ----------
    forward, inverse : Path
        Bring images of the person to the average, and of the average to the person.
    quality : dict of str to float
        ``dice``, ``correlation``, ``volume_ratio``, ``folded``.
    """

    forward: Path
    inverse: Path
    quality: dict[str, float]


def register_linear(
    image: Path, mask: Path, fixed: Path, fixed_mask: Path, folder: Path,
    *, seed: int, threads: int = 1,
) -> np.ndarray:  # fmt: skip
    """Find the affine map from a reference brain to a person.

    Parameters
    ----------
    image, mask : Path
        Of the person, on one grid; zero outside the brain.
    fixed, fixed_mask : Path
        Of the reference, on another grid.
    folder : Path
        For the files of ANTs; it exists.
    seed, threads
        As in `qsmbids.atlas.register.register_to_template`.

    Returns
    -------
    (4, 4) float
        Maps world points of the reference to those of the person (RAS mm).

    Raises
    ------
    RegistrationError
        If the brains do not come to lie on each other.
    """
    size = float(voxel_size(read_image(fixed)[1]).mean())
    stage = {
        'sampling': SAMPLING, 'iterations': LINEAR_ITERATIONS,
        'levels_mm': LINEAR_LEVELS_MM, 'size_mm': size,
    }  # fmt: skip
    prefix = folder / 'linear_'
    ants_run.run(
        [
            *ants_run.start(prefix, f'[{fixed_mask},{mask},1]', seed),
            *ants_run.linear_stage('Rigid', fixed, image, **stage),
            *ants_run.linear_stage('Affine', fixed, image, **stage),
        ],
        threads,
    )
    brain, affine = read_mask(fixed_mask)
    dice = _dice(brain, _moved(mask, brain.shape, affine, f'{prefix}Composite.h5') >= 0.5)
    _check({'dice': dice}, image)
    return read_matrix(prefix)


def register_to_average(
    image: Path, mask: Path, average: Path, average_mask: Path, start: np.ndarray, folder: Path,
    *, last: bool, seed: int, threads: int = 1,
) -> Pair:  # fmt: skip
    """Register a person to the current average: affine from a start, then SyN.

    Parameters
    ----------
    image, mask : Path
        Hybrid image and brain of the person, on one grid.
    average, average_mask : Path
        Of the group, on another grid.
    start : (4, 4) float
        Maps world points of the average to those of the person (RAS mm).
    folder : Path
        For the transforms; it exists.
    last : bool
        Whether the average is sharp enough for the finest level to be of use. Early rounds
        save that time.
    seed, threads
        As in `qsmbids.atlas.register.register_to_template`.

    Returns
    -------
    Pair

    Raises
    ------
    RegistrationError
        If ANTs fails or the result cannot be right.
    """
    brain, affine = read_mask(average_mask)
    size = float(voxel_size(affine).mean())
    levels = syn_levels(size, last=last)
    rounds = max(1, round(MARGIN_MM / size))
    region = write_image(
        folder / 'region.nii',
        ndimage.binary_dilation(brain, iterations=rounds).astype(np.float32), affine,
    )  # fmt: skip
    prefix = folder / 'to_average_'
    ants_run.run(
        [
            *ants_run.start(prefix, str(write_matrix(start, folder / 'start.mat')), seed),
            *ants_run.linear_stage(
                'Affine', average, image, sampling=SAMPLING, iterations=REFINE_ITERATIONS,
                levels_mm=REFINE_LEVELS_MM, size_mm=size,
            ),
            '--masks', '[NA,NA]',
            *ants_run.syn_stage(
                [ants_run.Metric('CC', average, image)], step=SYN_STEP,
                iterations=SYN_ITERATIONS[: len(levels)], levels_mm=levels, size_mm=size,
            ),
            '--masks', f'[{region},NA]',
        ],
        threads,
    )  # fmt: skip
    forward, inverse = Path(f'{prefix}Composite.h5'), Path(f'{prefix}InverseComposite.h5')
    quality = _quality(forward, image, mask, average, brain, affine)
    _check(quality, image)
    return Pair(forward, inverse, quality)


def syn_levels(size_mm: float, *, last: bool) -> tuple[float, ...]:
    """Return the levels of SyN down to the resolution of the atlas.

    Parameters
    ----------
    size_mm : float
        Voxel size of the average.
    last : bool
        Whether the finest level is worth its time.

    Examples
    --------
    >>> syn_levels(1.0, last=True), syn_levels(1.0, last=False), syn_levels(2.5, last=True)
    ((8.0, 4.0, 2.0, 1.0), (8.0, 4.0, 2.0), (8.0, 4.0, 2.0))
    """
    levels = []
    for level in SYN_LEVELS_MM:
        levels.append(level)
        if round(level / size_mm) <= 1:
            break
    return tuple(levels if last or len(levels) < 3 else levels[:-1])


def write_matrix(matrix: np.ndarray, path: Path) -> Path:
    """Write a linear map of world points (RAS mm) as a transform file of ANTs."""
    from qsmbids.atlas.light_ants import ants

    flip = np.eye(4)
    flip[:3, :3] = RAS_TO_LPS
    lps = flip @ matrix @ flip
    transform = ants.create_ants_transform(
        precision='float', dimension=3, transform_type='AffineTransform', matrix=lps[:3, :3],
        center=(0, 0, 0), translation=lps[:3, 3],
    )  # fmt: skip
    ants.write_transform(transform, str(path))
    return Path(path)


def _quality(
    forward: Path, image: Path, mask: Path, average: Path, brain: np.ndarray, affine: np.ndarray
) -> dict[str, float]:
    if not forward.is_file():
        return {'dice': float('nan')}
    warped = _moved(mask, brain.shape, affine, str(forward)) >= 0.5
    rounds = max(1, round(RIM_MM / voxel_size(affine).mean()))
    inside = ndimage.binary_erosion(brain & warped, iterations=rounds)
    first, second = read_image(average)[0], _moved(image, brain.shape, affine, str(forward))
    spread = inside.sum() > 1 and first[inside].std() > 0 and second[inside].std() > 0
    determinant = jacobian(str(forward), brain, affine)[0]
    return {
        'dice': _dice(brain, warped),
        'correlation': float(np.corrcoef(first[inside], second[inside])[0, 1]) if spread else 0.0,
        'volume_ratio': float(np.median(determinant)),
        'folded': float((determinant <= 0).mean()),
    }


def _moved(path: Path, shape: tuple[int, ...], affine: np.ndarray, transform: str) -> np.ndarray:
    array, at = read_image(path)
    return warp(array, at, shape, affine, [transform])


def _dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / max(1, one.sum() + other.sum()))


def _check(quality: dict[str, float], image: Path) -> None:
    """Raise RegistrationError if one of the numbers is outside its limit; NaN is."""
    limits = {
        'dice': (MIN_DICE, np.inf),
        'correlation': (MIN_CORRELATION, np.inf),
        'volume_ratio': VOLUME_RATIO,
        'folded': (-np.inf, MAX_FOLDED),
    }
    for name, value in quality.items():
        low, high = limits[name]
        if not low <= value <= high:
            raise RegistrationError(
                f'{image.name} does not fit onto the average ({name} = {value:.3g}; '
                f'limits {low:g} to {high:g}).',
                'It would blur the atlas.',
                'Look at magnitude, map and brain mask of this person.',
            )
