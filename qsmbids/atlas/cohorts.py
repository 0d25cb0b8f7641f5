"""Age bins of an atlas and the choice of one by age.

Bins are half-open: a person of exactly 40 years belongs to [40, 50) and not to [30, 40). The
bins of other people's atlases may leave gaps or overlap. Neither hinders the choice, which
stays the same for the same age; `cohort_findings` says in words what will be done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ADULT_AGE = 18.0  # years; bins from here on are looked at when the age is unknown


@dataclass(frozen=True)
class Cohort:
    """One age bin of an atlas.

    Parameters
    ----------
    label : str
        Digits as in ``cohort-<label>``.
    name : str
        Words for people, e.g. ``31 to 40 years``.
    age_min, age_max : float, years
        The bin is half-open, [age_min, age_max); the oldest one includes age_max.
    """

    label: str
    name: str
    age_min: float
    age_max: float

    @property
    def middle_age(self) -> float:
        """Middle of the bin in years."""
        return (self.age_min + self.age_max) / 2

    @property
    def interval(self) -> str:
        """The bin as text, ``[31, 41)``."""
        return f'[{self.age_min:g}, {self.age_max:g})'


def pick_cohort(
    cohorts: Sequence[Cohort], age: float | None, strict: bool = False
) -> tuple[Cohort, str]:
    """Choose the age bin for a person.

    Parameters
    ----------
    cohorts : sequence of Cohort
        At least one, in any order.
    age : float or None, years
        None if unknown: then the middle one of the adult bins is taken and the note
        says so; the caller passes that on as a warning.
    strict : bool
        Refuse an age that no bin covers, and an unknown age.

    Returns
    -------
    cohort : Cohort
        The bin with age_min <= age < age_max; of several the one whose middle is nearest;
        the largest age_max belongs to its bin. If no bin covers the age, the nearest one.
        At equal distances the younger bin.
    note : str
        '' when the age lies in the bin, else one sentence on what was done instead.

    Raises
    ------
    ValueError
        If ``strict`` and there is no bin for the age, or if the age is not a number.

    Examples
    --------
    >>> bins = (Cohort('1', 'young', 1, 40), Cohort('2', 'old', 40, 84))
    >>> pick_cohort(bins, 40)[0].label
    '2'
    >>> pick_cohort(bins, 90)[1]
    'age 90 y lies outside the ages of the atlas [1, 84]: the nearest bin [40, 84) is used'
    """
    ordered = sorted(cohorts, key=_by_age)
    if age is None:
        if strict:
            raise ValueError(
                'the age is unknown.\n'
                'The atlas is age-specific and a strict choice of its age bin was asked for.\n'
                'Add an age column to participants.tsv or give --age.'
            )
        adults = [cohort for cohort in ordered if cohort.age_min >= ADULT_AGE] or ordered
        middle = adults[(len(adults) - 1) // 2]
        return middle, f'age unknown: the middle adult bin {middle.interval} is used'
    if not age >= 0:  # also catches NaN
        raise ValueError(
            f'age must be 0 years or more, got {age}.\n'
            'The age bin of the atlas is chosen by it.\n'
            'Correct participants.tsv or give --age.'
        )
    oldest = max(cohort.age_max for cohort in ordered)
    holding = [c for c in ordered if c.age_min <= age < c.age_max or age == c.age_max == oldest]
    if holding:  # min() keeps the first, and so the younger, of equals
        return min(holding, key=lambda cohort: abs(cohort.middle_age - age)), ''
    where = _where(ordered, age)
    if strict:
        raise ValueError(
            f'age {age:g} y lies {where}.\n'
            'A strict choice of the age bin was asked for.\n'
            'Use an atlas that covers this age, or allow the nearest bin.'
        )
    nearest = min(ordered, key=lambda c: max(c.age_min - age, age - c.age_max))
    return nearest, f'age {age:g} y lies {where}: the nearest bin {nearest.interval} is used'


def cohort_findings(cohorts: Sequence[Cohort]) -> tuple[str, ...]:
    """Say where age bins overlap or leave gaps, and what `pick_cohort` then does.

    Returns
    -------
    tuple of str
        One sentence per gap and per overlapping pair; empty when the bins follow one another.

    Examples
    --------
    >>> cohort_findings([Cohort('1', 'young', 1, 30), Cohort('2', 'old', 40, 84)])[0]
    'no age bin covers 30 to 40 years: a person of such an age gets the nearest bin'
    """
    ordered = sorted(cohorts, key=_by_age)
    sentences = [
        f'no age bin covers {low:g} to {high:g} years: '
        'a person of such an age gets the nearest bin'
        for low, high in _gaps(ordered)
    ]
    for number, one in enumerate(ordered):
        for other in ordered[number + 1 :]:
            low, high = other.age_min, min(one.age_max, other.age_max)
            if (one.age_min, one.age_max) == (other.age_min, other.age_max):
                sentences.append(
                    f'cohorts {one.label} and {other.label} both cover {one.interval}: '
                    f'cohort {one.label} is used, the other one only with --cohort'
                )
            elif low < high:
                sentences.append(
                    f'the age bins {one.interval} and {other.interval} overlap from {low:g} to '
                    f'{high:g} years: there the bin whose middle is nearest to the age is used'
                )
    return tuple(sentences)


def _by_age(cohort: Cohort) -> tuple[float, float, int]:
    return cohort.age_min, cohort.age_max, int(cohort.label)


def _gaps(ordered: Sequence[Cohort]) -> list[tuple[float, float]]:
    gaps, reached = [], ordered[0].age_max
    for cohort in ordered[1:]:
        if cohort.age_min > reached:
            gaps.append((reached, cohort.age_min))
        reached = max(reached, cohort.age_max)
    return gaps


def _where(ordered: Sequence[Cohort], age: float) -> str:
    """Say in words where an age lies that no bin covers."""
    for low, high in _gaps(ordered):
        if low <= age < high:
            return f'in the gap from {low:g} to {high:g} years between the age bins of the atlas'
    oldest = max(cohort.age_max for cohort in ordered)
    return f'outside the ages of the atlas [{ordered[0].age_min:g}, {oldest:g}]'
