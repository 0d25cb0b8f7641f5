"""All questions about people of one run, asked one after the other.

One question that cannot be answered does not stop the others: what was wrong becomes a
:class:`Problem` and the rest is done. Only a harmonisation that is refused takes the questions
with it that were to be asked of harmonised values.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qsmbids.group.errors import GroupError
from qsmbids.group.people.covariates import read_covariate
from qsmbids.group.people.formula import Factor, Formula, parse_formula
from qsmbids.group.people.harmonize import harmonize
from qsmbids.group.people.linear import fit_model
from qsmbids.group.people.mean_and_total import MEASURES, mean_and_total
from qsmbids.group.people.results import Result
from qsmbids.group.people.roc import read_contrast, roc
from qsmbids.group.people.scores import ADJUSTED_FOR, correlate_scores
from qsmbids.group.people.sensitivity import reference_differs
from qsmbids.group.problems import Problem

if TYPE_CHECKING:
    import pandas as pd

    from qsmbids.group.region_table import RegionTable


_NOT_ASKED = Problem(
    'No model, score or contrast was computed.',
    'They were to be asked of harmonised values, and there are none.',
    'Leave --harmonize out, and put the site into the models where it differs from the groups.',
    where='--harmonize', severity='error',
)  # fmt: skip


@dataclass
class Answers:
    """Tables and findings.

    Parameters
    ----------
    tables : dict of str to Result
        By a name that can stand in a file name: ``model1`` (coefficients), ``model1terms``,
        ``model1means``, ``model1total``, ``model1reference``, ``scores``, ``roc1``, ``sites``.
    about : dict of str to str
        What each table answers, in words, with the formula or the contrast.
    problems : list of Problem
        Each said once.
    harmonized : RegionTable or None
        The table without differences between sites, if that was asked for and could be done.
    """

    tables: dict[str, Result] = field(default_factory=dict)
    about: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    harmonized: RegionTable | None = None


def answer(
    scans: pd.DataFrame,
    table: RegionTable,
    *,
    models: Sequence[str] = (),
    scores: Sequence[str] = (),
    contrasts: Sequence[str] = (),
    site: str = '',
) -> Answers:
    """Ask all questions.

    Parameters
    ----------
    scans : DataFrame
        ``Cohort.scans``.
    table : RegionTable
        Of susceptibility, with its rows; sides averaged or not.
    models : sequence of str
        Formulas (``--model``).
    scores : sequence of str
        Columns (``--scores``).
    contrasts : sequence of str
        ``diagnosis=PD/control`` (``--roc``).
    site : str
        Column to harmonise over (``--harmonize``), or ''.

    Raises
    ------
    GroupError
        If a formula or a contrast cannot be read: that is a slip of the pen, best known
        before hours of computing.
    """
    formulas = [parse_formula(text) for text in models]
    columns = [read_contrast(text)[0] for text in contrasts]
    answers = Answers()
    usable = [i for i, one in enumerate(formulas, start=1) if _usable(answers, scans, one)]
    if site:
        kept = _kept(scans, [formulas[i - 1] for i in usable], columns, site)
        wanted = {'mean', *(f.response for f in formulas), *(MEASURES if formulas else ())}
        measures = [name for name in table.values if name in wanted]
        done = _attempt(
            answers, 'Not harmonised', lambda: harmonize(scans, table, site, kept, measures)
        )
        if done is None:
            if models or scores or contrasts:
                answers.problems.append(_NOT_ASKED)
            return answers
        table = answers.harmonized = done.table
        _add(answers, 'sites', f'shift and scale of {site} (ComBat)', done.sites, done.problems)
    for i in usable:
        _ask_model(answers, f'model{i}', scans, table, formulas[i - 1])
    if scores:
        found = _attempt(answers, 'Scores', lambda: correlate_scores(scans, table, scores))
        if found:
            _add(answers, 'scores', f'correlation with {", ".join(scores)}', *found)
    for i, text in enumerate(contrasts, start=1):
        found = _attempt(answers, text, lambda text=text: roc(scans, table, text))
        if found:
            _add(answers, f'roc{i}', f'telling groups apart: {text}', *found)
    return answers


def _ask_model(
    answers: Answers, name: str, scans: pd.DataFrame, table: RegionTable, formula: Formula
) -> None:
    fitted = _attempt(answers, formula.text, lambda: fit_model(scans, table, formula))
    if fitted is None:
        return
    _add(answers, name, f'{formula.text}: coefficients', fitted.coefficients, fitted.problems)
    _add(answers, f'{name}terms', f'{formula.text}: tests of terms', fitted.terms)
    if len(fitted.means.frame):
        _add(answers, f'{name}means', f'{formula.text}: adjusted means', fitted.means)
    if formula.response == 'mean' and 'total' in table.values:
        found = _attempt(answers, formula.text, lambda: mean_and_total(scans, table, formula))
        if found:
            _add(answers, f'{name}total', f'{formula.text}: mean, total and volume', *found)
    reference, problems = reference_differs(scans, formula)
    answers.problems += [p for p in problems if p not in answers.problems]
    if reference is not None:
        _add(answers, f'{name}reference', f'{formula.text}: the reference region', reference)


def _usable(answers: Answers, scans: pd.DataFrame, formula: Formula) -> bool:
    """Return whether the columns of a model are there; what is wrong becomes a problem."""

    def look() -> bool:
        for column in formula.columns:
            read_covariate(scans, column)
        return True

    return bool(_attempt(answers, formula.text, look))


def _kept(
    scans: pd.DataFrame, formulas: Sequence[Formula], columns: Sequence[str], site: str
) -> list[Formula]:
    """Return what a harmonisation must keep: models, groups to tell apart, age and sex."""
    known = []
    for name in ADJUSTED_FOR:
        with contextlib.suppress(GroupError):  # not recorded: nothing to keep
            one = read_covariate(scans, name)
            if name != site and len(set(one.values[one.known()])) > 1:
                known.append(name)
    named = {column for formula in formulas for column in formula.columns}
    extra = [
        *((Factor(name, 'category'),) for name in dict.fromkeys(columns) if name not in named),
        *((Factor(name),) for name in known if name not in named),
    ]
    if not extra:
        return list(formulas)
    return [*formulas, Formula(' + '.join(str(t[0]) for t in extra), 'mean', tuple(extra))]


def _attempt(answers: Answers, what: str, question: Callable):
    try:
        return question()
    except GroupError as error:
        first, why, do = str(error).splitlines()
        answers.problems.append(Problem(first, why, do, where=what, severity='error'))
        return None


def _add(
    answers: Answers, name: str, about: str, result: Result, problems: Sequence[Problem] = ()
) -> None:
    answers.tables[name] = result
    answers.about[name] = about
    answers.problems += [p for p in problems if p not in answers.problems]
