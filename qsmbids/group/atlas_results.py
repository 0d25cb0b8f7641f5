"""Everything that is asked about the regions of one atlas, and the tables of the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbids.bids.dataset import write_table
from qsmbids.bids.norm_file import write_norms
from qsmbids.config import MEASURES, GroupOptions
from qsmbids.group.comparable import keep_comparable
from qsmbids.group.curve_tables import (
    CENTILE_COLUMNS,
    FAMILY_COLUMNS,
    QUANTITY_COLUMNS,
    centile_rows,
    family_rows,
    quantity_rows,
)
from qsmbids.group.curves import SAME_IN_ALL, Key, fit_curves
from qsmbids.group.errors import GroupError
from qsmbids.group.further import estimate_iron, follow
from qsmbids.group.listing import listed
from qsmbids.group.people.answers import Answers, answer
from qsmbids.group.problems import Problem
from qsmbids.group.view import Analysis, AtlasView, Column
from qsmbids.lifespan.choice import DEFAULT_FAMILIES
from qsmbids.lifespan.errors import LifespanError

if TYPE_CHECKING:
    import pandas as pd

    from qsmbids.group.cohort import Cohort, RegionTable
    from qsmbids.lifespan.choice import Choice
    from qsmbids.lifespan.norms import NormSet

Rows = Iterable[Mapping[str, Any]]


@dataclass
class AtlasResults:
    """What was found with one atlas.

    Parameters
    ----------
    view : AtlasView
    analyses : list of Analysis
    files : list of Path
    problems : list of Problem
    remarks : list of str
    failed : bool
        Whether something that was asked for could not be done at all.
    """

    view: AtlasView
    analyses: list[Analysis] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    failed: bool = False


def analyse_atlas(
    cohort: Cohort,
    table: RegionTable,
    output_dir: Path,
    options: GroupOptions,
    *,
    norms: NormSet | None = None,
    dataset: str = '',
    nprocs: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> AtlasResults:
    """Fit curves, apply norms and answer the questions of one atlas; write the tables.

    Parameters
    ----------
    cohort, table
        Scans, and their table of susceptibility with both sides.
    output_dir : Path
    options : GroupOptions
    norms : NormSet, optional
        To compare people with.
    dataset : str
        Name, for norms that are made.
    nprocs : int
        Processes.
    progress : callable
        Told (done, total) regions.

    Notes
    -----
    What cannot be done becomes a problem; the rest is done.
    """
    given, left_out = keep_comparable(cohort, table)
    table = _with_measure(given, options.measure)
    if options.hemispheres == 'average':
        table = table.averaged()
    as_measured = table
    results = AtlasResults(AtlasView(table, {}, {}), problems=left_out)
    stem = output_dir / f'group_atlas-{table.atlas}_desc-'

    def write(name: str, rows: Rows, columns: Iterable[Column]) -> Path:
        path = Path(f'{stem}{name}_Chimap.tsv')
        write_table(path, rows, tuple(columns))
        results.files.extend([path, path.with_suffix('.json')])
        return path

    answers = answer(
        cohort.scans, table, models=options.models, scores=options.scores,
        contrasts=options.roc, site=options.harmonize,
    )  # fmt: skip
    table = answers.harmonized or table
    choices, reasons, problems = fit_curves(
        cohort, table, options.curves, robust=options.robust, nprocs=nprocs, progress=progress
    )
    results.problems += problems
    if options.measure != MEASURES[0]:
        results.remarks.append(
            f'The value of a region is its {options.measure} (--measure), not its mean, in '
            'curves, models, change and iron.'
        )
    if options.robust:
        results.remarks.append('Curves were fitted with less weight for outliers (--robust).')
    if choices:
        write('families', family_rows(choices), FAMILY_COLUMNS)
        write('curves', quantity_rows(choices), QUANTITY_COLUMNS)
        write('centiles', centile_rows(choices), CENTILE_COLUMNS)
    if answers.harmonized:
        results.problems += _not_harmonized(cohort, as_measured, table)
    if options.fit_norms:
        # harmonised values belong to this cohort alone: nobody else's could be compared
        if answers.harmonized:
            measured = fit_curves(
                cohort, as_measured, options.curves, robust=options.robust, nprocs=nprocs
            )[0]
        else:
            measured = choices
        _fit_norms(cohort, as_measured, measured, options, dataset, results)
    scores = _apply_norms(cohort, given, norms, options, results, write)
    _take(answers, results, write)
    # norms of others, a person's own change and iron are about values as they were measured
    follow(cohort, as_measured, choices, options, results, write)
    if options.iron:
        estimate_iron(cohort, as_measured, options, results, write)
    constant = [key for key, reason in reasons.items() if reason == SAME_IN_ALL]
    keys = zip(table.regions['region'], table.regions['hemisphere'], strict=True)
    shown = table.select(regions=np.array([key not in constant for key in keys]))
    results.view = AtlasView(
        shown, choices, reasons, zscores=scores,
        norms_label=norms.name if norms else '', norms_words=_words(norms) if norms else '',
    )  # fmt: skip
    return results


def _with_measure(table: RegionTable, measure: str) -> RegionTable:
    """Return the table with another column in the place of the mean."""
    return replace(table, values=table.values | {'mean': table.values[measure]})


def _take(answers: Answers, results: AtlasResults, write: Any) -> None:
    """Write the answers about people and show them."""
    for name, table in answers.tables.items():
        path = write(name, table.rows(), table.columns)
        about = answers.about[name]
        title = about if '~' in about else about[:1].upper() + about[1:]  # a formula as it is
        results.analyses.append(Analysis(title, '', table.frame, table.columns, path.name))
    results.problems += answers.problems
    results.failed |= any(problem.severity == 'error' for problem in answers.problems)
    if answers.harmonized:
        results.remarks.append(
            'Differences between sites were removed by ComBat before curves and models. Its '
            'estimates belong to this cohort; see the table of sites. Norms, z-scores, iron and '
            'change over time use the values as they were measured.'
        )


def _not_harmonized(cohort: Cohort, before: RegionTable, after: RegionTable) -> list[Problem]:
    """Name the scans that had values and lost them, because a column of the models is n/a."""
    known = [np.isfinite(table.values['mean']).any(axis=1) for table in (before, after)]
    lost = cohort.scans['key'][known[0] & ~known[1]]
    if not len(lost):
        return []
    return [
        Problem(
            f'Not harmonised, and so in no curve and no model: {listed(lost)}.',
            'ComBat needs the site and every column of the models, and age and sex.',
            'Fill in the columns, or leave those with gaps out of the models.',
        )
    ]


def _fit_norms(
    cohort: Cohort, table: RegionTable, choices: Mapping[Key, Choice], options: GroupOptions,
    dataset: str, results: AtlasResults,
) -> None:  # fmt: skip
    from qsmbids.group.norms import fit_norms

    names = zip(
        table.regions['name'], table.regions['region'], table.regions['hemisphere'], strict=True
    )
    by_name = {n: choices[r, s] for n, r, s in names if (r, s) in choices}
    try:
        norms, problems = fit_norms(
            cohort, table, by_name, families=options.curves or DEFAULT_FAMILIES,
            robust=options.robust, dataset=dataset, measure=options.measure,
        )  # fmt: skip
    except GroupError as error:
        results.problems.append(as_problem(error, '--fit-norms'))
        results.failed = True
        return
    options.fit_norms.parent.mkdir(parents=True, exist_ok=True)
    write_norms(options.fit_norms, norms)
    results.problems += problems
    results.remarks.append(f'Norms of this cohort were written to {options.fit_norms.name}.')


def _apply_norms(
    cohort: Cohort, table: RegionTable, norms: NormSet | None, options: GroupOptions,
    results: AtlasResults, write: Any,
) -> pd.DataFrame | None:  # fmt: skip
    from qsmbids.group.norms import Z_COLUMNS, z_scores

    if norms is None:
        return None
    try:
        scores, problems = z_scores(cohort, table, norms)
    except (GroupError, LifespanError) as error:
        results.problems.append(as_problem(error, '--norms'))
        results.failed = True
        return None
    results.problems += problems
    write('zscores', scores.to_dict('records'), Z_COLUMNS)
    return scores


def _words(norms: NormSet) -> str:
    ages = [age for norm in norms.norms for age in norm.age_range]
    return (
        f'{len(norms.norms)} regions, {min(ages):.3g} to {max(ages):.3g} years, reference: '
        f'{norms.reference or "not stated"}.'
    )


def as_problem(error: ValueError, where: str) -> Problem:
    """Return an error of three lines as a problem that stopped one analysis."""
    what, why, do = [*str(error).splitlines(), '', '', ''][:3]
    return Problem(what, why, do, where=where, severity='error')
