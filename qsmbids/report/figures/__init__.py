"""Pictures of one acquisition, each drawn on its own.

:func:`draw_figures` goes through the table of pictures below. A picture whose images are
missing is left out, one that cannot be drawn (an unreadable file) is logged and left out: a
report with a gap is worth more than no report.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nibabel.filebasedimages import ImageFileError

from qsmbids.report.figures import anatomy, atlas, fields, maps
from qsmbids.report.figures.images import Images
from qsmbids.report.figures.montage import save
from qsmbids.report.models import Figure

LOGGER = logging.getLogger(__name__)

# what a truncated or foreign file raises, by its kind of compression
_UNREADABLE = (OSError, EOFError, ValueError, zlib.error, ImageFileError)


@dataclass(frozen=True)
class _Context:
    """What pictures need besides images."""

    b0_direction: tuple[float, ...]  # empty when not known
    labels: Sequence[Any]

    @property
    def deep_grey(self) -> list[int]:
        return [label.index for label in self.labels if label.group == 'deep grey']


@dataclass(frozen=True)
class _Picture:
    name: str
    suffix: str  # BIDS suffix of the file
    needs: tuple[str, ...]  # keys of the files without which it cannot be drawn
    parts: tuple[str, ...]  # in which half of the work it is drawn
    draw: Callable[[Images, _Context], Any]
    title: str
    caption: str


_PICTURES = (
    _Picture(
        'slab', 'T2starw', ('rss',), ('recon',),
        lambda images, context: anatomy.draw_slab(images, context.b0_direction),
        'Slab and field direction',
        'Middle slices of the magnitude with the direction of the main field B0. For a head '
        'lying in the scanner the arrow runs from foot to head, whatever the tilt of the slab.',
    ),
    _Picture(
        'mask', 'T2starw', ('rss',), ('recon',),
        lambda images, context: anatomy.draw_mask(images),
        'Masks on the magnitude',
        'Outline of the brain (blue) and of the voxels in which susceptibility was computed '
        '(yellow). Good: the outline follows the cortex without skull or eyes, and yellow lies '
        'inside blue with gaps only near air (above nose and ears).',
    ),
    _Picture(
        'phase', 'MEGRE', ('unwrapped_last',), ('recon',),
        lambda images, context: fields.draw_phase(images),
        'Phase',
        'Measured phase in −π…π and the unwrapped phase in the fixed window −15…15 rad. Good: '
        'the unwrapped phase is smooth inside the brain; jumps from black to white along a line '
        'are wraps that were missed.',
    ),
    _Picture(
        'fields', 'fieldmap', ('total_field',), ('recon',),
        lambda images, context: fields.draw_fields(images),
        'Fields',
        'Total field (−100…100 Hz), local field (−20…20 Hz) and noise of the field (0…2 Hz). '
        'Good: the local field shows anatomy on an even grey; large bright or dark areas at the '
        'edge are background that was not removed.',
    ),
    _Picture(
        'chi', 'Chimap', ('chi',), ('recon',),
        lambda images, context: maps.draw_chi(images),
        'Susceptibility map',
        'Fixed window −0.1…0.2 ppm, the same in every report; paramagnetic is bright. Good: '
        'globus pallidus, red nucleus, substantia nigra and veins are bright, white matter is '
        'darker than grey matter, and no streaks radiate from vessels.',
    ),
    _Picture(
        'deepgrey', 'Chimap', ('chi',), ('recon', 'atlas'),
        lambda images, context: maps.draw_zoom(images, context.deep_grey),
        'Deep grey matter',
        'The same map and window, larger. Good: the nuclei have sharp borders, left and right '
        'look alike.',
    ),
    _Picture(
        'r2star', 'R2starmap', ('r2star',), ('recon',),
        lambda images, context: maps.draw_r2star(images),
        'R2*',
        'Fixed window 0…60 1/s with the histogram of the brain. Good: iron-rich nuclei are '
        'bright; very high values above nose and ears come from field gradients, not tissue.',
    ),
    _Picture(
        'registration', 'Chimap', ('chi', 'template_chi'), ('atlas',),
        lambda images, context: atlas.draw_registration(images, context.labels),
        'Registration',
        'The susceptibility map above the atlas of this age, moved to the subject, in the same '
        'window. Good: the same outline fits the nuclei in both rows.',
    ),
    _Picture(
        'contours', 'dseg', ('dseg',), ('atlas',),
        lambda images, context: atlas.draw_contours(images, context.labels),
        'Atlas regions',
        'Outlines of the atlas regions on susceptibility and magnitude. Good: each outline '
        'follows its nucleus; a shift of more than a voxel or two spoils the small ones.',
    ),
)  # fmt: skip


def draw_figures(
    files: Mapping[str, Path],
    out_dir: Path,
    stem: str,
    *,
    part: str = '',
    b0_direction: Sequence[float] | None = None,
    label_table: Sequence[Any] | None = None,
) -> list[Figure]:
    """Draw every picture for which there are images.

    Parameters
    ----------
    files : mapping of str to Path
        NIfTI files of one acquisition, all on its own grid: ``rss``, ``brain_mask``,
        ``qsm_mask``, ``phase_first``, ``phase_last``, ``unwrapped_last``, ``total_field``,
        ``local_field``, ``field_noise``, ``chi``, ``r2star``, ``dseg``, ``template_chi``,
        ``template_t1w_native``. Other keys and absent files are ignored.
    out_dir : Path
        Made if absent.
    stem : str
        Beginning of the file names: ``<stem>_desc-<name>_<suffix>.webp``.
    part : str
        ``recon`` or ``atlas`` for the pictures of one half of the work, '' for all. The deep
        grey matter belongs to both: once there are labels it is centred on the nuclei.
    b0_direction : (3,) float, optional
        Unit vector in the voxel axes of the stored files; without it the slab is not drawn.
    label_table : sequence of Label, optional
        Rows with index, abbreviation, group, color and region, for colours and names.

    Returns
    -------
    list of Figure
        In the order of the report.
    """
    images = Images(files)
    direction = () if b0_direction is None else tuple(float(v) for v in b0_direction)
    context = _Context(direction, tuple(label_table or ()))
    figures = []
    for picture in _PICTURES:
        if part and part not in picture.parts:
            continue
        if not all(key in images for key in picture.needs):
            continue
        if picture.name == 'slab' and not context.b0_direction:
            continue
        # of a picture of both parts, the one without labels has a file of its own: what one
        # step wrote, another must not replace
        alone = 'unlabelled' if part == 'recon' and len(picture.parts) > 1 else ''
        path = Path(out_dir) / f'{stem}_desc-{picture.name}{alone}_{picture.suffix}.webp'
        try:
            save(picture.draw(images, context), path)
        except _UNREADABLE as error:
            LOGGER.warning('Figure %r of %s was not drawn: %s', picture.name, stem, error)
            continue
        figures.append(Figure(path, picture.name, picture.title, picture.caption))
    return figures
