"""Setting aside what an earlier run has finished, before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qsmbids.config import Config
from qsmbids.plan.cosmos import CosmosGroup
from qsmbids.plan.models import Acquisition, Participant, Plan
from qsmbids.workflows.atlas_ages import AtlasAges
from qsmbids.workflows.done import is_done
from qsmbids.workflows.outcome import Outcome, promised_names
from qsmbids.workflows.status import is_reported

Cohorts = Mapping[str, str]


@dataclass(frozen=True)
class Remaining:
    """What a run has to do.

    Parameters
    ----------
    people : tuple of Participant
        Those with something left, with all their acquisitions.
    keys : frozenset of str
        Acquisitions and COSMOS groups to be computed.
    kept : tuple of Outcome
        What is finished, of everybody.
    """

    people: tuple[Participant, ...]
    keys: frozenset[str]
    kept: tuple[Outcome, ...]

    def acquisitions(self, person: Participant) -> list[Acquisition]:
        """Return those of a person that are to be computed."""
        return [a for a in person.usable if a.key in self.keys]

    def groups(self, person: Participant) -> list[CosmosGroup]:
        """Return the COSMOS groups of a person that are to be computed."""
        return [group for group in person.cosmos if group.key in self.keys]


def cohort_labels(
    acquisitions: Sequence[Acquisition], ages: AtlasAges | None, config: Config
) -> dict[str, str]:
    """Return the cohort of each acquisition that is compared with an atlas, by key."""
    from qsmbids.workflows.atlas_choice import pick

    if ages is None:
        return {}
    wanted = [a for a in acquisitions if a.phase_scaling is not None]
    return {a.key: pick(a, ages, config)[0].label for a in wanted}


def remaining(plan: Plan, config: Config, cohorts: Cohorts) -> Remaining:
    """Compare the plan with what the output folder holds.

    A COSMOS map is made of steps of its orientations, so these are computed again with it. A
    person without a page, or with other findings than the page tells, is reported again.
    """
    people: list[Participant] = []
    keys: set[str] = set()
    kept: list[Outcome] = []
    for person in plan.participants:
        if not person.usable:
            continue
        todo = {a.key for a in person.usable if not _done(a, config, cohorts)}
        for group in person.cosmos:
            if not _done(group, config, cohorts):
                todo |= {group.key, *(a.key for a in group.acquisitions)}
        if todo or not is_reported(person, config.output_dir):
            people.append(person)
        keys |= todo
        kept += [
            Outcome(a, promised_names(a, config, cohorts.get(a.key, '')), (), (), kept=True)
            for a in person.usable
            if a.key not in todo
        ]
        kept += [Outcome(g, {}, (), (), kept=True) for g in person.cosmos if g.key not in todo]
    return Remaining(tuple(people), frozenset(keys), tuple(kept))


def _done(acquisition: Acquisition | CosmosGroup, config: Config, cohorts: Cohorts) -> bool:
    found = is_done(acquisition, config, cohorts.get(acquisition.key, ''))
    return found and not config.redo
