"""Veins: their susceptibility over tissue, and the oxygen saturation that it implies.

Deoxygenated haemoglobin is paramagnetic, so venous blood stands above the tissue around it by

    dchi = Hct * (dchi_oxy + dchi_do * (1 - Y)),

with haematocrit Hct, saturation Y, and the susceptibilities of fully oxygenated and fully
deoxygenated red cells relative to plasma and to one another. Turned round,

    Y = 1 - (dchi - Hct * dchi_oxy) / (Hct * dchi_do).

Susceptibility is a scalar: unlike the phase in and around a vein, it does not depend on the
angle of the vein to B0, so no angle enters.

dchi is taken between the *inner* voxels of a vein and the median of the tissue 2 to 4 shells
away. Inner are those at least three quarters of the largest inscribed radius away from what is
not vein: they are chosen by place and not by value, so noise does not lift their mean, and the
edge with its partial volume is left out. Of a vein that tapers they are the widest part. The
mean of the highest quarter of the voxels is given as well, with the saturation that it implies:
it does not depend on a well drawn edge, but noise lifts it.

*Diameter.* The largest sphere that holds the centre of no outer voxel, less half a shell because
the edge lies between the outermost voxel and the next. Below two voxels partial volume rules and
saturation is n/a; below four it is given with the remark ``thin``: at two voxels it is ten
percentage points or more too high (``docs/lesions.md``).

References
----------
Jain V et al. Investigating the magnetic susceptibility properties
of fresh human blood for noninvasive oxygen saturation quantification. Magn Reson Med
2012;68:863-867. https://doi.org/10.1002/mrm.23282
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from qsmbids.atlas.lesions.components import (
    MIN_COVERAGE,
    find_components,
    free_voxels,
    local_background,
    mean_noise,
    place,
    shell_width,
    signed_distance,
)
from qsmbids.atlas.lesions.focal import check_shapes

CHI_DEOXY_PPM = 3.43  # SI, deoxygenated minus oxygenated red cells (Jain 2012, +-0.08)
CHI_OXY_PPM = -0.10  # SI, oxygenated red cells minus plasma (Jain 2012, +-0.04)
TOP_FRACTION = 0.25  # of the voxels, the highest
INNER_FRACTION = 0.75  # of the largest inscribed radius
THINNEST_VOXELS = 2.0  # diameter below which there is no saturation
THIN_VOXELS = 4.0  # diameter below which partial volume raises it noticeably
_UPSAMPLING = 3  # of the places where the centre of the inscribed sphere may lie
_MEASURES = (
    'mean', 'max', 'top_mean', 'inner_mean', 'tissue', 'tissue_sd', 'difference',
    'difference_uncertainty', 'top_difference', 'oxygen_saturation', 'oxygen_saturation_top',
)  # fmt: skip


def oxygen_saturation(
    difference_ppm: float,
    haematocrit: float,
    *,
    chi_deoxy_ppm: float = CHI_DEOXY_PPM,
    chi_oxy_ppm: float = CHI_OXY_PPM,
) -> float:
    """Return the oxygen saturation of blood from its susceptibility over tissue.

    Parameters
    ----------
    difference_ppm : float
        Susceptibility of the vein minus that of tissue (which counts as plasma), SI.
    haematocrit : float
        Volume fraction of red cells, 0 to 1.
    chi_deoxy_ppm : float
        Fully deoxygenated minus fully oxygenated red cells, SI.
    chi_oxy_ppm : float
        Fully oxygenated red cells minus plasma, SI.

    Returns
    -------
    float
        A fraction; outside 0 to 1 when the susceptibility fits no blood.

    Examples
    --------
    >>> round(oxygen_saturation(0.4402, 0.40), 3)
    0.65
    """
    return 1 - (difference_ppm - haematocrit * chi_oxy_ppm) / (haematocrit * chi_deoxy_ppm)


def vein_table(
    chi: np.ndarray,
    labels: np.ndarray,
    reliable: np.ndarray,
    affine: np.ndarray,
    *,
    haematocrit: float,
    connected: bool = True,
    marked: np.ndarray | None = None,
) -> list[dict[str, Any]]:
    """Measure every vein of a marking.

    Parameters
    ----------
    chi : (nx, ny, nz) float, ppm
        Referenced susceptibility; the reference cancels in differences.
    labels : (nx, ny, nz) int
        The marking, 0 outside.
    reliable : (nx, ny, nz) bool
        Where susceptibility was reconstructed.
    affine : (4, 4) float
        Voxel indices to scanner millimetres.
    haematocrit : float
        Volume fraction of red cells.
    connected : bool
        Whether connected pieces are veins of their own; else each value is one vein.
    marked : (nx, ny, nz) bool, optional
        Everything that is marked in the scan; it is kept out of the tissue.

    Returns
    -------
    list of dict
        The columns of ``VEIN_COLUMNS``, by value, the largest first.

    Raises
    ------
    AtlasError
        If the shapes differ.
    """
    check_shapes(chi, labels, reliable, marked)
    reliable = reliable & np.isfinite(chi)
    voxel_size = tuple(float(h) for h in np.linalg.norm(affine[:3, :3], axis=0))
    shell = shell_width(voxel_size)
    marked = labels > 0 if marked is None else marked | (labels > 0)
    rows = []
    veins = find_components(labels.astype(np.int64), voxel_size, connected=connected)
    for number, vein in enumerate(veins, start=1):
        diameter, depth = inscribed_diameter(vein.inside, voxel_size)
        known = reliable[vein.window]
        image = chi[vein.window].astype(np.float64)
        values = image[vein.inside & known]
        row: dict[str, Any] = {
            'id': number,
            'label': vein.value,
            **place(vein, affine),
            'n_voxels': vein.n_voxels,
            'volume_mm3': vein.n_voxels * math.prod(voxel_size),
            'coverage': values.size / vein.n_voxels,
            'diameter_mm': diameter,
            'diameter_voxels': diameter / shell,
        }
        inner = vein.inside & known & (depth >= INNER_FRACTION * depth.max())
        if row['coverage'] < MIN_COVERAGE or not inner.any():
            rows.append(row | dict.fromkeys(_MEASURES, math.nan) | {'remark': 'outside the map'})
            continue
        distance = signed_distance(vein.inside, voxel_size)
        tissue = local_background(image, distance, free_voxels(vein, reliable, marked), shell)
        top = np.sort(values)[-max(1, round(TOP_FRACTION * values.size)) :]
        row |= {
            'mean': float(values.mean()),
            'max': float(values.max()),
            'top_mean': float(top.mean()),
            'inner_mean': float(image[inner].mean()),
            'tissue': tissue.median,
            'tissue_sd': tissue.noise,
        }
        row['difference'] = row['inner_mean'] - tissue.median
        row['difference_uncertainty'] = math.hypot(
            mean_noise(tissue.noise, int(inner.sum())), mean_noise(tissue.noise, tissue.n_voxels)
        )
        row['top_difference'] = row['top_mean'] - tissue.median
        rows.append(row | _saturations(row, haematocrit))
    return rows


def inscribed_diameter(
    inside: np.ndarray, voxel_size: Sequence[float]
) -> tuple[float, np.ndarray]:
    """Return the diameter of the widest part of a piece, and how deep in it each voxel lies.

    Parameters
    ----------
    inside : (nx, ny, nz) bool
    voxel_size : (3,) float, mm

    Returns
    -------
    diameter : float, mm
        Of the largest sphere that holds no centre of an outer voxel, less half a shell.
    depth : (nx, ny, nz) float, mm
        Distance of each voxel centre to the nearest centre outside.

    Notes
    -----
    The sphere may be centred between voxels: near the deepest voxel its place is looked for on
    a grid three times as fine.

    Examples
    --------
    >>> tube = np.zeros((20, 12, 12), bool)
    >>> tube[:, 4:8, 4:8] = True
    >>> diameter, _ = inscribed_diameter(tube, (1.0, 1.0, 1.0))
    >>> bool(abs(diameter - 4.0) < 0.6)
    True
    """
    h = np.asarray(voxel_size, dtype=float)
    padded = np.pad(inside, 1)
    depth = ndimage.distance_transform_edt(padded, sampling=h)
    deepest = np.unravel_index(np.argmax(depth), depth.shape)
    reach = np.ceil(depth.max() / h).astype(int) + 2
    around = padded[
        tuple(slice(max(0, c - r), c + r + 1) for c, r in zip(deepest, reach, strict=True))
    ]
    f = _UPSAMPLING
    fine = np.ones([f * n for n in around.shape], dtype=bool)
    fine[1::f, 1::f, 1::f] = around  # only the centres of outer voxels are obstacles
    radius = float(ndimage.distance_transform_edt(fine, sampling=h / f).max())
    diameter = 2 * min(radius, float(depth.max()) + float(np.linalg.norm(h)) / 2)
    return float(diameter) - shell_width(voxel_size) / 2, depth[1:-1, 1:-1, 1:-1]


def _saturations(row: dict[str, Any], haematocrit: float) -> dict[str, Any]:
    """Return the saturation from the inner and from the highest voxels, with a remark."""
    nothing = {'oxygen_saturation': math.nan, 'oxygen_saturation_top': math.nan}
    if math.isnan(row['difference']):
        return nothing | {'remark': 'no tissue around'}
    if row['diameter_voxels'] < THINNEST_VOXELS:
        return nothing | {'remark': 'too thin'}
    found = {
        'oxygen_saturation': oxygen_saturation(row['difference'], haematocrit),
        'oxygen_saturation_top': oxygen_saturation(row['top_difference'], haematocrit),
    }
    if not 0 <= found['oxygen_saturation'] <= 1:
        return found | {'remark': 'fits no blood'}
    return found | {'remark': 'thin' if row['diameter_voxels'] < THIN_VOXELS else 'ok'}
