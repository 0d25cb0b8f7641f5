"""Who is in the atlas: the scans of an output folder, one per person, and their age groups.

Only what a run of qsmbids has written is read. The age stands in the sidecar of the map. Of
several scans of a person the first is taken (first session, first run), because a person who
counts twice would pull the mean towards her- or himself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from qsmbids.atlas.errors import AtlasError

DEFAULT_MIN_PEOPLE = 3
_CHI = '_Chimap.nii.gz'
_DERIVED = ('_desc-', '_space-')  # entities of maps that are made from the map


@dataclass(frozen=True)
class Person:
    """The scan of one person.

    Parameters
    ----------
    label : str
        ``sub-01``.
    age : float, years
    chi, magnitude, brain_mask, qsm_mask : Path
        On one grid; susceptibility in ppm.
    r2star : Path or None
        1/s.
    t1w : Path or None
        T1-weighted image of the same person, in a space of its own.
    reference : str
        What zero of the map is, e.g. ``whole-brain``; '' if the sidecar does not say.
    """

    label: str
    age: float
    chi: Path
    magnitude: Path
    brain_mask: Path
    qsm_mask: Path
    r2star: Path | None = None
    t1w: Path | None = None
    reference: str = ''


@dataclass(frozen=True)
class AgeGroup:
    """People of one age bin, [age_min, age_max); the oldest bin includes its upper limit."""

    label: str  # digits, as in cohort-<label>
    age_min: float
    age_max: float
    people: tuple[Person, ...]

    @property
    def mean_age(self) -> float:
        """Mean age in years."""
        return sum(person.age for person in self.people) / len(self.people)

    @property
    def interval(self) -> str:
        """The bin as text, ``[31, 41)``."""
        return f'[{self.age_min:g}, {self.age_max:g})'


def find_people(
    derivatives: Path, t1w_folder: Path | None = None
) -> tuple[tuple[Person, ...], tuple[str, ...]]:
    """Find the people of an output folder.

    Parameters
    ----------
    derivatives : Path
        Output folder of qsmbids.
    t1w_folder : Path, optional
        BIDS folder (raw or derivative) with a ``_T1w`` image of each person. People without
        one are then left out, because contrasts must not be mixed in one average.

    Returns
    -------
    people : tuple of Person
        Sorted by label.
    notes : tuple of str
        One sentence for each person or scan that is left out, and why.

    Raises
    ------
    AtlasError
        If there is no map at all.
    """
    maps = sorted(
        path
        for pattern in ('sub-*/anat', 'sub-*/ses-*/anat')
        for path in Path(derivatives).glob(f'{pattern}/*{_CHI}')
        if not any(entity in path.name for entity in _DERIVED)
    )
    if not maps:
        raise AtlasError(
            f'{derivatives} holds no susceptibility map sub-*/[ses-*/]anat/*_Chimap.nii.gz.',
            'An atlas is built from the maps of several people.',
            'Give the output folder of qsmbids participant.',
        )
    people, notes = [], []
    for label in dict.fromkeys(path.name.split('_')[0] for path in maps):
        own = [path for path in maps if path.name.startswith(f'{label}_')]
        if len(own) > 1:
            notes.append(f'{label} has {len(own)} maps: {own[0].name} is used')
        found = _person(label, own[0], t1w_folder)
        if isinstance(found, str):
            notes.append(f'{label} is left out: {found}')
        else:
            people.append(found)
    return tuple(people), tuple(notes)


def age_groups(
    people: Sequence[Person], edges: Sequence[float], min_people: int = DEFAULT_MIN_PEOPLE
) -> tuple[tuple[AgeGroup, ...], tuple[str, ...]]:
    """Sort people into age groups.

    Parameters
    ----------
    people : sequence of Person
    edges : sequence of float, years
        Ascending; neighbours are the limits of a bin.
    min_people : int
        A bin with fewer people is joined to the touching bin that has the fewest people (the
        younger of equals), until it is large enough; one that touches no other is left out.

    Returns
    -------
    groups : tuple of AgeGroup
        Youngest first, with the labels 1, 2, ...
    notes : tuple of str
        One sentence for each person left out and each bin joined.

    Raises
    ------
    AtlasError
        If the edges are no bins, or no group is large enough.
    """
    edges = [float(edge) for edge in edges]
    if len(edges) < 2 or any(not low < high for low, high in pairwise(edges)):
        raise AtlasError(
            f'the age limits {" ".join(f"{edge:g}" for edge in edges)} are no bins.',
            'Each pair of neighbours is the lower and the upper limit of an age group.',
            'Give at least two numbers in ascending order.',
        )
    notes = []
    bins = {pair: [] for pair in pairwise(edges)}
    for person in people:
        home = _bin_of(person.age, edges)
        if home is None:
            notes.append(f'{person.label} is left out: age {person.age:g} lies outside the bins')
        else:
            bins[home].append(person)
    bins = {pair: found for pair, found in bins.items() if found}
    while small := [pair for pair, found in bins.items() if len(found) < min_people]:
        pair = min(small, key=lambda p: (len(bins[p]), p))
        touching = [p for p in bins if p[1] == pair[0] or p[0] == pair[1]]
        found = bins.pop(pair)
        text = f'ages {pair[0]:g} to {pair[1]:g} have only {len(found)} of {min_people} people'
        if not touching:
            notes.append(f'{text}: left out ({", ".join(p.label for p in found)})')
            continue
        other = min(touching, key=lambda p: (len(bins[p]), p))
        joined = (min(pair[0], other[0]), max(pair[1], other[1]))
        bins[joined] = bins.pop(other) + found
        notes.append(f'{text}: joined to ages {other[0]:g} to {other[1]:g}')
    if not bins:
        raise AtlasError(
            f'no age group has {min_people} people.',
            'The average of fewer is a portrait, not an atlas.',
            'Give wider --bins, a smaller --min-n, or more people; --dry-run shows the ages.',
        )
    groups = tuple(
        AgeGroup(str(number), *pair, tuple(sorted(bins[pair], key=lambda p: p.label)))
        for number, pair in enumerate(sorted(bins), start=1)
    )
    return groups, tuple(notes)


def _bin_of(age: float, edges: Sequence[float]) -> tuple[float, float] | None:
    for low, high in pairwise(edges):
        if low <= age < high or (age == high == edges[-1]):
            return low, high
    return None


def _person(label: str, chi: Path, t1w_folder: Path | None) -> Person | str:
    """Return the person, or why there is none."""
    stem = chi.name.removesuffix(_CHI)
    names = {
        'magnitude': 'desc-rss_T2starw', 'brain_mask': 'desc-brain_mask',
        'qsm_mask': 'desc-qsm_mask', 'r2star': 'R2starmap',
    }  # fmt: skip
    files = {key: chi.with_name(f'{stem}_{name}.nii.gz') for key, name in names.items()}
    if not files['r2star'].is_file():
        files['r2star'] = None
    missing = [path.name for path in files.values() if path is not None and not path.is_file()]
    if missing:
        return f'there is no {missing[0]} beside the map'
    sidecar = _read_json(chi.with_name(f'{stem}_Chimap.json'))
    try:
        age = float(sidecar.get('AgeYears', 'nan'))
    except (TypeError, ValueError):
        age = float('nan')
    if not (math.isfinite(age) and age >= 0):
        return f'its age is unknown (AgeYears in {stem}_Chimap.json)'
    if t1w_folder is not None:
        files['t1w'] = _t1w(label, chi.parents[1], Path(t1w_folder))
        if files['t1w'] is None:
            return f'there is no T1w image in {t1w_folder}'
    reference = str(sidecar.get('SusceptibilityReference', ''))
    return Person(label=label, age=age, chi=chi, reference=reference, **files)


def _t1w(label: str, session: Path, folder: Path) -> Path | None:
    """Return the first T1w image of the person, of the same session if there is one."""
    places = [folder / label / session.name / 'anat'] if session.name != label else []
    places += [folder / label / 'anat', *sorted((folder / label).glob('ses-*/anat'))]
    images = (
        path
        for place in places
        for path in sorted(place.glob(f'{label}_*T1w.nii*'))
        if '_space-' not in path.name
    )
    return next(images, None)


def _read_json(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}  # then the age is unknown, which is said
    return content if isinstance(content, dict) else {}
