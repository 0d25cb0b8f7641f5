"""The templates of one age group, in the space that all ages share.

The maps of each person are brought from their own grid to the common space through all
transforms at once, with one interpolation:

    common --(common to group)--> group --(update)--> round --(registration)--> person

Susceptibility and R2* are averaged where they were reconstructed, voxel by voxel, so a voxel
at the edge of the brain may stand for fewer people than one in the middle; their number is
kept as an image. The standard deviation over people is what z-scores need.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from qsmbids.atlas.build.average import RunningMoments, known_mean
from qsmbids.atlas.build.fields import displacement, write_displacement
from qsmbids.atlas.build.groups import Person
from qsmbids.atlas.build.groupwise import majority_mask
from qsmbids.atlas.channels import structural_channel
from qsmbids.atlas.images import read_image, read_mask, write_image
from qsmbids.atlas.transforms import warp

WHOLE_BRAIN = 'whole-brain'
_SUM_NAMES = ('chi', 'group_chi', 'r2star', 't2starw', 't1w')


@dataclass(frozen=True)
class Bridge:
    """Transforms between the average of a group and the common space, in ANTs' order.

    Parameters
    ----------
    to_common : tuple of str
        Bring images of the group to the common space; empty if they are the same.
    to_group : tuple of str
        The other way.
    """

    to_common: tuple[str, ...] = ()
    to_group: tuple[str, ...] = ()


@dataclass(frozen=True)
class CohortMaps:
    """Images of one age group in the common space.

    Parameters
    ----------
    files : dict of str to Path
        ``chi``, ``chi_sd``, ``chi_n``, ``t2starw``, ``mask``; ``r2star``, ``r2star_sd`` and
        ``t1w`` if there were such; ``group_chi`` (in the group's own space), ``to_common`` and
        ``to_group`` if that is not the common space.
    facts : dict
        Number of people with R2*.
    """

    files: dict[str, Path]
    facts: dict[str, int] = field(default_factory=dict)


def common_reference(people: Sequence[Person]) -> str:
    """Return what zero means in the maps of all people, or '' if they do not agree.

    Maps of different or unknown references, and maps without one, are referenced to the whole
    brain before they are averaged.
    """
    found = {person.reference for person in people}
    return found.pop() if len(found) == 1 and not found & {'', 'none'} else ''


def cohort_maps(
    people: Sequence[Person], chains: Mapping[str, Sequence[str]], t1w: Mapping[str, Path],
    bridge: Bridge, grid: Path, folder: Path, *, rereference: bool,
) -> CohortMaps:  # fmt: skip
    """Average the maps of an age group in the common space.

    Parameters
    ----------
    people : sequence of Person
        Whose registration worked.
    chains : mapping of str to sequence of str
        Transforms that bring images of each person to the average of the group.
    t1w : mapping of str to Path
        T1w brain of each person in the world of the map; empty without T1w images.
    bridge : Bridge
    grid : Path
        Image whose grid is taken; group and common space use the same.
    folder : Path
        For the images; it exists.
    rereference : bool
        Subtract the whole-brain mean of each map first.
    """
    image, affine = read_image(grid)
    shape = image.shape
    moments = {name: RunningMoments(shape) for name in _SUM_NAMES}
    brains = np.zeros(shape, dtype=np.int32)
    for person in people:
        group_chain = list(chains[person.label])
        chain = [*bridge.to_common, *group_chain]
        brain, at = read_mask(person.brain_mask)
        valid = read_mask(person.qsm_mask)[0] & brain

        def bring(
            array: np.ndarray, where: np.ndarray | None = None, *, through: list[str] = chain,
            at: np.ndarray = at,
        ) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
            where = np.ones(array.shape, dtype=bool) if where is None else where
            return known_mean(
                warp(np.where(where, array, 0), at, shape, affine, through),
                warp(where, at, shape, affine, through),
            )

        brains += bring(np.ones_like(brain), brain)[1]
        chi = read_image(person.chi)[0]
        if rereference:
            chi = chi - chi[valid].mean(dtype=float)
        moments['chi'].add(*bring(chi, valid))
        if bridge.to_common:
            moments['group_chi'].add(*bring(chi, valid, through=group_chain))
        structure = structural_channel(read_image(person.magnitude)[0], brain, at)
        moments['t2starw'].add(*bring(structure, brain))
        if person.r2star is not None:
            moments['r2star'].add(*bring(read_image(person.r2star)[0], brain))
        if person.label in t1w:
            array, t1w_at = read_image(t1w[person.label])
            moments['t1w'].add(*bring(array, array > 0, at=t1w_at))
    mask = majority_mask(brains, len(people))
    files = _write_images(moments, mask, bridge, len(people), affine, folder)
    files |= _write_bridge(bridge, shape, affine, folder)
    with_r2star = sum(person.r2star is not None for person in people)
    return CohortMaps(files, {'n': len(people), 'n_r2star': with_r2star})


def _write_images(
    moments: Mapping[str, RunningMoments], mask: np.ndarray, bridge: Bridge, n: int,
    affine: np.ndarray, folder: Path,
) -> dict[str, Path]:  # fmt: skip
    def save(name: str, array: np.ndarray) -> Path:
        return write_image(folder / f'{name}.nii', array, affine, 2)

    def inside(array: np.ndarray) -> np.ndarray:
        return np.where(mask, array, 0).astype(array.dtype)

    chi = moments['chi']
    files = {
        'mask': save('mask', mask),
        'chi': save('chi', inside(chi.mean)),
        'chi_sd': save('chi_sd', inside(chi.sd)),
        'chi_n': save('chi_n', inside(chi.n).astype(np.int16)),
        't2starw': save('t2starw', inside(moments['t2starw'].mean)),
    }
    if moments['r2star'].n.any():
        files['r2star'] = save('r2star', inside(moments['r2star'].mean))
        files['r2star_sd'] = save('r2star_sd', inside(moments['r2star'].sd))
    if moments['t1w'].n.any():
        files['t1w'] = save('t1w', inside(moments['t1w'].mean))
    if bridge.to_common:
        own = moments['group_chi']
        files['group_chi'] = save('group_chi', np.where(majority_mask(own.n, n), own.mean, 0))
    return files


def _write_bridge(
    bridge: Bridge, shape: tuple[int, ...], affine: np.ndarray, folder: Path
) -> dict[str, Path]:
    """Write each way between group and common space as one displacement field."""
    ways: dict[str, tuple[str, ...]] = {
        'to_common': bridge.to_common,
        'to_group': bridge.to_group,
    }
    write: Callable[[str, tuple[str, ...]], Path] = lambda name, chain: write_displacement(  # noqa: E731
        folder / f'{name}.nii.gz', displacement(chain, shape, affine), affine
    )
    return {name: write(name, chain) for name, chain in ways.items() if chain}
