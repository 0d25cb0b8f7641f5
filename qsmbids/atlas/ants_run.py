"""The command line of antsRegistration, and running it inside this process with antspyx."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qsmbids.atlas.errors import RegistrationError

_BINS = 32  # histogram bins of mutual information
_CC_RADIUS = 2  # voxels
_LINEAR_STEP = 0.1  # gradient step of rigid and affine stages
_FLOW_SIGMA = 3.0  # smoothing of the SyN update field, variance in voxels
_CONVERGENCE = '1e-6,10'  # stop when the metric changes by less over a window of iterations


@dataclass(frozen=True)
class Metric:
    """A pair of images and how to compare them in a SyN stage."""

    kind: str  # 'MI' or 'CC'
    fixed: Path
    moving: Path
    weight: float = 1.0

    def __str__(self) -> str:
        last = _BINS if self.kind == 'MI' else _CC_RADIUS
        return f'{self.kind}[{self.fixed},{self.moving},{self.weight:g},{last}]'


def start(prefix: Path, initial: str, seed: int | None, *, composite: bool = True) -> list[str]:
    """Return the general arguments.

    Parameters
    ----------
    prefix : Path
        Of the outputs ``<prefix>Composite.h5`` and ``<prefix>InverseComposite.h5``.
    initial : str
        The value of ``--initial-moving-transform``, ``[fixed,moving,1]`` to lay centres of
        mass on each other.
    seed : int, optional
        Makes the random choice of samples repeatable.
    composite : bool
        False for the pieces, ``<prefix>0GenericAffine.mat``, ``<prefix>1Warp.nii.gz`` and
        ``<prefix>1InverseWarp.nii.gz``, instead of the two composite files.
    """
    arguments = [
        '--dimensionality', '3', '--float', '1',
        '--output', str(prefix), '--write-composite-transform', str(int(composite)),
        '--initial-moving-transform', initial,
    ]  # fmt: skip
    return arguments + ([] if seed is None else ['--random-seed', str(seed)])


def linear_stage(
    kind: str, fixed: Path, moving: Path, *,
    sampling: float, iterations: Sequence[int], levels_mm: Sequence[float], size_mm: float,
) -> list[str]:  # fmt: skip
    """Return the arguments of a Rigid or Affine stage with mutual information."""
    metric = f'MI[{fixed},{moving},1,{_BINS},Regular,{sampling:g}]'
    return [
        '--transform', f'{kind}[{_LINEAR_STEP:g}]', '--metric', metric,
        *_levels(iterations, levels_mm, size_mm),
    ]  # fmt: skip


def syn_stage(
    metrics: Sequence[Metric], *,
    step: float, iterations: Sequence[int], levels_mm: Sequence[float], size_mm: float,
) -> list[str]:  # fmt: skip
    """Return the arguments of a SyN stage with several metrics."""
    arguments = ['--transform', f'SyN[{step:g},{_FLOW_SIGMA:g},0]']
    for metric in metrics:
        arguments += ['--metric', str(metric)]
    return arguments + _levels(iterations, levels_mm, size_mm)


def _levels(iterations: Sequence[int], levels_mm: Sequence[float], size_mm: float) -> list[str]:
    """Return the pyramid: a level in mm becomes the shrink factor nearest to it.

    Images are smoothed by half the working voxel, and not at all at full resolution.
    """
    factors = [max(1, round(level / size_mm)) for level in levels_mm]
    sigmas = [0.5 * factor * size_mm if factor > 1 else 0 for factor in factors]
    return [
        '--convergence', f'[{"x".join(map(str, iterations))},{_CONVERGENCE}]',
        '--shrink-factors', 'x'.join(map(str, factors)),
        '--smoothing-sigmas', 'x'.join(f'{sigma:g}' for sigma in sigmas) + 'mm',
    ]  # fmt: skip


def run(arguments: Sequence[str], threads: int) -> None:
    """Run antsRegistration.

    ITK reads its number of threads at its first call in a process, so ``threads`` has no
    effect if ITK was used before.

    Raises
    ------
    RegistrationError
        If ANTs reports a failure.
    """
    os.environ['ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS'] = str(threads)
    from qsmbids.atlas.light_ants import ants  # a second: only where it is needed

    try:
        ants.registration(list(arguments), None)
    except RuntimeError as error:
        raise RegistrationError(
            f'ANTs could not register the images ({error}).',
            'Without it there are no regions and no maps in template space.',
            'Look at the magnitude and the brain mask: is it one brain, in one piece?',
        ) from None
