"""The brain of the template brought to a scan: a brain mask from registration.

A surface model of the magnitude can leak through thin bone or stop at a vein. The template
knows how a brain is shaped. Two registrations of the magnitude, skull included, to the
template of the brain alone:

1. *Find*: rigid and affine. The scan is cut to a rough mask grown by `ROUGH_MARGIN_MM`, so
   the brain is inside even where the rough mask is too small. The template's mask is warped
   back: the size and place of the brain.
2. *Fit*: rigid, affine and SyN (diffeomorphic). The scan is cut to that mask grown by
   `FOUND_MARGIN_MM`; from here on the rough mask has no say.

Skull does no harm because images are compared only in the template's brain and a margin
around it that is narrower than fluid and bone are thick, where the template is dark: scalp
lies beyond. The margins of the scan are wider than that of the template, so the edge at which
the scan is cut is hardly compared.

Place and size come from mutual information, whatever the contrast of the scan. The outline
comes from local cross-correlation: mutual information alone hardly feels a surface that lies
a millimetre too far outside everywhere, for the scan's grey value there is still a function
of the template's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from qsmbids.atlas import ants_run
from qsmbids.atlas.channels import structural_channel
from qsmbids.atlas.dataset import AtlasFiles
from qsmbids.atlas.errors import AtlasError, RegistrationError
from qsmbids.atlas.images import (
    read_image,
    read_mask,
    resample_isotropic,
    same_grid,
    voxel_size,
    write_image,
)
from qsmbids.atlas.registration_quality import (
    MAX_CENTRE_MM,
    MAX_FOLDED,
    MIN_FOV_COVERAGE,
    MIN_STRUCTURE_MATCH,
    RIM_MM,
    VOLUME_RATIO,
    correlation_ratio,
    jacobian,
)
from qsmbids.atlas.transforms import warp

WORKING_MM = 3.0  # resolution of the registration: the outline is smooth, its edge soft
LINEAR_ITERATIONS, LINEAR_LEVELS_MM, SAMPLING = (250, 100), (8, 5), 0.25
SYN_ITERATIONS, SYN_LEVELS_MM, SYN_STEP = (60, 40, 15), (8, 5, 3), 0.2
ROUGH_MARGIN_MM = 12.0  # a rough mask may be that much too small
FOUND_MARGIN_MM = 8.0  # what an affine registration may miss
COMPARED_MARGIN_MM = 4.0  # around the template brain: fluid and inner table, no scalp
_WHY = 'Without it the mask "atlas" would not be the brain.'
_FIX = 'Look at the magnitude: is it a head, the right way up? Use another --mask otherwise.'


@dataclass(frozen=True)
class PropagatedMask:
    """A brain mask from the template.

    Parameters
    ----------
    mask : Path
        1 in the brain, on the grid of the magnitude.
    quality : dict of str to float
        Numbers of `qsmbids.atlas.registration_quality` that need no brain mask of the scan,
        and ``dice_with_rough``, the overlap with the rough mask.
    """

    mask: Path
    quality: dict[str, float]


def propagate_brain_mask(
    *,
    magnitude: Path,
    rough_mask: Path,
    template: AtlasFiles,
    out: Path,
    seed: int | None = None,
    threads: int = 1,
) -> PropagatedMask:
    """Bring the brain mask of the template to a scan.

    Parameters
    ----------
    magnitude : Path
        GRE magnitude with skull, e.g. root sum of squares over the echoes.
    rough_mask : Path
        About where the brain is, on the same grid; see the head of this module.
    template : AtlasFiles
        Of the cohort; with ``t2starw`` or ``t1w``.
    out : Path
        The mask to write. The files in between go into its folder, which is made if absent.
    seed : int, optional
        Makes the result repeatable, with one thread.
    threads : int
        Threads of ITK; see `qsmbids.atlas.register`.

    Returns
    -------
    PropagatedMask

    Raises
    ------
    AtlasError
        If an input cannot be used.
    RegistrationError
        If ANTs fails, or if the result cannot be right: the anatomy does not match, the brain
        has an implausible size or place, the deformation is folded.

    Notes
    -----
    The mask has the outline that the template's mask has: here the brain with the fluid in
    its folds. What lies outside the scan's field of view is lost, nothing else.
    """
    image, affine = read_image(magnitude)
    rough = read_mask(rough_mask)[0]
    if not same_grid(rough_mask, magnitude):
        raise AtlasError(
            f'{rough_mask} and {magnitude} are not on the same grid.',
            'Magnitude and mask are used voxel by voxel.',
            'Give images of one acquisition.',
        )
    folder = Path(out).absolute().parent
    folder.mkdir(parents=True, exist_ok=True)
    target = _write_target(template, folder)
    brain = rough
    for name, margin in (('find', ROUGH_MARGIN_MM), ('fit', FOUND_MARGIN_MM)):
        brain, quality = _register(
            name, image, affine, brain, margin, target, folder, seed, threads
        )
        _check(quality)
    quality['dice_with_rough'] = float(2 * (brain & rough).sum() / (brain.sum() + rough.sum()))
    return PropagatedMask(write_image(Path(out), brain, affine), quality)


@dataclass(frozen=True)
class _Target:
    """What the scan is registered to."""

    brain: Path  # mask, on the working grid
    structure: Path
    region: Path  # where images are compared
    fine_brain: Path  # mask, on the template's own grid


def _write_target(template: AtlasFiles, folder: Path) -> _Target:
    """Write what the scan is registered to.

    The structure keeps its soft edge where it is resampled: cut at the mask it would be
    sharper than any scan, and the edge would be found half a voxel too far outside.
    """
    source = template.t2starw or template.t1w
    if source is None:
        raise AtlasError(
            'the template has neither a T2starw nor a T1w image.',
            'The brain can only be found by its anatomy.',
            'Add one of them to the atlas, or use another --mask.',
        )
    fine_brain, fine_affine = read_mask(template.mask)
    fine = np.where(fine_brain, read_image(source)[0], 0)
    structure, affine = resample_isotropic(
        fine / np.percentile(fine[fine_brain], 99), fine_affine, WORKING_MM
    )
    brain = resample_isotropic(fine_brain, fine_affine, WORKING_MM)[0] > 0.5
    region = _grown(brain, COMPARED_MARGIN_MM, affine)

    def write(name: str, array: np.ndarray) -> Path:
        return write_image(folder / f'fixed_{name}.nii', array.astype(np.float32), affine)

    return _Target(
        write('brain', brain), write('structure', structure), write('region', region),
        template.mask,
    )  # fmt: skip


def _grown(mask: np.ndarray, margin_mm: float, affine: np.ndarray) -> np.ndarray:
    """Add what lies within a distance."""
    return ndimage.distance_transform_edt(~mask, sampling=voxel_size(affine)) <= margin_mm


def _register(
    name: str, image: np.ndarray, affine: np.ndarray, brain: np.ndarray, margin_mm: float,
    target: _Target, folder: Path, seed: int | None, threads: int,
) -> tuple[np.ndarray, dict[str, float]]:  # fmt: skip
    """Register the surroundings of a mask to the template; return the brain found, and how."""
    channel = structural_channel(image, _grown(brain, margin_mm, affine), affine)
    moving = write_image(folder / f'{name}_head.nii', channel, affine)
    centre = write_image(folder / f'{name}_brain.nii', brain.astype(np.float32), affine)
    prefix = folder / f'{name}_'
    linear = {
        'sampling': SAMPLING, 'iterations': LINEAR_ITERATIONS,
        'levels_mm': LINEAR_LEVELS_MM, 'size_mm': WORKING_MM,
    }  # fmt: skip
    arguments = ants_run.start(prefix, f'[{target.brain},{centre},1]', seed)
    for kind in ('Rigid', 'Affine'):
        arguments += ants_run.linear_stage(kind, target.structure, moving, **linear)
        arguments += ['--masks', f'[{target.region},NA]']
    if name == 'fit':
        arguments += ants_run.syn_stage(
            [ants_run.Metric('CC', target.structure, moving)], step=SYN_STEP,
            iterations=SYN_ITERATIONS, levels_mm=SYN_LEVELS_MM, size_mm=WORKING_MM,
        )  # fmt: skip
        arguments += ['--masks', f'[{target.region},NA]']
    ants_run.run(arguments, threads)
    forward, inverse = f'{prefix}Composite.h5', f'{prefix}InverseComposite.h5'
    if not (Path(forward).is_file() and Path(inverse).is_file()):
        raise RegistrationError(
            f'registration left no transform in {folder}.',
            _WHY,
            'Look for messages of ANTs in the log, and for a full disk.',
        )
    fine, fine_affine = read_image(target.fine_brain)
    found = warp(fine, fine_affine, image.shape, affine, [inverse]) > 0.5
    return found, _measure(forward, target, channel, affine, brain)


def _measure(
    transform: str, target: _Target, channel: np.ndarray, affine: np.ndarray, start: np.ndarray
) -> dict[str, float]:
    """Return the numbers of `registration_quality` that need no brain mask of the scan."""
    brain, at = read_mask(target.brain)
    structure = read_image(target.structure)[0]
    seen = warp(np.ones(channel.shape), affine, brain.shape, at, [transform]) > 0.5
    rounds = max(1, round(RIM_MM / WORKING_MM))
    inside = ndimage.binary_erosion(brain & seen, iterations=rounds)
    moved = warp(channel, affine, brain.shape, at, [transform])
    determinant, centre = jacobian(transform, brain, at)
    started_at = (affine @ np.append(ndimage.center_of_mass(start), 1))[:3]
    return {
        'centre_distance_mm': float(np.linalg.norm(centre - started_at)),
        'fov_coverage': float(seen[brain].mean()),
        'structure_match': correlation_ratio(moved, structure, inside),
        'volume_ratio': float(np.median(determinant)),
        'folded_fraction': float((determinant <= 0).mean()),
    }


def _check(quality: dict[str, float]) -> None:
    """Raise RegistrationError if a registration cannot be right."""
    limits = {
        'centre_distance_mm': (-np.inf, MAX_CENTRE_MM, 'the brain was moved out of place'),
        'fov_coverage': (MIN_FOV_COVERAGE, np.inf, 'the scan hardly meets the template brain'),
        'structure_match': (MIN_STRUCTURE_MATCH, np.inf, 'the anatomy does not match'),
        'volume_ratio': (*VOLUME_RATIO, 'the size of the brain is implausible'),
        'folded_fraction': (-np.inf, MAX_FOLDED, 'the deformation is folded'),
    }
    for name, (low, high, meaning) in limits.items():
        if not low <= quality[name] <= high:  # NaN fails too
            raise RegistrationError(
                f'the template brain could not be fitted to the scan: {meaning} '
                f'({name} = {quality[name]:.3g}).',
                _WHY,
                _FIX,
            )
