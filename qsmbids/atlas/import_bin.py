"""One age bin of a foreign atlas: read, checked, and made ready to be written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from qsmbids.atlas.checks import check_named, label_centres, mask_centre_x, whole_numbers
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.geometry import Label
from qsmbids.atlas.import_files import BinFiles
from qsmbids.atlas.import_images import (
    Volume,
    background_value,
    brain_from_background,
    check_orientation_word,
    describe_orientation,
    guess_unit,
    has_orientation,
    read_ras,
)
from qsmbids.atlas.import_labels import LabelRow
from qsmbids.atlas.import_regions import LabelPlaces, x_ranges
from qsmbids.atlas.questions import Ask, Question, answer

_SMALLEST_PPM = 0.005  # a 99th percentile below this is no susceptibility map in ppm
_TOO_LITTLE_BRAIN = 0.01  # share of the image


@dataclass(frozen=True)
class ImageAnswers:
    """What a person may have said of the images; '' or None: find out, or ask.

    Parameters
    ----------
    units : str
        ``ppm`` or ``ppb``.
    background : float or None
        Value outside the head.
    orientation : str
        Where axes run to, for files whose headers do not say.
    """

    units: str = ''
    background: float | None = None
    orientation: str = ''


@dataclass(frozen=True, eq=False)
class BinFacts:
    """What was found out about the images of a bin.

    Parameters
    ----------
    files : BinFiles
    shape, affine
        The one grid of the images, in RAS order.
    places : LabelPlaces
    agreement : float
        Dice of all labels with those of the first bin, 1 if equal; 0 on another grid.
    told : list of str
        What was done with them.
    """

    files: BinFiles
    shape: tuple[int, ...]
    affine: np.ndarray
    places: LabelPlaces
    agreement: float
    told: list[str] = field(default_factory=list)


def prepare_bin(
    files: BinFiles,
    rows: Sequence[LabelRow],
    answers: ImageAnswers,
    ask: Ask | None,
    first_labels: np.ndarray,
) -> tuple[BinFacts, dict[str, np.ndarray]]:
    """Read, check and convert the images of one bin.

    Parameters
    ----------
    files : BinFiles
    rows : sequence of LabelRow
        Every label in the image must be among them.
    answers : ImageAnswers
    ask : callable, optional
        See `qsmbids.atlas.questions.answer`.
    first_labels : (nx, ny, nz) int32
        Label image of the first bin, to compare with; empty for the first.

    Returns
    -------
    facts : BinFacts
    images : dict
        ``chi`` (float32, ppm, zero outside the mask), ``mask`` (bool), ``dseg`` (int32) and
        what else there was, cut to the brain.

    Raises
    ------
    AtlasError
        If an image cannot be used, grids differ, labels are not in the table, or something
        is not known and nobody can be asked.
    """
    orientation = _orientation(files, answers, ask)
    volumes = {kind: read_ras(path, orientation) for kind, path in files.images.items()}
    chi = volumes['chi']
    for volume in volumes.values():
        _check_grid(volume, chi)
    labelled = whole_numbers(volumes['dseg'].path, volumes['dseg'].array)
    check_named(volumes['dseg'].path, labelled, [_as_label(row) for row in rows])
    mask, told = _brain(volumes, labelled, answers, ask)
    if chi.stored != 'RAS':
        told.append(f'stored as {describe_orientation(chi.stored)}; turned to RAS, not resampled')
    scale = _scale(chi, mask, answers, ask)
    images = {'mask': mask, 'dseg': labelled}
    for kind, volume in volumes.items():
        if kind in ('chi', 'chi_std'):
            images[kind] = np.where(mask, volume.array * np.float32(scale), 0)
        elif kind not in images:
            images[kind] = np.where(mask, volume.array, 0)
    places = LabelPlaces(
        volumes['dseg'].path, label_centres(labelled, chi.affine),
        x_ranges(labelled, chi.affine), mask_centre_x(mask, chi.affine),
    )  # fmt: skip
    agreement = _agreement(first_labels, labelled)
    facts = BinFacts(files, labelled.shape, chi.affine, places, agreement, told)
    return facts, images


def _agreement(first: np.ndarray, other: np.ndarray) -> float:
    """Return the Dice of two label images, all labels together."""
    if first.shape != other.shape:
        return 0.0
    same = np.count_nonzero((first == other) & (first > 0))
    return 2 * same / max(np.count_nonzero(first) + np.count_nonzero(other), 1)


def _as_label(row: LabelRow) -> Label:
    return Label(row.index, row.name, '', 'B', '', '', row.name)


def _orientation(files: BinFiles, answers: ImageAnswers, ask: Ask | None) -> str:
    """Return the orientation of files whose headers have none; '' if all have."""
    silent = [path for path in files.images.values() if not has_orientation(path)]
    if not silent:
        return ''
    word = answers.orientation or answer(
        Question(
            '--orientation',
            f'The header of {silent[0].name} does not say how the image lies in space. '
            'Where do its three axes run to (RAS: right, front, top)?',
            'Left and right could be exchanged, and nobody would see it on the picture.',
        ),
        ask,
    )
    return check_orientation_word(word)


def _check_grid(volume: Volume, chi: Volume) -> None:
    if not volume.same_grid(chi):
        raise AtlasError(
            f'{volume.path} and {chi.path} are not on the same grid '
            f'({_grid_words(volume)}; {_grid_words(chi)}).',
            'Template and labels are used voxel by voxel.',
            'Resample one of them to the other (labels with nearest neighbours), or correct '
            'the header that is wrong.',
        )


def _grid_words(volume: Volume) -> str:
    size = np.linalg.norm(volume.affine[:3, :3], axis=0)
    first = volume.affine[:3, 3]
    return (
        f'{" x ".join(map(str, volume.array.shape))} voxels of '
        f'{" x ".join(f"{s:.3g}" for s in size)} mm from '
        f'({", ".join(f"{f:.4g}" for f in first)})'
    )


def _brain(
    volumes: Mapping[str, Volume], labelled: np.ndarray, answers: ImageAnswers, ask: Ask | None
) -> tuple[np.ndarray, list[str]]:
    """Return the brain mask, given or derived from the background, and what was done."""
    chi = volumes['chi']
    if 'mask' in volumes:
        mask, told = volumes['mask'].array > 0.5, [f'brain mask {volumes["mask"].path.name}']
    else:
        value = answers.background
        if value is None:
            value = background_value(chi.array)
        if value is None:
            value = _ask_background(chi, ask)
        # float32, as in the image: 0.1 in double precision would equal no voxel
        mask = brain_from_background(chi.array, float(np.float32(value)))
        kind = ' (the minimum of the image)' if value and value == chi.array.min() else ''
        told = [f'background {value:.4g}{kind}; brain mask: all else, largest piece, holes filled']
    if mask.mean() < _TOO_LITTLE_BRAIN or mask.all():
        raise AtlasError(
            f'the brain in {chi.path} takes up {100 * mask.mean():.1f} % of the image.',
            'Background and brain were not told apart.',
            'Give the value outside the head with --background, or a mask with --mask PATTERN.',
        )
    outside = float((labelled[~mask] != 0).sum() / max((labelled != 0).sum(), 1))
    if outside > 0.02:
        told.append(f'{100 * outside:.0f} % of the labelled voxels lie outside the brain mask')
    return mask, told


def _ask_background(chi: Volume, ask: Ask | None) -> float:
    low, high = float(chi.array.min()), float(chi.array.max())
    text = answer(
        Question(
            '--background',
            f'The value outside the head in {chi.path.name} is neither 0 nor the minimum, or its '
            f'border is not constant (values {low:.4g} to {high:.4g}). Which value is it?',
            'The brain mask is derived from it; or give a mask with --mask PATTERN.',
        ),
        ask,
    )
    try:
        return float(text)
    except ValueError:
        raise AtlasError(
            f'{text!r} is no number.', 'It is to be the value outside the head.',
            'Give --background NUMBER.',
        ) from None  # fmt: skip


def _scale(chi: Volume, mask: np.ndarray, answers: ImageAnswers, ask: Ask | None) -> float:
    """Return what brings the map to ppm: 1 or 0.001."""
    guess, p99 = guess_unit(chi.array, mask)
    unit = answers.units
    if not unit and guess == 'ppm':
        unit = 'ppm'
    elif not unit:
        unit = answer(
            Question(
                '--units',
                f'The values of {chi.path.name} reach {p99:.3g} (99th percentile). '
                'Are they ppm or ppb?',
                'Every table would be wrong by a factor of 1000.'
                + (' They look like ppb; with --units ppb they are divided by 1000.'
                   if guess == 'ppb' else ''),
                ('ppm', 'ppb'),
                guess,
            ),
            ask,
        )  # fmt: skip
    scale = {'ppm': 1.0, 'ppb': 0.001}[unit]
    if (unit == 'ppm' and guess == 'ppb') or p99 * scale < _SMALLEST_PPM:
        raise AtlasError(
            f'the values of {chi.path} cannot be {unit}: they reach {p99:.3g} (99th percentile).',
            'Susceptibility in the brain reaches a few tenths of a ppm, or some hundred ppb.',
            f'Give --units {"ppb" if unit == "ppm" else "ppm"}, or look at the image.',
        )
    return scale
