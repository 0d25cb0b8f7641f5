"""Which scans of a session are orientations of one head, to be put together by COSMOS.

Scans that differ only in ``acq``, ``dir`` or ``run`` belong together. Whether the head was
turned between them cannot be read from headers: a slab that is turned alone changes the
header and not the physics, and a head that is turned in a fixed slab changes the physics and
not the header. So the number of scans decides here, and the angles between the B0 directions
after registration, by :func:`enough_directions`, with the same words for both.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from qsmbids.plan.models import Acquisition, Issue, Participant, Severity

MIN_ORIENTATIONS = 3  # Liu 2009: with two, part of k-space is seen by neither
# A choice of this project: heads are turned by some 20 to 40 degrees for COSMOS, and below
# this the cones of zeros nearly coincide, so that noise is amplified without bound.
MIN_ANGLE_DEG = 10.0
VARYING = ('acq', 'dir', 'run')  # tell orientations apart
VOXEL_TOLERANCE = 0.05  # relative: beyond it scans are of different protocols


@dataclass(frozen=True)
class CosmosGroup:
    """Orientations of one head in one session that become one susceptibility map.

    Parameters
    ----------
    key : str
        ``sub-01_ses-1_desc-cosmos``: what the orientations share.
    acquisitions : tuple of Acquisition
        Three or more, in the order of the plan. The map is made in the space of the first.
    """

    key: str
    acquisitions: tuple[Acquisition, ...]

    @property
    def entities(self) -> tuple[tuple[str, str], ...]:
        """Entities that all orientations share, in BIDS order."""
        return _shared(self.reference)

    @property
    def participant(self) -> str:
        """Participant label without ``sub-``."""
        return self.reference.participant

    @property
    def reference(self) -> Acquisition:
        """The acquisition in whose space the map is made."""
        return self.acquisitions[0]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the map."""
        return self.reference.shape


def with_cosmos(person: Participant) -> Participant:
    """Return a participant with the COSMOS groups of its sessions, and why others have none.

    Only usable acquisitions with phase count. A session without three of them gets an error,
    which concerns COSMOS alone: its acquisitions are processed all the same.
    """
    groups, issues = [], []
    for session in dict.fromkeys(a.session for a in person.usable):
        found, said = _of_session([a for a in person.usable if a.session == session])
        groups += found
        issues += said
    return replace(person, cosmos=tuple(groups), issues=person.issues + tuple(issues))


def _of_session(
    acquisitions: Sequence[Acquisition],
) -> tuple[list[CosmosGroup], list[Issue]]:
    families: dict[tuple, list[Acquisition]] = defaultdict(list)
    for acquisition in acquisitions:
        if acquisition.phase_scaling is not None:
            families[_shared(acquisition)].append(acquisition)
    groups, issues = [], []
    for entities, members in families.items():
        if len(members) >= MIN_ORIENTATIONS:
            key = '_'.join(f'{k}-{v}' for k, v in (*entities, ('desc', 'cosmos')))
            group = CosmosGroup(key, tuple(members))
            groups.append(group)
            issues += _doubts(group)
    if not groups:
        issues.append(_too_few(acquisitions[0], max(map(len, families.values()), default=0)))
    return groups, issues


def _shared(acquisition: Acquisition) -> tuple[tuple[str, str], ...]:
    return tuple(pair for pair in acquisition.entities if pair[0] not in VARYING)


def _too_few(acquisition: Acquisition, count: int) -> Issue:
    of_whom = [f'{k}-{v}' for k, v in acquisition.entities if k in ('sub', 'ses')]
    found = {
        0: 'there is no usable scan with phase',
        1: 'there is only one usable scan with phase of a kind',
        2: 'there are only two usable scans with phase of a kind',
    }[count]
    return Issue(
        'COSMOS_TOO_FEW',
        Severity.ERROR,
        f'There will be no COSMOS map: {found}.',
        f'COSMOS needs the head in {MIN_ORIENTATIONS} orientations or more (scans that differ '
        f'in {", ".join(VARYING)} only); with fewer, part of the susceptibility is invisible.',
        'Each scan gets its own map all the same; leave --cosmos out, or look for scans that '
        'a filter left out or that cannot be processed.',
        scope='_'.join(of_whom),
    )


def _doubts(group: CosmosGroup) -> list[Issue]:
    """Return what a person should look at before trusting a group."""
    issues = []
    directions = [slab_direction(a) for a in group.acquisitions]
    if not enough_directions(directions):
        listed = ', '.join(f'{a:.0f}' for a in pairwise_deg(directions))
        issues.append(
            Issue(
                'COSMOS_SLABS_ALIKE',
                Severity.WARNING,
                f'The headers of the {len(directions)} scans for COSMOS show no three '
                f'orientations (the slabs are {listed} degrees apart).',
                'Whether the head was turned in the slab shows when the scans are registered; '
                'if it was not, there will be no COSMOS map.',
                'Leave --cosmos out if these are repetitions and not orientations.',
                scope=group.key,
            )
        )
    sizes = np.array([sorted(a.voxel_size_mm) for a in group.acquisitions])
    if (np.ptp(sizes, axis=0) > VOXEL_TOLERANCE * sizes.min(axis=0)).any():
        issues.append(
            Issue(
                'COSMOS_VOXELS_DIFFER',
                Severity.WARNING,
                'The scans for COSMOS have different voxel sizes.',
                'They may be of different protocols, of which not all were meant for COSMOS.',
                'Choose the scans with a filter file, for example by acquisition.',
                scope=group.key,
            )
        )
    return issues


def slab_direction(acquisition: Acquisition) -> np.ndarray:
    """Return B0 along the axes of the slab, these sorted to the right, the front and the top.

    So that storage orders do not matter when slabs are compared, (3,) float.
    """
    direction = np.empty(3)
    from nibabel import io_orientation  # 0.1 s that a call for help need not pay

    order = io_orientation(np.asarray(acquisition.affine))
    for value, (place, sign) in zip(acquisition.b0_direction.value, order, strict=True):
        direction[int(place)] = sign * value
    return direction


def angles_deg(directions: Sequence[Sequence[float]]) -> np.ndarray:
    """Return the angles between directions, (n, n) float, degrees, 0 to 90.

    A direction and its opposite are the same: the dipole has no sign.

    Examples
    --------
    >>> angles_deg([(0, 0, 1), (0, 1, 0), (0, 0, -1)]).round().tolist()
    [[0.0, 90.0, 0.0], [90.0, 0.0, 90.0], [0.0, 90.0, 0.0]]
    """
    unit = np.asarray(directions, dtype=float)
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    return np.degrees(np.arccos(np.clip(np.abs(unit @ unit.T), 0, 1)))


def pairwise_deg(directions: Sequence[Sequence[float]]) -> np.ndarray:
    """Return the angle of each pair of directions once, degrees."""
    return angles_deg(directions)[np.triu_indices(len(directions), 1)]


def enough_directions(directions: Sequence[Sequence[float]]) -> bool:
    """Whether three of the directions are apart from each other by ``MIN_ANGLE_DEG`` or more.

    Examples
    --------
    >>> enough_directions([(0, 0, 1), (0, 0.5, 1), (0.5, 0, 1)])
    True
    >>> enough_directions([(0, 0, 1), (0, 0.5, 1), (0, 0.51, 1)])
    False
    """
    apart = angles_deg(directions) >= MIN_ANGLE_DEG
    return any(
        apart[i, j] and apart[j, k] and apart[i, k]
        for i, j, k in itertools.combinations(range(len(apart)), 3)
    )
