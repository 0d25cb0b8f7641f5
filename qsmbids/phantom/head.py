"""The template head around the brain: skull, scalp, face, neck, air spaces, dural sinus.

The MNI152 template that ships with nilearn is a brain without a head, so the head is built
around it from distances to the brain (skull, scalp) and from simple bodies (face, orbits,
air spaces). Places and sizes are anatomical common sense in MNI152 millimetres; what matters
is that air lies where the field of a real head is disturbed: above the orbits, at the skull
base and in the temporal bones.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from qsmbids.atlas.template import mni_template
from qsmbids.phantom.tissues import Tissue

ORIGIN_MM = (-108.0, -148.0, -134.0)  # centre of the first voxel, 1 mm isotropic
SHAPE = (217, 265, 257)

# layers outside the brain's smoothed envelope, mm from its surface outwards
_CSF_TO = 2.5
_INNER_TABLE_TO = 4.5
_MARROW_TO = 6.0
_OUTER_TABLE_TO = 8.0
_FAT_TO = 11.5
_SKIN_TO = 13.5
_ENVELOPE_CLOSING_MM = 8.0  # bridges the sulci and the fissures, not the temporal bone
_AIR_GAP_MM = 3.0  # least distance of an air space from the brain: bone and dura

# ellipsoids as (centre, semi-axes); those off the midline exist on both sides
_FACE = (
    ((0, 42, -62), (62, 46, 62)),  # face
    ((0, 70, -52), (20, 34, 40)),  # nose
    ((0, 30, -105), (48, 56, 34)),  # jaw
    ((0, -14, -72), (68, 66, 50)),  # cheeks and what lies under the skull base
)
_NECK = ((0, -38, -125), (58, 62, 92))
_EYE = ((32, 62, -34), (12, 12, 12))
_ORBIT = ((30, 56, -34), (17, 22, 16))
_VERTEBRA = ((0, -28, -130), (22, 16, 70))
_AIR_SPACES = {
    'frontal sinus': ((13, 75, -13), (12, 5, 11)),
    'ethmoid cells': ((8, 46, -40), (6, 18, 13)),
    'sphenoid sinus': ((7, 18, -44), (9, 12, 10)),
    'maxillary sinus': ((30, 50, -68), (13, 15, 15)),
    'nasal cavity': ((5, 60, -62), (4, 28, 16)),
    'mastoid cells': ((52, -36, -48), (8, 12, 14)),
    'middle ear': ((44, -22, -42), (6, 6, 6)),
    'pharynx': ((0, 2, -105), (11, 8, 52)),
}
_EAR_CANAL = ((68, -22, -43), (22, 3.5, 3.5))


class TemplateHead(NamedTuple):
    """The head in template space."""

    codes: np.ndarray  # (217, 265, 257) int8, Tissue
    origin_mm: np.ndarray  # (3,), centre of the first voxel; voxels are 1 mm


@cache
def template_head() -> TemplateHead:
    """Build the head around the template brain (about 3 s, once per process).

    Returns
    -------
    TemplateHead
    """
    brain = _brain_on_head_grid()
    envelope, brain_distance = _distances(brain)
    # where the brain sticks out of its smoothed envelope, fluid still covers it
    envelope = np.minimum(envelope, brain_distance)
    x, y, z = (
        start + np.arange(n, dtype=np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        for axis, (start, n) in enumerate(zip(ORIGIN_MM, SHAPE, strict=True))
    )

    codes = np.zeros(SHAPE, dtype=np.int8)
    _face_and_neck(codes, x, y, z)
    _skull_and_scalp(codes, envelope, z)
    _orbits(codes, x, y, z)
    _sagittal_sinus(codes, envelope, x, y, z)
    _spine(codes, x, y, z)
    _air_spaces(codes, brain_distance, x, y, z)
    codes[brain] = Tissue.BRAIN
    codes.setflags(write=False)
    return TemplateHead(codes, np.asarray(ORIGIN_MM))


def _brain_on_head_grid() -> np.ndarray:
    template = mni_template()
    brain = np.zeros(SHAPE, dtype=bool)
    start = np.rint(template.affine[:3, 3] - ORIGIN_MM).astype(int)
    place = tuple(slice(a, a + n) for a, n in zip(start, template.brain_mask.shape, strict=True))
    brain[place] = template.brain_mask
    return brain


def _distances(brain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signed distance to the smoothed envelope, and distance to the brain, in mm.

    Both vary slowly, so they are computed at 2 mm, which takes an eighth of the time.
    """
    coarse = brain[::2, ::2, ::2]
    to_brain = 2 * ndimage.distance_transform_edt(~coarse)
    closed = 2 * ndimage.distance_transform_edt(to_brain < _ENVELOPE_CLOSING_MM)
    envelope = closed > _ENVELOPE_CLOSING_MM
    signed = 2 * (
        ndimage.distance_transform_edt(~envelope) - ndimage.distance_transform_edt(envelope)
    )
    signed = ndimage.gaussian_filter(signed, 1.0)
    return _to_full(signed), _to_full(to_brain)


