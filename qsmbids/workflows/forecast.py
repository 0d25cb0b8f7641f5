"""Before a run: what it needs, how much of it fits side by side, and how long it takes.

Everything follows from the plan and from :mod:`qsmbids.workflows.memory`; no graph is built, so
that thousands of people are forecast in a moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qsmbids.atlas.builtin import NAME as BUILTIN
from qsmbids.config import Config
from qsmbids.execution.errors import MemoryShortError
from qsmbids.plan.cosmos import CosmosGroup
from qsmbids.plan.models import Acquisition, Issue, Severity
from qsmbids.workflows.memory import (
    BUILTIN_MEGAVOXELS,
    MAIN_GB,
    StepNeed,
    atlas_megavoxels,
    cosmos_needs,
    step_needs,
)

# Other machines, other load. The seconds were measured on a machine of 2023 with other work.
_FASTER, _SLOWER = 0.5, 1.6
_START_S = 10.0  # imports, the atlas, the graph, the pages
# steps that nothing else of an acquisition can stand beside, by the start of their names
_CHAIN = (
    'load', 'atlas_mask', 'brain_mask', 'field_map', 'background', 'inversion', 'register',
    'warp_atlas', 'reference', 'regions', 'figures_atlas', 'ds_atlas', 'invert', 'align_2',
)  # fmt: skip
_WORDS = {  # by the start of the name of a node; the longest that fits
    'load': 'reading the echoes',
    'brain_mask': 'brain mask',
    'atlas_mask': 'brain mask of the atlas',
    'relaxometry': 'R2* and T2*',
    'field_map': 'phase unwrapping and field map',
    'background': 'background field removal',
    'inversion': 'dipole inversion',
    'register': 'registration to the atlas',
    'age_template': 'template of the age',
    'warp_atlas': 'atlas in the space of the scan',
    'maps_to_atlas': 'maps in atlas space',
    'regions': 'region tables',
    'reference': 'referencing',
    'quality': 'quality numbers',
    'figures': 'pictures',
    'markings': 'lesions and veins',
    'align': 'alignment of an orientation',
    'invert': 'COSMOS',
    'separation': 'separation of the two signs',
    'contrast': 'weighted image',
    'ds': 'writing results',
}


@dataclass(frozen=True)
class Need:
    """What one acquisition needs.

    Parameters
    ----------
    key : str
        Of the acquisition.
    peak_gb : float
        Memory for its largest step, the program itself included.
    peak_step : str
        That step in words.
    seconds : float
        All steps, on one processor.
    chain_s : float
        The steps that must follow one another: more processors do not make it shorter.
    gb_seconds : float
        Memory times seconds, of all steps.
    """

    key: str
    peak_gb: float
    peak_step: str
    seconds: float
    chain_s: float
    gb_seconds: float


@dataclass(frozen=True)
class Forecast:
    """What a run needs.

    Parameters
    ----------
    needs : tuple of Need
        Of each acquisition.
    side_by_side : int
        Acquisitions that are worked on at the same time.
    low_s, high_s : float
        Expected duration, a range.
    workers : int
        Processes worth keeping. One that waits still holds its libraries, so more than fit
        at work together would take memory that nobody counts.
    """

    needs: tuple[Need, ...]
    side_by_side: int
    low_s: float
    high_s: float
    workers: int = 1

    @property
    def largest(self) -> Need:
        """The acquisition that needs the most memory."""
        return max(self.needs, key=lambda need: need.peak_gb)

    def text(self) -> str:
        """Return what is said before the start."""
        from qsmbids.execution.estimate import clock, span

        if not self.needs:
            return 'Nothing is left to do.'
        n, most = len(self.needs), self.largest
        where = f' ({most.key})' if n > 1 else ''
        lines = [f'Largest step: {most.peak_step}{where}, about {most.peak_gb:.1f} GB.']
        if n > 1:
            lines[0] += f' {self.side_by_side} of {n} acquisitions fit side by side.'
        each = clock(sum(need.seconds for need in self.needs) / n)
        lines.append(f'Expect {span(self.low_s, self.high_s)}')
        lines[-1] += f' in all; {each} of one processor for each.' if n > 1 else '.'
        return '\n'.join(lines)


def needs_of(
    acquisitions: Sequence[Acquisition | CosmosGroup], config: Config
) -> tuple[Need, ...]:
    """Return what each acquisition needs, whatever the limits of this machine.

    Parameters
    ----------
    acquisitions : sequence of Acquisition or CosmosGroup
        Usable ones.
    config : Config
        Methods and atlas count; processors and memory do not.
    """
    grid = atlas_grid([a for a in acquisitions if isinstance(a, Acquisition)], config)
    return tuple(
        _need(
            a.key,
            cosmos_needs(a, config) if isinstance(a, CosmosGroup) else step_needs(a, config, grid),
        )
        for a in acquisitions
    )


def forecast(
    acquisitions: Sequence[Acquisition | CosmosGroup], config: Config, source: str = ''
) -> Forecast:
    """Return what a run needs.

    Parameters
    ----------
    acquisitions : sequence of Acquisition or CosmosGroup
        Those that will be computed.
    config : Config
    source : str
        Where the memory limit came from, for the message.

    Raises
    ------
    MemoryShortError
        If no acquisition fits into the memory of the run.
    """
    needs = needs_of(acquisitions, config)
    if not needs:
        return Forecast((), 0, 0.0, 0.0)
    least = min(needs, key=lambda need: need.peak_gb)
    if least.peak_gb > config.mem_gb:
        limit = f'{config.mem_gb:.1f} GB' + (f' ({source})' if source else '')
        raise MemoryShortError(
            f'The largest step ({least.peak_step}) needs about {least.peak_gb:.1f} GB, and the '
            f'limit is {limit}.\n'
            'Without that memory the system would kill it half way.\n'
            f'{_advice(least, config)}'
        )
    fitting = [need for need in needs if need.peak_gb <= config.mem_gb]
    most = max(need.peak_gb for need in fitting)
    side_by_side = max(1, min(config.nprocs, int(config.mem_gb / most), len(needs)))
    # the longest of: all work on all processors, all memory for as long as it is held, and the
    # acquisition that takes longest, which starts last in the worst case
    work = max(
        sum(need.seconds for need in needs) / config.nprocs,
        sum(need.gb_seconds for need in needs) / config.mem_gb,
        max(need.chain_s for need in needs),
    )
    usual_gb = sum(n.gb_seconds for n in fitting) / sum(n.seconds for n in fitting)
    workers = max(1, min(config.nprocs, int(config.mem_gb / usual_gb)))
    low_s, high_s = _START_S + _FASTER * work, _START_S + _SLOWER * work
    return Forecast(needs, side_by_side, low_s, high_s, workers)


def memory_issues(found: Forecast, config: Config) -> tuple[Issue, ...]:
    """Return a warning for each acquisition that does not fit although others do."""
    return tuple(
        Issue(
            'WILL_FAIL', Severity.WARNING,
            f'{need.peak_step} needs about {need.peak_gb:.1f} GB, and the limit is '
            f'{config.mem_gb:.1f} GB.',
            'Without that memory the system will probably kill it half way.',
            _advice(need, config), scope=need.key,
        )
        for need in found.needs
        if need.peak_gb > config.mem_gb
    )  # fmt: skip


def _need(key: str, needs: Mapping[str, StepNeed]) -> Need:
    steps = list(needs.values())
    largest = max(steps, key=lambda step: step.gb)
    chain = sum(step.seconds for step in steps if step.name.startswith(_CHAIN))
    return Need(
        key, round(largest.gb + MAIN_GB, 2), _words(largest.name),
        round(sum(step.seconds for step in steps), 1), round(chain, 1),
        round(sum(step.gb * step.seconds for step in steps), 1),
    )  # fmt: skip


def _words(name: str) -> str:
    """Return the words for a node: those of the longest start of its name that has some."""
    known = [start for start in _WORDS if name.startswith(start)]
    return _WORDS[max(known, key=len)]


def atlas_grid(acquisitions: Sequence[Acquisition], config: Config) -> float:
    """Return the million voxels of the atlas of a run, 0 without one."""
    if config.recon_only or all(a.phase_scaling is None for a in acquisitions):
        return 0.0
    if config.atlas == BUILTIN:
        return BUILTIN_MEGAVOXELS
    from qsmbids.workflows.atlas_choice import open_chosen

    atlas = open_chosen(config)
    return atlas_megavoxels({'chi': str(atlas.files(atlas.cohorts[0].label).chi)})


def _advice(need: Need, config: Config) -> str:
    """Return what to do: more memory, or what makes the largest step smaller."""
    more = f'Give the run {need.peak_gb:.1f} GB or more'
    if not config.recon_only:  # workers are then smaller in every step
        return f'{more}, or leave the atlas out with --recon-only.'
    if need.peak_step == _WORDS['inversion']:
        return f'{more}, or choose an --inversion that holds less, such as tkd.'
    return f'{more}: the container or the job, and --mem if that is set.'
