"""What the participant page is made of: plain frozen values, filled by whoever ran the steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from qsmbids.lifespan.norms import NormSet
from qsmbids.plan.models import Acquisition


class Status(StrEnum):
    """How an acquisition ended."""

    COMPLETE = 'complete'
    WARNINGS = 'warnings'
    FAILED = 'failed'


@dataclass(frozen=True)
class Figure:
    """A picture that was written.

    Parameters
    ----------
    path : Path
        The image file (WebP or SVG).
    name : str
        Which picture it is, e.g. ``chi``; the page sorts pictures into sections by it.
    title : str
        A few words.
    caption : str
        What is shown, in which window, and what a good result looks like.
    """

    path: Path
    name: str
    title: str
    caption: str


@dataclass(frozen=True)
class QCValue:
    """One quality number.

    Parameters
    ----------
    name, unit : str
    value : float or None
        None or NaN when it could not be computed.
    low, high : float or None
        Plausible range; None leaves that side open.
    meaning : str
        One sentence: what it measures and what a bad value points to.
    """

    name: str
    value: float | None
    unit: str = ''
    low: float | None = None
    high: float | None = None
    meaning: str = ''

    @property
    def known(self) -> bool:
        """Whether there is a value."""
        return self.value is not None and self.value == self.value

    @property
    def plausible(self) -> bool:
        """Whether the value lies in its range (True when there is no value).

        Examples
        --------
        >>> QCValue('coverage', 0.4, low=0.5).plausible
        False
        """
        if not self.known:
            return True
        above = self.low is None or self.value >= self.low
        return above and (self.high is None or self.value <= self.high)


@dataclass(frozen=True)
class AcquisitionResult:
    """Everything the page shows of one acquisition. What is missing is left out of the page.

    Parameters
    ----------
    key : str
        ``sub-01_ses-1_run-2``, as in the plan.
    acquisition : Acquisition or None
        The plan of it.
    status : Status or str
        complete, warnings or failed.
    figures : sequence of Figure
        From :func:`qsmbids.report.figures.draw_figures`.
    regions, regions_r2star : sequence of mapping
        Rows of the region tables (index, name, abbreviation, hemisphere, group, n_voxels,
        coverage, mean, median, sd ...); numbers or their text, ``n/a`` or NaN for missing.
    markings : sequence of mapping
        kind ('lesions' or 'veins'), label, source, rows and haematocrit of each table of what
        somebody has marked.
    qc : sequence of QCValue
        The first five stand at the head of the page.
    atlas : mapping
        name, cohort, age_range (low, high), age_used, note.
    reference : mapping
        region, value_ppm, n_voxels.
    steps : sequence of mapping
        name, seconds, peak_gb (or None): what ran, in order.
    errors : sequence of mapping
        node, message, hint, crash_file: what failed.
    settings : mapping
        As for :func:`qsmbids.report.methods.methods_text`.
    outputs : sequence of str
        Paths relative to the folder of the page.
    curve_offset_ppm : float
        Added to the age curves, so that curve and map have the same reference: minus the
        mean of the age's template over the reference region.
    norms : NormSet, optional
        To compare the regions with.
    input_ranges : mapping of str to (float, float)
        Smallest and largest stored value of input files, by path.
    """

    key: str
    acquisition: Acquisition | None = None
    status: Status | str = Status.COMPLETE
    figures: Sequence[Figure] = ()
    regions: Sequence[Mapping[str, Any]] = ()
    regions_r2star: Sequence[Mapping[str, Any]] = ()
    markings: Sequence[Mapping[str, Any]] = ()
    qc: Sequence[QCValue] = ()
    atlas: Mapping[str, Any] = field(default_factory=dict)
    reference: Mapping[str, Any] = field(default_factory=dict)
    steps: Sequence[Mapping[str, Any]] = ()
    errors: Sequence[Mapping[str, Any]] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    outputs: Sequence[str] = ()
    curve_offset_ppm: float = 0.0
    norms: NormSet | None = None
    input_ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
