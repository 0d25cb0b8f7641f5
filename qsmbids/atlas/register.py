"""Registration of a GRE scan to an atlas template with ANTs.

Three stages in one run of antsRegistration:

1. rigid, 2. affine: mutual information of the structural channel, started by laying the
   centres of the two brain masks on each other, so that a wrong origin in a header does no
   harm;
3. SyN (diffeomorphic): the structural channel plus a susceptibility channel, which shows
   the iron-rich nuclei that magnitude and T1w hardly show.

The structural channel is the GRE magnitude against the template's synthetic magnitude. If a
T1w image is given, it is first brought into the GRE's space by a rigid registration (its
affine is changed, it is not interpolated) and then leads all stages.

The susceptibility channel is the map plus an offset inside the brain mask and zero
outside. A map with zero mean must never be registered as it is: ANTs starts from the centre
of mass, and the total mass of such a map is zero.

World coordinates are those of the images' affines (RAS mm); ANTs' own LPS convention stays
inside its files. Everything runs on the template resampled to about the GRE's resolution.

Repeatability: with ``seed`` and one thread, the result is bit-identical in every process.
ITK reads its number of threads at its first call in a process, so ``threads`` works only if
no other ITK code ran before; set ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS in the parent to be
sure.

References
----------
Avants BB, Epstein CL, Grossman M, Gee JC. Symmetric diffeomorphic image registration with
cross-correlation. Med Image Anal 2008;12:26-41. https://doi.org/10.1016/j.media.2007.06.004
Zhang Y, Wei H, Cronin MJ, et al. Longitudinal atlas for normative human brain development
and aging over the lifespan using quantitative susceptibility mapping. NeuroImage
2018;171:176-189.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from qsmbids.atlas import ants_run
from qsmbids.atlas.channels import write_native_channels, write_template_channels
from qsmbids.atlas.coregister import coregister_t1w
from qsmbids.atlas.dataset import AtlasFiles
from qsmbids.atlas.errors import AtlasError, RegistrationError
from qsmbids.atlas.images import read_image, read_mask, same_grid, voxel_size, write_image
from qsmbids.atlas.registration_quality import check_quality, measure_quality

COARSEST_MM = 3.0  # the working grid is never coarser than this
MARGIN_MM = 4.0  # around the template brain: where SyN compares images


@dataclass(frozen=True, kw_only=True)
class RegistrationParameters:
    """Iterations of the stages, coarse to fine (engineering choices, tuned on the phantom).

    Levels are working resolutions in mm; each becomes the shrink factor nearest to it.
    """

    linear_iterations: tuple[int, ...]  # of the rigid and of the affine stage
    linear_levels_mm: tuple[float, ...]
    syn_iterations: tuple[int, ...]
    syn_levels_mm: tuple[float, ...]
    finest_mm: float  # the working grid is never finer than this
    sampling: float = 0.25  # fraction of voxels that the linear stages look at
    syn_step: float = 0.2  # gradient step of SyN, voxels
    chi_weight: float = 2.0  # of the susceptibility channel; the structural one has 1


PRESETS = {
    'fast': RegistrationParameters(
        linear_iterations=(250, 100),
        linear_levels_mm=(8, 5),
        syn_iterations=(60, 30),
        syn_levels_mm=(8, 5),
        finest_mm=2.0,
    ),
    'standard': RegistrationParameters(
        linear_iterations=(500, 250, 100),
        linear_levels_mm=(8, 5, 3),
        syn_iterations=(80, 50, 15),
        syn_levels_mm=(8, 5, 2),
        finest_mm=2.0,
    ),
    'precise': RegistrationParameters(
        linear_iterations=(1000, 500, 250),
        linear_levels_mm=(8, 5, 2),
        syn_iterations=(100, 80, 50, 20),
        syn_levels_mm=(8, 5, 2, 1),
        finest_mm=1.0,
    ),
}


@dataclass(frozen=True)
class Registration:
    """Transforms between a GRE scan and a template, and how good they are.

    Parameters
    ----------
    forward, inverse : list of str
        Transform files that bring images from the scan to the template, and from the
        template to the scan; none is to be inverted. Each list has one composite file.
    quality : dict of str to float
        See `qsmbids.atlas.registration_quality`.
    preset : str
    seed : int or None
    working_mm : float
        Voxel size of the grid that the registration worked on.
    gre_to_t1w : (4, 4) float or None
        Maps GRE world coordinates to those of the T1w image (RAS mm), if there was one.
    """

    forward: list[str]
    inverse: list[str]
    quality: dict[str, float]
    preset: str
    seed: int | None
    working_mm: float
    gre_to_t1w: np.ndarray | None = None


def register_to_template(
    *,
    magnitude: Path,
    chi: Path,
    mask: Path,
    template: AtlasFiles,
    out_dir: Path,
    chi_mask: Path | None = None,
    t1w: Path | None = None,
    preset: str = 'standard',
    seed: int | None = None,
    threads: int = 1,
) -> Registration:
    """Register a GRE scan to the template of its age.

    Parameters
    ----------
    magnitude : Path
        GRE magnitude, e.g. root sum of squares over the echoes; skull does no harm.
    chi : Path
        Susceptibility, ppm, any reference.
    mask : Path
        Brain mask. The images of the scan have one grid.
    template : AtlasFiles
        Of the cohort; with ``t2starw``, or with ``t1w`` if a T1w image is given.
    out_dir : Path
        For the transforms and the images in between; made if absent.
    chi_mask : Path, optional
        Where ``chi`` is valid; by default where it is not exactly zero.
    t1w : Path, optional
        T1-weighted image of the same person, with or without skull.
    preset : str
        ``fast``, ``standard`` or ``precise``.
    seed : int, optional
        Makes the result repeatable, with one thread.
    threads : int
        Threads of ITK; see the head of this module.

    Returns
    -------
    Registration

    Raises
    ------
    AtlasError
        If an input cannot be used.
    RegistrationError
        If ANTs fails, or if the result cannot be right: brains hardly overlap, anatomy
        does not match, the deformation is implausible.
    """
    _check_input(preset, magnitude, [chi, mask, *([chi_mask] if chi_mask else [])])
    parameters = PRESETS[preset]
    out_dir = Path(out_dir).absolute()
    out_dir.mkdir(parents=True, exist_ok=True)
    affine = read_mask(mask)[1]
    size = float(np.clip(np.cbrt(voxel_size(affine).prod()), parameters.finest_mm, COARSEST_MM))

    moving = write_native_channels(magnitude, chi, mask, chi_mask, out_dir)
    fixed = write_template_channels(template, size, out_dir)
    gre_to_t1w = None
    if t1w is not None and 't1w' in fixed:
        moving['t1w'], gre_to_t1w = coregister_t1w(
            magnitude=magnitude, mask=mask, t1w=t1w, folder=out_dir, seed=seed, threads=threads
        )
    structural = next((n for n in ('t1w', 'magnitude') if n in moving and n in fixed), None)
    if structural is None:
        raise AtlasError(
            'the template has no T2starw image (and no T1w image that the data could use).',
            'Susceptibility alone is not enough to start a registration.',
            'Add a T2starw image to the atlas, or a T1w image to both.',
        )
    prefix = out_dir / 'gre_to_template_'
    ants_run.run(_arguments(prefix, fixed, moving, structural, parameters, size, seed), threads)
    forward, inverse = f'{prefix}Composite.h5', f'{prefix}InverseComposite.h5'
    if not (Path(forward).is_file() and Path(inverse).is_file()):
        raise RegistrationError(
            f'registration left no transform in {out_dir}.',
            'Nothing can be brought to or from the template.',
            'Look for messages of ANTs in the log, and for a full disk.',
        )
    quality = measure_quality(forward, fixed, moving, structural, template)
    check_quality(quality)
    return Registration([forward], [inverse], quality, preset, seed, size, gre_to_t1w)


def _check_input(preset: str, magnitude: Path, others: list[Path]) -> None:
    if preset not in PRESETS:
        raise AtlasError(
            f'there is no registration preset {preset!r}.',
            'A preset sets resolution and iterations.',
            f'Use one of: {", ".join(PRESETS)}.',
        )
    for path in (magnitude, *others):
        read_image(path)
    for path in others:
        if not same_grid(path, magnitude):
            raise AtlasError(
                f'{path} and {magnitude} are not on the same grid.',
                'Magnitude, susceptibility and masks are used voxel by voxel.',
                'Give images of one acquisition.',
            )


def _arguments(
    prefix: Path, fixed: dict[str, Path], moving: dict[str, Path], structural: str,
    parameters: RegistrationParameters, size_mm: float, seed: int | None,
) -> list[str]:  # fmt: skip
    """Return the command line of antsRegistration: rigid, affine, SyN."""
    pair = fixed[structural], moving[structural]
    linear = {
        'sampling': parameters.sampling,
        'iterations': parameters.linear_iterations,
        'levels_mm': parameters.linear_levels_mm,
        'size_mm': size_mm,
    }
    metrics = [
        ants_run.Metric('MI', *pair),
        ants_run.Metric('MI', fixed['chi'], moving['chi'], parameters.chi_weight),
    ]
    everywhere, region = '[NA,NA]', f'[{_region(fixed["mask"], size_mm)},NA]'
    return [
        *ants_run.start(prefix, f'[{fixed["mask"]},{moving["mask"]},1]', seed),
        *ants_run.linear_stage('Rigid', *pair, **linear),
        '--masks', everywhere,
        *ants_run.linear_stage('Affine', *pair, **linear),
        '--masks', everywhere,
        *ants_run.syn_stage(
            metrics, step=parameters.syn_step, iterations=parameters.syn_iterations,
            levels_mm=parameters.syn_levels_mm, size_mm=size_mm,
        ),
        '--masks', region,
    ]  # fmt: skip


def _region(mask: Path, size_mm: float) -> Path:
    """Write the template brain with a margin; SyN compares only there and takes half the time."""
    brain, affine = read_mask(mask)
    grown = ndimage.binary_dilation(brain, iterations=max(1, round(MARGIN_MM / size_mm)))
    return write_image(mask.with_name('fixed_region.nii'), grown.astype(np.float32), affine)
