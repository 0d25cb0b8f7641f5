"""Which ages the atlas of a run covers, and whose it does not, told before the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qsmbids.atlas.builtin import NAME as BUILTIN
from qsmbids.atlas.builtin import cohort_bins
from qsmbids.atlas.cohorts import Cohort, pick_cohort
from qsmbids.config import Config
from qsmbids.plan.models import Acquisition, Issue, Severity
from qsmbids.workflows.atlas_choice import open_chosen


@dataclass(frozen=True)
class AtlasAges:
    """The ages of an atlas.

    Parameters
    ----------
    name : str
    cohorts : tuple of Cohort
        Youngest first.
    findings : tuple of str
        Sentences on bins that overlap or leave a gap.
    """

    name: str
    cohorts: tuple[Cohort, ...]
    findings: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """One line: ``QSMLifespan, 10 cohorts, 1 to 84 years``."""
        low = min(cohort.age_min for cohort in self.cohorts)
        high = max(cohort.age_max for cohort in self.cohorts)
        n = len(self.cohorts)
        return f'{self.name}, {n} cohort{"s" * (n > 1)}, {low:g} to {high:g} years'


def atlas_ages(acquisitions: Sequence[Acquisition], config: Config) -> AtlasAges | None:
    """Return the ages that the atlas of a run covers; None if the run needs no atlas.

    Nothing is written, so that a dry run can tell.

    Raises
    ------
    AtlasError
        If there is no such atlas, or it is broken.
    """
    with_phase = any(a.phase_scaling is not None for a in acquisitions)
    if config.recon_only or config.reports_only or not with_phase:
        return None
    if config.atlas == BUILTIN:
        return AtlasAges(BUILTIN, cohort_bins())
    atlas = open_chosen(config)
    return AtlasAges(atlas.name, atlas.cohorts, atlas.findings)


def ages_outside(
    acquisitions: Sequence[Acquisition], ages: AtlasAges | None, config: Config
) -> tuple[Issue, ...]:
    """Return a warning for each scan of a person whose age no cohort covers.

    Parameters
    ----------
    acquisitions : sequence of Acquisition
    ages : AtlasAges or None
        Of the atlas of the run.
    config : Config

    Raises
    ------
    ValueError
        With ``strict_age``, for the first such scan, or one of unknown age.
    """
    if ages is None or config.cohort:
        return ()
    found = []
    for acquisition in acquisitions:
        known = acquisition.age_years
        age = None if known is None or known.value is None else float(known.value)
        if acquisition.phase_scaling is None:
            continue  # no susceptibility, so no atlas
        try:
            note = pick_cohort(ages.cohorts, age, config.strict_age)[1]
        except ValueError as error:
            raise ValueError(f'{acquisition.key}: {error}') from None
        if note and age is not None:
            found.append(
                Issue(
                    'AGE_OUTSIDE_ATLAS', Severity.WARNING, f'{note[0].upper()}{note[1:]}.',
                    'Template and expected values are those of another age; regions fit less '
                    'well.',
                    'See with `qsmbids-atlas list` which atlas covers it; --strict-age refuses.',
                    scope=acquisition.key,
                )
            )  # fmt: skip
    return tuple(found)
