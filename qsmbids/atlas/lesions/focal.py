"""The table of lesions: one row for each connected piece of a marking.

Susceptibility in a lesion is read against its *local background* (see
:mod:`qsmbids.atlas.lesions.components`), so that most numbers do not depend on the reference of
the map. Total susceptibility, the sum of chi over background times the volume of a voxel, is
kept by blurring and hardly changes with echo time or with how generously a lesion is drawn,
unlike its mean and its apparent volume (Liu 2012, https://doi.org/10.1148/radiol.11110251).

*Sign.* Voxels more than 3 times the noise above the background form the positive lobe, those as
far below it the negative one. A lesion is ``mixed`` when the total susceptibility of the smaller
lobe is at least a quarter of that of the larger; otherwise it has the sign of the larger lobe:
``paramagnetic`` (iron, blood products) or ``diamagnetic`` (calcium, but also lipid or protein).
When no lobe holds a tenth of the voxels it is ``indeterminate``.

*Volume at half maximum.* The voxels, up to two shells beyond the drawn edge and connected to
the lesion, that exceed half of its height over the background in the direction of its sign. The
height is the mean of the highest quarter of its voxels, which a single noisy voxel does not
move. What these voxels enclose is filled in, so that a rim counts with its core. The volume
does not depend on a drawn edge being right, but a lesion smaller than the resolution of the map
cannot look smaller than that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.lesions.components import (
    MIN_COVERAGE,
    Background,
    Component,
    find_components,
    free_voxels,
    local_background,
    longest_axis,
    mean_noise,
    place,
    shell_width,
    signed_distance,
)
from qsmbids.atlas.lesions.rim import RIM_COLUMNS, SHELLS, rim_profile

TINY_VOXELS = 8  # fewer: kept, but said to be tiny
LOBE_NOISES = 3.0  # so many times the noise a voxel of a lobe differs from the background
MIN_LOBE_SHARE = 0.1  # of the voxels, else the sign is not known
MIXED_RATIO = 0.25  # of the total susceptibility of the smaller lobe to that of the larger
HALF_MAXIMUM = 0.5
HEIGHT_FRACTION = 0.25  # of the voxels, the highest: their mean is the height of a lesion
WIDE_SHELLS = 2.0  # beyond the drawn edge
_VALUES = ('mean', 'median', 'sd', 'min', 'p95', 'max', 'mean_uncertainty')
_CONTRASTS = (
    'background', 'background_sd', 'contrast', 'total_susceptibility',
    'total_susceptibility_wide', 'half_max_volume_mm3', 'positive_volume_mm3', 'positive_total',
    'negative_volume_mm3', 'negative_total', *(f'shell_{s}' for s in SHELLS), *RIM_COLUMNS,
)  # fmt: skip


def lesion_table(
    chi: np.ndarray,
    labels: np.ndarray,
    reliable: np.ndarray,
    affine: np.ndarray,
    *,
    marked: np.ndarray | None = None,
    regions: np.ndarray | None = None,
    region_names: Mapping[int, str] | None = None,
) -> list[dict[str, Any]]:
    """Measure every lesion of a marking.

    Parameters
    ----------
    chi : (nx, ny, nz) float, ppm
        Referenced susceptibility.
    labels : (nx, ny, nz) int
        The marking: 0 outside; each other value is split into connected lesions.
    reliable : (nx, ny, nz) bool
        Where susceptibility was reconstructed.
    affine : (4, 4) float
        Voxel indices to scanner millimetres.
    marked : (nx, ny, nz) bool, optional
        Everything that is marked in the scan, other lesions and veins included; it is kept
        out of the background.
    regions : (nx, ny, nz) int, optional
        Labels of an atlas.
    region_names : mapping of int to str, optional
        Their names.

    Returns
    -------
    list of dict
        The columns of ``LESION_COLUMNS``, by value of the marking, the largest lesion first.
        Statistics are NaN where less than half of a lesion is reliable, contrasts also where
        there is too little background.

    Raises
    ------
    AtlasError
        If the shapes differ.

    Examples
    --------
    >>> chi = np.zeros((20, 20, 20), np.float32)
    >>> chi[9:12, 9:12, 9:12] = 0.5
    >>> row, = lesion_table(chi, chi > 0, chi < 1, np.eye(4))
    >>> row['sign'], row['volume_mm3'], round(row['total_susceptibility'], 6)
    ('paramagnetic', 27.0, 13.5)
    """
    check_shapes(chi, labels, reliable, marked, regions)
    reliable = reliable & np.isfinite(chi)
    voxel_size = tuple(float(h) for h in np.linalg.norm(affine[:3, :3], axis=0))
    marked = labels > 0 if marked is None else marked | (labels > 0)
    rows = []
    for number, lesion in enumerate(find_components(labels.astype(np.int64), voxel_size), start=1):
        where = place(lesion, affine)
        n = lesion.n_voxels
        region = 'n/a'
        if regions is not None:
            value = int(regions[where['i'], where['j'], where['k']])
            region = (region_names or {}).get(value, 'n/a')
        rows.append(
            {
                'id': number,
                'label': lesion.value,
                **where,
                'region': region,
                'n_voxels': n,
                'volume_mm3': n * math.prod(voxel_size),
                'size': 'tiny' if n < TINY_VOXELS else 'ok',
                'longest_axis_mm': longest_axis(lesion, voxel_size),
                **_measure(lesion, chi, reliable, marked, voxel_size),
            }
        )
    return rows


def check_shapes(chi: np.ndarray, *others: np.ndarray | None) -> None:
    """Refuse images of different shapes."""
    shapes = {chi.shape, *(image.shape for image in others if image is not None)}
    if len(shapes) != 1:
        raise AtlasError(
            f'map, marking and masks have different shapes: {sorted(shapes)}.',
            'They are read voxel by voxel.',
            'Bring them to one grid.',
        )


def _measure(
    lesion: Component,
    chi: np.ndarray,
    reliable: np.ndarray,
    marked: np.ndarray,
    voxel_size: Sequence[float],
) -> dict[str, Any]:
    """Return everything that is read from the map."""
    image, known = chi[lesion.window].astype(np.float64), reliable[lesion.window]
    values = image[lesion.inside & known]
    row: dict[str, Any] = {'coverage': values.size / lesion.n_voxels}
    if row['coverage'] < MIN_COVERAGE:
        words = {'sign': 'n/a', 'rim_shell': 'n/a', 'rim_flag': 'n/a'}
        return row | dict.fromkeys((*_VALUES, *_CONTRASTS), math.nan) | words
    shell = shell_width(voxel_size)
    distance = signed_distance(lesion.inside, voxel_size)
    free = free_voxels(lesion, reliable, marked)
    background = local_background(image, distance, free, shell)
    row |= {
        'mean': float(values.mean()),
        'median': float(np.median(values)),
        'sd': float(values.std(ddof=1)) if values.size > 1 else math.nan,
        'min': float(values.min()),
        'p95': float(np.percentile(values, 95)),
        'max': float(values.max()),
        'mean_uncertainty': mean_noise(background.noise, values.size),
        'background': background.median,
        'background_sd': background.noise,
        'contrast': float(values.mean()) - background.median,
    }
    if math.isnan(background.median):
        words = {'sign': 'n/a', 'rim_shell': 'n/a', 'rim_flag': 'n/a'}
        return row | dict.fromkeys((k for k in _CONTRASTS if k not in row), math.nan) | words
    contrast = image - background.median
    zone = (distance < WIDE_SHELLS * shell) & free
    row |= _lobes(contrast[lesion.inside & known], background, math.prod(voxel_size))
    row['total_susceptibility_wide'] = float(contrast[zone].sum()) * math.prod(voxel_size)
    row['half_max_volume_mm3'] = _half_maximum(contrast, lesion.inside & known, zone) * math.prod(
        voxel_size
    )
    centre = np.argwhere(lesion.inside).mean(axis=0)
    return row | rim_profile(contrast, distance, free, centre, voxel_size, background.noise)


def _lobes(contrast: np.ndarray, background: Background, voxel_mm3: float) -> dict[str, Any]:
    """Return total susceptibility, its two lobes and the sign that follows from them."""
    limit = LOBE_NOISES * background.noise
    lobes = {'positive': contrast[contrast > limit], 'negative': contrast[contrast < -limit]}
    totals = {name: abs(float(lobe.sum())) for name, lobe in lobes.items()}
    major, minor = sorted(totals, key=totals.__getitem__, reverse=True)
    if max(lobe.size for lobe in lobes.values()) < MIN_LOBE_SHARE * contrast.size:
        sign = 'indeterminate'
    elif totals[minor] >= MIXED_RATIO * totals[major]:
        sign = 'mixed'
    else:
        sign = {'positive': 'paramagnetic', 'negative': 'diamagnetic'}[major]
    found: dict[str, Any] = {
        'sign': sign,
        'total_susceptibility': float(contrast.sum()) * voxel_mm3,
    }
    for name, lobe in lobes.items():
        found[f'{name}_volume_mm3'] = lobe.size * voxel_mm3
        found[f'{name}_total'] = float(lobe.sum()) * voxel_mm3
    return found


def _half_maximum(contrast: np.ndarray, inside: np.ndarray, zone: np.ndarray) -> int:
    """Return the number of voxels above half of the height, and of those that they enclose."""
    sign = 1.0 if contrast[inside].sum() >= 0 else -1.0
    values = sign * contrast
    ascending = np.sort(values[inside])
    height = float(ascending[-max(1, round(HEIGHT_FRACTION * ascending.size)) :].mean())
    if height <= 0:
        return 0
    above = zone & (values >= HALF_MAXIMUM * height)
    pieces, _ = ndimage.label(above, np.ones((3, 3, 3)))
    connected = np.isin(pieces, np.unique(pieces[inside & above]))
    return int(ndimage.binary_fill_holes(connected & above).sum())
