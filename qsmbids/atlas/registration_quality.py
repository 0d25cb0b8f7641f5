"""Numbers that tell whether a registration worked, and the limits it must keep.

========================  ==================================================================
``mask_dice``             overlap of the two brain masks in template space, inside the scan
``fov_coverage``          fraction of the template brain that the scan covers
``ncc``                   correlation of structure and template structure inside the brain,
                          without its rim; the sign depends on the contrast of the scan
``structure_match``       correlation ratio of the same two, 0..1, whatever the contrast
``chi_correlation``       correlation of the susceptibility channels in and around the regions
``deep_grey_overlap``     overlap of iron-rich labels with the person's own iron, and
``deep_grey_contrast``    its contrast there over that of the template; NaN where the template
                          shows no iron yet (`qsmbids.atlas.deep_grey`)
``turned_deg``            by how much the start was turned away from the header's pose
``volume_ratio``          median volume change from template to scan (determinant of Jacobian)
``jacobian_min, _max``    1st and 99th percentile of it in the brain
``folded_fraction``       fraction of the brain where it is not positive
``centre_distance_mm``    from the mapped centre of the template brain to that of the scan
========================  ==================================================================
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from qsmbids.atlas.dataset import AtlasFiles
from qsmbids.atlas.deep_grey import deep_grey_agreement
from qsmbids.atlas.errors import RegistrationError
from qsmbids.atlas.images import read_image, read_mask, resample_to, voxel_size
from qsmbids.atlas.transforms import RAS_TO_LPS, to_ants, warp

# limits: far from anything a working registration gives, so that only failures are refused
MIN_MASK_DICE = 0.75
MIN_STRUCTURE_MATCH = 0.15
MIN_FOV_COVERAGE = 0.10
VOLUME_RATIO = (0.25, 2.5)  # a brain of one year has about half the volume of the template
MAX_FOLDED = 0.02
MAX_CENTRE_MM = 60.0
RIM_MM = 5.0  # the edge of two masks looks alike whatever is inside
_AROUND_REGIONS = 2  # voxels
_BINS = 32


def measure_quality(
    transform: str, fixed: dict[str, Path], moving: dict[str, Path], structural: str,
    template: AtlasFiles,
) -> dict[str, float]:  # fmt: skip
    """Measure a registration; ``turned_deg`` is known to its caller only.

    Parameters
    ----------
    transform : str
        Forward composite transform.
    fixed, moving : dict of str to Path
        Channels of template and scan: mask, chi and the structural ones.
    structural : str
        The structural channel to compare.
    template : AtlasFiles

    Returns
    -------
    dict of str to float
        See the head of this module.
    """
    brain, affine = read_mask(fixed['mask'])

    def moved(name: str) -> np.ndarray:
        array, at = read_image(moving[name])
        return warp(array, at, brain.shape, affine, [transform])

    native, at = read_image(moving['mask'])
    seen = warp(np.ones_like(native), at, brain.shape, affine, [transform]) > 0.5
    warped_brain = moved('mask') > 0.5
    both = brain & warped_brain & seen
    overlap = (brain & seen).sum() + (warped_brain & seen).sum()
    labels, labels_at = read_image(template.dseg)
    regions = resample_to(labels > 0, labels_at, brain.shape, affine) > 0.5
    regions = ndimage.binary_dilation(regions, iterations=_AROUND_REGIONS) & both
    structure, expected = moved(structural), read_image(fixed[structural])[0]
    interior = ndimage.binary_erosion(
        both, iterations=max(1, round(RIM_MM / voxel_size(affine)[0]))
    )
    determinant, centre = jacobian(transform, brain, affine)
    native_centre = (at @ np.append(ndimage.center_of_mass(native), 1))[:3]
    return {
        'mask_dice': float(2 * both.sum() / max(overlap, 1)),
        'fov_coverage': float(seen[brain].mean()),
        'ncc': _correlation(structure, expected, interior),
        'structure_match': correlation_ratio(structure, expected, interior),
        'chi_correlation': _correlation(moved('chi'), read_image(fixed['chi'])[0], regions),
        **deep_grey_agreement(transform, moving['chi'], moving['mask'], template),
        'volume_ratio': float(np.median(determinant)),
        'jacobian_min': float(np.percentile(determinant, 1)),
        'jacobian_max': float(np.percentile(determinant, 99)),
        'folded_fraction': float((determinant <= 0).mean()),
        'centre_distance_mm': float(np.linalg.norm(centre - native_centre)),
    }


def check_quality(quality: dict[str, float]) -> None:
    """Raise RegistrationError if a registration cannot be right.

    The message names the first number that is outside its limit.
    """
    limits = (
        ('centre_distance_mm', -np.inf, MAX_CENTRE_MM, 'the brain was moved out of place'),
        ('fov_coverage', MIN_FOV_COVERAGE, np.inf, 'the scan hardly meets the template brain'),
        ('mask_dice', MIN_MASK_DICE, np.inf, 'the brain masks hardly overlap'),
        ('structure_match', MIN_STRUCTURE_MATCH, np.inf, 'the anatomy does not match'),
        ('volume_ratio', *VOLUME_RATIO, 'the size of the brain is implausible'),
        ('folded_fraction', -np.inf, MAX_FOLDED, 'the deformation is folded'),
    )
    for name, low, high, meaning in limits:
        if not low <= quality[name] <= high:  # NaN fails too
            raise RegistrationError(
                f'registration to the template failed: {meaning} ({name} = {quality[name]:.3g}).',
                'Regions would be measured in the wrong place.',
                'Look at magnitude and brain mask; try the preset precise, or give a T1w image.',
            )


def jacobian(
    transform: str, brain: np.ndarray, affine: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the determinant in the brain, and where its centre is mapped (RAS mm)."""
    from qsmbids.atlas.light_ants import ants

    grid = to_ants(np.zeros(brain.shape, dtype=np.float32), affine)
    prefix = Path(transform).with_name('quality_')
    field_file = Path(
        ants.apply_transforms(grid, grid, [transform], whichtoinvert=[False], compose=str(prefix))
    )
    # displacement of world points, (nx, ny, nz, 3), LPS -> RAS
    displacement = ants.image_read(str(field_file)).numpy() @ RAS_TO_LPS
    field_file.unlink()
    gradient = np.stack(np.gradient(displacement, axis=(0, 1, 2)), axis=-1)  # d u / d voxel
    jacobian = gradient @ np.linalg.inv(affine[:3, :3]) + np.eye(3)  # d u / d mm + 1
    centre = np.array(ndimage.center_of_mass(brain))
    offset = [ndimage.map_coordinates(displacement[..., i], centre[:, None], order=1)[0]
              for i in range(3)]  # fmt: skip
    return np.linalg.det(jacobian[brain]), affine[:3, :3] @ centre + affine[:3, 3] + offset


def _correlation(first: np.ndarray, second: np.ndarray, where: np.ndarray) -> float:
    if where.sum() < 2 or first[where].std() == 0 or second[where].std() == 0:
        return float('nan')
    return float(np.corrcoef(first[where], second[where])[0, 1])


def correlation_ratio(image: np.ndarray, template: np.ndarray, where: np.ndarray) -> float:
    """Return how much of the image's spread is explained by the template's grey value.

    sqrt(1 - mean variance within bins of the template / total variance): 1 if the image is a
    function of the template, whichever tissue is bright in it, and 0 if there is no relation.
    """
    values, levels = image[where].astype(float), template[where]
    if values.size == 0 or values.std() == 0:
        return float('nan')
    edges = np.unique(np.quantile(levels, np.linspace(0, 1, _BINS + 1)[1:-1]))
    bins = np.digitize(levels, edges)
    count = np.maximum(np.bincount(bins), 1)
    means = np.bincount(bins, values) / count
    explained = np.average((means - values.mean()) ** 2, weights=np.bincount(bins))
    return float(np.sqrt(min(explained / values.var(), 1)))