def _to_full(coarse: np.ndarray) -> np.ndarray:
    """Double the sampling of an array by linear interpolation, to the shape of the head."""
    full = coarse.astype(np.float32)
    for axis, n in enumerate(SHAPE):
        position = np.arange(n) / 2
        low = np.minimum(position.astype(int), full.shape[axis] - 1)
        high = np.minimum(low + 1, full.shape[axis] - 1)
        weight = (
            (position - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        )
        full = full.take(low, axis) * (1 - weight) + full.take(high, axis) * weight
    return full


def _ellipsoid(
    x: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    body: tuple[Sequence[float], Sequence[float]],
    *,
    grow_mm: float = 0.0,
) -> np.ndarray:
    """Mask of an ellipsoid and of its mirror image."""
    (cx, cy, cz), axes = body
    ax, ay, az = (a + grow_mm for a in axes)
    return ((np.abs(x) - cx) / ax) ** 2 + ((y - cy) / ay) ** 2 + ((z - cz) / az) ** 2 < 1


def _face_and_neck(codes: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> None:
    bodies = (*_FACE, _NECK)
    for grow, tissue in ((0.0, Tissue.SKIN), (-2.0, Tissue.FAT), (-6.0, Tissue.MUSCLE)):
        for body in bodies:
            codes[_ellipsoid(x, y, z, body, grow_mm=grow)] = tissue


def _skull_and_scalp(codes: np.ndarray, envelope: np.ndarray, z: np.ndarray) -> None:
    scalp = (codes == Tissue.AIR) | (codes == Tissue.SKIN) | (codes == Tissue.FAT)
    codes[scalp & (envelope < _SKIN_TO)] = Tissue.SKIN
    codes[scalp & (envelope < _FAT_TO)] = Tissue.FAT
    # the temporal muscle thickens the lower half of the scalp
    codes[scalp & (envelope < _FAT_TO - 1) & (envelope > _OUTER_TABLE_TO) & (z < 20)] = (
        Tissue.MUSCLE
    )
    for limit, tissue in (
        (_OUTER_TABLE_TO, Tissue.BONE),
        (_MARROW_TO, Tissue.MARROW),
        (_INNER_TABLE_TO, Tissue.BONE),
        (_CSF_TO, Tissue.CSF),
    ):
        codes[envelope < limit] = tissue


def _orbits(codes: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> None:
    outside_skull = (codes != Tissue.CSF) & (codes != Tissue.AIR)
    codes[_ellipsoid(x, y, z, _ORBIT) & outside_skull] = Tissue.FAT
    codes[_ellipsoid(x, y, z, _EYE) & outside_skull] = Tissue.EYE


def _sagittal_sinus(
    codes: np.ndarray, envelope: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray
) -> None:
    """Fill a triangle under the inner table, from the forehead over the top to the back."""
    width = 4.0 * np.clip((envelope + 5.0) / 6.0, 0, 1)  # half width, widest at the skull
    over_the_top = (z > 5) | ((y < -80) & (z > -20))
    sinus = (np.abs(x) < width) & (envelope < _CSF_TO) & over_the_top
    codes[sinus] = Tissue.BLOOD


def _spine(codes: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> None:
    """Bone round a canal that carries the cord on from the brainstem."""
    below = (z < -72) & (codes != Tissue.AIR)
    codes[below & _ellipsoid(x, y, z, _VERTEBRA)] = Tissue.BONE
    # the brainstem leaves the template near y = -43 mm
    radius = np.hypot(x, y + 43)
    codes[below & (radius < 14)] = Tissue.BONE
    codes[below & (radius < 10)] = Tissue.CSF
    codes[below & (radius < 6)] = Tissue.MUSCLE  # the cord, as bright as muscle


def _air_spaces(
    codes: np.ndarray, brain_distance: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray
) -> None:
    """Cut the air spaces out, each in a shell of bone, and the ear canals without one."""
    free = brain_distance > _AIR_GAP_MM
    for body in _AIR_SPACES.values():
        wall = _ellipsoid(x, y, z, body, grow_mm=1.5) & free & (codes != Tissue.AIR)
        codes[wall] = Tissue.BONE
    for body in (*_AIR_SPACES.values(), _EAR_CANAL):
        codes[_ellipsoid(x, y, z, body) & free] = Tissue.AIR
