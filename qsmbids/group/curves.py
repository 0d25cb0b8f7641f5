"""Age curves of all regions of an atlas.

One scan of each person counts (`Cohort.one_each`): repeated scans of one person are not
independent, and would make every interval too narrow. A region that cannot be fitted gets a
sentence instead of a curve, and the others go on.

References
----------
Li W, et al. Hum Brain Mapp 2014;35:2698-2713. https://doi.org/10.1002/hbm.22360
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import TYPE_CHECKING

import numpy as np

from qsmbids.group.listing import listed
from qsmbids.group.problems import Problem
from qsmbids.lifespan.choice import DEFAULT_FAMILIES
from qsmbids.lifespan.errors import LifespanError
from qsmbids.report.agecurves import split_name

if TYPE_CHECKING:
    from qsmbids.group.cohort import Cohort, RegionTable
    from qsmbids.lifespan.choice import Choice

Key = tuple[str, str]  # region, hemisphere

_SAME_PPM = 1e-7  # values of a region that differ by less are one number, the reference
_WORTH_PROCESSES = 100_000  # values; less is done before other processes have started
SAME_IN_ALL = 'It has the same value in everybody, as the reference has.'
# of the tissues in which one curve is known to describe the lifespan (Li 2014)
USUAL = {'deep grey': 'exponential', 'white matter': 'poisson'}
MIN_YEARS = 1.0  # between the youngest and the oldest
_MANY = 5  # sentences about regions; more become one


def fit_curves(
    cohort: Cohort,
    table: RegionTable,
    families: Sequence[str],
    *,
    measure: str = 'mean',
    robust: bool = False,
    nprocs: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[dict[Key, Choice], dict[Key, str], list[Problem]]:
    """Fit and compare the age curves of every region.

    Parameters
    ----------
    cohort, table
        Scans, and one of their tables.
    families : sequence of str
        Curves to compare, see `qsmbids.lifespan.fit.FAMILIES`; none: `families_of` each region.
    measure : str
        Column of the table.
    robust : bool
        Huber's estimate.
    nprocs : int
        Processes; the result does not depend on it.
    progress : callable
        Told (done, total) after each region.

    Returns
    -------
    choices : dict of (region, hemisphere) to Choice
    reasons : dict of (region, hemisphere) to str
        Why a region has none.
    problems : list of Problem
    """
    keys = list(zip(table.regions['region'], table.regions['hemisphere'], strict=True))
    age = cohort.scans['age'].to_numpy(float)
    count = cohort.one_each() & np.isfinite(age)
    reasons: dict[Key, str] = {}
    jobs: list[tuple[Key, np.ndarray, np.ndarray]] = []
    compared: list[tuple[str, ...]] = []
    for column, key in enumerate(keys):
        values = table.values[measure][:, column].astype(float)
        usable = count & np.isfinite(values)
        if not usable.any():
            reasons[key] = 'Nobody has both an age and a value.'
        elif usable.sum() > 1 and np.ptp(values[usable]) < _SAME_PPM:
            reasons[key] = SAME_IN_ALL
        elif np.ptp(age[usable]) < MIN_YEARS:
            reasons[key] = (
                f'{usable.sum()} people of {age[usable].mean():.3g} years: a curve over age needs '
                f'ages that lie {MIN_YEARS:g} years or more apart.'
            )
        else:
            jobs.append((key, age[usable], values[usable]))
            compared.append(tuple(families) or families_of(table.regions['group'].iloc[column]))
    choices: dict[Key, Choice] = {}
    arguments = [
        (ages, values, names, robust)
        for (_, ages, values), names in zip(jobs, compared, strict=True)
    ]
    for done, ((key, _, _), found) in enumerate(
        zip(jobs, _run(arguments, nprocs), strict=True), start=1
    ):
        if isinstance(found, str):
            reasons[key] = found
        else:
            choices[key] = found
        progress(done, len(jobs))
    groups = dict(zip(keys, table.regions['group'], strict=True))
    ordered, untold = _say_what_ages_cannot_tell(
        {key: choices[key] for key in keys if key in choices}, groups
    )
    return ordered, reasons, [*untold, *_problems(reasons)]


def _say_what_ages_cannot_tell(
    choices: dict[Key, Choice], groups: dict[Key, str]
) -> tuple[dict[Key, Choice], list[Problem]]:
    """Give curves that stand in for the usual one of their tissue the reason, and one problem."""
    told, names = {}, []
    for key, choice in choices.items():
        usual = choice.fits.get(USUAL.get(groups[key].strip().lower(), ''))
        if usual is None or usual.identifiable or choice.best == usual.family:
            told[key] = choice
            continue
        fit = choice.fits[choice.best]
        fit = replace(fit, remarks=(*fit.remarks, *usual.remarks))
        told[key] = replace(choice, fits=choice.fits | {choice.best: fit})
        names.append(_name(key))
    if not names:
        return told, []
    ages = [age for choice in told.values() for age in choice.fit.age_range]
    problem = Problem(
        f'People of {min(ages):.0f} to {max(ages):.0f} years cannot tell how fast these regions '
        f'change: {listed(names)}.',
        'A growth rate or the age of a minimum needs people in whom that change can be seen; none '
        'is printed, and a simpler curve is shown.',
        'Add people, above all of other ages, or use the simpler curve for these ages only.',
    )
    return told, [problem]


def families_of(group: str) -> tuple[str, ...]:
    """Return the curves that are compared in a kind of region unless some are named.

    A slow exponential and a late Poisson curve have as many parameters and nearly the same
    course, so a cohort can hardly choose between them. Biology can: iron accumulates in deep
    grey matter, myelin first grows and then goes in white matter (Li 2014).

    Examples
    --------
    >>> families_of('deep grey')
    ('constant', 'linear', 'quadratic', 'exponential')
    """
    usual = USUAL.get(group.strip().lower())
    never = {*USUAL.values()} - {usual} if usual else set()
    return tuple(family for family in DEFAULT_FAMILIES if family not in never)


def _run(arguments: list[tuple], nprocs: int) -> Iterable[Choice | str]:
    work = sum(ages.size for ages, *_ in arguments)
    if nprocs < 2 or work < _WORTH_PROCESSES:
        yield from map(_one, arguments)
        return
    # not forkserver: its socket lies in the work folder, whose path may be too long for one
    with ProcessPoolExecutor(nprocs, mp_context=get_context('spawn')) as pool:
        yield from pool.map(_one, arguments, chunksize=2)


def _one(arguments: tuple) -> Choice | str:
    from qsmbids.lifespan.choice import choose_curve

    ages, values, families, robust = arguments
    try:
        return choose_curve(ages, values, families, robust=robust)
    except LifespanError as error:
        return ' '.join(str(error).splitlines())


def _name(key: Key) -> str:
    region, side = key
    return split_name(region) if side == 'B' else f'{split_name(region)} ({side})'


def _problems(reasons: dict[Key, str]) -> list[Problem]:
    """Return one problem for each reason, naming its regions."""
    by_reason: dict[str, list[str]] = {}
    for (region, side), reason in reasons.items():
        by_reason.setdefault(reason, []).append(_name((region, side)))
    return [
        Problem(
            what=f'{len(names)} regions have no age curve.' if len(names) > _MANY
            else f'No age curve: {", ".join(names)}.',
            why=reason, severity='note',
        )
        for reason, names in by_reason.items()
    ]  # fmt: skip
