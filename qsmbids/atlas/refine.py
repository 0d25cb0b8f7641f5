"""A second, finer SyN in a box around the nuclei.

The cortex fills most of a brain and most of the time of a registration, and none of it helps
to place a subthalamic nucleus. After the whole brain has been registered at 2 mm, the scan is
brought into a box of the template, deep grey matter, brain stem and dentate nuclei, at 1 mm,
and registered again there from the identity. The field of the box falls to zero at its walls,
so the two fit together; `qsmbids.atlas.compose` joins them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from qsmbids.atlas import ants_run
from qsmbids.atlas.channels import write_template_channels
from qsmbids.atlas.compose import pieces_of
from qsmbids.atlas.dataset import AtlasFiles
from qsmbids.atlas.images import read_image, read_mask, write_image
from qsmbids.atlas.initial_pose import write_matrix
from qsmbids.atlas.transforms import warp

SIZE_MM = 1.0
# of the extent of the template's brain mask: from the occipital end of the dentate to the head
# of the caudate, from below the dentate to the body of the caudate
RIGHT, FRONT, TOP = (0.19, 0.81), (0.20, 0.79), (0.16, 0.69)


def refine_in_box(
    *, forward: str, template: AtlasFiles, moving: dict[str, Path], names: Sequence[str],
    iterations: Sequence[int], levels_mm: Sequence[float], step: float, folder: Path,
    seed: int | None, threads: int,
) -> tuple[Path, Path]:  # fmt: skip
    """Register once more around the nuclei.

    Parameters
    ----------
    forward : str
        Composite transform of the whole brain: resamples the scan onto the template.
    template : AtlasFiles
    moving : dict of str to Path
        Channels of the scan, see `qsmbids.atlas.channels`.
    names : sequence of str
        Channels to compare, each by local correlation with weight 1.
    iterations, levels_mm, step
        Of SyN.
    folder : Path
        For the files made here; made if absent.
    seed, threads
        As in `qsmbids.atlas.register.register_to_template`.

    Returns
    -------
    warp, inverse_warp : Path
        Displacement fields on the grid of the box.
    """
    folder.mkdir(parents=True, exist_ok=True)
    whole = write_template_channels(template, SIZE_MM, folder)
    brain, affine = read_mask(whole['mask'])
    box = deep_box(brain, affine)
    at = affine.copy()
    at[:3, 3] += affine[:3, :3] @ [part.start for part in box]
    shape = brain[box].shape
    metrics = []
    for name in names:
        fixed = write_image(folder / f'box_{name}.nii', read_image(whole[name])[0][box], at)
        found = warp(*read_image(moving[name]), shape, at, [forward])
        other = write_image(folder / f'box_moving_{name}.nii', found, at)
        metrics.append(ants_run.Metric('CC', fixed, other))
    region = write_image(folder / 'box_region.nii', brain[box].astype(np.float32), at)
    start = write_matrix(np.eye(4), folder / 'identity.mat')
    prefix = folder / 'box_'
    ants_run.run(
        [
            *ants_run.start(prefix, str(start), seed, composite=False),
            *ants_run.syn_stage(
                metrics, step=step, iterations=iterations, levels_mm=levels_mm, size_mm=SIZE_MM
            ),
            '--masks', f'[{region},NA]',
        ],
        threads,
    )  # fmt: skip
    pieces = pieces_of(prefix)
    return pieces.warp, pieces.inverse_warp


def deep_box(brain: np.ndarray, affine: np.ndarray) -> tuple[slice, slice, slice]:
    """Return the box of a template, by fractions of its brain's extent.

    Parameters
    ----------
    brain : (nx, ny, nz) bool
        Mask of the template, whose voxel axes run along the axes of the head.
    affine : (4, 4) float
    """
    occupied = ndimage.find_objects(brain.astype(np.uint8))[0]
    box = [slice(None)] * 3
    for axis, (place, sign) in enumerate(nib.io_orientation(affine)):
        low, high = (RIGHT, FRONT, TOP)[int(place)]
        if sign < 0:
            low, high = 1 - high, 1 - low
        first, extent = occupied[axis].start, occupied[axis].stop - occupied[axis].start
        box[axis] = slice(first + int(np.floor(low * extent)), first + int(np.ceil(high * extent)))
    return tuple(box)
