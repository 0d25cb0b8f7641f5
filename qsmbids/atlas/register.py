"""Registration of a GRE scan to an atlas template with ANTs.

1. The start: the centres of the two brain masks are laid on each other, so that a wrong origin
   in a header does no harm, and rotations are searched (`qsmbids.atlas.initial_pose`), so that
   a wrong orientation does none either.
2. Rigid and affine: mutual information of the structural channel, freed from bias by N4.
3. SyN (diffeomorphic): local correlation of the structural channel and of a susceptibility
   channel, which shows the iron-rich nuclei that magnitude and T1w hardly show. Local
   correlation does not ask how much iron a person has, only where it begins.
4. ``precise`` only: SyN again in a box around the nuclei at 1 mm (`qsmbids.atlas.refine`).

The structural channel is the GRE magnitude against the template's synthetic magnitude. If a
T1w image is given, it is first brought into the GRE's space by a rigid registration (its
affine is changed, it is not interpolated); it then leads the linear stages, and SyN gets the
hybrid of T1w and susceptibility in its place (`qsmbids.atlas.hybrid`). A template of
susceptibility alone is registered by susceptibility alone.

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
from qsmbids.atlas.channels import (
    write_hybrid,
    write_native_channels,
    write_template_channels,
)
from qsmbids.atlas.compose import join, pieces_of
from qsmbids.atlas.coregister import coregister_t1w
from qsmbids.atlas.dataset import AtlasFiles
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.images import (
    read_image,
    read_mask,
    resample_isotropic,
    same_grid,
    voxel_size,
    write_image,
)
from qsmbids.atlas.initial_pose import Pose, find_pose, write_matrix
from qsmbids.atlas.refine import refine_in_box
from qsmbids.atlas.registration_quality import check_quality, measure_quality

VERSION = 3  # raised when its numbers change: an older result is then not used
COARSEST_MM = 3.0  # the working grid is never coarser than this
FINE = 0.75  # of the working voxel: a scan that is finer is brought to it
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
    metric: str = 'CC'  # of SyN: local correlation, or MI, which is quicker and less sharp
    chi_weight: float = 1.0  # of the susceptibility channel; the structural one has 1
    box_iterations: tuple[int, ...] = ()  # of the second SyN around the nuclei; none: no such
    box_levels_mm: tuple[float, ...] = ()


PRESETS = {
    'fast': RegistrationParameters(
        linear_iterations=(250, 100),
        linear_levels_mm=(8, 5),
        syn_iterations=(60, 30),
        syn_levels_mm=(8, 5),
        finest_mm=2.0,
        metric='MI',
        chi_weight=2.0,
    ),
    'standard': RegistrationParameters(
        linear_iterations=(500, 250, 100),
        linear_levels_mm=(8, 5, 3),
        syn_iterations=(60, 40, 15),
        syn_levels_mm=(8, 5, 2),
        finest_mm=2.0,
    ),
    'precise': RegistrationParameters(
        linear_iterations=(1000, 500, 250),
        linear_levels_mm=(8, 5, 2),
        syn_iterations=(60, 40, 20),
        syn_levels_mm=(8, 5, 2),
        finest_mm=2.0,
        box_iterations=(20, 10),
        box_levels_mm=(2, 1),
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
    structural = next(n for n in ('t1w', 'magnitude', 'chi') if n in moving and n in fixed)
    pose = find_pose(fixed, moving, structural if structural != 'chi' else None)
    names = ['chi'] if structural == 'chi' else [structural, 'chi']
    if structural == 't1w':
        names[0] = 'hybrid'
        moving['hybrid'] = write_hybrid(moving, 't1w', out_dir / 'moving_hybrid.nii')
        fixed['hybrid'] = write_hybrid(fixed, 't1w', out_dir / 'fixed_hybrid.nii')
    coarse = _at_working_size(moving, size, out_dir)
    start = _start(pose, fixed, coarse, out_dir)
    prefix = out_dir / 'stages_'
    ants_run.run(
        _arguments(prefix, start, fixed, coarse, structural, names, parameters, size, seed),
        threads,
    )
    pieces = pieces_of(prefix)
    fields = [(pieces.warp, pieces.inverse_warp)]
    outputs = [out_dir / f'gre_to_template_{n}.h5' for n in ('Composite', 'InverseComposite')]
    forward, inverse = join(pieces.affine, fields, *outputs)
    if parameters.box_iterations:
        box = refine_in_box(
            forward=forward, template=template, moving=moving,
            names=[n for n in ('t1w', 'magnitude', 'chi') if n == structural or n == 'chi'],
            iterations=parameters.box_iterations, levels_mm=parameters.box_levels_mm,
            step=parameters.syn_step, folder=out_dir / 'box', seed=seed, threads=threads,
        )  # fmt: skip
        forward, inverse = join(pieces.affine, [*fields, box], *outputs)
    quality = measure_quality(forward, fixed, moving, structural, template)
    quality['turned_deg'] = pose.turned_deg
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


def _at_working_size(channels: dict[str, Path], size_mm: float, folder: Path) -> dict[str, Path]:
    """Write a fine scan's channels at the resolution of the template's: less noise, less time."""
    written = {}
    for name, path in channels.items():
        array, affine = read_image(path)
        if np.cbrt(voxel_size(affine).prod()) < FINE * size_mm:
            array, affine = resample_isotropic(array, affine, size_mm)
        if name == 'mask':
            array = (array > 0.5).astype(np.float32)
        written[name] = write_image(folder / f'working_{name}.nii', array, affine)
    return written


def _start(pose: Pose, fixed: dict[str, Path], moving: dict[str, Path], folder: Path) -> str:
    """Return the value of --initial-moving-transform."""
    if pose.turned_deg == 0:
        return f'[{fixed["mask"]},{moving["mask"]},1]'
    return str(write_matrix(pose.matrix, folder / 'pose.mat', pose.centre))


def _arguments(
    prefix: Path, start: str, fixed: dict[str, Path], moving: dict[str, Path], structural: str,
    names: list[str], parameters: RegistrationParameters, size_mm: float, seed: int | None,
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
        ants_run.Metric(
            parameters.metric, fixed[name], moving[name],
            parameters.chi_weight if name == 'chi' else 1.0,
        )
        for name in names
    ]  # fmt: skip
    everywhere, region = '[NA,NA]', f'[{_region(fixed["mask"], size_mm)},NA]'
    return [
        *ants_run.start(prefix, start, seed, composite=False),
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
