"""The image of a person that registration looks at, and the grid that averages live on.

Structure and susceptibility are mixed into one hybrid image (`qsmbids.atlas.hybrid`). With a
T1w image that is ``255 T1w - 400 chi``. Without, the gradient-echo magnitude takes its place *as
it is*: at echo times of about 15 ms it is not like a T1w image (grey and white matter differ
little, and either may be the brighter), but iron-rich nuclei are dark in it, as they are in
``-chi``, so both terms draw the same borders and inverting it would cancel them. What is bright
does not matter, because an average is only ever compared with images of its own kind. For the
same reason one cohort should have one protocol.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qsmbids.atlas.build.groups import Person
from qsmbids.atlas.channels import chi_channel, structural_channel, write_template_channels
from qsmbids.atlas.coregister import coregister_t1w
from qsmbids.atlas.dataset import AtlasFiles
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.hybrid import hybrid_image
from qsmbids.atlas.images import read_image, read_mask, resample_to, same_grid, write_image

MARGIN_MM = 12.0  # around the brain that the linear start goes to: heads may be larger
MAX_CHI_PPM = 5.0  # a 99th percentile above this means ppb, not ppm


def write_hybrid(person: Person, folder: Path, *, seed: int, threads: int = 1) -> dict[str, Path]:
    """Write the hybrid image and the brain of a person.

    Parameters
    ----------
    person : Person
    folder : Path
        For the images; it exists.
    seed, threads
        For the rigid registration of the T1w image, if there is one.

    Returns
    -------
    dict of str to Path
        ``hybrid`` and ``brain`` on the grid of the map, and with a T1w image ``t1w``: free
        from bias, 0..1, in the world of the map but on its own grid.

    Raises
    ------
    AtlasError
        If an image cannot be used.
    """
    brain, affine = read_mask(person.brain_mask)
    valid = read_mask(person.qsm_mask)[0]
    chi = read_image(person.chi)[0]
    for path in (person.chi, person.magnitude, person.qsm_mask):
        if not same_grid(path, person.brain_mask):
            raise AtlasError(
                f'{path.name} and {person.brain_mask.name} are not on the same grid.',
                'They are used voxel by voxel.',
                'Give images of one acquisition.',
            )
    if not (valid & brain).any() or np.percentile(np.abs(chi[valid]), 99) > MAX_CHI_PPM:
        raise AtlasError(
            f'{person.chi.name} has no values in ppm inside its mask.',
            'Susceptibility in ppm is averaged.',
            'Run the reconstruction again; a map in ppb must be divided by 1000.',
        )
    written = {}
    if person.t1w is None:
        structure = structural_channel(read_image(person.magnitude)[0], brain, affine)
    else:
        written['t1w'], _ = coregister_t1w(
            magnitude=person.magnitude, mask=person.brain_mask, t1w=person.t1w, folder=folder,
            seed=seed, threads=threads,
        )  # fmt: skip
        structure = resample_to(*read_image(written['t1w']), brain.shape, affine)
    hybrid = hybrid_image(structure, chi_channel(chi, brain, valid), brain)
    written['hybrid'] = write_image(folder / 'hybrid.nii', hybrid, affine)
    written['brain'] = write_image(folder / 'brain.nii', brain.astype(np.float32), affine)
    return written


def write_reference(
    template: AtlasFiles, folder: Path, size_mm: float, *, t1w: bool
) -> dict[str, Path]:
    """Write the hybrid image of an existing template: where averages begin.

    Only its pose, and the place of the grid, remain in the averages; their size and shape
    are those of the people.

    Parameters
    ----------
    template : AtlasFiles
    folder : Path
        For the images; it exists.
    size_mm : float
        Voxel size of the atlas to be built.
    t1w : bool
        Whether the people have T1w images.

    Returns
    -------
    dict of str to Path
        ``hybrid`` and ``brain`` on the grid of the new atlas.
    """
    channels = write_template_channels(template, size_mm, folder)
    wanted = ('t1w', 'magnitude') if t1w else ('magnitude', 't1w')
    structural = next((name for name in wanted if name in channels), None)
    if structural is None:
        raise AtlasError(
            f'the template beside {template.chi} has neither a T2starw nor a T1w image.',
            'The people are first laid on it.',
            'Use another atlas.',
        )
    brain, affine = read_mask(channels['mask'])
    structure, chi = (read_image(channels[name])[0] for name in (structural, 'chi'))
    hybrid = hybrid_image(structure, chi, brain)
    occupied = [np.flatnonzero(brain.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    margin = int(np.ceil(MARGIN_MM / size_mm))
    first = np.array([places[0] for places in occupied]) - margin
    shape = tuple(int(p[-1] - p[0]) + 1 + 2 * margin for p in occupied)
    target = affine.copy()
    target[:3, 3] += affine[:3, :3] @ first
    moved = resample_to(brain, affine, shape, target)
    return {
        'hybrid': write_image(
            folder / 'reference.nii', resample_to(hybrid, affine, shape, target), target
        ),
        'brain': write_image(folder / 'reference_brain.nii', moved, target),
    }
