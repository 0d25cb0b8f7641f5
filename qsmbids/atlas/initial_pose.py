"""Where a registration starts: the pose of the header, unless another one is clearly better.

A registration that starts far from the truth ends somewhere else. The centre of the brain
mask cures a wrong origin of a header. A wrong orientation (a patient entered prone, axes
exchanged by a converter, a slab that lost its obliqueness) needs a search:

1. Template and scan are looked at in voxels of 8 mm, cut to their brain masks, with the
   centres of the masks on each other.
2. Rotations that cover every turn of up to `MAX_DEG` away from the header are tried, about
   `STEP_DEG` apart, and the best few and the header's own pose are refined in small steps.
3. Each is scored by the overlap of the masks, the correlation ratio of the structural channel
   (it does not ask which tissue is bright) and the correlation of susceptibility.
4. The best one replaces the header's pose only if its score is better by `CLEARLY` and it is
   turned by `LEAST_DEG` or more; the registration finds what is less by itself.

A head whose left and right are exchanged can NOT be found: it is no rotation, and a brain is
too nearly its own mirror image. Nothing is attempted there.

Where the header is wrong, the direction of the main field that the reconstruction took from
it was wrong as well: a large turn is a reason to look at the susceptibility map.

References
----------
Alexa M. Super-Fibonacci spirals: fast, low-discrepancy sampling of SO(3). Proc IEEE/CVF Conf
Comput Vis Pattern Recognit 2022:8291-8300. (even cover of the rotations)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from qsmbids.atlas.images import read_image, resample_isotropic
from qsmbids.atlas.transforms import RAS_TO_LPS

SEARCH_MM = 8.0
STEP_DEG = 20.0  # between neighbouring rotations; half of it is within reach of the refinement
MAX_DEG = 125.0  # two quarter turns about different axes add up to 120 degrees
_KEPT = 4  # of the coarse search
_FINE_DEG = (10.0, 5.0)
CLEARLY = 0.10  # of a score of about 1.6 (child) to 2.1 (adult) for a head in place
LEAST_DEG = 15.0
_BINS = 16


@dataclass(frozen=True)
class Pose:
    """Where to start.

    Parameters
    ----------
    matrix : (4, 4) float
        Rigid; maps world points of the template to world points of the scan (RAS mm).
    turned_deg : float
        Angle between this pose and that of the header; 0 if the header's was kept.
    score, header_score : float
        Of this pose and of the header's own.
    centre : (3,) float
        Of the template brain, RAS mm.
    """

    matrix: np.ndarray
    turned_deg: float
    score: float
    header_score: float
    centre: np.ndarray


def find_pose(fixed: dict[str, Path], moving: dict[str, Path], structural: str | None) -> Pose:
    """Search the pose of a head.

    Parameters
    ----------
    fixed, moving : dict of str to Path
        Channels of template and scan, see `qsmbids.atlas.channels`: mask, chi and the
        structural one.
    structural : str or None
        Name of the structural channel; None to use mask and susceptibility alone.

    Returns
    -------
    Pose
        Some 800 rotations of some 3000 points: two to three seconds.
    """
    names = ['mask', 'chi', *([structural] if structural else [])]
    template = {name: _coarse(fixed[name]) for name in names}
    scan = {name: _coarse(moving[name]) for name in names}
    score = _Score(template, scan, structural)
    header_score = score(np.eye(3))
    coarse = sorted(rotations(), key=score, reverse=True)[:_KEPT]
    starts = [np.eye(3), *coarse]
    best, best_score = max((_refine(r, score) for r in starts), key=lambda found: found[1])
    turned = float(np.degrees(Rotation.from_matrix(best).magnitude()))
    if best_score < header_score + CLEARLY or turned < LEAST_DEG:
        return Pose(score.pose(np.eye(3)), 0.0, header_score, header_score, score.centre)
    return Pose(score.pose(best), turned, best_score, header_score, score.centre)


def rotations(step_deg: float = STEP_DEG, max_deg: float = MAX_DEG) -> list[np.ndarray]:
    """Return rotations that cover all turns up to an angle about evenly, (3, 3) each.

    Notes
    -----
    Super-Fibonacci spirals: points on the sphere of unit quaternions, whose volume is
    2 pi^2; a rotation and its neighbour at ``step_deg`` are half that angle apart there.
    The order is the same every time.
    """
    half_step = np.radians(step_deg) / 2
    count = int(np.ceil(np.pi**2 / half_step**3))  # a rotation is two opposite points
    i = np.arange(count) + 0.5
    # phi = sqrt 2 and the root of psi^4 = psi + 4 (Alexa 2022)
    phi, psi = np.sqrt(2.0), 1.533751168755204288118041
    inner, outer = np.sqrt(i / count), np.sqrt(1 - i / count)
    a, b = 2 * np.pi * i / phi, 2 * np.pi * i / psi
    quaternions = np.stack(
        [inner * np.sin(a), inner * np.cos(a), outer * np.sin(b), outer * np.cos(b)], axis=-1
    )
    found = Rotation.from_quat(quaternions)
    return list(found[np.degrees(found.magnitude()) <= max_deg].as_matrix())


class _Score:
    """Likeness of template and turned scan; call it with a rotation."""

    def __init__(self, template: dict, scan: dict, structural: str | None):
        brain, affine = template['mask']
        grown = ndimage.binary_dilation(brain > 0.5)
        points = np.argwhere(grown) @ affine[:3, :3].T + affine[:3, 3]
        self.centre, self._there = _centre(template['mask']), _centre(scan['mask'])
        self._points = points - self.centre
        self._wanted = {name: image[grown] for name, (image, _) in template.items()}
        self._scan, self._structural = scan, structural
        self._brain_voxels = float((scan['mask'][0] > 0.5).sum())

    def pose(self, rotation: np.ndarray) -> np.ndarray:
        """World points of the template to those of the scan, (4, 4)."""
        matrix = np.eye(4)
        matrix[:3, :3] = rotation
        matrix[:3, 3] = self._there - rotation @ self.centre
        return matrix

    def __call__(self, rotation: np.ndarray) -> float:
        world = self._points @ rotation.T + self._there
        found = {}
        for name, (image, affine) in self._scan.items():  # a T1w image has a grid of its own
            to_voxels = np.linalg.inv(affine)
            voxels = (world @ to_voxels[:3, :3].T + to_voxels[:3, 3]).T
            found[name] = ndimage.map_coordinates(image, voxels, order=1)
        brain, wanted = found['mask'] > 0.5, self._wanted['mask'] > 0.5
        both = brain & wanted
        if both.sum() < 0.3 * wanted.sum():
            return 0.0
        total = 2 * both.sum() / (wanted.sum() + self._brain_voxels)
        total += max(0.0, _correlation(found['chi'][both], self._wanted['chi'][both]))
        if self._structural:
            pair = found[self._structural][both], self._wanted[self._structural][both]
            total += _correlation_ratio(*pair)
        return float(total)


def _refine(rotation: np.ndarray, score: _Score) -> tuple[np.ndarray, float]:
    """Climb in small turns about the three axes."""
    best, best_score = rotation, score(rotation)
    for step in _FINE_DEG:
        turns = [
            Rotation.from_rotvec(sign * np.radians(step) * axis).as_matrix()
            for axis in np.eye(3) for sign in (-1, 1)
        ]  # fmt: skip
        for _ in range(6):
            candidates = [(turn @ best, score(turn @ best)) for turn in turns]
            better = max(candidates, key=lambda found: found[1])
            if better[1] <= best_score:
                break
            best, best_score = better
    return best, best_score


def _coarse(path: Path) -> tuple[np.ndarray, np.ndarray]:
    return resample_isotropic(*read_image(path), SEARCH_MM)


def _centre(mask: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """World position of the centre of a mask."""
    array, affine = mask
    return affine[:3, :3] @ ndimage.center_of_mass(array) + affine[:3, 3]


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    if first.std() == 0 or second.std() == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _correlation_ratio(values: np.ndarray, levels: np.ndarray) -> float:
    """As `qsmbids.atlas.registration_quality.correlation_ratio`, with few bins, quickly."""
    spread = values.var()
    if spread == 0:
        return 0.0
    bins = np.minimum((levels * _BINS).astype(int), _BINS - 1)
    count = np.maximum(np.bincount(bins, minlength=_BINS), 1)
    means = np.bincount(bins, values, minlength=_BINS) / count
    explained = np.bincount(bins, minlength=_BINS) @ (means - values.mean()) ** 2 / values.size
    return float(np.sqrt(min(explained / spread, 1.0)))


def write_matrix(matrix: np.ndarray, path: Path, centre: np.ndarray | None = None) -> Path:
    """Write a map of RAS points as an affine transform that ANTs reads.

    Parameters
    ----------
    matrix : (4, 4) float
    path : Path
        ``.mat``.
    centre : (3,) float, optional
        Point about which later stages turn, RAS mm: that of the brain. The origin of the
        world may be far away from it.
    """
    from qsmbids.atlas.light_ants import ants

    linear = RAS_TO_LPS @ matrix[:3, :3] @ RAS_TO_LPS
    at = RAS_TO_LPS @ (np.zeros(3) if centre is None else np.asarray(centre, dtype=float))
    transform = ants.create_ants_transform(
        transform_type='AffineTransform', precision='float', dimension=3, matrix=linear,
        center=at.tolist(), translation=(linear @ at + RAS_TO_LPS @ matrix[:3, 3] - at).tolist(),
    )  # fmt: skip
    ants.write_transform(transform, str(path))
    return path
