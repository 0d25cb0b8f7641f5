"""Running acquisitions: graphs in batches; each person is judged and reported when done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from qsmbids.config import Config
from qsmbids.execution.child import in_child
from qsmbids.execution.failures import Failure
from qsmbids.execution.progress import Progress
from qsmbids.execution.work_folder import release
from qsmbids.plan.models import Participant, Plan
from qsmbids.workflows.acquisition import init_acquisition_wf, init_run_wf
from qsmbids.workflows.atlas_choice import AtlasChoice, choose_atlas
from qsmbids.workflows.completion import Completion
from qsmbids.workflows.cosmos import add_cosmos
from qsmbids.workflows.done import forget, mark_done
from qsmbids.workflows.execute import configure_nipype, execute, nodes_of
from qsmbids.workflows.finish import finish
from qsmbids.workflows.finished import Cohorts, Remaining
from qsmbids.workflows.outcome import Outcome
from qsmbids.workflows.workflow_names import workflow_name

BATCH = 16  # acquisitions in one graph at least: enough to keep workers busy, quick to build
_PER_PROCESSOR = 4  # acquisitions in one graph for each processor


def process(
    plan: Plan, left: Remaining, config: Config, cohorts: Cohorts, progress: Progress
) -> list[Outcome]:
    """Compute what is left of a plan.

    Parameters
    ----------
    plan : Plan
    left : Remaining
        What earlier runs have not finished.
    config : Config
    cohorts : mapping of str to str
        Key of an acquisition to the cohort of the atlas.
    progress : Progress

    Returns
    -------
    list of Outcome
        Of everything that was computed, and of what else belongs to the same people.
    """
    configure_nipype(config)
    wanted = [a for person in left.people for a in left.acquisitions(person)]
    if not wanted:  # only pages are missing
        return finish(Plan(plan.bids_dir, left.people), config, [], cohorts)
    # drawing the built-in atlas takes 0.3 GB, which each worker would inherit
    choices = in_child(choose_atlas, wanted, config)
    outcomes: list[Outcome] = []
    for people in _batches(left, max(BATCH, _PER_PROCESSOR * config.nprocs)):
        outcomes += _Batch(plan.bids_dir, people, left, config, cohorts).run(choices, progress)
    return outcomes


class _Batch:
    """The people of one graph."""

    def __init__(
        self, bids_dir: str, people: Sequence[Participant], left: Remaining, config: Config,
        cohorts: Cohorts,
    ):  # fmt: skip
        self._bids_dir = bids_dir
        self._people = {person.label: person for person in people}
        self._left = left
        self._config = config
        self._cohorts = cohorts
        self._outcomes: dict[str, list[Outcome]] = {}

    def run(self, choices: Mapping[str, AtlasChoice], progress: Progress) -> list[Outcome]:
        """Build the graph, carry it out, and finish whoever was not finished on the way."""
        left, config = self._left, self._config
        wanted = [a for person in self._people.values() for a in left.acquisitions(person)]
        groups = [group for person in self._people.values() for group in left.groups(person)]
        workflows = {a.key: init_acquisition_wf(a, config, choices.get(a.key)) for a in wanted}
        run_wf = init_run_wf(list(workflows.values()), str(config.work_dir))
        for done in (*wanted, *groups):
            forget(done, config)
            if config.redo:
                release(config.work_dir, workflow_name(done.key))
        names = {workflow_name(a.key): a.key for a in wanted}
        names |= add_cosmos(run_wf, workflows, groups, config, choices)
        owners = {workflow_name(each.key): each.participant for each in (*wanted, *groups)}
        nodes = {node.fullname: owners[_part(node.fullname, owners)] for node in nodes_of(run_wf)}
        failures = execute(run_wf, names, config, progress, Completion(nodes, self._finish))
        keys = _with_keys(failures, names)
        for label in self._people.keys() - self._outcomes.keys():
            self._finish(label, keys)
        return [outcome for label in self._people for outcome in self._outcomes[label]]

    def _finish(self, label: str, failures: Sequence[tuple[str, Failure]] = ()) -> None:
        """Judge and report a person; what is complete needs its steps no more."""
        person, config = self._people[label], self._config
        outcomes = finish(Plan(self._bids_dir, (person,)), config, failures, self._cohorts)
        self._outcomes[label] = outcomes
        computed = [o for o in outcomes if o.acquisition.key in self._left.keys]
        done = [
            outcome.acquisition.key
            for outcome in computed
            if mark_done(outcome, config, self._cohorts.get(outcome.acquisition.key, ''))
        ]
        if config.keep_work or (person.cosmos and len(done) < len(computed)):
            return  # a COSMOS map is made of the steps of its orientations
        for key in done:
            release(config.work_dir, workflow_name(key))


def _with_keys(failures: Sequence[Failure], names: Mapping[str, str]) -> list[tuple[str, Failure]]:
    """Name the acquisition that each failed node belongs to."""
    return [(names[_part(failure.node, names)], failure) for failure in failures]


def _part(fullname: str, names: Mapping[str, str]) -> str:
    """Return the part of a node's name that says which workflow it belongs to."""
    return next(part for part in fullname.split('.') if part in names)


def _batches(left: Remaining, size: int) -> Iterator[list[Participant]]:
    """Yield groups of people with about ``size`` acquisitions each."""
    batch: list[Participant] = []
    for person in left.people:
        batch.append(person)
        if sum(len(left.acquisitions(p)) for p in batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch
