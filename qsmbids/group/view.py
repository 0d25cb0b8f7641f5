"""What the group page and the figures show: the cohort and what was found in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qsmbids.group.problems import Problem

if TYPE_CHECKING:
    import pandas as pd

    from qsmbids.group.cohort import Cohort, RegionTable
    from qsmbids.lifespan.choice import Choice

Key = tuple[str, str]  # region without its side; hemisphere 'L', 'R' or 'B'
Column = tuple[str, str, str]  # name, unit, description


@dataclass(frozen=True)
class AtlasView:
    """The regions of one atlas with their curves and z-scores.

    Parameters
    ----------
    table : RegionTable
        Susceptibility of all acquisitions, sides averaged or separate.
    choices : mapping of (region, hemisphere) to Choice
        The age curves; a region without one is shown without a curve.
    reasons : mapping of (region, hemisphere) to str
        Why a region has no curve, one sentence.
    zscores : DataFrame or None
        One row per acquisition and region: ``key``, ``region``, ``hemisphere``, ``z``, and
        optionally ``value``, ``expected`` (ppm), ``centile`` and ``flagged`` (true or false).
    norms_label : str
        Where the norms come from, for example "engineering prior, not published norms".
    norms_words : str
        More about them: people, ages, reference, what was found when they were applied.
    show_prior : bool
        Draw the engineering prior as a dashed line.
    """

    table: RegionTable
    choices: Mapping[Key, Choice]
    reasons: Mapping[Key, str]
    zscores: pd.DataFrame | None = None
    norms_label: str = ''
    norms_words: str = ''
    show_prior: bool = True


@dataclass(frozen=True)
class Analysis:
    """One table of results with words: a model, scores, ROC, changes over time.

    Parameters
    ----------
    title : str
        Heading.
    words : str
        What was done and how to read it; paragraphs are separated by an empty line.
    frame : DataFrame
        A column ``key`` or ``participant_id`` becomes a link to the subject's report.
    columns : sequence of (name, unit, description)
        The columns to show, in order; empty for all of the frame.
    file : str
        Name of the table in the output folder that has everything.
    """

    title: str
    words: str
    frame: pd.DataFrame
    columns: Sequence[Column] = ()
    file: str = ''


@dataclass(frozen=True)
class GroupView:
    """Everything on the group page.

    Parameters
    ----------
    cohort : Cohort
    atlases : sequence of AtlasView
    analyses : sequence of Analysis
        Shown in this order.
    problems : sequence of Problem
        All of them: those of the cohort are not added by the page.
    files : sequence of Path
        Tables and figures to link to, in the output folder.
    remarks : sequence of str
        Sentences about the whole analysis, for example on harmonisation.
    level : float
        Confidence level of all intervals.
    """

    cohort: Cohort
    atlases: Sequence[AtlasView]
    analyses: Sequence[Analysis] = ()
    problems: Sequence[Problem] = ()
    files: Sequence[Path] = ()
    remarks: Sequence[str] = ()
    level: float = 0.95
