"""Age bins of an atlas and the choice of one by age."""

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
        The bin with age_min <= age < age_max; the upper limit of the oldest bin belongs
        to it; outside all bins the nearest one.
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
    ordered = sorted(cohorts, key=lambda cohort: cohort.age_min)
    covered = f'[{ordered[0].age_min:g}, {ordered[-1].age_max:g}]'
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
    for cohort in ordered:
        if cohort.age_min <= age < cohort.age_max:
            return cohort, ''
    if age == ordered[-1].age_max:
        return ordered[-1], ''
    if strict:
        raise ValueError(
            f'age {age:g} y lies outside the ages of the atlas {covered}.\n'
            'A strict choice of the age bin was asked for.\n'
            'Use an atlas that covers this age, or allow the nearest bin.'
        )
    nearest = min(ordered, key=lambda c: max(c.age_min - age, age - c.age_max, 0.0))
    return nearest, (
        f'age {age:g} y lies outside the ages of the atlas {covered}: '
        f'the nearest bin {nearest.interval} is used'
    )
