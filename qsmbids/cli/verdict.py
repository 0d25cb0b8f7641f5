"""The end of a run: who is complete, who is not and why, and the exit code."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from qsmbids.bids.names import report_path
from qsmbids.cli import exit_codes
from qsmbids.cli.compute import Spent
from qsmbids.config import Config
from qsmbids.execution.summary import COMPLETE, FAILED, KEPT, LEFT_OUT, Row, render_summary
from qsmbids.plan.models import Plan, Severity
from qsmbids.workflows.outcome import Outcome

_LOG_WIDTH = 120  # where there is no terminal


def verdict(plan: Plan, outcomes: Sequence[Outcome], spent: Spent | None, config: Config) -> int:
    """Print the table of a run and return the exit code.

    Parameters
    ----------
    plan : Plan
    outcomes : sequence of Outcome
        Of all usable acquisitions, and of the COSMOS maps.
    spent : callable or None
        Returns what an acquisition cost in this run.
    config : Config
    """
    rows = [_row(outcome, spent, config) for outcome in outcomes]
    rows += _left_out(plan, config.output_dir)
    print()
    print(render_summary(rows, shutil.get_terminal_size((_LOG_WIDTH, 24)).columns))
    print(f'Reports: {config.output_dir}/sub-*.html')
    done = sum(outcome.complete for outcome in outcomes)
    if not done:
        print('No acquisition could be finished; the reports say what to look at.')
    return exit_codes.SOME_FAILED if done < len(outcomes) or plan.failed else exit_codes.OK


def _row(outcome: Outcome, spent: Spent | None, config: Config) -> Row:
    key, page = outcome.acquisition.key, report_path(outcome.acquisition.participant)
    if outcome.kept:
        return Row(key, KEPT, where=page)
    cost = spent(key) if spent else None
    seconds, peak_gb = (cost.seconds, cost.peak_gb) if cost and cost.seconds else (None, None)
    if outcome.complete:
        return Row(key, COMPLETE, seconds, peak_gb, page)
    crash = next((f.crash_file for f in outcome.failures if f.crash_file), page)
    whole = [f'{f.title}: {f.message}' for f in outcome.failures[:1]]  # what, why, what to do
    return Row(key, FAILED, seconds, peak_gb, crash, ''.join(whole) or outcome.reason)


def _left_out(plan: Plan, output_dir: Path) -> list[Row]:
    """Return one row, with the first reason, for each scan or session that is left out."""
    rows = []
    for person in plan.participants:
        first: dict[str, str] = {}
        for issue in person.all_issues:
            if issue.severity is Severity.ERROR:
                first.setdefault(issue.scope or f'sub-{person.label}', issue.what)
        rows += [
            Row(scope, LEFT_OUT, where=report_path(person.label), reason=what)
            for scope, what in first.items()
        ]
    return rows
