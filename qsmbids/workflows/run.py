"""Running acquisitions: graphs in batches; each person is judged and reported when done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from qsmbids.config import Config
from qsmbids.execution.child import in_child
from qsmbids.execution.failures import Failure, keep_traceback
from qsmbids.execution.io_errors import explain
from qsmbids.execution.progress import Progress
from qsmbids.execution.work_folder import release
from qsmbids.plan.models import Participant, Plan
from qsmbids.workflows.acquisition import init_acquisition_wf, init_run_wf
from qsmbids.workflows.atlas_choice import AtlasChoice, choose_atlas
from qsmbids.workflows.completion import Completion
from qsmbids.workflows.cosmos import add_cosmos
from qsmbids.workflows.done import forget, mark_done
from qsmbids.workflows.execute import configure_nipype, execute
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
    # drawing the built-in atlas takes 0.3 GB, which each worker would inherit
    choices = in_child(choose_atlas, wanted, config) if wanted else {}
    outcomes: list[Outcome] = []
    for people in _batches(left, max(BATCH, _PER_PROCESSOR * config.nprocs)):
        batch = _Batch(plan.bids_dir, people, left, config, cohorts)
        failures: list[tuple[str, Failure]] = []
        if not (config.stop_on_first_crash and any(o.failures for o in outcomes)):
            failures = batch.compute(choices, progress)
        outcomes += batch.finish(failures)
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

    def compute(
        self, choices: Mapping[str, AtlasChoice], progress: Progress
    ) -> list[tuple[str, Failure]]:
        """Build the graph and carry it out; return what failed, with the key it belongs to."""
        left, config = self._left, self._config
        wanted = [a for person in self._people.values() for a in left.acquisitions(person)]
        groups = [group for person in self._people.values() for group in left.groups(person)]
        if not wanted:  # only pages are missing
            return []
        workflows = {a.key: init_acquisition_wf(a, config, choices.get(a.key)) for a in wanted}
        run_wf = init_run_wf(list(workflows.values()), str(config.work_dir))
        for done in (*wanted, *groups):
            forget(done, config)
            if config.redo:
                release(config.work_dir, workflow_name(done.key))
        names = {workflow_name(a.key): a.key for a in wanted}
        names |= add_cosmos(run_wf, workflows, groups, config, choices)
        owners = {workflow_name(each.key): each.participant for each in (*wanted, *groups)}
        # as the scheduler will call them: it knows them by the whole graph
        nodes = {
            f'{run_wf.name}.{name}': owners[_part(name, owners)]
            for name in run_wf.list_node_names()
        }
        completion = Completion(nodes, self._finish_on_the_way)
        failures = execute(run_wf, names, config, progress, completion)
        return [(names[_part(failure.node, names)], failure) for failure in failures]

    def finish(self, failures: Sequence[tuple[str, Failure]]) -> list[Outcome]:
        """Finish whoever was not finished on the way; return what became of everybody."""
        for label in [label for label in self._people if label not in self._outcomes]:
            try:
                self._finish(label, failures)
            except Exception as error:  # noqa: BLE001 - what hinders one must not stop the others
                self._outcomes[label] = _unreported(self._people[label], error, self._config)
        return [outcome for label in self._people for outcome in self._outcomes[label]]

    def _finish_on_the_way(self, label: str) -> None:
        """Finish a person while others are at work; the scheduler must not be disturbed."""
        try:
            self._finish(label)
        except Exception:  # noqa: BLE001 - it is tried again after the graph, and told there
            self._outcomes.pop(label, None)

    def _finish(self, label: str, failures: Sequence[tuple[str, Failure]] = ()) -> None:
        """Judge and report a person; what is complete needs its steps no more."""
        person, config = self._people[label], self._config
        outcomes = finish(Plan(self._bids_dir, (person,)), config, failures, self._cohorts)
        computed = [o for o in outcomes if o.acquisition.key in self._left.keys]
        done = [
            outcome.acquisition.key
            for outcome in computed
            if mark_done(outcome, config, self._cohorts.get(outcome.acquisition.key, ''))
        ]
        self._outcomes[label] = outcomes
        if config.keep_work or (person.cosmos and len(done) < len(computed)):
            return  # a COSMOS map is made of the steps of its orientations
        for key in done:
            release(config.work_dir, workflow_name(key))


def _unreported(person: Participant, error: Exception, config: Config) -> list[Outcome]:
    """Return what is said of a person whose results could not be judged or reported."""
    path = keep_traceback(error, config.work_dir)
    text = explain(error, config.output_dir) or (
        f'{type(error).__name__}: {error}\n'
        'The results are there as far as they were computed, but not their page.\n'
        'Start the same command again; if that does not help, report it with that file.'
    )
    failure = Failure('', 'writing the page', text, path)
    return [Outcome(each, {}, (), (failure,)) for each in (*person.usable, *person.cosmos)]


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
