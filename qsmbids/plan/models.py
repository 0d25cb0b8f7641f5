"""What will be done, as plain frozen values: no image data, no workflow.

Discovery fills these, and the dry run, the checks, the workflow, the methods text and the
report all read them. Every decision carries where it came from.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qsmbids.plan.cosmos import CosmosGroup

GAMMA_MHZ_PER_T = 42.577478  # proton gyromagnetic ratio / (2 pi), CODATA 2018
MIN_ECHOES_BIPOLAR = 3  # two echoes cannot tell the readout from the offset
MIN_ECHOES_R2STAR = 3  # with two echoes every fit is perfect and noise passes for decay

# entities that tell acquisitions apart, in BIDS order; echo and part vary within one
ENTITY_ORDER = (
    'sub', 'ses', 'task', 'acq', 'ce', 'rec', 'dir', 'run', 'flip', 'inv', 'mt', 'chunk',
)  # fmt: skip


class Severity(StrEnum):
    """How much an issue matters."""

    ERROR = 'error'  # the acquisition (or participant) cannot be processed
    WARNING = 'warning'  # it can, but a person should look
    NOTE = 'note'


class Source(StrEnum):
    """Where a decision came from."""

    SIDECAR = 'sidecar'
    HEADER = 'header'
    TABLE = 'table'  # participants.tsv, sessions.tsv, scans.tsv
    COMMAND_LINE = 'command line'
    INFERRED = 'inferred'
    DEFAULT = 'default'


@dataclass(frozen=True)
class Issue:
    """One finding of the pre-flight checks, in the three lines a person needs.

    Parameters
    ----------
    code : str
        Stable upper-case name, e.g. ``MISSING_MAGNITUDE``.
    severity : Severity
        ERROR keeps the acquisition (or the participant) out of the run.
    what, why, fix : str
        What is wrong (naming the file), why it matters, what to do.
    path : str
        The file concerned, or ''.
    scope : str
        Key of the acquisition (``sub-01_run-2``), the participant (``sub-01``) or ''.
    """

    code: str
    severity: Severity
    what: str
    why: str = ''
    fix: str = ''
    path: str = ''
    scope: str = ''

    def __str__(self) -> str:
        """Return the finding as up to three lines of text."""
        head = f'{self.scope}: {self.what}' if self.scope else self.what
        return '\n'.join(line for line in (head, self.why, self.fix) if line)


@dataclass(frozen=True)
class Decision:
    """A value together with where it came from, e.g. ``2.89`` from ``sidecar``."""

    value: Any
    source: Source
    detail: str = ''

    def __str__(self) -> str:
        """Return ``value [source: detail]``."""
        return f'{self.value} [{self.source}{": " + self.detail if self.detail else ""}]'


@dataclass(frozen=True)
class PhaseScaling:
    """One linear map from stored numbers to radians, the same for all echoes.

    phase [rad] = wrap(slope * value + intercept), where value already contains the
    NIfTI scl_slope and scl_inter. ``complex`` means real and imaginary parts are read
    and no scaling is needed. ``sign`` is +1 when paramagnetic sources have positive
    phase, -1 when the file has it the other way round.
    """

    slope: float = 1.0
    intercept: float = 0.0
    complex: bool = False
    sign: int = 1
    source: Source = Source.SIDECAR
    detail: str = ''
    sign_source: Source = Source.INFERRED
    sign_detail: str = ''


@dataclass(frozen=True)
class Echo:
    """Files of one echo. Complex data has real and imag, else magnitude and phase."""

    label: str  # as written in the file name, '01'; '' when there is no echo entity
    echo_time_s: float
    magnitude: str = ''  # absolute paths; '' when absent
    phase: str = ''
    real: str = ''
    imag: str = ''
    volume: int | None = None  # index into the files' fourth axis, if they are 4-D

    @property
    def files(self) -> tuple[str, ...]:
        """All files of the echo that exist."""
        return tuple(f for f in (self.magnitude, self.phase, self.real, self.imag) if f)


@dataclass(frozen=True)
class RegionMask:
    """Lesions or veins that somebody has marked on the grid of the scan."""

    path: str  # absolute
    label: str  # X of label-X
    kind: str  # 'lesions' or 'veins'
    discrete: bool = False  # a dseg, whose values tell markings apart


@dataclass(frozen=True)
class Acquisition:
    """One GRE scan: everything that is reconstructed together.

    An acquisition with an error keeps what could be found out; a shape of zeros, a NaN
    echo time and a decision whose value is None stand for what could not. A usable one is
    complete, except that magnitude alone (no phase scaling) needs no field: its frequency
    may be None.
    """

    entities: tuple[tuple[str, str], ...]  # (('sub', '01'), ('ses', '1'), ...) in BIDS order
    suffix: str  # MEGRE, T2starw ...
    echoes: tuple[Echo, ...]  # sorted by echo time
    shape: tuple[int, int, int]
    voxel_size_mm: tuple[float, float, float]
    affine: tuple[tuple[float, ...], ...]  # (4, 4), scanner RAS mm
    b0_direction: Decision  # value: (3,) unit vector in voxel axes
    imaging_frequency_mhz: Decision  # Hz per ppm
    phase_scaling: PhaseScaling | None  # None: magnitude only, so R2* but no chi
    n_coils: int = 1  # along the files' fourth axis; 1: the scanner has combined them
    age_years: Decision | None = None
    brain_mask: str = ''  # a mask that somebody else made; '' = make one
    t2_map: str = ''  # T2 (s) or R2 (1/s) on the grid of the scan; '' = none
    t1w: str = ''  # a T1w image of the same session; '' = none
    region_masks: tuple[RegionMask, ...] = ()  # lesions and veins to be measured
    metadata: dict[str, Any] = field(default_factory=dict, compare=False)  # common to echoes
    issues: tuple[Issue, ...] = ()

    @property
    def key(self) -> str:
        """Entities joined as in a file name: ``sub-01_ses-1_acq-x_run-2``."""
        return '_'.join(f'{k}-{v}' for k, v in self.entities)

    @property
    def participant(self) -> str:
        """Participant label without ``sub-``."""
        return dict(self.entities)['sub']

    @property
    def session(self) -> str:
        """Session label without ``ses-``, or ''."""
        return dict(self.entities).get('ses', '')

    @property
    def echo_times_s(self) -> tuple[float, ...]:
        """Echo times in seconds, ascending."""
        return tuple(echo.echo_time_s for echo in self.echoes)

    @property
    def field_strength_t(self) -> float:
        """Field strength in tesla that the imaging frequency stands for (NaN if unknown)."""
        return (self.imaging_frequency_mhz.value or float('nan')) / GAMMA_MHZ_PER_T

    @property
    def usable(self) -> bool:
        """Whether no issue of severity ERROR stands against it."""
        return not any(issue.severity is Severity.ERROR for issue in self.issues)

    def with_issues(self, *issues: Issue) -> Acquisition:
        """Return a copy with more issues."""
        return replace(self, issues=self.issues + issues)


@dataclass(frozen=True)
class Participant:
    """One person with all scans that were found, usable or not."""

    label: str  # without 'sub-'
    acquisitions: tuple[Acquisition, ...] = ()
    issues: tuple[Issue, ...] = ()  # findings that belong to no single acquisition
    cosmos: tuple[CosmosGroup, ...] = ()  # orientations to be put together, if asked for

    @property
    def all_issues(self) -> tuple[Issue, ...]:
        """Own findings and those of the acquisitions."""
        return self.issues + tuple(i for acq in self.acquisitions for i in acq.issues)

    @property
    def usable(self) -> tuple[Acquisition, ...]:
        """Acquisitions that can be processed."""
        return tuple(acq for acq in self.acquisitions if acq.usable)


@dataclass(frozen=True)
class Plan:
    """The whole run: what will be done for whom, and what will not, and why."""

    bids_dir: str
    participants: tuple[Participant, ...] = ()
    issues: tuple[Issue, ...] = ()  # dataset-level findings

    @property
    def acquisitions(self) -> tuple[Acquisition, ...]:
        """All usable acquisitions."""
        return tuple(acq for person in self.participants for acq in person.usable)

    @property
    def failed(self) -> tuple[str, ...]:
        """Labels of participants of whom something (or everything) cannot be processed."""
        return tuple(
            p.label
            for p in self.participants
            if not p.usable or any(i.severity is Severity.ERROR for i in p.all_issues)
        )
